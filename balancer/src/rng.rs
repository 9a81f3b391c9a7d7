//! Chance, as a value.

/// What SplitMix64 adds at each step: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A small pseudo-random generator: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014). Eight bytes of state; every seed is as good as any other, and its period is 2^64.
///
/// The same seed gives the same numbers on every machine. It is for spreading load and is no use for secrets:
/// one number gives away all that follow.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator whose numbers follow from `seed` alone.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number, uniform over all of `u64`.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// A number from 0 up to but not including `n`, each exactly as likely; 0 when `n` is 0.
    ///
    /// Lemire, "Fast random integer generation in an interval" (2019): a multiplication instead of a division,
    /// and a draw is repeated with a probability below `n` / 2^64.
    pub const fn below(&mut self, n: u64) -> u64 {
        let mut product = self.next() as u128 * n as u128;
        if (product as u64) < n {
            let excess = n.wrapping_neg() % n;
            while (product as u64) < excess {
                product = self.next() as u128 * n as u128;
            }
        }
        (product >> 64) as u64
    }
}

/// Spreads a change of any bit over all of them. No two numbers give the same.
pub(crate) const fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_numbers() {
        // From the reference implementation, https://prng.di.unimi.it/splitmix64.c, with a state of 1234567.
        let mut rng = Rng::new(1_234_567);
        let numbers = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(numbers, [rng.next(), rng.next(), rng.next()]);
    }

    #[test]
    fn below_is_uniform() {
        let mut rng = Rng::new(1);
        let mut counts = [0_i32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        // Standard deviation about 93: five of them.
        assert!(counts.iter().all(|count| (count - 10_000).abs() < 465), "{counts:?}");
    }

    #[test]
    fn below_at_its_limits() {
        let mut rng = Rng::new(2);
        for _ in 0..1_000 {
            assert_eq!(rng.below(0), 0);
            assert_eq!(rng.below(1), 0);
            assert!(rng.below(2) < 2);
            assert!(rng.below(u64::MAX) < u64::MAX);
            assert!(rng.below((1 << 63) + 1) <= 1 << 63, "half of these draws are repeated");
        }
    }
}
