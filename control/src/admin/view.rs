//! What the admin server shows, gathered when somebody asks.

use super::Operator;
use crate::{clock, control::About, log::Counts, process::Process};
use corelane_engine::{FlightRecorder, Handle, Pressure, Running, Slow, Snapshot};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the lanes may take to answer. A lane that does not is missing from the answer.
const LANES_WAIT: Duration = Duration::from_secs(1);

/// Where the numbers are.
pub(crate) struct View {
    engine: Handle,
    about: About,
    started: Instant,
    access_log: Option<Arc<Counts>>,
    event_log: Option<Arc<Counts>>,
    operator: Option<Arc<dyn Operator>>,
}

impl View {
    pub(crate) fn new(
        engine: Handle,
        about: About,
        (access_log, event_log): (Option<Arc<Counts>>, Option<Arc<Counts>>),
        operator: Option<Arc<dyn Operator>>,
    ) -> Self {
        Self { engine, about, started: clock::now(), access_log, event_log, operator }
    }

    /// Begins to drain; the program ends when that is over.
    pub(crate) fn drain(&self) {
        self.engine.drain();
    }

    pub(crate) fn operator(&self) -> Option<&dyn Operator> {
        self.operator.as_deref()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.engine.is_draining()
    }

    /// Asks the lanes for their last slow exchanges, and blocks until they have answered.
    pub(crate) fn slow(&self) -> (FlightRecorder, BTreeMap<usize, Vec<Slow>>) {
        (self.engine.flight_recorder(), self.engine.slow(LANES_WAIT))
    }

    /// Asks the lanes, and blocks until they have answered.
    pub(crate) fn gather(&self) -> Gathered {
        Gathered {
            about: self.about,
            uptime: clock::now().saturating_duration_since(self.started),
            draining: self.engine.is_draining(),
            pressure: self.engine.pressure(),
            drivers: self.engine.driver(),
            lanes: self.engine.snapshots(LANES_WAIT),
            access_log: self.access_log.as_deref().map(Lines::from),
            event_log: self.event_log.as_deref().map(Lines::from),
            process: Process::read(),
        }
    }
}

/// Everything there is to show, at one moment.
pub(crate) struct Gathered {
    pub(crate) about: About,
    pub(crate) uptime: Duration,
    pub(crate) draining: bool,
    pub(crate) pressure: Pressure,
    /// Of every lane.
    pub(crate) drivers: Vec<Running>,
    /// Of the lanes that answered.
    pub(crate) lanes: Vec<Snapshot>,
    pub(crate) access_log: Option<Lines>,
    pub(crate) event_log: Option<Lines>,
    pub(crate) process: Process,
}

impl Gathered {
    /// All lanes' numbers in one, if any lane answered.
    pub(crate) fn merged(&self) -> Option<Snapshot> {
        let (first, others) = self.lanes.split_first()?;
        let mut merged = first.clone();
        for other in others {
            merged.merge(other);
        }
        Some(merged)
    }
}

/// A log's numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines {
    pub(crate) written: u64,
    pub(crate) dropped: u64,
    pub(crate) failures: u64,
}

impl From<&Counts> for Lines {
    fn from(counts: &Counts) -> Self {
        Self { written: counts.written(), dropped: counts.dropped(), failures: counts.failures() }
    }
}

/// `None` when a lane runs on io_uring, which needs no reason.
pub(crate) fn fallback_reason(driver: &Running) -> Option<&str> {
    match driver {
        Running::Uring => None,
        Running::Epoll { reason } => Some(reason),
    }
}
