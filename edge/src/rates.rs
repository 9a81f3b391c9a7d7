//! Rate limits as they are written in the configuration file.

use crate::{balance::By, units};
use corelane_engine::{RateLimit, balancer::count::Limit};
use std::{collections::HashMap, fmt, str::FromStr, time::Duration};

/// So many requests per time, for each client or whatever they have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Rate {
    pub(crate) per: Per,
    /// How many may come at once after a rest.
    pub(crate) burst: u32,
    pub(crate) by: By,
    /// Clients, or whatever, that are told apart.
    pub(crate) keys_max: u32,
}

/// `10/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Per {
    pub(crate) count: u32,
    time: Duration,
}

impl FromStr for Per {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected so many per time, such as \"10/s\", \"100/m\" or \"1/10s\"";
        let (count, time) = text.split_once('/').ok_or(EXPECTED)?;
        let count = count.parse().map_err(|_| EXPECTED.to_owned())?;
        let time = match time.starts_with(|c: char| c.is_ascii_digit()) {
            true => units::positive_duration(time)?,
            false => units::positive_duration(&format!("1{time}"))?,
        };
        let per = Self { count, time };
        match per.limit(1) {
            Some(_) => Ok(per),
            None => Err("expected one at least, and no more than one in a nanosecond".to_owned()),
        }
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?}", self.count, self.time)
    }
}

impl Per {
    fn limit(self, burst: u32) -> Option<Limit> {
        Limit::new(self.count, self.time, burst).ok()
    }
}

impl Rate {
    /// What lanes share.
    pub(crate) fn recipe(&self) -> Option<RateLimit> {
        Some(RateLimit::new(self.per.limit(self.burst)?, self.keys_max as usize))
    }

    /// Whether there can be such a limit.
    pub(crate) fn is_possible(&self) -> bool {
        self.per.limit(self.burst).is_some()
    }
}

/// A rate, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RateRule {
    /// The site or the route that says it, by what it is for: nobody else's.
    pub(crate) owner: String,
    pub(crate) rate: Rate,
}

/// The counts of a process. A reload does not begin them anew where nothing was said about them.
#[derive(Debug, Default)]
pub(crate) struct Limits(HashMap<RateRule, RateLimit>);

impl Limits {
    /// Those of these rules, with the counts that there are.
    #[must_use]
    pub(crate) fn of_rules<'r>(&self, rules: impl Iterator<Item = &'r RateRule>) -> Self {
        let known =
            |rule: &RateRule| Some((rule.clone(), self.0.get(rule).cloned().or_else(|| rule.rate.recipe())?));
        Self(rules.filter_map(known).collect())
    }

    pub(crate) fn of(&self, rule: &RateRule) -> Option<&RateLimit> {
        self.0.get(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_time() {
        let per = |text: &str| text.parse::<Per>();
        for (text, count, millis) in [
            ("10/s", 10, 1000),
            ("100/m", 100, 60_000),
            ("1/h", 1, 3_600_000),
            ("1/10s", 1, 10_000),
            ("3/500ms", 3, 500),
        ] {
            assert_eq!(per(text), Ok(Per { count, time: Duration::from_millis(millis) }), "{text}");
        }
        for wrong in
            ["", "10", "/s", "10/", "0/s", "-1/s", "1.5/s", "10/d", "10/0s", "4294967295/1ms", "10/s/s"]
        {
            assert!(per(wrong).is_err(), "{wrong}");
        }
        let rate = |burst| Rate { per: per("1/h").unwrap(), burst, by: By::Client, keys_max: 1 };
        assert!(rate(100).is_possible() && !rate(u32::MAX).is_possible());
    }
}
