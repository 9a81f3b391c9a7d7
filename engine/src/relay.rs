//! The response on its way to the client, and what is left of the upload on its way to the origin: one poll for both,
//! with back-pressure from whoever is slower.

use crate::{
    body::{Source, poll_client},
    content::Pull,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::Buffer,
    message::Response,
    pace::Outflow,
    upstream::Transfer,
};
use corelane_codec::{Fields, ResponseHead};
use http::StatusCode;
use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

/// Bytes of content that are given to one send, when they come from memory.
const SLICE_BYTES: usize = 32 << 10;

/// Sends a response. What is left when this returns: nothing, or (after a switch of protocols) the two connections.
pub(crate) async fn send(exchange: &Rc<Exchange>, response: Response) -> Result<Option<Transfer>> {
    let Response { head, body } = response;
    let connection = exchange.connection();
    let expects = exchange.take_expects();
    if expects && matches!(body.0, Source::Client(..)) && !connection.has_input() {
        // The content is to come back as the answer: the client has to be asked for it before the answer begins.
        connection.begin_interim(StatusCode::CONTINUE, &Fields::new());
    } else if expects || matches!(&body.0, Source::Upstream(transfer) if transfer.was_held()) {
        // The client was never asked for its content and may or may not send it: nobody could tell it from a request.
        connection.close_after();
    }
    if exchange.lane().is_draining() || connection.door.is_retired() {
        connection.close_after();
    }
    let mut relay =
        Relay { exchange, source: body.0, ended: false, client_gone: false, outflow: Outflow::default() };
    // An interim response may still be on its way.
    poll_fn(|cx| relay.poll_informed(cx)).await?;
    relay.begin(head)?;
    poll_fn(|cx| relay.poll(cx)).await?;
    match relay.source {
        Source::Upstream(transfer) if connection.has_switched() => Ok(Some(transfer)),
        _ => Ok(None),
    }
}

struct Relay<'a> {
    exchange: &'a Rc<Exchange>,
    source: Source,
    /// The last byte of the response has been given to the connection.
    ended: bool,
    client_gone: bool,
    outflow: Outflow,
}

impl Relay<'_> {
    /// Ready when nothing is being sent any more.
    fn poll_informed(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.exchange.begin_wait(cx);
        match self.exchange.connection().io.poll_sent(cx) {
            Poll::Ready(Ok(())) => {
                self.outflow.done();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Error::io(Side::Downstream, Stage::Transfer, &error))),
            Poll::Pending => self.waits_for_client(cx),
        }
    }

    /// The head, and with it what is there of the content: one send where it fits into one.
    fn begin(&mut self, mut head: ResponseHead) -> Result<()> {
        let (connection, lane) = (self.exchange.connection(), self.exchange.lane());
        // A handler may have read a part of an upstream's content.
        head.content = self.source.length();
        if !matches!(self.source, Source::Upstream(_)) && !head.fields.contains("date") {
            lane.date(|date| head.fields.append("date", date));
        }
        let mut buffer = lane.0.buffers.take();
        let written = connection.write_head(&head, &mut buffer);
        self.exchange.record(|record| record.status = head.status.as_u16());
        lane.give_response(head);
        if let Err(error) = written {
            lane.0.buffers.give(buffer);
            return Err(error);
        }
        if connection.has_switched() {
            self.ended = true;
            connection.io.begin_send(buffer);
            return Ok(());
        }
        if !connection.sends_content()
            && !matches!(&self.source, Source::Upstream(transfer) if transfer.has_ended())
        {
            self.source = Source::Empty;
        }
        match self.piece_in_hand() {
            Ok(None) => connection.io.begin_send(buffer),
            Ok(Some(Pull::End)) => {
                self.end(&mut buffer)?;
                connection.io.begin_send(buffer);
            }
            Ok(Some(Pull::Piece(mut piece))) => {
                self.frame(&mut piece)?;
                if piece.prepend(buffer.as_slice()) {
                    lane.0.buffers.give(buffer);
                    buffer = piece;
                } else {
                    buffer.append(piece.as_slice());
                    lane.0.buffers.give(piece);
                }
                connection.io.begin_send(buffer);
            }
            Err(error) => {
                // The head may go: its length or its coding tells the client that something is missing.
                connection.io.begin_send(buffer);
                return Err(error);
            }
        }
        Ok(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let connection = self.exchange.connection();
        self.exchange.begin_wait(cx);
        if !connection.has_switched()
            && let Poll::Ready(error) = connection.watch(cx)
        {
            return Poll::Ready(Err(error));
        }
        if self.exchange.is_overdue() {
            return Poll::Ready(Err(Error::new(Side::Upstream, Stage::Transfer, ErrorKind::Timeout)));
        }
        loop {
            if let Source::Upstream(transfer) = &mut self.source
                && !connection.has_switched()
            {
                if self.ended {
                    // A client that fails now has its answer all the same.
                    self.client_gone |= matches!(transfer.poll_finish(cx), Poll::Ready(Err(_)));
                } else {
                    transfer.poll_upload(cx)?;
                }
            }
            match connection.io.poll_sent(cx) {
                Poll::Ready(Ok(())) => self.outflow.done(),
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Error::io(Side::Downstream, Stage::Transfer, &error)));
                }
                Poll::Pending => return self.waits_for_client(cx),
            }
            if self.ended {
                return self.poll_rest(cx);
            }
            if self.exchange.lane().has_spent(cx) {
                return Poll::Pending;
            }
            match self.poll_piece(cx) {
                Poll::Ready(Ok(Pull::Piece(mut piece))) => {
                    self.frame(&mut piece)?;
                    connection.io.begin_send(piece);
                }
                Poll::Ready(Ok(Pull::End)) => {
                    let mut buffer = self.exchange.lane().0.buffers.take();
                    self.end(&mut buffer)?;
                    if buffer.is_empty() {
                        self.exchange.lane().0.buffers.give(buffer);
                    } else {
                        connection.io.begin_send(buffer);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The response is out. The rest of the upload goes on as long as the origin takes it (RFC 9112 §9.5).
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.source {
            Source::Upstream(transfer) if !self.client_gone && !self.exchange.connection().has_switched() => {
                match transfer.poll_finish(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(_) => Poll::Ready(Ok(())),
                }
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn waits_for_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let (connection, lane) = (self.exchange.connection(), self.exchange.lane());
        if let Source::Upstream(transfer) = &self.source
            && !self.ended
        {
            transfer.prefetch(cx);
        }
        match self.outflow.wait(&connection.io, lane, self.exchange.settings().timeouts.between_bytes) {
            Some(due) => {
                self.exchange.expired(due);
                Poll::Pending
            }
            None => Poll::Ready(Err(Error::new(Side::Downstream, Stage::Transfer, ErrorKind::Timeout))),
        }
    }

    fn piece_in_hand(&mut self) -> Result<Option<Pull>> {
        match &mut self.source {
            Source::Upstream(transfer) => transfer.piece_in_hand(),
            Source::Empty | Source::Bytes(_) => self.next_slice().map(Some),
            Source::Client(..) => Ok(None),
        }
    }

    fn next_slice(&mut self) -> Result<Pull> {
        let Source::Bytes(bytes) = &mut self.source else { return Ok(Pull::End) };
        if bytes.is_empty() {
            return Ok(Pull::End);
        }
        let mut piece = self.exchange.lane().0.buffers.take();
        let count = bytes.len().min(piece.room()).min(SLICE_BYTES);
        piece.append(&bytes.split_to(count));
        Ok(Pull::Piece(piece))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Pull>> {
        match &mut self.source {
            Source::Upstream(transfer) => transfer.poll_download(cx),
            Source::Empty | Source::Bytes(_) => Poll::Ready(self.next_slice()),
            Source::Client(exchange, _) => poll_client(cx, exchange),
        }
    }

    /// Puts the framing around a piece, and the end behind the last one.
    fn frame(&mut self, piece: &mut Buffer) -> Result<()> {
        let bytes = piece.len() as u64;
        self.exchange.record(|record| record.response_bytes += bytes);
        self.exchange.connection().frame(piece)?;
        let last = match &self.source {
            Source::Upstream(transfer) => transfer.has_ended(),
            Source::Bytes(bytes) => bytes.is_empty(),
            Source::Empty => true,
            Source::Client(exchange, _) => exchange.connection().request_ended(),
        };
        if last { self.end(piece) } else { Ok(()) }
    }

    fn end(&mut self, buffer: &mut Buffer) -> Result<()> {
        self.ended = true;
        let connection = self.exchange.connection();
        match &self.source {
            Source::Upstream(transfer) => {
                let mut result = Ok(());
                transfer.trailers(|trailers| result = connection.write_end(trailers, buffer));
                result
            }
            _ => connection.write_end(None, buffer),
        }
    }
}
