//! One lane's connections to a cluster: a picker, and the idle ones of each endpoint.

use super::{Cluster, UpstreamConnection};
use crate::{
    address::Address,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::{Connection, Stream},
    lane::Lane,
    metrics::{EndpointStats, Endpoints, Metric},
    sink::Event,
    sys,
};
use corelane_balancer::{EndpointId, Outcome, Picker, Tried};
use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

/// Idle connections kept for one endpoint.
const IDLE_MAX: usize = 1024;

struct Endpoint {
    address: Address,
    /// Most recently used last.
    #[expect(clippy::vec_box, reason = "the box is what is used again")]
    idle: RefCell<Vec<Box<UpstreamConnection>>>,
    requests: Cell<u64>,
    failures: Cell<u64>,
    /// When a failure to connect was said last.
    said: Cell<Option<Duration>>,
}

/// A cluster, as one lane sees it.
pub(crate) struct UpstreamPool {
    lane: Lane,
    cluster: Cluster,
    endpoints: Vec<Endpoint>,
    picker: RefCell<Picker>,
}

/// What a sweep saw.
pub(crate) struct Swept {
    pub(crate) idle: usize,
    pub(crate) released: usize,
}

impl UpstreamPool {
    /// A pool for a cluster that has been resolved.
    pub(crate) fn new(lane: &Lane, cluster: &Cluster) -> Rc<Self> {
        let endpoint = |address: &Address| Endpoint {
            address: address.unshared(),
            idle: RefCell::default(),
            requests: Cell::new(0),
            failures: Cell::new(0),
            said: Cell::new(None),
        };
        let picker = Picker::with_identities(cluster.policy(), &cluster.to_identities(), sys::random());
        Rc::new(Self {
            lane: lane.clone(),
            cluster: cluster.clone(),
            endpoints: cluster.addresses().iter().map(endpoint).collect(),
            picker: RefCell::new(picker.expect("the weights were checked when the cluster was resolved")),
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.cluster.as_name()
    }

    /// Whether it is a pool for this cluster.
    pub(crate) fn is_of(&self, cluster: &Cluster) -> bool {
        self.cluster == *cluster
    }

    /// The next endpoint to try.
    pub(crate) fn pick(&self, tried: &Tried) -> Option<EndpointId> {
        let mut rng = self.lane.0.rng.borrow_mut();
        self.picker.borrow_mut().pick(0, self.lane.about_now(), &mut rng, tried)
    }

    /// The same endpoint once more.
    pub(crate) fn pick_again(&self, endpoint: EndpointId) -> EndpointId {
        // The picker counts what is in flight by its picks; all others are ruled out for this one.
        let mut others = Tried::default();
        for index in 0..self.endpoints.len() {
            let other = EndpointId::new(index as u32);
            if other != endpoint {
                others.insert(other);
            }
        }
        self.pick(&others).unwrap_or(endpoint)
    }

    /// A connection to a picked endpoint: a pooled one whose origin has not closed it, else a new one.
    pub(crate) async fn lease(
        self: &Rc<Self>,
        endpoint: EndpointId,
        fresh: bool,
        exchange: &Rc<Exchange>,
    ) -> Result<Lease> {
        let mut lease = Lease {
            connection: None,
            pool: self.clone(),
            endpoint,
            reused: false,
            outcome: Cell::new(Outcome::Cancelled),
        };
        if !fresh && let Some(connection) = self.reuse(endpoint) {
            connection.set_settings(exchange.settings().clone());
            (lease.connection, lease.reused) = (Some(connection), true);
            self.lane.0.metrics.count(Metric::UpstreamReused);
        }
        let address = &self.endpoints[endpoint.index()].address;
        exchange.record(|record| record.attempt(address.clone(), lease.reused));
        if lease.connection.is_none() {
            match self.connect(address, exchange).await {
                Ok(connection) => lease.connection = Some(connection),
                Err(error) if sys::is_exhaustion(&error) => {
                    // No descriptor, port or memory is left here; that says nothing of the endpoint.
                    self.lane.0.metrics.count(Metric::UpstreamConnectErrors);
                    return Err(Error::new(Side::Internal, Stage::Connect, ErrorKind::Exhausted));
                }
                Err(error) => {
                    lease.outcome.set(Outcome::Unreachable);
                    self.unreachable(endpoint, &error);
                    return Err(Error::io(Side::Upstream, Stage::Connect, &error));
                }
            }
        }
        let endpoint = &self.endpoints[endpoint.index()];
        endpoint.requests.set(endpoint.requests.get() + 1);
        self.lane.0.metrics.count(Metric::UpstreamRequests);
        Ok(lease)
    }

    fn reuse(&self, endpoint: EndpointId) -> Option<Box<UpstreamConnection>> {
        let mut idle = self.endpoints[endpoint.index()].idle.borrow_mut();
        while let Some(connection) = idle.pop() {
            self.lane.0.metrics.sub(Metric::UpstreamIdle);
            if !connection.stirs() {
                connection.idle_due.set(None);
                return Some(connection);
            }
            self.lane.0.metrics.count(Metric::UpstreamStale);
        }
        None
    }

    async fn connect(&self, address: &Address, exchange: &Exchange) -> io::Result<Box<UpstreamConnection>> {
        let began = self.lane.now();
        let due = self.lane.after(exchange.settings().timeouts.connect);
        let mut connecting = pin!(Stream::connect(address));
        let stream = poll_fn(|cx| {
            exchange.begin_wait(cx);
            if let Poll::Ready(result) = connecting.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if exchange.expired(due) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending
        })
        .await;
        exchange.mark_connected(self.lane.look().saturating_sub(began));
        let stream = stream?;
        self.lane.0.metrics.count(Metric::UpstreamConnects);
        let io = Connection::new(stream, &self.lane.0.buffers, &self.lane.0.pumps);
        Ok(Box::new(UpstreamConnection::new(&self.lane, io, exchange.settings().clone())))
    }

    fn unreachable(&self, endpoint: EndpointId, error: &io::Error) {
        const SAY_AGAIN: Duration = Duration::from_secs(1);
        self.lane.0.metrics.count(Metric::UpstreamConnectErrors);
        let endpoint = &self.endpoints[endpoint.index()];
        endpoint.failures.set(endpoint.failures.get() + 1);
        let now = self.lane.now();
        if endpoint.said.get().is_none_or(|said| now.saturating_sub(said) >= SAY_AGAIN) {
            endpoint.said.set(Some(now));
            self.lane
                .event(&Event::Unreachable { endpoint: endpoint.address.clone(), error: error.to_string() });
        }
    }

    /// Closes what has been idle for too long or was closed by its origin; takes buffers from what rests.
    pub(crate) fn sweep(&self, lane: &Lane) -> Swept {
        let mut swept = Swept { idle: 0, released: 0 };
        for endpoint in &self.endpoints {
            endpoint.idle.borrow_mut().retain(|connection| {
                let expired = connection.idle_due.get().is_none_or(|due| lane.0.wheel.passed(due));
                if expired || connection.stirs() {
                    return false;
                }
                swept.released += usize::from(connection.release());
                swept.idle += 1;
                true
            });
        }
        swept
    }

    /// Closes what is idle.
    pub(crate) fn close(&self) {
        for endpoint in &self.endpoints {
            endpoint.idle.borrow_mut().clear();
        }
    }

    fn give_back(&self, endpoint: EndpointId, connection: Box<UpstreamConnection>) {
        let mut idle = self.endpoints[endpoint.index()].idle.borrow_mut();
        if idle.len() < IDLE_MAX && !self.lane.is_draining() {
            connection.rest(self.lane.after(self.lane.settings().timeouts.upstream_idle));
            idle.push(connection);
            self.lane.0.metrics.add(Metric::UpstreamIdle, 1);
        }
    }
}

impl Endpoints for UpstreamPool {
    fn name(&self) -> &str {
        self.cluster.as_name()
    }

    fn stats(&self) -> Vec<EndpointStats> {
        let picker = self.picker.borrow();
        let stats = |(index, endpoint): (usize, &Endpoint)| EndpointStats {
            address: endpoint.address.clone(),
            requests: endpoint.requests.get(),
            failures: endpoint.failures.get(),
            in_flight: u64::from(picker.in_flight(EndpointId::new(index as u32))),
            idle: endpoint.idle.borrow().len() as u64,
        };
        self.endpoints.iter().enumerate().map(stats).collect()
    }
}

/// A connection on loan. When it is dropped it goes back to the pool, if both directions stand at a message boundary;
/// otherwise it is closed, which is also how work at the origin is cancelled.
pub(crate) struct Lease {
    connection: Option<Box<UpstreamConnection>>,
    pool: Rc<UpstreamPool>,
    endpoint: EndpointId,
    pub(crate) reused: bool,
    outcome: Cell<Outcome>,
}

impl Lease {
    pub(crate) fn connection(&self) -> &UpstreamConnection {
        self.connection.as_ref().expect("a lease has its connection until it is dropped")
    }

    pub(crate) fn address(&self) -> &Address {
        &self.pool.endpoints[self.endpoint.index()].address
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.pool.lane
    }

    /// What this attempt says of its endpoint.
    pub(crate) fn judge(&self, outcome: Outcome) {
        if outcome == Outcome::Failure {
            let endpoint = &self.pool.endpoints[self.endpoint.index()];
            endpoint.failures.set(endpoint.failures.get() + 1);
        }
        self.outcome.set(outcome);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let now = self.pool.lane.about_now();
        self.pool.picker.borrow_mut().done(self.endpoint, self.outcome.get(), Duration::ZERO, now);
        if let Some(connection) = self.connection.take()
            && connection.may_reuse()
        {
            self.pool.give_back(self.endpoint, connection);
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
