//! Every frame that carries no message.

use super::super::budget::{Charge, exceeded};
use super::super::error::{Cause, Code, Error};
use super::super::flow::WINDOW_DEFAULT;
use super::super::frame::control as frames;
use super::super::frame::settings as settings_frames;
use super::super::schedule::Priority;
use super::super::stream::{Sending, State, Step};
use super::{Connection, Event, Going, Role, StreamId};
use crate::{Blame, Scope};
use std::time::Duration;

/// What our PING says that follows the first GOAWAY.
pub(super) const GOAWAY_PING: [u8; 8] = *b"go-away?";

const IDLE: Error = Error::connection(Code::PROTOCOL_ERROR, Cause::Idle);

impl Connection {
    /// PRIORITY is deprecated and says nothing to us (RFC 9113 §5.3.2); its length must be right (§6.3).
    pub(super) fn priority_frame(
        &mut self,
        id: u32,
        valid: bool,
        now: Duration,
    ) -> Result<Option<Event>, Error> {
        self.account.charge(&self.config.budgets, Charge::IgnoredFrames, now)?;
        if valid {
            return Ok(None);
        }
        if self.is_idle(id) {
            // A stream that nobody has opened can't be reset (RFC 9113 §6.4).
            return Err(Error::connection(Code::FRAME_SIZE_ERROR, Cause::FrameSize));
        }
        match self.live(id) {
            Some(slot) => {
                let error = Error::stream(Code::FRAME_SIZE_ERROR, Cause::FrameSize);
                self.break_stream(slot, error, now).map(Some)
            }
            None => Ok(None),
        }
    }

    pub(super) fn reset_frame(&mut self, id: u32, code: Code, now: Duration) -> Result<Option<Event>, Error> {
        if self.is_idle(id) {
            return Err(IDLE);
        }
        let Some(slot) = self.live(id) else {
            self.account.charge(&self.config.budgets, Charge::LateFrames, now)?;
            return Ok(None);
        };
        let answered = self.streams.get(slot).is_some_and(|stream| stream.sending != Sending::Head);
        self.step(slot, Step::ReceiveReset);
        if self.role == Role::Server && !answered {
            self.account.reset(&self.config.budgets, false, now)?;
        }
        let error = Error { scope: Scope::Stream, blame: Blame::Peer, code, cause: Cause::Reset };
        Ok(Some(Event::Reset { stream: StreamId(id), error }))
    }

    pub(super) fn settings_frame(&mut self, count: u32, now: Duration) -> Result<(), Error> {
        self.account.charge(&self.config.budgets, Charge::Settings, now)?;
        if count > self.config.budgets.settings_entries_max {
            return Err(exceeded(Charge::SettingsEntries));
        }
        self.peer.begin();
        self.preface_due = None;
        Ok(())
    }

    /// All settings of a frame have come: they take effect, and are acknowledged (RFC 9113 §6.5.3).
    pub(super) fn settings_end(&mut self, now: Duration) -> Result<(), Error> {
        if let Some((least, last)) = self.peer.table_bytes.take() {
            self.encoder.set_peer_table_bytes(least as usize);
            self.encoder.set_peer_table_bytes(last as usize);
        }
        let window = self.peer.initial_window;
        let difference = i64::from(window).saturating_sub(i64::from(self.initial_window));
        self.initial_window = window;
        if difference != 0 {
            // One that has been sent to its end has no window any more, even if the application still has it.
            let sending = self.streams.iter_mut().filter(|(_, stream)| stream.state.may_send());
            for (_, stream) in sending {
                let overflow = Error::connection(Code::FLOW_CONTROL_ERROR, Cause::WindowOverflow);
                stream.send_window.shift(difference).map_err(|_| overflow)?;
            }
            for slot in 0..self.streams.slots() {
                self.refresh(slot, now);
            }
        }
        self.settings_pending = self.settings_pending.saturating_add(1);
        if self.settings_pending > self.config.budgets.settings_pending_max {
            return Err(exceeded(Charge::Settings));
        }
        settings_frames::write_ack(&mut self.output);
        Ok(())
    }

    /// Our settings hold from here on.
    pub(super) fn settings_ack(&mut self) -> Result<(), Error> {
        if self.own.due.take().is_none() {
            return Err(Error::connection(Code::PROTOCOL_ERROR, Cause::SettingsAck));
        }
        self.decoder.set_table_bytes_max(self.config.table_bytes_max);
        let window = i64::from(self.config.stream_window_bytes);
        // Whoever was taken at the default has less from now on; whoever has more was given it at once.
        let difference = window.saturating_sub(i64::from(WINDOW_DEFAULT)).min(0);
        for (_, stream) in self.streams.iter_mut() {
            stream.receive_window.shift(i32::try_from(difference).unwrap_or(i32::MIN));
        }
        Ok(())
    }

    pub(super) fn ping_frame(&mut self, data: [u8; 8], now: Duration) -> Result<(), Error> {
        self.account.charge(&self.config.budgets, Charge::Pings, now)?;
        frames::ping(true, data, &mut self.output);
        Ok(())
    }

    pub(super) fn pong_frame(&mut self, data: [u8; 8], now: Duration) -> Result<Option<Event>, Error> {
        if data == GOAWAY_PING && matches!(self.going, Going::Announced { .. }) {
            self.go_away_finally();
            return Ok(None);
        }
        match self.pings.checked_sub(1) {
            Some(pings) => {
                self.pings = pings;
                Ok(Some(Event::Pong { data }))
            }
            None => self.account.charge(&self.config.budgets, Charge::IgnoredFrames, now).map(|()| None),
        }
    }

    /// The peer goes away (RFC 9113 §6.8). What it has not looked at may be sent again elsewhere.
    pub(super) fn go_away_frame(
        &mut self,
        last: u32,
        code: Code,
        now: Duration,
    ) -> Result<Option<Event>, Error> {
        self.account.charge(&self.config.budgets, Charge::IgnoredFrames, now)?;
        if self.peer_last.is_some_and(|before| last > before) {
            return Err(Error::connection(Code::PROTOCOL_ERROR, Cause::GoAwayIncrease));
        }
        self.peer_last = Some(last);
        self.events.reserve(self.streams.len());
        for slot in 0..self.streams.slots() {
            let Some(stream) = self.streams.get(slot) else { continue };
            if !self.is_own(stream.id) || stream.id <= last || stream.state.is_closed() {
                continue;
            }
            let (id, scope) = (StreamId(stream.id), Scope::Stream);
            self.step(slot, Step::ReceiveReset);
            let error = Error { scope, blame: Blame::Peer, code, cause: Cause::NotProcessed };
            self.events.push_back(Event::Reset { stream: id, error });
        }
        Ok(Some(Event::GoAway { code }))
    }

    pub(super) fn window_update_frame(
        &mut self,
        id: u32,
        increment: u32,
        now: Duration,
    ) -> Result<Option<Event>, Error> {
        self.account.charge(&self.config.budgets, Charge::WindowUpdates, now)?;
        if id == 0 {
            if increment == 0 {
                return Err(Error::connection(Code::PROTOCOL_ERROR, Cause::WindowZero));
            }
            let overflow = Error::connection(Code::FLOW_CONTROL_ERROR, Cause::WindowOverflow);
            self.send_window.add(increment).map_err(|_| overflow)?;
            return Ok(None);
        }
        if self.is_idle(id) {
            return Err(IDLE);
        }
        // On a closed stream it may have been under way (RFC 9113 §5.1).
        let Some(slot) = self.live(id) else { return Ok(None) };
        let Some(stream) = self.streams.get_mut(slot) else { return Ok(None) };
        let fault = match stream.send_window.add(increment) {
            _ if increment == 0 => Error::stream(Code::PROTOCOL_ERROR, Cause::WindowZero),
            // Its window is not kept any more (RFC 9113 §6.9.2): this was under way when we ended it (§5.1).
            _ if !stream.state.may_send() => return Ok(None),
            Err(_) => Error::stream(Code::FLOW_CONTROL_ERROR, Cause::WindowOverflow),
            Ok(()) => {
                self.refresh(slot, now);
                return Ok(None);
            }
        };
        self.break_stream(slot, fault, now).map(Some)
    }

    /// RFC 9218 §7.1. What comes before its stream is kept, for one stream.
    pub(super) fn priority_update_frame(
        &mut self,
        id: u32,
        priority: Priority,
        now: Duration,
    ) -> Result<(), Error> {
        self.account.charge(&self.config.budgets, Charge::IgnoredFrames, now)?;
        // Only a client sends it, and for a stream that it opens.
        if self.role == Role::Client || id == 0 || self.is_own(id) {
            return Err(Error::connection(Code::PROTOCOL_ERROR, Cause::PriorityUpdate));
        }
        if self.is_idle(id) {
            self.early_priority = Some((id, priority));
            return Ok(());
        }
        let Some(slot) = self.live(id) else { return Ok(()) };
        if let Some(stream) = self.streams.get_mut(slot) {
            stream.priority = priority;
        }
        self.schedule.remove(slot);
        self.refresh(slot, now);
        Ok(())
    }

    /// The slot of a stream that is not closed.
    pub(super) fn live(&self, id: u32) -> Option<usize> {
        let slot = self.streams.find(id)?;
        let closed = matches!(self.streams.get(slot)?.state, State::Closed(_));
        (!closed).then_some(slot)
    }
}
