//! Counting, without sharing: each lane has its own numbers, and a reader gets a copy.

use crate::{
    address::Address,
    io::driver::Running,
    record::{End, Record},
    times::Times,
};
use hdrhistogram::Histogram;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::{Rc, Weak},
    time::Duration,
};

macro_rules! metrics {
    ($($name:ident $kind:ident $text:literal $help:literal;)*) => {
        /// The numbers that a lane keeps.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Metric { $(#[doc = $help] $name,)* }

        impl Metric {
            /// Every metric, in the order of their values in a [`Snapshot`].
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, in Prometheus's manner and without a prefix.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it counts.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }

            /// Whether it goes up and down.
            pub const fn is_gauge(self) -> bool {
                match self { $(Self::$name => metrics!(@ $kind),)* }
            }
        }
    };
    (@ gauge) => { true };
    (@ counter) => { false };
}

metrics! {
    Connections counter "connections_total" "Client connections accepted.";
    ConnectionsOpen gauge "connections_open" "Client connections open.";
    ConnectionsIdle gauge "connections_idle" "Client connections open that wait for a request and hold no buffer.";
    ConnectionsRefused counter "connections_refused_total" "Client connections closed at once, because their source had as many as it may.";
    AcceptErrors counter "accept_errors_total" "Failures to accept a connection, such as no descriptor left.";
    Requests counter "requests_total" "Requests whose head was read, and messages that were refused.";
    RequestsOpen gauge "requests_open" "Exchanges in flight.";
    Responses1xx counter "responses_1xx_total" "Responses sent with a status of 1xx, a switch of protocols among them.";
    Responses2xx counter "responses_2xx_total" "Responses sent with a status of 2xx.";
    Responses3xx counter "responses_3xx_total" "Responses sent with a status of 3xx.";
    Responses4xx counter "responses_4xx_total" "Responses sent with a status of 4xx.";
    Responses5xx counter "responses_5xx_total" "Responses sent with a status of 5xx.";
    RequestBytes counter "request_content_bytes_total" "Content received from clients, in bytes.";
    ResponseBytes counter "response_content_bytes_total" "Content sent to clients, in bytes.";
    UpstreamConnects counter "upstream_connects_total" "Upstream connections made.";
    UpstreamConnectErrors counter "upstream_connect_errors_total" "Upstream connections that could not be made.";
    UpstreamRequests counter "upstream_requests_total" "Requests sent to origins, retries among them.";
    UpstreamReused counter "upstream_reused_total" "Requests sent on a pooled connection.";
    UpstreamNoPort counter "upstream_no_port_total" "Upstream connections that could not be made because no local address or port was left for them.";
    UpstreamIdle gauge "upstream_idle" "Upstream connections in the pool.";
    UpstreamStale counter "upstream_stale_total" "Pooled connections that were found closed, or with stray bytes.";
    UpstreamBorrowed counter "upstream_borrowed_total" "Requests sent on a pooled connection that another lane has lent.";
    UpstreamLent counter "upstream_lent_total" "Pooled connections lent to another lane.";
    UpstreamQueued counter "upstream_queued_total" "Requests that waited because their cluster had as many connections as it may.";
    UpstreamQueueRefused counter "upstream_queue_refused_total" "Requests refused because that queue was full.";
    Letters counter "letters_total" "Messages sent to other lanes.";
    Retries counter "retries_total" "Attempts after the first.";
    RetriesRefused counter "retries_refused_total" "Failures that were not tried again because the budget for retries was spent.";
    Tunnels counter "tunnels_total" "Connections switched to another protocol.";
    TunnelsOpen gauge "tunnels_open" "Tunnels open.";
    Panics counter "panics_total" "Exchanges whose handler panicked.";
    EnginePanics counter "engine_panics_total" "Panics outside an exchange, after which the lane went on.";
    RequestsShed counter "requests_shed_total" "Requests refused because the process runs short of memory or descriptors.";
    ConnectionsShed counter "connections_shed_total" "Idle connections, of clients and to upstreams, closed because the process runs short of memory or descriptors.";
    Slow counter "requests_slow_total" "Requests that took so long that the flight recorder keeps them.";
    Deadlines gauge "deadlines" "Deadlines that the lane keeps, those that no longer matter among them.";
    BuffersKept gauge "buffers_kept" "Free buffers that the lane holds.";
    Tasks gauge "tasks" "Tasks of the lane's own and of handlers that run beside requests.";
}

macro_rules! phases {
    ($($name:ident $text:literal $help:literal;)*) => {
        /// What a lane keeps a histogram of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Phase { $(#[doc = $help] $name,)* }

        impl Phase {
            /// Every phase, in the order of their histograms in a [`Snapshot`].
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it is the time of.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }
        }
    };
}

phases! {
    Request "request" "A whole exchange, from the end of the request's head.";
    Queue "queue" "What a head that had come waited for behind other tasks of its lane. It comes before request.";
    Parse "parse" "Receiving and parsing a head, without waiting for the client. It comes before request.";
    Route "route" "The handler's own time, until it asked for an upstream or answered.";
    Connect "connect" "Connecting to an upstream, for exchanges that did.";
    Wait "wait" "From the request's first byte out to the head of the response.";
    Transfer "transfer" "From the head of the response to the end of the exchange.";
    Behind "behind" "What an exchange waited for behind other tasks of its lane, after its head: a part of wait, connect and transfer.";
    Turn "turn" "A turn of the lane: how long it ran tasks before it looked at the kernel again. It is no part of a request.";
}

/// A counter of the handler's own, merged over lanes and shown on `/metrics`.
#[derive(Debug, Clone)]
pub struct Counter(Rc<Cell<u64>>);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get().wrapping_add(n));
    }

    /// This lane's count.
    pub fn value(&self) -> u64 {
        self.0.get()
    }
}

/// What a lane knows of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStats {
    /// The endpoint.
    pub address: Address,
    /// Requests sent to it.
    pub requests: u64,
    /// Attempts that got no answer.
    pub failures: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Pooled connections to it.
    pub idle: u64,
}

/// A source of [`EndpointStats`]: a cluster as a lane sees it.
pub(crate) trait Endpoints {
    fn name(&self) -> String;
    fn stats(&self) -> Vec<EndpointStats>;
}

/// A lane's numbers.
pub(crate) struct Metrics {
    values: Vec<Cell<u64>>,
    ends: [Cell<u64>; End::ALL.len()],
    phases: [Times; Phase::ALL.len()],
    counters: RefCell<BTreeMap<String, Counter>>,
    clusters: RefCell<Vec<Weak<dyn Endpoints>>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            values: Metric::ALL.iter().map(|_| Cell::new(0)).collect(),
            ends: Default::default(),
            phases: std::array::from_fn(|_| Times::new()),
            counters: RefCell::default(),
            clusters: RefCell::default(),
        }
    }

    pub(crate) fn add(&self, metric: Metric, n: u64) {
        let value = &self.values[metric as usize];
        value.set(value.get().wrapping_add(n));
    }

    pub(crate) fn count(&self, metric: Metric) {
        self.add(metric, 1);
    }

    pub(crate) fn sub(&self, metric: Metric) {
        self.take(metric, 1);
    }

    pub(crate) fn take(&self, metric: Metric, n: u64) {
        let value = &self.values[metric as usize];
        value.set(value.get().checked_sub(n).expect("a gauge goes down as often as up"));
    }

    pub(crate) fn set(&self, metric: Metric, n: u64) {
        self.values[metric as usize].set(n);
    }

    pub(crate) fn value(&self, metric: Metric) -> u64 {
        self.values[metric as usize].get()
    }

    pub(crate) fn counter(&self, name: &str) -> Counter {
        let mut counters = self.counters.borrow_mut();
        if let Some(counter) = counters.get(name) {
            return counter.clone();
        }
        let counter = Counter(Rc::default());
        counters.insert(name.to_owned(), counter.clone());
        counter
    }

    /// Shows a cluster's endpoints as long as somebody uses it.
    pub(crate) fn watch(&self, cluster: Weak<dyn Endpoints>) {
        let mut clusters = self.clusters.borrow_mut();
        // Only when it would grow: thousands may be added at once.
        if clusters.len() == clusters.capacity() {
            clusters.retain(|cluster| cluster.strong_count() > 0);
        }
        clusters.push(cluster);
    }

    pub(crate) fn record(&self, record: &Record) {
        self.ends[record.end as usize].set(self.ends[record.end as usize].get() + 1);
        match record.status / 100 {
            1 => self.count(Metric::Responses1xx),
            2 => self.count(Metric::Responses2xx),
            3 => self.count(Metric::Responses3xx),
            4 => self.count(Metric::Responses4xx),
            5 => self.count(Metric::Responses5xx),
            _ => {}
        }
        self.add(Metric::RequestBytes, record.request_bytes);
        self.add(Metric::ResponseBytes, record.response_bytes);
        let phases = &record.phases;
        self.time(Phase::Request, record.duration);
        self.time(Phase::Queue, phases.queue);
        self.time(Phase::Parse, phases.parse);
        self.time(Phase::Route, phases.route);
        self.time(Phase::Behind, phases.behind);
        // What has not happened has not taken a time of zero.
        for (phase, time) in
            [(Phase::Connect, phases.connect), (Phase::Wait, phases.wait), (Phase::Transfer, phases.transfer)]
        {
            if !time.is_zero() {
                self.time(phase, time);
            }
        }
    }

    /// Something has taken so long.
    pub(crate) fn time(&self, phase: Phase, took: Duration) {
        self.phases[phase as usize].add(took);
    }

    pub(crate) fn snapshot(&self, lane: usize, driver: &Running) -> Snapshot {
        let mut clusters: BTreeMap<String, Vec<EndpointStats>> = BTreeMap::new();
        for cluster in self.clusters.borrow().iter().filter_map(Weak::upgrade) {
            clusters.entry(cluster.name()).or_default().extend(cluster.stats());
        }
        Snapshot {
            lane,
            driver: driver.clone(),
            values: self.values.iter().map(Cell::get).collect(),
            ends: self.ends.iter().map(Cell::get).collect(),
            histograms: self.phases.iter().map(Times::histogram).collect(),
            sums: self.phases.iter().map(Times::sum).collect(),
            counters: self
                .counters
                .borrow()
                .iter()
                .map(|(name, count)| (name.clone(), count.value()))
                .collect(),
            clusters,
        }
    }
}

/// A copy of a lane's numbers.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The lane.
    pub lane: usize,
    /// What it runs on.
    pub driver: Running,
    values: Vec<u64>,
    ends: Vec<u64>,
    histograms: Vec<Histogram<u64>>,
    sums: Vec<u64>,
    /// The handler's own counters.
    pub counters: BTreeMap<String, u64>,
    /// The endpoints of each cluster.
    pub clusters: BTreeMap<String, Vec<EndpointStats>>,
}

impl Snapshot {
    /// The value of a metric.
    pub fn value(&self, metric: Metric) -> u64 {
        self.values[metric as usize]
    }

    /// How many exchanges ended for this reason.
    pub fn ended(&self, end: End) -> u64 {
        self.ends[end as usize]
    }

    /// The times of a phase, in whole microseconds; what took less than one is counted as one.
    pub fn histogram(&self, phase: Phase) -> &Histogram<u64> {
        &self.histograms[phase as usize]
    }

    /// The times of a phase together, exact to the nanosecond.
    pub fn sum(&self, phase: Phase) -> Duration {
        Duration::from_nanos(self.sums[phase as usize])
    }

    /// Adds another lane's numbers to these.
    pub fn merge(&mut self, other: &Self) {
        let values = self.values.iter_mut().zip(&other.values);
        let ends = self.ends.iter_mut().zip(&other.ends);
        for (mine, theirs) in values.chain(ends).chain(self.sums.iter_mut().zip(&other.sums)) {
            *mine = mine.wrapping_add(*theirs);
        }
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            mine.add(theirs).expect("all lanes' histograms have the same bounds");
        }
        for (name, count) in &other.counters {
            *self.counters.entry(name.clone()).or_default() += count;
        }
        for (name, endpoints) in &other.clusters {
            let mine = self.clusters.entry(name.clone()).or_default();
            for theirs in endpoints {
                match mine.iter_mut().find(|endpoint| endpoint.address == theirs.address) {
                    Some(endpoint) => {
                        endpoint.requests += theirs.requests;
                        endpoint.failures += theirs.failures;
                        endpoint.in_flight += theirs.in_flight;
                        endpoint.idle += theirs.idle;
                    }
                    None => mine.push(theirs.clone()),
                }
            }
        }
    }
}
