//! Requests to anybody, by URL.

use crate::{
    address::Address,
    engine::StartError,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::Map,
    lane::Lane,
    message::{Request, Response},
    upstream::{Cluster, Peer, Upstream},
};
use http::Method;
use std::{
    borrow::BorrowMut,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

/// How long the addresses of a name are taken for granted.
const KNOWN: Duration = Duration::from_secs(30);
/// Names whose addresses a lane remembers.
const NAMES_MAX: usize = 256;

/// Sends requests of our own to whoever their URL names, on the connections of its lane.
///
/// ```no_run
/// use corelane_engine::{Client, Method, Request};
///
/// let content = Client::run(async |client: Client| {
///     let mut response = client.get("http://example.com/").await?;
///     println!("{} from {}", response.status(), response.upstream().expect("it was asked").address);
///     let request = Request::new(Method::PUT, "http://example.com/copy");
///     client.send(request.with_body(std::mem::take(response.body_mut()))).await?.body_mut().collect(1 << 20).await
/// })??;
/// # Ok::<(), corelane_engine::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    lane: Lane,
}

/// What a lane knows of names.
pub(crate) type Names = Map<String, Known>;

/// A name's addresses.
pub(crate) struct Known {
    upstream: Upstream,
    until: Duration,
}

impl Lane {
    /// A client on this lane.
    pub fn client(&self) -> Client {
        Client { lane: self.clone() }
    }
}

impl Client {
    /// Runs a lane without listeners on the calling thread until `main` has ended: a program that only sends requests.
    ///
    /// # Panics
    /// On a thread that has a lane already.
    ///
    /// # Errors
    /// The lane cannot be set up.
    pub fn run<T>(main: impl AsyncFnOnce(Self) -> T) -> Result<T, StartError> {
        Lane::run(async |lane: Lane| main(lane.client()).await)
    }

    /// Its lane.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Gets what is at a URL: `http://HOST[:PORT]/PATH`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn get(&self, url: &str) -> Result<Response> {
        self.send(Request::new(Method::GET, url)).await
    }

    /// Sends a request to the host that its target named when it was [made](Request::new) (that is, to whom its `Host`
    /// is). The host's addresses are looked up on another thread, and remembered for 30 s; an address that cannot be
    /// connected to is followed by the next.
    ///
    /// # Errors
    /// The host has not been named or cannot be found (502); and as
    /// [`Upstream::send`](crate::Upstream::send).
    pub async fn send(&self, mut request: impl BorrowMut<Request>) -> Result<Response> {
        if request.borrow().head().target.starts_with(b"https:") {
            return Err(Error::internal("https is not spoken yet"));
        }
        let host = request.borrow().authority().to_owned();
        let upstream = self.upstream(&host).await?;
        upstream.send(request.borrow_mut()).await
    }

    async fn upstream(&self, host: &str) -> Result<Upstream> {
        let with_port = match host.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => host.to_owned(),
            _ => format!("{host}:80"),
        };
        if let Ok(address) = with_port.parse::<SocketAddr>() {
            return Ok(self.lane.connect_to(Peer::http(address)));
        }
        let now = self.lane.now();
        if let Some(known) = self.lane.0.names.borrow_mut().get_mut(&with_port) {
            let upstream = known.upstream.clone();
            if now >= known.until {
                // One looks again, and the old addresses do until it has found others.
                known.until = now + KNOWN;
                let client = self.clone();
                let host = host.to_owned();
                self.lane.spawn(async move { drop(client.look_up(&host, with_port).await) });
            }
            return Ok(upstream);
        }
        if host.is_empty() {
            return Err(Error::internal("the request names no host: its target is to be http://HOST/PATH"));
        }
        self.look_up(host, with_port).await
    }

    /// Finds the addresses of a host and remembers them; what is known of it stays if there are none.
    async fn look_up(&self, host: &str, with_port: String) -> Result<Upstream> {
        let now = self.lane.now();
        let name = with_port.clone();
        let found =
            self.lane.offload(move || name.to_socket_addrs().map(Iterator::collect::<Vec<_>>)).await?;
        let addresses: Vec<Address> = found.unwrap_or_default().into_iter().map(Address::Ip).collect();
        if addresses.is_empty() {
            let unknown = Error::new(Side::Upstream, Stage::Route, ErrorKind::NoEndpoint);
            return Err(unknown.with_source(format!("{host} cannot be found")));
        }
        let upstream = self.lane.unlisted(&Cluster::of_addresses(host, addresses));
        let mut names = self.lane.0.names.borrow_mut();
        if names.len() >= NAMES_MAX {
            names.retain(|_, known| now < known.until);
        }
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(with_port, Known { upstream: upstream.clone(), until: now + KNOWN });
        Ok(upstream)
    }
}
