//! What happens because nothing happened.

use super::super::budget::{Charge, exceeded};
use super::super::error::{Cause, Code, Error};
use super::super::frame::control as frames;
use super::super::stream::Step;
use super::{Connection, Event, Going, StreamId};
use std::time::Duration;

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called next, if ever. It changes with every method that
    /// takes `&mut self`.
    pub fn next_timeout(&self) -> Option<Duration> {
        if self.failed.is_some() {
            return None;
        }
        let going = if let Going::Announced { due } = self.going { Some(due) } else { None };
        let block = self.block.map(|block| block.due);
        [self.preface_due, self.own.due, block, self.stall_check, going].into_iter().flatten().min()
    }

    /// The time is `now`. Streams that ended are told by [`poll_event`](Self::poll_event).
    ///
    /// # Errors
    /// The connection is over, as with [`receive`](Self::receive).
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let over = |due: Option<Duration>| due.is_some_and(|due| due <= now);
        let error = match () {
            () if over(self.preface_due) => Error::connection(Code::PROTOCOL_ERROR, Cause::PrefaceTimeout),
            () if over(self.own.due) => Error::connection(Code::SETTINGS_TIMEOUT, Cause::SettingsTimeout),
            () if over(self.block.map(|block| block.due)) => {
                Error::connection(Code::ENHANCE_YOUR_CALM, Cause::BlockTimeout)
            }
            () => {
                if matches!(self.going, Going::Announced { due } if due <= now) {
                    self.go_away_finally();
                }
                if over(self.stall_check) {
                    self.end_stalls(now);
                }
                if self.output.len() > self.config.budgets.pending_output_bytes_max {
                    return Err(self.fail(exceeded(Charge::PendingOutput)));
                }
                return Ok(());
            }
        };
        Err(self.fail(error))
    }

    /// Resets the streams that have had no room for too long, or whose connection had none.
    fn end_stalls(&mut self, now: Duration) {
        let long = self.config.timeouts.stall;
        let again = now.saturating_add(Duration::from_secs(1));
        let connection_due = self.stalled.map(|stall| stall.since.saturating_add(long));
        // One that has got room since is not to blame for what its turn takes.
        let has_room = self.send_window.available() >= self.config.budgets.quantum_bytes;
        let connection = connection_due.is_some_and(|due| due <= now) && !has_room;
        let (mut next, mut waits) = (None, false);
        self.events.reserve(self.streams.len());
        for slot in 0..self.streams.slots() {
            // The budget for small frames may have come back.
            self.refresh(slot, now);
            let Some(stream) = self.streams.get(slot).filter(|stream| stream.offered > 0) else { continue };
            let due = stream.stalled.map(|stall| stall.since.saturating_add(long));
            let stalled = due.is_some_and(|due| due <= now);
            if connection || (stalled && !self.schedule.holds(slot)) {
                let id = stream.id;
                frames::reset(id, Code::CANCEL, &mut self.output);
                self.step(slot, Step::SendReset);
                let error = Error::stream(Code::CANCEL, Cause::Stalled);
                self.events.push_back(Event::Reset { stream: StreamId(id), error });
                continue;
            }
            waits = true;
            next = earliest(next, due.map(|due| if stalled { again } else { due }));
        }
        // Where nobody waits, the connection is not stalled.
        self.stalled = self.stalled.filter(|_| waits);
        let due = connection_due.filter(|_| waits);
        self.stall_check = earliest(next, due.map(|due| if due <= now { again } else { due }));
    }
}

fn earliest(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}
