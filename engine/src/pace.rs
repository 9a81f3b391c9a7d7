//! How long a peer may hold us up: with the next piece of content, or with taking what we send.

use crate::simulate::{Bug, has};
use crate::{
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::Connection,
    lane::Lane,
    timeouts::Timeouts,
    wheel::Tick,
};
use std::time::Duration;

/// The content of a request, as it comes.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the next piece must have come.
    due: Option<Tick>,
    /// Since when we have been asking for it.
    asking: Option<Duration>,
    asked: Duration,
    bytes: u64,
}

impl Pace {
    /// A piece has come.
    pub(crate) fn came(&mut self, bytes: usize, lane: &Lane) {
        if let Some(since) = self.asking.take() {
            self.asked += lane.awake().saturating_sub(since);
        }
        self.bytes += bytes as u64;
        self.due = None;
    }

    /// Nothing has come. Gives the moment until which that is all right; `rated` says whether the minimum rate holds,
    /// which is measured only while we are asking for bytes.
    pub(crate) fn wait(&mut self, lane: &Lane, timeouts: &Timeouts, rated: bool) -> Result<Tick> {
        let now = lane.awake();
        let since = *self.asking.get_or_insert(now);
        let due = *self.due.get_or_insert_with(|| lane.after(timeouts.between_bytes));
        let late = |kind| Err(Error::new(Side::Downstream, Stage::Transfer, kind));
        if lane.0.wheel.passed(due) {
            return late(ErrorKind::Timeout);
        }
        if !rated {
            return Ok(due);
        }
        let asked = self.asked + now.saturating_sub(since);
        let earned = Duration::from_secs_f64(self.bytes as f64 / timeouts.content_rate_min.max(1) as f64);
        let allowed = timeouts.content_rate_grace.max(earned);
        if asked > allowed {
            return late(ErrorKind::TooSlow);
        }
        Ok(due.min(lane.after(allowed - asked)))
    }
}

/// The wait for the next piece of content, from an origin or from whoever makes it here.
#[derive(Debug, Default)]
pub(crate) struct Gap {
    due: Option<Tick>,
}

impl Gap {
    /// A piece has come.
    pub(crate) fn came(&mut self) {
        self.due = None;
    }

    /// Nothing has come. Whether that has lasted too long; if not, the exchange's task is woken when it has.
    pub(crate) fn is_over(&mut self, exchange: &Exchange) -> bool {
        let between = exchange.settings().timeouts.between_bytes;
        let due = *self.due.get_or_insert_with(|| exchange.lane().after(between));
        !has(Bug::GapNeverOver) && exchange.expired(due)
    }
}

/// What we send, as it goes.
#[derive(Debug, Default)]
pub(crate) struct Outflow {
    /// When it must have moved.
    due: Option<Tick>,
    sent_bytes: u64,
    /// What the kernel still had to deliver when it was asked, half-way.
    queued_bytes: Option<u64>,
}

impl Outflow {
    /// Nothing is on its way any more.
    pub(crate) fn done(&mut self) {
        self.due = None;
    }

    /// A send is under way. Gives the moment until which that is all right, or `None` if nothing has moved for too
    /// long: neither into the kernel nor, which counts for a slow reader with large buffers before it, out of it.
    pub(crate) fn wait(&mut self, connection: &Connection, lane: &Lane, between: Duration) -> Option<Tick> {
        let sent = connection.sent_bytes();
        if sent != self.sent_bytes {
            (self.sent_bytes, self.due) = (sent, None);
        }
        if self.due.is_some_and(|due| lane.0.wheel.passed(due)) {
            // Half of the time has passed: the kernel is asked now, and once more when all of it has.
            let queued = connection.queued_bytes();
            if self.queued_bytes.is_some_and(|before| queued >= before) {
                return None;
            }
            (self.queued_bytes, self.due) = (Some(queued), None);
        } else if self.due.is_none() {
            self.queued_bytes = None;
        }
        Some(*self.due.get_or_insert_with(|| lane.after(between / 2)))
    }
}
