//! A connection owns its operations: one to receive, one to send.
//!
//! What the system can do at once is done by a call of it: most sends, and receives of what is known to be there. What
//! has to be waited for is left to the loop. Each direction has a **slot** that says whether an operation is under way, and
//! what came of it. Futures outside only wait on a slot: dropping one drops no operation, and the next to wait takes it up.
//!
//! (Measured: a receive that the ring performs holds a buffer for as long as it waits, so that as many buffers go through
//! the cache as there are connections; and each operation on the ring costs a completion, a wake and a poll. See
//! bench/FINDINGS.md.)
//!
//! A connection that has long been idle [sleeps](Connection::fall_asleep): slots and buffers go, and only the wait for
//! something to receive is left.

use super::{
    Fd, Watch,
    buffer::{Buffer, Buffers, TAILROOM_BYTES},
    pipe::Pipe,
    runtime::Direction,
    system,
};
use crate::kept::Free;
use crate::simulate::{Bug, has};
use std::{
    cell::{Cell, RefCell},
    io,
    net::Shutdown,
    os::fd::RawFd,
    rc::Rc,
    task::{Context, Poll},
};

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Idle,
    /// It waits until the system can do it.
    Working,
    /// The outcome waits.
    Done,
}

/// One direction.
#[derive(Default)]
struct Slot(Cell<State>);

impl Slot {
    fn begin(&self) {
        assert!(self.0.replace(State::Working) == State::Idle, "one operation at a time in each direction");
    }

    fn finish(&self) {
        self.0.set(State::Done);
    }

    fn rest(&self) {
        self.0.set(State::Idle);
    }

    fn is_idle(&self) -> bool {
        self.0.get() == State::Idle
    }
}

/// Both directions of a connection, and what is in hand of each.
#[derive(Default)]
struct Slots {
    rx: Slot,
    tx: Slot,
    /// What a receive gave, and into what; none if there is only something to receive.
    received: Cell<Option<(io::Result<usize>, Buffer)>>,
    /// What has been received and was not enough, until there is more.
    partial: Cell<Option<Buffer>>,
    /// What the system has not taken yet.
    unsent: Cell<Option<Buffer>>,
    /// Why a send failed.
    failed: Cell<Option<io::Error>>,
    /// Bytes that sends have got rid of so far.
    sent_bytes: Cell<u64>,
}

impl Slots {
    fn sent(&self, count: usize) {
        self.sent_bytes.set(self.sent_bytes.get() + count as u64);
    }

    fn is_idle(&self) -> bool {
        self.rx.is_idle() && self.tx.is_idle()
    }
}

/// What a receive gave.
#[derive(Debug)]
pub(crate) enum Received {
    /// Something was received; the buffer holds it, behind what it held before.
    Bytes(Buffer),
    /// The peer will send no more. The buffer is what was received before and not yet used.
    End(Buffer),
}

/// Whether there may be something to receive already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// More of a message is due, and may be there.
    Short,
    /// A next message, for which nobody knows how long to wait.
    Long,
}

/// What has come, while its outcome is left where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Bytes.
    Bytes,
    /// The peer will send no more.
    End,
    /// Nothing yet.
    Nothing,
    /// The connection is broken.
    Failed,
}

/// The slots that no connection needs at the moment. In boxes: a connection holds one, and an idle one holds none.
#[derive(Clone, Default)]
pub(crate) struct Spares(Rc<Free<Box<Slots>>>);

impl Spares {
    /// Made in batches, so that they lie together: when idle connections have given theirs back, whole pages are
    /// free, and not holes between what lives long.
    const BATCH: usize = 64;

    fn take(&self) -> Box<Slots> {
        self.0.take().unwrap_or_else(|| {
            (1..Self::BATCH).for_each(|_| self.0.give(Box::default()));
            Box::default()
        })
    }

    fn give(&self, slots: Box<Slots>) {
        if slots.is_idle() {
            slots.sent_bytes.set(0);
            self.0.give(slots);
        }
    }

    pub(crate) fn kept(&self) -> usize {
        self.0.len()
    }

    /// Frees all but so many.
    pub(crate) fn shrink(&self, keep: usize) {
        self.0.shrink(keep);
    }
}

/// A connected socket and its two operations.
pub(crate) struct Connection {
    fd: RawFd,
    watch: Watch,
    slots: RefCell<Option<Box<Slots>>>,
    /// The system has said that it is broken. It says so once, to whoever asks first, be it a send; whoever receives
    /// afterwards is told of an end, as if nothing were missing.
    is_broken: Cell<bool>,
    buffers: Buffers,
    spares: Spares,
}

impl Connection {
    pub(crate) fn new(socket: Watch, buffers: &Buffers, spares: &Spares) -> Self {
        Self {
            fd: socket.fd(),
            watch: socket,
            slots: RefCell::new(Some(spares.take())),
            is_broken: Cell::new(false),
            buffers: buffers.clone(),
            spares: spares.clone(),
        }
    }

    /// Makes it ready for operations, after [`fall_asleep`](Self::fall_asleep).
    pub(crate) fn wake(&self) {
        *self.slots.borrow_mut() = Some(self.spares.take());
    }

    fn with<T>(&self, f: impl FnOnce(&Slots) -> T) -> T {
        f(self.slots.borrow().as_ref().expect("a connection that sleeps is woken before it is used"))
    }

    /// Ready when there may be something to do in a direction. A connection that cannot be waited for is broken: the call
    /// that follows must say so, and not that there is nothing yet, for then it would be tried for ever.
    fn poll_ready(&self, direction: Direction, cx: &Context<'_>) -> Poll<()> {
        self.watch.poll(direction, cx).map(|waited| {
            if waited.is_err() {
                self.is_broken.set(true);
                self.shutdown(Shutdown::Both);
            }
        })
    }

    /// Whether the outcome of an operation waits.
    fn drive(&self, slot: &Slot, direction: Direction, cx: &Context<'_>) -> bool {
        if slot.0.get() == State::Working && self.poll_ready(direction, cx).is_ready() {
            slot.finish();
        }
        slot.0.get() == State::Done
    }

    /// Gives up everything but a wait for something to receive; no buffer may be under way. [`wake`](Self::wake) must be
    /// called before anything else is.
    pub(crate) fn fall_asleep(&self) {
        assert!(!self.is_sending(), "only an idle connection sleeps");
        if let Some(slots) = self.slots.borrow_mut().take() {
            if slots.rx.0.get() == State::Working {
                slots.rx.rest();
            }
            self.spares.give(slots);
        }
    }

    /// Ready when there may be something to receive, while it sleeps.
    pub(crate) fn poll_stirs(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll_ready(Direction::In, cx)
    }

    /// Both directions end; operations in flight finish.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        system::shutdown(self.fd, how);
    }

    /// The peer is to see that what it got is not the whole: a reset, at once.
    pub(crate) fn abort(&self) {
        system::reset(self.fd);
    }

    /// Another descriptor of the same connection, for another lane.
    pub(crate) fn duplicate(&self) -> io::Result<Fd> {
        system::duplicate(self.fd)
    }

    /// Bytes that the kernel has taken and the peer has not acknowledged.
    pub(crate) fn queued_bytes(&self) -> u64 {
        system::queued_bytes(self.fd)
    }

    /// Whether a receive is under way, or its outcome waits.
    pub(crate) fn is_receiving(&self) -> bool {
        self.with(|slots| !slots.rx.is_idle())
    }

    /// Whether a send is under way.
    pub(crate) fn is_sending(&self) -> bool {
        self.with(|slots| !slots.tx.is_idle())
    }

    /// Bytes handed to the kernel since the connection was made, or last woken.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.with(|slots| slots.sent_bytes.get())
    }

    /// Begins to receive behind what `buffer` holds, unless a receive is under way. Whoever waits holds no buffer but one
    /// that has something in it.
    pub(crate) fn begin_receive(&self, buffer: Option<Buffer>, wait: Wait) {
        self.with(|Slots { rx, partial, received, .. }| {
            if !rx.is_idle() {
                assert!(buffer.is_none(), "a buffer would be lost");
                return;
            }
            let buffer = match wait {
                Wait::Short => match self.receive_now(buffer) {
                    Ok(outcome) => {
                        received.set(Some(outcome));
                        return rx.finish();
                    }
                    Err(buffer) => buffer,
                },
                Wait::Long => buffer,
            };
            partial.set(buffer);
            rx.begin();
        });
    }

    /// Receives what has come behind what `buffer` holds, or into one that was used a moment ago, so that it is still in
    /// the cache. An error if nothing has: what was given comes back.
    fn receive_now(&self, buffer: Option<Buffer>) -> Result<(io::Result<usize>, Buffer), Option<Buffer>> {
        let had = buffer.is_some();
        let mut buffer = buffer.unwrap_or_else(|| self.buffers.take());
        let end = buffer.tail().capacity() - TAILROOM_BYTES;
        let room = end.saturating_sub(buffer.tail().len());
        let received = system::receive_now(self.fd, buffer.tail(), end);
        let is_all = |count: &usize| (1..room).contains(count) || has(Bug::MoreForgotten);
        if received.as_ref().map_or_else(would_block, is_all) {
            self.watch.exhausted(Direction::In);
        }
        match received {
            Err(error) if would_block(&error) && had => Err(Some(buffer)),
            Err(error) if would_block(&error) => {
                self.buffers.give(buffer);
                Err(None)
            }
            result => Ok((self.unless_broken(result), buffer)),
        }
    }

    /// What a receive has really given: no end, if it was broken off.
    fn unless_broken(&self, received: io::Result<usize>) -> io::Result<usize> {
        match received {
            Ok(0) if self.is_broken.get() => Err(io::ErrorKind::ConnectionReset.into()),
            Ok(count) => Ok(count),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Takes note of an error. That nothing can be sent any more is none if the peer has ended: what it said is whole.
    fn broken(&self, error: io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::BrokenPipe {
            self.is_broken.set(true);
        }
        error
    }

    fn peek(&self) -> Arrival {
        match system::peek(self.fd) {
            Arrival::End if self.is_broken.get() => Arrival::Failed,
            Arrival::Failed => {
                self.is_broken.set(true);
                Arrival::Failed
            }
            arrival => arrival,
        }
    }

    /// Drives the receive under way, and leaves its outcome where it is. Pending when none is under way.
    pub(crate) fn poll_arrival(&self, cx: &mut Context<'_>) -> Poll<Arrival> {
        self.with(|slots| {
            while self.drive(&slots.rx, Direction::In, cx) {
                let received = slots.received.take();
                let arrival = match &received {
                    None => self.peek(),
                    Some((Ok(0), _)) => Arrival::End,
                    Some((Ok(_), _)) => Arrival::Bytes,
                    Some((Err(_), _)) => Arrival::Failed,
                };
                slots.received.set(received);
                if arrival != Arrival::Nothing {
                    return Poll::Ready(arrival);
                }
                // What there was has been received since the loop spoke of it.
                self.watch.exhausted(Direction::In);
                slots.rx.rest();
                slots.rx.begin();
            }
            Poll::Pending
        })
    }

    /// The outcome of the receive under way; one must have been begun.
    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        let received = self.with(|Slots { rx, partial, received, .. }| {
            assert!(!rx.is_idle(), "nothing is being received");
            while self.drive(rx, Direction::In, cx) {
                rx.rest();
                match received.take().map_or_else(|| self.receive_now(partial.take()), Ok) {
                    Ok(received) => return Some(received),
                    Err(buffer) => {
                        partial.set(buffer);
                        rx.begin();
                    }
                }
            }
            None
        });
        Poll::Ready(match received {
            None => return Poll::Pending,
            Some((Ok(0), buffer)) => Ok(Received::End(buffer)),
            Some((Ok(_), buffer)) => Ok(Received::Bytes(buffer)),
            Some((Err(error), buffer)) => {
                self.buffers.give(buffer);
                Err(error)
            }
        })
    }

    /// Begins to send all that `buffer` holds; nothing else may be under way in that direction.
    ///
    /// The system takes nearly everything at once, and asking it directly costs less than having the loop ask and tell
    /// later; what it does not take waits until there is room.
    pub(crate) fn begin_send(&self, buffer: Buffer) {
        self.with(|slots| {
            assert!(slots.tx.is_idle(), "one operation at a time in each direction");
            match self.send_some(slots, buffer) {
                Ok(true) => {}
                Ok(false) => slots.tx.begin(),
                Err(error) => {
                    slots.failed.set(Some(error));
                    slots.tx.finish();
                }
            }
        });
    }

    /// Sends what the system takes now; whether that is everything. The rest is kept.
    fn send_some(&self, slots: &Slots, mut buffer: Buffer) -> io::Result<bool> {
        match system::send_now(self.fd, buffer.as_slice()) {
            Ok(count) => {
                slots.sent(count);
                if count < buffer.len() {
                    self.watch.exhausted(Direction::Out);
                }
                if !has(Bug::ShortSendRepeated) || count == buffer.len() {
                    buffer.consume(count);
                }
            }
            Err(error) if would_block(&error) => self.watch.exhausted(Direction::Out),
            Err(error) => {
                self.buffers.give(buffer);
                return Err(self.broken(error));
            }
        }
        let is_all = buffer.is_empty() || has(Bug::ShortSendForgotten);
        if is_all {
            self.buffers.give(buffer);
        } else {
            slots.unsent.set(Some(buffer));
        }
        Ok(is_all)
    }

    /// Takes content into a pipe, at most `bytes_max` of it; `None` if the connection has something in hand, or receives
    /// it, so that content must be received first. It is 0 at the end of what the peer sends.
    pub(crate) fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        bytes_max: u64,
    ) -> Poll<io::Result<Option<usize>>> {
        self.with(|Slots { rx, received, .. }| {
            loop {
                match rx.0.get() {
                    State::Idle => match pipe.fill(self.fd, bytes_max) {
                        Err(error) if would_block(&error) => {
                            self.watch.exhausted(Direction::In);
                            rx.begin();
                        }
                        result => return Poll::Ready(self.unless_broken(result).map(Some)),
                    },
                    State::Working if !self.drive(rx, Direction::In, cx) => return Poll::Pending,
                    State::Working => {}
                    State::Done => match received.take() {
                        None => rx.rest(),
                        in_hand => {
                            received.set(in_hand);
                            return Poll::Ready(Ok(None));
                        }
                    },
                }
            }
        })
    }

    /// Sends what is in a pipe, or as much of it as the system takes now; the rest has to wait until
    /// [`poll_sent`](Self::poll_sent) is ready. Nothing else may be under way in that direction.
    pub(crate) fn begin_empty(&self, pipe: &mut Pipe) -> io::Result<()> {
        self.with(|slots| {
            match pipe.empty(self.fd) {
                // A part says nothing of whether there is room: splice(2) may stop for reasons of its own.
                Ok(count) => slots.sent(count),
                Err(error) if would_block(&error) => self.watch.exhausted(Direction::Out),
                Err(error) => return Err(self.broken(error)),
            }
            if !pipe.is_empty() {
                slots.tx.begin();
            }
            Ok(())
        })
    }

    /// Ready when nothing is being sent any more.
    pub(crate) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|slots| {
            while !slots.tx.is_idle() {
                if !self.drive(&slots.tx, Direction::Out, cx) {
                    return Poll::Pending;
                }
                slots.tx.rest();
                if let Some(error) = slots.failed.take() {
                    return Poll::Ready(Err(error));
                }
                if let Some(buffer) = slots.unsent.take()
                    && !self.send_some(slots, buffer)?
                {
                    slots.tx.begin();
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Whether the peer has sent something that nobody has received: a close would reset the connection now.
    pub(crate) fn has_unread(&self) -> bool {
        let in_hand = self.with(|slots| {
            let received = slots.received.take();
            let is_some = matches!(&received, Some((Ok(count), _)) if *count > 0);
            slots.received.set(received);
            is_some
        });
        in_hand || system::peek(self.fd) == Arrival::Bytes
    }

    /// Whether the peer has neither closed nor sent anything; for a connection on which nothing is being received.
    pub(crate) fn is_silent(&self) -> bool {
        self.peek() == Arrival::Nothing
    }

    /// Has the loop take note of what comes, without anybody waiting for it.
    pub(crate) fn listen(&self) {
        self.watch.listen();
    }
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

impl Drop for Connection {
    fn drop(&mut self) {
        if has(Bug::DescriptorLeaked) {
            let _ = self.duplicate().map(std::mem::forget);
        }
        let Some(slots) = self.slots.borrow_mut().take() else { return };
        let Slots { rx, tx, received, partial, unsent, failed, .. } = &*slots;
        for buffer in [received.take().map(|(_, buffer)| buffer), partial.take(), unsent.take()] {
            buffer.into_iter().for_each(|buffer| self.buffers.give(buffer));
        }
        failed.take();
        rx.rest();
        tx.rest();
        self.spares.give(slots);
    }
}
