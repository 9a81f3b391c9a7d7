//! The small frames: RST_STREAM (RFC 9113 §6.4), PING (§6.7), GOAWAY (§6.8) and WINDOW_UPDATE (§6.9).

use super::{ACK, Code, Error, Frame, Head, STREAM_MAX, WRONG_SIZE, kind};

/// Octets of a GOAWAY frame before its debug data.
pub(crate) const GOAWAY_PREFIX: u32 = 8;

/// The header of a RST_STREAM frame fits.
pub(crate) fn check_reset(head: Head) -> Result<(), Error> {
    head.on_stream()?.of_len(4).map(|_| ())
}

/// The header of a PING frame fits.
pub(crate) fn check_ping(head: Head) -> Result<(), Error> {
    head.on_connection()?.of_len(8).map(|_| ())
}

/// The header of a WINDOW_UPDATE frame fits. It may concern a stream or the connection.
pub(crate) fn check_window_update(head: Head) -> Result<(), Error> {
    head.of_len(4).map(|_| ())
}

/// The header of a GOAWAY frame fits.
pub(crate) fn check_go_away(head: Head) -> Result<(), Error> {
    head.on_connection()?;
    if head.len < GOAWAY_PREFIX { Err(WRONG_SIZE) } else { Ok(()) }
}

pub(crate) fn parse_reset(head: Head, payload: &[u8]) -> Frame {
    Frame::Reset { stream: head.stream, code: Code(number(payload)) }
}

pub(crate) fn parse_ping(head: Head, payload: &[u8]) -> Frame {
    Frame::Ping { ack: head.has(ACK), data: payload.first_chunk().copied().unwrap_or_default() }
}

pub(crate) fn parse_window_update(head: Head, payload: &[u8]) -> Frame {
    Frame::WindowUpdate { stream: head.stream, increment: number(payload) & STREAM_MAX }
}

pub(crate) fn parse_go_away(payload: &[u8]) -> Frame {
    let code = Code(number(payload.get(4..).unwrap_or_default()));
    Frame::GoAway { last: number(payload) & STREAM_MAX, code }
}

pub(crate) fn reset(stream: u32, code: Code, out: &mut Vec<u8>) {
    out.extend_from_slice(&Head::new(4, kind::RST_STREAM, 0, stream).to_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
}

pub(crate) fn ping(ack: bool, data: [u8; 8], out: &mut Vec<u8>) {
    out.extend_from_slice(&Head::new(8, kind::PING, if ack { ACK } else { 0 }, 0).to_bytes());
    out.extend_from_slice(&data);
}

pub(crate) fn window_update(stream: u32, increment: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&Head::new(4, kind::WINDOW_UPDATE, 0, stream).to_bytes());
    out.extend_from_slice(&increment.to_be_bytes());
}

pub(crate) fn go_away(last: u32, code: Code, out: &mut Vec<u8>) {
    out.extend_from_slice(&Head::new(GOAWAY_PREFIX, kind::GOAWAY, 0, 0).to_bytes());
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// The first four octets.
fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload.first_chunk().copied().unwrap_or_default())
}
