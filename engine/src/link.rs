//! Connections of our own, with nothing of HTTP about them.

use crate::{
    address::Address,
    io::{Buffer, Connection, ROOM_BYTES, Received, Wait, connect},
    lane::Lane,
};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::Shutdown,
    task::{Context, Poll, ready},
};

/// A connection that a lane has opened, for whoever speaks a protocol himself: bytes both ways, with back-pressure.
///
/// It has no deadlines: [end](Self::abort) it, or wait with [`Lane::timeout`]. Dropping a future of it loses nothing, and
/// dropping it closes the connection.
///
/// ```no_run
/// # async fn ask(lane: &corelane_engine::Lane) -> std::io::Result<()> {
/// let link = lane.connect(&"127.0.0.1:6379".parse().expect("an address")).await?;
/// link.send(b"PING\r\n").await?;
/// while link.fill().await? {
///     let answered = link.with_input(|input| input.ends_with(b"\r\n"));
///     if answered {
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Link {
    io: Connection,
    lane: Lane,
    input: RefCell<Option<Buffer>>,
    /// The last receive took all that there was room for: there may be more.
    filled: Cell<bool>,
    ended: Cell<bool>,
}

impl Lane {
    /// Opens a connection. The future may be dropped at any time.
    ///
    /// # Errors
    /// The system's, such as a refusal; there is no time limit but the system's own.
    pub async fn connect(&self, address: &Address) -> io::Result<Link> {
        let between_bytes = self.settings().timeouts.between_bytes;
        let stream = connect(address, None, between_bytes).await?;
        Ok(Link {
            io: Connection::new(stream, &self.0.buffers, &self.0.spares),
            lane: self.clone(),
            input: RefCell::default(),
            filled: Cell::new(false),
            ended: Cell::new(false),
        })
    }
}

impl Link {
    /// The most that one [`begin_send`](Self::begin_send) takes, in bytes.
    pub const SEND_BYTES_MAX: usize = ROOM_BYTES;

    /// Shows what has been received and not been [consumed](Self::consume).
    pub fn with_input<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        match &*self.input.borrow() {
            Some(buffer) => look(buffer.as_slice()),
            None => look(&[]),
        }
    }

    /// Drops `count` bytes from the front of the input.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn consume(&self, count: usize) {
        let mut input = self.input.borrow_mut();
        let Some(buffer) = input.as_mut() else {
            assert!(count == 0, "consumed more than there is");
            return;
        };
        buffer.consume(count);
        if buffer.is_empty() {
            self.lane.0.buffers.give(input.take().expect("it was there"));
        }
    }

    /// Whether the other side has ended its direction.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Receives more behind the input; `false` once the other side has ended its direction.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn fill(&self) -> io::Result<bool> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// As [`fill`](Self::fill). All polls of a link belong into one task: the last one is woken.
    ///
    /// # Errors
    /// As there.
    pub fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.ended.get() {
            return Poll::Ready(Ok(false));
        }
        if !self.io.is_receiving() {
            let mut input = self.input.take();
            if let Some(buffer) = input.as_mut()
                && buffer.room() == 0
            {
                buffer.make_room(&self.lane.0.buffers);
            }
            // What came last was all that there was, and to look again at once mostly finds nothing.
            self.io.begin_receive(input, if self.filled.get() { Wait::Short } else { Wait::Long });
        }
        let received = ready!(self.io.poll_receive(cx))?;
        self.ended.set(matches!(received, Received::End(_)));
        let (Received::Bytes(buffer) | Received::End(buffer)) = received;
        self.filled.set(buffer.room() == 0);
        if buffer.is_empty() {
            self.lane.0.buffers.give(buffer);
        } else {
            *self.input.borrow_mut() = Some(buffer);
        }
        Poll::Ready(Ok(!self.ended.get()))
    }

    /// Whether the system has not yet taken all of what was sent last.
    pub fn is_sending(&self) -> bool {
        self.io.is_sending()
    }

    /// Sends all of `bytes`: ready when the system has taken them.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        poll_fn(|cx| {
            loop {
                ready!(self.poll_sent(cx))?;
                if bytes.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let (piece, rest) = bytes.split_at(bytes.len().min(Self::SEND_BYTES_MAX));
                bytes = rest;
                self.begin_send(|out| out.extend_from_slice(piece));
            }
        })
        .await
    }

    /// Begins to send what `write` appends to a buffer, which has room for [`SEND_BYTES_MAX`](Self::SEND_BYTES_MAX) bytes.
    /// The bytes before what is appended are not `write`'s.
    ///
    /// The system gets it at once, and takes as much as it has room for; [`poll_sent`](Self::poll_sent) sees to the rest.
    ///
    /// # Panics
    /// If something is being sent.
    pub fn begin_send(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut buffer = self.lane.0.buffers.take();
        write(buffer.tail());
        if buffer.is_empty() {
            self.lane.0.buffers.give(buffer);
        } else {
            self.io.begin_send(buffer);
        }
    }

    /// Ready when the system has taken everything, or nothing is being sent.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_sent(cx)
    }

    /// Nothing more is sent: the other side sees the end, and may still send.
    pub fn end(&self) {
        self.io.shutdown(Shutdown::Write);
    }

    /// Both directions end, at once; what is waiting is woken.
    pub fn abort(&self) {
        self.io.shutdown(Shutdown::Both);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(buffer) = self.input.take() {
            self.lane.0.buffers.give(buffer);
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("ended", &self.ended).finish_non_exhaustive()
    }
}
