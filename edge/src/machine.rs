//! What this machine grants the process.

use std::{num::NonZero, thread};

/// How many CPUs the process may use, by its affinity and by its control group's quota, at least one.
pub(crate) fn cpus() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
