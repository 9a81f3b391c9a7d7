//! The end of streams and of the connection.

use super::super::error::{Cause, Code, Error};
use super::super::frame::{STREAM_MAX, control as frames};
use super::super::stream::{State, Step};
use super::control::GOAWAY_PING;
use super::{Connection, Event, Going, Role, StreamId};
use crate::{Blame, Kind, Scope};
use std::time::Duration;

impl Connection {
    /// Gives a stream up: RST_STREAM with this code, unless it is over. It still counts until it is
    /// [closed](Self::close).
    pub fn reset(&mut self, stream: StreamId, code: Code) {
        let Some(slot) = self.streams.find(stream.0) else { return };
        let over = self.streams.get(slot).is_none_or(|stream| stream.state.is_closed());
        if !over && self.failed.is_none() {
            frames::reset(stream.0, code, &mut self.output);
            self.step(slot, Step::SendReset);
        }
    }

    /// The application has done with a stream, and all work for it has stopped: until then it counts as one of those
    /// that a client may have at a time, however it ended, so that requests can't be started faster than they stop.
    ///
    /// A stream that is not over is reset: with NO_ERROR if our response was sent to its end (RFC 9113 §8.1), else
    /// with CANCEL.
    pub fn close(&mut self, stream: StreamId) {
        let Some(slot) = self.streams.find(stream.0) else { return };
        let state = self.streams.get(slot).map(|stream| stream.state);
        let answered = state == Some(State::HalfClosedLocal) && self.role == Role::Server;
        self.reset(stream, if answered { Code::NO_ERROR } else { Code::CANCEL });
        self.release_held(slot, u32::MAX);
        self.schedule.remove(slot);
        let Some(stream) = self.streams.remove(slot) else { return };
        self.held_head_bytes = self.held_head_bytes.saturating_sub(stream.head_bytes as usize);
    }

    /// Begins a graceful end (RFC 9113 §6.8). A client opens no streams any more. A server says that it will take no
    /// more, and takes those that were on their way until the peer must have heard, by a PING that is answered or
    /// after [`Timeouts::go_away`](super::super::Timeouts::go_away); asked again, it does so at once.
    pub fn go_away(&mut self, now: Duration) {
        // The last GOAWAY has been written, if there is to be one: its identifier is never raised.
        if self.failed.is_some() {
            return;
        }
        match (self.role, self.going) {
            (Role::Client, Going::No) => {
                self.going = Going::Final { last: 0 };
                frames::go_away(0, Code::NO_ERROR, &mut self.output);
            }
            (Role::Server, Going::No) => {
                let due = now.saturating_add(self.config.timeouts.go_away);
                self.going = Going::Announced { due };
                frames::go_away(STREAM_MAX, Code::NO_ERROR, &mut self.output);
                frames::ping(false, GOAWAY_PING, &mut self.output);
            }
            (Role::Server, Going::Announced { .. }) => self.go_away_finally(),
            (_, Going::Final { .. }) | (Role::Client, Going::Announced { .. }) => {}
        }
    }

    /// Ends the connection at once, with this code: [`Code::INADEQUATE_SECURITY`], [`Code::HTTP_1_1_REQUIRED`], or why
    /// else the application has it. Transmit what waits, then close.
    pub fn abort(&mut self, code: Code) {
        if self.failed.is_none() {
            let (scope, blame) = (Scope::Connection, Blame::Us);
            self.fail(Error { scope, blame, code, cause: Cause::Application });
        }
    }

    /// Sends a PING; [`Event::Pong`] answers it.
    pub fn ping(&mut self, data: [u8; 8]) {
        if self.failed.is_none() {
            self.pings = self.pings.saturating_add(1);
            frames::ping(false, data, &mut self.output);
        }
    }

    /// The peer has closed its direction, or the transport broke. Every stream whose message is not complete ends with
    /// an [`Event::Reset`]: what is truncated is never taken for complete. Then the connection is over.
    pub fn receive_end(&mut self) {
        if self.failed.is_some() {
            return;
        }
        self.events.reserve(self.streams.len());
        for slot in 0..self.streams.slots() {
            let Some(stream) = self.streams.get(slot).filter(|stream| !stream.state.is_closed()) else {
                continue;
            };
            let id = StreamId(stream.id);
            self.step(slot, Step::ReceiveReset);
            self.events.push_back(Event::Reset { stream: id, error: truncated(Scope::Stream) });
        }
        self.failed = Some(truncated(Scope::Connection));
    }

    /// A stream breaks by a fault of the peer.
    ///
    /// # Errors
    /// If it has made us break too many.
    pub(super) fn break_stream(&mut self, slot: usize, error: Error, now: Duration) -> Result<Event, Error> {
        let id = self.streams.get(slot).map_or(0, |stream| stream.id);
        frames::reset(id, error.code, &mut self.output);
        self.step(slot, Step::SendReset);
        self.account.reset(&self.config.budgets, true, now)?;
        Ok(Event::Reset { stream: StreamId(id), error })
    }

    /// The second GOAWAY: what was opened so far is what will be looked at.
    pub(super) fn go_away_finally(&mut self) {
        let last = self.last_peer;
        self.going = Going::Final { last };
        frames::go_away(last, Code::NO_ERROR, &mut self.output);
    }

    /// The connection is over. The identifier of an earlier GOAWAY is never raised (RFC 9113 §6.8).
    pub(super) fn fail(&mut self, error: Error) -> Error {
        let last = match self.going {
            Going::Final { last } => last.min(self.last_peer),
            Going::No | Going::Announced { .. } => self.last_peer,
        };
        frames::go_away(last, error.code, &mut self.output);
        self.failed = Some(error);
        self.events.clear();
        error
    }
}

const fn truncated(scope: Scope) -> Error {
    let cause = Cause::Message(Kind::Truncated);
    Error { scope, blame: Blame::Peer, code: Code::INTERNAL_ERROR, cause }
}
