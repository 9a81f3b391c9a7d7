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
        // Not in memory meanwhile.
        let mut reader = Self { ..*self };
        let mut written = 0;
        while let Some(eight) = input.first_chunk() {
            let taken = reader.room();
            reader.take(u64::from_be_bytes(*eight), taken);
            input = &input[taken..];
            written += reader.read_four(symbols_at(out, written))?;
        }
        loop {
            let taken = reader.room().min(input.len());
            reader.take(next_bytes(input), taken);
            input = &input[taken..];
            written += reader.read_all(symbols_at(out, written))?;
            if input.is_empty() {
                *self = reader;
                return Ok(written);
            }
        }
    }

    /// For so many more bytes there is room: at most 7.
    #[inline]
    fn room(&self) -> usize {
        (63 - self.count as usize) / 8
    }

    /// Takes so many of the next bytes.
    #[inline]
    fn take(&mut self, next: u64, taken: usize) {
        // Those of which there is room for a part only will come again, and change nothing.
        self.bits |= next >> self.count;
        self.count += taken as u32 * 8;
    }

    /// Looks up four times, where there are bits for that whatever is found: without asking what is.
    #[inline]
    fn read_four(&mut self, symbols: &mut [u8; SYMBOLS_MAX]) -> Result<usize, Error> {
        let mut found = Short::at(self.bits);
        if found.is_none() {
            found = long_code(self.bits)?;
            found.write_to(symbols, 0);
            self.skip(found);
            return Ok(found.count());
        }
        found.write_to(symbols, 0);
        let mut bits = self.bits << found.len();
        for _ in 1..4 {
            // One that is not short has no length and no symbols: it will come again.
            let short = Short::at(bits);
            short.write_to(symbols, found.count());
            bits <<= short.len();
            found = found.and(short);
        }
        self.skip(found);
        Ok(found.count())
    }

    /// Reads whatever is there in full.
    #[inline]
    fn read_all(&mut self, symbols: &mut [u8; SYMBOLS_MAX]) -> Result<usize, Error> {
        let mut at = 0;
        while self.count > 0 {
            let mut short = Short::at(self.bits);
            // Two, of which the second is not there in full? Then only the first, if that one is.
            if short.is_none() || short.len() > self.count {
                let (symbol, len) = CANON.first_code(self.bits);
                if len > self.count {
                    break;
                }
                if symbol == EOS {
                    return Err(Error::HuffmanEos);
                }
                short = Short::new([symbol as u8, 0], 1, len);
            }
            short.write_to(symbols, at);
            at += short.count();
            self.skip(short);
        }
        Ok(at)
    }

    #[inline]
    fn skip(&mut self, short: Short) {
        self.bits <<= short.len();
        self.count -= short.len();
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

/// One symbol or two with the length of their codes, in 32 bits: the length, how many symbols there are, and these.
/// Several may be added up: then the lengths are right, and the numbers, and the symbols are of no use.
#[derive(Clone, Copy)]
struct Short(u32);

impl Short {
    /// In place of a code that is not short.
    const NONE: Self = Self(0);

    const fn new(symbols: [u8; 2], count: u32, len: u32) -> Self {
        Self(len | count << 8 | (symbols[0] as u32) << 16 | (symbols[1] as u32) << 24)
    }

    /// What these bits begin with.
    #[inline]
    fn at(bits: u64) -> Self {
        SHORT[(bits >> (64 - LOOKUP_BITS)) as usize]
    }

    /// The sum of both.
    #[inline]
    const fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
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
        (self.0 >> 8 & 0xff) as usize
    }

    /// Writes both symbols, whether there are two or not.
    #[inline]
    fn write_to(self, out: &mut [u8; SYMBOLS_MAX], at: usize) {
        let at = at & 15;
        [out[at], out[at + 1]] = ((self.0 >> 16) as u16).to_le_bytes();
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

/// Up to seven bytes and zeros behind them.
#[inline]
fn next_bytes(input: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (input.first_chunk::<4>(), input.last_chunk::<4>()) {
        // What is in both of them is the same.
        let [first, last] = [first, last].map(|four| u64::from(u32::from_be_bytes(*four)));
        return first << 32 | last << ((8 - input.len()) * 8);
    }
    match *input {
        [a, b, c] => u64::from_be_bytes([a, b, c, 0, 0, 0, 0, 0]),
        [a, b] => u64::from_be_bytes([a, b, 0, 0, 0, 0, 0, 0]),
        [a] => u64::from(a) << 56,
        _ => 0,
    }
}
