//! How a buffer grows whose largest size is known.

/// Makes room for `more` bytes in a buffer that will have at most `bytes_max`: by doubling it, and by making it as large
/// as it may become once that would be more than half of it. So it is never larger; and while it grows, the old one and
/// the new one have one and a half times as much at most.
#[inline]
pub(crate) fn make_room(bytes: &mut Vec<u8>, more: usize, bytes_max: usize) {
    let needed = bytes.len().saturating_add(more);
    if needed > bytes.capacity() {
        grow(bytes, needed, bytes_max);
    }
}

#[cold]
fn grow(bytes: &mut Vec<u8>, needed: usize, bytes_max: usize) {
    let doubled = bytes.capacity().saturating_mul(2).max(needed);
    let capacity = if doubled > bytes_max / 2 { bytes_max.max(needed) } else { doubled };
    bytes.reserve_exact(capacity.saturating_sub(bytes.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_larger_than_it_may_become_and_copied_when_it_is_half_of_it() {
        for (bytes_max, by) in [(1_000, 1), (1_000, 30), (32_768, 7), (100, 100), (0, 10)] {
            let mut bytes = Vec::new();
            while bytes.len() + by <= bytes_max.max(by) {
                let before = bytes.capacity();
                make_room(&mut bytes, by, bytes_max);
                assert!(bytes.capacity() <= bytes_max.max(by));
                assert!(bytes.capacity() == before || before <= bytes_max / 2);
                bytes.resize(bytes.len() + by, 0);
            }
        }
    }
}
