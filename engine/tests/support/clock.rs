//! The only place where these tests read a clock. Nothing here waits for a time to pass, only for something to
//! happen before it has.

use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The time, monotonic.
#[expect(clippy::disallowed_methods, reason = "a test is no lane; all others here ask this function")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Asks until there is an answer; `None` if there was none in time.
pub(crate) fn poll<T>(time: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = now() + time;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if now() >= deadline {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Waits for something that must come true.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let came = poll(PATIENCE, || holds().then_some(()));
    assert!(came.is_some(), "within {PATIENCE:?}: {what}");
}

/// Keeps the thread for so long: what a handler should not do to its lane.
pub(crate) fn compute(time: Duration) {
    let began = now();
    while now().duration_since(began) < time {
        std::hint::spin_loop();
    }
}

/// How long `act` takes.
pub(crate) fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let began = now();
    let result = act();
    (result, now().duration_since(began))
}

/// That something took at least `least`, and not much more. A deadline fires up to 50 ms late, and a test's machine
/// may be busy.
#[track_caller]
pub(crate) fn on_time(took: Duration, least: Duration) {
    const LATE_MAX: Duration = Duration::from_millis(1500);
    assert!(took >= least, "{took:?} is before {least:?}");
    assert!(took <= least + LATE_MAX, "{took:?} is long after {least:?}");
}
