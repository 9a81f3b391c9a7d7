//! What is used again instead of being made anew.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
    thread::LocalKey,
};

/// Free values of one kind, the last used first: it is still in the cache.
pub(crate) struct Free<T, const MAX: usize = 1024>(RefCell<Vec<T>>);

impl<T, const MAX: usize> Free<T, MAX> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.0.borrow_mut().pop()
    }

    /// Keeps it, unless there are many already.
    pub(crate) fn give(&self, value: T) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < MAX {
            kept.push(value);
        } else {
            drop(kept);
            drop(value);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Lets go of all but so many: of those that have been unused longest. Says how many that were.
    pub(crate) fn shrink(&self, keep: usize) -> usize {
        let gone: Vec<T> = {
            let mut kept = self.0.borrow_mut();
            let gone = kept.len().saturating_sub(keep);
            let gone = kept.drain(..gone).collect();
            kept.shrink_to_fit();
            gone
        };
        // Not while the list is borrowed: what is let go of may let go of others.
        gone.len()
    }
}

impl<T, const MAX: usize> Default for Free<T, MAX> {
    fn default() -> Self {
        Self::new()
    }
}

/// What lies in a box that is used again.
pub(crate) trait Keep: Default + 'static {
    /// The thread's free boxes.
    fn free() -> &'static LocalKey<Free<Box<Self>>>;

    /// Lets go of everything that belongs to somebody: what is left is as good as a new one.
    fn clear(&mut self);
}

/// Where the free boxes of a type lie: for each its [`Keep::free`].
macro_rules! free {
    ($kept:ty) => {
        fn free() -> &'static std::thread::LocalKey<crate::kept::Free<Box<Self>>> {
            thread_local! {
                static FREE: crate::kept::Free<Box<$kept>> = const { crate::kept::Free::new() };
            }
            &FREE
        }
    };
}
pub(crate) use free;

/// A value in a box that comes from a thread's free ones and goes back to them. What goes through many hands on its way,
/// by value, as a request and its response do, costs no more to move than a pointer, and no allocation.
///
/// By default there is nothing in it: what a `take` leaves behind.
pub(crate) struct Kept<T: Keep>(Option<Box<T>>);

impl<T: Keep> Kept<T> {
    /// One that is as good as new, to be filled where it is: what is put into it as a whole is copied.
    pub(crate) fn blank() -> Self {
        let free = T::free().try_with(Free::take).ok().flatten();
        Self(Some(free.unwrap_or_default()))
    }

    /// How many free ones this thread has.
    pub(crate) fn spare() -> usize {
        T::free().with(Free::len)
    }

    /// Lets go of all but so many of this thread's free ones.
    pub(crate) fn shrink(keep: usize) {
        T::free().with(|free| free.shrink(keep));
    }
}

impl<T: Keep> Default for Kept<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Keep> From<T> for Kept<T> {
    fn from(value: T) -> Self {
        let mut kept = Self::blank();
        *kept = value;
        kept
    }
}

impl<T: Keep> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect("it is there until it is taken")
    }
}

impl<T: Keep> DerefMut for Kept<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect("it is there until it is taken")
    }
}

impl<T: Keep> Drop for Kept<T> {
    fn drop(&mut self) {
        let Some(mut place) = self.0.take() else { return };
        // Before the list is borrowed: what is let go of may let go of others.
        place.clear();
        let _ = T::free().try_with(|free| free.give(place));
    }
}
