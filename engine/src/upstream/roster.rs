//! A cluster, as one lane sees it: who its endpoints are, and which of them comes next.

use super::{
    Cluster, Peer, UpstreamConnection,
    pool::Pool,
    turnstile::{Entry, Place},
};
use crate::{
    address::Address,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::system,
    lane::Lane,
    metrics::{EndpointStats, Endpoints, Metric},
};
use corelane_balancer::{EndpointId, Outcome, Picker, RetryBudget, Tried};
use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    time::Duration,
};

/// One endpoint of a cluster.
struct Endpoint {
    pool: Rc<Pool>,
    requests: Cell<u64>,
    failures: Cell<u64>,
}

impl Endpoint {
    fn failed(&self) {
        self.failures.set(self.failures.get() + 1);
    }
}

/// A cluster's endpoints, as they are until the next change. A request keeps to the roster that it began with.
pub(crate) struct Roster {
    lane: Lane,
    cluster: Cluster,
    endpoints: Vec<Rc<Endpoint>>,
    picker: RefCell<Picker>,
    /// For retries of all requests.
    budget: Rc<RefCell<RetryBudget>>,
}

impl Roster {
    /// For a cluster that has been resolved. Endpoints that `before` had, too, go on counting.
    fn new(lane: &Lane, cluster: &Cluster, before: Option<&Self>) -> Rc<Self> {
        // The pools hold on to it.
        let turnstile = lane.turnstile(cluster);
        let limited_by = turnstile.as_ref().map(|turnstile| turnstile.name.clone());
        let endpoint = |address: &Address| {
            let peer = Peer::http(address.unshared())
                .source(cluster.source_address())
                .limited_by(limited_by.clone());
            let known = before.and_then(|before| {
                before.endpoints.iter().find(|endpoint| endpoint.pool.peer == peer).cloned()
            });
            known.unwrap_or_else(|| {
                Rc::new(Endpoint { pool: lane.pool(&peer), requests: Cell::new(0), failures: Cell::new(0) })
            })
        };
        let picker = Picker::with_identities(cluster.policy(), &cluster.to_identities(), system::random());
        Rc::new(Self {
            lane: lane.clone(),
            endpoints: cluster.addresses().iter().map(endpoint).collect(),
            budget: before.map_or_else(
                || Rc::new(RefCell::new(RetryBudget::new(lane.now()))),
                |before| before.budget.clone(),
            ),
            picker: RefCell::new(picker.expect("the weights were checked when the cluster was resolved")),
            cluster: cluster.clone(),
        })
    }

    /// A request is made, of which so many per cent may be tried again.
    pub(crate) fn count_request(&self, budget_percent: u16) {
        self.budget.borrow_mut().request(budget_percent);
    }

    /// Whether one more retry may be made.
    pub(crate) fn has_retry(&self) -> bool {
        self.budget.borrow_mut().has_retry(self.lane.about_now())
    }

    /// Takes a retry, if there is one.
    pub(crate) fn try_retry(&self) -> bool {
        self.budget.borrow_mut().try_retry(self.lane.about_now())
    }

    pub(crate) fn name(&self) -> &str {
        self.cluster.as_name()
    }

    /// How many endpoints there are.
    pub(crate) fn len(&self) -> usize {
        self.endpoints.len()
    }

    pub(crate) fn address(&self, endpoint: EndpointId) -> &Address {
        self.endpoints[endpoint.index()].pool.peer.address()
    }

    /// Whether it matters what a request belongs to.
    pub(crate) fn asks_for_key(&self) -> bool {
        self.cluster.asks_for_key()
    }

    /// The next endpoint to try for what belongs to `key`.
    pub(crate) fn pick(&self, key: u64, tried: &Tried) -> Option<EndpointId> {
        let mut rng = self.lane.0.rng.borrow_mut();
        self.picker.borrow_mut().pick(key, self.lane.about_now(), &mut rng, tried)
    }

    /// The same endpoint once more.
    pub(crate) fn pick_again(&self, key: u64, endpoint: EndpointId) -> EndpointId {
        // The picker counts what is in flight by its picks; all others are ruled out for this one.
        let mut others = Tried::default();
        for index in 0..self.endpoints.len() {
            let other = EndpointId::new(index as u32);
            if other != endpoint {
                others.insert(other);
            }
        }
        self.pick(key, &others).unwrap_or(endpoint)
    }

    /// A connection to a picked endpoint: an idle one of this lane's whose origin has not closed it, else one of
    /// another lane's, else a new one. `fresh`: only a new one will do.
    pub(crate) async fn lease(
        self: &Rc<Self>,
        endpoint: EndpointId,
        fresh: bool,
        exchange: &Rc<Exchange>,
    ) -> Result<Lease> {
        let mut lease = Lease {
            connection: None,
            roster: self.clone(),
            endpoint,
            reused: false,
            outcome: Cell::new(Outcome::Cancelled),
            latency: Cell::new(Duration::ZERO),
        };
        let pool = &self.endpoints[endpoint.index()].pool;
        let mut idle = None;
        // Who has waited longer comes first.
        let has_queue = pool.turnstile.as_ref().is_some_and(|turnstile| turnstile.has_queue());
        if !fresh && !has_queue {
            idle = pool.reuse();
            if idle.is_none() && pool.board.richest(self.lane.id()).is_some() {
                idle = pool.borrow().await;
            }
        }
        let mut place = None;
        if idle.is_none()
            && let Some(turnstile) = &pool.turnstile
        {
            match turnstile.enter(pool, fresh, exchange).await? {
                Entry::Connection(connection) => idle = Some(connection),
                Entry::Place(free) => place = Some(free),
            }
        }
        lease.reused = idle.is_some();
        exchange.record(|record| record.attempt(pool.peer.address().clone(), lease.reused));
        lease.connection = Some(match idle {
            Some(connection) => {
                connection.set_settings(exchange.settings().clone());
                self.lane.0.metrics.count(Metric::UpstreamReused);
                connection
            }
            None => self.connect(&lease, place, exchange).await?,
        });
        let endpoint = &self.endpoints[endpoint.index()];
        endpoint.requests.set(endpoint.requests.get() + 1);
        self.lane.0.metrics.count(Metric::UpstreamRequests);
        Ok(lease)
    }

    async fn connect(
        &self,
        lease: &Lease,
        place: Option<Place>,
        exchange: &Exchange,
    ) -> Result<Box<UpstreamConnection>> {
        let endpoint = &self.endpoints[lease.endpoint.index()];
        let error = match endpoint.pool.connect(place, exchange).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        self.lane.0.metrics.count(Metric::UpstreamConnectErrors);
        if system::is_exhaustion(&error) {
            if error.kind() == io::ErrorKind::AddrNotAvailable {
                self.lane.0.metrics.count(Metric::UpstreamNoPort);
            }
            // No descriptor, port or memory is left here; that says nothing of the endpoint.
            return Err(Error::new(Side::Internal, Stage::Connect, ErrorKind::Exhausted));
        }
        lease.outcome.set(Outcome::Unreachable);
        endpoint.failed();
        endpoint.pool.unreachable(&error);
        Err(connect_failed(&error))
    }

    /// Another lane could not connect to this address.
    fn suspect(&self, address: &Address) {
        let now = self.lane.about_now();
        for (index, _) in
            self.endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.pool.peer.address() == address)
        {
            self.picker.borrow_mut().suspect(EndpointId::new(index as u32), now);
        }
    }
}

fn connect_failed(error: &io::Error) -> Error {
    Error::io(Side::Upstream, Stage::Connect, error)
}

/// A cluster on one lane: whoever asks for the same one on this lane has the same.
pub(crate) struct Members {
    roster: RefCell<Rc<Roster>>,
    /// The latest plan whose handlers have asked for it.
    asked_by: Cell<u64>,
}

impl Members {
    pub(crate) fn new(lane: &Lane, cluster: &Cluster) -> Rc<Self> {
        Rc::new(Self {
            roster: RefCell::new(Roster::new(lane, cluster, None)),
            asked_by: Cell::new(lane.0.plan.get()),
        })
    }

    /// As it is now.
    pub(crate) fn roster(&self) -> Rc<Roster> {
        self.roster.borrow().clone()
    }

    /// Whether this is that cluster.
    pub(crate) fn is_of(&self, cluster: &Cluster) -> bool {
        self.roster.borrow().cluster == *cluster
    }

    /// Whether nothing is under way to it, and nothing idle.
    pub(crate) fn is_at_rest(&self) -> bool {
        let roster = self.roster.borrow();
        // A lease holds on to it.
        Rc::strong_count(&roster) == 1 && roster.endpoints.iter().all(|endpoint| endpoint.pool.idle() == 0)
    }

    /// The cluster of this name has become another: requests from now on go by it.
    pub(crate) fn update(&self, cluster: &Cluster) {
        let before = self.roster();
        if before.name() == cluster.as_name() && before.cluster != *cluster {
            let after = Roster::new(&before.lane, cluster, Some(&before));
            *self.roster.borrow_mut() = after;
            self.hold_limit();
        }
    }

    /// Handlers of this plan ask for it.
    pub(crate) fn ask(&self, plan: u64) {
        self.asked_by.set(plan);
    }

    /// The latest plan whose handlers have asked for it.
    pub(crate) fn asked_by(&self) -> u64 {
        self.asked_by.get()
    }

    /// What it says of its connection maximum holds.
    pub(crate) fn hold_limit(&self) {
        let roster = self.roster();
        if let (Some(turnstile), Some(limit)) =
            (roster.lane.turnstile(&roster.cluster), roster.cluster.limit())
        {
            turnstile.hold(limit);
        }
    }

    /// Another lane could not connect to this address.
    pub(crate) fn suspect(&self, address: &Address) {
        self.roster.borrow().suspect(address);
    }
}

impl Endpoints for Members {
    fn name(&self) -> String {
        self.roster.borrow().name().to_owned()
    }

    fn stats(&self) -> Vec<EndpointStats> {
        let roster = self.roster.borrow();
        let picker = roster.picker.borrow();
        let stats = |(index, endpoint): (usize, &Rc<Endpoint>)| EndpointStats {
            address: endpoint.pool.peer.address().clone(),
            requests: endpoint.requests.get(),
            failures: endpoint.failures.get(),
            in_flight: u64::from(picker.in_flight(EndpointId::new(index as u32))),
            idle: endpoint.pool.idle() as u64,
        };
        roster.endpoints.iter().enumerate().map(stats).collect()
    }
}

/// A connection on loan. When it is dropped it goes back to the pool, if both directions stand at a message boundary;
/// otherwise it is closed, which is also how work at the origin is cancelled.
pub(crate) struct Lease {
    connection: Option<Box<UpstreamConnection>>,
    roster: Rc<Roster>,
    endpoint: EndpointId,
    pub(crate) reused: bool,
    outcome: Cell<Outcome>,
    /// How long its answer took, from the connect on.
    latency: Cell<Duration>,
}

impl Lease {
    pub(crate) fn connection(&self) -> &UpstreamConnection {
        self.connection.as_ref().expect("a lease has its connection until it is dropped")
    }

    pub(crate) fn address(&self) -> &Address {
        self.pool().peer.address()
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.roster.lane
    }

    fn endpoint(&self) -> &Endpoint {
        &self.roster.endpoints[self.endpoint.index()]
    }

    fn pool(&self) -> &Rc<Pool> {
        &self.endpoint().pool
    }

    /// The head of its answer came after so long, or it was given up then.
    pub(crate) fn set_latency(&self, latency: Duration) {
        self.latency.set(latency);
    }

    /// What this attempt says of its endpoint.
    pub(crate) fn judge(&self, outcome: Outcome) {
        if outcome == Outcome::Failure {
            self.endpoint().failed();
        }
        self.outcome.set(outcome);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let now = self.lane().about_now();
        self.roster.picker.borrow_mut().done(self.endpoint, self.outcome.get(), self.latency.get(), now);
        if let Some(connection) = self.connection.take()
            && connection.may_reuse()
        {
            let idle_max =
                self.roster.cluster.idle().unwrap_or(self.lane().settings().timeouts.upstream_idle);
            self.pool().give_back(connection, idle_max);
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({}, reused: {})", self.address(), self.reused)
    }
}

/// The error of an attempt that timed out while it was waiting for the origin.
pub(crate) const fn too_late(stage: Stage) -> Error {
    Error::new(Side::Upstream, stage, ErrorKind::Timeout)
}
