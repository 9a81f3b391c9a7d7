//! What went wrong: on which side, at which stage, and how. From these come the status, whether a connection may be
//! used again, and the words in the log.

use crate::record::Attempt;
use corelane_codec::Kind;
use http::StatusCode;
use std::{fmt, io};

/// The result of a handler, and of everything that one calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose side of the proxy something happened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client's.
    Downstream,
    /// The origin's.
    Upstream,
    /// Our own: the handler, or a limit of this process.
    Internal,
}

/// How far an exchange had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading a head.
    Head,
    /// Choosing what to do: the handler, routing, picking an endpoint.
    Route,
    /// Connecting to an origin.
    Connect,
    /// Sending a request to an origin.
    Send,
    /// Waiting for the head of a response.
    Wait,
    /// Moving content.
    Transfer,
    /// After a switch of protocols.
    Tunnel,
}

/// How something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The peer sent what it must not, or we were asked to.
    Protocol(Kind),
    /// The system said so.
    Io(io::ErrorKind),
    /// The peer closed, and more was expected of it.
    Closed,
    /// It took longer than it may.
    Timeout,
    /// Content came more slowly than it may ([`Timeouts::content_rate_min`](crate::Timeouts)).
    TooSlow,
    /// No endpoint could be tried: there is none, or all have been.
    NoEndpoint,
    /// The cluster has as many connections as it may, and the queue for one was full or the wait too long.
    Busy,
    /// The handler panicked; it is a bug of the handler's.
    Panicked,
    /// This process or machine has run out of descriptors, ports or memory, or of room for
    /// [work](crate::Lane::offload) that waits for a thread.
    Exhausted,
    /// The process runs [short](crate::Overload) of memory or descriptors.
    Overloaded,
    /// The drain's grace is over.
    Drained,
    /// There is more content than may be.
    TooLarge,
    /// Content that has been sent cannot be sent again: it was not kept
    /// ([`Settings::replay_bytes_max`](crate::Settings)).
    NotReplayable,
    /// The handler says so, with this status.
    Status(StatusCode),
    /// The handler wants the client to get no answer at all.
    Unanswered,
}

type Cause = dyn std::error::Error + Send + Sync;

/// An error of an exchange.
///
/// ```
/// # use corelane_engine::{Error, ErrorKind, Response, Side, Stage, StatusCode};
/// fn page(error: Error) -> Response {
///     let words = match (error.side(), error.stage(), error.kind()) {
///         (Side::Downstream, ..) => "it was you\n",
///         (Side::Upstream, Stage::Connect, _) => "nobody is there\n",
///         (Side::Upstream, _, ErrorKind::Timeout) => "it takes too long\n",
///         (_, _, ErrorKind::Status(StatusCode::FORBIDDEN)) => "no\n",
///         _ => "something is broken\n",
///     };
///     let mut response = Response::from(error);
///     response.set_body(words);
///     response
/// }
/// # let refused = page(Error::status_of(StatusCode::FORBIDDEN));
/// # assert_eq!(refused.status(), StatusCode::FORBIDDEN);
/// ```
pub struct Error {
    side: Side,
    stage: Stage,
    kind: ErrorKind,
    /// Elsewhere: what every step returns is as large as the error that it may be.
    more: Option<Box<More>>,
}

/// What few errors have.
#[derive(Default)]
struct More {
    source: Option<Box<Cause>>,
    attempts: Vec<Attempt>,
}

const _: () = assert!(size_of::<Error>() <= 16);

impl Error {
    pub(crate) const fn new(side: Side, stage: Stage, kind: ErrorKind) -> Self {
        Self { side, stage, kind, more: None }
    }

    /// The same, said once more.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.side, self.stage, self.kind).with_attempts(self.attempts())
    }

    /// The same with a cause in words.
    pub(crate) fn with_source(mut self, source: impl Into<Box<Cause>>) -> Self {
        self.more.get_or_insert_default().source = Some(source.into());
        self
    }

    /// The same with what came of each attempt.
    pub(crate) fn with_attempts(mut self, attempts: &[Attempt]) -> Self {
        if !attempts.is_empty() {
            self.more.get_or_insert_default().attempts = attempts.to_vec();
        }
        self
    }

    pub(crate) fn io(side: Side, stage: Stage, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::UnexpectedEof => ErrorKind::Closed,
            io::ErrorKind::TimedOut => ErrorKind::Timeout,
            kind => ErrorKind::Io(kind),
        };
        Self::new(side, stage, kind)
    }

    pub(crate) const fn protocol(side: Side, stage: Stage, kind: Kind) -> Self {
        Self::new(side, stage, ErrorKind::Protocol(kind))
    }

    /// A failure of the handler's own: the client gets a 500, the log gets `source`.
    pub fn internal(source: impl Into<Box<Cause>>) -> Self {
        Self::status_of(StatusCode::INTERNAL_SERVER_ERROR).with_source(source)
    }

    /// An answer by way of `?`: the client gets `status` with a line of text.
    pub const fn status_of(status: StatusCode) -> Self {
        Self::new(Side::Internal, Stage::Route, ErrorKind::Status(status))
    }

    /// No answer: the client's connection is reset, so that whoever floods or probes learns nothing and costs no more
    /// (nginx's `return 444`). If the answer has begun, this is as any other error.
    pub const fn unanswered() -> Self {
        Self::new(Side::Internal, Stage::Route, ErrorKind::Unanswered)
    }

    /// Whose side it happened on.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// How far the exchange had come.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// What went wrong.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What came of each attempt to get an answer from an upstream, the first eight of them.
    pub fn attempts(&self) -> &[Attempt] {
        self.more.as_ref().map_or(&[], |more| &more.attempts)
    }

    fn cause(&self) -> Option<&Cause> {
        self.more.as_ref()?.source.as_deref()
    }

    /// The status that tells the client, where one can still be sent.
    pub const fn status(&self) -> StatusCode {
        match (self.side, self.kind) {
            (_, ErrorKind::Status(status)) => status,
            (Side::Downstream, ErrorKind::Protocol(kind)) => kind.status(),
            (Side::Downstream, ErrorKind::Timeout | ErrorKind::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            (Side::Downstream, ErrorKind::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            (Side::Downstream, _) => StatusCode::BAD_REQUEST,
            (Side::Upstream, ErrorKind::Timeout | ErrorKind::TooSlow) => StatusCode::GATEWAY_TIMEOUT,
            (
                _,
                ErrorKind::NoEndpoint
                | ErrorKind::Busy
                | ErrorKind::Drained
                | ErrorKind::Exhausted
                | ErrorKind::Overloaded,
            ) => StatusCode::SERVICE_UNAVAILABLE,
            (Side::Upstream, _) => StatusCode::BAD_GATEWAY,
            (Side::Internal, _) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The same words as [`Display`](fmt::Display), so that `fn main() -> Result<()>` tells people what is wrong.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Downstream => "client",
            Side::Upstream => "upstream",
            Side::Internal => "handler",
        };
        if let (Side::Internal, Stage::Route, Some(source)) = (self.side, self.stage, self.cause()) {
            return fmt::Display::fmt(source, f);
        }
        write!(f, "{side}, {}: {}", self.stage, self.kind)?;
        if let Some(source) = self.cause() {
            write!(f, ": {source}")?;
        }
        match self.attempts() {
            [] => Ok(()),
            [only] => write!(f, " ({})", only.endpoint),
            [first, others @ ..] => {
                write!(f, " ({}: {}", first.endpoint, first.outcome)?;
                for attempt in others {
                    write!(f, ", {}: {}", attempt.endpoint, attempt.outcome)?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "reading the head",
            Self::Route => "routing",
            Self::Connect => "connecting",
            Self::Send => "sending the request",
            Self::Wait => "waiting for the response",
            Self::Transfer => "moving content",
            Self::Tunnel => "in the tunnel",
        })
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(kind) => f.write_str(kind.as_str()),
            Self::Io(kind) => write!(f, "{kind}"),
            Self::Closed => f.write_str("closed before the end"),
            Self::Timeout => f.write_str("timed out"),
            Self::TooSlow => f.write_str("below the minimum rate"),
            Self::NoEndpoint => f.write_str("no endpoint left to try"),
            Self::Busy => f.write_str("as many connections as there may be"),
            Self::Panicked => f.write_str("panicked"),
            Self::Exhausted => f.write_str("no descriptor, port, memory or thread left here"),
            Self::Overloaded => f.write_str("too little memory or too few descriptors left for more"),
            Self::Drained => f.write_str("cut off by the end of the drain"),
            Self::TooLarge => f.write_str("more content than may be"),
            Self::NotReplayable => f.write_str("the content cannot be sent again"),
            Self::Status(status) => write!(f, "{status}"),
            Self::Unanswered => f.write_str("is to get no answer"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().map(|source| source as _)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::internal(error)
    }
}

impl From<corelane_codec::Error> for Error {
    fn from(error: corelane_codec::Error) -> Self {
        Self::protocol(Side::Downstream, Stage::Route, error.kind)
    }
}
