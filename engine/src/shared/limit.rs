//! A cluster's connection maximum, over all lanes.

use super::{
    atomic::{AtomicU32, AtomicU64, Ordering, fence},
    count::Count,
};
use crossbeam_utils::CachePadded;
use std::sync::Arc;

/// What each lane shows of itself.
#[derive(Debug)]
struct Shown {
    /// When the request that has waited longest on this lane began to wait, in nanoseconds; 0: none waits.
    waits_since: AtomicU64,
    /// Idle connections that count towards the maximum.
    idle: AtomicU32,
}

/// So many connections, and requests that wait for one. Whoever gives one back calls the lane on which a request has
/// waited longest.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) connections: Count,
    /// Places in the queue.
    pub(crate) queue: Count,
    lanes: Box<[CachePadded<Shown>]>,
}

impl Limit {
    pub(crate) fn new(connections_max: u32, queue_max: u32, lanes: usize) -> Self {
        let shown = |_| CachePadded::new(Shown { waits_since: AtomicU64::new(0), idle: AtomicU32::new(0) });
        Self {
            connections: Count::new(connections_max, lanes),
            queue: Count::new(queue_max, lanes),
            lanes: (0..lanes).map(shown).collect(),
        }
    }

    /// Shows since when `lane`, which must be the caller's own, waits; 0: it does not. After this it must
    /// [try](Count::try_take) once more before it rests: what is given back before this is not called out to it.
    pub(crate) fn show_waiting(&self, lane: usize, since: u64) {
        self.lanes[lane].waits_since.store(since, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// The lane to call after something has been given back: the one that has waited longest.
    pub(crate) fn longest_waiting(&self) -> Option<usize> {
        fence(Ordering::SeqCst);
        let waiting = self.lanes.iter().map(|lane| lane.waits_since.load(Ordering::SeqCst)).enumerate();
        waiting.filter(|&(_, since)| since > 0).min_by_key(|&(_, since)| since).map(|(lane, _)| lane)
    }

    /// Shows how many idle connections `lane`, which must be the caller's own, has.
    pub(crate) fn show_idle(&self, lane: usize, idle: usize) {
        self.lanes[lane].idle.store(u32::try_from(idle).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// A lane other than `except` that shows an idle connection, which it might close.
    pub(crate) fn has_idle(&self, except: usize) -> Option<usize> {
        let idle = |&lane: &usize| lane != except && self.lanes[lane].idle.load(Ordering::Relaxed) > 0;
        (0..self.lanes.len()).find(idle)
    }

    /// `lane` has ended, and has nothing and waits for nothing any more.
    pub(crate) fn forget_lane(&self, lane: usize) {
        self.show_waiting(lane, 0);
        self.show_idle(lane, 0);
        self.queue.forget_lane(lane);
        self.connections.forget_lane(lane);
    }
}

/// A place on its way from one lane to another with its connection. Should it not arrive, it is free again.
#[derive(Debug)]
pub(crate) struct Moving(Option<Arc<Limit>>);

impl Moving {
    /// One that `lane` had.
    pub(crate) fn from(limit: &Arc<Limit>, lane: usize) -> Self {
        limit.connections.leave(lane);
        Self(Some(limit.clone()))
    }

    /// It is `lane`'s now, if it is a place of this limit's.
    pub(crate) fn arrives(mut self, limit: &Arc<Limit>, lane: usize) -> bool {
        let is_its = self.0.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, limit));
        if is_its {
            self.0 = None;
            limit.connections.enter(lane);
        }
        is_its
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        if let Some(limit) = self.0.take() {
            limit.connections.put_back_left();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_longest_is_called() {
        let limit = Limit::new(1, 1, 3);
        assert_eq!(limit.longest_waiting(), None);
        limit.show_waiting(2, 7);
        limit.show_waiting(1, 9);
        assert_eq!(limit.longest_waiting(), Some(2));
        limit.show_waiting(2, 0);
        assert_eq!(limit.longest_waiting(), Some(1));
        limit.forget_lane(1);
        assert_eq!(limit.longest_waiting(), None);
    }

    #[test]
    fn an_idle_connection_is_asked_of_another_lane() {
        let limit = Limit::new(1, 1, 2);
        limit.show_idle(0, 1);
        assert_eq!((limit.has_idle(0), limit.has_idle(1)), (None, Some(0)));
    }
}
