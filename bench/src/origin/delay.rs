//! How long an answer is kept back.

use crate::units;
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Exp, LogNormal, Normal};
use std::{str::FromStr, time::Duration};

/// How much longer the rare answers of a long tail take, unless it is said: the deviation of the logarithm. With 1, p99
/// is about ten times p50.
const SIGMA: f64 = 1.0;
/// No answer is kept back for longer.
const DELAY_MAX: Duration = Duration::from_secs(600);

/// Delays, and how they are spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Delay {
    /// Always the same.
    Fixed(Duration),
    /// Around a mean (a deviation); none below 0.
    Normal(Normal<f64>),
    /// Mostly about a median, and sometimes many times that.
    LongTail(LogNormal<f64>),
    /// As often as not in the next moment.
    Exponential(Exp<f64>),
}

impl FromStr for Delay {
    type Err = String;

    /// Reads `5ms`, `normal:5ms,1ms`, `longtail:5ms` (with `,SIGMA` if it is to be), `exponential:5ms`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |error: &str| {
            format!("`{text}`: {error}; write 5ms, normal:5ms,1ms, longtail:5ms or exponential:5ms")
        };
        let Some((kind, rest)) = text.split_once(':') else {
            return Ok(Self::Fixed(units::duration(text)?));
        };
        let (first, second) = match rest.split_once(',') {
            Some((first, second)) => (first, Some(second)),
            None => (rest, None),
        };
        let first = units::duration(first)?.as_secs_f64();
        let distribution = match (kind, second) {
            ("normal", Some(deviation)) => {
                Normal::new(first, units::duration(deviation)?.as_secs_f64()).ok().map(Self::Normal)
            }
            ("longtail", sigma) => {
                let sigma = sigma.map_or(Ok(SIGMA), str::parse::<f64>).map_err(|_| wrong("not a number"))?;
                LogNormal::new(first.ln(), sigma)
                    .ok()
                    .filter(|_| first > 0.0 && (0.0..=5.0).contains(&sigma))
                    .map(Self::LongTail)
            }
            ("exponential", None) if first > 0.0 => Exp::new(1.0 / first).ok().map(Self::Exponential),
            ("exponential", None) => None,
            _ => return Err(wrong("not a distribution of delays")),
        };
        distribution.ok_or_else(|| wrong("not such a distribution"))
    }
}

impl Delay {
    /// One of them.
    pub(crate) fn draw(&self, rng: &mut SmallRng) -> Duration {
        let seconds = match self {
            Self::Fixed(delay) => return *delay,
            Self::Normal(normal) => normal.sample(rng),
            Self::LongTail(longtail) => longtail.sample(rng),
            Self::Exponential(exponential) => exponential.sample(rng),
        };
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(DELAY_MAX).min(DELAY_MAX)
    }
}

/// A server that stops answering for the first part of every period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stall {
    length: Duration,
    every: Duration,
}

impl FromStr for Stall {
    type Err = String;

    /// Reads `100ms/1s`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (length, every) =
            text.split_once('/').ok_or_else(|| format!("`{text}` is not a stall; write it as 100ms/1s"))?;
        let (length, every) = (units::duration(length)?, units::duration(every)?);
        if length.is_zero() || length >= every {
            return Err(format!("`{text}`: a stall is shorter than its period, and not 0"));
        }
        Ok(Self { length, every })
    }
}

impl Stall {
    /// Until when whoever comes `now` has to wait.
    pub(crate) fn until(&self, now: Duration) -> Option<Duration> {
        let every = self.every.as_nanos();
        let begin = now.as_nanos() / every * every;
        let end = begin + self.length.as_nanos();
        (now.as_nanos() < end).then(|| Duration::from_nanos(u64::try_from(end).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn quantiles(delay: &str) -> [f64; 2] {
        let delay: Delay = delay.parse().expect("a delay");
        let mut rng = SmallRng::seed_from_u64(1);
        let mut drawn: Vec<f64> = (0..100_000).map(|_| delay.draw(&mut rng).as_secs_f64() * 1e3).collect();
        drawn.sort_by(f64::total_cmp);
        [drawn[50_000], drawn[99_000]]
    }

    #[test]
    fn delays_are_spread_as_they_are_called() {
        let near = |is: f64, was: f64| (is / was - 1.0).abs() < 0.03;
        assert_eq!(quantiles("3ms"), [3.0, 3.0]);
        let [p50, p99] = quantiles("normal:5ms,1ms");
        assert!(near(p50, 5.0) && near(p99, 7.326), "{p50} {p99}");
        let [p50, p99] = quantiles("longtail:5ms");
        assert!(near(p50, 5.0) && near(p99, 5.0 * 2.326f64.exp()), "{p50} {p99}");
        let [p50, p99] = quantiles("exponential:5ms");
        assert!(near(p50, 5.0 * 2f64.ln()) && near(p99, 5.0 * 100f64.ln()), "{p50} {p99}");
    }

    #[test]
    fn wrong_delays_are_said() {
        for wrong in
            ["", "5", "normal:5ms", "normal:5,1", "longtail:5ms,x", "longtail:5ms,9", "uniform:1ms,2ms"]
        {
            assert!(wrong.parse::<Delay>().is_err(), "{wrong}");
        }
        for wrong in ["", "100ms", "1s/1s", "0ms/1s", "2s/1s", "x/1s"] {
            assert!(wrong.parse::<Stall>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_stall_lasts_to_its_end() {
        let stall: Stall = "100ms/1s".parse().expect("a stall");
        let at = |millis| stall.until(Duration::from_millis(millis)).map(|until| until.as_millis());
        assert_eq!(
            (at(0), at(3040), at(3099), at(3100), at(3999)),
            (Some(100), Some(3100), Some(3100), None, None)
        );
    }
}
