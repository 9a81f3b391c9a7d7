//! Writes strings as Huffman codes, mostly eight symbols at a time.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tables with an entry for each byte; shifts and sums of at most 64 bits"
)]

use super::canon;

/// Symbols that are put together before anything is written.
const GROUP: usize = 8;
/// What a group's codes may have together, so that they fit behind the bits that are not a whole byte yet.
const GROUP_BITS_MAX: u32 = 56;

/// For each byte: its code, and below that 8 bits with the length of it.
static PACKED: [u64; 256] = {
    let (canon, mut table, mut at) = (canon(), [0; 256], 0);
    while at < table.len() {
        table[at] = (canon.codes[at].bits as u64) << 8 | canon.codes[at].len as u64;
        at += 1;
    }
    table
};

/// What is not a whole byte yet: the highest `count` bits, fewer than 8. The others are 0.
#[derive(Clone, Copy)]
struct Rest {
    bits: u64,
    count: u32,
}

impl Rest {
    /// Appends what are whole bytes with codes of at most [`GROUP_BITS_MAX`] bits, and of at least one.
    #[inline(always)]
    fn push(self, bits: u64, count: u32, out: &mut Vec<u8>) -> Self {
        let filled = self.count + count;
        let bits = self.bits | bits << (64 - filled);
        let end = out.len() + (filled / 8) as usize;
        out.extend_from_slice(&bits.to_be_bytes());
        out.truncate(end);
        Self { bits: bits << (filled & !7), count: filled & 7 }
    }

    #[inline(always)]
    fn push_group(self, text: &[u8], out: &mut Vec<u8>) -> Self {
        let (bits, count) = codes(text);
        if count <= GROUP_BITS_MAX { self.push(bits, count, out) } else { self.push_rare(text, out) }
    }

    /// A group whose codes are too long for one push.
    #[cold]
    #[inline(never)]
    fn push_rare(self, text: &[u8], out: &mut Vec<u8>) -> Self {
        text.iter().fold(self, |rest, byte| {
            let code = PACKED[usize::from(*byte)];
            rest.push(code >> 8, u32::from(code as u8), out)
        })
    }

    /// Ones behind the last code, up to a whole byte.
    #[inline]
    fn finish(self, out: &mut Vec<u8>) {
        if self.count > 0 {
            out.push((self.bits >> 56) as u8 | 0xff >> self.count);
        }
    }
}

/// The codes of at most [`GROUP`] bytes behind each other, and how many bits they are; of no use if that is more than 64.
#[inline(always)]
fn codes(text: &[u8]) -> (u64, u32) {
    let (mut bits, mut count) = (0_u64, 0_u64);
    for byte in text {
        let code = PACKED[usize::from(*byte)];
        count = count.wrapping_add(code);
        bits = bits.wrapping_shl(code as u32) | code >> 8;
    }
    (bits, u32::from(count as u8))
}

/// Appends the code of `text` if it has at most so many bytes; says whether it had. The bytes that are appended
/// otherwise are of no use.
#[inline]
pub(in crate::hpack) fn write(text: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> bool {
    let end_max = out.len().saturating_add(bytes_max);
    let mut rest = Rest { bits: 0, count: 0 };
    let (groups, last) = text.as_chunks::<GROUP>();
    for group in groups {
        rest = rest.push_group(group, out);
        if out.len() > end_max {
            return false;
        }
    }
    if !last.is_empty() {
        rest = rest.push_group(last, out);
    }
    rest.finish(out);
    out.len() <= end_max
}
