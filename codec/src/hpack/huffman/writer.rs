//! Writes strings as Huffman codes, mostly four symbols at a time.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a table with an entry for each byte; shifts and sums of at most 64 bits"
)]

use super::canon;

/// For each byte: its code, and below that 8 bits with the length of it.
static PACKED: [u64; 256] = {
    let (canon, mut table, mut at) = (canon(), [0; 256], 0);
    while at < table.len() {
        table[at] = (canon.codes[at].bits as u64) << 8 | canon.codes[at].len as u64;
        at += 1;
    }
    table
};

/// Appends codes to a buffer.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// The lowest `count` are to be written, fewer than 32 between two calls; what is above them has been.
    bits: u64,
    count: u32,
}

impl Writer<'_> {
    /// Codes of at most 32 bits together.
    #[inline]
    fn push(&mut self, bits: u64, count: u32) {
        self.bits = self.bits << count | bits;
        self.count += count;
        if self.count >= 32 {
            self.count -= 32;
            self.out.extend_from_slice(&((self.bits >> self.count) as u32).to_be_bytes());
        }
    }

    #[inline]
    fn push_each(&mut self, text: &[u8]) {
        for byte in text {
            let code = PACKED[usize::from(*byte)];
            self.push(code >> 8, u32::from(code as u8));
        }
    }

    /// Ones behind the last code, up to a whole byte.
    #[inline]
    fn finish(self) {
        let last = (self.bits << (32 - self.count)) as u32 | u32::MAX >> self.count;
        self.out.extend_from_slice(&last.to_be_bytes()[..self.count.div_ceil(8) as usize]);
    }
}

/// Appends the code of `text` if it has at most so many bytes; says whether it had. The bytes that are appended
/// otherwise are of no use.
#[inline]
pub(in crate::hpack) fn write(text: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> bool {
    let end_max = out.len().saturating_add(bytes_max);
    let mut writer = Writer { out, bits: 0, count: 0 };
    let (fours, rest) = text.as_chunks::<4>();
    for four in fours {
        let codes = four.map(|byte| PACKED[usize::from(byte)]);
        let bits = codes.iter().fold(0_u64, |bits, code| bits.wrapping_shl(*code as u32) | code >> 8);
        let count = codes.iter().sum::<u64>() as u8;
        if count <= 32 {
            writer.push(bits, u32::from(count));
        } else {
            writer.push_each(four);
        }
        if writer.out.len() > end_max {
            return false;
        }
    }
    writer.push_each(rest);
    writer.finish();
    out.len() <= end_max
}
