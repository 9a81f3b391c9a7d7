//! What lanes show each other of one peer.

use super::atomic::{AtomicU32, Ordering};
use crossbeam_utils::CachePadded;

/// A cell for each lane, on a cache line of its own: how many idle connections it has to a peer. Only the lane itself
/// writes into its cell, by a relaxed store; what others read may be a moment old, and is a hint and no more.
#[derive(Debug)]
pub(crate) struct Board(Box<[CachePadded<AtomicU32>]>);

impl Board {
    pub(crate) fn new(lanes: usize) -> Self {
        Self((0..lanes).map(|_| CachePadded::new(AtomicU32::new(0))).collect())
    }

    /// Shows that `lane`, which must be the caller's own, has so many.
    pub(crate) fn show(&self, lane: usize, idle: usize) {
        self.0[lane].store(u32::try_from(idle).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// The lane that shows the most, other than `except`; `None` if none shows any.
    pub(crate) fn richest(&self, except: usize) -> Option<usize> {
        let shown = self.0.iter().map(|cell| cell.load(Ordering::Relaxed)).enumerate();
        let most = shown.filter(|&(lane, idle)| lane != except && idle > 0).max_by_key(|&(_, idle)| idle);
        most.map(|(lane, _)| lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_richest_is_another_that_has_some() {
        let board = Board::new(3);
        assert_eq!(board.richest(0), None);
        board.show(0, 9);
        assert_eq!(board.richest(0), None, "one does not borrow from oneself");
        board.show(1, 1);
        board.show(2, 2);
        assert_eq!((board.richest(0), board.richest(2)), (Some(2), Some(0)));
    }
}
