//! The clocks that a measurement reads.

use rustix::time::{ClockId, clock_gettime};
use std::{fs, time::Duration};

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Monotonic time, from some moment on.
pub(crate) fn monotonic() -> Duration {
    read(ClockId::Monotonic)
}

/// Time that the calling thread has run on a CPU.
pub(crate) fn thread_cpu() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// Time that all threads of this process have run on a CPU: in user code and in the kernel. The sum is exact; it is
/// divided by the process's account of ticks.
pub(crate) fn process_cpu() -> (Duration, Duration) {
    let all = read(ClockId::ProcessCPUTime);
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th words behind it.
    let words = stat.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<f64> = words.split_ascii_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    let user = match ticks[..] {
        [user, system] if user + system > 0.0 => all.mul_f64(user / (user + system)),
        _ => all,
    };
    (user, all.saturating_sub(user))
}

/// Lets some time pass on a thread that has nothing else to do.
#[expect(clippy::disallowed_methods, reason = "no lane runs on the thread that waits for lanes")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
