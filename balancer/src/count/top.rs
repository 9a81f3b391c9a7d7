//! The keys that came most often.

use std::fmt;

use crate::rng::mix;

/// The most frequent of any number of keys, in fixed memory: Space-Saving (Metwally, Agrawal and El Abbadi,
/// "Efficient computation of frequent and top-k elements in data streams", ICDT 2005).
///
/// It holds a fixed number of keys. When another comes, that with the lowest count makes room, and the new one
/// takes over its count, which is noted as its possible error. So with `capacity` keys and a total of `n`:
/// * a key's true count is at most its count, and at least its count less its error;
/// * no error is above `n / capacity`;
/// * every key that came more than `n / capacity` times is there.
///
/// For the ten greatest of web traffic, a few hundred are plenty. A key is a number, such as
/// [`hash_bytes`](crate::hash_bytes) of a path; each carries a label (a name to show, or `()`), which is made
/// only when the key is new here.
///
/// ```
/// use corelane_balancer::count::Top;
/// use corelane_balancer::hash_bytes;
///
/// let mut paths = Top::new(100);
/// for path in ["/", "/login", "/", "/", "/login", "/about"] {
///     paths.add(hash_bytes(path.as_bytes()), 1, || path.to_owned());
/// }
/// let top: Vec<_> = paths.greatest(2).iter().map(|path| (path.label.as_str(), path.count)).collect();
/// assert_eq!(top, [("/", 3), ("/login", 2)]);
/// ```
#[derive(Clone)]
pub struct Top<T = ()> {
    /// As many as the capacity from the start: those without a label are vacant, and have a count of 0.
    seats: Vec<Seat<T>>,
    /// The seats' indexes, as a binary heap with the lowest count at the root.
    heap: Vec<u32>,
    /// The first seat of each chain of those whose keys fall into one bucket, or [`NONE`].
    buckets: Vec<u32>,
    total: u64,
}

/// A key with its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<'a, T> {
    /// The key.
    pub key: u64,
    /// What was made for it when it came in.
    pub label: &'a T,
    /// How often it came at most.
    pub count: u64,
    /// How much less it may have been; never more than the count.
    pub error: u64,
}

#[derive(Clone)]
struct Seat<T> {
    key: u64,
    label: Option<T>,
    count: u64,
    error: u64,
    /// Where it is in the heap.
    place: u32,
    /// The next in its chain, or [`NONE`].
    next: u32,
}

/// No seat.
const NONE: u32 = u32::MAX;

impl<T> Top<T> {
    /// The most keys that one holds: 65,536.
    pub const CAPACITY_MAX: usize = 1 << 16;

    /// Nothing yet, with room for `capacity` keys: at least 1 and at most
    /// [`CAPACITY_MAX`](Self::CAPACITY_MAX), to which it is raised or cut. Each takes about 50 bytes and its
    /// label.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, Self::CAPACITY_MAX);
        let places = 0..capacity as u32;
        let vacant = |place| Seat { key: 0, label: None, count: 0, error: 0, place, next: NONE };
        Self {
            seats: places.clone().map(vacant).collect(),
            heap: places.collect(),
            buckets: vec![NONE; capacity.next_power_of_two()],
            total: 0,
        }
    }

    /// Counts `key` `events` times more. `label` is called when it comes in, for the first time or again after
    /// it had made room for another.
    pub fn add(&mut self, key: u64, events: u64, label: impl FnOnce() -> T) {
        if events == 0 {
            return;
        }
        self.total = self.total.saturating_add(events);
        let index = match self.find(key) {
            Some(index) => index,
            None => self.replace_least(key, label()),
        };
        let seat = &mut self.seats[index as usize];
        seat.count = seat.count.saturating_add(events);
        let place = seat.place;
        self.sink(place as usize);
    }

    /// Halves every count, and the total, so that old events fade. It visits every key: not for each request.
    /// All that is promised still holds, of true counts that are halved and rounded down.
    pub fn decay(&mut self) {
        for seat in &mut self.seats {
            // Halving leaves the order as it is, and with it the heap. Nothing came less than never.
            seat.count /= 2;
            seat.error = seat.error.div_ceil(2).min(seat.count);
        }
        self.total /= 2;
    }

    /// `key` with its count; `None` when it isn't among those that are held.
    pub fn counted(&self, key: u64) -> Option<Counted<'_, T>> {
        self.seats[self.find(key)? as usize].counted()
    }

    /// All that are held, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Counted<'_, T>> {
        self.seats.iter().filter_map(Seat::counted)
    }

    /// The `at_most` greatest counts, the greatest first; those that are equal by their keys. Allocates the list.
    pub fn greatest(&self, at_most: usize) -> Vec<Counted<'_, T>> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_unstable_by(|a, b| b.count.cmp(&a.count).then(a.key.cmp(&b.key)));
        all.truncate(at_most);
        all
    }

    /// How often all keys together came, held or not; halved by each [`decay`](Self::decay).
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many keys it can hold.
    pub fn capacity(&self) -> usize {
        self.seats.len()
    }

    fn find(&self, key: u64) -> Option<u32> {
        let mut index = self.buckets[self.bucket(key)];
        while let Some(seat) = self.seats.get(index as usize) {
            if seat.key == key {
                return Some(index);
            }
            index = seat.next;
        }
        None
    }

    /// Gives the seat with the lowest count, with that count, to `key`.
    fn replace_least(&mut self, key: u64, label: T) -> u32 {
        let index = self.heap[0];
        if self.seats[index as usize].label.is_some() {
            self.unlink(index);
        }
        let bucket = self.bucket(key);
        let seat = &mut self.seats[index as usize];
        (seat.key, seat.label, seat.error) = (key, Some(label), seat.count);
        seat.next = std::mem::replace(&mut self.buckets[bucket], index);
        index
    }

    /// Takes a seat out of its chain.
    fn unlink(&mut self, index: u32) {
        let Seat { key, next, .. } = self.seats[index as usize];
        let bucket = self.bucket(key);
        if self.buckets[bucket] == index {
            self.buckets[bucket] = next;
            return;
        }
        let mut before = self.buckets[bucket];
        while let Some(seat) = self.seats.get_mut(before as usize) {
            if seat.next == index {
                seat.next = next;
                return;
            }
            before = seat.next;
        }
    }

    /// The number of buckets is a power of two.
    fn bucket(&self, key: u64) -> usize {
        mix(key) as usize & (self.buckets.len() - 1)
    }

    /// Moves the seat at `place` of the heap down to where nothing below it has a lower count.
    fn sink(&mut self, mut place: usize) {
        let count_at = |this: &Self, place: usize| this.seats[this.heap[place] as usize].count;
        loop {
            let children = 2 * place + 1..(2 * place + 3).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| count_at(self, child)) else { return };
            if count_at(self, place) <= count_at(self, least) {
                return;
            }
            self.heap.swap(place, least);
            for moved in [place, least] {
                self.seats[self.heap[moved] as usize].place = moved as u32;
            }
            place = least;
        }
    }
}

impl<T> Seat<T> {
    fn counted(&self) -> Option<Counted<'_, T>> {
        let label = self.label.as_ref()?;
        Some(Counted { key: self.key, label, count: self.count, error: self.error })
    }
}

impl<T: fmt::Debug> fmt::Debug for Top<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Top")
            .field("capacity", &self.capacity())
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl<T> Top<T> {
        fn assert_sound(&self) {
            for (place, &index) in self.heap.iter().enumerate() {
                assert_eq!(self.seats[index as usize].place as usize, place);
                let parent = self.heap[place.saturating_sub(1) / 2];
                assert!(self.seats[parent as usize].count <= self.seats[index as usize].count);
            }
            for (index, seat) in self.seats.iter().enumerate().filter(|(_, seat)| seat.label.is_some()) {
                assert_eq!(self.find(seat.key), Some(index as u32));
            }
        }
    }

    #[test]
    fn an_error_is_never_more_than_its_count() {
        let mut top = Top::new(1);
        top.add(1, 2, || ());
        top.add(2, 1, || ());
        for _ in 0..3 {
            let counted = top.counted(2).expect("it has the only seat");
            assert!(counted.error <= counted.count, "{counted:?}");
            top.decay();
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(u64, u64),
        Decay,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (0..40_u64, 0..20_u64).prop_map(|(key, n)| Step::Add(key, n)),
            20 => (0..4_u64, 0..100_u64).prop_map(|(key, n)| Step::Add(key, n)),
            1 => Just(Step::Decay),
        ]
    }

    proptest! {
        #[test]
        fn keeps_the_promises_of_space_saving(
            capacity in 1..20_usize,
            steps in prop::collection::vec(step(), 0..300),
        ) {
            let mut top = Top::new(capacity);
            let mut truth: BTreeMap<u64, u64> = BTreeMap::new();
            let mut has_decayed = false;
            for step in steps {
                match step {
                    Step::Add(key, events) => {
                        *truth.entry(key).or_default() += events;
                        top.add(key, events, || key);
                    }
                    Step::Decay => {
                        has_decayed = true;
                        truth.values_mut().for_each(|count| *count /= 2);
                        top.decay();
                    }
                }
                top.assert_sound();
                for counted in top.iter() {
                    prop_assert_eq!(*counted.label, counted.key);
                    let least = counted.count.saturating_sub(counted.error);
                    prop_assert!((least..=counted.count).contains(&truth[&counted.key]));
                }
                let lowest = if top.iter().count() < capacity { 0 } else { top.seats[top.heap[0] as usize].count };
                for (&key, &count) in &truth {
                    prop_assert!(count <= lowest || top.counted(key).is_some(), "{key} came {count} times");
                }
                if !has_decayed {
                    let bound = top.total() / capacity as u64;
                    prop_assert_eq!(top.total(), truth.values().sum::<u64>());
                    prop_assert!(lowest <= bound);
                    prop_assert!(top.iter().all(|counted| counted.error <= bound));
                }
            }
        }

        #[test]
        fn exact_while_there_is_room(adds in prop::collection::vec((0..20_u64, 1..10_u64), 0..100)) {
            let mut top = Top::new(20);
            let mut truth: BTreeMap<u64, u64> = BTreeMap::new();
            for (key, events) in adds {
                *truth.entry(key).or_default() += events;
                top.add(key, events, || ());
            }
            let mut expected: Vec<_> = truth.into_iter().collect();
            expected.sort_by_key(|&(key, count)| (u64::MAX - count, key));
            let greatest = top.greatest(usize::MAX);
            prop_assert!(greatest.iter().all(|counted| counted.error == 0));
            let greatest: Vec<_> = greatest.iter().map(|counted| (counted.key, counted.count)).collect();
            prop_assert_eq!(greatest, expected);
        }
    }

    #[test]
    fn capacities_at_the_limits() {
        assert_eq!(Top::<()>::new(0).capacity(), 1);
        assert_eq!(Top::<()>::new(usize::MAX).capacity(), Top::<()>::CAPACITY_MAX);
        let mut one = Top::new(1);
        one.add(1, u64::MAX, || 'a');
        one.add(2, 1, || 'b');
        assert_eq!(one.greatest(9), [Counted { key: 2, label: &'b', count: u64::MAX, error: u64::MAX }]);
        assert_eq!(one.counted(1), None);
    }

    #[test]
    fn what_never_came_is_not_there() {
        let mut top = Top::new(4);
        top.add(7, 0, || ());
        assert_eq!(top.counted(7), None);
        assert_eq!(top.counted(0), None, "a vacant seat is no key");
        assert_eq!(top.iter().count(), 0);
    }
}
