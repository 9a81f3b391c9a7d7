//! What an engine tells whoever runs it: records of exchanges, and events of its own.

use crate::{
    address::Address,
    io::driver::Running,
    overload::{Scarce, Shedding},
    record::Record,
};
use std::{fmt, net::IpAddr, time::Duration};

/// Takes the records of one lane. It runs on the lane, so it must never block.
pub trait Sink {
    /// An exchange is over.
    fn record(&mut self, record: &Record);

    /// Hands on what has been collected. Called about every 100 ms when there was a record, and when the lane ends.
    fn flush(&mut self) {}
}

/// How much an [`Event`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Ordinary life.
    Info,
    /// Somebody should look when there is time.
    Warn,
    /// Somebody should look now.
    Error,
}

/// Something that happened to the engine, not to one exchange.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A listener accepts connections.
    Listening {
        /// Where.
        address: Address,
    },
    /// A lane runs.
    LaneStarted {
        /// Which.
        lane: usize,
        /// What it runs on.
        driver: Running,
    },
    /// A connection could not be accepted; the lane waits a moment and goes on.
    AcceptFailed {
        /// Where.
        address: Address,
        /// The system's words.
        error: String,
    },
    /// There are as many clients as there may be; others wait in the kernel's queue until one leaves.
    Full {
        /// Where.
        address: Address,
        /// [`Builder::max_connections`](crate::Builder::max_connections).
        connections: usize,
    },
    /// A client was sent away because its source has as many connections as it may. Said at most once a second.
    SourceFull {
        /// Where.
        address: Address,
        /// The client's address.
        source: IpAddr,
        /// [`Builder::max_connections_per_source`](crate::Builder::max_connections_per_source).
        connections: u64,
    },
    /// The process runs short of something, or no longer as short as before: what is [shed](crate::Overload) from now on.
    Overload {
        /// What is done.
        shedding: Shedding,
        /// What there is too little of.
        scarce: Scarce,
        /// How much of it is used.
        used_percent: u64,
    },
    /// An endpoint could not be connected to. Said at most once a second for each endpoint and lane.
    Unreachable {
        /// Which.
        endpoint: Address,
        /// The system's words.
        error: String,
    },
    /// A handler panicked; its exchange got a 500, everything else goes on.
    HandlerPanicked {
        /// On which lane.
        lane: usize,
        /// What it said.
        message: String,
        /// The request that it was handling.
        request_id: String,
    },
    /// Something panicked outside a handler: a bug of the engine's. The lane goes on.
    LanePanicked {
        /// Which.
        lane: usize,
        /// What it said.
        message: String,
    },
    /// A lane's thread has ended although nobody asked for it: its connections are lost. It is rebuilt on the same
    /// sockets.
    LaneDied {
        /// Which.
        lane: usize,
    },
    /// A lane could not be started again; that is tried once a second.
    LaneFailed {
        /// Which.
        lane: usize,
        /// Why.
        error: String,
    },
    /// A lane does not turn: a handler on it computes or blocks. Said after 2 s and again after 10 s; meanwhile
    /// another lane accepts its new clients. What then is for whoever runs the engine to decide.
    LaneStuck {
        /// Which.
        lane: usize,
        /// For how long it has not answered.
        silent: Duration,
        /// Where its thread is, a line for each call, innermost first; empty unless
        /// [`watch_stacks`](crate::watch_stacks) was called.
        stack: String,
    },
    /// A lane that was stuck turns again.
    LaneRecovered {
        /// Which.
        lane: usize,
    },
    /// A drain has begun.
    Draining {
        /// On which lane.
        lane: usize,
        /// Connections that are open.
        connections: u64,
    },
    /// A lane is done.
    LaneEnded {
        /// Which.
        lane: usize,
        /// Connections that the end of the drain cut off.
        cut: u64,
    },
}

impl Event {
    /// How much it matters.
    pub const fn level(&self) -> Level {
        match self {
            Self::Listening { .. } | Self::Draining { .. } => Level::Info,
            Self::LaneStarted { driver: Running::Uring, .. } | Self::LaneEnded { cut: 0, .. } => Level::Info,
            Self::Overload { shedding: Shedding::Nothing, .. } => Level::Info,
            Self::Overload { shedding: Shedding::NoKeepAlive, .. } => Level::Warn,
            Self::Overload { .. } => Level::Error,
            Self::LaneStarted { .. }
            | Self::AcceptFailed { .. }
            | Self::Full { .. }
            | Self::SourceFull { .. } => Level::Warn,
            Self::Unreachable { .. } | Self::LaneEnded { .. } => Level::Warn,
            Self::LaneRecovered { .. } => Level::Warn,
            Self::HandlerPanicked { .. } | Self::LanePanicked { .. } => Level::Error,
            Self::LaneDied { .. } | Self::LaneFailed { .. } | Self::LaneStuck { .. } => Level::Error,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { address: address @ Address::Ip(_) } => {
                write!(f, "listening on http://{address}")
            }
            Self::Listening { address } => write!(f, "listening on {address}"),
            Self::LaneStarted { lane, driver: Running::Uring } => write!(f, "lane {lane} runs on io_uring"),
            Self::LaneStarted { lane, driver: Running::Epoll { reason } } => {
                write!(f, "lane {lane} runs on epoll, which costs more CPU than io_uring ({reason})")
            }
            Self::AcceptFailed { address, error } => write!(f, "cannot accept on {address}: {error}"),
            Self::Full { address, connections } => write!(
                f,
                "{address} takes nobody in: there are {connections} clients, which is the limit; others wait. Raise the \
                 limit on descriptors (ulimit -n, LimitNOFILE=), of which each client may need two"
            ),
            Self::SourceFull { address, source, connections } => write!(
                f,
                "{address} turns {source} away: it has {connections} connections, which is the limit for one source"
            ),
            Self::Overload { shedding: Shedding::Nothing, scarce, used_percent } => {
                write!(f, "{used_percent} % of the {scarce} are used: enough again, nothing is shed any more")
            }
            Self::Overload { shedding, scarce, used_percent } => {
                write!(f, "{used_percent} % of the {scarce} are used: {shedding} until there is more")
            }
            Self::Unreachable { endpoint, error } => write!(f, "cannot connect to {endpoint}: {error}"),
            Self::HandlerPanicked { lane, message, request_id } => {
                write!(f, "a handler panicked on lane {lane}, request {request_id}: {message}")
            }
            Self::LanePanicked { lane, message } => {
                write!(f, "lane {lane} panicked outside a handler and goes on; please report it: {message}")
            }
            Self::LaneDied { lane } => {
                write!(f, "lane {lane} has ended unexpectedly, and its connections with it; it is rebuilt")
            }
            Self::LaneFailed { lane, error } => {
                write!(f, "lane {lane} cannot be started again, which is tried once a second: {error}")
            }
            Self::LaneStuck { lane, silent, stack } => {
                write!(
                    f,
                    "lane {lane} has not turned for {} s: something on it computes or blocks",
                    silent.as_secs()
                )?;
                if stack.is_empty() { Ok(()) } else { write!(f, "; it is at\n{stack}") }
            }
            Self::LaneRecovered { lane } => write!(f, "lane {lane} turns again"),
            Self::Draining { lane, connections } => write!(f, "lane {lane} drains {connections} connections"),
            Self::LaneEnded { lane, cut: 0 } => write!(f, "lane {lane} has ended"),
            Self::LaneEnded { lane, cut } => {
                write!(f, "lane {lane} has ended and cut off {cut} connections that were still open")
            }
        }
    }
}
