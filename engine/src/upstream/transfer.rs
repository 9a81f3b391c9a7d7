//! The content of a response on its way, and what of the request's is still on its way out.

use super::{
    UpstreamConnection,
    attempt::Fault,
    roster::{Lease, too_late},
    upload::Upload,
};
use crate::{
    body::{Chunk, Replay},
    content::Pull,
    context::Exchange,
    error::{Result, Stage},
    io::Pipe,
    lane::Lane,
    pace::Gap,
};
use corelane_balancer::Outcome;
use corelane_codec::{Fields, Length};
use std::{
    rc::Rc,
    task::{Context, Poll},
};

/// What is still to come of an exchange with an origin. Dropping it before the end closes the connection.
pub(crate) struct Transfer {
    /// Until there is nothing left to do with the origin.
    lease: Option<Lease>,
    upload: Upload,
    content: Option<Box<Replay>>,
    exchange: Rc<Exchange>,
    gap: Gap,
    length: Length,
    /// What followed the content, once the connection has been given back.
    trailers: Option<Box<Fields>>,
}

impl Transfer {
    pub(super) fn new(
        lease: Lease,
        upload: Upload,
        content: Option<Box<Replay>>,
        exchange: &Rc<Exchange>,
        length: Length,
    ) -> Self {
        let (gap, exchange) = (Gap::default(), exchange.clone());
        Self { lease: Some(lease), upload, content, exchange, gap, length, trailers: None }
    }

    pub(crate) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    pub(crate) fn lane(&self) -> &Lane {
        self.exchange.lane()
    }

    pub(crate) fn length(&self) -> Length {
        self.length
    }

    /// The upload's own progress. An origin that no longer takes it may still have answered, so only what is no fault of
    /// its own is an error.
    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let Some(lease) = &self.lease else { return Ok(()) };
        if self.upload.over || self.upload.is_held() {
            return Ok(());
        }
        self.exchange.begin_wait(cx);
        match self.upload.poll(cx, lease.connection(), self.content.as_deref_mut(), &self.exchange) {
            Poll::Ready(Err(Fault::Ours(error))) => Err(error),
            _ => Ok(()),
        }
    }

    /// The next piece of the response's content.
    pub(crate) fn poll_pull(&mut self, cx: &mut Context<'_>) -> Poll<Result<Pull<Chunk>>> {
        let Some(lease) = &self.lease else { return Poll::Ready(Ok(Pull::End)) };
        self.exchange.begin_wait(cx);
        match lease.connection().poll_content(cx) {
            Poll::Ready(Ok(pull)) => {
                self.gap.came();
                Poll::Ready(Ok(came(pull, &mut self.length, lease)))
            }
            Poll::Ready(Err(error)) => {
                lease.judge(Outcome::Failure);
                Poll::Ready(Err(error))
            }
            Poll::Pending if self.gap.is_over(&self.exchange) => {
                lease.judge(Outcome::Failure);
                Poll::Ready(Err(too_late(Stage::Transfer)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// How much of the content is left, if it comes as it is and its length is known.
    pub(crate) fn left(&self) -> u64 {
        match self.length {
            Length::Known(left) if self.lease.is_some() => left,
            _ => 0,
        }
    }

    /// Moves content into a pipe; `None` if it is to be [pulled](Self::poll_pull) instead.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<Result<Option<usize>>> {
        let Some(lease) = &self.lease else { return Poll::Ready(Ok(None)) };
        self.exchange.begin_wait(cx);
        match lease.connection().poll_fill(cx, pipe) {
            Poll::Ready(Ok(count)) => {
                self.gap.came();
                if let Length::Known(left) = &mut self.length {
                    *left = left.saturating_sub(count.unwrap_or(0) as u64);
                }
                if lease.connection().response_ended() {
                    self.length = Length::None;
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => {
                lease.judge(Outcome::Failure);
                Poll::Ready(Err(error))
            }
            Poll::Pending if self.gap.is_over(&self.exchange) => {
                lease.judge(Outcome::Failure);
                Poll::Ready(Err(too_late(Stage::Transfer)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// A piece that is there already, to go out together with the head.
    pub(crate) fn in_hand(&mut self) -> Result<Option<Pull<Chunk>>> {
        let Some(lease) = &self.lease else { return Ok(Some(Pull::End)) };
        let pull = lease.connection().content_in_hand()?;
        Ok(pull.map(|pull| came(pull, &mut self.length, lease)))
    }

    /// Whether the end of the content is known to have been reached.
    pub(crate) fn has_ended(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.connection().response_ended())
    }

    /// Begins to receive more while the last piece is still being sent on.
    pub(crate) fn prefetch(&self, cx: &mut Context<'_>) {
        if let Some(lease) = &self.lease {
            lease.connection().prefetch(cx);
        }
    }

    pub(crate) fn trailers(&self, use_them: impl FnOnce(Option<&Fields>)) {
        match &self.lease {
            Some(lease) => lease.connection().trailers(use_them),
            None => use_them(self.trailers.as_deref()),
        }
    }

    /// The response has been received to its end: gives the connection back as soon as the upload is over, too.
    /// Ready when there is nothing left to do with the origin.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(lease) = &self.lease else { return Poll::Ready(Ok(())) };
        lease.judge(Outcome::Success);
        let mut result = Ok(());
        // Once it has answered, an origin may close or stop reading whenever it likes (RFC 9112 §9.5).
        if !self.upload.over && !self.upload.is_held() && !lease.connection().has_moved_on(cx) {
            self.exchange.begin_wait(cx);
            match self.upload.poll(cx, lease.connection(), self.content.as_deref_mut(), &self.exchange) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(Fault::Ours(error))) => result = Err(error),
                Poll::Ready(_) => {}
            }
        }
        lease.connection().trailers(|trailers| self.trailers = trailers.cloned().map(Box::new));
        self.lease = None;
        Poll::Ready(result)
    }

    /// The connection, after a switch of protocols.
    pub(crate) fn connection(&self) -> Option<&UpstreamConnection> {
        self.lease.as_ref().map(Lease::connection)
    }
}

fn came(pull: Pull, length: &mut Length, lease: &Lease) -> Pull<Chunk> {
    let pull = match pull {
        Pull::Piece(piece) => {
            if let Length::Known(left) = length {
                *left = left.saturating_sub(piece.len() as u64);
            }
            Pull::Piece(Chunk::pooled(piece, &lease.lane().0.buffers))
        }
        Pull::End => Pull::End,
    };
    if lease.connection().response_ended() {
        *length = Length::None;
    }
    pull
}
