//! The Huffman code of strings (RFC 7541 §5.2, Appendix B), both ways.
//!
//! The code is canonical: symbols are numbered in the order of their lengths, and of their values where these are the
//! same. So the lengths say all, and every table here is made of them by the compiler.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tables indexed by as many bits as they have entries for; shifts and sums of at most 64 bits"
)]

mod reader;
mod writer;

pub(super) use reader::{Reader, decoded_bytes_max};
pub(super) use writer::write;

/// The bits of each symbol's code; the last one is of EOS.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, // 0x00
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, // 0x10
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, // 0x20
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, // 0x30
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // 0x40
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, // 0x50
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, // 0x60
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, // 0x70
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, // 0x80
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, // 0x90
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, // 0xa0
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, // 0xb0
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, // 0xc0
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, // 0xd0
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, // 0xe0
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, // 0xf0
    30,
];
const EOS: usize = 256;
/// The shortest code and the longest.
const LENGTH_MIN: u32 = 5;
const LENGTH_MAX: u32 = 30;

/// Symbols in the order of their codes, with the codes.
struct Canon {
    /// Code and length of each symbol.
    codes: [Code; 257],
    symbols: [u16; 257],
    /// For each length: beyond the last code of it, as the highest bits of 32; and what turns a code into its place
    /// among `symbols`. Of no code, for a length that none has.
    beyond: [u64; LENGTH_MAX as usize + 1],
    place: [u32; LENGTH_MAX as usize + 1],
}

#[derive(Clone, Copy)]
struct Code {
    bits: u32,
    len: u32,
}

const fn canon() -> Canon {
    let mut canon = Canon {
        codes: [Code { bits: 0, len: 0 }; 257],
        symbols: [0; 257],
        beyond: [0; LENGTH_MAX as usize + 1],
        place: [0; LENGTH_MAX as usize + 1],
    };
    let (mut code, mut placed, mut len) = (0_u32, 0_u32, 1_u32);
    while len <= LENGTH_MAX {
        code <<= 1;
        canon.place[len as usize] = placed.wrapping_sub(code);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as u32 == len {
                canon.codes[symbol] = Code { bits: code, len };
                canon.symbols[placed as usize] = symbol as u16;
                code += 1;
                placed += 1;
            }
            symbol += 1;
        }
        canon.beyond[len as usize] = (code as u64) << (32 - len);
        len += 1;
    }
    assert!(
        placed == 257 && code == 1 << LENGTH_MAX,
        "every symbol has a code, and every row of bits begins one"
    );
    canon
}

static CANON: Canon = canon();

impl Canon {
    /// The symbol whose code begins these bits, the highest first, and the length of the code.
    const fn first_code(&self, bits: u64) -> (usize, u32) {
        let (high, mut len) = (bits >> 32, LENGTH_MIN);
        // Every row of bits begins a code: at the latest, this stops at the longest.
        while high >= self.beyond[len as usize] && len < LENGTH_MAX {
            len += 1;
        }
        let place = ((high >> (32 - len)) as u32).wrapping_add(self.place[len as usize]);
        (self.symbols[place as usize] as usize, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpack::Error;
    use proptest::prelude::*;

    /// The list of Appendix B, as symbol, code and length.
    fn appendix_b() -> Vec<(usize, u32, u32)> {
        let lines = include_str!("appendix_b.txt").lines().filter(|line| !line.starts_with('#'));
        let entry = |line: &str| {
            let mut words = line.split(' ');
            let mut word = |radix| u32::from_str_radix(words.next().unwrap(), radix).unwrap();
            (word(10) as usize, word(16), word(10))
        };
        lines.map(entry).collect()
    }

    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        assert!(write(text, usize::MAX, &mut out));
        out.split_off(6)
    }

    /// In pieces of at most so many bytes.
    fn decoded(input: &[u8], by: usize) -> Result<Vec<u8>, Error> {
        let (mut reader, mut text) = (Reader::default(), Vec::new());
        for piece in input.chunks(by) {
            let mut out = vec![0; decoded_bytes_max(piece.len())];
            let written = reader.read(piece, &mut out)?;
            text.extend_from_slice(&out[..written]);
        }
        reader.finish()?;
        Ok(text)
    }

    /// Bit by bit, by the list alone.
    fn decoded_by_the_list(input: &[u8]) -> Result<Vec<u8>, Error> {
        let list = appendix_b();
        let (mut text, mut code, mut len) = (Vec::new(), 0_u32, 0);
        for bit in input.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
            (code, len) = (code << 1 | u32::from(bit), len + 1);
            if let Some((symbol, ..)) = list.iter().find(|(_, c, l)| (*c, *l) == (code, len)) {
                text.push(u8::try_from(*symbol).map_err(|_| Error::HuffmanEos)?);
                (code, len) = (0, 0);
            }
        }
        if code.count_ones() < len {
            return Err(Error::HuffmanPaddingNotOnes);
        }
        if len > 7 { Err(Error::HuffmanPaddingTooLong) } else { Ok(text) }
    }

    #[test]
    fn the_tables_say_what_appendix_b_says() {
        let list = appendix_b();
        assert_eq!(list.len(), 257);
        for (at, (symbol, code, len)) in list.into_iter().enumerate() {
            assert_eq!((at, CANON.codes[symbol].bits, CANON.codes[symbol].len), (symbol, code, len));
            assert_eq!(CANON.first_code(u64::from(code) << (64 - len)), (symbol, len));
        }
    }

    #[test]
    fn every_byte_and_every_pair_of_bytes_comes_back() {
        for first in 0..=255 {
            for second in 0..=255 {
                let text = [first, second];
                let input = encoded(&text);
                assert_eq!(decoded(&input, usize::MAX).unwrap(), text);
            }
            let input = encoded(&[first; 13]);
            (1..5).for_each(|by| assert_eq!(decoded(&input, by).unwrap(), [first; 13]));
        }
        assert_eq!((encoded(b""), decoded(b"", 1)), (vec![], Ok(vec![])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_by_the_list(
            input in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0xff), 0xf0_u8..], 0..40), by in 1_usize..41,
        ) {
            prop_assert_eq!(decoded(&input, by), decoded_by_the_list(&input));
        }

        #[test]
        fn any_text_comes_back(text in proptest::collection::vec(any::<u8>(), 0..60), by in 1_usize..41) {
            let bits: u32 = text.iter().map(|byte| CANON.codes[usize::from(*byte)].len).sum();
            let bytes = bits.div_ceil(8) as usize;
            prop_assert_eq!(encoded(&text).len(), bytes);
            prop_assert!(write(&text, bytes, &mut vec![]));
            prop_assert!(bytes == 0 || !write(&text, bytes - 1, &mut vec![]));
            prop_assert_eq!(decoded(&encoded(&text), by), Ok(text.clone()));
            prop_assert_eq!(decoded_by_the_list(&encoded(&text)), Ok(text));
        }
    }
}
