//! A piece of content, wherever its bytes lie.

use crate::io::{Buffer, Buffers};
use bytes::{Bytes, BytesMut};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// A piece of content: usually a slice of one of the lane's buffers, which goes back when this is dropped.
///
/// It can be changed in place, and shortened at either end:
///
/// ```
/// use corelane_engine::Chunk;
///
/// let mut chunk = Chunk::from("hello, world");
/// chunk.advance(7);
/// chunk.make_ascii_uppercase();
/// chunk.truncate(3);
/// assert_eq!(&*chunk, b"WOR");
/// ```
#[derive(Default)]
pub struct Chunk(Piece);

#[derive(Default)]
enum Piece {
    #[default]
    Empty,
    Pooled(Buffer, Buffers),
    Shared(Bytes),
    /// Shared bytes that have been changed.
    Owned(BytesMut),
}

impl Chunk {
    /// A piece in one of the lane's own buffers.
    pub(crate) fn pooled(buffer: Buffer, buffers: &Buffers) -> Self {
        Self(Piece::Pooled(buffer, buffers.clone()))
    }

    /// Drops `count` bytes from the front.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "a chunk of {} bytes cannot lose {count}", self.len());
        match &mut self.0 {
            Piece::Empty => {}
            Piece::Pooled(buffer, _) => buffer.consume(count),
            Piece::Shared(bytes) => drop(bytes.split_to(count)),
            Piece::Owned(bytes) => drop(bytes.split_to(count)),
        }
    }

    /// Keeps the first `len` bytes, if there are more.
    pub fn truncate(&mut self, len: usize) {
        match &mut self.0 {
            Piece::Empty => {}
            Piece::Pooled(buffer, _) => buffer.keep(0..len.min(buffer.len())),
            Piece::Shared(bytes) => bytes.truncate(len),
            Piece::Owned(bytes) => bytes.truncate(len),
        }
    }

    /// The bytes, to keep or to send to another thread. This copies what is in a lane's buffer.
    pub fn into_shared(mut self) -> Bytes {
        match std::mem::take(&mut self.0) {
            Piece::Empty => Bytes::new(),
            Piece::Shared(bytes) => bytes,
            Piece::Owned(bytes) => bytes.freeze(),
            Piece::Pooled(buffer, buffers) => {
                let bytes = Bytes::copy_from_slice(buffer.as_slice());
                buffers.give(buffer);
                bytes
            }
        }
    }

    /// Takes what fits into one send off its front. What lies in a buffer of the lane's is never more.
    pub(crate) fn split_front(&mut self, bytes_max: usize) -> Self {
        match &mut self.0 {
            Piece::Shared(bytes) if bytes.len() > bytes_max => Self(Piece::Shared(bytes.split_to(bytes_max))),
            Piece::Owned(bytes) if bytes.len() > bytes_max => Self(Piece::Owned(bytes.split_to(bytes_max))),
            _ => std::mem::take(self),
        }
    }

    /// The piece in a buffer with room around it; what is not in one yet is copied into one of `buffers`.
    pub(crate) fn into_buffer(mut self, buffers: &Buffers) -> Buffer {
        match std::mem::take(&mut self.0) {
            Piece::Pooled(buffer, _) => buffer,
            piece => {
                let mut buffer = buffers.take();
                buffer.append(&Self(piece));
                buffer
            }
        }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Piece::Empty => &[],
            Piece::Pooled(buffer, _) => buffer.as_slice(),
            Piece::Shared(bytes) => bytes,
            Piece::Owned(bytes) => bytes,
        }
    }
}

impl DerefMut for Chunk {
    /// The bytes, to change in place; those that somebody else has too are copied first.
    fn deref_mut(&mut self) -> &mut [u8] {
        if let Piece::Shared(bytes) = &mut self.0 {
            let own = std::mem::take(bytes).try_into_mut();
            self.0 = Piece::Owned(own.unwrap_or_else(|shared| BytesMut::from(&*shared)));
        }
        match &mut self.0 {
            Piece::Empty | Piece::Shared(_) => &mut [],
            Piece::Pooled(buffer, _) => buffer.as_mut_slice(),
            Piece::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self(Piece::Shared(bytes))
    }
}

impl From<BytesMut> for Chunk {
    fn from(bytes: BytesMut) -> Self {
        Self(Piece::Owned(bytes))
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Chunk {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Chunk {
    fn from(text: &'static str) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static [u8]> for Chunk {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from(bytes).into()
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Piece::Pooled(buffer, buffers) = std::mem::take(&mut self.0) {
            buffers.give(buffer);
        }
    }
}
