//! Accepting: readiness from the driver, then accept4 by system call.
//!
//! The ring's own accept sets no close-on-exec (a successor would inherit every client) and leaks the descriptor
//! when it is dropped; this way no accept is ever in flight, and none can be lost when a lane stops watching.

use super::stream::Stream;
use crate::sys;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
};

/// A lane's view of a listening socket. The descriptor belongs to the process: dropping this closes a duplicate.
pub(crate) struct Listener {
    socket: OwnedFd,
    watch: monoio::net::TcpListener,
}

impl Listener {
    pub(crate) fn new(socket: &TcpListener) -> io::Result<Self> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        let watch = monoio::net::TcpListener::from_std(TcpListener::from(socket.try_clone()?))?;
        Ok(Self { socket, watch })
    }

    /// Waits until somebody connects; can be dropped.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        self.watch.readable(false).await
    }

    /// Accepts one of those that wait; `WouldBlock` when none does.
    pub(crate) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (fd, peer) = sys::accept(sys::raw(&self.socket))?;
        let peer = peer.ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok((Stream::from_fd(fd)?, peer))
    }
}
