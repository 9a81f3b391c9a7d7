//! How many connections each source has, over all lanes.

use super::atomic::{AtomicU64, Ordering, fence};
use std::num::NonZeroU32;

/// Sources that have a count of their own in one set: as many as a cache line has words.
const WAYS: usize = 8;
/// The most sets: 2^17, of 64 bytes.
const SETS_MAX: usize = 1 << 17;
/// The lower bits of a word are a count, the others say whose.
const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// A number of connections for each source that has one, and no source more than the maximum: lock-free, in memory
/// that depends on how many connections there may be in all, and on nothing that anybody sends.
///
/// A source's hash chooses a set of eight counts; the one that has its tag is its own, and anybody's once it is 0 again.
/// Should two lanes meet a source at once, it may have two counts for a while, and their sum holds. When all eight of a
/// set are others', a source is counted with one of them, always the same: then the maximum is for both, and what was
/// counted there is not counted again when the source gets a count of its own.
#[derive(Debug)]
pub(crate) struct Sources {
    max: u64,
    /// A power of two.
    sets: Box<[Set]>,
}

#[derive(Debug)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// Where a connection is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted(NonZeroU32);

impl Counted {
    const fn new(set: usize, way: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add((set * WAYS + way) as u32))
    }

    const fn set_and_way(self) -> (usize, usize) {
        let place = self.0.get() as usize - 1;
        (place / WAYS, place % WAYS)
    }
}

impl Sources {
    /// For at most so many connections of all sources, and so many of each.
    pub(crate) fn new(connections_max: u32, max: u32) -> Self {
        // With a source for each connection, half of the counts are in use.
        let sets = (connections_max as usize).div_ceil(WAYS / 2).clamp(1, SETS_MAX).next_power_of_two();
        let set = |_| Set(std::array::from_fn(|_| AtomicU64::new(0)));
        Self { max: u64::from(max).min(COUNT_MASK - 1), sets: (0..sets).map(set).collect() }
    }

    pub(crate) const fn max(&self) -> u64 {
        self.max
    }

    /// Counts one more for the source with this hash, unless it has as many as it may.
    pub(crate) fn try_take(&self, hash: u64) -> Option<Counted> {
        let number = hash as usize & (self.sets.len() - 1);
        let (set, tag) = (&self.sets[number].0, tag(hash));
        let way = enter(set, tag, home(hash), self.max)?;
        // It is counted before the others are looked at: of two who come at once, one at least sees the other.
        fence(Ordering::SeqCst);
        let words = set.iter().map(|word| word.load(Ordering::Acquire));
        let sum: u64 = words.filter(|word| word & !COUNT_MASK == tag).map(|word| word & COUNT_MASK).sum();
        let counted = Counted::new(number, way);
        if sum > self.max {
            self.put_back(counted);
            return None;
        }
        Some(counted)
    }

    /// One that was counted has gone.
    pub(crate) fn put_back(&self, counted: Counted) {
        let (set, way) = counted.set_and_way();
        let word = &self.sets[set].0[way];
        let before = word.fetch_sub(1, Ordering::AcqRel);
        assert!(before & COUNT_MASK > 0, "only what was counted is put back");
    }
}

/// Adds one to the source's own count, to one that is 0, or to the one at `home`; says which. `None` if that one
/// is full.
fn enter(set: &[AtomicU64; WAYS], tag: u64, home: usize, max: u64) -> Option<usize> {
    loop {
        let words: [u64; WAYS] = std::array::from_fn(|way| set[way].load(Ordering::Acquire));
        let own = words.iter().position(|word| word & !COUNT_MASK == tag);
        let way = own.or_else(|| words.iter().position(|word| word & COUNT_MASK == 0)).unwrap_or(home);
        let word = words[way];
        if word & COUNT_MASK >= max {
            return None;
        }
        let one_more = if word & COUNT_MASK == 0 { tag | 1 } else { word + 1 };
        if set[way].compare_exchange(word, one_more, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return Some(way);
        }
    }
}

/// Of bits that do not choose the set; never 0.
const fn tag(hash: u64) -> u64 {
    let tag = hash & !COUNT_MASK;
    if tag == 0 { 1 << COUNT_BITS } else { tag }
}

/// The count of its set that a source shares when it must.
const fn home(hash: u64) -> usize {
    (hash >> 61) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::atomic::AtomicU32, thread};

    /// A hash with this tag, of the first set of any number of sets up to 2^20.
    const fn source(tag: u64) -> u64 {
        tag << COUNT_BITS
    }

    #[test]
    fn each_source_has_its_own_maximum() {
        let sources = Sources::new(100, 2);
        for tag in 1..=3 {
            let (first, second) = (sources.try_take(source(tag)), sources.try_take(source(tag)));
            assert!(first.is_some() && second.is_some(), "{tag}");
            assert_eq!(sources.try_take(source(tag)), None);
            sources.put_back(first.unwrap());
            assert!(sources.try_take(source(tag)).is_some());
        }
    }

    #[test]
    fn a_count_that_is_nobodys_is_taken_and_a_full_set_is_shared() {
        let sources = Sources::new(1, 2);
        let all: Vec<_> = (1..=8).map(|tag| sources.try_take(source(tag)).unwrap()).collect();
        // The ninth shares the first's: home is 0.
        let ninth = sources.try_take(source(9)).unwrap();
        assert_eq!(ninth, all[0]);
        assert_eq!((sources.try_take(source(9)), sources.try_take(source(1))), (None, None));
        sources.put_back(all[3]);
        let own = sources.try_take(source(9)).unwrap();
        assert_eq!(own, all[3]);
        // What was shared goes back to where it was counted.
        sources.put_back(ninth);
        sources.put_back(all[0]);
        sources.put_back(own);
        for (tag, counted) in [2, 3, 5, 6, 7, 8].iter().zip([1, 2, 4, 5, 6, 7]) {
            sources.put_back(all[counted]);
            assert!(sources.try_take(source(*tag)).is_some());
        }
    }

    #[test]
    fn memory_depends_on_connections_alone() {
        assert_eq!(size_of::<Set>(), 64);
        for (connections, sets) in [(0, 1), (1, 1), (448, 128), (500_000, SETS_MAX), (u32::MAX, SETS_MAX)] {
            assert_eq!(Sources::new(connections, 1).sets.len(), sets, "{connections}");
        }
        assert_eq!(Sources::new(1, u32::MAX).max(), COUNT_MASK - 1);
    }

    #[test]
    fn res_08_threads_never_hold_more_than_the_maximum() {
        const MAX: u32 = 5;
        let sources = Sources::new(1, MAX);
        let held: Vec<AtomicU32> = (0..4).map(|_| AtomicU32::new(0)).collect();
        thread::scope(|scope| {
            for thread in 0..4 {
                let (sources, held) = (&sources, &held);
                scope.spawn(move || {
                    let mut rng = corelane_balancer::Rng::new(thread);
                    let mut mine = Vec::new();
                    for _ in 0..20_000 {
                        let which = (rng.next() % held.len() as u64) as usize;
                        if rng.next().is_multiple_of(2) {
                            if let Some(counted) = sources.try_take(source(which as u64 + 1)) {
                                assert!(held[which].fetch_add(1, Ordering::SeqCst) < MAX, "one too many");
                                mine.push((which, counted));
                            }
                        } else if !mine.is_empty() {
                            let (which, counted) = mine.swap_remove(rng.next() as usize % mine.len());
                            held[which].fetch_sub(1, Ordering::SeqCst);
                            sources.put_back(counted);
                        }
                    }
                    for (which, counted) in mine {
                        held[which].fetch_sub(1, Ordering::SeqCst);
                        sources.put_back(counted);
                    }
                });
            }
        });
        assert!(
            sources.sets[0].0.iter().all(|word| word.load(Ordering::SeqCst) & COUNT_MASK == 0),
            "all is given back"
        );
    }
}
