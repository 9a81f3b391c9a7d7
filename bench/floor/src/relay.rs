//! The event loop.

use std::convert::Infallible;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use slab::Slab;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::buffers::{Buffers, Piece};
use crate::pair::{Pair, Receive};
use crate::ring::{Completed, End, Ring, Token};

const CLIENT: usize = 0;
const UPSTREAM: usize = 1;

/// The relay: a listener, a ring, a pool of buffers and the open pairs.
pub(crate) struct Relay {
    ring: Ring,
    buffers: Buffers,
    listener: TcpListener,
    /// Static, because the kernel reads it when a connect is submitted.
    to: &'static SockAddr,
    pairs: Slab<Pair>,
    /// Ends whose receive found the pool empty.
    starved: Vec<End>,
    accepting: bool,
}

impl Relay {
    pub(crate) fn new(listener: TcpListener, to: SocketAddr) -> io::Result<Self> {
        let ring = Ring::new()?;
        Ok(Self {
            buffers: Buffers::register(ring.uring())?,
            ring,
            listener,
            to: Box::leak(Box::new(to.into())),
            pairs: Slab::new(),
            starved: Vec::new(),
            accepting: false,
        })
    }

    /// Serves until the ring itself fails, or descriptors run out with no connection open.
    pub(crate) fn run(mut self) -> io::Result<Infallible> {
        self.accept()?;
        loop {
            self.ring.wait()?;
            while let Some(completed) = self.ring.next() {
                self.handle(completed)?;
            }
            self.buffers.publish();
            if self.buffers.any_free() {
                self.feed_starved()?;
            }
        }
    }

    fn handle(&mut self, completed: Completed) -> io::Result<()> {
        match completed.token {
            Token::Accept => self.accepted(completed),
            Token::Connect { pair } => self.connected(pair, completed.result),
            Token::Receive(end) => self.received(end, completed),
            Token::Send(end) => self.sent(end, completed.result),
            // Whether it found the receive or came too late, the receive has its own last completion.
            Token::Cancel { pair } => self.operation_done(pair),
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        self.accepting = true;
        self.ring.accept(self.listener.as_raw_fd())
    }

    fn accepted(&mut self, completed: Completed) -> io::Result<()> {
        self.accepting = completed.more;
        match completed.result {
            Ok(descriptor) => self.open(descriptor as RawFd)?,
            Err(error) if has_client_left(&error) => {}
            // Accepting again at once would spin; it goes on when a pair closes.
            Err(error) if is_exhaustion(&error) && !self.pairs.is_empty() => return Ok(()),
            Err(error) => return Err(error),
        }
        if self.accepting { Ok(()) } else { self.accept() }
    }

    fn open(&mut self, descriptor: RawFd) -> io::Result<()> {
        // SAFETY: accept has just made the descriptor, and nobody else knows it.
        let client = unsafe { Socket::from_raw_fd(descriptor) };
        let upstream = Socket::new(Domain::for_address(self.address()), Type::STREAM, Some(Protocol::TCP));
        // No socket left for the upstream: dropping the client closes it.
        let Ok(upstream) = upstream else { return Ok(()) };
        // A client that is gone already fails here, and then again when it is read from.
        let _ = client.set_tcp_nodelay(true).and_then(|()| upstream.set_tcp_nodelay(true));
        let pair = self.pairs.insert(Pair::new(client, upstream));
        self.pairs[pair].operations += 1;
        self.ring.connect(&self.pairs[pair].sides[UPSTREAM].socket, self.to, pair)
    }

    fn address(&self) -> SocketAddr {
        self.to.as_socket().expect("it was made from a socket address")
    }

    fn connected(&mut self, pair: usize, result: io::Result<u32>) -> io::Result<()> {
        match result {
            Ok(_) => {
                self.arm(End { pair, side: CLIENT })?;
                self.arm(End { pair, side: UPSTREAM })?;
            }
            Err(_) => self.fail(pair),
        }
        self.operation_done(pair)
    }

    fn arm(&mut self, end: End) -> io::Result<()> {
        let pair = &mut self.pairs[end.pair];
        let side = &mut pair.sides[end.side];
        side.receive = Receive::Armed;
        pair.operations += 1;
        self.ring.receive(&side.socket, end)
    }

    fn received(&mut self, end: End, completed: Completed) -> io::Result<()> {
        let buffer = self.buffers.take(completed.flags);
        let pair = &mut self.pairs[end.pair];
        if !completed.more {
            pair.sides[end.side].receive = Receive::Idle;
        }
        match (completed.result, buffer) {
            (Ok(bytes @ 1..), Some(buffer)) if !pair.failed => {
                pair.sides[end.other().side].outbox.push_back(Piece::new(buffer, bytes));
                self.send_next(end.other())?;
                self.balance(end)?;
            }
            (result, buffer) => {
                buffer.into_iter().for_each(|buffer| self.buffers.recycle(buffer));
                if !pair.failed {
                    self.received_nothing(end, result)?;
                }
            }
        }
        if completed.more { Ok(()) } else { self.operation_done(end.pair) }
    }

    fn received_nothing(&mut self, end: End, result: io::Result<u32>) -> io::Result<()> {
        let receive = &mut self.pairs[end.pair].sides[end.side].receive;
        match result.map_err(|error| error.raw_os_error()) {
            Ok(0) => {
                *receive = Receive::Ended;
                self.pass_end(end.other());
            }
            Err(Some(libc::ENOBUFS)) => {
                *receive = Receive::Starved;
                self.starved.push(end);
            }
            Err(Some(libc::ECANCELED)) => self.balance(end)?,
            Ok(_) | Err(_) => self.fail(end.pair),
        }
        Ok(())
    }

    /// Back-pressure: stops the receive of `end` when the other side's outbox is full, and starts it again
    /// when there is room.
    fn balance(&mut self, end: End) -> io::Result<()> {
        let pair = &mut self.pairs[end.pair];
        let outbox = &pair.sides[end.other().side];
        match pair.sides[end.side].receive {
            Receive::Armed if outbox.is_full() => {
                pair.sides[end.side].receive = Receive::Stopping;
                pair.operations += 1;
                self.ring.cancel_receive(end)
            }
            Receive::Idle if outbox.has_room() => self.arm(end),
            _ => Ok(()),
        }
    }

    /// Sends the first piece of the outbox of `end`, unless one is under way.
    fn send_next(&mut self, end: End) -> io::Result<()> {
        let pair = &mut self.pairs[end.pair];
        let side = &mut pair.sides[end.side];
        let Some(piece) = side.outbox.front().filter(|_| !side.sending) else { return Ok(()) };
        side.sending = true;
        pair.operations += 1;
        let bytes = self.buffers.unsent(piece);
        // SAFETY: the pool's memory is never unmapped, and the piece stays in the outbox, its buffer not
        // recycled, until the send has completed.
        unsafe { self.ring.send(&side.socket, bytes, end) }
    }

    fn sent(&mut self, end: End, result: io::Result<u32>) -> io::Result<()> {
        let pair = &mut self.pairs[end.pair];
        let side = &mut pair.sides[end.side];
        side.sending = false;
        match result {
            Ok(bytes @ 1..) => {
                let whole = side.outbox.front_mut().expect("it was being sent").advance(bytes);
                if whole && let Some(piece) = side.outbox.pop_front() {
                    self.buffers.recycle(piece.into_buffer());
                }
            }
            Ok(0) | Err(_) => self.fail(end.pair),
        }
        if self.pairs[end.pair].failed {
            let side = &mut self.pairs[end.pair].sides[end.side];
            self.buffers.recycle_all(&mut side.outbox);
        } else {
            self.send_next(end)?;
            self.balance(end.other())?;
            self.pass_end(end);
        }
        self.operation_done(end.pair)
    }

    /// Ends the sending direction of `end` once the other side has ended and all of it has been sent.
    fn pass_end(&mut self, end: End) {
        let pair = &self.pairs[end.pair];
        let side = &pair.sides[end.side];
        if pair.sides[end.other().side].receive == Receive::Ended && side.outbox.is_empty() {
            // An error here means that the connection is gone, which its receive reports.
            let _ = side.socket.shutdown(Shutdown::Write);
        }
    }

    fn fail(&mut self, pair: usize) {
        self.starved.retain(|end| end.pair != pair);
        self.pairs[pair].fail(&mut self.buffers);
    }

    /// Counts the end of one operation, and closes the pair after its last.
    fn operation_done(&mut self, pair: usize) -> io::Result<()> {
        self.pairs[pair].operations -= 1;
        if self.pairs[pair].is_over() {
            self.pairs.remove(pair);
            if !self.accepting {
                return self.accept();
            }
        }
        Ok(())
    }

    fn feed_starved(&mut self) -> io::Result<()> {
        // All of them: one that turns out to have nothing to read leaves its share to the others.
        for end in std::mem::take(&mut self.starved) {
            self.arm(end)?;
        }
        Ok(())
    }
}

/// Whether accepting failed because of the client, not because of us.
fn has_client_left(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ECONNABORTED | libc::EPROTO | libc::EPERM | libc::EINTR))
}

/// Whether accepting failed for want of descriptors or memory.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
