//! Content: where it comes from, and how a handler reads it.

use crate::{
    content::Pull,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::{Buffer, Buffers},
    message::UpstreamInfo,
    upstream::Transfer,
};
use bytes::Bytes;
use corelane_codec::{Fields, Length};
use http::StatusCode;
use std::{
    future::poll_fn,
    ops::Deref,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// The content of a message, wherever it comes from.
///
/// Reading is by [`chunk`](Self::chunk); dropping it before its end closes the connection that it comes from, because
/// what is left of it could never be told from the next message.
#[derive(Default)]
pub struct Body(pub(crate) Source);

/// Where content comes from.
#[derive(Default)]
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for each response")]
pub(crate) enum Source {
    #[default]
    Empty,
    Bytes(Bytes),
    /// From the client, of this length.
    Client(Rc<Exchange>, Length),
    /// From an upstream; the rest of the upload goes on with it.
    Upstream(Transfer),
}

impl Source {
    pub(crate) fn length(&self) -> Length {
        match self {
            Self::Empty => Length::None,
            Self::Bytes(bytes) => Length::Known(bytes.len() as u64),
            Self::Client(_, length) => *length,
            Self::Upstream(transfer) => transfer.length(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = match &self.0 {
            Source::Empty => "empty",
            Source::Bytes(_) => "bytes",
            Source::Client(..) => "client",
            Source::Upstream(_) => "upstream",
        };
        f.debug_struct("Body").field("source", &source).field("length", &self.length()).finish()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Source::Empty } else { Source::Bytes(bytes) })
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl Body {
    /// No content.
    pub fn empty() -> Self {
        Self::default()
    }

    /// How much is left, as far as it is known.
    pub fn length(&self) -> Length {
        self.0.length()
    }

    /// The next piece, or `None` at the end. Dropping the future loses nothing: the next call gives what it would
    /// have given.
    pub async fn chunk(&mut self) -> Result<Option<Chunk>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>>> {
        match &mut self.0 {
            Source::Empty => Poll::Ready(Ok(None)),
            Source::Bytes(bytes) => {
                let chunk = Chunk(Piece::Shared(std::mem::take(bytes)));
                self.0 = Source::Empty;
                Poll::Ready(Ok(Some(chunk)))
            }
            Source::Client(exchange, length) => {
                exchange.begin_wait(cx);
                let pull = ready!(poll_client(cx, exchange))?;
                match pull {
                    Pull::Piece(buffer) => {
                        if let Length::Known(left) = length {
                            *left = left.saturating_sub(buffer.len() as u64);
                        }
                        let buffers = exchange.lane().0.buffers.clone();
                        Poll::Ready(Ok(Some(Chunk(Piece::Pooled(buffer, buffers)))))
                    }
                    Pull::End => {
                        self.0 = Source::Empty;
                        Poll::Ready(Ok(None))
                    }
                }
            }
            Source::Upstream(transfer) => match transfer.poll_piece(cx) {
                Poll::Ready(Ok(Pull::Piece(buffer))) => {
                    let buffers = transfer.lane().0.buffers.clone();
                    Poll::Ready(Ok(Some(Chunk(Piece::Pooled(buffer, buffers)))))
                }
                Poll::Ready(Ok(Pull::End)) => Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    /// All of it in one piece, if it is at most `bytes_max`; else an error with status 413.
    pub async fn collect(&mut self, bytes_max: usize) -> Result<Bytes> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > bytes_max {
                return Err(crate::downstream::content_too_large());
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }

    pub(crate) fn upstream(&self) -> Option<UpstreamInfo> {
        match &self.0 {
            Source::Upstream(transfer) => Some(transfer.info()),
            _ => None,
        }
    }
}

/// The next piece of a request's content. A client that waits to be asked for it is asked (RFC 9110 §10.1.1).
pub(crate) fn poll_client(cx: &mut Context<'_>, exchange: &Exchange) -> Poll<Result<Pull>> {
    let connection = exchange.connection();
    if exchange.is_closed() {
        // What comes now is the content of another request.
        return Poll::Ready(Err(Error::new(Side::Downstream, Stage::Transfer, ErrorKind::Closed)));
    }
    if exchange.take_expects() && !connection.has_input() {
        connection.begin_interim(StatusCode::CONTINUE, &Fields::new());
    }
    let sent =
        connection.io.poll_sent(cx).map_err(|error| Error::io(Side::Downstream, Stage::Transfer, &error))?;
    let pull = if sent.is_ready() { connection.poll_content(cx)? } else { Poll::Pending };
    match pull {
        Poll::Ready(pull) => {
            exchange.content_came(if let Pull::Piece(piece) = &pull { piece.len() } else { 0 });
            Poll::Ready(Ok(pull))
        }
        Poll::Pending => {
            exchange.content_waits()?;
            Poll::Pending
        }
    }
}

/// A piece of content: a slice of one of the lane's buffers, which goes back when this is dropped.
pub struct Chunk(Piece);

enum Piece {
    Pooled(Buffer, Buffers),
    Shared(Bytes),
    Gone,
}

impl Chunk {
    /// The bytes, to keep or to send to another thread. This copies what is in a lane's buffer.
    pub fn into_shared(self) -> Bytes {
        match &self.0 {
            Piece::Shared(bytes) => bytes.clone(),
            _ => Bytes::copy_from_slice(&self),
        }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Piece::Pooled(buffer, _) => buffer.as_slice(),
            Piece::Shared(bytes) => bytes,
            Piece::Gone => &[],
        }
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Piece::Pooled(buffer, buffers) = std::mem::replace(&mut self.0, Piece::Gone) {
            buffers.give(buffer);
        }
    }
}
