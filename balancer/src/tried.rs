//! The endpoints that a request has been sent to.

use crate::EndpointId;

/// A set of endpoints. The first [`INLINE`](Self::INLINE) cost no heap.
///
/// ```
/// use corelane_balancer::{EndpointId, Tried};
///
/// let mut tried = Tried::default();
/// assert!(tried.insert(EndpointId::new(3)));
/// assert!(!tried.insert(EndpointId::new(3)), "it was there already");
/// assert!(tried.contains(EndpointId::new(3)));
/// assert_eq!(tried.len(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// One bit for each endpoint with an index below [`INLINE`](Self::INLINE).
    inline: u128,
    /// The others' indexes, in ascending order.
    beyond: Vec<usize>,
}

impl Tried {
    /// Endpoints with an index below this one, 128, are held without heap.
    pub const INLINE: usize = u128::BITS as usize;

    /// Adds `id`. False when it was there already.
    pub fn insert(&mut self, id: EndpointId) -> bool {
        let index = id.index();
        if index < Self::INLINE {
            let bit = 1 << index;
            let is_new = self.inline & bit == 0;
            self.inline |= bit;
            return is_new;
        }
        match self.beyond.binary_search(&index) {
            Ok(_) => false,
            Err(place) => {
                self.beyond.insert(place, index);
                true
            }
        }
    }

    /// Removes all. What was allocated is kept for the next request.
    pub fn clear(&mut self) {
        self.inline = 0;
        self.beyond.clear();
    }

    /// Whether `id` was added.
    pub fn contains(&self, id: EndpointId) -> bool {
        self.contains_index(id.index())
    }

    /// How many were added.
    pub fn len(&self) -> usize {
        self.inline.count_ones() as usize + self.beyond.len()
    }

    /// Whether none was added.
    pub fn is_empty(&self) -> bool {
        self.inline == 0 && self.beyond.is_empty()
    }

    pub(crate) fn contains_index(&self, index: usize) -> bool {
        if index < Self::INLINE {
            self.inline >> index & 1 == 1
        } else {
            self.beyond.binary_search(&index).is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_inserted_and_nothing_else() {
        let mut tried = Tried::default();
        let inserted = [0, 1, 63, 64, 127, 128, 129, 4_000_000_000];
        for index in inserted.into_iter().rev() {
            assert!(tried.insert(EndpointId::new(index)));
            assert!(!tried.insert(EndpointId::new(index)));
        }
        assert_eq!(tried.len(), inserted.len());
        for index in (0..200).chain([3_999_999_999, 4_000_000_000]) {
            assert_eq!(tried.contains(EndpointId::new(index)), inserted.contains(&index), "{index}");
        }
    }

    #[test]
    fn clear_empties_both_halves() {
        let mut tried = Tried::default();
        assert!(tried.is_empty());
        for index in [5, 500] {
            tried.insert(EndpointId::new(index));
            assert!(!tried.is_empty());
            tried.clear();
            assert!(tried.is_empty());
            assert_eq!(tried, Tried::default());
        }
    }
}
