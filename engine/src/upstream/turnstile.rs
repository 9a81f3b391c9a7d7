//! The way into a cluster with a connection maximum, as one lane sees it: a place for each connection, and a queue
//! when all are taken.
//!
//! A place belongs to a connection from the connect to the close, idle or not, on whatever lane it is. Who needs one
//! and finds none closes an idle connection to another endpoint of the same cluster, asks another lane to do so, or
//! waits. Whoever gives a connection back, or closes one, looks who has waited longest, on any lane.

use super::{UpstreamConnection, pool::Pool};
use crate::simulate::{Bug, has};
use crate::{
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    lane::Lane,
    letter::Letter,
    metrics::Metric,
    shared::limit::{Limit, Moving},
    wheel::{TICK, Tick},
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// The way into a cluster with a connection maximum.
pub(crate) struct Turnstile {
    lane: Lane,
    pub(crate) name: Arc<str>,
    limit: Arc<Limit>,
    /// How long a request waits for a place.
    wait_max: Cell<Duration>,
    /// Those whose idle connections hold places.
    pools: RefCell<Vec<Weak<Pool>>>,
    idle: Cell<usize>,
    waiters: RefCell<VecDeque<Rc<Waiter>>>,
}

/// A request that waits.
struct Waiter {
    /// When it began to, in nanoseconds of the engine's clock; never 0.
    since: u64,
    waker: RefCell<Option<Waker>>,
}

/// What a request is let in with.
pub(crate) enum Entry {
    /// An idle connection.
    Connection(Box<UpstreamConnection>),
    /// A place for a new one.
    Place(Place),
}

impl Turnstile {
    pub(crate) fn new(lane: &Lane, name: Arc<str>, limit: Arc<Limit>, wait_max: Duration) -> Rc<Self> {
        Rc::new(Self {
            lane: lane.clone(),
            name,
            limit,
            wait_max: Cell::new(wait_max),
            pools: RefCell::default(),
            idle: Cell::new(0),
            waiters: RefCell::default(),
        })
    }

    /// The cluster may have so many connections now, and so many requests may wait so long.
    pub(crate) fn hold(&self, (connections_max, queue_max, wait_max): (u32, u32, Duration)) {
        self.limit.connections.resize(connections_max);
        self.limit.queue.resize(queue_max);
        self.wait_max.set(wait_max);
        // If there are to be fewer, idle ones go first; those at work go when they are done.
        while self.has_too_many() && self.make_room().is_some() {}
        self.call();
    }

    /// Idle connections of this pool hold places of this cluster.
    pub(crate) fn watch(&self, pool: &Rc<Pool>) {
        let mut pools = self.pools.borrow_mut();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Rc::downgrade(pool));
    }

    pub(crate) fn idle_changed(&self, by: isize) {
        let idle = self.idle.get().checked_add_signed(by).expect("no more go than have come");
        self.idle.set(idle);
        self.limit.show_idle(self.lane.id(), idle);
    }

    /// Whether there are more connections than there may be, because the maximum has been lowered.
    pub(crate) fn has_too_many(&self) -> bool {
        self.limit.connections.taken() > self.limit.connections.max()
    }

    /// Whether requests of this lane wait.
    pub(crate) fn has_queue(&self) -> bool {
        !self.waiters.borrow().is_empty()
    }

    /// The lane on which a request has waited longest, this one included.
    pub(crate) fn longest_waiting(&self) -> Option<usize> {
        self.limit.longest_waiting()
    }

    /// Something may have become free: the first in the queue looks again.
    pub(crate) fn call(&self) {
        if let Some(first) = self.waiters.borrow().front()
            && let Some(waker) = first.waker.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }

    /// The place of a connection that has come from another lane; `None` if it was a place elsewhere.
    pub(crate) fn place_that_came(self: &Rc<Self>, moving: Moving) -> Option<Place> {
        moving.arrives(&self.limit, self.lane.id()).then(|| Place(Some(self.clone())))
    }

    /// Closes the idle connection that has rested longest in one of the pools; `None` if none rests.
    pub(crate) fn make_room(&self) -> Option<Box<UpstreamConnection>> {
        let pools = self.pools.borrow();
        let resting = pools.iter().filter_map(Weak::upgrade).filter(|pool| pool.idle() > 0);
        resting.max_by_key(|pool| pool.idle()).and_then(|pool| pool.take_first())
    }

    /// Waits for a connection of `pool`'s or for a place to make one; `fresh` takes no idle one.
    ///
    /// # Errors
    /// The queue is full, or the wait took too long: 503.
    pub(crate) async fn enter(
        self: &Rc<Self>,
        pool: &Rc<Pool>,
        fresh: bool,
        exchange: &Exchange,
    ) -> Result<Entry> {
        if self.waiters.borrow().is_empty()
            && let Some(entry) = self.try_enter(pool, fresh)
        {
            return Ok(entry);
        }
        let waiting = Waiting::begin(self)?;
        let due = self.lane.after(self.wait_max.get());
        let mut ask_again = None;
        poll_fn(|cx| {
            exchange.begin_wait(cx);
            waiting.waits(cx);
            if waiting.is_first() {
                if let Some(entry) = self.try_enter(pool, fresh) {
                    return Poll::Ready(Ok(entry));
                }
                self.ask_for_room(&mut ask_again);
            }
            if exchange.expired(due) {
                return Poll::Ready(Err(busy()));
            }
            // A lane that is too busy to take a letter calls nobody.
            exchange.expired(self.lane.after(TICK));
            Poll::Pending
        })
        .await
    }

    fn try_enter(self: &Rc<Self>, pool: &Pool, fresh: bool) -> Option<Entry> {
        if !fresh && let Some(connection) = pool.reuse() {
            return Some(Entry::Connection(connection));
        }
        if self.limit.connections.try_take(self.lane.id()) {
            return Some(Entry::Place(Place(Some(self.clone()))));
        }
        // Its place is kept, so that nobody else takes it meanwhile.
        let place = self.make_room()?.take_place()?;
        // If the maximum was lowered, the connection had one place too many.
        (!self.has_too_many()).then_some(Entry::Place(place))
    }

    /// Asks a lane that shows an idle connection to close it, once a tick.
    fn ask_for_room(&self, again: &mut Option<Tick>) {
        if again.is_some_and(|due| !self.lane.0.wheel.passed(due)) {
            return;
        }
        *again = Some(self.lane.after(TICK));
        if let Some(lane) = self.limit.has_idle(self.lane.id()) {
            let _ = self.lane.post(lane, Letter::MakeRoom(self.name.clone()));
        }
    }

    /// Shows since when the first in the queue has waited.
    fn show_waiting(&self) {
        let since = self.waiters.borrow().front().map_or(0, |first| first.since);
        self.limit.show_waiting(self.lane.id(), since);
    }
}

const fn busy() -> Error {
    Error::new(Side::Upstream, Stage::Route, ErrorKind::Busy)
}

/// A place in the queue.
struct Waiting<'a> {
    turnstile: &'a Turnstile,
    waiter: Rc<Waiter>,
}

impl<'a> Waiting<'a> {
    fn begin(turnstile: &'a Turnstile) -> Result<Self> {
        let lane = &turnstile.lane;
        if !turnstile.limit.queue.try_take(lane.id()) {
            lane.0.metrics.count(Metric::UpstreamQueueRefused);
            return Err(busy());
        }
        lane.0.metrics.count(Metric::UpstreamQueued);
        let since = u64::try_from(lane.now().as_nanos()).unwrap_or(u64::MAX).max(1);
        let waiter = Rc::new(Waiter { since, waker: RefCell::new(None) });
        turnstile.waiters.borrow_mut().push_back(waiter.clone());
        turnstile.show_waiting();
        Ok(Self { turnstile, waiter })
    }

    fn is_first(&self) -> bool {
        self.turnstile.waiters.borrow().front().is_some_and(|first| Rc::ptr_eq(first, &self.waiter))
    }

    fn waits(&self, cx: &Context<'_>) {
        let mut waker = self.waiter.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turnstile.waiters.borrow_mut().retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
        self.turnstile.limit.queue.put_back(self.turnstile.lane.id());
        self.turnstile.show_waiting();
        // What it was called for may be more than it took.
        self.turnstile.call();
    }
}

/// A connection's place: given back when it is dropped.
pub(crate) struct Place(Option<Rc<Turnstile>>);

impl Place {
    /// The connection goes to another lane, and its place with it.
    pub(crate) fn leave(mut self) -> Option<Moving> {
        self.0.take().map(|turnstile| Moving::from(&turnstile.limit, turnstile.lane.id()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(turnstile) = self.0.take().filter(|_| !has(Bug::PlaceLost)) else { return };
        turnstile.limit.connections.put_back(turnstile.lane.id());
        match turnstile.longest_waiting() {
            Some(lane) if lane == turnstile.lane.id() => turnstile.call(),
            Some(lane) => {
                let _ = turnstile.lane.post(lane, Letter::Room(turnstile.name.clone()));
            }
            None => {}
        }
    }
}
