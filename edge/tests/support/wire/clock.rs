//! The only place where these tests read a clock. Nothing here waits for a time to pass, only for something to
//! happen before it has.

use std::time::{Duration, Instant};

/// How long anything that must happen may take, unless a test says otherwise. Generous: a busy machine is no fault.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The time, monotonic.
#[expect(clippy::disallowed_methods, reason = "a test is no lane; all others here ask this function")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A moment by which something must have happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self(now() + time)
    }

    /// The time that is left, if there is any.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(now()).filter(|left| !left.is_zero())
    }
}

/// Asks until there is an answer; `None` if there was none in time.
pub(crate) fn poll<T>(time: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline::after(time);
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        deadline.left()?;
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
