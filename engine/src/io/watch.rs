//! Waiting for a descriptor, which is all that the loop is asked for: what can be done at once is done by a call of the
//! system.

use super::{Fd, system};
use crate::{simulate, sys};
use monoio::net::TcpStream;
use std::{
    cell::Cell,
    future::Future,
    io,
    os::fd::{AsRawFd, IntoRawFd, RawFd},
};

/// A descriptor and the loop's view of it. Dropping it closes the descriptor.
pub(crate) enum Watch {
    /// Of the system. The runtime has types for TCP and for unix sockets, and none for a listener, an eventfd or a timerfd
    /// that works on both drivers; asked for readiness alone, one type serves for all.
    System(Watched),
    /// Of a simulated world.
    Simulated(simulate::Descriptor),
}

impl Watch {
    /// Takes over a non-blocking descriptor.
    pub(crate) fn new(fd: Fd) -> io::Result<Self> {
        Ok(match system::of_system(fd) {
            Ok(fd) => Self::System(Watched {
                stream: Some(TcpStream::from_std(fd.into())?),
                has_given_up: Cell::new(false),
            }),
            Err(fd) => Self::Simulated(fd),
        })
    }

    pub(crate) fn fd(&self) -> RawFd {
        match self {
            Self::System(watched) => watched.stream().as_raw_fd(),
            Self::Simulated(fd) => fd.as_raw_fd(),
        }
    }

    /// Waits until there is something to receive; holds no buffer, and can be dropped.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::System(watched) => {
                let waiting = Waiting(&watched.has_given_up);
                let result = watched.stream().readable(false).await;
                std::mem::forget(waiting);
                result
            }
            Self::Simulated(fd) => fd.readable().await,
        }
    }

    /// Waits until there is room to send; holds no buffer, and can be dropped.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::System(watched) => {
                let waiting = Waiting(&watched.has_given_up);
                let result = watched.stream().writable(false).await;
                std::mem::forget(waiting);
                result
            }
            Self::Simulated(fd) => fd.writable().await,
        }
    }
}

/// A descriptor of the system. It is closed by a call of the system, unless the loop may still be waiting for it.
///
/// Left to itself, the runtime has the ring close it: for one operation it submits two, because it cancels those that
/// nobody waits for, and takes a box to see to their end.
pub(crate) struct Watched {
    /// Until it is dropped.
    stream: Option<TcpStream>,
    /// A wait was given up, and the loop may not have taken note of it yet.
    has_given_up: Cell<bool>,
}

impl Watched {
    fn stream(&self) -> &TcpStream {
        self.stream.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take()
            && !self.has_given_up.get()
        {
            // No operation holds on to it, so it can be taken out of the runtime.
            drop(sys::own(stream.into_raw_fd()));
        }
    }
}

/// A wait that notes that it was given up. (As a function around a future it would be cheaper to write, and hold the future
/// twice: an idle connection is little more than this.)
struct Waiting<'a>(&'a Cell<bool>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Runs `task` on this thread until it ends or the lane does.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    if let Some(world) = simulate::world() {
        return world.spawn_here(task);
    }
    drop(monoio::spawn(task));
}
