//! Content that is changed while it passes.

use super::{Body, Chunk, Source};
use crate::{
    content::Pull,
    error::{Error, Result},
    io::ROOM_BYTES,
};
use bytes::BytesMut;
use corelane_codec::{Fields, Length};
use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll, ready},
};

/// Content that waits in an [`Output`], in bytes, before it says that it [is full](Output::is_full).
const FULL_BYTES: usize = 64 << 10;

/// Changes content while it passes: piece by piece, as it comes. See [`Body::transform`].
///
/// A closure `FnMut(Chunk, &mut Output) -> Result<()>` is one, too.
pub trait Transform: 'static {
    /// A piece of the content has come, of at most 32 KiB. What goes on in its place is what is put into `out`: the piece itself, changed
    /// in place or not, other bytes, or nothing.
    ///
    /// # Errors
    /// Break the content off, so that whoever reads it can tell.
    fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()>;

    /// The content has ended. What was held back can go now, and the trailers can be read and changed; those that
    /// stand here afterwards are sent where they can be.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    fn end(&mut self, trailers: &mut Fields, out: &mut Output) -> Result<()> {
        let _ = (trailers, out);
        Ok(())
    }

    /// Called when [`Output::call_again`] had been, once what was put out has been sent.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    fn more(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// How long content of `length` bytes becomes, if that can be said beforehand; otherwise a message says nothing of
    /// its length, and is chunked. Other than so much is an error.
    fn length(&self, length: u64) -> Option<u64> {
        let _ = length;
        None
    }
}

impl<F: FnMut(Chunk, &mut Output) -> Result<()> + 'static> Transform for F {
    fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()> {
        self(chunk, out)
    }
}

/// Takes what a [`Transform`] puts out.
#[derive(Debug, Default)]
pub struct Output {
    queue: VecDeque<Chunk>,
    /// What was written and is no chunk yet.
    tail: BytesMut,
    bytes: usize,
    again: bool,
}

impl Output {
    /// Puts a piece out, behind what was put out before.
    pub fn push(&mut self, chunk: impl Into<Chunk>) {
        let chunk = chunk.into();
        self.close_tail();
        if !chunk.is_empty() {
            self.bytes += chunk.len();
            self.queue.push_back(chunk);
        }
    }

    /// Puts bytes out: many small ones become one piece.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.tail.extend_from_slice(bytes);
    }

    /// Whether so much waits that a transform whose content grows, such as by decompression, should
    /// [stop for now](Self::call_again).
    pub fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES
    }

    /// There is more to put out than should wait: [`Transform::more`] is called once this has been sent, before the
    /// next piece comes.
    pub fn call_again(&mut self) {
        self.again = true;
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.queue.push_back(tail.into());
        }
    }

    fn next(&mut self, bytes_max: usize) -> Option<Chunk> {
        self.close_tail();
        let first = self.queue.front_mut()?;
        let chunk = first.split_front(bytes_max);
        if first.is_empty() {
            self.queue.pop_front();
        }
        self.bytes -= chunk.len();
        Some(chunk)
    }
}

/// As [`Output::extend`]; never fails.
impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Content that is changed while it passes.
pub(crate) struct Transformed {
    pub(crate) inner: Source,
    transform: Box<dyn Transform>,
    out: Output,
    /// Nothing more comes in.
    ended: bool,
    trailers: Fields,
    length: Length,
    /// What comes out is not what went in.
    pub(crate) alters: bool,
}

/// What `Body::set_trailers` does.
struct Trailers(Fields);

impl Transform for Trailers {
    fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()> {
        out.push(chunk);
        Ok(())
    }

    fn end(&mut self, trailers: &mut Fields, _: &mut Output) -> Result<()> {
        *trailers = std::mem::take(&mut self.0);
        Ok(())
    }
}

impl Body {
    /// Changes the content while it passes, on its way down or up. Several may be put around each other: the first is
    /// the innermost.
    ///
    /// The message says what is true of the new content: its length if the transform [knows](Transform::length) it
    /// (else it is chunked), an `ETag` that is weak, and nothing that vouches for bytes which are no longer sent
    /// (`Content-MD5`, `Digest`, `Content-Digest`, `Repr-Digest`, `Accept-Ranges`). Content that is not there stays
    /// so. What comes may be compressed: a handler that wants to read it removes `Accept-Encoding` (and `Range`) from
    /// the request.
    ///
    /// ```
    /// # use corelane_engine::{Chunk, Handler, Output, Request, Response, Result, Transform, Upstream};
    /// struct Louder;
    ///
    /// impl Transform for Louder {
    ///     fn chunk(&mut self, mut chunk: Chunk, out: &mut Output) -> Result<()> {
    ///         chunk.make_ascii_uppercase(); // where it lies: nothing is copied
    ///         out.push(chunk);
    ///         Ok(())
    ///     }
    ///
    ///     fn length(&self, length: u64) -> Option<u64> {
    ///         Some(length)
    ///     }
    /// }
    ///
    /// struct Gateway(Upstream);
    ///
    /// impl Handler for Gateway {
    ///     async fn handle(&self, request: Request) -> Result<Response> {
    ///         let mut response = self.0.send(request).await?;
    ///         response.body_mut().transform(Louder);
    ///         Ok(response)
    ///     }
    /// }
    /// ```
    pub fn transform(&mut self, transform: impl Transform) {
        self.wrap(Box::new(transform), true);
    }

    /// These fields follow the content, in place of any that would. They go to a client that takes trailers
    /// (`TE: trailers`) and to any origin, and have the content chunked. Content that is not there has none.
    pub fn set_trailers(&mut self, trailers: Fields) {
        self.wrap(Box::new(Trailers(trailers)), false);
    }

    fn wrap(&mut self, transform: Box<dyn Transform>, alters: bool) {
        let inner = std::mem::take(&mut self.0);
        let length = match inner.length() {
            Length::None | Length::Known(0) => Length::None,
            Length::Known(length) => transform.length(length).map_or(Length::Chunked, Length::Known),
            Length::Chunked | Length::UntilClose => Length::Chunked,
        };
        self.0 = Source::Transformed(Box::new(Transformed {
            inner,
            transform,
            out: Output::default(),
            ended: length == Length::None,
            trailers: Fields::new(),
            length,
            alters,
        }));
    }
}

impl Transformed {
    pub(crate) fn length(&self) -> Length {
        self.length
    }

    /// What a message declares that has no content although it would.
    pub(crate) fn declare(&self, declared: Option<u64>) -> Option<u64> {
        declared.and_then(|length| self.transform.length(length))
    }

    pub(crate) fn poll_pull(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<Result<Pull<Chunk>>> {
        if let Some(pull) = self.put_out(bytes_max)? {
            return Poll::Ready(Ok(pull));
        }
        let pull = ready!(self.inner.poll_pull(cx, ROOM_BYTES))?;
        Poll::Ready(self.take_in(pull, bytes_max))
    }

    pub(crate) fn in_hand(&mut self, bytes_max: usize) -> Result<Option<Pull<Chunk>>> {
        if let Some(pull) = self.put_out(bytes_max)? {
            return Ok(Some(pull));
        }
        let Some(pull) = self.inner.in_hand(ROOM_BYTES)? else { return Ok(None) };
        self.take_in(pull, bytes_max).map(Some)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended && self.out.bytes == 0 && !self.out.again
    }

    pub(crate) fn trailers(&self, use_them: impl FnOnce(Option<&Fields>)) {
        use_them(Some(&self.trailers).filter(|trailers| !trailers.is_empty()));
    }

    /// What there is to give before anything else comes in; an empty piece says that there was something to do.
    fn put_out(&mut self, bytes_max: usize) -> Result<Option<Pull<Chunk>>> {
        if self.out.bytes == 0 && std::mem::take(&mut self.out.again) {
            self.transform.more(&mut self.out)?;
            if self.out.again && self.out.bytes == 0 {
                // It would be called for ever.
                return Err(Error::internal("a transform that wants to be called again has put nothing out"));
            }
            self.end_if_known()?;
            return Ok(Some(Pull::Piece(self.next(bytes_max))));
        }
        if self.out.bytes > 0 {
            return Ok(Some(Pull::Piece(self.next(bytes_max))));
        }
        Ok(self.ended.then_some(Pull::End))
    }

    fn take_in(&mut self, pull: Pull<Chunk>, bytes_max: usize) -> Result<Pull<Chunk>> {
        match pull {
            Pull::Piece(piece) => {
                self.transform.chunk(piece, &mut self.out)?;
                self.end_if_known()?;
            }
            Pull::End => self.end()?,
        }
        if self.has_ended() { Ok(Pull::End) } else { Ok(Pull::Piece(self.next(bytes_max))) }
    }

    /// Ends as soon as it is known that nothing more will come, so that the last piece can be sent as the last.
    fn end_if_known(&mut self) -> Result<()> {
        if !self.ended && !self.out.again && self.inner.has_ended() { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<()> {
        self.ended = true;
        self.inner.trailers(|trailers| self.trailers = trailers.cloned().unwrap_or_default());
        self.transform.end(&mut self.trailers, &mut self.out)
    }

    fn next(&mut self, bytes_max: usize) -> Chunk {
        let chunk = self.out.next(bytes_max).unwrap_or_default();
        if let Length::Known(left) = &mut self.length {
            *left = left.saturating_sub(chunk.len() as u64);
        }
        chunk
    }
}
