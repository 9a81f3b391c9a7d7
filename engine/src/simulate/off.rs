//! Without the feature `simulate` there is no world but the real one: what would be of another has no values, and all
//! that asks for it is compiled away.

pub(crate) use crate::bug::Bug;
use crate::io::Direction;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::{
    future::Future,
    io,
    os::fd::{AsRawFd, RawFd},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

/// A simulated world.
pub(crate) enum World {}

/// A simulated descriptor.
pub(crate) enum Descriptor {}

/// Whether this mistake is made: never.
pub(crate) const fn has(_bug: Bug) -> bool {
    false
}

/// The simulated world of this thread.
pub(crate) const fn world() -> Option<World> {
    None
}

impl World {
    pub(crate) fn wall(&self) -> SystemTime {
        match *self {}
    }

    pub(crate) fn spawn_here(&self, _task: impl Future<Output = ()> + 'static) {
        match *self {}
    }

    pub(crate) fn begin_lane(
        &self,
        _lane: usize,
        _main: impl Future<Output = ()> + 'static,
        _panicked: impl Fn(String) + 'static,
    ) {
        match *self {}
    }

    pub(crate) fn receive<T>(
        &self,
        _from: &Receiver<T>,
        _wait: Option<Duration>,
    ) -> Result<T, RecvTimeoutError> {
        match *self {}
    }

    pub(crate) fn attend<T>(
        &self,
        _from: Receiver<T>,
        _wait: Duration,
        _turn: impl FnMut(Option<T>) -> bool + 'static,
    ) {
        match *self {}
    }

    pub(crate) fn serve<T>(&self, _from: Receiver<T>, _turn: impl FnMut(T) + 'static) {
        match *self {}
    }
}

/// A lane is in memory.
pub(crate) struct Alive(());

impl Alive {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        match *self {}
    }
}

/// A simulated descriptor that a lane can wait for.
pub(crate) enum Watched {}

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        match *self {}
    }
}

impl Watched {
    pub(crate) const fn poll_once(&self, _direction: Direction, _cx: &Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(crate) const fn poll(&self, _direction: Direction, _cx: &Context<'_>) -> Poll<()> {
        match *self {}
    }

    pub(crate) const fn exhausted(&self, _direction: Direction) {
        match *self {}
    }
}
