//! A connection to an origin.

use super::turnstile::Place;
use crate::{
    content::{Pull, pull},
    error::{Error, ErrorKind, Side, Stage},
    io::{Arrival, Buffer, Connection, Pipe, Received, Wait},
    lane::Lane,
    settings::Settings,
    simulate::{Bug, has},
    wheel::Tick,
};
use corelane_codec::{
    Fields, RequestHead, ResponseHead,
    h1::{Client, Event},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

/// A connection to an origin.
pub(crate) struct UpstreamConnection {
    pub(crate) io: Connection,
    /// When it has been idle for too long.
    pub(crate) idle_due: Cell<Option<Tick>>,
    lane: Lane,
    settings: RefCell<Rc<Settings>>,
    codec: RefCell<Client>,
    input: RefCell<Option<Buffer>>,
    ended: Cell<bool>,
    sent_before: Cell<u64>,
    /// What it takes of its cluster's connection maximum.
    place: Cell<Option<Place>>,
}

impl UpstreamConnection {
    pub(crate) fn new(lane: &Lane, io: Connection, place: Option<Place>, settings: Rc<Settings>) -> Self {
        Self {
            io,
            idle_due: Cell::new(None),
            lane: lane.clone(),
            settings: RefCell::new(settings),
            codec: RefCell::new(Client::new()),
            input: RefCell::new(None),
            ended: Cell::new(false),
            sent_before: Cell::new(0),
            place: Cell::new(place),
        }
    }

    /// Holds the next exchange to these.
    pub(crate) fn set_settings(&self, settings: Rc<Settings>) {
        *self.settings.borrow_mut() = settings;
    }

    // ---- the request ----

    pub(crate) fn write_head(&self, head: &RequestHead, buffer: &mut Buffer) -> Result<(), Error> {
        self.sent_before.set(self.io.sent_bytes());
        self.codec.borrow_mut().send_head(head, buffer.tail()).map_err(|error| ours(error.kind))
    }

    pub(crate) fn frame(&self, piece: &mut Buffer) -> Result<(), Error> {
        let wrap = self.codec.borrow_mut().send_data(piece.len()).map_err(|error| ours(error.kind))?;
        assert!(
            piece.prepend(wrap.before()),
            "there is room for a chunk's size in front of what was received"
        );
        piece.append(wrap.after());
        Ok(())
    }

    pub(crate) fn write_end(&self, trailers: Option<&Fields>, buffer: &mut Buffer) -> Result<(), Error> {
        self.codec.borrow_mut().send_end(trailers, buffer.tail()).map_err(|error| ours(error.kind))
    }

    /// Bytes of this request that were handed to the kernel.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.io.sent_bytes() - self.sent_before.get()
    }

    // ---- the response ----

    /// Whether a byte of this exchange's response has come.
    pub(crate) fn response_begun(&self) -> bool {
        self.codec.borrow().begun()
    }

    pub(crate) fn response_ended(&self) -> bool {
        self.codec.borrow().response_ended()
    }

    pub(crate) fn trailers(&self, use_them: impl FnOnce(Option<&Fields>)) {
        use_them(self.codec.borrow().trailers());
    }

    /// The next head, interim or final.
    pub(crate) fn poll_head(
        &self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<Event, Error>> {
        loop {
            match self.parse_head(head)? {
                Event::NeedMore => {}
                event => return Poll::Ready(Ok(event)),
            }
            if self.ended.get() {
                let error = self.codec.borrow_mut().receive_end().err();
                let kind = error.map_or(ErrorKind::Closed, |error| match error.kind {
                    corelane_codec::Kind::Truncated => ErrorKind::Closed,
                    kind => ErrorKind::Protocol(kind),
                });
                return Poll::Ready(Err(Error::new(Side::Upstream, Stage::Wait, kind)));
            }
            ready!(self.poll_more(cx, Stage::Wait))?;
        }
    }

    fn parse_head(&self, head: &mut ResponseHead) -> Result<Event, Error> {
        let mut input = self.input.borrow_mut();
        let Some(buffer) = input.as_mut() else { return Ok(Event::NeedMore) };
        let received =
            self.codec.borrow_mut().receive(&self.settings.borrow().limits, buffer.as_slice(), head);
        let received = received.map_err(|error| Error::protocol(Side::Upstream, Stage::Wait, error.kind))?;
        buffer.consume(received.consumed);
        if buffer.is_empty() {
            self.lane.0.buffers.give(input.take().expect("it was there"));
        } else if received.event == Event::NeedMore && buffer.room() == 0 {
            buffer.make_room(&self.lane.0.buffers);
        }
        Ok(received.event)
    }

    /// The next piece of the response's content, from what has been received.
    pub(crate) fn content_in_hand(&self) -> Result<Option<Pull>, Error> {
        let (mut input, mut codec) = (self.input.borrow_mut(), self.codec.borrow_mut());
        if codec.response_ended() {
            return Ok(Some(Pull::End));
        }
        let Some(buffer) = input.take() else { return Ok(None) };
        let limits = &self.settings.borrow().limits;
        let mut unused = ResponseHead::new();
        let pulled = pull(buffer, &self.lane.0.buffers, |bytes| codec.receive(limits, bytes, &mut unused));
        let pulled = pulled.map_err(|error| Error::protocol(Side::Upstream, Stage::Transfer, error.kind))?;
        *input = pulled.rest;
        Ok(pulled.pull)
    }

    /// The next piece of the response's content.
    pub(crate) fn poll_content(&self, cx: &mut Context<'_>) -> Poll<Result<Pull, Error>> {
        loop {
            if let Some(pull) = self.content_in_hand()? {
                return Poll::Ready(Ok(pull));
            }
            if self.ended.get() {
                let ended = self.codec.borrow_mut().receive_end();
                return Poll::Ready(match ended {
                    Ok(_) => Ok(Pull::End),
                    Err(_) if has(Bug::TruncationIsEnd) => Ok(Pull::End),
                    Err(error) => Err(Error::protocol(Side::Upstream, Stage::Transfer, error.kind)),
                });
            }
            ready!(self.poll_more(cx, Stage::Transfer))?;
        }
    }

    /// Moves content into a pipe, unseen; `None` if there is none that can be moved so, and it is to be
    /// [received](Self::poll_content).
    pub(crate) fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<Option<usize>, Error>> {
        let left = self.codec.borrow().content_left();
        let Some(left) = left.filter(|_| self.input.borrow().is_none() && !self.ended.get()) else {
            return Poll::Ready(Ok(None));
        };
        Poll::Ready(match ready!(self.io.poll_fill(cx, pipe, left)) {
            Ok(Some(0)) => {
                self.ended.set(true);
                Ok(None)
            }
            Ok(Some(count)) => {
                self.codec.borrow_mut().pass(count as u64 - u64::from(has(Bug::PipeMiscounted)));
                Ok(Some(count))
            }
            Ok(None) => Ok(None),
            // Not every socket can.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Ok(None),
            Err(error) => Err(Error::io(Side::Upstream, Stage::Transfer, &error)),
        })
    }

    fn poll_more(&self, cx: &mut Context<'_>, stage: Stage) -> Poll<Result<(), Error>> {
        if !self.io.is_receiving() {
            self.io.begin_receive(self.input.take(), Wait::Short);
        }
        match ready!(self.io.poll_receive(cx)) {
            Ok(Received::Bytes(buffer)) => *self.input.borrow_mut() = Some(buffer),
            Ok(Received::End(buffer)) => {
                self.ended.set(true);
                self.put_back(buffer);
            }
            Err(error) => return Poll::Ready(Err(Error::io(Side::Upstream, stage, &error))),
        }
        Poll::Ready(Ok(()))
    }

    /// Begins to receive more content while the last piece is still being sent on.
    pub(crate) fn prefetch(&self, cx: &mut Context<'_>) {
        if !self.io.is_receiving()
            && !self.ended.get()
            && self.input.borrow().is_none()
            && !self.response_ended()
        {
            self.io.begin_receive(None, Wait::Short);
            let _ = self.io.poll_arrival(cx);
        }
    }

    fn put_back(&self, buffer: Buffer) {
        if buffer.is_empty() {
            self.lane.0.buffers.give(buffer);
        } else {
            *self.input.borrow_mut() = Some(buffer);
        }
    }

    /// The bytes that came after a switch of protocols.
    pub(crate) fn take_input(&self) -> Option<Buffer> {
        self.input.take()
    }

    /// After the response: whether the origin has closed, or says more, or the connection is broken.
    pub(crate) fn has_moved_on(&self, cx: &mut Context<'_>) -> bool {
        if self.ended.get() || self.input.borrow().is_some() {
            return true;
        }
        self.io.begin_receive(None, Wait::Long);
        self.io.poll_arrival(cx).is_ready()
    }

    // ---- in the pool ----

    /// Takes its place away, to go elsewhere.
    pub(crate) fn take_place(&self) -> Option<Place> {
        self.place.take()
    }

    /// Whether it may carry another exchange: both messages are complete, nothing is left over, nothing stirs.
    pub(crate) fn may_reuse(&self) -> bool {
        let left_over = self.ended.get() || self.input.borrow().is_some();
        // What has not been received yet is seen once the next receive is armed, before the next lease.
        let stirs = self.io.is_receiving() && self.stirs();
        let left_over = left_over && !has(Bug::LeftOverPooled);
        let is_over = self.codec.borrow().may_reuse() || has(Bug::OwedContentPooled);
        is_over && !self.io.is_sending() && !left_over && !stirs
    }

    /// Its exchange is over: makes it ready for the next one.
    pub(crate) fn begin_next(&self) {
        self.codec.borrow_mut().next_exchange();
    }

    /// Rests between two exchanges, with a receive armed: what the origin does meanwhile is seen.
    pub(crate) fn rest(&self, idle_due: Tick) {
        self.idle_due.set(Some(idle_due));
        self.io.begin_receive(None, Wait::Long);
        self.io.listen();
    }

    /// Whether something happened on a connection that should be silent.
    pub(crate) fn stirs(&self) -> bool {
        if has(Bug::SpeakingPooled) {
            return false;
        }
        if !self.io.is_receiving() {
            return !self.io.is_silent();
        }
        match self.io.poll_arrival(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending | Poll::Ready(Arrival::Nothing) => false,
            Poll::Ready(Arrival::Bytes | Arrival::End | Arrival::Failed) => true,
        }
    }
}

impl Drop for UpstreamConnection {
    fn drop(&mut self) {
        if let Some(buffer) = self.input.take() {
            self.lane.0.buffers.give(buffer);
        }
    }
}

fn ours(kind: corelane_codec::Kind) -> Error {
    Error::protocol(Side::Internal, Stage::Send, kind)
}
