//! Bytes to frames to events: the loop, and DATA.

use super::super::budget::{Charge, exceeded};
use super::super::error::{Cause, Code, Error};
use super::super::frame::Frame;
use super::super::frame::data::Data;
use super::super::stream::{How, Receiving, State, Step};
use super::{Connection, Event, PREFACE, Received, StreamId};
use crate::Kind;
use std::ops::Range;
use std::time::Duration;

/// Frames that wait of which there may soon be more.
const OUTPUT_SMALL_BYTES: usize = 900;

/// Where the content of a DATA frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    Stream { id: u32, end_stream: bool },
    Nowhere,
}

/// What a frame on a stream meets.
pub(super) enum Met {
    /// A stream that it may be for.
    Stream(usize),
    /// A stream that the application still has and whose frames are no longer of use.
    Late,
}

impl Connection {
    /// Makes one event of the bytes that have come and were not consumed yet; `now` is the time since some start.
    ///
    /// Every call consumes bytes, gives an event, or says [`Event::NeedMore`].
    ///
    /// # Errors
    /// The connection is over. What waits to be [transmitted](Self::transmit) tells the peer; then it is to be closed.
    /// Every later call gives the same error.
    pub fn receive(&mut self, input: &[u8], now: Duration) -> Result<Received, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(event) = self.events.pop_front() {
            return Ok(Received { consumed: 0, event });
        }
        let mut at = 0;
        match self.read(input, &mut at, now) {
            Ok(event) => Ok(Received { consumed: at, event: event.unwrap_or(Event::NeedMore) }),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Frames, until one means something to the application.
    fn read(&mut self, input: &[u8], at: &mut usize, now: Duration) -> Result<Option<Event>, Error> {
        self.read_preface(input, at)?;
        if self.preface_left > 0 {
            return Ok(None);
        }
        loop {
            let Some(frame) = self.reader.read(input, at)? else { return Ok(None) };
            if self.output.len() > OUTPUT_SMALL_BYTES {
                self.make_room_for_output();
            }
            let event = self.frame(frame, input, now)?;
            if self.output.len() > self.config.budgets.pending_output_bytes_max {
                return Err(exceeded(Charge::PendingOutput));
            }
            if let Some(event) = event.or_else(|| self.events.pop_front()) {
                return Ok(Some(event));
            }
        }
    }

    /// What a frame may lead to fits. Where much waits there is soon more: then all memory that it may have is taken at
    /// once, so that it is not held twice while it grows.
    #[cold]
    fn make_room_for_output(&mut self) {
        const FRAME_BYTES_MAX: usize = 128;
        let (len, capacity) = (self.output.len(), self.output.capacity());
        if capacity.saturating_sub(len) < FRAME_BYTES_MAX {
            let more = self.config.output_bytes_max().saturating_sub(len);
            self.output.reserve_exact(more.max(FRAME_BYTES_MAX));
        }
    }

    /// The preface of a client (RFC 9113 §3.4), refused at its first wrong octet.
    fn read_preface(&mut self, input: &[u8], at: &mut usize) -> Result<(), Error> {
        let start = PREFACE.len().saturating_sub(self.preface_left);
        let expected = PREFACE.get(start..).unwrap_or_default();
        let same = input.iter().zip(expected).take_while(|(a, b)| a == b).count();
        if same < input.len().min(expected.len()) {
            return Err(Error::connection(Code::PROTOCOL_ERROR, Cause::Preface));
        }
        self.preface_left = self.preface_left.saturating_sub(same);
        *at = same;
        Ok(())
    }

    /// One frame, or a piece of one, to whoever knows it.
    fn frame(&mut self, frame: Frame, input: &[u8], now: Duration) -> Result<Option<Event>, Error> {
        self.check_order(&frame)?;
        match frame {
            Frame::Data(frame) => self.data(frame, now),
            Frame::Content { range, last } => Ok(self.data_content(range, last)),
            Frame::Headers(frame) => self.headers(frame, now).map(|()| None),
            Frame::Continuation(frame) => self.continuation(frame, now).map(|()| None),
            Frame::Fragment { range, last } => self.fragment(input.get(range).unwrap_or_default(), last, now),
            Frame::Priority { stream, valid } => self.priority_frame(stream, valid, now),
            Frame::Reset { stream, code } => self.reset_frame(stream, code, now),
            Frame::Settings { count } => self.settings_frame(count, now).map(|()| None),
            Frame::Setting(setting) => self.peer.apply(setting, self.role).map(|()| None),
            Frame::SettingsEnd => self.settings_end(now).map(|()| None),
            Frame::SettingsAck => self.settings_ack().map(|()| None),
            Frame::PushPromise => Err(Error::connection(Code::PROTOCOL_ERROR, Cause::Push)),
            Frame::Ping { ack: false, data } => self.ping_frame(data, now).map(|()| None),
            Frame::Ping { ack: true, data } => self.pong_frame(data, now),
            Frame::GoAway { last, code } => self.go_away_frame(last, code, now),
            Frame::WindowUpdate { stream, increment } => self.window_update_frame(stream, increment, now),
            Frame::PriorityUpdate { stream, priority } => {
                self.priority_update_frame(stream, priority, now).map(|()| None)
            }
            Frame::Ignored => {
                self.account.charge(&self.config.budgets, Charge::IgnoredFrames, now).map(|()| None)
            }
        }
    }

    /// SETTINGS comes first (RFC 9113 §3.4), and nothing comes within a field block (§6.10).
    fn check_order(&self, frame: &Frame) -> Result<(), Error> {
        if !self.peer.known && !matches!(frame, Frame::Settings { .. }) {
            return Err(Error::connection(Code::PROTOCOL_ERROR, Cause::FirstFrame));
        }
        match (&self.block, frame) {
            (None, _) | (Some(_), Frame::Fragment { .. }) => Ok(()),
            (Some(block), Frame::Continuation(frame)) if block.continues(frame.stream) => Ok(()),
            (Some(_), _) => Err(Error::connection(Code::PROTOCOL_ERROR, Cause::Interleaved)),
        }
    }

    /// A DATA frame begins.
    fn data(&mut self, frame: Data, now: Duration) -> Result<Option<Event>, Error> {
        self.sink = Sink::Nowhere;
        let exceeded = Error::connection(Code::FLOW_CONTROL_ERROR, Cause::WindowExceeded);
        self.receive_window.receive(frame.flow_len()).map_err(|_| exceeded)?;
        if frame.content_len == 0 && !frame.end_stream {
            self.account.charge(&self.config.budgets, Charge::EmptyFrames, now)?;
        }
        let slot = match self.meet(frame.stream, now)? {
            Met::Stream(slot) => slot,
            Met::Late => {
                self.credit_connection(frame.flow_len());
                return Ok(None);
            }
        };
        match self.accept_data(slot, &frame) {
            Ok(()) => {
                self.sink = Sink::Stream { id: frame.stream, end_stream: frame.end_stream };
                self.account.content(&self.config.budgets, false);
                self.release_held(slot, frame.overhead_len);
                Ok(None)
            }
            Err(error) => {
                self.credit_connection(frame.flow_len());
                self.break_stream(slot, error, now).map(Some)
            }
        }
    }

    /// Whether a stream takes a DATA frame, by its window and by what its head said.
    fn accept_data(&mut self, slot: usize, frame: &Data) -> Result<(), Error> {
        let Some(stream) = self.streams.get_mut(slot) else { return Ok(()) };
        if !stream.state.may_receive() {
            return Err(Error::stream(Code::STREAM_CLOSED, Cause::HalfClosed));
        }
        match &mut stream.receiving {
            Receiving::Head => return Err(Error::malformed(Kind::Order)),
            Receiving::NoContent if frame.content_len > 0 => {
                return Err(Error::malformed(Kind::ContentUnexpected));
            }
            Receiving::Content(Some(left)) => {
                let rest = left.checked_sub(u64::from(frame.content_len));
                let fits = |rest: &u64| *rest == 0 || !frame.end_stream;
                *left = rest.filter(fits).ok_or(Error::malformed(Kind::ContentLengthMismatch))?;
            }
            Receiving::Content(None) | Receiving::NoContent | Receiving::Tunnel => {}
        }
        let exceeded = Error::stream(Code::FLOW_CONTROL_ERROR, Cause::WindowExceeded);
        stream.receive_window.receive(frame.flow_len()).map_err(|_| exceeded)
    }

    /// Content of the DATA frame that has begun. What a stream that is gone had of it is given back with the stream.
    fn data_content(&mut self, range: Range<usize>, last: bool) -> Option<Event> {
        let Sink::Stream { id, end_stream } = self.sink else { return None };
        let slot = self.streams.find(id)?;
        if !self.streams.get(slot)?.state.may_receive() {
            return None;
        }
        let ended = last && end_stream;
        if ended {
            self.step(slot, Step::ReceiveEnd);
        }
        if range.is_empty() && !ended {
            return None;
        }
        Some(Event::Data { stream: StreamId(id), range, ended })
    }

    /// What a frame with content or fields meets, by the state of its stream (RFC 9113 §5.1). Frames that open a
    /// stream do not come here.
    pub(super) fn meet(&mut self, id: u32, now: Duration) -> Result<Met, Error> {
        let closed = Error::connection(Code::STREAM_CLOSED, Cause::Closed);
        if self.is_idle(id) {
            return Err(Error::connection(Code::PROTOCOL_ERROR, Cause::Idle));
        }
        let how = match self.streams.find(id) {
            Some(slot) => match self.streams.get(slot).map(|stream| stream.state) {
                Some(State::Closed(how)) => Some(how),
                _ => return Ok(Met::Stream(slot)),
            },
            None => self.streams.recall(id),
        };
        match how {
            Some(How::Ended | How::ResetByPeer) => Err(closed),
            // What was under way when we reset the stream, or one that was reset long ago.
            Some(How::ResetByUs) | None => {
                self.account.charge(&self.config.budgets, Charge::LateFrames, now)?;
                Ok(Met::Late)
            }
        }
    }
}
