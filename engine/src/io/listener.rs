//! Accepting: readiness from the driver, then accept4 by system call.
//!
//! The ring's own accept sets no close-on-exec (a successor would inherit every client) and leaks the descriptor
//! when it is dropped; this way no accept is ever in flight, and none can be lost when a lane stops watching.

use super::{Fd, Watch, system};
use crate::{
    address::Address,
    unix::{SocketFile, listen_unix},
};
use std::{io, os::fd::AsRawFd, time::Duration};

/// Who may connect to a unix socket: the owner and the group.
const SOCKET_MODE: u32 = 0o660;

/// A listening socket of the process, which lanes borrow. The file of a unix socket goes with it.
pub(crate) struct Socket {
    fd: Fd,
    address: Address,
    _file: Option<SocketFile>,
}

impl Socket {
    /// Listens on an address. `first` says whether nobody may be there before; other lanes come beside.
    pub(crate) fn listen(address: &Address, first: bool) -> io::Result<Self> {
        match address {
            Address::Ip(ip) => {
                let (fd, address) = system::listen(*ip, first)?;
                Ok(Self { fd, address: Address::Ip(address), _file: None })
            }
            Address::Unix(path) => {
                let (socket, file) = listen_unix(path, SOCKET_MODE, system::BACKLOG)?;
                let fd = system::own(socket.into());
                Ok(Self { fd, address: address.clone(), _file: Some(file) })
            }
            Address::Unnamed => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Those who come have so long between two bytes, and as long as that implies until the system gives them up.
    pub(crate) fn be_patient(&self, between_bytes: Duration) {
        system::be_patient(self.fd.as_raw_fd(), between_bytes);
    }

    /// Where it listens, with the port that the system chose if it was to.
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }
}

/// A lane's view of a listening socket. The descriptor belongs to the process: dropping this closes a duplicate.
pub(crate) struct Listener(Watch);

impl Listener {
    pub(crate) fn new(socket: &Socket) -> io::Result<Self> {
        Ok(Self(Watch::new(system::duplicate(socket.fd.as_raw_fd())?)))
    }

    /// Waits until somebody connects; can be dropped.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Closes one of those that wait.
    pub(crate) fn turn_away(&self) -> io::Result<()> {
        system::accept(self.0.fd()).map(drop)
    }

    /// Accepts one of those that wait; `WouldBlock` when none does.
    pub(crate) fn accept(&self) -> io::Result<(Watch, Address)> {
        let (fd, peer) = system::accept(self.0.fd())?;
        Ok((Watch::new(fd), peer))
    }
}
