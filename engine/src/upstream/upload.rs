//! The content of a request on its way to an origin.

use super::{UpstreamConnection, attempt::Fault, roster::too_late};
use crate::simulate::{Bug, has};
use crate::{
    body::Replay,
    content::Pull,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::{Buffer, ROOM_BYTES},
    pace::{Gap, Outflow},
    wheel::Tick,
};
use std::task::{Context, Poll};

/// What holds the content back.
enum Hold {
    No,
    /// The client waits for a 100; if its content comes all the same, then not beyond this moment.
    UntilContinue(Option<Tick>),
}

/// One attempt to get a request to an origin: the head first, then the content.
pub(crate) struct Upload {
    hold: Hold,
    outflow: Outflow,
    gap: Gap,
    /// What has been sent will not be sent again.
    once: bool,
    /// The last piece has been given to the connection.
    complete: bool,
    /// All has been handed to the kernel, or never will be.
    pub(crate) over: bool,
}

/// How content is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Not before the origin asks for it, as the head says.
    pub(crate) expects: bool,
    /// Once at most: what the request asks for is not to be done twice.
    pub(crate) once: bool,
}

impl Upload {
    /// Begins to send: the head, and with it what has come of the content.
    pub(crate) fn begin(
        connection: &UpstreamConnection,
        mut head: Buffer,
        content: Option<&mut Replay>,
        exchange: &Exchange,
        manner: Manner,
    ) -> Result<Self> {
        let hold = if manner.expects { Hold::UntilContinue(None) } else { Hold::No };
        let (outflow, gap) = (Outflow::default(), Gap::default());
        let mut upload = Self { outflow, gap, hold, once: manner.once, complete: false, over: false };
        let buffers = &exchange.lane().0.buffers;
        let Some(content) = content else {
            connection.write_end(None, &mut head)?;
            upload.complete = true;
            connection.io.begin_send(head);
            return Ok(upload);
        };
        content.begin();
        if matches!(upload.hold, Hold::No)
            && let Some(Pull::Piece(piece)) = content.in_hand(ROOM_BYTES)?
            && !piece.is_empty()
        {
            let mut piece = piece.into_buffer(buffers);
            upload.frame(connection, content, &mut piece)?;
            if piece.prepend(head.as_slice()) {
                buffers.give(head);
                head = piece;
            } else {
                head.append(piece.as_slice());
                buffers.give(piece);
            }
        }
        connection.io.begin_send(head);
        Ok(upload)
    }

    /// Puts the framing around a piece, and the end behind the last one.
    fn frame(&mut self, connection: &UpstreamConnection, content: &Replay, piece: &mut Buffer) -> Result<()> {
        self.gap.came();
        connection.frame(piece)?;
        if content.has_ended() { self.end(connection, content, piece) } else { Ok(()) }
    }

    fn end(&mut self, connection: &UpstreamConnection, content: &Replay, buffer: &mut Buffer) -> Result<()> {
        self.complete = true;
        let mut result = Ok(());
        content.source().trailers(|trailers| {
            let trailers = trailers.filter(|_| !has(Bug::TrailersLost));
            result = connection.write_end(trailers, buffer);
        });
        result
    }

    /// The origin says that it wants the content.
    pub(crate) fn go_on(&mut self) {
        self.hold = Hold::No;
    }

    /// Whether the content has been held back for a 100 that never came: then it never goes out.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.hold, Hold::UntilContinue(_))
    }

    /// Moves on. Ready when all has been handed to the kernel.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        connection: &UpstreamConnection,
        content: Option<&mut Replay>,
        exchange: &Exchange,
    ) -> Poll<Result<(), Fault>> {
        if self.over {
            return Poll::Ready(Ok(()));
        }
        let polled = self.step(cx, connection, content, exchange);
        self.over |= polled.is_ready();
        polled
    }

    fn step(
        &mut self,
        cx: &mut Context<'_>,
        connection: &UpstreamConnection,
        mut content: Option<&mut Replay>,
        exchange: &Exchange,
    ) -> Poll<Result<(), Fault>> {
        let (ours, lane) = (|error| Poll::Ready(Err(Fault::Ours(error))), exchange.lane());
        loop {
            match connection.io.poll_sent(cx) {
                Poll::Ready(Ok(())) => self.outflow.done(),
                Poll::Ready(Err(error)) => {
                    let error = Error::io(Side::Upstream, Stage::Send, &error);
                    return Poll::Ready(Err(Fault::Origin(error)));
                }
                Poll::Pending => return self.waits_for_origin(connection, exchange),
            }
            let Some(content) = content.as_deref_mut().filter(|_| !self.complete) else {
                return Poll::Ready(Ok(()));
            };
            if self.once {
                content.forget();
            }
            if self.is_held_back(cx, content, exchange) || lane.has_spent(cx) {
                return Poll::Pending;
            }
            match content.poll_pull(cx, ROOM_BYTES) {
                Poll::Ready(Ok(Pull::Piece(piece))) if piece.is_empty() => {}
                Poll::Ready(Ok(Pull::Piece(piece))) => {
                    let mut piece = piece.into_buffer(&lane.0.buffers);
                    if let Err(error) = self.frame(connection, content, &mut piece) {
                        return ours(error);
                    }
                    connection.io.begin_send(piece);
                }
                Poll::Ready(Ok(Pull::End)) => {
                    let mut buffer = lane.0.buffers.take();
                    if let Err(error) = self.end(connection, content, &mut buffer) {
                        return ours(error);
                    }
                    if buffer.is_empty() {
                        lane.0.buffers.give(buffer);
                    } else {
                        connection.io.begin_send(buffer);
                    }
                }
                Poll::Ready(Err(error)) => return ours(error),
                Poll::Pending if content.source().is_made_here() && self.gap.is_over(exchange) => {
                    return ours(Error::new(Side::Internal, Stage::Transfer, ErrorKind::Timeout));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn waits_for_origin(
        &mut self,
        connection: &UpstreamConnection,
        exchange: &Exchange,
    ) -> Poll<Result<(), Fault>> {
        match self.outflow.wait(&connection.io, exchange.lane(), exchange.settings().timeouts.between_bytes) {
            Some(due) => {
                exchange.expired(due);
                Poll::Pending
            }
            None => Poll::Ready(Err(Fault::Origin(too_late(Stage::Send)))),
        }
    }

    /// Whether the content waits for a 100.
    fn is_held_back(&mut self, cx: &mut Context<'_>, content: &Replay, exchange: &Exchange) -> bool {
        let Hold::UntilContinue(due) = &mut self.hold else { return false };
        let client = content.source().client();
        if client.is_none_or(|client| client.poll_stirs(cx)) {
            // The client has not waited for the 100, so an origin that knows no expectations must not wait either.
            let due = *due.get_or_insert_with(|| exchange.lane().after(exchange.settings().timeouts.expect));
            if exchange.expired(due) {
                if let Some(client) = client {
                    client.exchange().set_expects(false);
                }
                self.hold = Hold::No;
                return false;
            }
        }
        true
    }
}
