//! An HTTP/1 connection: one small task, which waits for heads itself and lends a seat to each exchange.

use super::{Downstream, Next};
use crate::{
    error::Result, exchange::After, kept::Kept, lane::panic_message, metrics::Metric, sink::Event,
    wheel::Tick,
};
use corelane_codec::RequestHead;
use std::{
    cell::{Cell, RefCell},
    future::Future,
    net::Shutdown,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// Free seats that a listener keeps, or twice as many as are taken.
const SEATS_KEPT: usize = 64;

/// Where exchanges are polled. An exchange's future is several KiB and must not sit in an idle connection's task, so
/// it is put into a seat, which is used again: a request costs no allocation, an idle connection no room.
pub(crate) struct Seats<F, S> {
    start: S,
    free: RefCell<Vec<Seat<F>>>,
    taken: Cell<usize>,
}

type Seat<F> = Pin<Box<Option<F>>>;

impl<F, S> Seats<F, S> {
    /// A seat that is taken goes with whoever sits in it.
    fn lose(&self) {
        self.taken.update(|taken| taken - 1);
    }
}

impl<F, S> Seats<F, S>
where
    S: Fn(Rc<Downstream>, Result<Kept<RequestHead>>) -> F,
{
    pub(crate) fn new(start: S) -> Rc<Self> {
        Rc::new(Self { start, free: RefCell::default(), taken: Cell::new(0) })
    }

    /// Begins an exchange.
    fn take(&self, connection: &Rc<Downstream>, received: Result<Kept<RequestHead>>) -> Seat<F> {
        self.taken.update(|taken| taken + 1);
        let free = self.free.borrow_mut().pop();
        let mut seat = free.unwrap_or_else(|| Box::pin(None));
        seat.as_mut().set(Some((self.start)(connection.clone(), received)));
        seat
    }

    fn give(&self, mut seat: Seat<F>) {
        self.lose();
        seat.as_mut().set(None);
        let mut free = self.free.borrow_mut();
        free.push(seat);
        // No more than what is likely to be taken again: nothing is dropped here while as many come as go.
        free.truncate(SEATS_KEPT.max(2 * self.taken.get()));
    }
}

/// What a connection's task is at.
enum Phase<F> {
    /// Waiting for a head.
    Head,
    /// The same, without a buffer.
    Asleep,
    /// An exchange is under way.
    Exchange(Seat<F>),
}

/// Serves a connection until it is over. Written by hand because it is what an idle connection costs.
pub(crate) struct Task<F, S> {
    connection: Rc<Downstream>,
    seats: Rc<Seats<F, S>>,
    phase: Phase<F>,
    /// When the wait for the first byte of a head ends.
    due: Tick,
    /// When the wait for the rest of it does.
    head_due: Option<Tick>,
}

/// The future that sits in the runtime for an idle connection is at most this large.
const TASK_BYTES_MAX: usize = 64;

impl<F, S> Task<F, S>
where
    F: Future<Output = After>,
    S: Fn(Rc<Downstream>, Result<Kept<RequestHead>>) -> F,
{
    pub(crate) fn new(connection: Rc<Downstream>, seats: Rc<Seats<F, S>>) -> Self {
        const { assert!(size_of::<Self>() <= TASK_BYTES_MAX, "an idle connection's task must stay small") };
        // A fresh connection has so long for its first head, from the accept.
        let due = connection.lane.after(connection.door.settings().timeouts.client_head);
        Self { connection, seats, phase: Phase::Head, due, head_due: Some(due) }
    }

    /// Ready when the connection is over.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.phase {
                Phase::Head => {
                    let received = match ready!(self.connection.poll_head(cx, self.due, &mut self.head_due)) {
                        Ok(Next::Request(head)) => Ok(head),
                        Ok(Next::Over) => return Poll::Ready(()),
                        Ok(Next::Sleep) => {
                            self.connection.fall_asleep();
                            self.phase = Phase::Asleep;
                            continue;
                        }
                        Err(error) => Err(error),
                    };
                    self.phase = Phase::Exchange(self.seats.take(&self.connection, received));
                }
                Phase::Asleep => {
                    let woken = self.connection.poll_stirs(cx).is_ready();
                    if !woken && !self.connection.has_overslept(cx, self.due) {
                        return Poll::Pending;
                    }
                    self.phase = Phase::Head;
                    self.connection.wake();
                    if !woken {
                        return Poll::Ready(());
                    }
                }
                Phase::Exchange(seat) => {
                    let exchange = seat.as_mut().as_pin_mut().expect("somebody sits in it");
                    let after = ready!(exchange.poll(cx));
                    if let Phase::Exchange(seat) = std::mem::replace(&mut self.phase, Phase::Head) {
                        self.seats.give(seat);
                    }
                    if after == After::Close {
                        return Poll::Ready(());
                    }
                    self.connection.lane.0.turns.set_worked();
                    self.due =
                        self.connection.lane.after(self.connection.door.settings().timeouts.client_idle);
                    self.head_due = None;
                    // Pipelined requests that are answered at once come out of one buffer.
                    if self.connection.lane.has_spent(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<F, S> Future for Task<F, S>
where
    F: Future<Output = After>,
    S: Fn(Rc<Downstream>, Result<Kept<RequestHead>>) -> F,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Whatever is pinned in here is boxed.
        let this = self.get_mut();
        this.connection.lane.begin_poll();
        this.connection.begin_poll(matches!(this.phase, Phase::Exchange(_)));
        this.connection.timer.waits(cx);
        if this.connection.lane.is_cut() {
            return Poll::Ready(());
        }
        // A handler's panic has been caught before; this is the engine's own, and costs one connection.
        match catch_unwind(AssertUnwindSafe(|| this.step(cx))) {
            Ok(poll) => poll,
            Err(payload) => {
                let lane = &this.connection.lane;
                lane.0.metrics.count(Metric::EnginePanics);
                lane.event(&Event::LanePanicked { lane: lane.id(), message: panic_message(&*payload) });
                Poll::Ready(())
            }
        }
    }
}

impl<F, S> Drop for Task<F, S> {
    fn drop(&mut self) {
        if matches!(self.phase, Phase::Exchange(_)) {
            self.seats.lose();
            // Dropped in the middle: the client must be able to tell.
            self.connection.cut_short();
        }
        self.connection.lane.unregister(&self.connection);
        if Rc::strong_count(&self.connection) > 1 {
            // A task that has outlived its request still holds on to it; the client is not to wait for that.
            self.connection.io.shutdown(Shutdown::Both);
        }
    }
}
