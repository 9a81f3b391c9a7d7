//! Errors as data: who is to blame, how far the damage goes, and what exactly was wrong.

use http::StatusCode;

/// Something that could not be understood, or would not be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// Whose fault it is.
    pub blame: Blame,
    /// What can no longer be used.
    pub scope: Scope,
    /// What was wrong.
    pub kind: Kind,
}

/// Whose fault an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The other side sent what it must not send, or not what it must.
    Peer,
    /// This side was asked to send what must not be sent.
    Us,
}

/// How far the damage of an [`Error`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One exchange; the connection can go on.
    Stream,
    /// The connection: its framing is lost, nothing more may be read from it.
    Connection,
}

impl Error {
    /// The peer broke the connection's framing or grammar.
    pub const fn peer(kind: Kind) -> Self {
        Self { blame: Blame::Peer, scope: Scope::Connection, kind }
    }

    /// We were asked to send something that must not be sent.
    pub const fn us(kind: Kind) -> Self {
        Self { blame: Blame::Us, scope: Scope::Connection, kind }
    }

    /// The status that answers a request with this error.
    pub const fn status(&self) -> StatusCode {
        self.kind.status()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.as_str())
    }
}

impl std::error::Error for Error {}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $text:literal;)*) => {
        /// What was wrong with a message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind, for tables of counters.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The status that answers a request with this fault. A response with it is always a 502.
            pub const fn status(self) -> StatusCode {
                match self { $(Kind::$name => StatusCode::$status,)* }
            }

            /// One line for people: what was wrong.
            pub const fn as_str(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// A CR that no LF follows (RFC 9112 §2.2).
    BareCr = BAD_REQUEST, "bare CR in the head";
    /// An LF that no CR precedes (RFC 9112 §2.2).
    BareLf = BAD_REQUEST, "bare LF in the head";
    /// A NUL byte.
    Nul = BAD_REQUEST, "NUL in the head";
    /// More empty lines before a request line than are ignored (RFC 9112 §2.2).
    EmptyLines = BAD_REQUEST, "too many empty lines before the request line";
    /// The request line is not `method SP target SP version` (RFC 9112 §3).
    RequestLine = BAD_REQUEST, "malformed request line";
    /// The method is not a token, or is too long (RFC 9110 §9.1).
    Method = BAD_REQUEST, "malformed method";
    /// The target has a byte that must be percent-encoded, or a form that does not suit the method (RFC 9112 §3.2).
    Target = BAD_REQUEST, "malformed request target";
    /// Not an HTTP version.
    Version = BAD_REQUEST, "malformed HTTP version";
    /// An HTTP version that this connection does not speak (RFC 9110 §15.6.6).
    VersionNotSupported = HTTP_VERSION_NOT_SUPPORTED, "HTTP version not supported";
    /// The preface of HTTP/2 where only HTTP/1 is spoken (RFC 9113 §3.4).
    Http2Preface = BAD_REQUEST, "HTTP/2 preface on an HTTP/1 connection";
    /// The client speaks TLS on a port that does not.
    Tls = BAD_REQUEST, "TLS on a port for clear text";
    /// The request line is over its limit (RFC 9112 §3).
    RequestLineTooLong = URI_TOO_LONG, "request line too long";
    /// The head is over its limit (RFC 6585 §5).
    HeadTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE, "head too large";
    /// The head has too many fields.
    TooManyFields = REQUEST_HEADER_FIELDS_TOO_LARGE, "too many fields";
    /// The status line is not `version SP status SP reason` (RFC 9112 §4).
    StatusLine = BAD_REQUEST, "malformed status line";
    /// A field line that is folded, has no colon, space before its colon or an illegal byte (RFC 9112 §5).
    Field = BAD_REQUEST, "malformed field line";
    /// A field name with an underscore, which gateways to CGI take for a hyphen.
    FieldUnderscore = BAD_REQUEST, "underscore in a field name";
    /// Content-Length is not one number (RFC 9110 §8.6).
    ContentLength = BAD_REQUEST, "malformed Content-Length";
    /// More than one Content-Length (RFC 9112 §6.3).
    ContentLengthRepeated = BAD_REQUEST, "repeated Content-Length";
    /// Both Content-Length and Transfer-Encoding (RFC 9112 §6.1).
    ContentLengthAndTransferEncoding = BAD_REQUEST, "both Content-Length and Transfer-Encoding";
    /// Transfer-Encoding does not end in one `chunked` (RFC 9112 §6.1).
    TransferEncoding = BAD_REQUEST, "malformed Transfer-Encoding";
    /// A transfer coding other than `chunked` (RFC 9112 §6.1).
    TransferCoding = NOT_IMPLEMENTED, "transfer coding not implemented";
    /// Transfer-Encoding in an HTTP/1.0 message (RFC 9112 §6.1).
    TransferEncodingInHttp10 = BAD_REQUEST, "Transfer-Encoding in an HTTP/1.0 message";
    /// No Host in an HTTP/1.1 request, or more than one (RFC 9112 §3.2).
    HostCount = BAD_REQUEST, "missing or repeated Host";
    /// Host is not `uri-host [ ":" port ]` (RFC 9110 §7.2).
    Host = BAD_REQUEST, "malformed Host";
    /// Connection is not a list of tokens, or names a field that it must not (RFC 9110 §7.6.1).
    Connection = BAD_REQUEST, "Connection names a field that it must not";
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    Expectation = EXPECTATION_FAILED, "unknown expectation";
    /// An upgrade to WebSocket with content, which no tunnel can follow.
    UpgradeWithContent = BAD_REQUEST, "content in a request for a WebSocket";
    /// A `TRACE` with content (RFC 9110 §9.3.8).
    TraceWithContent = BAD_REQUEST, "content in a TRACE request";
    /// Max-Forwards is not a number (RFC 9110 §7.6.2).
    MaxForwards = BAD_REQUEST, "malformed Max-Forwards";
    /// A chunk size is not hexadecimal digits, or overflows (RFC 9112 §7.1).
    ChunkSize = BAD_REQUEST, "malformed chunk size";
    /// A chunk extension is malformed (RFC 9112 §7.1.1).
    ChunkExtension = BAD_REQUEST, "malformed chunk extension";
    /// Chunk extensions are over their budget.
    ChunkExtensionsTooLarge = BAD_REQUEST, "too many bytes of chunk extensions";
    /// A chunk's data is not followed by CRLF (RFC 9112 §7.1).
    ChunkEnd = BAD_REQUEST, "chunk data not followed by CRLF";
    /// A trailer section is malformed (RFC 9112 §7.1.2).
    Trailer = BAD_REQUEST, "malformed trailer section";
    /// A trailer section is over its limits.
    TrailersTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE, "trailer section too large";
    /// The peer closed before the end of a message (RFC 9112 §8).
    Truncated = BAD_REQUEST, "closed before the end of the message";
    /// The request came back to the proxy that had forwarded it (RFC 9110 §7.6.3).
    Loop = LOOP_DETECTED, "request loop";
    /// More interim responses than are forwarded (RFC 9110 §15.2).
    TooManyInterim = BAD_GATEWAY, "too many interim responses";
    /// A 101 that nobody asked for, or to another protocol (RFC 9110 §15.2.2).
    SwitchingProtocols = BAD_GATEWAY, "unsolicited switch of protocols";
    /// Bytes of a response to no request (RFC 9112 §9.2).
    UnsolicitedResponse = BAD_GATEWAY, "response to no request";
    /// A pseudo-field is missing, repeated, unknown, misplaced or malformed (RFC 9113 §8.3).
    PseudoField = BAD_REQUEST, "missing, repeated or malformed pseudo-field";
    /// A scheme that is not `http` or `https` (RFC 9113 §8.3.1).
    Scheme = BAD_REQUEST, "unknown scheme";
    /// A field that concerns a connection, in a version that has none (RFC 9113 §8.2.2).
    ConnectionField = BAD_REQUEST, "connection-specific field";
    /// `:authority` and `Host` name different entities (RFC 9113 §8.3.1).
    HostMismatch = BAD_REQUEST, ":authority and Host differ";
    /// An extended CONNECT to a protocol that is not known, or that was not offered (RFC 8441 §4).
    Protocol = NOT_IMPLEMENTED, "extended CONNECT to an unknown protocol";
    /// The content that came is longer or shorter than its Content-Length (RFC 9113 §8.1.1).
    ContentLengthMismatch = BAD_REQUEST, "content does not have its Content-Length";
    /// Content of a message that has none: the response to a HEAD, a 204, a 304 (RFC 9113 §8.1.1).
    ContentUnexpected = BAD_GATEWAY, "content of a response without any";
    /// A message was sent out of order: a second head, or content before the head.
    Order = INTERNAL_SERVER_ERROR, "sent out of order";
    /// Content is longer or shorter than was declared.
    Length = INTERNAL_SERVER_ERROR, "content does not have its declared length";
}
