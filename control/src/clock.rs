//! The only place of this crate that reads the clock. None of it is on the path of a request.

use std::time::{Instant, SystemTime};

/// Monotonic time.
#[expect(clippy::disallowed_methods, reason = "control has no lane to take the time from")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "control has no lane to take the time from")]
pub(crate) fn time_of_day() -> SystemTime {
    SystemTime::now()
}
