//! The command line of `load`, and the plan that it asks for.

use super::{
    arrivals::Arrivals,
    plan::{Group, Plan},
    speech::Expected,
    target::{Asking, Target, Url},
};
use crate::{failure::Failure, units, websocket};
use corelane_engine::Address;
use http::Method;
use std::{io, net::TcpStream, path::PathBuf, sync::Arc, time::Duration};

/// Connections of a closed loop, unless it is said.
const CONNECTIONS_CLOSED: usize = 64;
/// The most connections of an open loop, unless it is said.
const CONNECTIONS_OPEN_MAX: usize = 1024;
/// How long is measured, unless it is said.
const DURATION: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_secs(1);
/// Descriptors that are needed beside connections: standard streams, signals, names.
const DESCRIPTORS_BESIDE: u64 = 56;
/// Descriptors of a lane: its ring, its bells, its timer.
const DESCRIPTORS_PER_LANE: u64 = 8;
/// How long the target may take to accept a first connection.
const FIRST_CONNECT_MAX: Duration = Duration::from_secs(5);

/// Sends requests and measures what comes back.
///
/// With --rate it is an open loop: requests are due at their moments whatever became of those before, as users come, and
/// latency is counted from when a request was due, so that a server that stalls cannot hide its stall. Without it is a
/// closed loop: each connection sends its next request when it has an answer, which measures throughput.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to request: http://HOST[:PORT][/PATH]. Several share the requests, by weight if it is given: 3=http://…
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Requests per second that are offered (open loop)
    #[arg(long, short, value_parser = units::rate)]
    rate: Option<f64>,
    /// How they are spread over time
    #[arg(long, value_enum, default_value_t = Arrivals::Constant, requires = "rate")]
    arrivals: Arrivals,
    /// Connections: all of a closed loop [64], or the most of an open one [1024]
    #[arg(long, short)]
    connections: Option<usize>,
    /// Requests that may be under way on one connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pipeline: u16,
    /// How long to measure [10s]
    #[arg(long, short, value_parser = units::duration)]
    duration: Option<Duration>,
    /// How many requests to send, instead of a duration
    #[arg(long, short = 'n', conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// How long to send before measuring [1s; none with --requests]
    #[arg(long, value_parser = units::duration)]
    warmup: Option<Duration>,
    /// How long an answer, or a connection, may take
    #[arg(long, default_value = "10s", value_parser = units::duration)]
    timeout: Duration,
    /// The method [GET; POST with content]
    #[arg(long, short = 'X')]
    method: Option<String>,
    /// A header of every request; may be repeated
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The content of every request
    #[arg(long, conflicts_with_all = ["body_file", "body_size"])]
    body: Option<String>,
    /// A file that has it
    #[arg(long, value_name = "FILE", conflicts_with = "body_size")]
    body_file: Option<PathBuf>,
    /// How long it is, if it does not matter what it is
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    body_size: Option<u64>,
    /// Opens a connection for each request
    #[arg(long, conflicts_with_all = ["pipeline", "websocket"])]
    new_connection: bool,
    /// Sends messages over WebSocket, each of which is to come back
    #[arg(long, conflicts_with_all = ["method", "body", "body_file", "body_size", "expect_status", "expect_size"])]
    websocket: bool,
    /// How long a message is
    #[arg(long, value_name = "SIZE", default_value = "128", value_parser = units::size, requires = "websocket")]
    message_size: u64,
    /// The only status that is no error [any 2xx]
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(200..=599))]
    expect_status: Option<u16>,
    /// The only length of an answer's content that is no error
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    expect_size: Option<u64>,
    /// Threads that send, each with a core's worth of work
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    lanes: u16,
    /// Writes the results as JSON; - for standard output, which then has nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes a page with plots
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Writes the latencies for other tools: a log of HdrHistogram (V2, compressed), in nanoseconds
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr: Option<PathBuf>,
}

impl Args {
    /// What is asked for; looks names up, and tries whether there is somebody to ask.
    pub(crate) fn plan(&self) -> Result<Plan, Failure> {
        for (flag, time) in [("--duration", self.duration), ("--timeout", Some(self.timeout))] {
            if time == Some(Duration::ZERO) {
                return Err(Failure::Usage(format!("{flag} is more than 0")));
            }
        }
        let asking = self.asking()?;
        let message = vec![b'x'; usize::try_from(self.message_size).unwrap_or(usize::MAX).min(1 << 30)];
        if self.websocket && message.len() > websocket::MESSAGE_BYTES_MAX {
            return Err(Failure::Usage("a message has at most 16m".to_owned()));
        }
        let urls = self.urls.iter().map(|url| Url::parse(url)).collect::<Result<Vec<_>, _>>();
        let groups = groups(&urls.map_err(Failure::Usage)?, &asking, &message)?;
        let connections = match self.connections {
            Some(connections) => connections,
            None if self.rate.is_some() => CONNECTIONS_OPEN_MAX,
            None => CONNECTIONS_CLOSED.max(groups.len() * usize::from(self.lanes)),
        };
        check_connections(connections, groups.len() * usize::from(self.lanes), self.lanes)?;
        Ok(Plan {
            groups,
            rate: self.rate,
            arrivals: self.arrivals,
            connections,
            pipeline: self.pipeline.into(),
            lanes: self.lanes.into(),
            warm_up: self.warmup.unwrap_or(if self.requests.is_some() { Duration::ZERO } else { WARM_UP }),
            duration: self.requests.is_none().then_some(self.duration.unwrap_or(DURATION)),
            requests: self.requests,
            timeout: self.timeout,
            new_connection: self.new_connection,
            expected: Expected { status: self.expect_status, size: self.expect_size },
            message: message.into(),
        })
    }

    fn asking(&self) -> Result<Asking, Failure> {
        let body = self.content()?;
        let method = match &self.method {
            Some(method) => method.parse().map_err(|_| {
                Failure::Usage(format!("`{method}` is not a method; write it as GET or POST"))
            })?,
            None if !self.sends_content() => Method::GET,
            None => Method::POST,
        };
        if method == Method::CONNECT {
            return Err(Failure::Usage("CONNECT asks for a tunnel, which has no answers".to_owned()));
        }
        let mut asking = Asking {
            method,
            fields: Vec::new(),
            body: body.into(),
            close: self.new_connection,
            websocket: self.websocket,
        };
        for header in &self.header {
            let Some((name, value)) = header.split_once(':') else {
                return Err(Failure::Usage(format!(
                    "the header `{header}` has no colon; write it as 'Name: value'"
                )));
            };
            let (name, value) = (name.trim(), value.trim());
            let lower = name.to_ascii_lowercase();
            match lower.as_str() {
                "connection" if value.eq_ignore_ascii_case("keep-alive") => {}
                "connection"
                | "content-length"
                | "expect"
                | "keep-alive"
                | "te"
                | "transfer-encoding"
                | "upgrade"
                | "sec-websocket-key"
                | "sec-websocket-version" => {
                    return Err(Failure::Usage(format!(
                        "the header `{name}` says how a message is sent, which is decided here; see --new-connection, \
                         --body-size, --websocket"
                    )));
                }
                _ => asking.fields.push((name.to_owned(), value.to_owned())),
            }
        }
        Ok(asking)
    }

    fn sends_content(&self) -> bool {
        self.body.is_some() || self.body_file.is_some() || self.body_size.is_some()
    }

    fn content(&self) -> Result<Vec<u8>, Failure> {
        if let Some(path) = &self.body_file {
            return std::fs::read(path)
                .map_err(|error| Failure::Run(format!("cannot read {}: {error}", path.display())));
        }
        if let Some(size) = self.body_size {
            let size = usize::try_from(size).ok().filter(|size| *size <= 1 << 30);
            let size = size.ok_or_else(|| Failure::Usage("--body-size is at most 1g".to_owned()))?;
            return Ok(vec![b'x'; size]);
        }
        Ok(self.body.clone().unwrap_or_default().into_bytes())
    }
}

/// The URLs by the address that they share.
fn groups(urls: &[Url], asking: &Asking, message: &[u8]) -> Result<Vec<Arc<Group>>, Failure> {
    let weights: f64 = urls.iter().map(|url| url.weight).sum();
    let mut groups: Vec<Group> = Vec::new();
    for url in urls {
        let mut target = Target::new(url, asking).map_err(Failure::Usage)?;
        if asking.websocket {
            target = target.with_message(message);
        }
        let address = first_that_accepts(url)?;
        let at = groups.iter().position(|group| group.address == address).unwrap_or_else(|| {
            groups.push(Group { address, urls: Vec::new(), targets: Vec::new(), part: 0.0 });
            groups.len() - 1
        });
        groups[at].urls.push(url.clone());
        groups[at].targets.push(target);
        groups[at].part += url.weight / weights;
    }
    Ok(groups.into_iter().map(Arc::new).collect())
}

/// The first of a host's addresses that accepts a connection.
fn first_that_accepts(url: &Url) -> Result<Address, Failure> {
    let mut said = format!("the host of {url} has no address");
    for address in url.resolve().map_err(Failure::Run)? {
        let Some(socket) = address.socket() else { continue };
        match TcpStream::connect_timeout(&socket, FIRST_CONNECT_MAX) {
            Ok(_) => return Ok(address),
            Err(error) => {
                said = match error.kind() {
                    io::ErrorKind::ConnectionRefused => format!(
                        "cannot measure {url}: {address} refuses connections; is the server running, and on this port?"
                    ),
                    io::ErrorKind::TimedOut => {
                        format!("cannot measure {url}: no connection to {address} in {FIRST_CONNECT_MAX:?}")
                    }
                    _ => format!("cannot measure {url}: no connection to {address}: {error}"),
                }
            }
        }
    }
    Err(Failure::Run(said))
}

fn check_connections(connections: usize, least: usize, lanes: u16) -> Result<(), Failure> {
    if connections < least {
        return Err(Failure::Usage(format!(
            "--connections is to be at least {least}: one for each address on each lane"
        )));
    }
    let needed = connections as u64 + DESCRIPTORS_BESIDE + DESCRIPTORS_PER_LANE * u64::from(lanes);
    match corelane_engine::raise_descriptor_limit() {
        Ok(limit) if limit < needed => Err(Failure::Run(format!(
            "{connections} connections need {needed} descriptors and the limit is {limit}; raise it (ulimit -Hn {needed}) \
             or ask for fewer"
        ))),
        _ => Ok(()),
    }
}
