//! Integers with a prefix (RFC 7541 §5.1): what fits in the low bits of the first octet stands there; of what does not,
//! those bits are all ones and the rest follows by seven bits, the lowest first.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "shifts of at most 21 and sums below 2^28 + 2^8, which `push` keeps so"
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
    let full = mask(prefix) as usize;
    if value < full {
        out.push(first | value as u8);
        return;
    }
    out.push(first | full as u8);
    let mut rest = value - full;
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
