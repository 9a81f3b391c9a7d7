//! The lane's buffers: content is received into one and sent from the same one.

use crate::kept::Free;
use std::{ops::Range, rc::Rc};

/// Room kept free before what is received, so that a rewritten head or a chunk-size line can be put in front of the
/// content without moving it. A proxied request's head grows by about 300 bytes.
pub(crate) const HEADROOM_BYTES: usize = 512;
/// Room kept free after it: CRLF, the last chunk and an empty trailer section.
pub(crate) const TAILROOM_BYTES: usize = 16;
/// The capacity of a pooled buffer. What is not written to costs no memory.
pub(crate) const BUFFER_BYTES: usize = 32 << 10;
/// What fits into a pooled buffer.
pub(crate) const ROOM_BYTES: usize = BUFFER_BYTES - HEADROOM_BYTES - TAILROOM_BYTES;
/// Buffers that a lane keeps for reuse: 16 MiB.
const KEPT_BUFFERS_MAX: usize = 512;

/// Bytes on their way: `start..end` of a vector that is never moved.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn with_capacity(capacity: usize) -> Self {
        let mut buffer = Self { bytes: Vec::with_capacity(capacity), start: 0 };
        buffer.clear();
        buffer
    }

    /// Empties it, with the headroom in front.
    pub(crate) fn clear(&mut self) {
        // Almost always a truncation: what stands in the headroom does not matter.
        self.bytes.resize(HEADROOM_BYTES, 0);
        self.start = HEADROOM_BYTES;
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The same, to change in place.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// How much can still be received.
    pub(crate) fn room(&self) -> usize {
        self.bytes.capacity().saturating_sub(TAILROOM_BYTES).saturating_sub(self.bytes.len())
    }

    /// Drops `count` bytes from the front.
    pub(crate) fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "consumed more than there is");
        self.start += count;
    }

    /// Keeps `range` (relative to the content) and drops the rest.
    pub(crate) fn keep(&mut self, range: Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.len(), "kept more than there is");
        self.bytes.truncate(self.start + range.end);
        self.start += range.start;
    }

    /// Moves `from` (relative to the content) down to `to`: pieces of content that framing had torn apart.
    pub(crate) fn move_down(&mut self, from: Range<usize>, to: usize) {
        self.bytes.copy_within(self.start + from.start..self.start + from.end, self.start + to);
    }

    /// Puts `before` in front; `false` (and nothing done) when there is no room.
    pub(crate) fn prepend(&mut self, before: &[u8]) -> bool {
        let Some(start) = self.start.checked_sub(before.len()) else { return false };
        self.bytes[start..self.start].copy_from_slice(before);
        self.start = start;
        true
    }

    pub(crate) fn append(&mut self, after: &[u8]) {
        self.bytes.extend_from_slice(after);
    }

    /// The vector, to append to.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Makes room for more of a head: by moving it into a fresh buffer, if what was consumed before it takes the room,
    /// or into a larger one, if it does not fit.
    pub(crate) fn make_room(&mut self, buffers: &Buffers) {
        let mut roomier = if self.len() < BUFFER_BYTES / 2 {
            buffers.take()
        } else {
            Self::with_capacity(self.bytes.capacity() * 2)
        };
        roomier.append(self.as_slice());
        buffers.give(std::mem::replace(self, roomier));
    }
}

/// The buffers that no one needs at the moment.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Rc<Free<Buffer, KEPT_BUFFERS_MAX>>);

impl Buffers {
    pub(crate) fn take(&self) -> Buffer {
        self.0.take().unwrap_or_else(|| Buffer::with_capacity(BUFFER_BYTES))
    }

    pub(crate) fn give(&self, mut buffer: Buffer) {
        // One that had to grow for a large head, or was made to measure, is not worth keeping.
        if buffer.bytes.capacity() == BUFFER_BYTES {
            buffer.clear();
            self.0.give(buffer);
        }
    }

    pub(crate) fn kept(&self) -> usize {
        self.0.len()
    }

    /// Frees all but `keep`; says how many went.
    pub(crate) fn shrink(&self, keep: usize) -> usize {
        self.0.shrink(keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_goes_around_content_without_moving_it() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.append(b"head|content|next");
        buffer.consume(5);
        let at = buffer.as_slice().as_ptr();
        buffer.keep(0..7);
        assert!(buffer.prepend(b"7\r\n"));
        buffer.append(b"\r\n");
        assert_eq!(buffer.as_slice(), b"7\r\ncontent\r\n");
        assert_eq!(buffer.as_slice()[3..].as_ptr(), at);
        assert!(!buffer.prepend(&[0; HEADROOM_BYTES + 64]), "no room must be said, not made");
    }

    #[test]
    fn a_head_behind_others_is_moved_and_needs_no_more_memory() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        let room = buffer.room();
        buffer.append(&vec![b'x'; room]);
        buffer.consume(room - 3);
        buffer.make_room(&buffers);
        assert_eq!((buffer.as_slice(), buffer.room()), (&b"xxx"[..], room - 3));
    }

    #[test]
    fn only_buffers_of_the_usual_size_are_kept() {
        let buffers = Buffers::default();
        let mut large = buffers.take();
        let content = vec![b'x'; large.room()];
        large.append(&content);
        large.make_room(&buffers);
        assert_eq!(large.as_slice(), content);
        assert!(large.room() >= BUFFER_BYTES / 2);
        assert_eq!(buffers.shrink(0), 1, "the one that was too small is free again");
        buffers.give(large);
        assert_eq!(buffers.kept(), 0);
        buffers.give(buffers.take());
        assert_eq!(buffers.kept(), 1);
        assert_eq!(buffers.shrink(0), 1);
    }
}
