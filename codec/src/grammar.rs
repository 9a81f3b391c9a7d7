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
