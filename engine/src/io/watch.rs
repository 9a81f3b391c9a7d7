//! Waiting for a descriptor, which is all that the loop is asked for: what can be done at once is done by a call of the
//! system.

use super::{Fd, system};
use crate::simulate;
use monoio::net::TcpStream;
use std::{
    future::Future,
    io,
    os::fd::{AsRawFd, RawFd},
};

/// A descriptor and the loop's view of it. Dropping it closes the descriptor.
pub(crate) enum Watch {
    /// Of the system. The runtime has types for TCP and for unix sockets, and none for a listener, an eventfd or a timerfd
    /// that works on both drivers; asked for readiness alone, one type serves for all.
    System(TcpStream),
    /// Of a simulated world.
    Simulated(simulate::Descriptor),
}

impl Watch {
    /// Takes over a non-blocking descriptor.
    pub(crate) fn new(fd: Fd) -> io::Result<Self> {
        Ok(match system::of_system(fd) {
            Ok(fd) => Self::System(TcpStream::from_std(fd.into())?),
            Err(fd) => Self::Simulated(fd),
        })
    }

    pub(crate) fn fd(&self) -> RawFd {
        match self {
            Self::System(stream) => stream.as_raw_fd(),
            Self::Simulated(fd) => fd.as_raw_fd(),
        }
    }

    /// Waits until there is something to receive; holds no buffer, and can be dropped.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.readable(false).await,
            Self::Simulated(fd) => fd.readable().await,
        }
    }

    /// Waits until there is room to send; holds no buffer, and can be dropped.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.writable(false).await,
            Self::Simulated(fd) => fd.writable().await,
        }
    }
}

/// Runs `task` on this thread until it ends or the lane does.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    if let Some(world) = simulate::world() {
        return world.spawn_here(task);
    }
    drop(monoio::spawn(task));
}
