//! How many retries there may be among all requests of a cluster, so that an origin that fails is not asked much more
//! often because it fails.

use std::time::Duration;

/// Hundredths of a retry.
const RETRY: u32 = 100;
/// What can be saved up: a few at once are no storm.
const SAVED_MAX: u32 = 10 * RETRY;
/// A hundredth is given each time that so long has passed, whatever there is to save from, so that a cluster that is
/// hardly asked has one retry a second.
const EACH: Duration = Duration::from_millis(10);

/// A budget for retries: each request adds a part of one to it, and each retry takes one away. Over many requests there are
/// then no more retries than that part, one per second, and ten.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    /// In hundredths of a retry.
    saved: u32,
    /// Up to when time has given its part.
    given: Duration,
}

impl RetryBudget {
    /// With all that can be saved up.
    pub const fn new(now: Duration) -> Self {
        Self { saved: SAVED_MAX, given: now }
    }

    /// A request is made, of which `percent` per cent may be retried.
    pub fn request(&mut self, percent: u16) {
        self.saved = self.saved.saturating_add(percent.into()).min(SAVED_MAX);
    }

    /// Whether there is a retry left.
    pub fn has_retry(&mut self, now: Duration) -> bool {
        let given = now.saturating_sub(self.given).as_millis() / EACH.as_millis();
        // More than can be saved up is as good as all of it.
        let given = u32::try_from(given).unwrap_or(u32::MAX).min(SAVED_MAX);
        self.saved = self.saved.saturating_add(given).min(SAVED_MAX);
        self.given = if given == SAVED_MAX { now } else { self.given + EACH * given };
        self.saved >= RETRY
    }

    /// Takes a retry, if there is one.
    #[must_use]
    pub fn try_retry(&mut self, now: Duration) -> bool {
        let has = self.has_retry(now);
        if has {
            self.saved -= RETRY;
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_16_of_many_requests_that_all_fail_a_fifth_is_retried() {
        let mut budget = RetryBudget::new(Duration::ZERO);
        let mut retries = 0;
        for request in 0..10_000_u32 {
            budget.request(20);
            // A thousand in a second.
            retries += u32::from(budget.try_retry(Duration::from_millis(request.into())));
        }
        assert!((2000..=2000 + 10 + 10).contains(&retries), "{retries}");
    }

    #[test]
    fn whoever_is_hardly_asked_has_one_a_second() {
        let mut budget = RetryBudget::new(Duration::from_secs(5));
        let mut at = |millis: u64| budget.try_retry(Duration::from_millis(5000 + millis));
        assert!((0..10).all(|_| at(0)) && !at(0), "what was saved up");
        assert!(!at(999) && at(1000) && !at(1000) && !at(1999) && at(2000));
        let long = 1000 * 3600 * 24 * 365 * 100;
        assert!((0..10).all(|_| at(long)) && !at(long), "no more than can be saved up");
        assert!(!at(0), "time that runs backwards gives nothing");
    }
}
