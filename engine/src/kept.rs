//! Boxes that are used again.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
    thread::LocalKey,
};

/// Free boxes of one kind that a thread keeps.
const KEPT_MAX: usize = 1024;

/// The free boxes of one kind.
pub(crate) type Free<T> = RefCell<Vec<Box<T>>>;

/// What lies in such a box.
pub(crate) trait Keep: Sized + 'static {
    /// The thread's free boxes.
    fn free() -> &'static LocalKey<Free<Self>>;

    /// Lets go of everything that belongs to somebody.
    fn clear(&mut self);
}

/// A value in a box that comes from a thread's free ones and goes back to them. What goes through many hands on its way,
/// by value, as a request and its response do, costs no more to move than a pointer, and no allocation.
pub(crate) struct Kept<T: Keep>(Option<Box<T>>);

impl<T: Keep> Kept<T> {
    pub(crate) fn new(value: T) -> Self {
        let free = T::free().try_with(|free| free.borrow_mut().pop()).ok().flatten();
        Self(Some(match free {
            Some(mut place) => {
                *place = value;
                place
            }
            None => Box::new(value),
        }))
    }
}

impl<T: Keep> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect("it is there until it is dropped")
    }
}

impl<T: Keep> DerefMut for Kept<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect("it is there until it is dropped")
    }
}

impl<T: Keep> Drop for Kept<T> {
    fn drop(&mut self) {
        let Some(mut place) = self.0.take() else { return };
        // Before the list is borrowed: what is let go of may let go of others.
        place.clear();
        let _ = T::free().try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT_MAX {
                free.push(place);
            }
        });
    }
}
