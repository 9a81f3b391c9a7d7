//! The content of a request on its way to an origin.

use super::UpstreamConnection;
use crate::{
    content::Pull,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::Buffer,
    lane::Lane,
    pace::Outflow,
    wheel::Tick,
};
use bytes::Bytes;
use corelane_codec::Length;
use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

/// Bytes of content that are given to one send, when they come from memory.
const SLICE_BYTES: usize = 32 << 10;

/// Where the content comes from, and what of it is kept for another attempt.
pub(crate) struct Content {
    source: Source,
    length: Length,
    /// What has been taken from the client, as long as it can still be sent again.
    replay: Option<Vec<u8>>,
    /// How much of that this attempt has sent.
    replayed: usize,
    taken_bytes: u64,
    idempotent: bool,
    expects: bool,
}

enum Source {
    None,
    Bytes(Bytes, usize),
    Client(Rc<Exchange>),
}

impl Content {
    pub(crate) fn none() -> Self {
        Self {
            source: Source::None,
            length: Length::None,
            replay: None,
            replayed: 0,
            taken_bytes: 0,
            idempotent: true,
            expects: false,
        }
    }

    pub(crate) fn bytes(bytes: Bytes) -> Self {
        Self { length: Length::Known(bytes.len() as u64), source: Source::Bytes(bytes, 0), ..Self::none() }
    }

    /// From the client. It is kept for another attempt: if the method allows none, then until the first byte of the
    /// request has been written.
    pub(crate) fn from_client(exchange: Rc<Exchange>, length: Length, idempotent: bool) -> Self {
        Self {
            source: Source::Client(exchange),
            length,
            replay: Some(Vec::new()),
            idempotent,
            ..Self::none()
        }
    }

    /// Something of the request has been written. What must not be sent twice need not be kept any longer.
    fn written(&mut self) {
        if !self.idempotent {
            self.replay = None;
        }
    }

    pub(crate) fn set_expects(&mut self, expects: bool) {
        self.expects = expects && !self.length.is_empty();
    }

    pub(crate) fn length(&self) -> Length {
        self.length
    }

    /// The exchange whose client the content comes from.
    fn client(&self) -> Option<&Rc<Exchange>> {
        match &self.source {
            Source::Client(exchange) => Some(exchange),
            Source::None | Source::Bytes(..) => None,
        }
    }

    /// Makes it ready for another attempt; says whether all of it can be sent again.
    pub(crate) fn rewind(&mut self) -> bool {
        match &mut self.source {
            Source::None => true,
            Source::Bytes(_, sent) => {
                *sent = 0;
                true
            }
            Source::Client(_) => {
                self.replayed = 0;
                self.taken_bytes == 0 || self.replay.is_some()
            }
        }
    }

    /// A piece, and whether it is the last.
    fn poll_piece(&mut self, cx: &mut Context<'_>, lane: &Lane) -> Poll<Result<Option<(Buffer, bool)>>> {
        if let Some(replay) = self.replay.as_ref().filter(|replay| self.replayed < replay.len()) {
            let piece = slice(lane, &replay[self.replayed..]);
            self.replayed += piece.len();
            let last = self.replayed == replay.len()
                && self.client().is_none_or(|client| client.connection().request_ended());
            return Poll::Ready(Ok(Some((piece, last))));
        }
        match &mut self.source {
            Source::None => Poll::Ready(Ok(None)),
            Source::Bytes(bytes, sent) => {
                if *sent == bytes.len() {
                    return Poll::Ready(Ok(None));
                }
                let piece = slice(lane, &bytes[*sent..]);
                *sent += piece.len();
                let last = *sent == bytes.len();
                Poll::Ready(Ok(Some((piece, last))))
            }
            Source::Client(exchange) if exchange.is_closed() => {
                Poll::Ready(Err(Error::new(Side::Downstream, Stage::Transfer, ErrorKind::Closed)))
            }
            Source::Client(exchange) => match ready!(exchange.connection().poll_content(cx))? {
                Pull::End => Poll::Ready(Ok(None)),
                Pull::Piece(piece) => {
                    let last = exchange.connection().request_ended();
                    let bytes_max = exchange.settings().replay_bytes_max;
                    self.taken(&piece, bytes_max);
                    Poll::Ready(Ok(Some((piece, last))))
                }
            },
        }
    }

    /// A piece that is there already, to go out together with the head.
    fn piece_in_hand(&mut self, lane: &Lane) -> Result<Option<(Buffer, bool)>> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let waits = match &self.source {
            Source::Client(exchange) if self.replayed >= self.replay.as_ref().map_or(0, Vec::len) => {
                exchange.connection().has_input()
            }
            _ => true,
        };
        if !waits {
            return Ok(None);
        }
        match self.poll_piece(&mut cx, lane) {
            Poll::Ready(piece) => piece,
            Poll::Pending => Ok(None),
        }
    }

    /// A piece goes out; if it comes from the client, it has kept its pace.
    fn came(&self, piece: &Buffer) {
        if let Some(client) = self.client() {
            client.content_came(piece.len());
        }
    }

    fn taken(&mut self, piece: &Buffer, bytes_max: usize) {
        self.taken_bytes += piece.len() as u64;
        let Some(replay) = &mut self.replay else { return };
        if replay.len() + piece.len() > bytes_max {
            self.replay = None;
            return;
        }
        replay.extend_from_slice(piece.as_slice());
        self.replayed = replay.len();
    }
}

fn slice(lane: &Lane, bytes: &[u8]) -> Buffer {
    let mut piece = lane.0.buffers.take();
    let room = piece.room().min(SLICE_BYTES);
    piece.append(&bytes[..bytes.len().min(room)]);
    piece
}

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
    /// The last piece has been given to the connection.
    complete: bool,
    /// All has been handed to the kernel, or never will be.
    pub(crate) over: bool,
}

impl Upload {
    /// Begins to send: the head, and with it what has come of the content.
    pub(crate) fn begin(
        connection: &UpstreamConnection,
        mut head: Buffer,
        content: &mut Content,
        lane: &Lane,
    ) -> Result<Self> {
        let hold = if content.expects { Hold::UntilContinue(None) } else { Hold::No };
        let mut upload = Self { outflow: Outflow::default(), complete: false, over: false, hold };
        if content.length().is_empty() {
            connection.write_end(None, &mut head)?;
            upload.complete = true;
        } else if matches!(upload.hold, Hold::No)
            && let Some((mut piece, last)) = content.piece_in_hand(lane)?
        {
            content.came(&piece);
            upload.frame(connection, content, &mut piece, last)?;
            let joined = piece.prepend(head.as_slice());
            if joined {
                lane.0.buffers.give(head);
                head = piece;
            } else {
                head.append(piece.as_slice());
                lane.0.buffers.give(piece);
            }
        }
        connection.io.begin_send(head);
        Ok(upload)
    }

    fn frame(
        &mut self,
        connection: &UpstreamConnection,
        content: &Content,
        piece: &mut Buffer,
        last: bool,
    ) -> Result<()> {
        connection.frame(piece)?;
        if last {
            self.end(connection, content, piece)?;
        }
        Ok(())
    }

    fn end(&mut self, connection: &UpstreamConnection, content: &Content, buffer: &mut Buffer) -> Result<()> {
        self.complete = true;
        match content.client() {
            None => connection.write_end(None, buffer),
            Some(exchange) => {
                let mut result = Ok(());
                exchange.connection().trailers(|trailers| result = connection.write_end(trailers, buffer));
                result
            }
        }
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
        content: &mut Content,
        exchange: &Exchange,
    ) -> Poll<Result<()>> {
        let lane = exchange.lane();
        loop {
            if self.over {
                return Poll::Ready(Ok(()));
            }
            match connection.io.poll_sent(cx) {
                Poll::Ready(Ok(())) => {
                    self.outflow.done();
                    content.written();
                }
                Poll::Ready(Err(error)) => {
                    self.over = true;
                    return Poll::Ready(Err(Error::io(Side::Upstream, Stage::Send, &error)));
                }
                Poll::Pending => return self.waits_for_origin(connection, exchange),
            }
            if self.complete {
                self.over = true;
                return Poll::Ready(Ok(()));
            }
            if self.is_held_back(cx, content, exchange) || lane.has_spent(cx) {
                return Poll::Pending;
            }
            match content.poll_piece(cx, lane) {
                Poll::Ready(Ok(Some((mut piece, last)))) => {
                    content.came(&piece);
                    self.frame(connection, content, &mut piece, last)?;
                    connection.io.begin_send(piece);
                }
                Poll::Ready(Ok(None)) => {
                    let mut buffer = lane.0.buffers.take();
                    self.end(connection, content, &mut buffer)?;
                    if buffer.is_empty() {
                        lane.0.buffers.give(buffer);
                    } else {
                        connection.io.begin_send(buffer);
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.over = true;
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => return self.waits_for_client(exchange),
            }
        }
    }

    fn waits_for_origin(&mut self, connection: &UpstreamConnection, exchange: &Exchange) -> Poll<Result<()>> {
        match self.outflow.wait(&connection.io, exchange.lane(), exchange.settings().timeouts.between_bytes) {
            Some(due) => {
                exchange.expired(due);
                Poll::Pending
            }
            None => {
                self.over = true;
                Poll::Ready(Err(super::roster::too_late(Stage::Send)))
            }
        }
    }

    fn waits_for_client(&mut self, exchange: &Exchange) -> Poll<Result<()>> {
        match exchange.content_waits() {
            Ok(()) => Poll::Pending,
            Err(error) => {
                self.over = true;
                Poll::Ready(Err(error))
            }
        }
    }

    /// Whether the content waits for a 100.
    fn is_held_back(&mut self, cx: &mut Context<'_>, content: &Content, exchange: &Exchange) -> bool {
        let lane = exchange.lane();
        let Hold::UntilContinue(due) = &mut self.hold else { return false };
        let waits = content.client().is_none_or(|client| client.connection().poll_content_waits(cx));
        if waits {
            // The client has not waited for the 100, so an origin that knows no expectations must not wait either.
            let due = *due.get_or_insert_with(|| lane.after(exchange.settings().timeouts.expect));
            if exchange.expired(due) {
                self.hold = Hold::No;
                return false;
            }
        }
        true
    }
}
