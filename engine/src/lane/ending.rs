//! The end of a lane, and of its connections: drains, cuts, and letting go of everything.

use super::Lane;
use crate::simulate::{Bug, has};
use crate::{door::Watch, downstream::Downstream, io, metrics::Metric, sink::Event, wheel::Tick};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

/// How long connections that a drain cuts off have to end.
const CUT: Duration = Duration::from_secs(1);

/// How far a lane is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drain {
    /// It serves.
    No,
    /// It finishes what it has, until then.
    Until(Tick),
    /// It finishes what it has, however long that takes.
    Patiently,
    /// It ends.
    Now,
}

impl Drain {
    /// This one, or `other` if that is over sooner: no drain puts another off.
    fn hastened(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, other) | (Self::Patiently, other @ (Self::Until(_) | Self::Now)) => other,
            (Self::Until(mine), Self::Until(theirs)) => Self::Until(mine.min(theirs)),
            (Self::Until(_), Self::Now) => Self::Now,
            (mine, _) => mine,
        }
    }
}

impl Lane {
    pub(crate) fn register(&self, connection: &Rc<Downstream>) {
        let mut connections = self.0.connections.borrow_mut();
        connection.place.set(connections.len());
        connections.push(connection.clone());
        self.0.metrics.set(Metric::ConnectionsOpen, connections.len() as u64);
    }

    pub(crate) fn unregister(&self, connection: &Downstream) {
        let mut connections = self.0.connections.borrow_mut();
        let place = connection.place.get();
        connections.swap_remove(place);
        if let Some(moved) = connections.get(place) {
            moved.place.set(place);
        }
        self.0.metrics.set(Metric::ConnectionsOpen, connections.len() as u64);
        let crowd = &self.0.process.crowd;
        crowd.all.put_back(self.id());
        if let Some(counted) = connection.counted {
            crowd.leave(counted);
        }
        if connections.is_empty() && self.is_draining() {
            self.wake_main();
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.0.connections.borrow().len()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.drain.get() != Drain::No
    }

    /// Begins to drain, or hurries a drain up.
    pub(crate) fn drain(&self, drain: Drain) {
        if !self.is_draining() {
            self.event(&Event::Draining { lane: self.id(), connections: self.connections() as u64 });
        }
        self.0.drain.set(self.0.drain.get().hastened(drain));
        self.wake_listeners();
        self.wake_main();
    }

    /// Wakes whoever accepts connections, to look whether that is over.
    pub(crate) fn wake_listeners(&self) {
        for waker in self.0.serving.take() {
            waker.wake();
        }
    }

    /// Waits for `ready` as long as the lane serves and `watch` lasts; `false` once that is over, or if the wait failed.
    pub(crate) async fn serving(
        &self,
        watch: &Watch,
        ready: impl Future<Output = std::io::Result<()>>,
    ) -> bool {
        let mut ready = pin!(ready);
        poll_fn(|cx| {
            if self.is_draining() || watch.end().is_some() {
                return Poll::Ready(false);
            }
            if let Poll::Ready(result) = ready.as_mut().poll(cx) {
                return Poll::Ready(result.is_ok());
            }
            let mut serving = self.0.serving.borrow_mut();
            if !serving.iter().any(|waker| waker.will_wake(cx.waker())) {
                serving.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    pub(super) fn wake_main(&self) {
        if let Some(waker) = self.0.finished.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until a drain is over; says how many connections it cut off.
    pub(crate) async fn finished(&self) -> u64 {
        poll_fn(|cx| {
            if self.0.finished.borrow().is_some() {
                // It is the end of a turn, no more: nobody has woken it.
                return Poll::Pending;
            }
            let open = self.connections();
            let over = match self.0.drain.get() {
                Drain::No => self.0.ended.get(),
                Drain::Until(due) => open == 0 || self.0.wheel.passed(due),
                Drain::Patiently => open == 0,
                Drain::Now => true,
            };
            if over {
                return Poll::Ready(open as u64);
            }
            *self.0.finished.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The lane's thread ends, for whatever cause; it is rebuilt.
    pub(crate) fn end(&self) {
        self.0.ended.set(true);
        self.wake_main();
    }

    /// Whether everything ends now.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut.get()
    }

    /// Ends what is left, and lets go of everything, so that nothing of the lane outlives it.
    pub(crate) async fn tear_down(&self) {
        self.0.cut.set(true);
        let due = self.now() + CUT;
        while self.wake_all() && self.now() < due {
            io::nap(Duration::from_millis(1)).await;
        }
        self.0.peers.take();
        self.0.names.take();
        self.forget_exchanges();
        for (_, pool) in self.0.pools.take() {
            pool.close();
        }
        if !has(Bug::LaneLeaked) {
            self.0.doors.clear();
        }
        self.flush();
        self.0.sink.borrow_mut().take();
        // The ring closes descriptors in the background: one more look at it.
        io::nap(Duration::from_millis(1)).await;
    }

    /// Wakes whatever is left on the lane; `false` if nothing is.
    fn wake_all(&self) -> bool {
        for connection in self.0.connections.borrow().iter() {
            connection.timer.wake();
        }
        let tasks = self.0.tasks.borrow();
        tasks.iter().flatten().flatten().for_each(Waker::wake_by_ref);
        self.connections() > 0 || tasks.iter().any(Option::is_some)
    }
}
