//! Content: where it comes from, how a handler reads it, makes it and changes it.

mod channel;
mod chunk;
mod client;
mod replay;
mod tee;
mod transform;

pub use channel::Sender;
pub use chunk::Chunk;
pub(crate) use client::FromClient;
pub(crate) use replay::Replay;
pub use tee::{Copied, Tee};
pub use transform::{Output, Transform};

use crate::{
    content::Pull,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    lane::Lane,
    tunnel::{Rest, Serve},
    upstream::Transfer,
};
use bytes::Bytes;
use channel::Receiver;
use corelane_codec::{Fields, Length};
use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};
use tee::Teed;
use transform::Transformed;

/// The content of a message, wherever it comes from: a client, an upstream, memory, a [channel](Self::channel). Any of
/// them can be the content of any message, either way.
///
/// Reading is by [`chunk`](Self::chunk); dropping it before its end closes the connection that it comes from, because
/// what is left of it could never be told from the next message.
#[derive(Default)]
pub struct Body(pub(crate) Source);

/// Where content comes from. Whoever moves content, up or down, moves all of them by the same few methods.
#[derive(Default)]
pub(crate) enum Source {
    #[default]
    Empty,
    Bytes(Bytes),
    Client(FromClient),
    /// From an upstream; the rest of the upload goes on with it.
    Upstream(Transfer),
    Channel(Receiver),
    Transformed(Box<Transformed>),
    Teed(Box<Teed>),
    /// Of a request that has been sent, or is being.
    Replay(Box<Replay>),
    /// None: the handler goes on with the connection itself.
    Switch(Serve),
}

impl Source {
    /// What this is around, if it is around anything.
    fn inner(&self) -> Option<&Self> {
        match self {
            Self::Transformed(transformed) => Some(&transformed.inner),
            Self::Teed(teed) => Some(&teed.inner),
            Self::Replay(replay) => Some(replay.source()),
            _ => None,
        }
    }

    fn inner_mut(&mut self) -> Option<&mut Self> {
        match self {
            Self::Transformed(transformed) => Some(&mut transformed.inner),
            Self::Teed(teed) => Some(&mut teed.inner),
            Self::Replay(replay) => Some(replay.source_mut()),
            _ => None,
        }
    }

    /// Where it comes from in the end.
    fn innermost(&self) -> &Self {
        self.inner().map_or(self, Self::innermost)
    }

    fn innermost_mut(&mut self) -> &mut Self {
        if self.inner().is_some() {
            self.inner_mut().expect("it is around something").innermost_mut()
        } else {
            self
        }
    }

    /// How much is left, as far as it is known.
    pub(crate) fn length(&self) -> Length {
        match self {
            Self::Empty | Self::Switch(_) => Length::None,
            Self::Bytes(bytes) => Length::Known(bytes.len() as u64),
            Self::Client(client) => client.length(),
            Self::Upstream(transfer) => transfer.length(),
            Self::Channel(receiver) => receiver.length(),
            Self::Transformed(transformed) => transformed.length(),
            Self::Teed(teed) => teed.inner.length(),
            Self::Replay(replay) => replay.length(),
        }
    }

    /// The next piece, of at most `bytes_max` bytes where it comes from memory. An empty one says that others come
    /// first: a transform has kept what came, and whoever moves content may have moved enough for this turn.
    pub(crate) fn poll_pull(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<Result<Pull<Chunk>>> {
        match self {
            Self::Empty | Self::Switch(_) | Self::Bytes(_) => Poll::Ready(Ok(self.slice(bytes_max))),
            Self::Client(client) => client.poll_pull(cx),
            Self::Upstream(transfer) => transfer.poll_pull(cx),
            Self::Channel(receiver) => receiver.poll_pull(cx, bytes_max),
            Self::Transformed(transformed) => transformed.poll_pull(cx, bytes_max),
            Self::Teed(teed) => teed.poll_pull(cx, bytes_max),
            Self::Replay(replay) => replay.poll_pull(cx, bytes_max),
        }
    }

    /// The next piece if it is there already, to go out together with the head.
    pub(crate) fn in_hand(&mut self, bytes_max: usize) -> Result<Option<Pull<Chunk>>> {
        match self {
            Self::Empty | Self::Switch(_) | Self::Bytes(_) => Ok(Some(self.slice(bytes_max))),
            Self::Client(client) => client.in_hand(),
            Self::Upstream(transfer) => transfer.in_hand(),
            Self::Channel(receiver) => receiver.in_hand(bytes_max),
            Self::Transformed(transformed) => transformed.in_hand(bytes_max),
            Self::Teed(teed) => teed.in_hand(bytes_max),
            Self::Replay(replay) => replay.in_hand(bytes_max),
        }
    }

    fn slice(&mut self, bytes_max: usize) -> Pull<Chunk> {
        match self {
            Self::Bytes(bytes) if !bytes.is_empty() => {
                Pull::Piece(bytes.split_to(bytes.len().min(bytes_max)).into())
            }
            _ => Pull::End,
        }
    }

    /// Whether the end is known to have been reached, so that the piece that was given last was the last.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Empty | Self::Switch(_) => true,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Client(client) => client.has_ended(),
            Self::Upstream(transfer) => transfer.has_ended(),
            Self::Channel(receiver) => receiver.has_ended(),
            Self::Transformed(transformed) => transformed.has_ended(),
            Self::Teed(teed) => teed.inner.has_ended(),
            Self::Replay(replay) => replay.has_ended(),
        }
    }

    /// What follows the content, once that has ended.
    pub(crate) fn trailers(&self, use_them: impl FnOnce(Option<&Fields>)) {
        match self {
            Self::Empty | Self::Switch(_) | Self::Bytes(_) => use_them(None),
            Self::Client(client) => client.trailers(use_them),
            Self::Upstream(transfer) => transfer.trailers(use_them),
            Self::Channel(receiver) => receiver.trailers(use_them),
            Self::Transformed(transformed) => transformed.trailers(use_them),
            Self::Teed(teed) => teed.inner.trailers(use_them),
            Self::Replay(replay) => replay.source().trailers(use_them),
        }
    }

    /// Moves on what goes on beside it: the upload whose answer this is.
    pub(crate) fn poll_beside(&mut self, cx: &mut Context<'_>) -> Result<()> {
        match self.innermost_mut() {
            Self::Upstream(transfer) => transfer.poll_upload(cx),
            _ => Ok(()),
        }
    }

    /// It has been read to its end. Ready when there is nothing left to do with where it came from.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.innermost_mut() {
            Self::Upstream(transfer) => transfer.poll_finish(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Begins to receive more while the last piece is still being sent on.
    pub(crate) fn prefetch(&self, cx: &mut Context<'_>) {
        if let Self::Upstream(transfer) = self.innermost() {
            transfer.prefetch(cx);
        }
    }

    /// The client that it comes from.
    pub(crate) fn client(&self) -> Option<&FromClient> {
        match self.innermost() {
            Self::Client(client) => Some(client),
            _ => None,
        }
    }

    pub(crate) fn is_from_upstream(&self) -> bool {
        matches!(self.innermost(), Self::Upstream(_))
    }

    /// Whether nobody else sees to it that it comes in time: it is made here.
    pub(crate) fn is_made_here(&self) -> bool {
        matches!(self.innermost(), Self::Channel(_))
    }

    /// Whether what comes out is not what a peer has sent.
    pub(crate) fn is_altered(&self) -> bool {
        match self {
            Self::Transformed(transformed) if transformed.alters => true,
            _ => self.inner().is_some_and(Self::is_altered),
        }
    }

    /// What a head declares that no content follows although it would, such as the answer to a `HEAD`.
    pub(crate) fn declare(&self, declared: Option<u64>) -> Option<u64> {
        let declared = self.inner().map_or(declared, |inner| inner.declare(declared));
        match self {
            Self::Transformed(transformed) => transformed.declare(declared),
            _ => declared,
        }
    }

    /// The lane of whoever sends it; what comes from memory has none.
    fn lane(&self) -> Option<&Lane> {
        match self.innermost() {
            Self::Client(client) => Some(client.exchange().lane()),
            Self::Upstream(transfer) => Some(transfer.lane()),
            _ => None,
        }
    }

    /// What is left when a switch of protocols has been sent.
    pub(crate) fn into_rest(self) -> Rest {
        match self {
            Self::Upstream(transfer) => Rest::Origin(Box::new(transfer)),
            Self::Switch(serve) => Rest::Handler(serve),
            Self::Transformed(transformed) => transformed.inner.into_rest(),
            Self::Teed(mut teed) => std::mem::take(&mut teed.inner).into_rest(),
            _ => Rest::Nothing,
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = match self.0.innermost() {
            Source::Empty | Source::Switch(_) => "empty",
            Source::Bytes(_) => "bytes",
            Source::Client(_) => "client",
            Source::Upstream(_) => "upstream",
            Source::Channel(_) => "channel",
            Source::Transformed(_) | Source::Teed(_) | Source::Replay(_) => "around another",
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

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from(bytes).into()
    }
}

impl Body {
    /// No content.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Whether there is nothing to let go of.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self.0, Source::Empty)
    }

    /// The content of a client's request.
    pub(crate) fn from_client(exchange: &Rc<Exchange>, length: Length) -> Self {
        match length {
            Length::None | Length::Known(0) => Self::empty(),
            length => Self(Source::Client(FromClient::new(exchange, length))),
        }
    }

    /// How much is left, as far as it is known.
    pub fn length(&self) -> Length {
        self.0.length()
    }

    /// The next piece, or `None` at the end. Dropping the future loses nothing: the next call gives what it would
    /// have given.
    ///
    /// # Errors
    /// The content breaks off, or comes too slowly; a [transform](Self::transform) refuses it; it is a request's that
    /// was sent before and has not been kept ([`Settings::replay_bytes_max`](crate::Settings)).
    pub async fn chunk(&mut self) -> Result<Option<Chunk>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>>> {
        self.settle();
        self.0.poll_beside(cx)?;
        loop {
            match self.0.poll_pull(cx, usize::MAX) {
                Poll::Ready(Ok(Pull::Piece(chunk))) if chunk.is_empty() => {
                    if self.0.lane().is_some_and(|lane| lane.has_spent(cx)) {
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Ok(Pull::Piece(chunk))) => return Poll::Ready(Ok(Some(chunk))),
                Poll::Ready(Ok(Pull::End)) => {
                    // The rest of an upload goes on for as long as this is held.
                    let _ = self.0.poll_finish(cx)?;
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// An attempt to send this that was given up is over: it is read from its beginning.
    pub(crate) fn settle(&mut self) {
        if let Source::Replay(replay) = &mut self.0 {
            replay.settle();
        }
    }

    /// Whether all of it can be sent, again if a part has been.
    pub(crate) fn is_whole(&self) -> bool {
        match &self.0 {
            Source::Replay(replay) => replay.can_rewind(),
            _ => true,
        }
    }

    /// All of it in one piece, if it is at most `bytes_max`; else an error: a client's content is answered with 413, an
    /// upstream's with 502.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub async fn collect(&mut self, bytes_max: usize) -> Result<Bytes> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() > bytes_max {
            return Err(self.too_large());
        }
        if self.0.has_ended() {
            return Ok(first.into_shared());
        }
        let mut all = first.to_vec();
        drop(first);
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > bytes_max {
                return Err(self.too_large());
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }

    fn too_large(&self) -> Error {
        let side = match self.0.innermost() {
            Source::Client(_) => Side::Downstream,
            Source::Upstream(_) => Side::Upstream,
            _ => Side::Internal,
        };
        Error::new(side, Stage::Transfer, ErrorKind::TooLarge)
    }

    /// The fields that followed the content, once all of it has been read ([`chunk`](Self::chunk) has given `None`).
    pub fn trailers(&self) -> Fields {
        let mut trailers = Fields::new();
        self.0.trailers(|fields| trailers = fields.cloned().unwrap_or_default());
        trailers
    }
}
