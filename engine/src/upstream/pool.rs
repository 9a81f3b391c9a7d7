//! One lane's connections to a peer: those that are idle, and how to get another.
//!
//! The lane's own come first, the most recently used of them before the others, so that the rest can grow old and go.
//! If it has none, a lane that shows one lends it (see [`lend`](super::lend)); only then a new one is made. Pools that
//! cannot do that are known to ruin reuse: every lane would hold connections of its own to every origin, and each of
//! them would be idle for so long that the origin closes it.

use super::{
    Peer, UpstreamConnection,
    turnstile::{Place, Turnstile},
};
use crate::{
    context::Exchange,
    io::{self as loop_io, Connection, Watch},
    lane::Lane,
    letter::{Lent, Letter},
    metrics::Metric,
    overload::Shedding,
    settings::Settings,
    shared::board::Board,
    sink::Event,
};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, poll_fn},
    io,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

/// Idle connections kept for one peer.
const IDLE_MAX: usize = 1024;
/// How often it is said, at most, that a peer cannot be connected to.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// One lane's connections to a peer.
pub(crate) struct Pool {
    pub(crate) lane: Lane,
    pub(crate) peer: Peer,
    pub(crate) board: Arc<Board>,
    /// For a peer of a cluster with a connection maximum.
    pub(crate) turnstile: Option<Rc<Turnstile>>,
    /// Most recently used last.
    idle: RefCell<VecDeque<Box<UpstreamConnection>>>,
    /// When a failure to connect was said last.
    said: Cell<Option<Duration>>,
}

impl Pool {
    pub(crate) fn new(lane: &Lane, peer: &Peer, turnstile: Option<Rc<Turnstile>>) -> Rc<Self> {
        let pool = Rc::new(Self {
            lane: lane.clone(),
            peer: peer.clone(),
            board: lane.0.process.board(peer),
            turnstile,
            idle: RefCell::default(),
            said: Cell::new(None),
        });
        if let Some(turnstile) = &pool.turnstile {
            turnstile.watch(&pool);
        }
        pool
    }

    /// How many are idle.
    pub(crate) fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    /// The most recently used connection whose origin has not closed it.
    pub(crate) fn reuse(&self) -> Option<Box<UpstreamConnection>> {
        loop {
            let connection = self.take_last()?;
            if !connection.stirs() {
                connection.idle_due.set(None);
                return Some(connection);
            }
            self.lane.0.metrics.count(Metric::UpstreamStale);
        }
    }

    /// The one that has been idle for longest, to be lent or closed.
    pub(crate) fn take_first(&self) -> Option<Box<UpstreamConnection>> {
        let connection = self.idle.borrow_mut().pop_front()?;
        self.shrunk(1);
        Some(connection)
    }

    fn take_last(&self) -> Option<Box<UpstreamConnection>> {
        let connection = self.idle.borrow_mut().pop_back()?;
        self.shrunk(1);
        Some(connection)
    }

    /// An exchange is over, and both directions stand at a message boundary.
    pub(crate) fn give_back(&self, connection: Box<UpstreamConnection>, idle_max: Duration) {
        let shedding = self.lane.shedding() >= Shedding::CloseIdle;
        if self.lane.is_draining() || shedding || self.idle() >= IDLE_MAX {
            return;
        }
        connection.begin_next();
        let Some(turnstile) = &self.turnstile else { return self.rest(connection, idle_max) };
        if turnstile.has_too_many() {
            return;
        }
        match turnstile.longest_waiting() {
            None => self.rest(connection, idle_max),
            Some(lane) if lane == self.lane.id() => {
                self.rest(connection, idle_max);
                turnstile.call();
            }
            // What cannot go there as it is makes place for another when it is closed.
            Some(lane) if !connection.io.is_receiving() => self.hand_over(connection, lane, idle_max),
            Some(_) => {}
        }
    }

    fn rest(&self, connection: Box<UpstreamConnection>, idle_max: Duration) {
        connection.rest(self.lane.after(idle_max));
        self.keep(connection);
    }

    /// Keeps a connection that is at rest.
    pub(crate) fn keep(&self, connection: Box<UpstreamConnection>) {
        self.idle.borrow_mut().push_back(connection);
        self.lane.0.metrics.add(Metric::UpstreamIdle, 1);
        // Its end is found by a sweep, and a lane with nothing to do makes none: this may have been lent to one.
        self.lane.0.wheel.rouse();
        self.show();
        if let Some(turnstile) = &self.turnstile {
            turnstile.idle_changed(1);
        }
    }

    /// Requests on another lane wait for a connection of this cluster, and this one has done its work.
    fn hand_over(&self, connection: Box<UpstreamConnection>, to: usize, idle_max: Duration) {
        let refused = match self.pack(connection) {
            Ok(lent) => self.lane.post(to, Letter::Given(lent)).err(),
            Err(_) => None,
        };
        if let Some(Letter::Given(lent)) = refused
            && let Some(connection) = self.unpack(lent)
        {
            self.rest(connection, idle_max);
        }
    }

    /// Makes a connection with nothing under way ready to be sent to another lane.
    pub(crate) fn pack(&self, connection: Box<UpstreamConnection>) -> io::Result<Lent> {
        let socket = connection.io.duplicate()?;
        let place = connection.take_place().and_then(Place::leave);
        Ok(Lent { peer: self.peer.clone(), socket, place })
    }

    /// A connection that has come from another lane. One of a cluster that has come to an end meanwhile is closed.
    pub(crate) fn unpack(&self, lent: Lent) -> Option<Box<UpstreamConnection>> {
        let place = match (&self.turnstile, lent.place) {
            (Some(turnstile), Some(moving)) => Some(turnstile.place_that_came(moving)?),
            (None, None) => None,
            _ => return None,
        };
        let stream = Watch::new(lent.socket);
        Some(self.connection(stream, place, self.lane.settings().clone()))
    }

    fn connection(
        &self,
        stream: Watch,
        place: Option<Place>,
        settings: Rc<Settings>,
    ) -> Box<UpstreamConnection> {
        let io = Connection::new(stream, &self.lane.0.buffers, &self.lane.0.spares);
        Box::new(UpstreamConnection::new(&self.lane, io, place, settings))
    }

    /// A new connection. `place` is the one that it takes of its cluster's maximum.
    pub(crate) async fn connect(
        &self,
        place: Option<Place>,
        exchange: &Exchange,
    ) -> io::Result<Box<UpstreamConnection>> {
        let began = self.lane.now();
        let (due, between_bytes) = {
            let timeouts = &exchange.settings().timeouts;
            (self.lane.after(timeouts.connect), timeouts.between_bytes)
        };
        let (to, from) = (self.peer.address(), self.peer.source_address());
        let mut connecting = pin!(loop_io::connect(to, from, between_bytes));
        let stream = poll_fn(|cx| {
            exchange.begin_wait(cx);
            if let Poll::Ready(result) = connecting.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if exchange.expired(due) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending
        })
        .await;
        exchange.mark_connected(self.lane.look().saturating_sub(began));
        let stream = stream?;
        self.lane.0.metrics.count(Metric::UpstreamConnects);
        Ok(self.connection(stream, place, exchange.settings().clone()))
    }

    /// It could not be connected to: every lane is told, and the log now and then.
    pub(crate) fn unreachable(&self, error: &io::Error) {
        let now = self.lane.now();
        if self.said.get().is_some_and(|said| now.saturating_sub(said) < SAY_AGAIN) {
            return;
        }
        self.said.set(Some(now));
        self.lane
            .event(&Event::Unreachable { endpoint: self.peer.address().clone(), error: error.to_string() });
        for lane in (0..self.lane.0.process.lanes()).filter(|lane| *lane != self.lane.id()) {
            // A lane that is too busy to hear of it finds out by itself.
            let _ = self.lane.post(lane, Letter::Unreachable(self.peer.address().clone()));
        }
    }

    /// Closes what has been idle for too long or was closed by its origin; says how many are left.
    pub(crate) fn sweep(&self) -> usize {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        let mut gone = Vec::new();
        for _ in 0..before {
            let connection = idle.pop_front().expect("there are as many as there were");
            let expired = connection.idle_due.get().is_none_or(|due| self.lane.0.wheel.passed(due));
            if expired || connection.stirs() {
                gone.push(connection);
                continue;
            }
            idle.push_back(connection);
        }
        let left = idle.len();
        drop(idle);
        self.shrunk(gone.len());
        left
    }

    /// Closes what is idle; says how many that were.
    pub(crate) fn close(&self) -> usize {
        let gone = self.idle.take();
        self.shrunk(gone.len());
        gone.len()
    }

    fn shrunk(&self, by: usize) {
        if by > 0 {
            self.lane.0.metrics.take(Metric::UpstreamIdle, by as u64);
            self.show();
            if let Some(turnstile) = &self.turnstile {
                turnstile.idle_changed(-(by as isize));
            }
        }
    }

    fn show(&self) {
        self.board.show(self.lane.id(), self.idle());
    }
}
