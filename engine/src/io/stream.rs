//! A byte stream of the system: today a TCP connection on either driver.

use super::buffer::{Buffer, TAILROOM_BYTES};
use monoio::{
    buf::{IoBuf, IoBufMut},
    io::{AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, Canceller},
    net::TcpStream,
};
use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

/// Where bytes come from and go to.
pub(crate) enum Stream {
    /// A socket of the system.
    Tcp(TcpStream),
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
        Ok(Self::Tcp(TcpStream::from_std(fd.into())?))
    }

    /// Connects; the wait can be dropped at any time.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let (socket, connected) = crate::sys::connect(address)?;
        let stream = TcpStream::from_std(socket)?;
        if !connected {
            stream.writable(false).await?;
            crate::sys::socket_error(stream.as_raw_fd())?;
        }
        Ok(Self::Tcp(stream))
    }

    pub(crate) fn fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
        }
    }

    /// Receives behind what the buffer holds, as much as there is room for.
    pub(crate) async fn receive(&mut self, buffer: Buffer) -> (io::Result<usize>, Buffer) {
        let (bytes, start) = buffer.into_parts();
        let (filled, end) = (bytes.len(), bytes.capacity() - TAILROOM_BYTES);
        let Self::Tcp(stream) = self;
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
        let Self::Tcp(stream) = self;
        let (result, slice) = stream.cancelable_read(bytes.slice_mut(filled..end), handle).await;
        (result, Buffer::from_parts(slice.into_inner(), start))
    }

    /// Waits until there is something to receive; holds no buffer, and can be dropped.
    pub(crate) fn readable(&mut self) -> impl Future<Output = io::Result<()>> {
        let Self::Tcp(stream) = self;
        stream.readable(false)
    }

    /// Sends some of what the buffer holds.
    pub(crate) async fn send(&mut self, buffer: Buffer) -> (io::Result<usize>, Buffer) {
        let (bytes, start) = buffer.into_parts();
        let Self::Tcp(stream) = self;
        let (result, slice) = stream.write(bytes.slice(start..)).await;
        (result, Buffer::from_parts(slice.into_inner(), start))
    }
}
