//! The lane's clock: the only place of the data plane that asks for the time.

use std::time::{Duration, Instant, SystemTime};

/// Time since the lane began, and the wall's time with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// How much later it began than another; zero if it did not.
    pub(crate) fn later_than(&self, other: &Self) -> Duration {
        self.began.saturating_duration_since(other.began)
    }

    /// Monotonic time since the lane began.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.began)
    }

    /// The wall's time, which may jump: for logs and `Date`, never for deadlines.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}
