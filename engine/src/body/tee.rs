//! A copy of content that passes, of its beginning if there is too much of it.

use super::{Body, Chunk, Source};
use crate::{content::Pull, error::Result};
use bytes::{Bytes, BytesMut};
use std::{
    cell::RefCell,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

#[derive(Default)]
struct Shared {
    bytes: BytesMut,
    bytes_max: usize,
    is_cut: bool,
    end: Option<bool>,
    waker: Option<Waker>,
}

impl Shared {
    fn copy(&mut self, piece: &[u8]) {
        let room = self.bytes_max - self.bytes.len();
        self.is_cut |= piece.len() > room;
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn end(&mut self, complete: bool) {
        if self.end.is_none() {
            self.end = Some(complete);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }
}

/// The copy that [`Body::tee`] makes.
pub struct Tee(Rc<RefCell<Shared>>);

impl std::fmt::Debug for Tee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shared = self.0.borrow();
        f.debug_struct("Tee").field("bytes", &shared.bytes.len()).field("is_cut", &shared.is_cut).finish()
    }
}

/// What has passed through a body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The content, or its beginning.
    pub content: Bytes,
    /// There was more than the limit, and it has not been kept.
    pub is_cut: bool,
    /// The content passed to its end; otherwise it broke off, or whoever read it stopped.
    pub is_complete: bool,
}

impl Copied {
    /// The content if this is all of it.
    pub fn whole(self) -> Option<Bytes> {
        (self.is_complete && !self.is_cut).then_some(self.content)
    }
}

impl Tee {
    /// Waits until nothing more passes: the content has ended, or broken off, or nobody reads it any more.
    pub async fn finish(self) -> Copied {
        poll_fn(|cx| {
            let mut shared = self.0.borrow_mut();
            let Some(is_complete) = shared.end else {
                shared.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            let content = std::mem::take(&mut shared.bytes).freeze();
            Poll::Ready(Copied { content, is_cut: shared.is_cut, is_complete })
        })
        .await
    }
}

/// Content that is copied while it passes.
pub(crate) struct Teed {
    pub(crate) inner: Source,
    copy: Rc<RefCell<Shared>>,
}

impl Body {
    /// Copies what passes, at most `bytes_max` bytes of it: for a mirror, a log, a digest. Whoever reads this body
    /// sets the pace; the copy holds up nobody.
    ///
    /// ```
    /// # use corelane_engine::{Lane, Method, Request, Response, Result, Upstream};
    /// /// Forwards a request, and sends the same to a mirror, whose answer nobody waits for.
    /// async fn mirrored(lane: &Lane, origin: &Upstream, mirror: &Upstream, mut request: Request) -> Result<Response> {
    ///     let mut second = Request::from(request.head().clone());
    ///     let copy = request.body_mut().tee(1 << 20);
    ///     let mirror = mirror.clone();
    ///     lane.spawn(async move {
    ///         if let Some(content) = copy.finish().await.whole() {
    ///             second.set_body(content);
    ///             // What becomes of it is nobody's business.
    ///             let _ = mirror.send(second).await;
    ///         }
    ///     });
    ///     origin.send(request).await
    /// }
    /// ```
    #[must_use]
    pub fn tee(&mut self, bytes_max: usize) -> Tee {
        let shared = Rc::new(RefCell::new(Shared { bytes_max, ..Shared::default() }));
        if self.0.length().is_empty() {
            // Nobody reads what is not there.
            shared.borrow_mut().end(true);
            return Tee(shared);
        }
        let inner = std::mem::take(&mut self.0);
        self.0 = Source::Teed(Box::new(Teed { inner, copy: shared.clone() }));
        Tee(shared)
    }
}

impl Teed {
    pub(crate) fn poll_pull(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<Result<Pull<Chunk>>> {
        let polled = self.inner.poll_pull(cx, bytes_max);
        if let Poll::Ready(Ok(pull)) = &polled {
            self.passes(pull);
        }
        polled
    }

    pub(crate) fn in_hand(&mut self, bytes_max: usize) -> Result<Option<Pull<Chunk>>> {
        let pull = self.inner.in_hand(bytes_max)?;
        if let Some(pull) = &pull {
            self.passes(pull);
        }
        Ok(pull)
    }

    fn passes(&self, pull: &Pull<Chunk>) {
        let mut copy = self.copy.borrow_mut();
        if let Pull::Piece(piece) = pull {
            copy.copy(piece);
        }
        // Whoever knows that this was the last piece does not ask again.
        if matches!(pull, Pull::End) || self.inner.has_ended() {
            copy.end(true);
        }
    }
}

impl Drop for Teed {
    fn drop(&mut self) {
        self.copy.borrow_mut().end(false);
    }
}
