//! Places that are used again, which go when there are far more of them than anybody needs.

/// So many may stay that nobody has.
const KEPT: usize = 64;

/// Places by their index.
pub(super) struct Places<T> {
    all: Vec<T>,
    /// Those that nobody has. The last is taken first.
    free: Vec<u32>,
    /// How many there were, and how many of them were taken, when it was last tried to let go of some.
    tried: (usize, usize),
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { all: Vec::new(), free: Vec::new(), tried: (0, 0) }
    }
}

impl<T> Places<T> {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.all.iter()
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.all.get(index as usize)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.all.get_mut(index as usize)
    }

    /// One that nobody has, made if there is none.
    pub(super) fn take(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.all.len()).expect("there are not so many");
            self.all.push(make(index));
            index
        })
    }

    /// Nobody has it any more.
    pub(super) fn give(&mut self, index: u32) {
        self.free.push(index);
    }

    fn taken(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// Whether it is worth trying to let go of some. If the last attempt was held up by one that is taken, the next is when
    /// there are more, or half as many of them are taken.
    pub(super) fn has_spare(&self) -> bool {
        let taken = self.taken();
        let (all, taken_then) = self.tried;
        self.free.len() > KEPT.max(2 * taken) && (self.all.len() > all || 2 * taken <= taken_then)
    }

    /// Takes those away, to be dropped, that lie behind all that are taken, but for a few. From now on the first are taken
    /// first, so that there will be more to take away next time.
    #[must_use]
    pub(super) fn shrink(&mut self) -> Vec<T> {
        self.free.sort_unstable();
        let least = self.taken() + KEPT;
        let mut len = self.all.len();
        while len > least && self.free.last().is_some_and(|last| *last as usize == len - 1) {
            self.free.pop();
            len -= 1;
        }
        self.free.reverse();
        self.free.shrink_to_fit();
        let gone = self.all.split_off(len);
        self.all.shrink_to_fit();
        self.tried = (len, self.taken());
        gone
    }
}

impl<T> std::ops::Index<u32> for Places<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        &self.all[index as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Places<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.all[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(count: u32) -> Places<u32> {
        let mut places = Places::default();
        (0..count).for_each(|index| assert_eq!(places.take(|index| index), index));
        places
    }

    #[test]
    fn those_behind_the_last_that_is_taken_go() {
        let mut places = taken(1000);
        (0..1000).filter(|index| *index != 500).for_each(|index| places.give(index));
        assert!(places.has_spare());
        let gone = places.shrink();
        assert_eq!((gone.first(), gone.len(), places.len()), (Some(&501), 499, 501));
        // The first are taken first, and none that is taken.
        let again: Vec<u32> = (0..501).map(|_| places.take(|index| index)).collect();
        assert_eq!(again, (0..500).chain([501]).collect::<Vec<_>>());
    }

    #[test]
    fn a_few_stay() {
        let mut places = taken(1000);
        (0..1000).for_each(|index| places.give(index));
        assert_eq!(places.shrink().len(), 1000 - KEPT);
        assert!(!places.has_spare());
    }

    #[test]
    fn what_is_held_up_is_not_tried_again_and_again() {
        let mut places = taken(1000);
        (0..998).for_each(|index| places.give(index));
        assert!(places.has_spare());
        assert!(places.shrink().is_empty(), "the last is taken");
        assert!(!places.has_spare());
        places.give(999);
        assert!(places.has_spare(), "half as many are taken");
        places.give(998);
        assert_eq!(places.shrink().len(), 1000 - KEPT);
    }

    #[test]
    fn as_many_as_are_in_use_may_be_free() {
        let mut places = taken(300);
        (0..200).for_each(|index| places.give(index));
        assert!(!places.has_spare());
        places.give(200);
        assert!(places.has_spare());
    }
}
