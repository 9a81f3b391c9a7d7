//! A tunnel whose other end is the handler.

use super::Open;
use crate::{
    body::Chunk,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::{Buffer, Connection, ROOM_BYTES, Received, Wait},
    lane::caught,
    upstream::Transfer,
    wheel::Tick,
};
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    net::Shutdown,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

type Serving = Pin<Box<dyn Future<Output = Result<()>>>>;

/// What a handler does with a tunnel.
pub(crate) struct Serve(Box<dyn FnOnce(Tunnel) -> Serving>);

impl Serve {
    pub(crate) fn new(serve: impl AsyncFnOnce(Tunnel) -> Result<()> + 'static) -> Self {
        Self(Box::new(move |tunnel| Box::pin(async move { serve(tunnel).await })))
    }
}

/// Gives the client's connection to the handler until it has had enough. What it does ends when the client resets.
pub(crate) async fn serve(exchange: &Rc<Exchange>, serve: Serve) -> Result<()> {
    let _open = Open::count(exchange);
    let connection = exchange.connection();
    let first = connection.take_input();
    let tunnel = Tunnel::new(Other::Client(exchange.clone()), first);
    let serving = pin!((serve.0)(tunnel));
    let mut serving = pin!(caught(serving));
    poll_fn(|cx| {
        exchange.begin_wait(cx);
        match serving.as_mut().poll(cx) {
            Poll::Ready(Ok(result)) => return Poll::Ready(result),
            Poll::Ready(Err(message)) => {
                return Poll::Ready(Err(crate::exchange::panicked(exchange, message)));
            }
            Poll::Pending => {}
        }
        match connection.watch(cx, false) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A connection after a switch of protocols: bytes both ways, with back-pressure. See
/// [`Request::upgrade`](crate::Request::upgrade).
///
/// Each operation waits for at most [`Timeouts::tunnel_idle`](crate::Timeouts) while nothing moves in either direction.
pub struct Tunnel {
    reader: TunnelReader,
    writer: TunnelWriter,
}

/// The half of a [`Tunnel`] that receives.
pub struct TunnelReader {
    shared: Rc<Shared>,
    /// What had come before the tunnel began.
    first: Option<Buffer>,
    ended: bool,
}

/// The half of a [`Tunnel`] that sends.
pub struct TunnelWriter {
    shared: Rc<Shared>,
}

struct Shared {
    other: Other,
    due: Cell<Tick>,
}

/// Who is at the other end.
enum Other {
    Client(Rc<Exchange>),
    Upstream(Transfer),
}

impl Shared {
    fn exchange(&self) -> &Exchange {
        match &self.other {
            Other::Client(exchange) => exchange,
            Other::Upstream(transfer) => transfer.exchange(),
        }
    }

    /// The connection; an error if it has become somebody else's.
    fn io(&self) -> Result<&Connection> {
        let io = match &self.other {
            Other::Client(exchange) if exchange.is_closed() => None,
            Other::Client(exchange) => Some(&exchange.connection().io),
            Other::Upstream(transfer) => transfer.connection().map(|connection| &connection.io),
        };
        io.ok_or_else(|| Error::new(self.side(), Stage::Tunnel, ErrorKind::Closed))
    }

    const fn side(&self) -> Side {
        match self.other {
            Other::Client(_) => Side::Downstream,
            Other::Upstream(_) => Side::Upstream,
        }
    }

    fn moved(&self) {
        let exchange = self.exchange();
        self.due.set(exchange.lane().after(exchange.settings().timeouts.tunnel_idle));
    }

    fn waits<T>(&self) -> Poll<Result<T>> {
        if self.exchange().expired(self.due.get()) {
            return Poll::Ready(Err(Error::new(self.side(), Stage::Tunnel, ErrorKind::Timeout)));
        }
        Poll::Pending
    }

    fn received(&self, buffer: Buffer) -> Chunk {
        self.moved();
        if let Other::Client(exchange) = &self.other {
            exchange.record(|record| record.request_bytes += buffer.len() as u64);
        }
        Chunk::pooled(buffer, &self.exchange().lane().0.buffers)
    }

    /// Ready when everything has been handed to the kernel.
    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.exchange().begin_wait(cx);
        match self.io()?.poll_sent(cx) {
            Poll::Ready(result) => {
                Poll::Ready(result.map_err(|error| Error::io(self.side(), Stage::Tunnel, &error)))
            }
            Poll::Pending => self.waits(),
        }
    }
}

impl Tunnel {
    fn new(other: Other, first: Option<Buffer>) -> Self {
        let exchange = match &other {
            Other::Client(exchange) => exchange,
            Other::Upstream(transfer) => transfer.exchange(),
        };
        let due = exchange.lane().after(exchange.settings().timeouts.tunnel_idle);
        let shared = Rc::new(Shared { other, due: Cell::new(due) });
        Self {
            reader: TunnelReader { shared: shared.clone(), first, ended: false },
            writer: TunnelWriter { shared },
        }
    }

    /// The tunnel to an origin that has switched protocols.
    pub(crate) fn to_origin(transfer: Transfer) -> Option<Self> {
        let first = transfer.connection()?.take_input();
        Some(Self::new(Other::Upstream(transfer), first))
    }

    /// As [`TunnelReader::receive`].
    ///
    /// # Errors
    /// As there.
    pub async fn receive(&mut self) -> Result<Option<Chunk>> {
        self.reader.receive().await
    }

    /// As [`TunnelWriter::send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send(&mut self, chunk: impl Into<Chunk>) -> Result<()> {
        self.writer.send(chunk).await
    }

    /// As [`TunnelWriter::end`].
    pub fn end(&mut self) {
        self.writer.end();
    }

    /// Both directions by themselves, to be used at the same time.
    pub fn split(self) -> (TunnelReader, TunnelWriter) {
        (self.reader, self.writer)
    }
}

impl TunnelReader {
    /// What comes next, what came together with the head first; `None` when the other side has ended. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// The other side has reset the connection, nothing has moved for too long, or the exchange is over.
    pub async fn receive(&mut self) -> Result<Option<Chunk>> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>>> {
        let shared = &self.shared;
        let io = shared.io()?;
        shared.exchange().begin_wait(cx);
        if let Some(first) = self.first.take() {
            return Poll::Ready(Ok(Some(shared.received(first))));
        }
        let buffers = &shared.exchange().lane().0.buffers;
        while !self.ended {
            if !io.is_receiving() {
                // It may last: no buffer is held meanwhile.
                io.begin_receive(None, Wait::Long);
            }
            match io.poll_receive(cx) {
                Poll::Ready(Ok(Received::Bytes(buffer))) => {
                    return Poll::Ready(Ok(Some(shared.received(buffer))));
                }
                Poll::Ready(Ok(Received::End(buffer))) => {
                    self.ended = true;
                    buffers.give(buffer);
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Error::io(shared.side(), Stage::Tunnel, &error)));
                }
                Poll::Pending => return shared.waits(),
            }
        }
        Poll::Ready(Ok(None))
    }
}

impl TunnelWriter {
    /// Sends a piece, and waits until the system has taken all of it: whoever reads slowly is waited for. Dropping the
    /// future may leave a part of the piece unsent, so that nothing sensible can follow.
    ///
    /// # Errors
    /// As [`TunnelReader::receive`].
    pub async fn send(&mut self, chunk: impl Into<Chunk>) -> Result<()> {
        let mut chunk = chunk.into();
        poll_fn(|cx| self.poll_send(cx, &mut chunk)).await
    }

    fn poll_send(&self, cx: &mut Context<'_>, chunk: &mut Chunk) -> Poll<Result<()>> {
        let shared = &self.shared;
        loop {
            ready!(shared.poll_sent(cx))?;
            if chunk.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let lane = shared.exchange().lane();
            if lane.has_spent(cx) {
                return Poll::Pending;
            }
            let piece = chunk.split_front(ROOM_BYTES).into_buffer(&lane.0.buffers);
            if let Other::Client(exchange) = &shared.other {
                exchange.record(|record| record.response_bytes += piece.len() as u64);
            }
            shared.moved();
            shared.io()?.begin_send(piece);
        }
    }

    /// Nothing more is sent: the other side sees the end, and may still send.
    pub fn end(&mut self) {
        if let Ok(io) = self.shared.io() {
            io.shutdown(Shutdown::Write);
        }
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.reader.shared.fmt("Tunnel", f)
    }
}

impl std::fmt::Debug for TunnelReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shared.fmt("TunnelReader", f)
    }
}

impl std::fmt::Debug for TunnelWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shared.fmt("TunnelWriter", f)
    }
}

impl Shared {
    fn fmt(&self, name: &str, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct(name).field("side", &self.side()).finish_non_exhaustive()
    }
}
