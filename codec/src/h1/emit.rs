//! Messages as bytes. Everything is appended to the caller's buffer; nothing is formatted.

use crate::fields::Known;
use crate::{Fields, Length};
use http::StatusCode;

/// `HTTP/1.1 200 OK`. A status that has no canonical reason has none here, but keeps the space (RFC 9112 §4).
pub(crate) fn status_line(status: StatusCode, out: &mut Vec<u8>) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The fields that go end to end: what an application put there that concerns one connection, or the framing, is
/// not for it to say.
pub(crate) fn fields(fields: &Fields, out: &mut Vec<u8>) {
    fields.write_h1_if(out, |known| !known.is_of_connection());
}

/// `Content-Length` or `Transfer-Encoding`, or nothing where the content needs none.
pub(crate) fn framing(length: Length, out: &mut Vec<u8>) {
    match length {
        Length::None | Length::UntilClose => {}
        Length::Known(length) => {
            let mut digits = [0; 20];
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(decimal(length, &mut digits));
            out.extend_from_slice(b"\r\n");
        }
        Length::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

/// The last chunk and the trailer section (RFC 9112 §7.1.2).
pub(crate) fn last_chunk(trailers: Option<&Fields>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        trailers.write_h1_if(out, Known::may_trail);
    }
    out.extend_from_slice(b"\r\n");
}

/// A number in decimal digits, written into the end of `buffer`.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a u64 has at most 20 decimal digits"
)]
pub(crate) fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[at..];
        }
    }
}

/// Writes `len` in hexadecimal digits and CRLF to the start of `buffer`; gives how many bytes that is.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a u64 has at most 16 hexadecimal digits"
)]
pub(crate) fn chunk_size(len: u64, buffer: &mut [u8; 18]) -> u8 {
    let digits = (u64::BITS - (len | 1).leading_zeros()).div_ceil(4) as usize;
    for (i, byte) in buffer[..digits].iter_mut().enumerate() {
        *byte = b"0123456789abcdef"[(len >> (4 * (digits - 1 - i)) & 15) as usize];
    }
    buffer[digits..digits + 2].copy_from_slice(b"\r\n");
    digits as u8 + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_like_the_standard_library_does() {
        for n in [0, 1, 9, 10, 15, 16, 255, 256, 4095, 4096, 65_535, 1 << 32, u64::MAX - 1, u64::MAX] {
            assert_eq!(decimal(n, &mut [0; 20]), n.to_string().as_bytes());
            let mut buffer = [0; 18];
            let len = chunk_size(n, &mut buffer);
            assert_eq!(&buffer[..usize::from(len)], format!("{n:x}\r\n").as_bytes());
        }
    }
}
