//! About how often any key came.

use std::f64::consts::E;
use std::fmt;

use crate::Rng;
use crate::rng::mix;

/// How often each of any number of keys came, in fixed memory: a count-min sketch (Cormode and Muthukrishnan, "An
/// improved data stream summary", J. Algorithms 55(1), 2005) with conservative update (Estan and Varghese, "New
/// directions in traffic measurement and accounting", SIGCOMM 2002).
///
/// An estimate is never too low. It is too high by more than `epsilon` × [`total`](Self::total) with a
/// probability of at most `delta`; conservative update makes it better than that. It takes 4 bytes × ⌈e /
/// `epsilon`⌉ × ⌈ln(1 / `delta`)⌉: 54 KB with 0.001 and 0.01.
///
/// [`decay`](Self::decay) halves all counts; called once per half-life it makes old events fade.
///
/// ```
/// use corelane_balancer::count::CountMin;
/// use corelane_balancer::hash_bytes;
///
/// let mut sketch = CountMin::new(0.001, 0.01, 7)?;
/// let client = hash_bytes(b"203.0.113.7");
/// assert_eq!(sketch.add(client, 3), 3);
/// assert_eq!(sketch.add(client, 1), 4);
/// sketch.decay();
/// assert_eq!(sketch.estimate(client), 2);
/// assert_eq!(sketch.estimate(hash_bytes(b"203.0.113.8")), 0);
/// # Ok::<(), corelane_balancer::count::InvalidSketch>(())
/// ```
#[derive(Clone, Debug)]
pub struct CountMin {
    width: usize,
    /// What tells the rows' places of a key apart.
    salts: Vec<u64>,
    /// Row after row. Each is at least the count of every key that has its place there.
    cells: Vec<u32>,
    total: u64,
}

/// Why there is no such sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidSketch {
    /// The error isn't between [`CountMin::EPSILON_MIN`] and 1.
    Epsilon,
    /// The probability of a greater error isn't between [`CountMin::DELTA_MIN`] and 1.
    Delta,
}

/// The most rows: ln(1 / [`CountMin::DELTA_MIN`]), rounded up.
const DEPTH_MAX: usize = 14;

impl CountMin {
    /// The least error: 0.00001. With all rows that is 15 MB.
    pub const EPSILON_MIN: f64 = 1e-5;
    /// The least probability of a greater error: 0.000001, which is 14 rows.
    pub const DELTA_MIN: f64 = 1e-6;

    /// An empty sketch with an error of at most `epsilon` × [`total`](Self::total), but for a probability of
    /// `delta`. `epsilon` is at least [`EPSILON_MIN`](Self::EPSILON_MIN), `delta` at least
    /// [`DELTA_MIN`](Self::DELTA_MIN), both less than 1.
    ///
    /// Where keys come from strangers, a `seed` that they don't know keeps them from choosing keys that share
    /// the places of a victim's.
    ///
    /// # Errors
    /// An `epsilon` or a `delta` out of range.
    pub fn new(epsilon: f64, delta: f64, seed: u64) -> Result<Self, InvalidSketch> {
        if !(Self::EPSILON_MIN..1.0).contains(&epsilon) {
            return Err(InvalidSketch::Epsilon);
        }
        if !(Self::DELTA_MIN..1.0).contains(&delta) {
            return Err(InvalidSketch::Delta);
        }
        let width = (E / epsilon).ceil() as usize;
        let depth = (delta.recip().ln().ceil() as usize).clamp(1, DEPTH_MAX);
        let mut rng = Rng::new(seed);
        let salts = (0..depth).map(|_| rng.next()).collect();
        Ok(Self { width, salts, cells: vec![0; width * depth], total: 0 })
    }

    /// Counts `key` `events` times more. The new estimate, which stops at `u32::MAX`.
    pub fn add(&mut self, key: u64, events: u32) -> u32 {
        let mut places = [0; DEPTH_MAX];
        let places = &mut places[..self.salts.len()];
        for (place, of_key) in places.iter_mut().zip(self.places(key)) {
            *place = of_key;
        }
        let before = places.iter().map(|&place| self.cells[place]).min();
        let after = before.unwrap_or(0).saturating_add(events);
        // Conservative: what is above that already has room for this key too.
        for &place in &*places {
            self.cells[place] = self.cells[place].max(after);
        }
        self.total = self.total.saturating_add(u64::from(events));
        after
    }

    /// Halves every count, rounding down, and the total, rounding up. It visits every cell: not for each request.
    pub fn decay(&mut self) {
        self.cells.iter_mut().for_each(|cell| *cell /= 2);
        self.total = self.total.div_ceil(2);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.cells.fill(0);
        self.total = 0;
    }

    /// How often `key` came, or more.
    pub fn estimate(&self, key: u64) -> u32 {
        self.places(key).map(|place| self.cells[place]).min().unwrap_or(0)
    }

    /// How often all keys together came; halved by each [`decay`](Self::decay).
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many cells a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows there are.
    pub fn depth(&self) -> usize {
        self.salts.len()
    }

    /// The cell of `key` in each row.
    fn places(&self, key: u64) -> impl Iterator<Item = usize> {
        let width = self.width;
        let rows = self.salts.iter().enumerate();
        rows.map(move |(row, salt)| {
            let hash = mix(mix(key) ^ salt);
            // Lemire's multiplication instead of a division: even but for width / 2^64.
            row * width + ((u128::from(hash) * width as u128) >> u64::BITS) as usize
        })
    }
}

impl fmt::Display for InvalidSketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epsilon => write!(f, "the error must be at least {} and below 1", CountMin::EPSILON_MIN),
            Self::Delta => write!(
                f,
                "the probability of a greater error must be at least {} and below 1",
                CountMin::DELTA_MIN
            ),
        }
    }
}

impl std::error::Error for InvalidSketch {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Add(u64, u32),
        Decay,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![20 => (0..300_u64, 0..50_u32).prop_map(|(key, n)| Step::Add(key, n)), 1 => Just(Step::Decay)]
    }

    proptest! {
        /// Small on purpose, so that keys collide.
        #[test]
        fn never_too_low_and_never_above_the_plain_sketch(
            seed in any::<u64>(),
            steps in prop::collection::vec(step(), 0..500),
        ) {
            let mut sketch = CountMin::new(0.1, 0.05, seed).unwrap();
            let mut truth: BTreeMap<u64, u32> = BTreeMap::new();
            let mut plain = vec![0_u32; sketch.cells.len()];
            for step in steps {
                match step {
                    Step::Add(key, events) => {
                        sketch.places(key).for_each(|place| plain[place] += events);
                        *truth.entry(key).or_default() += events;
                        let estimate = sketch.add(key, events);
                        prop_assert_eq!(estimate, sketch.estimate(key));
                    }
                    Step::Decay => {
                        sketch.decay();
                        truth.values_mut().for_each(|count| *count /= 2);
                        plain.iter_mut().for_each(|cell| *cell /= 2);
                    }
                }
            }
            for (&key, &count) in &truth {
                prop_assert!(sketch.estimate(key) >= count);
                let most = sketch.places(key).map(|place| plain[place]).min().unwrap();
                prop_assert!(sketch.estimate(key) <= most);
            }
            prop_assert!(sketch.total() >= truth.values().copied().map(u64::from).sum());
        }
    }

    /// The worst for conservative update is that all keys are equally frequent; a web's are nearer to Zipf's law.
    fn streams() -> [Vec<u64>; 2] {
        let even = (0..20_000).map(|index| index % 5_000).collect();
        let zipf =
            (1..=2_000_u64).flat_map(|rank| std::iter::repeat_n(rank, 4_000 / rank as usize)).collect();
        [even, zipf]
    }

    #[test]
    fn the_error_is_within_epsilon_but_for_delta() {
        for (epsilon, delta) in [(0.01, 0.01), (0.002, 0.1), (0.05, 0.3)] {
            for stream in streams() {
                let (mut keys_seen, mut too_high) = (0.0, 0.0);
                for seed in 0..20 {
                    let mut sketch = CountMin::new(epsilon, delta, seed).unwrap();
                    let mut truth: BTreeMap<u64, u32> = BTreeMap::new();
                    for &key in &stream {
                        sketch.add(key, 1);
                        *truth.entry(key).or_default() += 1;
                    }
                    let allowed = epsilon * sketch.total() as f64;
                    for (&key, &count) in &truth {
                        keys_seen += 1.0;
                        if f64::from(sketch.estimate(key) - count) > allowed {
                            too_high += 1.0;
                        }
                    }
                }
                assert!(too_high <= delta * keys_seen, "{epsilon} {delta}: {too_high} of {keys_seen}");
            }
        }
    }

    #[test]
    fn sizes_follow_from_the_error() {
        let size = |epsilon, delta| CountMin::new(epsilon, delta, 0).map(|it| (it.width(), it.depth()));
        assert_eq!(size(0.001, 0.01), Ok((2_719, 5)));
        assert_eq!(size(CountMin::EPSILON_MIN, CountMin::DELTA_MIN), Ok((271_829, DEPTH_MAX)));
        assert_eq!(size(0.999_999, 0.999_999), Ok((3, 1)));
        for epsilon in [0.0, -1.0, 1.0, 9e-6, f64::NAN, f64::INFINITY] {
            assert_eq!(size(epsilon, 0.1), Err(InvalidSketch::Epsilon));
        }
        for delta in [0.0, -1.0, 1.0, 9e-7, f64::NAN, f64::INFINITY] {
            assert_eq!(size(0.1, delta), Err(InvalidSketch::Delta));
        }
    }

    #[test]
    fn counts_stop_at_the_limit() {
        let mut sketch = CountMin::new(0.1, 0.1, 0).unwrap();
        sketch.add(1, u32::MAX);
        assert_eq!(sketch.add(1, 1), u32::MAX);
        sketch.total = u64::MAX;
        sketch.add(2, 1);
        assert_eq!(sketch.total(), u64::MAX);
        sketch.clear();
        assert_eq!((sketch.estimate(1), sketch.total()), (0, 0));
    }
}
