//! Every limit of a message, with its unit in its name and its default; and what is done where a message is legal and
//! yet dangerous.

use crate::Kind;
use crate::fields::{Known, LONGEST_NAME};

/// What a peer may make us hold or do. Each is checked before anything is allocated for it.
///
/// The defaults are safe to face the internet with. Raising one raises what a single connection may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Request line, without its CRLF. Beyond it: 414 (RFC 9112 §3). Default 8 KiB.
    pub request_line_bytes_max: usize,
    /// Method token. Beyond it: 400. Default 32.
    pub method_bytes_max: usize,
    /// Head of a request, start line included. Beyond it: 431 (RFC 6585 §5). Default 32 KiB.
    pub request_head_bytes_max: usize,
    /// Fields in a request's head. Beyond it: 431. Default 128.
    pub request_fields_max: usize,
    /// Head of a response, status line included. Beyond it: 502. Default 64 KiB.
    pub response_head_bytes_max: usize,
    /// Fields in a response's head. Beyond it: 502. Default 256.
    pub response_fields_max: usize,
    /// Trailer section. Beyond it: 431, or an abort once forwarding has begun. Default 4 KiB.
    pub trailer_bytes_max: usize,
    /// Fields in a trailer section. Default 16.
    pub trailer_fields_max: usize,
    /// Chunk extensions of one message: this many bytes …  Default 1 KiB.
    pub chunk_extension_bytes_max: u64,
    /// … and this many more for each chunk that has come so far. Default 16.
    pub chunk_extension_bytes_per_chunk: u64,
    /// Interim (1xx) responses before the final one. Beyond it: 502. Default 16.
    pub interim_responses_max: u32,
    /// Empty lines ignored before a request line (RFC 9112 §2.2). Default 2.
    pub leading_empty_lines_max: u32,
    /// What becomes of fields of a request, trailers among them, that have an underscore in their name. Default
    /// [`Underscores::Reject`].
    pub underscores: Underscores,
}

/// What becomes of a request's fields that have an underscore in their name. Gateways to CGI take it for a hyphen: what
/// is `Content_Length` to one is `Content-Length` to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Underscores {
    /// The request is refused: 400.
    #[default]
    Reject,
    /// They go no further.
    Drop,
    /// They are fields like others. Only what with hyphens would frame a message, or be a field that we write ourselves,
    /// is still refused: `Content_Length`, `X_Forwarded_For`.
    Pass,
}

impl Underscores {
    /// Whether a field of a request goes on. No name that is known has an underscore.
    pub(crate) fn admit(self, name: &[u8], known: Known) -> Result<bool, Kind> {
        if known != Known::Other || !name.contains(&b'_') {
            return Ok(true);
        }
        match self {
            Self::Drop => Ok(false),
            Self::Pass if !poses_as_ours(name) => Ok(true),
            Self::Reject | Self::Pass => Err(Kind::FieldUnderscore),
        }
    }
}

/// Whether a name is, to a reader that takes underscores for hyphens, one that frames a message or that we write.
fn poses_as_ours(name: &[u8]) -> bool {
    let mut hyphened = [0; LONGEST_NAME];
    // What is longer than any name that is known poses as none.
    let Some(hyphened) = hyphened.get_mut(..name.len()) else { return false };
    for (to, byte) in hyphened.iter_mut().zip(name) {
        *to = if *byte == b'_' { b'-' } else { *byte };
    }
    let known = Known::of(hyphened);
    known.is_of_connection() || known == Known::Host || known.is_ours()
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes_max: 8 << 10,
            method_bytes_max: 32,
            request_head_bytes_max: 32 << 10,
            request_fields_max: 128,
            response_head_bytes_max: 64 << 10,
            response_fields_max: 256,
            trailer_bytes_max: 4 << 10,
            trailer_fields_max: 16,
            chunk_extension_bytes_max: 1 << 10,
            chunk_extension_bytes_per_chunk: 16,
            interim_responses_max: 16,
            leading_empty_lines_max: 2,
            underscores: Underscores::Reject,
        }
    }
}
