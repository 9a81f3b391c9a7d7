//! What went wrong: on which side, at which stage, and how. From these come the status, whether a connection may be
//! used again, and the words in the log.

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
    /// This process or machine has run out of descriptors, ports or memory.
    Exhausted,
    /// The drain's grace is over.
    Drained,
    /// The handler says so, with this status.
    Status(StatusCode),
}

/// An error of an exchange.
pub struct Error {
    side: Side,
    stage: Stage,
    kind: ErrorKind,
    source: Option<Box<dyn std::error::Error + 'static>>,
}

impl Error {
    pub(crate) const fn new(side: Side, stage: Stage, kind: ErrorKind) -> Self {
        Self { side, stage, kind, source: None }
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
    pub fn internal(source: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self { source: Some(source.into()), ..Self::status_of(StatusCode::INTERNAL_SERVER_ERROR) }
    }

    /// An answer by way of `?`: the client gets `status` with a line of text.
    pub const fn status_of(status: StatusCode) -> Self {
        Self::new(Side::Internal, Stage::Route, ErrorKind::Status(status))
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

    /// The status that tells the client, where one can still be sent.
    pub const fn status(&self) -> StatusCode {
        match (self.side, self.kind) {
            (_, ErrorKind::Status(status)) => status,
            (Side::Downstream, ErrorKind::Protocol(kind)) => kind.status(),
            (Side::Downstream, ErrorKind::Timeout | ErrorKind::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            (Side::Downstream, _) => StatusCode::BAD_REQUEST,
            (Side::Upstream, ErrorKind::Timeout | ErrorKind::TooSlow) => StatusCode::GATEWAY_TIMEOUT,
            (_, ErrorKind::NoEndpoint | ErrorKind::Busy | ErrorKind::Drained | ErrorKind::Exhausted) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
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
        let stage = match self.stage {
            Stage::Head => "reading the head",
            Stage::Route => "routing",
            Stage::Connect => "connecting",
            Stage::Send => "sending the request",
            Stage::Wait => "waiting for the response",
            Stage::Transfer => "moving content",
            Stage::Tunnel => "in the tunnel",
        };
        if let (Side::Internal, Stage::Route, Some(source)) = (self.side, self.stage, &self.source) {
            return fmt::Display::fmt(source, f);
        }
        write!(f, "{side}, {stage}: ")?;
        match self.kind {
            ErrorKind::Protocol(kind) => f.write_str(kind.as_str())?,
            ErrorKind::Io(kind) => write!(f, "{kind}")?,
            ErrorKind::Closed => f.write_str("closed before the end")?,
            ErrorKind::Timeout => f.write_str("timed out")?,
            ErrorKind::TooSlow => f.write_str("below the minimum rate")?,
            ErrorKind::NoEndpoint => f.write_str("no endpoint left to try")?,
            ErrorKind::Busy => f.write_str("as many connections as there may be")?,
            ErrorKind::Panicked => f.write_str("panicked")?,
            ErrorKind::Exhausted => f.write_str("no descriptor, port or memory left here")?,
            ErrorKind::Drained => f.write_str("cut off by the end of the drain")?,
            ErrorKind::Status(status) => write!(f, "{status}")?,
        }
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref()
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
