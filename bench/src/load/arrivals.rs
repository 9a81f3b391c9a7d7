//! When requests are due.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::time::Duration;

/// How requests of an open loop are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arrivals {
    /// One every 1/RATE seconds.
    Constant,
    /// At random, independent of each other (Poisson), RATE a second on average: as many users are.
    Poisson,
}

/// How long after the end of an open loop requests that were due before, and found no connection free, are still sent.
const GRACE: Duration = Duration::from_secs(1);

/// What the next request is to whoever could send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It was due at this moment.
    Due(Duration),
    /// It is due at this moment, which has not come.
    Later(Duration),
    /// There are no more.
    Over,
}

/// The requests that one group of connections is to send. Nothing waits in it: what is due is a matter of arithmetic, so
/// that a backlog of any length costs nothing and is forgotten by nobody.
#[derive(Debug)]
pub(crate) struct Schedule {
    pace: Pace,
    /// No request is due from this moment on.
    end: Duration,
    /// From when on requests count against `left`.
    counted_from: Duration,
    left: Option<u64>,
}

#[derive(Debug)]
enum Pace {
    /// Whenever somebody is free.
    Closed,
    Open(Open),
}

#[derive(Debug)]
struct Open {
    arrivals: Arrivals,
    begin: Duration,
    /// Seconds between two requests, on average.
    interval: f64,
    /// Seconds from `begin` until the next one.
    next: f64,
    /// How many have been.
    count: u64,
    rng: SmallRng,
}

impl Open {
    fn due(&self) -> Duration {
        self.begin + Duration::from_secs_f64(self.next)
    }

    fn advance(&mut self) {
        self.count += 1;
        match self.arrivals {
            // Not by adding: rounding would drift.
            Arrivals::Constant => self.next = self.count as f64 * self.interval,
            Arrivals::Poisson => {
                // 1 - u is never 0.
                let u: f64 = self.rng.random();
                self.next -= (1.0 - u).ln() * self.interval;
            }
        }
    }
}

impl Schedule {
    /// A closed loop: the next request is due when somebody is free to send it.
    pub(crate) fn closed() -> Self {
        Self { pace: Pace::Closed, end: Duration::MAX, counted_from: Duration::ZERO, left: None }
    }

    /// An open loop of `rate` requests a second from `begin` on.
    pub(crate) fn open(arrivals: Arrivals, rate: f64, begin: Duration, seed: u64) -> Self {
        let mut open = Open {
            arrivals,
            begin,
            interval: 1.0 / rate,
            next: 0.0,
            count: 0,
            rng: SmallRng::seed_from_u64(seed),
        };
        if arrivals == Arrivals::Poisson {
            open.advance();
        }
        Self { pace: Pace::Open(open), ..Self::closed() }
    }

    /// Ends at a moment, or after so many requests that are due from `counted_from` on, whichever is given.
    pub(crate) fn until(mut self, end: Duration, counted_from: Duration, requests: Option<u64>) -> Self {
        (self.end, self.counted_from, self.left) = (end, counted_from, requests);
        self
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        self.left = Some(0);
    }

    /// Ends it, and says how many requests should have been sent and were not.
    pub(crate) fn drop_rest(&mut self) -> u64 {
        let rest = match (self.left, &self.pace) {
            (Some(left), _) => left,
            (None, Pace::Closed) => 0,
            (None, Pace::Open(open)) => {
                let rest = self.end.saturating_sub(open.due()).as_secs_f64() / open.interval;
                rest.ceil() as u64
            }
        };
        self.stop();
        rest
    }

    /// Takes the next request, if it is due.
    pub(crate) fn take(&mut self, now: Duration) -> Next {
        let next = self.peek(now);
        if let Next::Due(due) = next {
            if due >= self.counted_from
                && let Some(left) = &mut self.left
            {
                *left -= 1;
            }
            if let Pace::Open(open) = &mut self.pace {
                open.advance();
            }
        }
        next
    }

    /// What the next request is.
    pub(crate) fn peek(&self, now: Duration) -> Next {
        let due = match &self.pace {
            Pace::Closed => now,
            Pace::Open(open) => open.due(),
        };
        let is_late = now.saturating_sub(GRACE) >= self.end;
        if self.left == Some(0) || due >= self.end || is_late {
            Next::Over
        } else if due <= now {
            Next::Due(due)
        } else {
            Next::Later(due)
        }
    }
}

/// Chooses among things by their weights.
#[derive(Debug)]
pub(crate) struct Weights {
    /// Sums up to each one's, the last of which is 1.
    sums: Vec<f64>,
    rng: SmallRng,
}

impl Weights {
    pub(crate) fn new(weights: impl Iterator<Item = f64>, seed: u64) -> Self {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        sums.iter_mut().for_each(|each| *each /= sum);
        Self { sums, rng: SmallRng::seed_from_u64(seed) }
    }

    pub(crate) fn choose(&mut self) -> usize {
        if self.sums.len() == 1 {
            return 0;
        }
        let at: f64 = self.rng.random();
        self.sums.partition_point(|sum| *sum <= at).min(self.sums.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_constant_rate_forgets_nothing() {
        let mut schedule = Schedule::open(Arrivals::Constant, 100.0, millis(1000), 0).until(
            millis(2000),
            Duration::ZERO,
            None,
        );
        assert_eq!(schedule.take(millis(999)), Next::Later(millis(1000)));
        assert_eq!(schedule.take(millis(1000)), Next::Due(millis(1000)));
        assert_eq!(schedule.take(millis(1000)), Next::Later(millis(1010)));
        // Nobody came for a long time.
        let mut count = 1;
        while let Next::Due(due) = schedule.take(millis(2999)) {
            assert_eq!(due.as_micros(), (millis(1000) + count * millis(10)).as_micros());
            count += 1;
        }
        assert_eq!((count, schedule.take(millis(2999)), schedule.drop_rest()), (100, Next::Over, 0));
    }

    #[test]
    fn what_is_not_sent_soon_after_the_end_is_not_sent() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            let open = || Schedule::open(arrivals, 100.0, millis(0), 0);
            let mut schedule = open().until(millis(2000), Duration::ZERO, None);
            (0..50).for_each(|_| assert!(matches!(schedule.take(millis(2999)), Next::Due(_))));
            assert_eq!(schedule.take(millis(3000)), Next::Over);
            let rest = schedule.drop_rest();
            assert!(rest == 150 || arrivals == Arrivals::Poisson && (100..200).contains(&rest), "{rest}");
            assert_eq!((schedule.drop_rest(), schedule.peek(millis(1))), (0, Next::Over));
            // Whoever asks for a number of requests gets it.
            let mut schedule = open().until(Duration::MAX, Duration::ZERO, Some(3));
            assert!(matches!(schedule.take(Duration::from_secs(9999)), Next::Due(_)));
            assert_eq!(schedule.drop_rest(), 2);
        }
    }

    #[test]
    fn random_arrivals_have_the_rate_and_its_spread() {
        let mut schedule = Schedule::open(Arrivals::Poisson, 1000.0, Duration::ZERO, 7).until(
            Duration::from_secs(100),
            Duration::ZERO,
            None,
        );
        let (mut last, mut gaps) = (Duration::ZERO, Vec::new());
        while let Next::Due(due) = schedule.take(Duration::from_secs(100)) {
            gaps.push((due - last).as_secs_f64());
            last = due;
        }
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((99_000..101_000).contains(&gaps.len()), "{}", gaps.len());
        // Exponential: the deviation is the mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn a_closed_loop_ends_after_its_requests_or_its_time() {
        let mut schedule = Schedule::closed().until(Duration::MAX, millis(10), Some(2));
        assert_eq!(schedule.take(millis(5)), Next::Due(millis(5)), "warming up");
        assert_eq!(schedule.take(millis(10)), Next::Due(millis(10)));
        assert_eq!(schedule.take(millis(11)), Next::Due(millis(11)));
        assert_eq!(schedule.take(millis(12)), Next::Over);
        let mut schedule = Schedule::closed().until(millis(10), Duration::ZERO, None);
        assert_eq!(schedule.take(millis(9)), Next::Due(millis(9)));
        assert_eq!(schedule.take(millis(10)), Next::Over);
    }

    #[test]
    fn weights_are_kept() {
        let mut weights = Weights::new([1.0, 3.0, 0.0001].into_iter(), 3);
        let mut counts = [0; 3];
        (0..40_000).for_each(|_| counts[weights.choose()] += 1);
        assert!((9_500..10_500).contains(&counts[0]) && counts[2] < 20, "{counts:?}");
    }
}
