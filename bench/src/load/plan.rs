//! What is to be measured, as a value that every lane gets a copy of.

use super::{
    arrivals::Arrivals,
    speech::Expected,
    target::{Target, Url},
};
use corelane_engine::Address;
use std::{io, sync::Arc, time::Duration};

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<Arc<Group>>,
    /// Requests per second; `None`: a closed loop.
    pub(crate) rate: Option<f64>,
    pub(crate) arrivals: Arrivals,
    /// On all lanes, to all addresses.
    pub(crate) connections: usize,
    /// Requests that may be under way on a connection.
    pub(crate) pipeline: usize,
    pub(crate) lanes: usize,
    pub(crate) warm_up: Duration,
    /// How long is measured; `None`: until the requests have been sent.
    pub(crate) duration: Option<Duration>,
    pub(crate) requests: Option<u64>,
    pub(crate) timeout: Duration,
    /// A connection for each request.
    pub(crate) new_connection: bool,
    pub(crate) expected: Expected,
    /// The message that is sent where the requests are messages.
    pub(crate) message: Arc<[u8]>,
}

impl Plan {
    /// How long requests are due, but for the warm-up; `None` if there is no telling.
    pub(crate) fn window(&self) -> Option<Duration> {
        self.duration.or_else(|| Some(Duration::from_secs_f64(self.requests? as f64 / self.rate?)))
    }
}

/// The URLs behind one address: connections to it are theirs.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) address: Address,
    pub(crate) urls: Vec<Url>,
    pub(crate) targets: Vec<Target>,
    /// Its part of all requests.
    pub(crate) part: f64,
}

impl Group {
    /// Why a connection could not be made, and what that may mean.
    pub(crate) fn cannot_connect(&self, error: &io::Error) -> String {
        let address = &self.address;
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                format!("{address} refuses connections; is the server running, and on this port?")
            }
            io::ErrorKind::AddrNotAvailable => format!(
                "no local port is left for a connection to {address}; use fewer new connections, or widen \
                 net.ipv4.ip_local_port_range"
            ),
            _ if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
                format!(
                    "no descriptor is left for a connection to {address}; raise the limit (ulimit -n) or ask for fewer"
                )
            }
            _ => format!("no connection to {address}: {error}"),
        }
    }
}

/// How many of `all` a part gets, of `parts` that share them as evenly as can be; the first get what is left over.
pub(crate) fn share(all: u64, part: usize, parts: usize) -> u64 {
    let parts = parts.max(1) as u64;
    all / parts + u64::from((part as u64) < all % parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (all, parts) in [(10, 3), (1, 4), (0, 2), (64, 1)] {
            assert_eq!((0..parts).map(|part| share(all, part, parts)).sum::<u64>(), all);
        }
        assert_eq!((share(10, 0, 3), share(10, 2, 3)), (4, 3));
    }
}
