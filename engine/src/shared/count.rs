//! A number of things that all lanes together may have.

use super::atomic::{AtomicU32, Ordering};

/// So many of something, and no more: connections of a cluster, say. What is taken is given back; that is a matter of
/// a connection, not of a request, so one shared number does, and a maximum of 1 over any number of lanes is 1 at
/// every moment.
///
/// How many each lane has is kept, too, for a lane that ends without giving back.
#[derive(Debug)]
pub(crate) struct Count {
    max: AtomicU32,
    taken: AtomicU32,
    by_lane: Box<[AtomicU32]>,
}

impl Count {
    pub(crate) fn new(max: u32, lanes: usize) -> Self {
        let by_lane = (0..lanes).map(|_| AtomicU32::new(0)).collect();
        Self { max: AtomicU32::new(max), taken: AtomicU32::new(0), by_lane }
    }

    /// Takes one for `lane`, if there is one.
    pub(crate) fn try_take(&self, lane: usize) -> bool {
        let max = self.max.load(Ordering::SeqCst);
        let one_more = |taken: u32| (taken < max).then_some(taken + 1);
        let took = self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok();
        if took {
            self.by_lane[lane].fetch_add(1, Ordering::Relaxed);
        }
        took
    }

    /// Takes one for `lane` even if there is none: what is given back then makes up for it first.
    pub(crate) fn take_anyway(&self, lane: usize) {
        self.taken.fetch_add(1, Ordering::SeqCst);
        self.enter(lane);
    }

    /// Gives one back that `lane` had.
    pub(crate) fn put_back(&self, lane: usize) {
        self.leave(lane);
        self.put_back_left();
    }

    /// Gives one back that had [left](Self::leave) a lane, and came to none.
    pub(crate) fn put_back_left(&self) {
        let before = self.taken.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "only what was taken is given back");
    }

    /// One that `lane` had is on its way to another, which [enters](Self::enter) it.
    pub(crate) fn leave(&self, lane: usize) {
        self.by_lane[lane].fetch_sub(1, Ordering::Relaxed);
    }

    /// One that had [left](Self::leave) has come to `lane`.
    pub(crate) fn enter(&self, lane: usize) {
        self.by_lane[lane].fetch_add(1, Ordering::Relaxed);
    }

    /// `lane` has ended; what it still had is free again.
    pub(crate) fn forget_lane(&self, lane: usize) {
        let had = self.by_lane[lane].swap(0, Ordering::Relaxed);
        self.taken.fetch_sub(had, Ordering::SeqCst);
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub(crate) fn max(&self) -> u32 {
        self.max.load(Ordering::Relaxed)
    }

    /// There are so many now. If that is less than what is taken, nothing more is taken until enough has come back.
    pub(crate) fn resize(&self, max: u32) {
        self.max.store(max, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_are() {
        let count = Count::new(2, 2);
        assert!(count.try_take(0) && count.try_take(1) && !count.try_take(0));
        count.take_anyway(0);
        count.put_back(0);
        assert!(!count.try_take(0), "it is made up for");
        count.resize(1);
        count.put_back(0);
        assert!(!count.try_take(0), "one is still taken");
        count.put_back(1);
        assert!(count.try_take(0));
        count.leave(0);
        count.enter(1);
        count.forget_lane(0);
        assert_eq!(count.taken(), 1, "it has gone to the other lane");
        count.forget_lane(1);
        assert_eq!((count.taken(), count.max()), (0, 1));
    }
}
