//! Simulated descriptors, beside the system's.

use super::kernel::{self, kernel};
use crate::io::Direction;
use std::{
    cell::Cell,
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    task::{Context, Poll},
};

/// A descriptor of the system or of the simulated world.
#[derive(Debug)]
pub(crate) enum Fd {
    System(OwnedFd),
    Simulated(Descriptor),
}

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::System(fd) => fd.as_raw_fd(),
            Self::Simulated(fd) => fd.as_raw_fd(),
        }
    }
}

/// A simulated descriptor. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Descriptor(RawFd);

impl Descriptor {
    pub(super) const fn new(fd: RawFd) -> Self {
        Self(fd)
    }

    pub(super) fn poll_ready(&self, to_read: bool, cx: &Context<'_>) -> Poll<()> {
        kernel::poll_ready(self.0, to_read, cx)
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // What outlives its world is gone already.
        if let Some(kernel) = kernel(self.0) {
            kernel.close(self.0);
        }
    }
}

/// What a lane knows of a socket in a direction: see [`Watch`](crate::io::Watch).
#[derive(Clone, Copy, Default)]
enum Known {
    /// Nothing: the system is asked.
    #[default]
    Nothing,
    /// There may be more to do.
    More,
    /// There was nothing more to do when so much had come about.
    Exhausted(Option<u64>),
}

/// A descriptor that a lane can wait for.
pub(crate) struct Watched {
    fd: Descriptor,
    known: [Cell<Known>; 2],
}

impl Watched {
    pub(crate) fn new(fd: Descriptor) -> Self {
        Self { fd, known: Default::default() }
    }

    pub(crate) fn poll_once(&self, direction: Direction, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.fd.poll_ready(direction == Direction::In, cx).map(Ok)
    }

    /// As the real loop, it says once that there is something new, and is asked no more until it has said so.
    pub(crate) fn poll(&self, direction: Direction, cx: &Context<'_>) -> Poll<()> {
        let (known, to_read) = (&self.known[direction as usize], direction == Direction::In);
        let is_ready = match known.get() {
            Known::More => true,
            Known::Nothing => self.fd.poll_ready(to_read, cx).is_ready(),
            Known::Exhausted(before) => {
                let news = kernel::news(self.fd.0, to_read);
                let is_new = news.is_none() || news != before;
                if !is_new {
                    kernel::await_news(self.fd.0, to_read, cx);
                }
                is_new
            }
        };
        if is_ready {
            known.set(Known::More);
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub(crate) fn exhausted(&self, direction: Direction) {
        let news = kernel::news(self.fd.0, direction == Direction::In);
        self.known[direction as usize].set(Known::Exhausted(news));
    }
}

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
