//! The content of a client's request, as it comes.

use super::Chunk;
use crate::{
    content::Pull,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::Buffer,
};
use corelane_codec::{Fields, Length};
use std::{
    rc::Rc,
    task::{Context, Poll},
};

/// Content that comes from a client.
pub(crate) struct FromClient {
    exchange: Rc<Exchange>,
    left: Length,
    /// What followed it, once it has ended: the connection's next request may have come since.
    end: Option<Option<Box<Fields>>>,
}

impl FromClient {
    pub(crate) fn new(exchange: &Rc<Exchange>, length: Length) -> Self {
        Self { exchange: exchange.clone(), left: length, end: None }
    }

    pub(crate) fn exchange(&self) -> &Rc<Exchange> {
        &self.exchange
    }

    pub(crate) fn length(&self) -> Length {
        self.left
    }

    /// The next piece. A client that waits to be asked for it is asked (RFC 9110 §10.1.1).
    pub(crate) fn poll_pull(&mut self, cx: &mut Context<'_>) -> Poll<Result<Pull<Chunk>>> {
        self.exchange.begin_wait(cx);
        if self.end.is_some() {
            return Poll::Ready(Ok(Pull::End));
        }
        if let Err(error) = self.check() {
            return Poll::Ready(Err(error));
        }
        let connection = self.exchange.connection();
        if self.exchange.expects() && !connection.has_input() {
            self.exchange.ask();
        }
        if !connection.response_begun()
            && let Poll::Ready(Err(error)) = connection.io.poll_sent(cx)
        {
            // Nobody else may be there to send what asks.
            return Poll::Ready(Err(Error::io(Side::Downstream, Stage::Transfer, &error)));
        }
        match connection.poll_content(cx)? {
            Poll::Ready(pull) => Poll::Ready(Ok(self.came(pull))),
            Poll::Pending => {
                self.exchange.content_waits()?;
                Poll::Pending
            }
        }
    }

    /// What has come already.
    pub(crate) fn in_hand(&mut self) -> Result<Option<Pull<Chunk>>> {
        if self.end.is_some() {
            return Ok(Some(Pull::End));
        }
        self.check()?;
        let pull = self.exchange.connection().content_in_hand()?;
        Ok(pull.map(|pull| self.came(pull)))
    }

    /// What comes after the end of an exchange is the content of another request.
    fn check(&self) -> Result<()> {
        if self.exchange.is_closed() {
            return Err(Error::new(Side::Downstream, Stage::Transfer, ErrorKind::Closed));
        }
        Ok(())
    }

    fn came(&mut self, pull: Pull<Buffer>) -> Pull<Chunk> {
        let connection = self.exchange.connection();
        if connection.request_ended() {
            let mut trailers = None;
            connection.trailers(|fields| trailers = fields.cloned().map(Box::new));
            (self.end, self.left) = (Some(trailers), Length::None);
        }
        match pull {
            Pull::Piece(piece) => {
                self.exchange.content_came(piece.len());
                if let Length::Known(left) = &mut self.left {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                Pull::Piece(Chunk::pooled(piece, &self.exchange.lane().0.buffers))
            }
            Pull::End => {
                self.exchange.content_came(0);
                Pull::End
            }
        }
    }

    /// Whether the end is known to have been reached.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    pub(crate) fn trailers(&self, use_them: impl FnOnce(Option<&Fields>)) {
        use_them(self.end.as_ref().and_then(Option::as_deref));
    }

    /// Whether some of it has come; if not, the task is woken when it does.
    pub(crate) fn poll_stirs(&self, cx: &mut Context<'_>) -> bool {
        self.exchange.is_closed() || self.exchange.connection().poll_content_waits(cx)
    }
}
