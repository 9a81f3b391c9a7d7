//! Where the strings of a literal field are put together, whatever pieces they come in.
#![allow(clippy::arithmetic_side_effects, reason = "sums of lengths of what is in memory")]

use super::Error;
use super::huffman::{self, Reader};
use crate::growth::make_room;

/// Octets that are decoded at once, so that a string is not decoded far beyond what it may have.
const PIECE_BYTES: usize = 512;
/// What is allocated at least.
const BYTES_MIN: usize = 256;
/// A piece that is decoded is kept or not once it is here.
pub(super) const SPARE_BYTES: usize = huffman::decoded_bytes_max(PIECE_BYTES);

/// Bytes in a buffer that grows with what has really come, never with what was announced.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The first `used` are in use; the others are there to be written to.
    bytes: Vec<u8>,
    used: usize,
    /// So many are kept.
    bytes_max: usize,
}

impl Scratch {
    /// Begins with nothing; so many bytes will be kept at most.
    pub(super) fn begin(&mut self, bytes_max: usize) {
        (self.used, self.bytes_max) = (0, bytes_max);
    }

    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// Gives the memory back.
    pub(super) fn shrink(&mut self) {
        *self = Self::default();
    }

    /// What was put here since it was cleared.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends bytes as they are.
    pub(super) fn push(&mut self, input: &[u8]) {
        self.room(input.len()).copy_from_slice(input);
        self.used += input.len();
    }

    /// Appends what a piece of a Huffman-coded string becomes, unless it makes it longer than `bytes_max`: then nothing
    /// is kept, and only the code is checked. Gives the number of bytes that were decoded, kept or not.
    pub(super) fn push_decoded(
        &mut self,
        huffman: &mut Reader,
        input: &[u8],
        bytes_max: usize,
    ) -> Result<Kept, Error> {
        let (mut decoded, mut all, mut rest) = (0, true, input);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at_checked(PIECE_BYTES).unwrap_or((rest, &[]));
            if !all {
                self.used = 0;
            }
            let room = self.room(huffman::decoded_bytes_max(piece.len()));
            let written = huffman.read(piece, room)?;
            decoded += written;
            self.used += written;
            all = all && self.used <= bytes_max;
            rest = behind;
        }
        Ok(Kept { decoded, all })
    }

    /// Room for so many more.
    #[inline]
    fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.used + len;
        if end > self.bytes.len() {
            self.grow(end);
        }
        self.bytes.get_mut(self.used..end).unwrap_or_default()
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        let more = end.max(BYTES_MIN) - self.bytes.len();
        make_room(&mut self.bytes, more, self.bytes_max.saturating_add(SPARE_BYTES));
        self.bytes.resize(self.bytes.capacity(), 0);
    }
}

/// What became of a piece.
pub(super) struct Kept {
    /// Bytes that it was decoded to.
    pub(super) decoded: usize,
    /// They are all here, and whatever was here before.
    pub(super) all: bool,
}
