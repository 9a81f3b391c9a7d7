//! The lane's event loop and what runs on it: the only module that names a runtime.
//!
//! Everything above sees [`Connection`], [`Listener`], [`spawn`] and [`Alarm`], so that the loop below can be
//! replaced (by a ring of our own, or by a simulated one) without anybody noticing.

pub(crate) mod alarm;
pub(crate) mod bell;
pub(crate) mod buffer;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod driver;
pub(crate) mod listener;
pub(crate) mod pipe;
pub(crate) mod stream;

pub(crate) use alarm::Alarm;
pub(crate) use buffer::{Buffer, Buffers, ROOM_BYTES};
pub(crate) use connection::{Arrival, Connection, Pumps, Received, Wait};
pub(crate) use listener::{Listener, Socket};
pub(crate) use pipe::{Pipe, Pipes};
pub(crate) use stream::Stream;

use std::{future::Future, time::Duration};

/// Runs `task` on this thread until it ends or the lane does.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(monoio::spawn(task));
}

/// Waits at least so long where there is no lane, or none any more, whose [`Alarm`] could be set.
#[expect(
    clippy::disallowed_methods,
    reason = "without a descriptor nothing else is left, and nothing else is done"
)]
pub(crate) async fn nap(duration: Duration) {
    match Alarm::new() {
        Ok(alarm) => alarm.once(duration).await,
        Err(_) => std::thread::sleep(duration.min(Duration::from_millis(1))),
    }
}
