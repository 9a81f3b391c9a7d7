//! Simulated descriptors, beside the system's.

use super::kernel::{self, kernel};
use std::{
    future::poll_fn,
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

    /// Waits until there is something to receive, or to say.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_ready(cx, true)).await;
        Ok(())
    }

    /// Waits until there is room to send.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_ready(cx, false)).await;
        Ok(())
    }

    pub(super) fn poll_ready(&self, cx: &mut Context<'_>, to_read: bool) -> Poll<()> {
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
