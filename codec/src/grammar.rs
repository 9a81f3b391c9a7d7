//! The small rules of grammar that everything else is made of.
#![allow(clippy::indexing_slicing, reason = "tables of 256 entries, indexed by a byte")]

/// Without SP and HTAB at either end (`OWS`, RFC 9110 §5.6.3: nothing else is whitespace).
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// `token` (RFC 9110 §5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| is_token_byte(*b))
}

/// `tchar` (RFC 9110 §5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let (others, mut i) = (b"!#$%&'*+-.^_`|~", 0);
        while i < others.len() {
            table[others[i] as usize] = true;
            i += 1;
        }
        let mut b = 0;
        while b < 128 {
            if (b as u8).is_ascii_alphanumeric() {
                table[b] = true;
            }
            b += 1;
        }
        table
    };
    TOKEN[byte as usize]
}

/// Bytes that may stand in a value: HTAB, SP, VCHAR, obs-text (RFC 9110 §5.5). A reason phrase has the same.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    // Without an early end, the compiler looks at many bytes at once.
    !bytes.iter().fold(false, |bad, b| bad | ((*b < b' ') & (*b != b'\t')) | (*b == 0x7f))
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
    let mut rest = name;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [a, b, after @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => after,
            (b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'', _) => after,
            (b'(' | b')' | b'*' | b'+' | b';' | b'=', _) => after,
            (b, _) if b.is_ascii_alphanumeric() => after,
            _ => return false,
        };
    }
    !name.is_empty()
}

/// The members of a list that are not empty (RFC 9110 §5.6.1.2).
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(trim).filter(|m| !m.is_empty())
}
