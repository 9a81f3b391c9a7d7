//! Content that is made while it is sent: a sender here, a body there, and a bounded queue between them.

use super::{Body, Chunk, Source};
use crate::{
    content::Pull,
    error::{Error, ErrorKind, Result, Side, Stage},
};
use corelane_codec::{Fields, Length};
use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Content that waits in a channel, in bytes, before its sender waits too. A last piece may go beyond it.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// What both ends have in common.
#[derive(Default)]
struct Shared {
    queue: VecDeque<Chunk>,
    bytes: usize,
    end: End,
    /// The body is gone: nobody takes anything any more.
    gone: bool,
    sender: Option<Waker>,
    body: Option<Waker>,
}

#[derive(Default)]
enum End {
    /// More may come.
    #[default]
    Open,
    /// All has been sent.
    Complete(Option<Box<Fields>>),
    /// The sender was dropped before it could end.
    Aborted,
}

impl Shared {
    fn wake_body(&mut self) {
        if let Some(waker) = self.body.take() {
            waker.wake();
        }
    }
}

/// The end of a channel that makes content: see [`Body::channel`].
///
/// Dropping it without [`end`](Self::end) breaks the content off, so that whoever reads it can tell: a client sees its
/// connection close before the last chunk, or short of Content-Length.
pub struct Sender(Rc<RefCell<Shared>>);

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shared = self.0.borrow();
        f.debug_struct("Sender").field("waiting_bytes", &shared.bytes).field("gone", &shared.gone).finish()
    }
}

impl Sender {
    /// Sends a piece, once there is room for it: with 64 KiB on their way, whoever reads them comes first. Dropping the
    /// future before it is ready sends nothing.
    ///
    /// # Errors
    /// Nobody reads any more: the client has left, say.
    pub async fn send(&mut self, chunk: impl Into<Chunk>) -> Result<()> {
        self.ready().await?;
        let chunk = chunk.into();
        if !chunk.is_empty() {
            let mut shared = self.0.borrow_mut();
            shared.bytes += chunk.len();
            shared.queue.push_back(chunk);
            shared.wake_body();
        }
        Ok(())
    }

    /// Waits until there is room for a piece.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn ready(&mut self) -> Result<()> {
        poll_fn(|cx| {
            let mut shared = self.0.borrow_mut();
            if shared.gone {
                return Poll::Ready(Err(Error::new(Side::Downstream, Stage::Transfer, ErrorKind::Closed)));
            }
            if shared.bytes < WAITING_BYTES_MAX {
                return Poll::Ready(Ok(()));
            }
            shared.sender = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Waits until nobody reads any more: for whoever has nothing to send for long, and would like to stop.
    pub async fn gone(&mut self) {
        poll_fn(|cx| {
            let mut shared = self.0.borrow_mut();
            if shared.gone {
                return Poll::Ready(());
            }
            shared.sender = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// All has been sent.
    pub fn end(self) {
        self.finish(End::Complete(None));
    }

    /// All has been sent, and these fields follow it. They reach a client that takes trailers (`TE: trailers`) and an
    /// origin, if the length of the content is not known beforehand.
    pub fn end_with(self, trailers: Fields) {
        self.finish(End::Complete(Some(Box::new(trailers))));
    }

    fn finish(&self, end: End) {
        let mut shared = self.0.borrow_mut();
        if matches!(shared.end, End::Open) {
            shared.end = end;
            shared.wake_body();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.finish(End::Aborted);
    }
}

/// The end that gives the content.
pub(crate) struct Receiver {
    shared: Rc<RefCell<Shared>>,
    left: Length,
}

impl Body {
    /// Content that is made while it is sent, by a task of [`Lane::spawn`](crate::Lane::spawn), say. What is in the
    /// channel is bounded: a sender waits for a slow client. Whoever has nothing to send for longer than
    /// [`Timeouts::between_bytes`](crate::Timeouts) keeps its client waiting too long, and the content is broken off.
    ///
    /// ```
    /// # use corelane_engine::{Body, Handler, Lane, Request, Response, Result, StatusCode};
    /// struct Clock(Lane);
    ///
    /// impl Handler for Clock {
    ///     async fn handle(&self, _: Request) -> Result<Response> {
    ///         let (mut sender, body) = Body::channel();
    ///         let lane = self.0.clone();
    ///         self.0.spawn(async move {
    ///             for tick in 0..10 {
    ///                 // The client may have left.
    ///                 let Ok(()) = sender.send(format!("data: {tick}\n\n")).await else { return };
    ///                 lane.sleep(std::time::Duration::from_secs(1)).await;
    ///             }
    ///             sender.end();
    ///         });
    ///         let mut response = Response::new(StatusCode::OK).with_body(body);
    ///         response.fields_mut().set("content-type", "text/event-stream");
    ///         Ok(response)
    ///     }
    /// }
    /// ```
    pub fn channel() -> (Sender, Self) {
        Self::channel_of(Length::Chunked)
    }

    /// The same for content whose length is known beforehand, which a client is told. Other than so much is an error.
    pub fn channel_with_length(bytes: u64) -> (Sender, Self) {
        Self::channel_of(Length::Known(bytes))
    }

    fn channel_of(left: Length) -> (Sender, Self) {
        let shared = Rc::<RefCell<Shared>>::default();
        (Sender(shared.clone()), Self(Source::Channel(Receiver { shared, left })))
    }
}

impl Receiver {
    pub(crate) fn length(&self) -> Length {
        self.left
    }

    pub(crate) fn poll_pull(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<Result<Pull<Chunk>>> {
        match self.in_hand(bytes_max) {
            Ok(Some(pull)) => Poll::Ready(Ok(pull)),
            Err(error) => Poll::Ready(Err(error)),
            Ok(None) => {
                self.shared.borrow_mut().body = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn in_hand(&mut self, bytes_max: usize) -> Result<Option<Pull<Chunk>>> {
        let mut shared = self.shared.borrow_mut();
        let Some(first) = shared.queue.front_mut() else {
            return match shared.end {
                End::Open => Ok(None),
                End::Complete(_) => Ok(Some(Pull::End)),
                End::Aborted => Err(Error::new(Side::Internal, Stage::Transfer, ErrorKind::Closed)),
            };
        };
        let chunk = first.split_front(bytes_max);
        if first.is_empty() {
            shared.queue.pop_front();
        }
        shared.bytes -= chunk.len();
        if let Length::Known(left) = &mut self.left {
            *left = left.saturating_sub(chunk.len() as u64);
        }
        if let Some(waker) = shared.sender.take() {
            waker.wake();
        }
        Ok(Some(Pull::Piece(chunk)))
    }

    pub(crate) fn has_ended(&self) -> bool {
        let shared = self.shared.borrow();
        shared.queue.is_empty() && matches!(shared.end, End::Complete(_))
    }

    pub(crate) fn trailers(&self, use_them: impl FnOnce(Option<&Fields>)) {
        match &self.shared.borrow().end {
            End::Complete(trailers) => use_them(trailers.as_deref()),
            _ => use_them(None),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.gone = true;
        shared.queue.clear();
        if let Some(waker) = shared.sender.take() {
            waker.wake();
        }
    }
}
