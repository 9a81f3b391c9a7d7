//! Integers with a prefix (RFC 7541 §5.1): what fits in the low bits of the first octet stands there; of what does not,
//! those bits are all ones and the rest follows by seven bits, the lowest first.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "shifts of at most 21 and sums below 2^28 + 2^8, which `push` keeps so; lengths of what is in memory"
)]

use super::Error;

/// The highest value that is taken: what four octets after the first can hold. No string or table needs to be of
/// 256 MiB; with one octet more, it could be said to be of 32 GiB.
pub(super) const INTEGER_MAX: u32 = (1 << 28) - 1;

/// An integer of which some octets have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Integer {
    value: u32,
    shift: u32,
}

impl Integer {
    /// The low `prefix` bits of the first octet: a value, or the beginning of one.
    #[inline]
    pub(super) fn begin(first: u8, prefix: u32) -> Result<u32, Self> {
        let full = mask(prefix);
        let value = u32::from(first) & full;
        if value < full { Ok(value) } else { Err(Self { value, shift: 0 }) }
    }

    /// Takes the next octet, and gives the value if it was the last.
    pub(super) fn push(&mut self, octet: u8) -> Result<Option<u32>, Error> {
        if self.shift > 21 {
            return Err(Error::IntegerOverflow);
        }
        self.value += u32::from(octet & 0x7f) << self.shift;
        self.shift += 7;
        if octet & 0x80 != 0 {
            return Ok(None);
        }
        if self.value > INTEGER_MAX { Err(Error::IntegerOverflow) } else { Ok(Some(self.value)) }
    }
}

/// Writes `value` behind the bits of `first` that are not the prefix's.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, first: u8, prefix: u32, value: usize) {
    let full = mask(prefix);
    match value.checked_sub(full as usize) {
        None => out.push(first | value as u8),
        Some(rest) => {
            out.push(first | full as u8);
            write_rest(out, rest);
        }
    }
}

/// As [`write`], for the length of what stands behind `out[at]`: into that octet, and behind it if it takes more.
#[inline]
pub(super) fn write_before(out: &mut Vec<u8>, at: usize, first: u8, prefix: u32) {
    let (full, end) = (mask(prefix), out.len());
    let len = end.saturating_sub(at + 1);
    let rest = len.checked_sub(full as usize);
    if let Some(octet) = out.get_mut(at) {
        *octet = first | if rest.is_some() { full as u8 } else { len as u8 };
    }
    if let Some(rest) = rest {
        write_rest(out, rest);
        let octets = out.len() - end;
        out.get_mut(at + 1..).unwrap_or_default().rotate_right(octets);
    }
}

fn write_rest(out: &mut Vec<u8>, mut rest: usize) {
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// `prefix` ones.
#[inline]
const fn mask(prefix: u32) -> u32 {
    (1 << prefix) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8], prefix: u32) -> Result<Option<(u32, usize)>, Error> {
        let mut integer = match Integer::begin(octets[0], prefix) {
            Ok(value) => return Ok(Some((value, 1))),
            Err(integer) => integer,
        };
        for (at, octet) in octets.iter().enumerate().skip(1) {
            if let Some(value) = integer.push(*octet)? {
                return Ok(Some((value, at + 1)));
            }
        }
        Ok(None)
    }

    #[test]
    fn every_prefix_holds_every_magnitude() {
        for prefix in 1..=8 {
            let others = !(mask(prefix) as u8);
            for value in (0..29).flat_map(|bits| [(1_u32 << bits) - 1, 1 << bits, (1 << bits) + 1]) {
                let mut out = vec![];
                write(&mut out, others, prefix, value as usize);
                let len = out.len();
                assert!(out[0] & others == others && len <= 6);
                out.push(0xff);
                let expected =
                    if value > INTEGER_MAX { Err(Error::IntegerOverflow) } else { Ok(Some((value, len))) };
                // The greatest may need a fifth octet after the first, if the prefix is short.
                if value <= INTEGER_MAX || len == 6 {
                    assert_eq!(read(&out, prefix), expected, "{value} by {prefix}");
                }
            }
        }
    }

    #[test]
    fn a_length_is_written_before_what_it_is_of() {
        for len in [0, 1, 126, 127, 128, 254, 255, 16_510, 16_511, 70_000] {
            let text: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let (mut behind, mut before) = (b"x".to_vec(), b"x?".to_vec());
            write(&mut behind, 0x80, 7, len);
            behind.extend_from_slice(&text);
            before.extend_from_slice(&text);
            write_before(&mut before, 1, 0x80, 7);
            assert!(behind == before, "{len}");
        }
    }

    #[test]
    fn five_octets_are_enough() {
        assert_eq!(read(&[0xff, 0x80, 0x80, 0x80, 0x00], 7), Ok(Some((127, 5))));
        assert_eq!(read(&[0xff, 0x80, 0x80, 0x80, 0x80, 0x00], 7), Err(Error::IntegerOverflow));
        assert_eq!(read(&[0xff; 11], 7), Err(Error::IntegerOverflow));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff], 7), Ok(None));
        // 2^28 - 1 and one more.
        assert_eq!(read(&[0xff, 0x80, 0xff, 0xff, 0x7f], 7), Ok(Some((INTEGER_MAX, 5))));
        assert_eq!(read(&[0xff, 0x81, 0xff, 0xff, 0x7f], 7), Err(Error::IntegerOverflow));
    }
}
