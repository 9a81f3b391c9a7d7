//! Medians, ranges, ratios, and when a difference may be called one.

use serde::Serialize;

/// Fewer rounds give no verdict. Were two subjects alike, all of five ratios would fall on one side of 1 once in 16
/// times (2 × ½⁵).
pub(super) const VERDICT_ROUNDS_MIN: usize = 5;

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

/// What may be said of a cost beside the baseline's, from the ratios of each round.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Cheaper(Spread),
    Dearer(Spread),
    /// The range of the ratios holds 1.
    Open(Spread),
    /// There are too few rounds, so many.
    Few(usize),
}

impl Verdict {
    pub(super) fn of(ratios: &[f64]) -> Self {
        match Spread::of(ratios.iter().copied()) {
            Some(spread) if ratios.len() >= VERDICT_ROUNDS_MIN => {
                if spread.high < 1.0 {
                    Self::Cheaper(spread)
                } else if spread.low > 1.0 {
                    Self::Dearer(spread)
                } else {
                    Self::Open(spread)
                }
            }
            _ => Self::Few(ratios.len()),
        }
    }

    /// The verdict as a sentence without its subject.
    pub(super) fn say(&self, baseline: &str) -> String {
        match self {
            Self::Cheaper(spread) => format!("cheaper than {baseline}: {}", spread.say(2)),
            Self::Dearer(spread) => format!("dearer than {baseline}: {}", spread.say(2)),
            Self::Open(spread) => {
                format!("no verdict beside {baseline}: the range holds 1: {}", spread.say(2))
            }
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
            "no verdict beside nginx: the range holds 1: 0.90 (0.86–1.00)"
        );
        assert_eq!(Verdict::of(&cheaper[..4]), Verdict::Few(4));
        assert_eq!(Verdict::of(&[]).say("h2o"), "no verdict beside h2o: 5 rounds are needed, not 0");
    }

    #[test]
    fn thousands_have_commas() {
        let said = [0.0, 999.4, 1000.0, 81_234.5, 1_234_567.0].map(thousands);
        assert_eq!(said, ["0", "999", "1,000", "81,234", "1,234,567"]);
    }
}
