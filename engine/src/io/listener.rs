//! Accepting: readiness from the driver, then accept4 by system call.
//!
//! The ring's own accept sets no close-on-exec (a successor would inherit every client) and leaks the descriptor
//! when it is dropped; this way no accept is ever in flight, and none can be lost when a lane stops watching.

use super::stream::Stream;
use crate::{
    address::Address,
    sys,
    unix::{SocketFile, listen_unix},
};
use std::{
    io,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
};

/// Who may connect to a unix socket: the owner and the group.
const SOCKET_MODE: u32 = 0o660;

/// A listening socket of the process, which lanes borrow. The file of a unix socket goes with it.
pub(crate) struct Socket {
    fd: OwnedFd,
    address: Address,
    _file: Option<SocketFile>,
}

impl Socket {
    /// Listens on an address. `first` says whether nobody may be there before; other lanes come beside.
    pub(crate) fn listen(address: &Address, first: bool) -> io::Result<Self> {
        match address {
            Address::Ip(ip) => {
                let socket = sys::listen(*ip, first)?;
                let address = Address::Ip(socket.local_addr()?);
                Ok(Self { fd: socket.into(), address, _file: None })
            }
            Address::Unix(path) => {
                let (socket, file) = listen_unix(path, SOCKET_MODE, sys::BACKLOG)?;
                Ok(Self { fd: socket.into(), address: address.clone(), _file: Some(file) })
            }
            Address::Unnamed => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Where it listens, with the port that the system chose if it was to.
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }
}

/// A lane's view of a listening socket. The descriptor belongs to the process: dropping this closes a duplicate.
pub(crate) struct Listener {
    socket: OwnedFd,
    /// It is asked for readiness only, so that of unix sockets goes as well.
    watch: monoio::net::TcpListener,
}

impl Listener {
    pub(crate) fn new(socket: &Socket) -> io::Result<Self> {
        let socket = socket.fd.as_fd().try_clone_to_owned()?;
        let watch = monoio::net::TcpListener::from_std(TcpListener::from(socket.try_clone()?))?;
        Ok(Self { socket, watch })
    }

    /// Waits until somebody connects; can be dropped.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        self.watch.readable(false).await
    }

    /// Closes one of those that wait.
    pub(crate) fn turn_away(&self) -> io::Result<()> {
        sys::accept(sys::raw(&self.socket)).map(drop)
    }

    /// Accepts one of those that wait; `WouldBlock` when none does.
    pub(crate) fn accept(&self) -> io::Result<(Stream, Address)> {
        let (fd, peer) = sys::accept(sys::raw(&self.socket))?;
        Ok((Stream::from_fd(fd)?, peer))
    }
}
