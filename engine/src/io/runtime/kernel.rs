//! What the loop waits on: a ring, or epoll.

use crate::sys::{Epoll, Fired, Ring, Wanted};
use std::{io, os::fd::RawFd};

#[expect(clippy::large_enum_variant, reason = "a lane has one, and it is used all the time")]
pub(super) enum Kernel {
    Ring(Ring),
    Epoll(Epoll),
}

impl Kernel {
    pub(super) fn arm(&mut self, fd: RawFd, wanted: Wanted) -> io::Result<()> {
        match self {
            Self::Ring(ring) => ring.arm(fd, wanted),
            Self::Epoll(epoll) => epoll.arm(fd, wanted),
        }
    }

    /// Takes a wait back.
    pub(super) fn disarm(&mut self, fd: RawFd, token: u64) {
        // What cannot be taken back is of a generation that nobody listens to any more.
        let _ = match self {
            Self::Ring(ring) => ring.disarm(token),
            Self::Epoll(epoll) => epoll.disarm(fd),
        };
    }

    /// Forgets a descriptor whose wait is over: epoll still has it in its table.
    pub(super) fn forget(&mut self, fd: RawFd) {
        if let Self::Epoll(epoll) = self {
            let _ = epoll.disarm(fd);
        }
    }

    /// Looks at what has come about; if `blocks`, waits until something has.
    pub(super) fn look(&mut self, blocks: bool, into: &mut Vec<Fired>) -> io::Result<()> {
        match self {
            Self::Ring(ring) => {
                ring.look(blocks)?;
                ring.fired(into);
            }
            Self::Epoll(epoll) => {
                epoll.look(blocks)?;
                epoll.fired(into);
            }
        }
        Ok(())
    }
}
