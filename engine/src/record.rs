//! What is known of an exchange when it is over: exactly one [`Record`] for each, on every path.

use crate::{
    address::Address,
    error::{Error, ErrorKind, Side, Stage},
};
use http::Method;
use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

/// Attempts that a record tells apart; further ones are only counted.
pub(crate) const ATTEMPTS_KEPT_MAX: usize = 8;
/// Notes that an exchange may make.
const NOTES_MAX: usize = 16;
/// Bytes of one note's value; what is longer is cut.
const NOTE_BYTES_MAX: usize = 256;
/// Bytes of the target, the host and the user agent that are kept for the log.
const TEXT_BYTES_MAX: usize = 2048;

/// How long each part of an exchange took. A part that did not happen is zero.
///
/// First the head waits for its lane (`queue`) and is parsed (`parse`); [`Record::duration`] begins after that, and
/// `route`, `connect`, `wait` and `transfer` follow each other in it. What of it they leave went into waiting for a
/// place among a cluster's connections, and between attempts. `behind` is not another part: it tells how much of
/// `connect`, `wait` and `transfer` was this lane's being busy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases {
    /// What the end of the head, after it was known to have come, waited for behind other tasks of the lane. What it
    /// waited for before that, while the lane did not look at the kernel, nobody knows; it was no longer than one
    /// [turn](crate::Phase::Turn). Zero for a head that came with the one before it.
    pub queue: Duration,
    /// Receiving and parsing the head: the time spent at it in all polls in which parts of it came, from the beginning
    /// of the poll (or of the parsing, if that poll was busy with something else first). The time in between, in which a
    /// slow client had not sent the rest, is not in it.
    pub parse: Duration,
    /// The handler's own time, until it asked for an upstream or answered.
    pub route: Duration,
    /// Connecting, over all attempts; zero on a reused connection.
    pub connect: Duration,
    /// From the request's first byte out to the head of the response.
    pub wait: Duration,
    /// From there, or from the handler's own answer, to the end of the exchange.
    pub transfer: Duration,
    /// What the exchange's task, each time it was woken after the head, waited for behind other tasks of its lane. It
    /// lies within `connect`, `wait` and `transfer`, and is to be read as `queue` is.
    pub behind: Duration,
}

/// One attempt to get an answer from an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The endpoint.
    pub endpoint: Address,
    /// Whether a pooled connection was used.
    pub reused: bool,
    /// The status of its answer, or how it failed.
    pub outcome: AttemptOutcome,
    /// How long it took to connect, or to fail to; zero on a pooled connection.
    pub connect: Duration,
    /// From the request's first byte out to the head of the answer, or to the failure.
    pub wait: Duration,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Under way, or given up by whoever made it.
    Unfinished,
    /// An answer with this status.
    Status(u16),
    /// No answer.
    Failed(Stage, ErrorKind),
}

impl std::fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unfinished => f.write_str("unfinished"),
            Self::Status(status) => write!(f, "answered {status}"),
            Self::Failed(stage, kind) => write!(f, "{stage}: {kind}"),
        }
    }
}

/// Why an exchange ended. The names are stable: dashboards are built on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// Everything was delivered.
    Done,
    /// The client closed or reset before it had everything.
    ClientClosed,
    /// The client was too slow: head, content or reading.
    ClientTimeout,
    /// The client sent what it must not.
    ClientProtocol,
    /// No upstream connection could be made.
    UpstreamConnect,
    /// An upstream took too long to connect.
    UpstreamConnectTimeout,
    /// An upstream closed or reset too early.
    UpstreamClosed,
    /// An upstream took too long to answer or to go on.
    UpstreamTimeout,
    /// An upstream sent what it must not.
    UpstreamProtocol,
    /// There is no endpoint to try.
    NoUpstream,
    /// The cluster has as many connections as it may, and the queue was full or the wait too long.
    UpstreamBusy,
    /// It was refused, because the process runs [short](crate::Overload) of memory or descriptors.
    Overloaded,
    /// The handler returned an error of its own.
    Handler,
    /// The handler panicked.
    Panicked,
    /// The drain's grace was over.
    Drained,
    /// The exchange was dropped before it could end (its lane went away).
    Dropped,
}

impl End {
    /// Every reason, for tables of counters.
    pub const ALL: [Self; 16] = [
        Self::Done,
        Self::ClientClosed,
        Self::ClientTimeout,
        Self::ClientProtocol,
        Self::UpstreamConnect,
        Self::UpstreamConnectTimeout,
        Self::UpstreamClosed,
        Self::UpstreamTimeout,
        Self::UpstreamProtocol,
        Self::NoUpstream,
        Self::UpstreamBusy,
        Self::Overloaded,
        Self::Handler,
        Self::Panicked,
        Self::Drained,
        Self::Dropped,
    ];

    /// The name in logs and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::ClientClosed => "client_closed",
            Self::ClientTimeout => "client_timeout",
            Self::ClientProtocol => "client_protocol",
            Self::UpstreamConnect => "upstream_connect",
            Self::UpstreamConnectTimeout => "upstream_connect_timeout",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::NoUpstream => "no_upstream",
            Self::UpstreamBusy => "upstream_busy",
            Self::Overloaded => "overloaded",
            Self::Handler => "handler",
            Self::Panicked => "panicked",
            Self::Drained => "drained",
            Self::Dropped => "dropped",
        }
    }
}

impl From<&Error> for End {
    fn from(error: &Error) -> Self {
        match (error.side(), error.stage(), error.kind()) {
            (_, _, ErrorKind::Panicked) => Self::Panicked,
            (_, _, ErrorKind::Drained) => Self::Drained,
            (_, _, ErrorKind::Overloaded) => Self::Overloaded,
            (_, _, ErrorKind::NoEndpoint) => Self::NoUpstream,
            (_, _, ErrorKind::Busy) => Self::UpstreamBusy,
            (Side::Downstream, _, ErrorKind::Timeout | ErrorKind::TooSlow) => Self::ClientTimeout,
            (Side::Downstream, _, ErrorKind::Protocol(corelane_codec::Kind::Truncated)) => Self::ClientClosed,
            (Side::Downstream, _, ErrorKind::Protocol(_) | ErrorKind::Status(_) | ErrorKind::TooLarge) => {
                Self::ClientProtocol
            }
            (Side::Downstream, ..) => Self::ClientClosed,
            (Side::Upstream, Stage::Connect, ErrorKind::Timeout) => Self::UpstreamConnectTimeout,
            (Side::Upstream, Stage::Connect, _) => Self::UpstreamConnect,
            (Side::Upstream, _, ErrorKind::Timeout | ErrorKind::TooSlow) => Self::UpstreamTimeout,
            (Side::Upstream, _, ErrorKind::Protocol(corelane_codec::Kind::Truncated)) => Self::UpstreamClosed,
            (Side::Upstream, _, ErrorKind::Protocol(_)) => Self::UpstreamProtocol,
            (Side::Upstream, ..) => Self::UpstreamClosed,
            (Side::Internal, ..) => Self::Handler,
        }
    }
}

/// What is known of an exchange when it is over.
///
/// A record is lent to whoever reads it (see [`Builder::on_record`](crate::Builder::on_record)) and used again for
/// another exchange: copy what you keep.
#[derive(Debug)]
#[non_exhaustive]
pub struct Record {
    /// When the head of the request was complete.
    pub at: SystemTime,
    /// How long the exchange took from then on.
    pub duration: Duration,
    /// Where the time went.
    pub phases: Phases,
    /// The client, which is the peer unless a [trusted proxy](crate::Settings::trusted_proxies) says otherwise; then the
    /// port is 0 if it does not tell it.
    pub client: Address,
    /// The other end of the connection.
    pub peer: Address,
    /// The address that the client connected to.
    pub local: Address,
    /// The id that went to the origin and stands in every log line about the exchange.
    pub request_id: Vec<u8>,
    /// The method; `None` if no request could be read.
    pub method: Option<Method>,
    /// The version, such as `1.1`.
    pub version: &'static str,
    /// The target as it came, cut at 2 KiB.
    pub target: Vec<u8>,
    /// The host that the request was for.
    pub host: Vec<u8>,
    /// `User-Agent`.
    pub user_agent: Vec<u8>,
    /// `Referer`.
    pub referer: Vec<u8>,
    /// The status that was sent; 0 if none was.
    pub status: u16,
    /// Bytes of content that were received from the client.
    pub request_bytes: u64,
    /// Bytes of content that were handed to the kernel for the client.
    pub response_bytes: u64,
    /// The attempts made, the first eight of them.
    pub attempts: Vec<Attempt>,
    /// How many attempts there were.
    pub attempts_total: u32,
    /// What the handler noted.
    pub notes: Vec<(Cow<'static, str>, String)>,
    /// Why it ended.
    pub end: End,
    /// The error, in words, if it was one.
    pub error: String,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self {
            at: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            phases: Phases::default(),
            client: Address::Unnamed,
            peer: Address::Unnamed,
            local: Address::Unnamed,
            request_id: Vec::new(),
            method: None,
            version: "",
            target: Vec::new(),
            host: Vec::new(),
            user_agent: Vec::new(),
            referer: Vec::new(),
            status: 0,
            request_bytes: 0,
            response_bytes: 0,
            attempts: Vec::new(),
            attempts_total: 0,
            notes: Vec::new(),
            end: End::Dropped,
            error: String::new(),
        }
    }

    /// Forgets everything but the memory.
    pub(crate) fn clear(&mut self) {
        self.phases = Phases::default();
        self.request_id.clear();
        self.method = None;
        self.version = "";
        self.target.clear();
        self.host.clear();
        self.user_agent.clear();
        self.referer.clear();
        self.status = 0;
        self.request_bytes = 0;
        self.response_bytes = 0;
        self.attempts.clear();
        self.attempts_total = 0;
        self.notes.clear();
        self.end = End::Dropped;
        self.error.clear();
    }

    pub(crate) fn of(&mut self, head: &corelane_codec::RequestHead) {
        self.of_start_line(head);
        self.version = head.version.number();
        keep(&mut self.host, Some(head.authority()));
        keep(&mut self.user_agent, head.fields.get("user-agent"));
        keep(&mut self.referer, head.fields.get("referer"));
    }

    /// Only what the flight recorder looks at.
    pub(crate) fn of_start_line(&mut self, head: &corelane_codec::RequestHead) {
        self.method = Some(head.method.clone());
        keep(&mut self.target, Some(&head.target));
    }

    pub(crate) fn attempt(&mut self, endpoint: Address, reused: bool) {
        self.attempts_total += 1;
        if self.attempts.len() < ATTEMPTS_KEPT_MAX {
            self.attempts.push(Attempt {
                endpoint,
                reused,
                outcome: AttemptOutcome::Unfinished,
                connect: Duration::ZERO,
                wait: Duration::ZERO,
            });
        }
    }

    fn present_attempt(&mut self) -> Option<&mut Attempt> {
        if self.attempts_total as usize <= ATTEMPTS_KEPT_MAX { self.attempts.last_mut() } else { None }
    }

    pub(crate) fn attempt_connected(&mut self, took: Duration) {
        if let Some(attempt) = self.present_attempt() {
            attempt.connect = took;
        }
    }

    pub(crate) fn attempt_ended(&mut self, outcome: AttemptOutcome, wait: Duration) {
        if let Some(attempt) = self.present_attempt() {
            (attempt.outcome, attempt.wait) = (outcome, wait);
        }
    }

    /// Forgets a reason that turned out to be none.
    pub(crate) fn absolve(&mut self) {
        self.end = End::Dropped;
        self.error.clear();
    }

    pub(crate) fn note(&mut self, key: Cow<'static, str>, value: &str) {
        let mut end = value.len().min(NOTE_BYTES_MAX);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        let value = value[..end].to_owned();
        if let Some(note) = self.notes.iter_mut().find(|note| note.0 == key) {
            note.1 = value;
        } else if self.notes.len() < NOTES_MAX {
            self.notes.push((key, value));
        }
    }
}

/// Keeps a text for the log.
fn keep(text: &mut Vec<u8>, from: Option<&[u8]>) {
    let from = from.unwrap_or_default();
    text.extend_from_slice(&from[..from.len().min(TEXT_BYTES_MAX)]);
}
