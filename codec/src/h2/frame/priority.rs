//! PRIORITY (RFC 9113 §6.3), which is deprecated and ignored, and PRIORITY_UPDATE (RFC 9218 §7.1).

use super::{Error, Frame, Head, Priority, STREAM_MAX, WRONG_SIZE};

/// Octets of a PRIORITY_UPDATE frame before its value.
pub(crate) const UPDATE_PREFIX: u32 = 4;
/// The longest value of a PRIORITY_UPDATE that is read: ten times what its two parameters need. A longer one says
/// nothing, as one that is malformed (RFC 9218 §4).
pub(crate) const UPDATE_VALUE_BYTES_MAX: u32 = 64;

/// A PRIORITY frame names a stream; a wrong length concerns that stream alone.
pub(crate) fn check(head: Head) -> Result<bool, Error> {
    Ok(head.on_stream()?.len == 5)
}

/// The header of a PRIORITY_UPDATE frame fits: how much of its payload is read.
pub(crate) fn check_update(head: Head) -> Result<u32, Error> {
    head.on_connection()?;
    match head.len.checked_sub(UPDATE_PREFIX) {
        None => Err(WRONG_SIZE),
        Some(len) if len > UPDATE_VALUE_BYTES_MAX => Ok(UPDATE_PREFIX),
        Some(_) => Ok(head.len),
    }
}

pub(crate) fn parse_update(payload: &[u8]) -> Frame {
    let (stream, value) = payload.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let stream = u32::from_be_bytes(*stream) & STREAM_MAX;
    Frame::PriorityUpdate { stream, priority: Priority::parse(value) }
}
