//! Medians, ranges, ratios, and when a difference may be called one.

use serde::Serialize;

/// Fewer rounds give no verdict: all of five ratios of two equals fall on one side of 1 once in 16 times (2 × ½⁵).
pub(super) const VERDICT_ROUNDS_MIN: usize = 5;
/// How often two equals may be called different: once in 16 times.
const CHANCE_MAX: f64 = 1.0 / 16.0;

/// The median of some measurements and their range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Spread {
    /// `None` if there is nothing to spread.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (&low, &high) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, low, high })
    }

    /// `11.44 (10.79–13.66)`.
    pub(super) fn say(&self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.low, self.high)
    }
}

/// How often chance alone puts so many of `rounds` or more on one side of 1, on either: the sign test. It asks only who
/// was cheaper in a round and not by how much, so that a round that somebody disturbed counts for one round.
fn chance(on_one_side: usize, rounds: usize) -> f64 {
    // The probability that exactly `k` fall there, from that of `k - 1`.
    let (mut exactly, mut sum) = (0.5f64.powf(rounds as f64), 0.0);
    for k in 0..=rounds {
        if k >= on_one_side {
            sum += exactly;
        }
        exactly *= (rounds - k) as f64 / (k + 1) as f64;
    }
    (2.0 * sum).min(1.0)
}

/// What may be said of a cost beside the baseline's, from the ratios of each round.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// In so many of so many rounds.
    Cheaper(Spread, usize, usize),
    Dearer(Spread, usize, usize),
    /// Cheaper in so many of so many rounds, which may be chance.
    Open(Spread, usize, usize),
    /// There are too few rounds, so many.
    Few(usize),
}

impl Verdict {
    pub(super) fn of(ratios: &[f64]) -> Self {
        let rounds = ratios.len();
        let Some(spread) = Spread::of(ratios.iter().copied()).filter(|_| rounds >= VERDICT_ROUNDS_MIN) else {
            return Self::Few(rounds);
        };
        let count = |is: fn(&&f64) -> bool| ratios.iter().filter(is).count();
        let (cheaper, dearer) = (count(|ratio| **ratio < 1.0), count(|ratio| **ratio > 1.0));
        if chance(cheaper, rounds) <= CHANCE_MAX {
            Self::Cheaper(spread, cheaper, rounds)
        } else if chance(dearer, rounds) <= CHANCE_MAX {
            Self::Dearer(spread, dearer, rounds)
        } else {
            Self::Open(spread, cheaper, rounds)
        }
    }

    /// The verdict as a sentence without its subject.
    pub(super) fn say(&self, baseline: &str) -> String {
        let in_rounds = |count: &usize, rounds: &usize| match count == rounds {
            true => String::new(),
            false => format!(" in {count} of {rounds} rounds"),
        };
        match self {
            Self::Cheaper(spread, count, rounds) => {
                format!("cheaper than {baseline}{}: {}", in_rounds(count, rounds), spread.say(2))
            }
            Self::Dearer(spread, count, rounds) => {
                format!("dearer than {baseline}{}: {}", in_rounds(count, rounds), spread.say(2))
            }
            Self::Open(spread, cheaper, rounds) => format!(
                "no verdict beside {baseline}: cheaper in {cheaper} of {rounds} rounds, which may be chance: {}",
                spread.say(2)
            ),
            Self::Few(rounds) => {
                format!("no verdict beside {baseline}: {VERDICT_ROUNDS_MIN} rounds are needed, not {rounds}")
            }
        }
    }
}

/// A whole number with a comma for the thousands.
pub(super) fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64, low: f64, high: f64) -> Spread {
        Spread { median, low, high }
    }

    #[test]
    fn medians_of_odd_even_and_none() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(spread(2.0, 1.0, 3.0)));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 10.0]), Some(spread(3.0, 1.0, 10.0)));
        assert_eq!(Spread::of([7.0]), Some(spread(7.0, 7.0, 7.0)));
        assert_eq!(Spread::of([]), None);
        assert_eq!(spread(11.436, 10.79, 13.664).say(2), "11.44 (10.79–13.66)");
        assert_eq!(spread(7.0, 7.0, 7.0).say(0), "7 (7–7)");
    }

    #[test]
    fn verdicts_only_where_the_ranges_allow_them() {
        let cheaper = [0.88, 0.91, 0.85, 0.9, 0.86];
        assert_eq!(Verdict::of(&cheaper).say("nginx"), "cheaper than nginx: 0.88 (0.85–0.91)");
        let dearer = [1.2, 1.01, 1.3, 1.1, 1.15];
        assert_eq!(Verdict::of(&dearer).say("nginx"), "dearer than nginx: 1.15 (1.01–1.30)");
        let open = [0.88, 0.91, 1.0, 0.9, 0.86];
        assert_eq!(
            Verdict::of(&open).say("nginx"),
            "no verdict beside nginx: cheaper in 4 of 5 rounds, which may be chance: 0.90 (0.86–1.00)"
        );
        // One round of nine that somebody disturbed hides no difference; two of them may be chance.
        let disturbed = [0.9, 0.9, 1.3, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9];
        assert_eq!(
            Verdict::of(&disturbed).say("nginx"),
            "cheaper than nginx in 8 of 9 rounds: 0.90 (0.90–1.30)"
        );
        let twice = [0.9, 0.9, 1.3, 1.3, 0.9, 0.9, 0.9, 0.9, 0.9];
        assert!(matches!(Verdict::of(&twice), Verdict::Open(_, 7, 9)));
        assert_eq!(Verdict::of(&cheaper[..4]), Verdict::Few(4));
        assert_eq!(Verdict::of(&[]).say("h2o"), "no verdict beside h2o: 5 rounds are needed, not 0");
    }

    #[test]
    fn chance_is_that_of_a_coin() {
        // Of the tables of the sign test.
        for (on_one_side, rounds, expected) in
            [(5, 5, 0.0625), (4, 5, 0.375), (8, 9, 0.0390625), (10, 12, 0.038574), (3, 5, 1.0), (0, 7, 1.0)]
        {
            let is = chance(on_one_side, rounds);
            assert!((is - expected).abs() < 1e-6, "{on_one_side} of {rounds}: {is}");
        }
        // The hundreds and more.
        assert!((chance(560, 1000) - 0.000_166).abs() < 2e-5, "{}", chance(560, 1000));
    }

    #[test]
    fn thousands_have_commas() {
        let said = [0.0, 999.4, 1000.0, 81_234.5, 1_234_567.0].map(thousands);
        assert_eq!(said, ["0", "999", "1,000", "81,234", "1,234,567"]);
    }
}
