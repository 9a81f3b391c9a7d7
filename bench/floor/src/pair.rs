//! A client's connection and the upstream connection that was opened for it.

use std::collections::VecDeque;
use std::net::Shutdown;

use socket2::Socket;

use crate::buffers::{Buffers, Piece};

/// Pieces that may wait for one side before the other side's receive is stopped.
const OUTBOX_PIECES_MAX: usize = 16;
/// Pieces at which it is started again.
const OUTBOX_PIECES_RESUME: usize = 4;

/// Where the receive of one side stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    /// Not submitted.
    Idle,
    /// Submitted; it completes once per piece.
    Armed,
    /// Submitted, and asked to stop.
    Stopping,
    /// The pool was empty: it waits in the relay's list for a buffer.
    Starved,
    /// The peer has sent its last byte.
    Ended,
}

/// One connection.
pub(crate) struct Side {
    pub(crate) socket: Socket,
    pub(crate) receive: Receive,
    /// What the other side received and this one has to send. The first piece is in flight while `sending`.
    pub(crate) outbox: VecDeque<Piece>,
    pub(crate) sending: bool,
}

impl Side {
    fn new(socket: Socket) -> Self {
        Self { socket, receive: Receive::Idle, outbox: VecDeque::new(), sending: false }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.outbox.len() >= OUTBOX_PIECES_MAX
    }

    pub(crate) fn has_room(&self) -> bool {
        self.outbox.len() <= OUTBOX_PIECES_RESUME
    }
}

/// Two connections; what one receives, the other sends.
pub(crate) struct Pair {
    /// The client's, then the upstream's.
    pub(crate) sides: [Side; 2],
    /// Operations submitted whose last completion has not been seen. The pair lives until there are none.
    pub(crate) operations: u32,
    pub(crate) failed: bool,
}

impl Pair {
    pub(crate) fn new(client: Socket, upstream: Socket) -> Self {
        Self { sides: [Side::new(client), Side::new(upstream)], operations: 0, failed: false }
    }

    /// Gives the pair up: both sockets are shut down, so that operations in flight end soon, and all buffers
    /// go back but those that the kernel is sending from.
    pub(crate) fn fail(&mut self, buffers: &mut Buffers) {
        self.failed = true;
        for side in &mut self.sides {
            // An error here means that the connection is gone already.
            let _ = side.socket.shutdown(Shutdown::Both);
            let mut unsent = side.outbox.split_off(usize::from(side.sending));
            buffers.recycle_all(&mut unsent);
        }
    }

    /// Whether nothing can happen any more: time to close both sockets.
    pub(crate) fn is_over(&self) -> bool {
        let complete = self.sides.iter().all(|side| side.receive == Receive::Ended && side.outbox.is_empty());
        self.operations == 0 && (self.failed || complete)
    }
}
