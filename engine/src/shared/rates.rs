//! Rate limits that hold over all lanes.

use super::atomic::{AtomicU64, Ordering, spin_loop};
use corelane_balancer::count::{Bucket, Limit};
use std::time::Duration;

/// Keys that have a bucket each in one set; see [`Set`].
const WAYS: usize = 4;
/// The most sets that a table has: 2^22, of 64 bytes.
const SETS_MAX: usize = 1 << 22;
/// The time of a bucket that changes hands. No limit lets a bucket be full so late, so nothing can be taken from it.
const CLAIMED: u64 = u64::MAX;
/// How often a take begins anew because others were quicker. Each time one of them has got something done.
const ATTEMPTS_MAX: usize = 64;
/// How long to wait for what others are just doing.
const MOMENT: Duration = Duration::from_millis(1);

/// A bucket for each of a bounded number of keys, shared by all lanes, and lock-free.
///
/// A key's hash chooses a set of four buckets; the one that has its tag is its own. A bucket that is full is as good as
/// a new one and can change hands, so the table holds the keys that have asked for something lately. When all four of a
/// set are others' and none is full, the key shares one of them, always the same: both are held to one limit then. So a
/// table that is too small limits too much, and never too little, but for this: a key that shared and then gets a bucket
/// of its own begins with a full one.
///
/// Two keys of one set have the same tag once in 65,535 times, and share a bucket then.
#[derive(Debug)]
pub(crate) struct Rates {
    limit: Limit,
    /// A power of two.
    sets: Box<[Set]>,
}

/// Four buckets. Whose they are stands in one word, so that no key can come into two of them at once.
#[derive(Debug)]
#[repr(align(64))]
struct Set {
    /// Four tags of 16 bits; 0: nobody's.
    tags: AtomicU64,
    /// When each bucket is full: [`Bucket::to_raw`], or [`CLAIMED`].
    full_at: [AtomicU64; WAYS],
}

/// How many to take at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    /// At most so many; 0 is taken for 1.
    pub(crate) most: u32,
    /// Among so many lanes: beyond the first, no more is taken than what is left divided by twice that, so that batches
    /// shrink as it does and no lane takes what the others will need (guided self-scheduling, as
    /// [`Stock::lease`](corelane_balancer::count::Stock::lease)). 0: alone.
    pub(crate) lanes: u32,
}

impl Batch {
    fn take_from(self, bucket: &mut Bucket, limit: &Limit, now: Duration) -> u32 {
        let beyond = bucket.left(limit, now).saturating_sub(1);
        let share = beyond.checked_div(self.lanes.saturating_mul(2)).unwrap_or(beyond);
        bucket.take_up_to(limit, 1 + share.min(self.most.saturating_sub(1)), now)
    }
}

/// What came of trying to take from a bucket.
enum Tried {
    Taken(u32),
    /// There is nothing for so long.
    Empty(Duration),
    /// It changes hands.
    Claimed,
}

impl Rates {
    pub(crate) fn new(limit: Limit, keys_max: usize) -> Self {
        let sets = keys_max.div_ceil(WAYS).clamp(1, SETS_MAX).next_power_of_two();
        let set = |_| Set {
            tags: AtomicU64::new(0),
            full_at: std::array::from_fn(|_| AtomicU64::new(Bucket::default().to_raw())),
        };
        Self { limit, sets: (0..sets).map(set).collect() }
    }

    pub(crate) const fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Takes one, or a batch, for the key with this hash.
    ///
    /// # Errors
    /// There is none: how long until there is.
    pub(crate) fn take(&self, hash: u64, batch: Batch, now: Duration) -> Result<u32, Duration> {
        let (set, tag) = (self.set(hash), tag(hash));
        for _ in 0..ATTEMPTS_MAX {
            let tags = set.tags.load(Ordering::Acquire);
            let Some(way) = way_of(tags, tag) else {
                match self.claim(set, tags, tag, (batch, now)) {
                    Some(Tried::Taken(taken)) => return Ok(taken),
                    Some(_) => continue,
                    None => {}
                }
                // All are in use: it shares one.
                match self.take_from(&set.full_at[home(hash)], batch, now) {
                    Tried::Taken(taken) => return Ok(taken),
                    Tried::Empty(wait) => return Err(wait),
                    Tried::Claimed => continue,
                }
            };
            match self.take_from(&set.full_at[way], batch, now) {
                // Should the bucket have become another's since the look at the tags, that one has paid, and it is
                // tried again.
                Tried::Taken(taken) if way_of(set.tags.load(Ordering::Acquire), tag) == Some(way) => {
                    return Ok(taken);
                }
                Tried::Empty(wait) => return Err(wait),
                Tried::Taken(_) | Tried::Claimed => spin_loop(),
            }
        }
        Err(MOMENT)
    }

    fn take_from(&self, full_at: &AtomicU64, batch: Batch, now: Duration) -> Tried {
        let mut raw = full_at.load(Ordering::Acquire);
        loop {
            if raw == CLAIMED {
                return Tried::Claimed;
            }
            let mut bucket = Bucket::from_raw(raw);
            let taken = batch.take_from(&mut bucket, &self.limit, now);
            if taken == 0 {
                return Tried::Empty(bucket.take(&self.limit, 1, now).err().unwrap_or(MOMENT));
            }
            let exchanged =
                full_at.compare_exchange_weak(raw, bucket.to_raw(), Ordering::AcqRel, Ordering::Acquire);
            match exchanged {
                Ok(_) => return Tried::Taken(taken),
                Err(changed) => raw = changed,
            }
        }
    }

    /// Makes a full bucket the key's own, and takes from it; `None` if none is full.
    ///
    /// It is put out of use first, so that whose it was can take nothing from it that would be forgotten. If the tags
    /// have changed meanwhile, another lane may have been quicker with this very key, and all begins anew.
    fn claim(&self, set: &Set, tags: u64, tag: u16, (batch, now): (Batch, Duration)) -> Option<Tried> {
        for (way, full_at) in set.full_at.iter().enumerate() {
            let raw = full_at.load(Ordering::Acquire);
            if raw == CLAIMED || !Bucket::from_raw(raw).is_full(now) {
                continue;
            }
            if full_at.compare_exchange(raw, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                return Some(Tried::Claimed);
            }
            let tagged = with_tag(tags, way, tag);
            if set.tags.compare_exchange(tags, tagged, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                full_at.store(raw, Ordering::Release);
                return Some(Tried::Claimed);
            }
            let mut bucket = Bucket::default();
            let taken = batch.take_from(&mut bucket, &self.limit, now);
            full_at.store(bucket.to_raw(), Ordering::Release);
            return Some(Tried::Taken(taken));
        }
        None
    }

    /// Puts back what was taken and not used. A key that has no bucket of its own any more had a full one in the
    /// meantime, and needs nothing; one that shared gives its host nothing.
    pub(crate) fn put_back(&self, hash: u64, n: u32) {
        let (set, tag) = (self.set(hash), tag(hash));
        for _ in 0..ATTEMPTS_MAX {
            let Some(way) = way_of(set.tags.load(Ordering::Acquire), tag) else { return };
            let raw = set.full_at[way].load(Ordering::Acquire);
            // Whatever was read is this key's only if the bucket still is; if it changes hands after that, the exchange
            // fails.
            if raw == CLAIMED || way_of(set.tags.load(Ordering::Acquire), tag) != Some(way) {
                return;
            }
            let mut bucket = Bucket::from_raw(raw);
            bucket.put_back(&self.limit, n);
            let back = bucket.to_raw();
            if set.full_at[way].compare_exchange_weak(raw, back, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                return;
            }
        }
    }

    fn set(&self, hash: u64) -> &Set {
        &self.sets[hash as usize & (self.sets.len() - 1)]
    }
}

/// Of bits that do not choose the set; never 0.
const fn tag(hash: u64) -> u16 {
    let tag = (hash >> 48) as u16;
    if tag == 0 { 1 } else { tag }
}

/// The bucket of its set that a key shares when it must.
const fn home(hash: u64) -> usize {
    (hash >> 46) as usize % WAYS
}

fn way_of(tags: u64, tag: u16) -> Option<usize> {
    (0..WAYS).find(|way| (tags >> (16 * way)) as u16 == tag)
}

const fn with_tag(tags: u64, way: usize, tag: u16) -> u64 {
    let shift = 16 * way;
    tags & !(0xffff << shift) | (tag as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicU32, AtomicUsize},
        thread,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn rates(count: u32, burst: u32, keys_max: usize) -> Rates {
        Rates::new(Limit::new(count, SECOND, burst).unwrap(), keys_max)
    }

    fn take(rates: &Rates, hash: u64, most: u32, now: Duration) -> Result<u32, Duration> {
        rates.take(hash, Batch { most, lanes: 0 }, now)
    }

    /// A hash with this tag, of the first set.
    const fn key(tag: u16, home: u64) -> u64 {
        (tag as u64) << 48 | home << 46
    }

    #[test]
    fn keys_have_buckets_of_their_own() {
        let rates = rates(10, 2, 4);
        for tag in 1..=4 {
            assert_eq!(take(&rates, key(tag, 0), 1, SECOND), Ok(1));
            assert_eq!(take(&rates, key(tag, 0), 9, SECOND), Ok(1), "no more than there are");
            assert_eq!(take(&rates, key(tag, 0), 1, SECOND), Err(Duration::from_millis(100)));
        }
        assert_eq!(take(&rates, key(1, 0), 1, SECOND + Duration::from_millis(100)), Ok(1));
    }

    #[test]
    fn a_full_set_is_shared_and_a_full_bucket_changes_hands() {
        let rates = rates(10, 2, 1);
        for tag in 1..=4 {
            assert_eq!(take(&rates, key(tag, 0), 1, SECOND), Ok(1));
        }
        // The fifth shares the third's, and both are held to one limit.
        assert_eq!(take(&rates, key(5, 2), 9, SECOND), Ok(1));
        assert!(take(&rates, key(5, 2), 1, SECOND).is_err() && take(&rates, key(3, 0), 1, SECOND).is_err());
        // A while later all are full, and one becomes its own.
        let later = 2 * SECOND;
        assert_eq!(take(&rates, key(5, 2), 9, later), Ok(2));
        assert_eq!(take(&rates, key(3, 0), 9, later), Ok(2));
    }

    #[test]
    fn what_is_put_back_can_be_taken_again() {
        let rates = rates(10, 5, 1);
        assert_eq!(take(&rates, key(1, 0), 5, SECOND), Ok(5));
        rates.put_back(key(1, 0), 3);
        rates.put_back(key(2, 0), 3);
        assert_eq!(take(&rates, key(1, 0), 5, SECOND), Ok(3));
        assert_eq!(take(&rates, key(2, 0), 9, SECOND), Ok(5));
    }

    #[test]
    fn the_number_of_keys_bounds_the_memory() {
        assert_eq!(size_of::<Set>(), 64);
        assert_eq!(rates(1, 1, 0).sets.len(), 1);
        assert_eq!(rates(1, 1, 5).sets.len(), 2);
        assert_eq!(rates(1, 1, 100_000).sets.len(), 32_768);
    }

    /// Threads take and put back at will; time goes on under their hands. Each of more keys than there is room for gets
    /// what it may get and no more: as often as it came, or as the key that it shares with did.
    #[test]
    fn threads_never_take_more_than_there_is() {
        const THREADS: usize = 4;
        const TAKES: u64 = 30_000;
        for keys in [1_u16, 4, 6] {
            let (rates, clock) = (rates(1_000_000, 50, 1), AtomicU64::new(1_000_000_000));
            let taken: Vec<AtomicU32> = (0..keys).map(|_| AtomicU32::new(0)).collect();
            let turns = AtomicUsize::new(0);
            thread::scope(|scope| {
                for thread in 0..THREADS as u64 {
                    let (rates, clock, taken, turns) = (&rates, &clock, &taken, &turns);
                    scope.spawn(move || {
                        let mut rng = corelane_balancer::Rng::new(thread);
                        for _ in 0..TAKES {
                            let which = rng.next() % u64::from(keys);
                            let hash = key(which as u16 + 1, which % 4);
                            let now =
                                Duration::from_nanos(clock.fetch_add(rng.next() % 400, Ordering::SeqCst));
                            if let Ok(got) = take(rates, hash, 1 + (rng.next() % 8) as u32, now) {
                                // What is put back is never more than what was got.
                                let back = rng.next() as u32 % (got + 1);
                                taken[which as usize].fetch_add(got - back, Ordering::SeqCst);
                                if back > 0 {
                                    rates.put_back(hash, back);
                                }
                            }
                            turns.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
            let span = clock.load(Ordering::SeqCst) - 1_000_000_000;
            let most = 50 + span / 1_000;
            let taken: Vec<u64> = taken.iter().map(|taken| u64::from(taken.load(Ordering::SeqCst))).collect();
            if keys <= 4 {
                assert!(taken.iter().all(|&taken| taken <= most), "{taken:?} of {most}");
                assert!(
                    taken.iter().all(|&taken| taken > most / 4),
                    "and not much less: {taken:?} of {most}"
                );
            } else {
                // Four buckets at a time, each of which changes hands only when it is full.
                assert!(taken.iter().sum::<u64>() <= 4 * most, "{taken:?} of {most}");
            }
            assert_eq!(turns.load(Ordering::Relaxed), THREADS * TAKES as usize);
        }
    }
}
