//! Whether a path can be read in one way only. Routes are chosen by the bytes that are forwarded, so a rule on `/admin`
//! is worth nothing if an origin takes `/x/../admin`, `//admin` or `/%61dmin` for the same.

/// Whether no origin could take the path for another one: no segment is empty, `.` or `..` (`/` at the end is fine),
/// nothing is encoded that need not be, there is no backslash or encoded slash, and no `;` that an origin could cut
/// a segment at.
pub(crate) fn is_plain(path: &[u8]) -> bool {
    let Some(segments) = path.strip_prefix(b"/") else { return path == b"*" };
    let mut segments = segments.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let is_empty = segment.is_empty() && !is_last;
        if is_empty || segment == b"." || segment == b".." || !is_plain_segment(segment) {
            return false;
        }
    }
    true
}

fn is_plain_segment(segment: &[u8]) -> bool {
    let mut rest = segment;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'\\' | b';', _) => return false,
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) if !is_ambiguous(high << 4 | low) => after,
                _ => return false,
            },
            (b'%', _) => return false,
            _ => after,
        };
    }
    true
}

/// Bytes that mean the same unencoded (RFC 3986 §2.3), and those that an origin may take for a border or an end.
fn is_ambiguous(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/\\;%".contains(&byte) || byte.is_ascii_control()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
