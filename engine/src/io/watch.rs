//! Waiting for a descriptor, which is all that the loop is asked for: what can be done at once is done by a call of the
//! system.

use super::{
    Fd,
    runtime::{self, Direction, Watched},
    system,
};
use crate::simulate;
use std::{
    future::{Future, poll_fn},
    io,
    os::fd::{AsRawFd, RawFd},
    task::{Context, Poll},
};

/// A descriptor and the loop's view of it. Dropping it closes the descriptor; a wait may be given up at any time.
///
/// There are two ways of waiting, and nobody mixes them. [`readable`](Self::readable) and [`writable`](Self::writable) ask
/// the system each time. [`poll`](Self::poll) is for connections: it believes that there is more to do until it is
/// [told](Self::exhausted) that there is not, and costs nothing on a connection that is warm.
pub(crate) enum Watch {
    /// Of the system.
    System(Watched),
    /// Of a simulated world.
    #[cfg_attr(not(feature = "simulate"), expect(dead_code, reason = "there is none"))]
    Simulated(simulate::Watched),
}

impl Watch {
    /// Takes over a non-blocking descriptor.
    pub(crate) fn new(fd: Fd) -> Self {
        match system::of_system(fd) {
            Ok(fd) => Self::System(Watched::new(fd)),
            Err(fd) => Self::simulated(fd),
        }
    }

    #[cfg(feature = "simulate")]
    fn simulated(fd: simulate::Descriptor) -> Self {
        Self::Simulated(simulate::Watched::new(fd))
    }

    #[cfg(not(feature = "simulate"))]
    fn simulated(fd: simulate::Descriptor) -> Self {
        match fd {}
    }

    pub(crate) fn fd(&self) -> RawFd {
        match self {
            Self::System(watched) => watched.as_raw_fd(),
            Self::Simulated(watched) => watched.as_raw_fd(),
        }
    }

    /// Waits until there is something to receive, to accept, or to be told.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_once(Direction::In, cx)).await
    }

    /// Waits until there is room to send, or a connection.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_once(Direction::Out, cx)).await
    }

    fn poll_once(&self, direction: Direction, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::System(watched) => watched.poll_once(direction, cx),
            Self::Simulated(watched) => watched.poll_once(direction, cx),
        }
    }

    /// Ready when there may be something to do in a direction. It fails if the system does not let anybody wait for it.
    pub(crate) fn poll(&self, direction: Direction, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::System(watched) => watched.poll(direction, cx),
            Self::Simulated(watched) => watched.poll(direction, cx).map(Ok),
        }
    }

    /// A call has found that there is nothing more to do in a direction for now.
    pub(crate) fn exhausted(&self, direction: Direction) {
        match self {
            Self::System(watched) => watched.exhausted(direction),
            Self::Simulated(watched) => watched.exhausted(direction),
        }
    }

    /// Has the loop take note of what comes, and wake nobody.
    pub(crate) fn listen(&self) {
        // In a simulated world, whoever looks finds it.
        if let Self::System(watched) = self {
            watched.listen();
        }
    }
}

/// Runs `task` on this thread until it ends or the lane does.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    match simulate::world() {
        Some(world) => world.spawn_here(task),
        None => runtime::spawn(task),
    }
}
