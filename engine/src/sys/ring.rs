//! A ring of io_uring that does nothing but wait for descriptors (io_uring(7)).

use super::{Fired, Wanted};
use io_uring::{
    EnterFlags, IoUring, cqueue, opcode,
    squeue::{self, Flags},
    types,
};
use std::{io, os::fd::RawFd};

/// Submission queue entries of a ring.
const ENTRIES: u32 = 1024;
/// Completion queue entries: four for each submission, so that a burst does not overflow into the kernel's list.
const COMPLETIONS: u32 = 4 * ENTRIES;
/// Of what nobody wants to hear.
const NOBODY: u64 = u64::MAX;

/// A ring, for the thread that has made it.
pub(crate) struct Ring(IoUring);

impl Ring {
    pub(crate) fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_clamp()
            .setup_cqsize(COMPLETIONS)
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .build(ENTRIES)?;
        // Spares each call the look at the table of descriptors. Since Linux 5.18; without, everything works.
        let _ = ring.submitter().register_ring_fd();
        Ok(Self(ring))
    }

    /// Waits for something that comes about at a descriptor.
    pub(crate) fn arm(&mut self, fd: RawFd, wanted: Wanted) -> io::Result<()> {
        let Wanted { token, events, stays, .. } = wanted;
        self.push(&opcode::PollAdd::new(types::Fd(fd), events).multi(stays).build().user_data(token))
    }

    /// Takes a wait back. The kernel holds on to the descriptor until it has seen this, which is at the next look.
    pub(crate) fn disarm(&mut self, token: u64) -> io::Result<()> {
        // Not POLL_REMOVE, which fails with EALREADY where an event is about to be told, and then the wait stays.
        let cancel = opcode::AsyncCancel::new(token).build();
        self.push(&cancel.flags(Flags::SKIP_SUCCESS).user_data(NOBODY))
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: neither kind of entry points to anything.
            if unsafe { self.0.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.0.submit()?;
        }
    }

    /// Submits what has been pushed and looks at what has come about; if `blocks`, waits until something has.
    pub(crate) fn look(&mut self, blocks: bool) -> io::Result<()> {
        let entered = if blocks {
            self.0.submit_and_wait(1)
        } else {
            let count = u32::try_from(self.0.submission().len()).unwrap_or(0);
            // SAFETY: no argument is given, so nothing is pointed to.
            unsafe {
                self.0.submitter().enter::<libc::sigset_t>(count, 0, EnterFlags::GETEVENTS.bits(), None)
            }
        };
        match entered {
            Ok(_) => Ok(()),
            // A signal; or the kernel cannot take more until its completions have been taken.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What has come about.
    pub(crate) fn fired(&mut self, into: &mut Vec<Fired>) {
        into.extend(self.0.completion().filter(|entry| entry.user_data() != NOBODY).map(|entry| Fired {
            token: entry.user_data(),
            // A wait that failed is over, and whoever waited finds out why.
            events: u32::try_from(entry.result()).unwrap_or(u32::MAX),
            is_over: !cqueue::more(entry.flags()),
        }));
    }
}
