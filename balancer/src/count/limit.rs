//! Whether one more may pass.

use std::fmt;
use std::time::Duration;

use super::nanos;

/// So many per time, and so many at once: what is configured of a rate limit. [`Bucket`] is its state.
///
/// The generic cell rate algorithm, as virtual scheduling (ITU-T I.371; ATM Forum, "Traffic Management 4.0",
/// §4.4.2): a token bucket that refills continuously, in one number. In any span of time `t`, ends included, at
/// most `burst + t / interval` pass, and after a rest exactly `burst` pass at once.
///
/// ```
/// use std::time::Duration;
///
/// use corelane_balancer::count::{Bucket, Limit};
///
/// let limit = Limit::new(100, Duration::from_secs(1), 2)?;
/// let mut client = Bucket::default();
/// let now = Duration::from_secs(9);
/// assert_eq!(client.take(&limit, 1, now), Ok(()));
/// assert_eq!(client.take(&limit, 1, now), Ok(()));
/// assert_eq!(client.take(&limit, 1, now), Err(Duration::from_millis(10)), "the time to wait");
/// assert_eq!(client.take(&limit, 1, now + Duration::from_millis(10)), Ok(()));
/// # Ok::<(), corelane_balancer::count::InvalidLimit>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Between two that pass, in the long run.
    interval_ns: u64,
    /// Until an empty bucket is full.
    fill_ns: u64,
}

/// How full one client's, or one route's, bucket is: 8 bytes. A new one is full.
///
/// It is used with one [`Limit`]. Should that change, what was taken before counts as the time that it took to
/// refill by the old limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// When it is, or was, full again, since the caller's epoch.
    full_at_ns: u64,
}

/// Why there is no such limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidLimit {
    /// The number, the time or the burst is 0: nothing, or anything, would pass.
    Zero,
    /// More than one per nanosecond.
    TooFast,
    /// An empty bucket would take more than 2^62 ns (146 years) to fill.
    TooSlow,
}

/// 146 years: with a time of [`NANOS_MAX`](super::NANOS_MAX) added, it fits.
const FILL_NS_MAX: u64 = 1 << 62;

impl Limit {
    /// `count` per `period`, and up to `burst` at once after a rest.
    ///
    /// The interval between two is `period / count`, rounded up to a nanosecond: 100,000 per second is 10,000 ns
    /// exactly, and 3,000,000 per second, at 334 ns, passes 0.2 % less.
    ///
    /// # Errors
    /// A 0 among them, more than one per nanosecond, or a burst that takes more than 146 years to refill.
    pub fn new(count: u32, period: Duration, burst: u32) -> Result<Self, InvalidLimit> {
        if count == 0 || burst == 0 || period.is_zero() {
            return Err(InvalidLimit::Zero);
        }
        let period_ns = u64::try_from(period.as_nanos()).map_err(|_| InvalidLimit::TooSlow)?;
        if period_ns < u64::from(count) {
            return Err(InvalidLimit::TooFast);
        }
        let interval_ns = period_ns.div_ceil(u64::from(count));
        let fill_ns = interval_ns.checked_mul(u64::from(burst));
        match fill_ns {
            Some(fill_ns) if fill_ns <= FILL_NS_MAX => Ok(Self { interval_ns, fill_ns }),
            _ => Err(InvalidLimit::TooSlow),
        }
    }

    /// The time between two that pass, in the long run.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval_ns)
    }

    /// How many pass at once after a rest.
    pub const fn burst(&self) -> u32 {
        (self.fill_ns / self.interval_ns) as u32
    }
}

impl Bucket {
    /// Takes `n` at `now`, all or none.
    ///
    /// # Errors
    /// When there aren't that many: how long to wait until there will be, if nobody else takes any; or
    /// [`Duration::MAX`] when `n` is more than the burst, and there never will be. Nothing was taken.
    pub fn take(&mut self, limit: &Limit, n: u32, now: Duration) -> Result<(), Duration> {
        let cost_ns = limit.interval_ns.saturating_mul(u64::from(n));
        if cost_ns > limit.fill_ns {
            return Err(Duration::MAX);
        }
        let now_ns = nanos(now);
        let full_at_ns = self.full_at_ns.max(now_ns).saturating_add(cost_ns);
        let latest_ns = now_ns + limit.fill_ns;
        if full_at_ns > latest_ns {
            return Err(Duration::from_nanos(full_at_ns - latest_ns));
        }
        self.full_at_ns = full_at_ns;
        Ok(())
    }

    /// Takes as many as there are, at most `at_most`: a batch for a lane ([`Allowance`](super::Allowance)).
    pub fn take_up_to(&mut self, limit: &Limit, at_most: u32, now: Duration) -> u32 {
        let taken = self.left(limit, now).min(at_most);
        self.full_at_ns = self.full_at_ns.max(nanos(now)) + limit.interval_ns * u64::from(taken);
        taken
    }

    /// Puts `n` back that were taken and not used. It is never more than full.
    pub fn put_back(&mut self, limit: &Limit, n: u32) {
        let refund_ns = limit.interval_ns.saturating_mul(u64::from(n));
        self.full_at_ns = self.full_at_ns.saturating_sub(refund_ns);
    }

    /// How many could be taken at `now`: 0 to the burst.
    pub fn left(&self, limit: &Limit, now: Duration) -> u32 {
        let missing_ns = self.full_at_ns.saturating_sub(nanos(now));
        (limit.fill_ns.saturating_sub(missing_ns) / limit.interval_ns) as u32
    }

    /// Whether it is full at `now`: then it can be forgotten, since it is as good as a new one.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at_ns <= nanos(now)
    }

    /// As one number, for whoever keeps it in an atomic cell.
    pub const fn to_raw(self) -> u64 {
        self.full_at_ns
    }

    /// The bucket of which [`to_raw`](Self::to_raw) gave this number.
    pub const fn from_raw(raw: u64) -> Self {
        Self { full_at_ns: raw }
    }
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "the number, the time and the burst of a rate limit must be more than 0",
            Self::TooFast => "a rate limit of more than one per nanosecond",
            Self::TooSlow => "a rate limit whose burst takes more than 146 years to refill",
        })
    }
}

impl std::error::Error for InvalidLimit {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ns(ns: u64) -> Duration {
        Duration::from_nanos(ns)
    }

    fn limit() -> impl Strategy<Value = Limit> {
        (1..40_u32, 40..400_u64, 1..10_u32)
            .prop_map(|(count, period_ns, burst)| Limit::new(count, ns(period_ns), burst).unwrap())
    }

    proptest! {
        /// Against a bucket of whole and part tokens, in units of a nanosecond's refill.
        #[test]
        fn is_a_token_bucket(
            limit in limit(),
            steps in prop::collection::vec((0..100_u64, 0..12_u32, any::<bool>()), 0..200),
        ) {
            let mut bucket = Bucket::default();
            let (mut level, mut now) = (limit.fill_ns, 0);
            for (wait, n, put_back) in steps {
                now += wait;
                level = (level + wait).min(limit.fill_ns);
                prop_assert_eq!(u64::from(bucket.left(&limit, ns(now))), level / limit.interval_ns);
                prop_assert_eq!(bucket.is_full(ns(now)), level == limit.fill_ns);
                let cost = limit.interval_ns * u64::from(n);
                match bucket.take(&limit, n, ns(now)) {
                    Ok(()) => {
                        prop_assert!(cost <= level);
                        level -= cost;
                        if put_back {
                            bucket.put_back(&limit, n);
                            level += cost;
                        }
                    }
                    Err(Duration::MAX) => prop_assert!(n > limit.burst()),
                    Err(wait) => {
                        prop_assert_eq!(wait, ns(cost - level), "exactly when there are enough");
                        let mut later = bucket;
                        prop_assert!(later.take(&limit, n, ns(now) + wait - ns(1)).is_err());
                        prop_assert!(later.take(&limit, n, ns(now) + wait).is_ok());
                    }
                }
            }
        }

        #[test]
        fn no_span_of_time_passes_more_than_its_share(
            limit in limit(),
            waits in prop::collection::vec(0..30_u64, 1..150),
        ) {
            let mut bucket = Bucket::default();
            let (mut now, mut passed) = (0, Vec::new());
            for wait in waits {
                now += wait;
                if bucket.take(&limit, 1, ns(now)).is_ok() {
                    passed.push(now);
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let most = u64::from(limit.burst()) + (to - from) / limit.interval_ns;
                    prop_assert!((last - first + 1) as u64 <= most);
                }
            }
        }

        #[test]
        fn up_to_takes_all_that_is_left(limit in limit(), spent in 0..10_u32, at_most in 0..20_u32) {
            let mut bucket = Bucket::default();
            let spent = bucket.take_up_to(&limit, spent, ns(5));
            let taken = bucket.take_up_to(&limit, at_most, ns(5));
            prop_assert_eq!(taken, at_most.min(limit.burst() - spent));
            prop_assert_eq!(bucket.left(&limit, ns(5)), limit.burst() - spent - taken);
            prop_assert_eq!(Bucket::from_raw(bucket.to_raw()), bucket);
        }

        #[test]
        fn never_panics(
            numbers in (any::<u32>(), any::<u64>(), any::<u32>()),
            steps in prop::collection::vec((any::<u64>(), any::<u32>()), 0..20),
        ) {
            let (count, period, burst) = numbers;
            if let Ok(limit) = Limit::new(count, ns(period), burst) {
                prop_assert_eq!(limit.burst(), burst);
                let mut bucket = Bucket::default();
                for (now, n) in steps {
                    let _ = bucket.take(&limit, n, ns(now));
                    let _ = bucket.take_up_to(&limit, n, ns(now));
                    prop_assert!(bucket.left(&limit, ns(now)) <= burst);
                }
                let _ = bucket.take(&limit, u32::MAX, Duration::MAX);
                let _ = bucket.take_up_to(&limit, u32::MAX, Duration::MAX);
                bucket.put_back(&limit, u32::MAX);
            }
        }
    }

    #[test]
    fn limits_that_are_none_are_refused() {
        let second = Duration::from_secs(1);
        for (count, period, burst) in [(0, second, 1), (1, Duration::ZERO, 1), (1, second, 0)] {
            assert_eq!(Limit::new(count, period, burst), Err(InvalidLimit::Zero));
        }
        assert_eq!(Limit::new(1_001, Duration::from_micros(1), 1), Err(InvalidLimit::TooFast));
        assert!(Limit::new(1_000, Duration::from_micros(1), u32::MAX).is_ok());
        let century = Duration::from_secs(100 * 365 * 86_400);
        assert!(Limit::new(1, century, 1).is_ok());
        assert_eq!(Limit::new(1, century, 2), Err(InvalidLimit::TooSlow));
        assert_eq!(Limit::new(1, Duration::MAX, 1), Err(InvalidLimit::TooSlow));
    }

    #[test]
    fn intervals_are_rounded_up() {
        let second = Duration::from_secs(1);
        assert_eq!(Limit::new(100_000, second, 1).unwrap().interval(), ns(10_000));
        let thirds = Limit::new(3, second, 3).unwrap();
        assert_eq!(thirds.interval(), ns(333_333_334));
        let mut bucket = Bucket::default();
        assert_eq!([(); 4].map(|()| bucket.take(&thirds, 1, second).is_ok()), [true, true, true, false]);
    }
}
