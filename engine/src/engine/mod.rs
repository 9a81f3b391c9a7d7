//! An engine: how it is built, run, changed and ended.

mod alone;
mod builder;
mod error;
mod handle;
mod listen;
mod thread;
mod watch;

pub use builder::{Builder, Engine, FnSink, Pin, available_cpus};
pub use error::{ReloadError, StartError};
pub use handle::Handle;

use crate::io::driver::{self, Driver, Running};
use std::{io, thread as threads};

/// The driver that a lane gets on this machine: by making a ring and dropping it, on a thread of its own.
pub fn probe_driver(choice: Driver) -> io::Result<Running> {
    let probe = threads::spawn(move || driver::build(choice).map(|built| built.1));
    probe.join().unwrap_or_else(|_| Err(io::Error::other("the probe panicked")))
}
