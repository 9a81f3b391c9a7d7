//! A byte stream of the system, TCP or unix, on either driver.

use super::buffer::{Buffer, TAILROOM_BYTES};
use crate::address::Address;
use monoio::{
    buf::{IoBuf, IoBufMut},
    io::{AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, Canceller},
    net::TcpStream,
};
use std::{
    cell::Cell,
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

/// Takes the buffer away from a receive that waits. The runtime's canceller allocates, so it exists only while it
/// is needed and is used again as long as nothing was cancelled.
#[derive(Default)]
pub(crate) struct Cancel(Cell<Option<Canceller>>);

impl Cancel {
    /// Drops the canceller, and with it its memory.
    pub(crate) fn forget(&self) {
        self.0.set(None);
    }

    /// Cancels the receive under way, if it can be cancelled.
    pub(crate) fn fire(&self) {
        if let Some(canceller) = self.0.take() {
            // What comes back is a fresh canceller, with its memory; an idle connection should hold none.
            drop(canceller.cancel());
        }
    }
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

    /// Receives behind what the buffer holds, as much as there is room for.
    pub(crate) async fn receive(&mut self, buffer: Buffer) -> (io::Result<usize>, Buffer) {
        let (bytes, start) = buffer.into_parts();
        let (filled, end) = (bytes.len(), bytes.capacity() - TAILROOM_BYTES);
        let Self::Socket(stream) = self;
        let (result, slice) = stream.read(bytes.slice_mut(filled..end)).await;
        (result, Buffer::from_parts(slice.into_inner(), start))
    }

    /// The same, until `cancel` fires: then `ECANCELED`, unless data came first.
    pub(crate) async fn receive_or_cancel(
        &mut self,
        buffer: Buffer,
        cancel: &Cancel,
    ) -> (io::Result<usize>, Buffer) {
        let (bytes, start) = buffer.into_parts();
        let (filled, end) = (bytes.len(), bytes.capacity() - TAILROOM_BYTES);
        let canceller = cancel.0.take().unwrap_or_default();
        let handle = canceller.handle();
        cancel.0.set(Some(canceller));
        let Self::Socket(stream) = self;
        let (result, slice) = stream.cancelable_read(bytes.slice_mut(filled..end), handle).await;
        (result, Buffer::from_parts(slice.into_inner(), start))
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
