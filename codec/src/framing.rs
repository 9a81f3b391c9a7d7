//! Where a message ends (RFC 9112 §6.3): one function for requests, one for responses.

use crate::grammar::{is_token, trim};
use crate::{Error, Kind, Version};
use http::StatusCode;

/// How long the content of a message is, or how its end is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// There is no content.
    None,
    /// So many bytes, known beforehand.
    Known(u64),
    /// Unknown beforehand; the end is marked (`chunked`).
    Chunked,
    /// Unknown beforehand; the end of the connection is the end of the content. Responses only.
    UntilClose,
}

impl Length {
    /// Whether no byte of content can follow.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Known(0))
    }
}

/// What the `Transfer-Encoding` fields of a message say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransferEncoding {
    /// There is none.
    #[default]
    Absent,
    /// `chunked`, once, and nothing else.
    Chunked,
    /// Other codings only, so far: unless `chunked` follows, there is no way to find the end.
    Others,
    /// Other codings, and then `chunked`.
    OthersAndChunked,
    /// Not a list of codings, or one with something after `chunked`.
    Malformed,
}

impl TransferEncoding {
    /// Takes the value of one more field line into account. Empty members, parameters and repetitions of `chunked`
    /// are malformed: other parsers read them otherwise (RFC 9112 §6.1, §7).
    #[must_use]
    pub fn and(self, value: &[u8]) -> Self {
        value.split(|b| *b == b',').fold(self, |so_far, coding| {
            let coding = trim(coding);
            let chunked = coding.eq_ignore_ascii_case(b"chunked");
            match so_far {
                _ if !is_token(coding) => Self::Malformed,
                Self::Absent if chunked => Self::Chunked,
                Self::Others if chunked => Self::OthersAndChunked,
                Self::Absent | Self::Others => Self::Others,
                Self::Chunked | Self::OthersAndChunked | Self::Malformed => Self::Malformed,
            }
        })
    }
}

/// The value of a `Content-Length` field: digits, and nothing but digits, of a number below 2^63 (RFC 9110 §8.6).
/// A list, even of equal numbers, is refused.
pub fn content_length(value: &[u8]) -> Result<u64, Error> {
    const DIGITS_MAX: usize = 32;
    let malformed = Error::peer(Kind::ContentLength);
    if value.is_empty() || value.len() > DIGITS_MAX {
        return Err(malformed);
    }
    let mut length: u64 = 0;
    for byte in value {
        if !byte.is_ascii_digit() {
            return Err(malformed);
        }
        let digit = u64::from(byte.wrapping_sub(b'0'));
        length = length.checked_mul(10).and_then(|l| l.checked_add(digit)).ok_or(malformed)?;
    }
    if length > i64::MAX.unsigned_abs() { Err(malformed) } else { Ok(length) }
}

/// The length of a request's content (RFC 9112 §6.3). It is never found by the end of the connection.
pub fn request(
    version: Version,
    content_length: Option<u64>,
    transfer_encoding: TransferEncoding,
) -> Result<Length, Error> {
    declared(version, content_length, transfer_encoding).map(|length| length.unwrap_or(Length::None))
}

/// The length of a response's content (RFC 9112 §6.3), given whether it answers a `HEAD`.
///
/// What must have no content has none here, whatever it declares; `None` where nothing may follow at all.
pub fn response(
    version: Version,
    status: StatusCode,
    answers_head: bool,
    content_length: Option<u64>,
    transfer_encoding: TransferEncoding,
) -> Result<Length, Error> {
    let declared = declared(version, content_length, transfer_encoding)?;
    if answers_head || has_no_content(status) {
        return Ok(Length::None);
    }
    Ok(declared.unwrap_or(Length::UntilClose))
}

/// Whether a response with this status never has content (RFC 9110 §6.4.1, §15.3.6).
pub(crate) fn has_no_content(status: StatusCode) -> bool {
    status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

fn declared(
    version: Version,
    content_length: Option<u64>,
    transfer_encoding: TransferEncoding,
) -> Result<Option<Length>, Error> {
    let fault = match (transfer_encoding, content_length) {
        (TransferEncoding::Absent, length) => return Ok(length.map(Length::Known)),
        _ if version == Version::Http10 => Kind::TransferEncodingInHttp10,
        (_, Some(_)) => Kind::ContentLengthAndTransferEncoding,
        (TransferEncoding::Chunked, None) => return Ok(Some(Length::Chunked)),
        (TransferEncoding::OthersAndChunked, None) => Kind::TransferCoding,
        (TransferEncoding::Others | TransferEncoding::Malformed, None) => Kind::TransferEncoding,
    };
    Err(Error::peer(fault))
}
