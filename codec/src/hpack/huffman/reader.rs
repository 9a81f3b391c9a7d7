//! Reads strings that are Huffman-coded, mostly two symbols at a time.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tables indexed by as many bits as they have entries for; shifts and sums of at most 64 bits"
)]

use super::super::Error;
use super::{CANON, EOS, LENGTH_MAX, LENGTH_MIN, canon};

/// Bits that are looked up at once: the codes of two letters or digits, mostly.
const LOOKUP_BITS: u32 = 12;

/// There is room for so many symbols wherever some are written: more than 63 bits can be, and one that is none.
const SYMBOLS_MAX: usize = 17;
/// Room for what so many bytes of input may become: two for each, because the shortest code has 5 bits, and six for what
/// may be left of the input before.
pub(in crate::hpack) const fn decoded_bytes_max(bytes: usize) -> usize {
    bytes * 2 + 6 + SYMBOLS_MAX
}

const _: () = assert!(LENGTH_MIN * 2 >= 8 && LENGTH_MIN * 6 >= LENGTH_MAX);

/// Reads a string that may come in pieces.
#[derive(Debug, Default)]
pub(in crate::hpack) struct Reader {
    /// What has been read and not understood yet: the highest bits. Zeros are below them between two pieces, and what
    /// follows within one.
    bits: u64,
    /// How many there are: less than [`LENGTH_MAX`] between two pieces.
    count: u32,
}

impl Reader {
    /// Decodes a piece into `out`, which has room for [`decoded_bytes_max`]; says how many bytes it became.
    pub(in crate::hpack) fn read(&mut self, mut input: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let Self { mut bits, mut count } = *self;
        let mut written = 0;
        while !input.is_empty() {
            let (next, there) = next_bytes(input);
            // Those of which there is room for a part only will come again, and change nothing.
            bits |= next >> count;
            let taken = there.min((63 - count as usize) / 8);
            count += taken as u32 * 8;
            input = &input[taken..];
            let (symbols, mut at) = (symbols_at(out, written), 0);
            // Whatever comes is there in full.
            while count >= LENGTH_MAX {
                let mut short = SHORT[(bits >> (64 - LOOKUP_BITS)) as usize];
                if short.is_none() {
                    short = long_code(bits)?;
                }
                short.write_to(symbols, at);
                at += short.count();
                bits <<= short.len();
                count -= short.len();
            }
            written += at;
        }
        let (symbols, mut at) = (symbols_at(out, written), 0);
        while count > 0 {
            let mut short = SHORT[(bits >> (64 - LOOKUP_BITS)) as usize];
            // Two, of which the second is not there in full? Then only the first, if that one is.
            if short.is_none() || short.len() > count {
                let (symbol, len) = CANON.first_code(bits);
                if len > count {
                    break;
                }
                short = Short::new([symbol as u8, 0], 1, len);
            }
            short.write_to(symbols, at);
            at += short.count();
            bits <<= short.len();
            count -= short.len();
        }
        *self = Self { bits, count };
        Ok(written + at)
    }

    /// The string is over: what is left must be padding, fewer than 8 ones.
    pub(in crate::hpack) fn finish(&mut self) -> Result<(), Error> {
        let Self { bits, count } = std::mem::take(self);
        if bits.leading_ones() < count {
            return Err(Error::HuffmanPaddingNotOnes);
        }
        if count > 7 { Err(Error::HuffmanPaddingTooLong) } else { Ok(()) }
    }
}

/// By the next [`LOOKUP_BITS`] bits: one symbol, or two if both codes are there in full.
static SHORT: [Short; 1 << LOOKUP_BITS] = {
    let (canon, mut table, mut at) = (canon(), [Short::NONE; 1 << LOOKUP_BITS], 0);
    while at < table.len() {
        let bits = (at as u64) << (64 - LOOKUP_BITS);
        let (first, first_len) = canon.first_code(bits);
        if first_len <= LOOKUP_BITS {
            let (second, second_len) = canon.first_code(bits << first_len);
            table[at] = if first_len + second_len <= LOOKUP_BITS {
                Short::new([first as u8, second as u8], 2, first_len + second_len)
            } else {
                Short::new([first as u8, 0], 1, first_len)
            };
        }
        at += 1;
    }
    table
};

/// One symbol or two with the length of their codes, in 32 bits.
#[derive(Clone, Copy)]
struct Short(u32);

impl Short {
    /// In place of a code that is not short.
    const NONE: Self = Self(0);

    const fn new(symbols: [u8; 2], count: u32, len: u32) -> Self {
        Self(len | (symbols[0] as u32) << 8 | (symbols[1] as u32) << 16 | count << 24)
    }

    #[inline]
    const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The length of all codes.
    #[inline]
    const fn len(self) -> u32 {
        self.0 & 0xff
    }

    /// How many symbols there are.
    #[inline]
    const fn count(self) -> usize {
        (self.0 >> 24) as usize
    }

    /// Writes both symbols, whether there are two or not.
    #[inline]
    fn write_to(self, out: &mut [u8; SYMBOLS_MAX], at: usize) {
        let at = at & 15;
        [out[at], out[at + 1]] = ((self.0 >> 8) as u16).to_le_bytes();
    }
}

/// The symbol of a code that is not short.
#[cold]
fn long_code(bits: u64) -> Result<Short, Error> {
    match CANON.first_code(bits) {
        (EOS, _) => Err(Error::HuffmanEos),
        (symbol, len) => Ok(Short::new([symbol as u8, 0], 1, len)),
    }
}

#[inline]
fn symbols_at(out: &mut [u8], at: usize) -> &mut [u8; SYMBOLS_MAX] {
    out[at..].first_chunk_mut().expect("`out` has room for `decoded_bytes_max`, of which that many are left")
}

/// The next eight bytes, or fewer and zeros behind them; and how many they are.
#[inline]
fn next_bytes(input: &[u8]) -> (u64, usize) {
    if let Some(eight) = input.first_chunk::<8>() {
        return (u64::from_be_bytes(*eight), 8);
    }
    if let Some(four) = input.first_chunk::<4>() {
        return (u64::from(u32::from_be_bytes(*four)) << 32, 4);
    }
    let (mut next, mut at) = (0, 56);
    for byte in input {
        next |= u64::from(*byte) << at;
        at -= 8;
    }
    (next, input.len())
}
