//! A recipe for an upstream: endpoints and how to choose among them.

use super::Peer;
use crate::{
    address::{Address, ToAddresses},
    io::system,
};
use corelane_balancer::{Factory, InvalidWeights, Picker, Policy, hash_bytes};
use std::{io, net::IpAddr, time::Duration};

/// A group of endpoints that serve the same thing. It is a recipe: plain data that is sent to every lane, where
/// [`Lane::upstream`](crate::Lane::upstream) makes a picker and a pool of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    name: String,
    policy: Policy,
    endpoints: Vec<(String, u32)>,
    addresses: Vec<Address>,
    weights: Vec<u32>,
    connections_max: Option<u32>,
    queue: Queue,
    idle_max: Option<Duration>,
    source: Option<IpAddr>,
}

/// Requests that wait for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Queue {
    requests_max: u32,
    wait_max: Duration,
}

impl Cluster {
    fn new(policy: Policy, endpoints: impl IntoIterator<Item = (String, u32)>) -> Self {
        Self {
            name: "default".to_owned(),
            policy,
            endpoints: endpoints.into_iter().collect(),
            addresses: Vec::new(),
            weights: Vec::new(),
            connections_max: None,
            queue: Queue { requests_max: 1024, wait_max: Duration::from_secs(1) },
            idle_max: None,
            source: None,
        }
    }

    fn equal(policy: Policy, endpoints: impl IntoIterator<Item: AsRef<str>>) -> Self {
        Self::new(policy, endpoints.into_iter().map(|endpoint| (endpoint.as_ref().to_owned(), 1)))
    }

    /// One peer by itself.
    pub(crate) fn of_peer(peer: &Peer) -> Self {
        let name = peer.address().to_string();
        Self { source: peer.source_address(), ..Self::of_addresses(&name, vec![peer.address().unshared()]) }
    }

    /// The addresses of one name, one after the other.
    pub(crate) fn of_addresses(name: &str, addresses: Vec<Address>) -> Self {
        let weights = vec![1; addresses.len()];
        Self { addresses, weights, ..Self::new(Policy::RoundRobin, []) }.name(name)
    }

    /// One endpoint after the other.
    pub fn round_robin(endpoints: impl IntoIterator<Item: AsRef<str>>) -> Self {
        Self::equal(Policy::RoundRobin, endpoints)
    }

    /// In turn, by weight: as smooth as nginx's.
    pub fn weighted_round_robin(endpoints: impl IntoIterator<Item = (impl AsRef<str>, u32)>) -> Self {
        let endpoints =
            endpoints.into_iter().map(|(endpoint, weight)| (endpoint.as_ref().to_owned(), weight));
        Self::new(Policy::WeightedRoundRobin, endpoints)
    }

    /// At random.
    pub fn random(endpoints: impl IntoIterator<Item: AsRef<str>>) -> Self {
        Self::equal(Policy::Random, endpoints)
    }

    /// The one with the fewest requests in flight, seen from the lane.
    pub fn least_request(endpoints: impl IntoIterator<Item: AsRef<str>>) -> Self {
        Self::equal(Policy::LeastRequest, endpoints)
    }

    /// The less loaded of two drawn at random: nearly as good as [`least_request`](Self::least_request), and lanes do
    /// not all run to the same endpoint.
    pub fn p2c(endpoints: impl IntoIterator<Item: AsRef<str>>) -> Self {
        Self::equal(Policy::P2c, endpoints)
    }

    /// Requests that belong together go to the same endpoint: by default those of one client, else what
    /// [`Request::balance_by`](crate::Request::balance_by) says. Every lane, process and machine with the same
    /// endpoints chooses alike, and few requests move when an endpoint comes or goes: see [`Policy::Hash`].
    pub fn hash(endpoints: impl IntoIterator<Item: AsRef<str>>) -> Self {
        Self::equal(Policy::Hash, endpoints)
    }

    /// By a policy of one's own: `factory` makes one [`Choose`](corelane_balancer::Choose) for each lane.
    ///
    /// ```
    /// use corelane_engine::{
    ///     Cluster,
    ///     balancer::{Candidate, Candidates, Choose, EndpointId, Factory, Rng},
    /// };
    /// use std::time::Duration;
    ///
    /// /// Keys below 2^63 prefer the first endpoint, the others the last.
    /// struct Halves;
    ///
    /// impl Choose for Halves {
    ///     fn choose(&mut self, all: &Candidates<'_>, key: u64, _: Duration, _: &mut Rng) -> Option<EndpointId> {
    ///         let mut all = all.iter();
    ///         let chosen = if key < 1 << 63 { all.next() } else { all.last() };
    ///         chosen.map(|one: Candidate<'_>| one.id())
    ///     }
    /// }
    ///
    /// let cluster = Cluster::custom(["127.0.0.1:9001", "127.0.0.1:9002"], Factory::new(|| Halves));
    /// ```
    pub fn custom(endpoints: impl IntoIterator<Item: AsRef<str>>, factory: Factory) -> Self {
        Self::equal(Policy::Custom(factory), endpoints)
    }

    /// Connections come from this address of the machine's; the port is the system's choice. Of an endpoint's
    /// addresses those of the same family are used; unix sockets are not concerned. Default: whatever address the
    /// system thinks best.
    #[must_use]
    pub fn source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Weights for all but [`round_robin`](Self::round_robin): in the order of the endpoints; what is left out weighs
    /// 1.
    #[must_use]
    pub fn weights(mut self, weights: impl IntoIterator<Item = u32>) -> Self {
        for (endpoint, weight) in self.endpoints.iter_mut().zip(weights) {
            endpoint.1 = weight;
        }
        self
    }

    /// A name for logs and metrics; `default` without.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The most connections to all endpoints together, of all lanes together, idle ones included; 0 is taken for 1.
    /// Requests that find none [wait](Self::queue). The cluster's [name](Self::name) must be its own. Default: no limit.
    #[must_use]
    pub fn connections_max(mut self, max: Option<u32>) -> Self {
        self.connections_max = max.map(|max| max.max(1));
        self
    }

    /// How many requests, of all lanes together, may wait for one of [so many connections](Self::connections_max), and
    /// for how long; others get a 503. Default: 1,024 requests, 1 s.
    #[must_use]
    pub fn queue(mut self, requests_max: u32, wait_max: Duration) -> Self {
        self.queue = Queue { requests_max, wait_max };
        self
    }

    /// How long a connection is kept that nothing is sent on. Default: [`Timeouts::upstream_idle`](crate::Timeouts).
    #[must_use]
    pub fn idle_max(mut self, idle_max: Duration) -> Self {
        self.idle_max = Some(idle_max);
        self
    }

    /// Looks the endpoints' names up, once and blocking: call it before the engine starts, to see errors early. An
    /// endpoint is `ADDRESS:PORT`, `[ADDRESS]:PORT`, `NAME:PORT` or `unix:PATH`; a name with several addresses is that
    /// many endpoints. Without it, [`Lane::upstream`](crate::Lane::upstream) does it as the lane starts.
    ///
    /// # Errors
    /// A name or an address that cannot be understood or found, or that cannot be reached from the
    /// [source](Self::source); a source that is none of this machine's; and weights that cannot be
    /// ([`InvalidWeights`](corelane_balancer::InvalidWeights)): with the endpoint in the message.
    pub fn resolve(mut self) -> io::Result<Self> {
        if let Some(source) = self.source {
            system::check_source(source).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot connect from the source {source}: {error}"))
            })?;
        }
        let (mut addresses, mut weights) = (Vec::new(), Vec::new());
        for (endpoint, weight) in &self.endpoints {
            let found = endpoint
                .to_addresses()
                .map_err(|error| io::Error::new(error.kind(), format!("upstream {endpoint:?}: {error}")))?;
            let before = addresses.len();
            addresses.extend(found.into_iter().filter(|address| self.reaches(address)));
            if addresses.len() == before {
                let why = format!("upstream {endpoint:?} has no address of the family of its source");
                return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, why));
            }
            weights.resize(addresses.len(), *weight);
        }
        Picker::check(&weights).map_err(|error: InvalidWeights| {
            io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
        })?;
        (self.addresses, self.weights) = (addresses, weights);
        Ok(self)
    }

    /// The addresses, once [`resolve`](Self::resolve) has found them.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Whether an address can be connected to from the source.
    fn reaches(&self, address: &Address) -> bool {
        match (self.source, address.ip()) {
            (Some(source), Some(ip)) => source.is_ipv4() == ip.is_ipv4(),
            _ => true,
        }
    }

    pub(crate) const fn source_address(&self) -> Option<IpAddr> {
        self.source
    }

    /// Whether it matters what a request belongs to.
    pub(crate) const fn asks_for_key(&self) -> bool {
        matches!(self.policy, Policy::Hash | Policy::Custom(_))
    }

    /// How to choose.
    pub fn policy(&self) -> Policy {
        self.policy.clone()
    }

    pub(crate) fn idle(&self) -> Option<Duration> {
        self.idle_max
    }

    /// The most connections, the most requests in the queue, and the longest wait there.
    pub(crate) fn limit(&self) -> Option<(u32, u32, Duration)> {
        self.connections_max.map(|max| (max, self.queue.requests_max, self.queue.wait_max))
    }

    pub(crate) fn as_name(&self) -> &str {
        &self.name
    }

    /// Each address's weight, and what it is wherever it stands in the list.
    pub(crate) fn to_identities(&self) -> Vec<(u32, u64)> {
        let identity = |address: &Address| hash_bytes(address.to_string().as_bytes());
        self.weights.iter().copied().zip(self.addresses.iter().map(identity)).collect()
    }

    pub(crate) fn is_resolved(&self) -> bool {
        self.addresses.len() >= self.endpoints.len()
    }
}
