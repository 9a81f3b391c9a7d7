//! The small rules of grammar that everything else is made of.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tables of 256 entries, indexed by a byte; products of bytes in a word"
)]

/// Without SP and HTAB at either end (`OWS`, RFC 9110 §5.6.3: nothing else is whitespace).
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Which bytes are letters, digits, or one of these.
const fn alphanumeric_and(others: &[u8]) -> [bool; 256] {
    let (mut table, mut at) = ([false; 256], 0);
    while at < table.len() {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// `token` (RFC 9110 §5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| is_token_byte(*b))
}

/// `tchar` (RFC 9110 §5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    const TOKEN: [bool; 256] = alphanumeric_and(b"!#$%&'*+-.^_`|~");
    TOKEN[byte as usize]
}

/// Bytes that may stand in a value: HTAB, SP, VCHAR, obs-text (RFC 9110 §5.5). A reason phrase has the same.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    // Most are short: eight bytes at a time, the last of them twice if need be.
    let (eights, rest) = bytes.as_chunks::<8>();
    let last = bytes.last_chunk::<8>().filter(|_| !rest.is_empty());
    if eights.is_empty() {
        return rest.iter().all(|b| is_value_byte(*b));
    }
    eights
        .iter()
        .chain(last)
        .all(|eight| is_plain(u64::from_ne_bytes(*eight)) || eight.iter().all(|b| is_value_byte(*b)))
}

const fn is_value_byte(byte: u8) -> bool {
    !byte.is_ascii_control() || byte == b'\t'
}

/// Whether no byte of the word is a control character.
const fn is_plain(word: u64) -> bool {
    const EACH: u64 = u64::MAX / 0xff;
    // A byte below 0x20, or one that a flip of all bits of DEL makes 0, lets the subtraction borrow from its highest bit,
    // which is clear for both. Borrows go on to the bytes above, so what is said here is only: none, or perhaps one.
    let flipped = word ^ (EACH * 0x7f);
    let low = word.wrapping_sub(EACH * 0x20) & !word;
    let del = flipped.wrapping_sub(EACH) & !flipped;
    (low | del) & (EACH * 0x80) == 0
}

/// Only bytes that may stand in a target. Beyond the grammar of RFC 3986, `"<>^{|}` and the backquote pass: clients
/// send them and no parser gives them a meaning.
pub(crate) fn is_target(target: &[u8]) -> bool {
    // Without an early end, the compiler looks at many bytes at once.
    !target.iter().fold(false, |bad, b| bad | !(0x21..=0x7e).contains(b) | (*b == b'#') | (*b == b'\\'))
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2), of which no part may be empty but the port: the port, if there is one.
///
/// A comma, which a registered name may have, is refused: it makes a list of the field.
pub(crate) fn authority(text: &[u8]) -> Option<Option<u16>> {
    let host_len = match text {
        [b'[', ..] => memchr::memchr(b']', text)?.saturating_add(1),
        _ => memchr::memchr(b':', text).unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at_checked(host_len)?;
    let valid = match host {
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok())
        }
        _ => is_registered_name(host),
    };
    match rest {
        _ if !valid => None,
        [] | [b':'] => Some(None),
        [b':', digits @ ..] => {
            let mut port: u16 = 0;
            for byte in digits {
                let digit = u16::from(byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))?);
                port = port.checked_mul(10)?.checked_add(digit)?;
            }
            Some(Some(port))
        }
        _ => None,
    }
}

/// `reg-name` (RFC 3986 §3.2.2), not empty and without a comma. An IPv4 address is one, too.
fn is_registered_name(name: &[u8]) -> bool {
    /// `unreserved` and `sub-delims` without the comma.
    const PLAIN: [bool; 256] = alphanumeric_and(b"-._~!$&'()*+;=");
    let mut rest = name;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (plain, _) if PLAIN[usize::from(*plain)] => after,
            (b'%', [a, b, after @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => after,
            _ => return false,
        };
    }
    !name.is_empty()
}

/// The members of a list that are not empty (RFC 9110 §5.6.1.2).
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(trim).filter(|m| !m.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_value_is_looked_at() {
        for len in 0..20 {
            for at in 0..len {
                for byte in 0..=255_u8 {
                    // What a neighbour is must not matter.
                    for around in [b'a', 0x80, 0xff, b' ', b'\t', b'!'] {
                        let mut value = vec![around; len];
                        value[at] = byte;
                        let fine = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
                        assert_eq!(is_value(&value), fine, "{value:?}");
                    }
                }
            }
        }
        assert!(is_value(b""));
    }

    #[test]
    fn a_registered_name_has_what_the_rfc_lists() {
        for byte in 0..=255_u8 {
            let fine = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte);
            assert_eq!(is_registered_name(&[b'a', byte]), fine, "{byte}");
        }
        assert!(is_registered_name(b"%41.%7e") && !is_registered_name(b"%4g") && !is_registered_name(b"a%4"));
        assert!(!is_registered_name(b""));
    }
}
