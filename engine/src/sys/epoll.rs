//! The same by epoll(7), where there is no io_uring.

use super::{Fired, Wanted, checked};
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// Events taken at a look.
const EVENTS: usize = 1024;

/// An epoll instance.
pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
    /// How many of them are of the last look.
    count: usize,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes no pointer; a descriptor that it returns is new and ours.
        let fd = unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS], count: 0 })
    }

    fn control(&self, what: libc::c_int, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: the kernel reads `event` during the call.
        checked(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), what, fd, &raw mut event) }).map(drop)
    }

    /// Waits for something that comes about at a descriptor, which is in the table already if it was waited for before.
    pub(crate) fn arm(&self, fd: RawFd, wanted: Wanted) -> io::Result<()> {
        let how = if wanted.stays { libc::EPOLLET } else { libc::EPOLLONESHOT };
        let what = if wanted.again { libc::EPOLL_CTL_MOD } else { libc::EPOLL_CTL_ADD };
        self.control(what, fd, wanted.events | how.cast_unsigned(), wanted.token)
    }

    /// Takes the wait for a descriptor back. Closing would do the same, unless there is a duplicate of it.
    pub(crate) fn disarm(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Looks at what has come about; if `blocks`, waits until something has.
    pub(crate) fn look(&mut self, blocks: bool) -> io::Result<()> {
        let most = libc::c_int::try_from(self.events.len()).unwrap_or(libc::c_int::MAX);
        let wait = if blocks { -1 } else { 0 };
        // SAFETY: the pointer and the count are of a live vector, which the kernel fills from its beginning.
        let looked =
            checked(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), most, wait) });
        self.count = match looked {
            Ok(count) => usize::try_from(count).unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// What has come about.
    pub(crate) fn fired(&mut self, into: &mut Vec<Fired>) {
        let count = std::mem::take(&mut self.count);
        // That a wait for once is over is known from its token.
        into.extend(self.events[..count].iter().map(|event| Fired {
            token: event.u64,
            events: event.events,
            is_over: false,
        }));
    }
}
