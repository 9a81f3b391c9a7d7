//! The lane's event loop and what runs on it.
//!
//! Everything above sees [`Connection`], [`Listener`], [`spawn`] and [`Alarm`], so that the loop below can be
//! replaced without anybody noticing. Two things are below: the [`system`], whose calls are made where they are needed, and
//! a loop that [waits](Watch) until a call is worth making again. With the feature `simulate` there is another of both.

pub(crate) mod alarm;
pub(crate) mod bell;
pub(crate) mod buffer;
pub(crate) mod clock;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod driver;
pub(crate) mod listener;
pub(crate) mod pipe;
pub(crate) mod runtime;

#[cfg(feature = "simulate")]
pub(crate) mod system;
#[cfg(not(feature = "simulate"))]
#[path = "native.rs"]
pub(crate) mod system;
pub(crate) mod threads;
pub(crate) mod watch;

pub(crate) use alarm::Alarm;
pub(crate) use buffer::{Buffer, Buffers, ROOM_BYTES};
pub(crate) use connect::connect;
pub(crate) use connection::{Arrival, Connection, Received, Spares, Wait};
pub(crate) use listener::{Listener, Socket};
pub(crate) use pipe::{Pipe, Pipes};
pub(crate) use runtime::Direction;
pub(crate) use system::{Fd, HashState, Map};
pub(crate) use watch::{Watch, spawn};

use std::time::Duration;

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
