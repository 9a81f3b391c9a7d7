//! One end of a simulated connection, and how bytes get from one to the other.
//!
//! It is as TCP is: what is sent waits here until there is room there, then it is on its way, in pieces, and it stays in
//! order. An end and a reset come behind what was sent before.

use super::{
    kernel::{Calls, Waiting},
    world::World,
};
use std::{collections::VecDeque, io, net::SocketAddr, time::Duration};

/// What goes in one piece.
const PIECE_BYTES: usize = 16 << 10;
/// Into how many pieces what waits is torn, about.
const PIECES_MAX: usize = 200;
/// How long what was sent may go without an answer before a connection is given up, if nobody says (tcp(7),
/// TCP_USER_TIMEOUT).
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long those outside take to find out that the other end has vanished.
const UNNOTICED_MAX: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Open {
        peer: usize,
    },
    /// Refused, reset, or given up.
    Dead,
}

pub(super) struct End {
    pub(super) state: State,
    pub(super) peer_address: SocketAddr,
    room_bytes: usize,
    pub(super) descriptors: usize,
    pub(super) is_lanes: bool,
    /// When something came here last, by the time that is awake.
    pub(super) moved: Duration,
    /// What has come and nobody has read.
    pub(super) received: VecDeque<u8>,
    pub(super) has_fin: bool,
    pub(super) error: Option<i32>,
    pub(super) is_read_shut: bool,
    pub(super) is_write_shut: bool,
    /// What has been taken and is not on its way.
    pub(super) unsent: VecDeque<u8>,
    /// Bytes on their way.
    pub(super) in_flight: usize,
    has_sent_fin: bool,
    /// When the last that was sent arrives: nothing overtakes it.
    last_arrival: Duration,
    sent: u64,
    pub(super) resets_at: Option<u64>,
    pub(super) vanishes_at: Option<u64>,
    pub(super) has_vanished: bool,
    pub(super) patience: Duration,
    /// It had a descriptor, and has none any more.
    is_closed: bool,
    pub(super) readers: Waiting,
    pub(super) writers: Waiting,
}

impl End {
    pub(super) fn new(peer_address: SocketAddr, state: State, room_bytes: usize) -> Self {
        Self {
            state,
            peer_address,
            room_bytes,
            descriptors: 0,
            is_lanes: false,
            moved: Duration::ZERO,
            received: VecDeque::new(),
            has_fin: false,
            error: None,
            is_read_shut: false,
            is_write_shut: false,
            unsent: VecDeque::new(),
            in_flight: 0,
            has_sent_fin: false,
            last_arrival: Duration::ZERO,
            sent: 0,
            resets_at: None,
            vanishes_at: None,
            has_vanished: false,
            patience: PATIENCE,
            is_closed: false,
            readers: Waiting::default(),
            writers: Waiting::default(),
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state == State::Dead
    }

    /// Nobody has it any more.
    pub(super) fn is_gone(&self) -> bool {
        self.is_closed
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.received.is_empty()
            || self.has_fin
            || self.is_read_shut
            || self.error.is_some()
            || self.is_dead()
    }

    /// How often there has been something new; `None` if it has ended, which is for ever.
    pub(super) fn news(&self, to_read: bool) -> Option<u64> {
        let has_ended = if to_read { self.has_fin || self.is_read_shut } else { self.is_write_shut };
        let waiting = if to_read { &self.readers } else { &self.writers };
        if has_ended || self.is_dead() { None } else { Some(waiting.times()) }
    }

    fn room(&self) -> usize {
        self.room_bytes.saturating_sub(self.unsent.len() + self.in_flight)
    }

    pub(super) fn is_writable(&self) -> bool {
        match self.state {
            State::Connecting => false,
            State::Dead => true,
            // As the real one: not for a byte of room.
            State::Open { .. } => self.is_write_shut || self.room() >= self.room_bytes / 3,
        }
    }
}

/// The first bytes of a queue, all at once.
fn take(queue: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let (first, second) = queue.as_slices();
    let mut taken = Vec::with_capacity(count);
    taken.extend_from_slice(&first[..count.min(first.len())]);
    taken.extend_from_slice(&second[..count - taken.len()]);
    queue.drain(..count);
    taken
}

impl Calls {
    fn with<T>(&self, end: usize, f: impl FnOnce(&mut End) -> T) -> T {
        self.kernel().network.with(end, f)
    }

    /// A part of what could be done, now and then, for lanes.
    fn short(&self, most: usize) -> usize {
        if most > 1 && self.0.is_on_lane() && self.0.chance(self.0.0.faults.get().short) {
            1 + self.0.below(most as u64 - 1) as usize
        } else {
            most
        }
    }

    pub(super) fn send(&self, end: usize, bytes: &[u8]) -> io::Result<usize> {
        let room = self.with(end, |end| {
            if let Some(number) = end.error.take() {
                return Err(io::Error::from_raw_os_error(number));
            }
            match end.state {
                State::Dead => Err(io::ErrorKind::BrokenPipe.into()),
                State::Connecting => Err(io::ErrorKind::WouldBlock.into()),
                State::Open { .. } if end.is_write_shut => Err(io::ErrorKind::BrokenPipe.into()),
                State::Open { .. } => Ok(end.room()),
            }
        })?;
        let count = self.short(bytes.len().min(room));
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.note(count as u64);
        self.with(end, |end| end.unsent.extend(&bytes[..count]));
        self.push(end);
        Ok(count)
    }

    pub(super) fn receive(&self, end: usize, into: &mut [u8]) -> io::Result<usize> {
        let waiting = self.with(end, |end| {
            if !end.received.is_empty() {
                return Ok(end.received.len());
            }
            if end.has_fin || end.is_read_shut {
                return Ok(0);
            }
            if let Some(number) = end.error.take() {
                return Err(io::Error::from_raw_os_error(number));
            }
            if end.is_dead() { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) }
        })?;
        // Never less than there is: so it is with TCP, and so whoever got less than there was room for knows that there is
        // no more.
        let count = waiting.min(into.len());
        self.0.note(count as u64);
        let state = self.with(end, |end| {
            into[..count].copy_from_slice(&take(&mut end.received, count));
            end.state
        });
        if count > 0
            && let State::Open { peer } = state
        {
            // There is room again.
            self.push(peer);
        }
        Ok(count)
    }

    /// Sends on its way what there is room for at the other end, and the end behind it.
    pub(super) fn push(&self, end: usize) {
        let faults = self.0.0.faults.get();
        loop {
            let (state, unsent, in_flight, has_vanished) =
                self.with(end, |end| (end.state, end.unsent.len(), end.in_flight, end.has_vanished));
            let State::Open { peer } = state else { return };
            if has_vanished {
                return;
            }
            let room =
                self.with(peer, |peer| peer.room_bytes.saturating_sub(peer.received.len() + in_flight));
            let mut count = unsent.min(room).min(PIECE_BYTES);
            if faults.piece_bytes_max > 0 && count > 0 {
                // A long content is not torn to dust: that would only take time.
                let least = unsent / PIECES_MAX;
                count = count.min(1 + least + self.0.below(faults.piece_bytes_max as u64) as usize);
            }
            if count == 0 {
                break;
            }
            let piece: Vec<u8> = self.with(end, |end| {
                end.in_flight += count;
                take(&mut end.unsent, count)
            });
            if self.breaks(end, count as u64) {
                return;
            }
            let at = self.arrival(end);
            self.0.at(at, move |world| Self::of(world.clone()).deliver(end, peer, piece));
        }
        let is_over = self.with(end, |end| {
            end.is_write_shut && end.unsent.is_empty() && !std::mem::replace(&mut end.has_sent_fin, true)
        });
        if is_over && let State::Open { peer } = self.with(end, |end| end.state) {
            let at = self.arrival(end);
            self.0.at(at, move |world| {
                let calls = Self::of(world.clone());
                calls.with(peer, |peer| {
                    peer.has_fin = true;
                    peer.readers.wake(world);
                });
            });
        } else if is_over {
            self.with(end, |end| end.has_sent_fin = false);
        }
    }

    /// When what is sent now arrives.
    fn arrival(&self, end: usize) -> Duration {
        let faults = self.0.0.faults.get();
        let mut way = self.way();
        if self.0.chance(faults.stall) {
            way += Duration::from_nanos(self.0.below(faults.stall_max.as_nanos() as u64));
        }
        let at = self.0.now() + way;
        self.with(end, |end| {
            end.last_arrival = end.last_arrival.max(at);
            end.last_arrival
        })
    }

    /// Whether the connection breaks with these bytes, as it was drawn.
    fn breaks(&self, end: usize, count: u64) -> bool {
        let (resets, vanishes) = self.with(end, |end| {
            end.sent += count;
            let comes = |at: Option<u64>| at.is_some_and(|at| end.sent > at);
            (comes(end.resets_at), comes(end.vanishes_at))
        });
        if resets {
            let State::Open { peer } = self.with(end, |end| end.state) else { return true };
            self.fails(end, libc::ECONNRESET);
            self.fails(peer, libc::ECONNRESET);
        } else if vanishes {
            let State::Open { peer } = self.with(end, |end| end.state) else { return true };
            for end in [end, peer] {
                let patience = self.with(end, |end| {
                    end.has_vanished = true;
                    end.patience
                });
                // The system gives up what is not acknowledged. Those outside find out in time even if they wait for
                // something; a lane has to have deadlines of its own.
                for (wait, is_last) in [(patience, false), (UNNOTICED_MAX.max(2 * patience), true)] {
                    self.0.after(wait, move |world| {
                        let calls = Self::of(world.clone());
                        let is_noticed =
                            |end: &mut End| end.in_flight + end.unsent.len() > 0 || is_last && !end.is_lanes;
                        if calls.with(end, is_noticed) {
                            calls.fails(end, libc::ETIMEDOUT);
                        }
                    });
                }
            }
        }
        resets || vanishes
    }

    fn deliver(&self, from: usize, to: usize, piece: Vec<u8>) {
        let count = piece.len();
        if self.with(from, |from| from.has_vanished) {
            return;
        }
        let now = self.0.awake();
        self.with(from, |from| {
            from.in_flight = from.in_flight.saturating_sub(count);
            from.moved = now;
        });
        let is_taken = self.with(to, |to| {
            let is_taken = !to.is_dead() && !to.is_closed;
            if is_taken {
                to.received.extend(&piece);
                to.moved = self.0.awake();
                to.readers.wake(&self.0);
            }
            is_taken
        });
        if !is_taken {
            // Who has closed answers what still comes by a reset.
            self.fails(from, libc::ECONNRESET);
            return;
        }
        self.with(from, |from| {
            if from.is_writable() {
                from.writers.wake(&self.0);
            }
        });
        self.push(from);
    }

    /// An end is told that the connection is no more.
    pub(super) fn fails(&self, end: usize, number: i32) {
        let clears = self.0.chance(5_000);
        self.with(end, |end| {
            if end.is_dead() {
                return;
            }
            end.state = State::Dead;
            // Behind an end there is nothing left that a reset could take away.
            end.error = Some(if end.has_fin { libc::EPIPE } else { number });
            end.unsent.clear();
            end.in_flight = 0;
            // Some systems give what came before, and some do not.
            if clears && !end.has_fin {
                end.received.clear();
            }
            end.readers.wake(&self.0);
            end.writers.wake(&self.0);
        });
    }

    /// Breaks a connection off from here: the other end is told, behind nothing.
    pub(super) fn break_off(&self, end: usize) {
        let state = self.with(end, |end| {
            let state = end.state;
            end.state = State::Dead;
            end.received.clear();
            end.unsent.clear();
            end.in_flight = 0;
            end.readers.wake(&self.0);
            end.writers.wake(&self.0);
            state
        });
        if let State::Open { peer } = state
            && !self.with(end, |end| end.has_vanished)
        {
            let way = self.way();
            self.0.after(way, move |world: &World| Self::of(world.clone()).fails(peer, libc::ECONNRESET));
        }
    }

    /// A descriptor of it is closed. With the last one it ends: by a reset, if there is something that nobody has read.
    pub(super) fn let_go(&self, end: usize) {
        let (is_last, has_unread) = self.with(end, |end| {
            end.descriptors = end.descriptors.saturating_sub(1);
            (end.descriptors == 0, !end.received.is_empty())
        });
        if !is_last {
            return;
        }
        self.with(end, |end| end.is_closed = true);
        if has_unread {
            self.break_off(end);
        } else {
            self.with(end, |end| end.is_write_shut = true);
            self.push(end);
        }
    }
}
