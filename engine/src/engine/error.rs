//! Why an engine could not be started or changed: what is wrong, and what to do.

use crate::address::Address;
use std::{fmt, io};

/// Why an engine could not be started: what is wrong, and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address that cannot be understood.
    Address {
        /// As it was given.
        address: String,
        /// What is wrong with it.
        error: String,
    },
    /// An address that cannot be bound.
    Bind {
        /// Which.
        address: Address,
        /// The system's words.
        error: io::Error,
    },
    /// The kernel refuses the driver that was asked for.
    Driver(io::Error),
    /// A handler's factory failed.
    Handler(String),
    /// A handler's factory panicked.
    Panicked,
    /// A thread, or what it needs, could not be made.
    Thread(io::Error),
    /// The limit on descriptors could not be read.
    Descriptors(io::Error),
    /// The steps of [`Overload`](crate::Overload) make no sense.
    Overload(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, error } => {
                write!(
                    f,
                    "{address} is not an address to listen on: {error}; write 127.0.0.1:8080, \
                     [::1]:8080 or unix:/run/app.sock"
                )
            }
            Self::Bind { address, error } => cannot_bind(f, address, error),
            Self::Driver(error) => {
                write!(
                    f,
                    "{error}; use the driver `auto` to fall back to epoll, or allow io_uring (seccomp profile, \
                           sysctl kernel.io_uring_disabled)"
                )
            }
            Self::Handler(error) => write!(f, "a handler could not be made: {error}"),
            Self::Panicked => f.write_str("a lane panicked while it was starting, in a handler's factory"),
            Self::Thread(error) => write!(f, "cannot start a lane: {error}"),
            Self::Descriptors(error) => write!(f, "cannot read the limit on descriptors: {error}"),
            Self::Overload(says) => write!(f, "the steps of shedding are in no order: {says}"),
        }
    }
}

fn cannot_bind(f: &mut fmt::Formatter<'_>, address: &Address, error: &io::Error) -> fmt::Result {
    use io::ErrorKind;
    match (address, error.kind()) {
        (Address::Ip(ip), ErrorKind::AddrInUse) => write!(
            f,
            "{address} is taken by another program; choose another address, or find who has it with: \
             ss -ltnp 'sport = :{}'",
            ip.port()
        ),
        (Address::Ip(_), ErrorKind::PermissionDenied) => write!(
            f,
            "no permission to listen on {address}; ports below 1024 need CAP_NET_BIND_SERVICE \
             (setcap cap_net_bind_service=+ep PROGRAM, or AmbientCapabilities= in a systemd unit)"
        ),
        (_, ErrorKind::AddrNotAvailable) => {
            write!(f, "{address} is not an address of this machine; see: ip address")
        }
        (_, ErrorKind::AddrInUse) => {
            write!(
                f,
                "{address} is taken: another program answers on it; choose another path, or stop that program"
            )
        }
        (_, ErrorKind::AlreadyExists) => {
            write!(
                f,
                "{address} is taken by a file that is no socket; choose another path, or remove the file"
            )
        }
        (_, ErrorKind::NotFound) => write!(f, "the directory of {address} does not exist; create it"),
        (_, ErrorKind::PermissionDenied) => {
            write!(f, "no permission to create {address}; its directory must be writable")
        }
        _ => write!(f, "cannot listen on {address}: {error}"),
    }
}

impl std::error::Error for StartError {}

impl From<StartError> for crate::Error {
    fn from(error: StartError) -> Self {
        Self::internal(error)
    }
}

/// Why an engine goes on as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadError {
    /// What is new cannot be started.
    Start(StartError),
    /// It is not for a reload to change: the number of lanes, or the driver.
    Fixed {
        /// What it is.
        what: &'static str,
        /// As it is.
        is: String,
        /// As it was to be.
        wanted: String,
    },
    /// A lane has not answered in time.
    Silent {
        /// Which.
        lane: usize,
    },
    /// The engine is on its way out.
    Draining,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Fixed { what, is, wanted } => {
                write!(
                    f,
                    "{what} cannot change while the engine runs: it is {is}, and {wanted} takes a restart"
                )
            }
            Self::Silent { lane } => {
                write!(
                    f,
                    "lane {lane} does not answer: something on it computes or blocks; nothing was changed"
                )
            }
            Self::Draining => f.write_str("the engine is draining; nothing was changed"),
        }
    }
}

impl std::error::Error for ReloadError {}

impl From<StartError> for ReloadError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}
