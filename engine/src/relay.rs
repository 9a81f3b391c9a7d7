//! The response on its way to the client, and what is left of the upload on its way to the origin: one poll for both,
//! with back-pressure from whoever is slower.

use crate::simulate::{Bug, has};
use crate::{
    body::{Chunk, Source},
    content::Pull,
    context::Exchange,
    downstream::Downstream,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::{Buffer, Pipe, ROOM_BYTES},
    message::{Response, unvouch},
    pace::{Gap, Outflow},
    tunnel::Rest,
};
use corelane_codec::ResponseHead;
use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// Content of which so much is left goes on unseen; less is copied sooner than it is moved.
const UNSEEN_BYTES_MIN: u64 = 64 << 10;

/// Sends a response. What is left when this returns: nothing, or what comes after a switch of protocols.
pub(crate) async fn send(exchange: &Rc<Exchange>, mut response: Response) -> Result<Rest> {
    let connection = exchange.connection();
    response.body_mut().settle();
    if exchange.expects() {
        if response.body_mut().0.client().is_none() {
            // The client was never asked for its content and may or may not send it: nobody could tell it from a
            // request.
            connection.close_after();
        } else if !connection.has_input() {
            // The content is to come back as the answer: the client has to be asked for it before the answer begins.
            exchange.ask();
        }
    }
    if exchange.lane().is_draining() || connection.door.is_retired() {
        connection.close_after();
    }
    let mut relay = Relay {
        exchange,
        connection,
        response,
        ended: false,
        client_gone: false,
        outflow: Outflow::default(),
        gap: Gap::default(),
        outgoing: None,
        pipe: None,
    };
    // An interim response may still be on its way.
    poll_fn(|cx| relay.poll_informed(cx)).await?;
    relay.begin()?;
    poll_fn(|cx| relay.poll(cx)).await?;
    Ok(if connection.has_switched() { std::mem::take(relay.source()).into_rest() } else { Rest::Nothing })
}

struct Relay<'a> {
    exchange: &'a Rc<Exchange>,
    connection: &'a Downstream,
    /// Its content is read where it lies; its head goes when it has been written.
    response: Response,
    /// The last byte of the response has been given to the connection.
    ended: bool,
    client_gone: bool,
    outflow: Outflow,
    gap: Gap,
    /// What is to be sent next.
    outgoing: Option<Buffer>,
    /// Content on its way from the origin to the client.
    pipe: Option<Pipe>,
}

impl Relay<'_> {
    /// Ready when nothing is being sent any more.
    fn poll_informed(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.exchange.begin_wait(cx);
        self.exchange.poll_informed(cx, &mut self.outflow)
    }

    /// The head, and with it what is there of the content: one send where it fits into one.
    fn begin(&mut self) -> Result<()> {
        let (connection, lane) = (self.connection, self.exchange.lane());
        let mut head = self.response.take_head();
        self.describe(&mut head);
        let mut buffer = lane.0.buffers.take();
        let written = connection.write_head(&head, &mut buffer);
        self.exchange.record(|record| record.status = head.status.as_u16());
        drop(head);
        if let Err(error) = written {
            lane.0.buffers.give(buffer);
            return Err(error);
        }
        if connection.has_switched() {
            self.ended = true;
            self.outgoing = Some(buffer);
            return Ok(());
        }
        if !connection.sends_content() && !self.source().has_ended() {
            *self.source() = Source::Empty;
        }
        let joined = self.join(&mut buffer);
        if joined.is_err() {
            // The head may go: its length or its coding tells the client that something is missing.
            connection.io.begin_send(buffer);
        } else {
            self.outgoing = Some(buffer);
        }
        joined
    }

    fn source(&mut self) -> &mut Source {
        &mut self.response.body_mut().0
    }

    /// Puts behind a head what is there of the content.
    fn join(&mut self, buffer: &mut Buffer) -> Result<()> {
        match self.source().in_hand(ROOM_BYTES)? {
            Some(Pull::End) => self.end(buffer),
            Some(Pull::Piece(piece)) if !piece.is_empty() => {
                let mut piece = self.frame(piece)?;
                if piece.prepend(buffer.as_slice()) {
                    std::mem::swap(buffer, &mut piece);
                } else {
                    buffer.append(piece.as_slice());
                }
                self.exchange.lane().0.buffers.give(piece);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Has the head say what is true of the content.
    fn describe(&mut self, head: &mut ResponseHead) {
        let source = self.source();
        // A handler may have read a part of an upstream's content.
        head.content = source.length();
        if source.is_altered() {
            unvouch(&mut head.fields);
            head.declared_length = source.declare(head.declared_length);
        }
        if !source.is_from_upstream() && !head.fields.contains("date") {
            self.exchange.lane().date(|date| head.fields.append("date", date));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let connection = self.connection;
        self.exchange.begin_wait(cx);
        // A client that has its answer may end as it likes.
        let end_is_gone = !self.ended && self.exchange.settings().abort_on_half_close;
        if !connection.has_switched()
            && let Poll::Ready(error) = connection.watch(cx, end_is_gone)
        {
            return Poll::Ready(Err(error));
        }
        if self.exchange.is_overdue() {
            return Poll::Ready(Err(Error::new(Side::Upstream, Stage::Transfer, ErrorKind::Timeout)));
        }
        loop {
            if self.ended {
                // A client that fails now has its answer all the same.
                self.client_gone |= self.poll_origin(cx).is_some_and(|result| result.is_err());
            } else {
                self.source().poll_beside(cx)?;
            }
            // Not before the origin's connection has been given back: the client's next request may be quicker than we are.
            self.send()?;
            match connection.io.poll_sent(cx) {
                Poll::Ready(Ok(())) => self.outflow.done(),
                Poll::Ready(Err(error)) => {
                    assert!(!has(Bug::ResetPanics), "a mistake that was asked for");
                    return Poll::Ready(Err(Error::io(Side::Downstream, Stage::Transfer, &error)));
                }
                Poll::Pending => return self.waits_for_client(cx),
            }
            if self.ended && self.pipe.is_none() {
                // The response is out. The rest of the upload goes on as long as the origin takes it (RFC 9112 §9.5).
                return if self.client_gone || self.poll_origin(cx).is_some() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            if self.exchange.lane().has_spent(cx) {
                return Poll::Pending;
            }
            if self.pipe.is_some() {
                continue;
            }
            match self.poll_unseen(cx) {
                Poll::Ready(Ok(true)) => continue,
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            match self.source().poll_pull(cx, ROOM_BYTES) {
                Poll::Ready(Ok(Pull::Piece(piece))) if piece.is_empty() => {}
                Poll::Ready(Ok(Pull::Piece(piece))) => {
                    let piece = self.frame(piece)?;
                    self.outgoing = Some(piece);
                }
                Poll::Ready(Ok(Pull::End)) => {
                    let mut buffer = self.exchange.lane().0.buffers.take();
                    self.end(&mut buffer)?;
                    if buffer.is_empty() {
                        self.exchange.lane().0.buffers.give(buffer);
                    } else {
                        self.outgoing = Some(buffer);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if self.source().is_made_here() && self.gap.is_over(self.exchange) => {
                    let late = Error::new(Side::Internal, Stage::Transfer, ErrorKind::Timeout);
                    return Poll::Ready(Err(late));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Moves a long content on without looking at it: through a pipe, so that it is never copied into our memory (splice(2)).
    /// `false` if it has to be pulled.
    fn poll_unseen(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        let Source::Upstream(transfer) = &mut self.response.body_mut().0 else {
            return Poll::Ready(Ok(false));
        };
        if transfer.left() < UNSEEN_BYTES_MIN {
            return Poll::Ready(Ok(false));
        }
        let Some(mut pipe) = self.exchange.lane().0.pipes.take() else { return Poll::Ready(Ok(false)) };
        let Some(count) = ready!(transfer.poll_fill(cx, &mut pipe))? else {
            return Poll::Ready(Ok(false));
        };
        self.exchange.record(|record| record.response_bytes += count as u64);
        self.connection.pass(count)?;
        self.pipe = Some(pipe);
        if self.source().has_ended() {
            self.end(&mut Buffer::default())?;
        }
        Poll::Ready(Ok(true))
    }

    /// Sends what is to go out next, unless something is on its way.
    fn send(&mut self) -> Result<()> {
        let io = &self.connection.io;
        if io.is_sending() {
            return Ok(());
        }
        if let Some(buffer) = self.outgoing.take() {
            io.begin_send(buffer);
        } else if let Some(pipe) = &mut self.pipe {
            io.begin_empty(pipe).map_err(|error| Error::io(Side::Downstream, Stage::Transfer, &error))?;
            if pipe.is_empty() {
                self.pipe = None;
            }
        }
        Ok(())
    }

    /// What is left to do with the origin once its answer is out; `None` while it is being done.
    fn poll_origin(&mut self, cx: &mut Context<'_>) -> Option<Result<()>> {
        if self.connection.has_switched() {
            return Some(Ok(()));
        }
        match self.source().poll_finish(cx) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    fn waits_for_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.ended && self.pipe.is_none() {
            self.source().prefetch(cx);
        }
        let between = self.exchange.settings().timeouts.between_bytes;
        match self.outflow.wait(&self.connection.io, self.exchange.lane(), between) {
            Some(due) => {
                self.exchange.expired(due);
                Poll::Pending
            }
            None => Poll::Ready(Err(Error::new(Side::Downstream, Stage::Transfer, ErrorKind::Timeout))),
        }
    }

    /// Puts the framing around a piece, and the end behind the last one.
    fn frame(&mut self, piece: Chunk) -> Result<Buffer> {
        self.gap.came();
        let bytes = piece.len() as u64;
        self.exchange.record(|record| record.response_bytes += bytes);
        let mut piece = piece.into_buffer(&self.exchange.lane().0.buffers);
        self.connection.frame(&mut piece)?;
        if self.source().has_ended() {
            self.end(&mut piece)?;
        }
        Ok(piece)
    }

    fn end(&mut self, buffer: &mut Buffer) -> Result<()> {
        self.ended = true;
        let mut result = Ok(());
        let connection = self.connection;
        self.source().trailers(|trailers| result = connection.write_end(trailers, buffer));
        result
    }
}
