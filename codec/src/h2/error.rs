//! Errors of HTTP/2 as data: what can no longer be used, who is to blame, the code that the peer is told, the cause.

use super::budget::Charge;
use crate::{Blame, Kind, Scope};

/// A stream or a connection that is over because of somebody's fault, or something that would not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// One stream, or all of the connection (RFC 9113 §5.4).
    pub scope: Scope,
    /// Whose fault it is.
    pub blame: Blame,
    /// What the peer is told, or has told.
    pub code: Code,
    /// What was wrong.
    pub cause: Cause,
}

impl Error {
    /// The peer broke the connection.
    pub(crate) const fn connection(code: Code, cause: Cause) -> Self {
        Self { scope: Scope::Connection, blame: Blame::Peer, code, cause }
    }

    /// The peer broke one stream.
    pub(crate) const fn stream(code: Code, cause: Cause) -> Self {
        Self { scope: Scope::Stream, blame: Blame::Peer, code, cause }
    }

    /// The peer's message on one stream is malformed (RFC 9113 §8.1.1).
    pub(crate) const fn malformed(kind: Kind) -> Self {
        Self::stream(Code::PROTOCOL_ERROR, Cause::Message(kind))
    }

    /// We were asked for something that is not sent. Nothing was written.
    pub(crate) const fn us(cause: Cause) -> Self {
        Self { scope: Scope::Stream, blame: Blame::Us, code: Code::INTERNAL_ERROR, cause }
    }

    /// Whether the request was certainly not processed, so that it may be sent again whatever its method
    /// (RFC 9113 §8.7).
    pub const fn is_unprocessed(&self) -> bool {
        matches!(self.code, Code::REFUSED_STREAM) || matches!(self.cause, Cause::NotProcessed)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.cause.as_str(), self.code)
    }
}

impl std::error::Error for Error {}

/// An error code (RFC 9113 §7). Codes that are not known are kept and mean nothing special.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The name of the registry, if the code has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some(stringify!($name)),)* _ => None }
            }
        }
    };
}

codes! {
    /// No error: a graceful end.
    NO_ERROR = 0;
    /// Something that the protocol does not allow.
    PROTOCOL_ERROR = 1;
    /// A fault of the sender of this code.
    INTERNAL_ERROR = 2;
    /// More content than there was room for, or a window beyond its maximum.
    FLOW_CONTROL_ERROR = 3;
    /// Settings were not acknowledged in time.
    SETTINGS_TIMEOUT = 4;
    /// A frame on a stream that was closed, or half closed.
    STREAM_CLOSED = 5;
    /// A frame of a wrong length.
    FRAME_SIZE_ERROR = 6;
    /// The stream was refused before anything was done with it.
    REFUSED_STREAM = 7;
    /// The stream is no longer wanted.
    CANCEL = 8;
    /// The compression of fields is broken.
    COMPRESSION_ERROR = 9;
    /// The connection of a CONNECT broke.
    CONNECT_ERROR = 10;
    /// The peer costs too much.
    ENHANCE_YOUR_CALM = 11;
    /// TLS is too weak (RFC 9113 §9.2).
    INADEQUATE_SECURITY = 12;
    /// Use HTTP/1.1 instead.
    HTTP_1_1_REQUIRED = 13;
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {:#x}", self.0),
        }
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident $(($inner:ty))? = $text:literal;)*) => {
        /// What was wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Cause { $($(#[$doc])* $name $(($inner))?,)* }

        impl Cause {
            /// One line for people.
            pub const fn as_str(self) -> &'static str {
                causes!(@match self; $($name $(($inner))? = $text;)*)
            }
        }
    };
    (@match $self:ident; $($name:ident $(($inner:ty))? = $text:literal;)*) => {
        match $self {
            Cause::Message(kind) => kind.as_str(),
            Cause::Budget(charge) => charge.as_str(),
            $(#[allow(unreachable_patterns, reason = "the two above have texts of their own")]
            causes!(@pattern $name $(($inner))?) => $text,)*
        }
    };
    (@pattern $name:ident ($inner:ty)) => { Cause::$name(_) };
    (@pattern $name:ident) => { Cause::$name };
}

causes! {
    /// The connection does not begin with the preface (RFC 9113 §3.4).
    Preface = "not the preface of HTTP/2";
    /// The first frame is not a SETTINGS frame (RFC 9113 §3.4).
    FirstFrame = "the first frame is not SETTINGS";
    /// Preface and first SETTINGS did not come in time.
    PrefaceTimeout = "the preface took too long";
    /// A frame is longer than we said (RFC 9113 §4.2).
    FrameTooLong = "frame longer than SETTINGS_MAX_FRAME_SIZE";
    /// A frame has not the length that its type demands (RFC 9113 §4.2).
    FrameSize = "frame of a wrong length";
    /// A frame that belongs to a stream came on stream 0, or the reverse.
    StreamZero = "frame on stream 0 that needs a stream, or the reverse";
    /// Padding is as long as its frame, or longer (RFC 9113 §6.1).
    Padding = "padding longer than its frame";
    /// A stream identifier that the peer may not open (RFC 9113 §5.1.1).
    StreamId = "unexpected stream identifier";
    /// A frame on a stream that nobody has opened (RFC 9113 §5.1).
    Idle = "frame on an idle stream";
    /// A frame on a stream that was closed (RFC 9113 §5.1).
    Closed = "frame on a closed stream";
    /// A frame that carries content or fields behind END_STREAM (RFC 9113 §5.1).
    HalfClosed = "frame behind END_STREAM";
    /// A field block was interrupted by another frame (RFC 9113 §6.10).
    Interleaved = "frame within a field block";
    /// CONTINUATION without a field block to continue (RFC 9113 §6.10).
    Continuation = "CONTINUATION of nothing";
    /// A field block did not come to its end in time.
    BlockTimeout = "a field block took too long";
    /// HPACK could not be decoded (RFC 9113 §4.3).
    Compression = "field block that can't be decoded";
    /// A setting has a value that it must not have (RFC 9113 §6.5.2).
    Setting = "setting with an invalid value";
    /// An acknowledgement of settings that were not sent.
    SettingsAck = "acknowledgement of no settings";
    /// Our settings were not acknowledged in time (RFC 9113 §6.5.3).
    SettingsTimeout = "settings not acknowledged in time";
    /// A PUSH_PROMISE, which is refused beforehand by a client and never valid for a server (RFC 9113 §6.6).
    Push = "PUSH_PROMISE";
    /// A WINDOW_UPDATE of nothing (RFC 9113 §6.9).
    WindowZero = "WINDOW_UPDATE of 0";
    /// A window grew beyond 2^31-1 (RFC 9113 §6.9.1).
    WindowOverflow = "window beyond its maximum";
    /// More content than the window had room for (RFC 9113 §6.9.1).
    WindowExceeded = "content beyond the window";
    /// A PRIORITY_UPDATE for a stream that has none (RFC 9218 §7.1).
    PriorityUpdate = "PRIORITY_UPDATE for a wrong stream";
    /// A GOAWAY with a higher identifier than the one before (RFC 9113 §6.8).
    GoAwayIncrease = "GOAWAY that takes back a refusal";
    /// The message is malformed.
    Message(Kind) = "malformed message";
    /// A budget is used up.
    Budget(Charge) = "budget used up";
    /// More streams at a time than are allowed (RFC 9113 §5.1.2).
    Concurrency = "too many concurrent streams";
    /// The connection holds as much memory as it may.
    Memory = "the connection's memory is used up";
    /// The peer gave no room to send for too long.
    Stalled = "no room to send for too long";
    /// The peer reset the stream.
    Reset = "reset by the peer";
    /// The peer went away before it looked at the stream (RFC 9113 §6.8).
    NotProcessed = "not processed by a peer that went away";
    /// The connection ended before the message.
    Truncated = "connection closed before the end of the message";
    /// The application gave the stream up.
    Application = "given up by the application";
    /// The application asked for something in a state that does not allow it.
    Order = "sent out of order";
    /// No stream can be opened: one side goes away, or the identifiers are used up.
    NoMoreStreams = "no stream can be opened on this connection any more";
    /// No stream can be opened now: the peer allows no more at a time.
    StreamsBusy = "as many streams are open as the peer allows";
    /// The peer does not take extended CONNECT (RFC 8441 §3).
    ConnectProtocol = "the peer takes no extended CONNECT";
    /// More fields than the peer says that it takes (RFC 9113 §6.5.2).
    ListTooLong = "more fields than SETTINGS_MAX_HEADER_LIST_SIZE of the peer";
    /// More content than the windows have room for.
    NoWindow = "no room in the window";
}
