//! DATA (RFC 9113 §6.1).

use super::{BAD_PADDING, END_STREAM, Error, HEAD_BYTES, Head, PADDED, WRONG_SIZE, kind};

/// What stands before the content of a DATA frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) stream: u32,
    /// Octets of content.
    pub(crate) content_len: u32,
    /// Octets of padding and of the field that says how many there are: flow control counts them, too.
    pub(crate) overhead_len: u32,
    /// Octets of padding behind the content.
    pub(crate) padding_len: u32,
    pub(crate) end_stream: bool,
}

impl Data {
    /// Octets of the payload before the content.
    pub(crate) fn prefix_len(head: Head) -> Result<u32, Error> {
        let len = u32::from(head.has(PADDED));
        head.on_stream()?;
        if head.len < len { Err(WRONG_SIZE) } else { Ok(len) }
    }

    /// `prefix` has the length that was asked for.
    pub(crate) fn parse(head: Head, prefix: &[u8]) -> Result<Self, Error> {
        let padding_len = prefix.first().map_or(0, |len| u32::from(*len));
        let overhead_len = padding_len.saturating_add(u32::from(head.has(PADDED)));
        // Padding as long as the payload leaves no place for its own length.
        let content_len = head.len.checked_sub(overhead_len).ok_or(BAD_PADDING)?;
        let end_stream = head.has(END_STREAM);
        Ok(Self { stream: head.stream, content_len, overhead_len, padding_len, end_stream })
    }

    /// What flow control counts: the whole payload (RFC 9113 §6.1).
    pub(crate) fn flow_len(&self) -> u32 {
        self.content_len.saturating_add(self.overhead_len)
    }
}

/// The header of a DATA frame of `len` octets without padding.
pub(crate) const fn head(stream: u32, len: u32, end_stream: bool) -> [u8; HEAD_BYTES] {
    Head::new(len, kind::DATA, if end_stream { END_STREAM } else { 0 }, stream).to_bytes()
}
