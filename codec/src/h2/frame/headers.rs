//! HEADERS (RFC 9113 §6.2) and CONTINUATION (§6.10).

use super::{
    BAD_PADDING, END_HEADERS, END_STREAM, Error, HEAD_BYTES, Head, PADDED, PRIORITY, WRONG_SIZE, kind,
};

/// What stands before the field block of a HEADERS frame. Its deprecated priority is skipped (RFC 9113 §5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Headers {
    pub(crate) stream: u32,
    /// Octets of the field block's first fragment.
    pub(crate) fragment_len: u32,
    pub(crate) padding_len: u32,
    pub(crate) end_stream: bool,
    pub(crate) end_headers: bool,
}

impl Headers {
    /// Octets of the payload before the fragment: the length of the padding, and the priority.
    pub(crate) fn prefix_len(head: Head) -> Result<u32, Error> {
        let len = u32::from(head.has(PADDED)).saturating_add(if head.has(PRIORITY) { 5 } else { 0 });
        head.on_stream()?;
        if head.len < len { Err(WRONG_SIZE) } else { Ok(len) }
    }

    /// `prefix` has the length that was asked for.
    pub(crate) fn parse(head: Head, prefix: &[u8]) -> Result<Self, Error> {
        let padding_len = match prefix.first() {
            Some(len) if head.has(PADDED) => u32::from(*len),
            _ => 0,
        };
        let prefix_len = u32::try_from(prefix.len()).unwrap_or(u32::MAX);
        let around_len = padding_len.saturating_add(prefix_len);
        Ok(Self {
            stream: head.stream,
            fragment_len: head.len.checked_sub(around_len).ok_or(BAD_PADDING)?,
            padding_len,
            end_stream: head.has(END_STREAM),
            end_headers: head.has(END_HEADERS),
        })
    }
}

/// What a CONTINUATION frame says beside its fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Continuation {
    pub(crate) stream: u32,
    pub(crate) fragment_len: u32,
    pub(crate) end_headers: bool,
}

impl Continuation {
    pub(crate) fn parse(head: Head) -> Result<Self, Error> {
        head.on_stream()?;
        Ok(Self { stream: head.stream, fragment_len: head.len, end_headers: head.has(END_HEADERS) })
    }
}

/// Makes frames of a field block that stands in `out` from `start` on, behind room for one header: HEADERS, and
/// CONTINUATION for what is longer than `payload_bytes_max`.
pub(crate) fn wrap(out: &mut Vec<u8>, start: usize, payload_bytes_max: usize, stream: u32, end_stream: bool) {
    let block_start = start.saturating_add(HEAD_BYTES);
    let block_len = out.len().saturating_sub(block_start);
    let flags = if end_stream { END_STREAM } else { 0 };
    if block_len <= payload_bytes_max {
        let head = Head::new(small(block_len), kind::HEADERS, flags | END_HEADERS, stream);
        write_at(out, start, head);
        return;
    }
    let rest = out.split_off(block_start.saturating_add(payload_bytes_max));
    write_at(out, start, Head::new(small(payload_bytes_max), kind::HEADERS, flags, stream));
    let mut fragments = rest.chunks(payload_bytes_max.max(1)).peekable();
    while let Some(fragment) = fragments.next() {
        let flags = if fragments.peek().is_none() { END_HEADERS } else { 0 };
        let head = Head::new(small(fragment.len()), kind::CONTINUATION, flags, stream);
        out.extend_from_slice(&head.to_bytes());
        out.extend_from_slice(fragment);
    }
}

fn write_at(out: &mut [u8], start: usize, head: Head) {
    let room = out.get_mut(start..).and_then(|out| out.first_chunk_mut());
    *room.expect("the caller left room for a header") = head.to_bytes();
}

fn small(len: usize) -> u32 {
    u32::try_from(len).expect("a frame is shorter than 2^24")
}
