//! A byte stream of the system, TCP or unix, on either driver.

use super::buffer::Buffer;
use crate::address::Address;
use monoio::{buf::IoBuf, io::AsyncWriteRent, net::TcpStream};
use std::{
    io,
    net::IpAddr,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

/// How long a connect waits that found a unix socket's queue full, at first and at most: it is not told when there is
/// room.
const QUEUE_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Where bytes come from and go to.
pub(crate) enum Stream {
    /// A socket of the system. The runtime has a type for TCP and one for unix sockets, which do the same: they receive
    /// and send on a descriptor.
    Socket(TcpStream),
}

impl Stream {
    /// Takes over a connected, non-blocking socket.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::Socket(TcpStream::from_std(fd.into())?))
    }

    /// Connects, from `source` if it is given; the wait can be dropped at any time.
    pub(crate) async fn connect(address: &Address, source: Option<IpAddr>) -> io::Result<Self> {
        let (mut pause, pause_max) = QUEUE_PAUSE;
        let (socket, connected) = loop {
            match crate::sys::connect(address, source) {
                // TCP waits for room in the origin's queue; a unix socket says that there is none (connect(2)).
                Err(error) if is_full(address, &error) => {
                    super::nap(pause).await;
                    pause = (2 * pause).min(pause_max);
                }
                begun => break begun?,
            }
        };
        let stream = Self::from_fd(socket)?;
        if !connected {
            let Self::Socket(socket) = &stream;
            socket.writable(false).await?;
            crate::sys::socket_error(stream.fd())?;
        }
        Ok(stream)
    }

    pub(crate) fn fd(&self) -> RawFd {
        match self {
            Self::Socket(stream) => stream.as_raw_fd(),
        }
    }

    /// Waits until there is something to receive; holds no buffer, and can be dropped.
    pub(crate) fn readable(&mut self) -> impl Future<Output = io::Result<()>> {
        let Self::Socket(stream) = self;
        stream.readable(false)
    }

    /// Waits until there is room to send; holds no buffer.
    pub(crate) fn writable(&mut self) -> impl Future<Output = io::Result<()>> {
        let Self::Socket(stream) = self;
        stream.writable(false)
    }

    /// Sends some of what the buffer holds.
    pub(crate) async fn send(&mut self, buffer: Buffer) -> (io::Result<usize>, Buffer) {
        let (bytes, start) = buffer.into_parts();
        let Self::Socket(stream) = self;
        let (result, slice) = stream.write(bytes.slice(start..)).await;
        (result, Buffer::from_parts(slice.into_inner(), start))
    }
}

fn is_full(address: &Address, error: &io::Error) -> bool {
    matches!(address, Address::Unix(_)) && error.kind() == io::ErrorKind::WouldBlock
}
