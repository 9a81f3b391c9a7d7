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

/// The same at the end only.
pub(crate) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
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
    all(bytes, |word| not_in_value(word) == 0, is_value_byte)
}

/// Whether all bytes are of a kind, of which `plain` knows eight at a time: all are, or perhaps not.
fn all(bytes: &[u8], plain: impl Fn(u64) -> bool, is: impl Fn(u8) -> bool) -> bool {
    let (eights, rest) = bytes.as_chunks::<8>();
    // The last are looked at twice if need be.
    if let Some(last) = bytes.last_chunk::<8>() {
        let all = |eight: &[u8; 8]| plain(u64::from_ne_bytes(*eight)) || eight.iter().all(|b| is(*b));
        return eights.iter().all(all) && (rest.is_empty() || all(last));
    }
    let four = |four: &[u8; 4]| u64::from(u32::from_ne_bytes(*four));
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) if plain(four(first) << 32 | four(last)) => true,
        _ => bytes.iter().all(|b| is(*b)),
    }
}

const fn is_value_byte(byte: u8) -> bool {
    !byte.is_ascii_control() || byte == b'\t'
}

/// A one in each byte of a word.
const EACH: u64 = u64::MAX / 0xff;
/// The highest bit of each byte.
const HIGHEST: u64 = EACH * 0x80;

/// The highest bit of bytes below `least`, which is at most 0x80. It lets the subtraction borrow from that bit, which is clear
/// for them. Borrows go on to the bytes above: the lowest bit that is set tells the truth, and those above it may not.
const fn below(word: u64, least: u8) -> u64 {
    word.wrapping_sub(EACH * least as u64) & !word & HIGHEST
}

/// The same for bytes that are `byte`: what a flip of all its bits makes 0.
pub(crate) const fn of_byte(word: u64, byte: u8) -> u64 {
    below(word ^ (EACH * byte as u64), 1)
}

/// The same for control characters: what does not stand in a value, and HTAB, which does.
pub(crate) const fn not_in_value(word: u64) -> u64 {
    below(word, 0x20) | of_byte(word, 0x7f)
}

/// The same for what does not stand in a [target](is_target).
pub(crate) const fn not_in_target(word: u64) -> u64 {
    below(word, 0x21) | of_byte(word, 0x7f) | of_byte(word, b'#') | of_byte(word, b'\\') | word & HIGHEST
}

/// Only bytes that may stand in a target. Beyond the grammar of RFC 3986, `"<>^{|}` and the backquote pass: clients
/// send them and no parser gives them a meaning.
pub(crate) fn is_target(target: &[u8]) -> bool {
    let is = |byte| matches!(byte, 0x21..=0x7e) && byte != b'#' && byte != b'\\';
    all(target, |word| not_in_target(word) == 0, is)
}

/// Whether there is a byte that a quoted string has only behind a backslash, or one of these (RFC 9110 §5.6.4).
pub(crate) fn has_quotes(text: &[u8]) -> bool {
    let none = |word| of_byte(word, b'"') | of_byte(word, b'\\') == 0;
    !all(text, none, |byte| byte != b'"' && byte != b'\\')
}

/// Whether a name is the same as one of letters, digits and `-`, in any case.
#[inline]
pub(crate) fn is_named(name: &[u8], text: &[u8]) -> bool {
    // A letter has 0x40, and differs from itself in the other case by 0x20; others differ by nothing.
    const fn same(name: u64, text: u64) -> bool {
        (name ^ text) & !((text & (EACH * 0x40)) >> 1) == 0
    }
    let eight = |name: &[u8; 8], text: &[u8; 8]| same(u64::from_ne_bytes(*name), u64::from_ne_bytes(*text));
    let four = |name: &[u8; 4], text: &[u8; 4]| {
        same(u32::from_ne_bytes(*name).into(), u32::from_ne_bytes(*text).into())
    };
    if name.len() != text.len() {
        return false;
    }
    // Both ends, which overlap in most names, and what is between them in long ones.
    if let (Some((first, rest)), Some((text_first, text_rest))) =
        (name.split_first_chunk(), text.split_first_chunk())
    {
        let last = name.last_chunk().zip(text.last_chunk());
        let between = || rest.as_chunks().0.iter().zip(text_rest.as_chunks().0);
        return eight(first, text_first)
            && last.is_some_and(|(last, text_last)| eight(last, text_last))
            && (rest.len() <= 8 || between().all(|(name, text)| eight(name, text)));
    }
    if let (Some(first), Some(text_first), Some(last), Some(text_last)) =
        (name.first_chunk(), text.first_chunk(), name.last_chunk(), text.last_chunk())
    {
        return four(first, text_first) && four(last, text_last);
    }
    name.iter().zip(text).all(|(name, text)| same((*name).into(), (*text).into()))
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
    if name.iter().all(|byte| PLAIN[usize::from(*byte)]) {
        return !name.is_empty();
    }
    let mut rest = name;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (plain, _) if PLAIN[usize::from(*plain)] => after,
            (b'%', [a, b, after @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => after,
            _ => return false,
        };
    }
    true
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
    fn every_byte_of_a_target_is_looked_at() {
        for len in 0..20 {
            for at in 0..len {
                for byte in 0..=255_u8 {
                    for around in [b'a', b'!', b'~', b'"', b'$', b'[', b']'] {
                        let mut target = vec![around; len];
                        target[at] = byte;
                        let fine = (0x21..=0x7e).contains(&byte) && byte != b'#' && byte != b'\\';
                        assert_eq!(is_target(&target), fine, "{target:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_byte_of_a_name_is_looked_at() {
        for len in 0..34 {
            for text in [b'a', b'Z', b'-', b'2'] {
                let text = vec![text; len];
                for at in 0..len {
                    for byte in 0..=255_u8 {
                        let mut name = text.clone();
                        name[at] = byte;
                        assert_eq!(is_named(&name, &text), name.eq_ignore_ascii_case(&text), "{name:?}");
                    }
                }
            }
        }
        assert!(is_named(b"", b"") && !is_named(b"a", b"") && !is_named(b"a", b"aa"));
        assert!(is_named(b"cONTENT-lENGTH", b"Content-Length") && is_named(b"tE", b"Te"));
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
