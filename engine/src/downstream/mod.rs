//! A client's connection: what has been received of it, and what it is sent.

pub(crate) mod h1;

use crate::{
    address::Address,
    content::{Pull, pull},
    door::Door,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::{Arrival, Buffer, Connection, Received, Wait, Watch},
    kept::Kept,
    lane::Lane,
    shared::sources::Counted,
    simulate::{Bug, has},
    wheel::{Tick, Timer},
};
use corelane_codec::{Fields, Length, RequestHead, ResponseHead, Version, h1 as codec};
use http::StatusCode;
use std::{
    any::Any,
    cell::{Cell, RefCell},
    net::Shutdown,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// How long a client that promised to send nothing more may wait for its answer before it is watched, and a tick at most
/// beyond that.
const WATCH_AFTER: Duration = Duration::from_millis(50);

/// What an idle connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// It is at work.
    No,
    /// For a head, awake; so many sweeps have come by.
    Awake(u8),
    /// For a head, asleep; so many sweeps have come by.
    Asleep(u8),
}

/// What a sweep saw.
pub(crate) struct Seen {
    pub(crate) asleep: bool,
    /// It is falling asleep.
    pub(crate) dozes: bool,
    /// It has been closed.
    pub(crate) dismissed: bool,
}

/// A client's connection.
pub(crate) struct Downstream {
    pub(crate) lane: Lane,
    pub(crate) io: Connection,
    pub(crate) peer: Address,
    /// What it came in by.
    pub(crate) door: Rc<Door>,
    pub(crate) timer: Rc<Timer>,
    /// Where the lane keeps it.
    pub(crate) place: Cell<usize>,
    /// Where it is counted among the connections of its source.
    pub(crate) counted: Option<Counted>,
    codec: RefCell<codec::Server>,
    input: RefCell<Option<Buffer>>,
    /// The client will send no more.
    ended: Cell<bool>,
    /// The response has no end but the connection's: cutting it short must not look like one.
    ends_with_close: Cell<bool>,
    switched: Cell<bool>,
    /// Nothing was found in this poll to have come after the request: nothing comes before the next.
    watched: Cell<bool>,
    /// From when on a client that promised to send nothing more is watched.
    watch_due: Cell<Option<Tick>>,
    waiting: Cell<Waiting>,
    /// Nothing has been received yet.
    fresh: Cell<bool>,
    /// A sweep has found it idle.
    drowsy: Cell<bool>,
    content_bytes: Cell<u64>,
    content_bytes_max: Cell<Option<u64>>,
    version: Cell<Version>,
    /// When it was polled last, in nanoseconds of the lane's clock.
    polled: Cell<u64>,
    /// Nanoseconds that it has waited behind other tasks since the head of its exchange, or for the head that comes.
    behind: Cell<u64>,
    /// Nanoseconds that the head has taken so far.
    parse: Cell<u32>,
    /// What handlers keep of it, one of each type.
    state: RefCell<Vec<Rc<dyn Any>>>,
}

impl Drop for Downstream {
    fn drop(&mut self) {
        self.lane.give_timer(self.timer.clone());
    }
}

/// A head, or why there will be none.
pub(crate) enum Next {
    /// A request.
    Request(Kept<RequestHead>),
    /// The connection is over, without a word: closed, idle for too long, or drained.
    Over,
    /// The idle connection has given its buffer back.
    Sleep,
}

impl Downstream {
    pub(crate) fn new(
        lane: &Lane,
        stream: Watch,
        peer: Address,
        came_by: (Rc<Door>, Option<Counted>),
    ) -> Rc<Self> {
        let (door, counted) = came_by;
        let codec = codec::Server::new(&door.settings().limits);
        Rc::new(Self {
            io: Connection::new(stream, &lane.0.buffers, &lane.0.spares),
            lane: lane.clone(),
            peer,
            timer: lane.take_timer(),
            place: Cell::new(usize::MAX),
            counted,
            codec: RefCell::new(codec),
            door,
            input: RefCell::new(None),
            ended: Cell::new(false),
            ends_with_close: Cell::new(false),
            switched: Cell::new(false),
            watched: Cell::new(false),
            watch_due: Cell::new(None),
            waiting: Cell::new(Waiting::No),
            fresh: Cell::new(true),
            drowsy: Cell::new(false),
            content_bytes: Cell::new(0),
            content_bytes_max: Cell::new(None),
            version: Cell::new(Version::Http11),
            polled: Cell::new(0),
            behind: Cell::new(0),
            parse: Cell::new(0),
            state: RefCell::default(),
        })
    }

    /// What handlers keep of it of this type.
    pub(crate) fn state<T: Default + 'static>(&self) -> Rc<T> {
        let mut all = self.state.borrow_mut();
        let known = all.iter().find_map(|known| known.clone().downcast().ok());
        known.unwrap_or_else(|| {
            let made = Rc::<T>::default();
            all.push(made.clone());
            made
        })
    }

    // ---- between requests ----

    /// The next head. `due` is when the wait for its first byte ends; `head_due` when the wait for its end does, set
    /// here once a byte has come.
    fn poll_head(&self, cx: &mut Context<'_>, due: Tick, head_due: &mut Option<Tick>) -> Poll<Result<Next>> {
        self.timer.clear();
        self.timer.waits(cx);
        loop {
            if let Some(head) = self.time_parsing()? {
                return Poll::Ready(Ok(Next::Request(head)));
            }
            let begun = self.codec.borrow().begun();
            let due = if begun {
                *head_due.get_or_insert_with(|| self.lane.after(self.door.settings().timeouts.client_head))
            } else {
                due
            };
            if !(begun && has(Bug::ClientTimerNeverArmed)) && self.lane.0.wheel.expired(&self.timer, due) {
                return Poll::Ready(if begun {
                    Err(Error::new(Side::Downstream, Stage::Head, ErrorKind::Timeout))
                } else {
                    Ok(Next::Over)
                });
            }
            if !self.io.is_receiving() {
                if self.ended.get() {
                    return Poll::Ready(self.end_between_requests());
                }
                // A client that has just come has most often sent its request already.
                let wait = if self.fresh.take() { Wait::Short } else { Wait::Long };
                self.io.begin_receive(self.input.take(), wait);
            }
            let Poll::Ready(received) = self.io.poll_receive(cx) else {
                if self.waiting.get() == Waiting::No {
                    self.waiting.set(Waiting::Awake(0));
                }
                if self.drowsy.take() && !begun {
                    return Poll::Ready(Ok(Next::Sleep));
                }
                return Poll::Pending;
            };
            self.waiting.set(Waiting::No);
            match received {
                Ok(Received::Bytes(buffer)) => *self.input.borrow_mut() = Some(buffer),
                Ok(Received::End(buffer)) => {
                    self.ended.set(true);
                    self.put_back(buffer);
                }
                // Between requests a reset is no more than an abrupt close.
                Err(_) => return Poll::Ready(Ok(Next::Over)),
            }
        }
    }

    /// Gives up everything but the wait for something to receive.
    fn fall_asleep(&self) {
        self.waiting.set(Waiting::Asleep(0));
        self.io.fall_asleep();
    }

    /// Ready when it is to wake up.
    fn poll_stirs(&self, cx: &Context<'_>) -> Poll<()> {
        self.io.poll_stirs(cx)
    }

    /// Whether the wait is over although nothing has come; if not, the task is woken then.
    fn has_overslept(&self, cx: &Context<'_>, due: Tick) -> bool {
        self.timer.clear();
        self.timer.waits(cx);
        self.lane.0.wheel.expired(&self.timer, due)
    }

    fn wake(&self) {
        self.drowsy.set(false);
        self.waiting.set(Waiting::No);
        self.io.wake();
    }

    /// Parses what has come of a head, and counts the time.
    fn time_parsing(&self) -> Result<Option<Kept<RequestHead>>> {
        if self.input.borrow().is_none() {
            return Ok(None);
        }
        let began = self.lane.0.turns.not_worked_since().unwrap_or_else(|| self.lane.look());
        let parsed = self.parse_head();
        let took = self.lane.look().saturating_sub(began);
        self.lane.0.turns.set_worked();
        let nanos = u32::try_from(nanos(took)).unwrap_or(u32::MAX);
        self.parse.set(self.parse.get().saturating_add(nanos));
        parsed
    }

    fn parse_head(&self) -> Result<Option<Kept<RequestHead>>> {
        let mut input = self.input.borrow_mut();
        let Some(buffer) = input.as_mut() else { return Ok(None) };
        let mut head = Kept::blank();
        let received =
            self.codec.borrow_mut().receive(&self.door.settings().limits, buffer.as_slice(), &mut head);
        let received =
            received.map_err(|error| Error::protocol(Side::Downstream, Stage::Head, error.kind))?;
        buffer.consume(received.consumed);
        let complete = received.event == codec::Event::Head;
        if buffer.is_empty() {
            self.lane.0.buffers.give(input.take().expect("it was there"));
        } else if !complete && buffer.room() == 0 {
            buffer.make_room(&self.lane.0.buffers);
        }
        if !complete {
            return Ok(None);
        }
        self.version.set(head.version);
        self.content_bytes.set(0);
        Ok(Some(head))
    }

    fn end_between_requests(&self) -> Result<Next> {
        match self.codec.borrow_mut().receive_end() {
            Ok(()) => Ok(Next::Over),
            Err(error) => Err(Error::protocol(Side::Downstream, Stage::Head, error.kind)),
        }
    }

    fn put_back(&self, buffer: Buffer) {
        if buffer.is_empty() {
            self.lane.0.buffers.give(buffer);
        } else {
            *self.input.borrow_mut() = Some(buffer);
        }
    }

    /// Called about once a second, oftener when idle connections are to go: in a drain, and when the process runs short.
    pub(crate) fn sweep(&self, draining: bool, sheds: bool) -> Seen {
        let mut seen = Seen { asleep: false, dozes: false, dismissed: false };
        let leaving = draining || sheds || self.door.is_retired();
        match self.waiting.get() {
            Waiting::No => {}
            // The first sweep only looks: it may have become idle a moment ago.
            Waiting::Awake(0) => self.waiting.set(Waiting::Awake(1)),
            Waiting::Awake(sweeps) if leaving => {
                seen.dismissed = self.dismiss(sweeps, self.stays(draining, 1), Waiting::Awake);
            }
            Waiting::Awake(_) => {
                self.drowsy.set(true);
                seen.dozes = true;
                self.timer.wake();
            }
            // One that sleeps has been idle for a second or longer.
            Waiting::Asleep(sweeps) => {
                seen.asleep = true;
                if leaving {
                    seen.dismissed = self.dismiss(sweeps, self.stays(draining, 0), Waiting::Asleep);
                }
            }
        }
        seen
    }

    /// For how many sweeps an idle connection stays that is to go; `least` where there is no drain. Those of a drain,
    /// twenty of which are a second, are spread over it, so that not all clients come back at one moment; one that was
    /// used a moment ago has half of the second for a next request, which tells it to close.
    fn stays(&self, draining: bool, least: u8) -> u8 {
        let part = (self.place.get() % 10) as u8;
        match (draining, least) {
            (false, least) => least,
            (true, 0) => 2 * part,
            (true, _) => 10 + part,
        }
    }

    /// Closes what has been idle for so many sweeps; says whether it did.
    fn dismiss(&self, sweeps: u8, stays: u8, waiting: fn(u8) -> Waiting) -> bool {
        if sweeps >= stays {
            self.io.shutdown(Shutdown::Both);
        } else {
            self.waiting.set(waiting(sweeps.saturating_add(1)));
        }
        sweeps >= stays
    }

    // ---- the lane's time ----

    /// The connection's task is polled: what it has waited for belongs to the exchange that is under way, or else to
    /// the head that may come.
    pub(crate) fn begin_poll(&self, in_exchange: bool) {
        self.watched.set(false);
        let turns = &self.lane.0.turns;
        let waited = nanos(turns.behind(Duration::from_nanos(self.polled.get())));
        self.polled.set(nanos(turns.polled()));
        self.behind.set(if in_exchange { self.behind.get().saturating_add(waited) } else { waited });
    }

    /// What was waited behind other tasks since this was asked last.
    pub(crate) fn take_behind(&self) -> Duration {
        Duration::from_nanos(self.behind.take())
    }

    /// What the present head has taken.
    pub(crate) fn take_parse(&self) -> Duration {
        Duration::from_nanos(self.parse.take().into())
    }

    // ---- the request ----

    /// Begins to receive what comes after this request, so that a client that leaves is noticed at no extra cost.
    ///
    /// One that ends its half still wants the response, until sending it fails (RFC 9112 §9.6); unless `end_is_gone`.
    pub(crate) fn watch(&self, cx: &mut Context<'_>, end_is_gone: bool) -> Poll<Error> {
        let gone = || Poll::Ready(Error::new(Side::Downstream, Stage::Wait, ErrorKind::Closed));
        if self.watched.get() {
            return Poll::Pending;
        }
        if !self.codec.borrow().request_ended() {
            return Poll::Pending;
        }
        if self.ended.get() {
            return if end_is_gone { gone() } else { Poll::Pending };
        }
        if self.input.borrow().is_some() || self.watches_later() {
            return Poll::Pending;
        }
        self.io.begin_receive(None, Wait::Long);
        match self.io.poll_arrival(cx) {
            Poll::Pending => {
                self.watched.set(true);
                Poll::Pending
            }
            Poll::Ready(Arrival::End) if end_is_gone || has(Bug::HalfCloseIsGone) => gone(),
            Poll::Ready(Arrival::Bytes | Arrival::End | Arrival::Nothing) => Poll::Pending,
            Poll::Ready(Arrival::Failed) => gone(),
        }
    }

    /// Whether it is too early to watch a client that promised to send nothing more. A watch costs more than it does for
    /// others, where it becomes the wait for the next request: it has to be taken back. Most answers come before it is due.
    fn watches_later(&self) -> bool {
        if self.io.is_receiving() || !self.codec.borrow().is_last() {
            return false;
        }
        let due = self.watch_due.get().unwrap_or_else(|| self.lane.after(WATCH_AFTER));
        self.watch_due.set(Some(due));
        !self.lane.0.wheel.expired(&self.timer, due)
    }

    /// Whether some of the request's content has come.
    pub(crate) fn poll_content_waits(&self, cx: &mut Context<'_>) -> bool {
        if self.input.borrow().is_some() || self.ended.get() {
            return true;
        }
        self.io.begin_receive(None, Wait::Short);
        self.io.poll_arrival(cx).is_ready()
    }

    /// The next piece of the request's content, from what has been received.
    pub(crate) fn content_in_hand(&self) -> Result<Option<Pull>> {
        let (mut input, mut codec) = (self.input.borrow_mut(), self.codec.borrow_mut());
        if codec.request_ended() {
            // What follows is not this request's.
            return Ok(Some(Pull::End));
        }
        let Some(buffer) = input.take() else { return Ok(None) };
        let settings = self.door.settings().clone();
        let limits = &settings.limits;
        let mut unused = RequestHead::new();
        let pulled = pull(buffer, &self.lane.0.buffers, |bytes| codec.receive(limits, bytes, &mut unused));
        let pulled =
            pulled.map_err(|error| Error::protocol(Side::Downstream, Stage::Transfer, error.kind))?;
        *input = pulled.rest;
        if let Some(Pull::Piece(piece)) = &pulled.pull {
            let total = self.content_bytes.get() + piece.len() as u64;
            self.content_bytes.set(total);
            if self.content_bytes_max.get().is_some_and(|max| total > max) {
                return Err(content_too_large());
            }
        }
        Ok(pulled.pull)
    }

    /// The next piece of the request's content.
    pub(crate) fn poll_content(&self, cx: &mut Context<'_>) -> Poll<Result<Pull>> {
        loop {
            if let Some(pull) = self.content_in_hand()? {
                return Poll::Ready(Ok(pull));
            }
            if self.ended.get() {
                if has(Bug::UploadTruncationIsEnd) {
                    return Poll::Ready(Ok(Pull::End));
                }
                let error = self.codec.borrow_mut().receive_end().err();
                let kind = error.map_or(corelane_codec::Kind::Truncated, |error| error.kind);
                return Poll::Ready(Err(Error::protocol(Side::Downstream, Stage::Transfer, kind)));
            }
            if !self.io.is_receiving() {
                self.io.begin_receive(self.input.take(), Wait::Short);
            }
            match ready!(self.io.poll_receive(cx)) {
                Ok(Received::Bytes(buffer)) => *self.input.borrow_mut() = Some(buffer),
                Ok(Received::End(buffer)) => {
                    self.ended.set(true);
                    self.put_back(buffer);
                }
                Err(error) => return Poll::Ready(Err(Error::io(Side::Downstream, Stage::Transfer, &error))),
            }
        }
    }

    /// Whether something that was received has not been looked at.
    pub(crate) fn has_input(&self) -> bool {
        self.input.borrow().is_some()
    }

    /// More content of this request is too much.
    pub(crate) fn set_content_bytes_max(&self, max: Option<u64>) {
        self.content_bytes_max.set(max);
    }

    pub(crate) fn content_bytes(&self) -> u64 {
        self.content_bytes.get()
    }

    /// Whether the length of the request's content is known beforehand.
    pub(crate) fn has_known_length(&self) -> bool {
        matches!(self.codec.borrow().content(), Length::Known(_))
    }

    pub(crate) fn request_ended(&self) -> bool {
        self.codec.borrow().request_ended()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// The trailers of the request, when it has ended.
    pub(crate) fn trailers(&self, use_them: impl FnOnce(Option<&Fields>)) {
        use_them(self.codec.borrow().trailers());
    }

    // ---- the response ----

    /// This exchange is the connection's last.
    pub(crate) fn close_after(&self) {
        self.codec.borrow_mut().close();
    }

    /// Whether another request may follow, by all that has been said.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.codec.borrow().keep_alive()
    }

    pub(crate) fn response_begun(&self) -> bool {
        self.codec.borrow().response_begun()
    }

    /// Begins to send an interim response; `false` if this client takes none (HTTP/1.0).
    pub(crate) fn begin_interim(&self, status: StatusCode, fields: &Fields) -> bool {
        let mut buffer = self.lane.0.buffers.take();
        if self.codec.borrow_mut().send_interim(status, fields, buffer.tail()) {
            self.io.begin_send(buffer);
            return true;
        }
        self.lane.0.buffers.give(buffer);
        false
    }

    /// Writes the head of the response into `buffer`.
    pub(crate) fn write_head(&self, head: &ResponseHead, buffer: &mut Buffer) -> Result<()> {
        self.codec.borrow_mut().send_head(head, buffer.tail()).map_err(|error| ours(error.kind))?;
        self.switched.set(head.status == StatusCode::SWITCHING_PROTOCOLS);
        let unknown = matches!(head.content, Length::Chunked | Length::UntilClose);
        self.ends_with_close.set(unknown && self.version.get() == Version::Http10);
        Ok(())
    }

    /// Whether the connection speaks another protocol from here on.
    pub(crate) fn has_switched(&self) -> bool {
        self.switched.get()
    }

    /// Ends a connection whose response cannot be completed, so that the client can tell.
    pub(crate) fn cut_short(&self) {
        if self.ends_with_close.get() && !has(Bug::CutWithoutReset) {
            self.io.abort();
        } else {
            self.io.shutdown(Shutdown::Both);
        }
    }

    /// Whether content follows the head (not after `HEAD`, 204, 304).
    pub(crate) fn sends_content(&self) -> bool {
        self.codec.borrow().sends_content()
    }

    /// `count` bytes of content go out as they are, which is only so if their length was said in the head.
    pub(crate) fn pass(&self, count: usize) -> Result<()> {
        let wrap = self.codec.borrow_mut().send_data(count).map_err(|error| ours(error.kind))?;
        assert!(wrap.before().is_empty(), "content of a known length has no framing");
        Ok(())
    }

    /// Puts the framing around a piece of content.
    pub(crate) fn frame(&self, piece: &mut Buffer) -> Result<()> {
        let count = piece.len() + usize::from(has(Bug::ChunkOffByOne));
        let wrap = self.codec.borrow_mut().send_data(count).map_err(|error| ours(error.kind))?;
        assert!(
            piece.prepend(wrap.before()),
            "there is room for a chunk's size in front of what was received"
        );
        piece.append(wrap.after());
        Ok(())
    }

    /// Ends the response, behind what `buffer` holds.
    pub(crate) fn write_end(&self, trailers: Option<&Fields>, buffer: &mut Buffer) -> Result<()> {
        let mut codec = self.codec.borrow_mut();
        let trailers = trailers.filter(|_| codec.takes_trailers());
        codec.send_end(trailers, buffer.tail()).map_err(|error| ours(error.kind))
    }

    /// Whether another request may come on this connection; if so, everything is made ready for it.
    pub(crate) fn begin_next(&self) -> bool {
        let mut codec = self.codec.borrow_mut();
        let may = codec.may_reuse() && !self.io.is_sending();
        if may {
            codec.next_exchange();
        }
        may
    }

    /// Whether the client promised to send nothing more, and has kept it so far. Then a close is no reset that could take
    /// the answer back, and the kernel delivers what it has.
    pub(crate) fn has_said_all(&self) -> bool {
        self.codec.borrow().is_last() && self.input.borrow().is_none() && !self.io.has_unread()
    }

    /// The bytes that came after a switch of protocols.
    pub(crate) fn take_input(&self) -> Option<Buffer> {
        self.input.take()
    }

    pub(crate) fn set_ended(&self) {
        self.ended.set(true);
    }
}

/// Five hundred years are enough.
fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

fn ours(kind: corelane_codec::Kind) -> Error {
    Error::protocol(Side::Internal, Stage::Transfer, kind)
}

pub(crate) fn content_too_large() -> Error {
    Error::new(Side::Downstream, Stage::Transfer, ErrorKind::TooLarge)
}

/// Whether content of this length is over the limit, as far as can be known beforehand.
pub(crate) fn is_too_large(length: Length, max: Option<u64>) -> bool {
    matches!((length, max), (Length::Known(length), Some(max)) if length > max)
}
