//! Clients and origins in a simulated world.

use super::{
    descriptor::Fd,
    kernel::{Calls, poll_ready},
    world::World,
};
use std::{
    cell::Cell,
    future::poll_fn,
    io,
    net::{IpAddr, Shutdown, SocketAddr},
    os::fd::AsRawFd,
    time::Duration,
};

/// A connected socket of somebody outside of the engine.
#[derive(Debug)]
pub struct Socket {
    fd: Fd,
    world: World,
    peer: SocketAddr,
    /// The system has said that it is broken. It says so once, to whoever asks first, and tells others of an end.
    is_broken: Cell<bool>,
}

/// A listening socket of somebody outside of the engine.
#[derive(Debug)]
pub struct Acceptor {
    fd: Fd,
    world: World,
}

impl World {
    /// Connects.
    ///
    /// # Errors
    /// As connect(2) does.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<Socket> {
        self.connect_from(to, None).await
    }

    /// Connects from this address.
    ///
    /// # Errors
    /// As connect(2) does.
    pub async fn connect_from(&self, to: SocketAddr, from: Option<IpAddr>) -> io::Result<Socket> {
        let (fd, _) = Calls::of(self.clone()).connect(to, from)?;
        let socket = Socket { fd, world: self.clone(), peer: to, is_broken: Cell::new(false) };
        poll_fn(|cx| poll_ready(socket.fd.as_raw_fd(), false, cx)).await;
        Calls::of(self.clone()).socket_error(socket.fd.as_raw_fd())?;
        Ok(socket)
    }

    /// Listens.
    ///
    /// # Errors
    /// Somebody does already.
    pub fn listen(&self, address: SocketAddr) -> io::Result<Acceptor> {
        let (fd, _) = Calls::of(self.clone()).listen(address, true)?;
        Ok(Acceptor { fd, world: self.clone() })
    }
}

impl Acceptor {
    /// Waits for somebody to connect.
    ///
    /// # Errors
    /// As accept(2) does.
    pub async fn accept(&self) -> io::Result<Socket> {
        loop {
            poll_fn(|cx| poll_ready(self.fd.as_raw_fd(), true, cx)).await;
            match Calls::of(self.world.clone()).accept(self.fd.as_raw_fd()) {
                Ok((fd, peer)) => {
                    return Ok(Socket { fd, world: self.world.clone(), peer, is_broken: Cell::new(false) });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Socket {
    /// Who is at the other end.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn calls(&self) -> Calls {
        Calls::of(self.world.clone())
    }

    /// Sends all of it; ready when it is on its way, or waits here for that.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.calls().send_now(self.fd.as_raw_fd(), bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll_fn(|cx| poll_ready(self.fd.as_raw_fd(), false, cx)).await;
                }
                Err(error) => {
                    self.is_broken.set(self.is_broken.get() || error.kind() != io::ErrorKind::BrokenPipe);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Receives behind what `into` holds; 0 at the end of what the other side sends.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn receive(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        const PIECE: usize = 8 << 10;
        loop {
            into.reserve(PIECE);
            let end = into.len() + PIECE;
            match self.calls().receive_now(self.fd.as_raw_fd(), into, end) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll_fn(|cx| poll_ready(self.fd.as_raw_fd(), true, cx)).await;
                }
                Ok(0) if self.is_broken.get() => return Err(io::ErrorKind::ConnectionReset.into()),
                done => return done,
            }
        }
    }

    /// When a byte has gone either way last, by [`World::awake`].
    pub fn moved(&self) -> Duration {
        self.calls().moved(self.fd.as_raw_fd())
    }

    /// Whether the network has lost one of its ends, so that neither will hear of the other again.
    pub fn has_vanished(&self) -> bool {
        self.calls().has_vanished(self.fd.as_raw_fd())
    }

    /// Nothing more is sent.
    pub fn end(&self) {
        self.calls().shutdown(self.fd.as_raw_fd(), Shutdown::Write);
    }

    /// Breaks the connection off.
    pub fn reset(&self) {
        self.calls().reset(self.fd.as_raw_fd());
    }
}
