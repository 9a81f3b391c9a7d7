//! Content: what may be sent, whose turn it is, and what is given back of what came.

use super::super::error::{Cause, Code, Error};
use super::super::frame::{HEAD_BYTES, control as frames, data};
use super::super::stream::{Sending, Stall, Step};
use super::{Connection, StreamId};
use crate::Kind;
use std::time::Duration;

/// Leave to send content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// On this stream …
    pub stream: StreamId,
    /// … up to so many octets, as one frame. Never 0.
    pub bytes_max: usize,
}

impl Connection {
    /// The application has so many octets of content at hand for a stream, in all; 0 takes the stream out of the
    /// schedule. What is [sent](Self::send_data) is deducted.
    pub fn offer(&mut self, stream: StreamId, bytes: usize, now: Duration) -> Result<(), Error> {
        let (slot, state) = self.sendable(stream)?;
        if state.sending == Sending::Head {
            return Err(Error::us(Cause::Order));
        }
        if let Some(state) = self.streams.get_mut(slot) {
            state.offered = bytes;
        }
        self.refresh(slot, now);
        Ok(())
    }

    /// Whose turn it is, among the streams that were offered content and have room for it: the most urgent; equals
    /// one after the other or in turn, as they asked (RFC 9218). `None` until something changes. Asking again gives
    /// the same answer.
    pub fn next_data(&mut self, now: Duration) -> Option<Grant> {
        if self.failed.is_some() {
            return None;
        }
        loop {
            let slot = self.schedule.next()?;
            let stream = self.streams.get(slot)?;
            let (id, offered) = (StreamId(stream.id), stream.offered);
            let wanted = self.least_bytes(offered, now);
            let (own, all) = (stream.send_window.available(), self.send_window.available());
            if own < wanted {
                // The budget for small frames has run out since it was put here.
                self.refresh(slot, now);
                continue;
            }
            if all < wanted {
                self.stall_connection(now);
                return None;
            }
            let bytes_max = offered.min(own.min(all) as usize).min(self.frame_bytes_max());
            return Some(Grant { stream: id, bytes_max });
        }
    }

    /// How much may be sent on a stream as one frame, whosever turn it is.
    pub fn room(&self, stream: StreamId) -> usize {
        let Ok((_, state)) = self.sendable(stream) else { return 0 };
        let window = state.send_window.available().min(self.send_window.available());
        self.frame_bytes_max().min(window as usize)
    }

    /// The header of a DATA frame: the application writes it, and behind it the `len` octets of content from wherever
    /// they are. `end` says that nothing follows. The frames that wait must have been [transmitted](Self::transmit)
    /// before.
    ///
    /// # Errors
    /// If the stream is closed, its head has not been sent, or there is no [room](Self::room) for so much: nothing
    /// happens then. If it is more than `Content-Length` said, or less and the end, the stream is reset.
    pub fn send_data(
        &mut self,
        stream: StreamId,
        len: usize,
        end: bool,
        now: Duration,
    ) -> Result<[u8; HEAD_BYTES], Error> {
        let (slot, state) = self.sendable(stream)?;
        let left = match state.sending {
            Sending::Head => return Err(Error::us(Cause::Order)),
            Sending::Content(left) => left,
        };
        let Some(bytes) = u32::try_from(len).ok().filter(|_| len <= self.room(stream)) else {
            return Err(Error::us(Cause::NoWindow));
        };
        // A frame of nothing only costs the peer.
        if bytes == 0 && !end {
            return Err(Error::us(Cause::Order));
        }
        let rest = left.map(|left| left.checked_sub(u64::from(bytes)));
        if rest.is_some_and(|rest| rest.is_none_or(|rest| end && rest > 0)) {
            return Err(self.break_length(slot));
        }
        let cut = (bytes as usize) < state.offered && bytes < self.config.budgets.quantum_bytes;
        let no_room = bytes as usize == self.room(stream);
        self.send_window.take(bytes);
        self.account.content(&self.config.budgets, true);
        if cut && no_room {
            self.account.dribbled(&self.config.budgets, now);
        }
        if let Some(state) = self.streams.get_mut(slot) {
            state.send_window.take(bytes);
            state.offered = state.offered.saturating_sub(len);
            state.sending = Sending::Content(rest.flatten());
            progress(&mut state.stalled, bytes, self.config.budgets.stall_progress_bytes_min);
        }
        progress(&mut self.stalled, bytes, self.config.budgets.stall_progress_bytes_min);
        self.schedule.served(slot);
        if end {
            self.step(slot, Step::SendEnd);
        } else {
            self.refresh(slot, now);
        }
        Ok(data::head(stream.0, bytes, end))
    }

    /// Ends a message whose content has been sent.
    ///
    /// # Errors
    /// If the stream is closed or its head has not been sent; nothing is written then. If content is missing, the
    /// stream is reset: what is cut short is never taken for complete.
    pub fn send_end(&mut self, stream: StreamId, out: &mut Vec<u8>) -> Result<(), Error> {
        let (slot, _) = self.sendable(stream)?;
        self.check_complete(slot, out)?;
        self.transmit(out);
        out.extend_from_slice(&data::head(stream.0, 0, true));
        self.step(slot, Step::SendEnd);
        Ok(())
    }

    /// The application is done with so many octets of a stream's content: the peer may send as many more. Updates go
    /// out when they are worth a frame.
    pub fn release(&mut self, stream: StreamId, bytes: usize) {
        if let Some(slot) = self.streams.find(stream.0) {
            self.release_held(slot, u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// Gives back what a stream holds, up to `bytes`.
    pub(super) fn release_held(&mut self, slot: usize, bytes: u32) {
        // Nothing follows the GOAWAY of an error.
        if self.failed.is_some() {
            return;
        }
        let Some(stream) = self.streams.get_mut(slot) else { return };
        let bytes = bytes.min(stream.receive_window.held());
        let credit = stream.receive_window.release(bytes);
        if let Some(credit) = credit.filter(|_| stream.state.may_receive()) {
            frames::window_update(stream.id, credit, &mut self.output);
        }
        self.credit_connection(bytes);
    }

    /// Gives back what came for a stream that does not keep account of it.
    pub(super) fn credit_connection(&mut self, bytes: u32) {
        if let Some(credit) = self.receive_window.release(bytes) {
            frames::window_update(0, credit, &mut self.output);
        }
    }

    /// Puts a stream into the schedule or takes it out, by what it has to send and has room for.
    pub(super) fn refresh(&mut self, slot: usize, now: Duration) {
        let Some(stream) = self.streams.get(slot) else { return };
        let waits = stream.offered > 0 && stream.state.may_send();
        let wanted = self.least_bytes(stream.offered, now);
        let ready = waits && stream.send_window.available() >= wanted;
        if ready {
            self.schedule.insert(slot, stream.id, stream.priority);
            return;
        }
        self.schedule.remove(slot);
        let Some(stream) = self.streams.get_mut(slot) else { return };
        if !waits {
            stream.stalled = None;
            return;
        }
        let since = stream.stalled.get_or_insert(Stall { since: now, sent_bytes: 0 }).since;
        self.look_for_stalls(since);
    }

    /// The least that a frame should carry of so much content.
    fn least_bytes(&self, offered: usize, now: Duration) -> u32 {
        let budgets = &self.config.budgets;
        if self.account.may_dribble(budgets, now) {
            return 1;
        }
        u32::try_from(offered).unwrap_or(u32::MAX).min(budgets.quantum_bytes).max(1)
    }

    fn stall_connection(&mut self, now: Duration) {
        let since = self.stalled.get_or_insert(Stall { since: now, sent_bytes: 0 }).since;
        self.look_for_stalls(since);
    }

    /// Somebody has had no room since then.
    fn look_for_stalls(&mut self, since: Duration) {
        let due = since.saturating_add(self.config.timeouts.stall);
        self.stall_check = Some(self.stall_check.map_or(due, |check| check.min(due)));
    }

    /// Whether a message may end.
    pub(super) fn check_complete(&mut self, slot: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.streams.get(slot).map(|stream| stream.sending) {
            Some(Sending::Content(Some(1..))) => {
                let error = self.break_length(slot);
                self.transmit(out);
                Err(error)
            }
            Some(Sending::Content(_)) => Ok(()),
            Some(Sending::Head) | None => Err(Error::us(Cause::Order)),
        }
    }

    /// The application broke its own word: the peer must not take the message for complete.
    fn break_length(&mut self, slot: usize) -> Error {
        let id = self.streams.get(slot).map_or(0, |stream| stream.id);
        frames::reset(id, Code::INTERNAL_ERROR, &mut self.output);
        self.step(slot, Step::SendReset);
        Error::us(Cause::Message(Kind::Length))
    }
}

/// Content has gone out. So little that nobody would call it progress does not end a stall.
fn progress(stall: &mut Option<Stall>, bytes: u32, enough: u32) {
    if let Some(stalled) = stall {
        stalled.sent_bytes = stalled.sent_bytes.saturating_add(bytes);
        if stalled.sent_bytes >= enough {
            *stall = None;
        }
    }
}
