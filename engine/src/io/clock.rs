//! The lane's clock: the only place of the data plane that asks for the time.

use super::system;
use crate::simulate;
use std::time::{Duration, SystemTime};

/// Time since the lane began, and the wall's time with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// By the kernel's monotonic clock, in nanoseconds.
    began: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { began: system::monotonic() }
    }

    /// How much later it began than another; zero if it did not.
    pub(crate) fn later_than(&self, other: &Self) -> Duration {
        Duration::from_nanos(self.began.saturating_sub(other.began))
    }

    /// Monotonic time since the lane began.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(system::monotonic().saturating_sub(self.began))
    }

    /// The wall's time, which may jump: for logs and `Date`, never for deadlines.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn wall(&self) -> SystemTime {
        simulate::world().map_or_else(SystemTime::now, |world| world.wall())
    }
}
