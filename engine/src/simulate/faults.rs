//! What may go wrong in a simulated world.

use std::time::Duration;

/// How often what goes wrong. Parts are of 10,000: 0 is never, 10,000 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// What a socket takes in each direction before somebody reads it, in bytes. That is no fault; how much of it there is
    /// decides who waits for whom.
    pub room_bytes: usize,
    /// A piece that is sent arrives in pieces of at most so many bytes; 0: as it was sent.
    pub piece_bytes_max: usize,
    /// The system takes or gives a part of what it could.
    pub short: u64,
    /// A piece that is sent stays away for a while, and what follows with it.
    pub stall: u64,
    /// For so long at most.
    pub stall_max: Duration,
    /// A connection is reset from both sides, at a byte that is drawn when it is made.
    pub reset: u64,
    /// A connection's far end vanishes without a word, at a byte that is drawn when it is made.
    pub vanish: u64,
    /// A connect is refused.
    pub refuse: u64,
    /// A connect takes up to [`stall_max`](Self::stall_max).
    pub late_connect: u64,
    /// A connect has no answer at all.
    pub silent_connect: u64,
    /// A connect finds no port, or no memory.
    pub failed_connect: u64,
    /// An accept fails, by one of the errors of accept(2).
    pub failed_accept: u64,
    /// No descriptor can be had.
    pub no_descriptor: u64,
    /// A wake-up comes late, by up to 10 ms: as when completions wait in the kernel because a queue was full.
    pub late_wake: u64,
    /// Somebody is told that there is something, and there is nothing.
    pub spurious_wake: u64,
    /// A timer goes off up to 20 ms late.
    pub late_timer: u64,
    /// All lanes stand still together while time goes on, by up to two minutes: a stopped process, a frozen machine. Looked
    /// at once for each simulated second.
    pub pause: u64,
    /// Tasks that came to be ready together are polled in another order.
    pub disorder: u64,
}

impl Faults {
    /// A world in which nothing goes wrong, and messages take some microseconds.
    pub const fn none() -> Self {
        Self {
            room_bytes: 64 << 10,
            piece_bytes_max: 0,
            short: 0,
            stall: 0,
            stall_max: Duration::from_secs(1),
            reset: 0,
            vanish: 0,
            refuse: 0,
            late_connect: 0,
            silent_connect: 0,
            failed_connect: 0,
            failed_accept: 0,
            no_descriptor: 0,
            late_wake: 0,
            spurious_wake: 0,
            late_timer: 0,
            pause: 0,
            disorder: 0,
        }
    }
}
