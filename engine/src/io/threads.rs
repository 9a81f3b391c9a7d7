//! Threads beside the lanes, and waiting on them: for whoever starts, changes and watches lanes. A lane does neither.

use crate::simulate;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::{io, thread, time::Duration};

/// Waits for a message, so long at most if a time is given.
pub(crate) fn receive<T>(from: &Receiver<T>, wait: Option<Duration>) -> Result<T, RecvTimeoutError> {
    if let Some(world) = simulate::world() {
        return world.receive(from, wait);
    }
    match wait {
        Some(wait) => from.recv_timeout(wait),
        None => from.recv().map_err(RecvTimeoutError::from),
    }
}

/// Runs `work` on a thread of its own.
pub(crate) fn begin(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name).spawn(work).map(drop)
}

/// Does what comes, one after the other, until nothing can come any more, on a thread of its own.
pub(crate) fn serve<T: Send + 'static>(
    name: &str,
    from: Receiver<T>,
    mut turn: impl FnMut(T) + Send + 'static,
) -> io::Result<()> {
    if let Some(world) = simulate::world() {
        world.serve(from, turn);
        return Ok(());
    }
    begin(name.to_owned(), move || from.iter().for_each(&mut turn))
}

/// Does `turn` over and over, until it says that it is done, on a thread of its own. Each time it is given a message, or
/// none if none came within `wait`.
pub(crate) fn attend<T: Send + 'static>(
    name: &str,
    from: Receiver<T>,
    wait: Duration,
    mut turn: impl FnMut(Option<T>) -> bool + Send + 'static,
) -> io::Result<()> {
    if let Some(world) = simulate::world() {
        world.attend(from, wait, turn);
        return Ok(());
    }
    begin(name.to_owned(), move || while turn(from.recv_timeout(wait).ok()) {})
}
