//! State that crosses lanes: the latest wins.

use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// A place for the newest state of something. Whoever puts never waits, and what was not taken in time is replaced:
/// a lane that looks gets the latest, however many there were.
#[derive(Debug)]
pub(crate) struct Slot<T>(ArcSwapOption<T>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(ArcSwapOption::empty())
    }
}

impl<T> Slot<T> {
    /// Puts what is newer than all before it. Whoever is to see it must be woken then.
    pub(crate) fn put(&self, state: Arc<T>) {
        self.0.store(Some(state));
    }

    /// What has been put since the last look.
    pub(crate) fn take(&self) -> Option<Arc<T>> {
        self.0.swap(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_wins_and_is_seen_once() {
        let slot = Slot::default();
        assert_eq!(slot.take(), None);
        slot.put(Arc::new(1));
        slot.put(Arc::new(2));
        assert_eq!(slot.take().as_deref(), Some(&2));
        assert_eq!(slot.take(), None);
    }
}
