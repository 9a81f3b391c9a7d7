//! The ring: each operation that the floor uses, and the token by which its completion is known.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::cqueue::Entry as Completion;
use io_uring::squeue::Entry as Submission;
use io_uring::types::Fd;
use io_uring::{IoUring, opcode};
use socket2::SockAddr;

use crate::buffers;

/// Operations that can wait to be submitted.
const SUBMISSIONS: u32 = 4096;
/// Completions that can wait to be seen; beyond it the kernel ends multishot operations, which are armed again.
const COMPLETIONS: u32 = 65_536;

/// One side of a pair: the client's connection or the upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) pair: usize,
    pub(crate) side: usize,
}

impl End {
    pub(crate) fn other(self) -> Self {
        Self { pair: self.pair, side: 1 - self.side }
    }
}

/// What a completion completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Accept,
    Connect { pair: usize },
    Receive(End),
    Send(End),
    Cancel { pair: usize },
}

impl Token {
    /// Three bits of kind, one of side, the rest the pair's index.
    fn pack(self) -> u64 {
        let (kind, pair, side) = match self {
            Self::Accept => (0, 0, 0),
            Self::Connect { pair } => (1, pair, 0),
            Self::Receive(end) => (2, end.pair, end.side),
            Self::Send(end) => (3, end.pair, end.side),
            Self::Cancel { pair } => (4, pair, 0),
        };
        (pair as u64) << 4 | (side as u64) << 3 | kind
    }

    fn unpack(packed: u64) -> Self {
        let end = End { pair: (packed >> 4) as usize, side: (packed >> 3 & 1) as usize };
        match packed & 7 {
            0 => Self::Accept,
            1 => Self::Connect { pair: end.pair },
            2 => Self::Receive(end),
            3 => Self::Send(end),
            4 => Self::Cancel { pair: end.pair },
            kind => unreachable!("no operation is submitted with the kind {kind}"),
        }
    }
}

/// A completion.
pub(crate) struct Completed {
    pub(crate) token: Token,
    pub(crate) result: io::Result<u32>,
    pub(crate) flags: u32,
    /// Whether the operation goes on and will complete again.
    pub(crate) more: bool,
}

impl From<Completion> for Completed {
    fn from(completion: Completion) -> Self {
        let result = completion.result();
        Self {
            token: Token::unpack(completion.user_data()),
            result: u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result)),
            flags: completion.flags(),
            more: io_uring::cqueue::more(completion.flags()),
        }
    }
}

/// The ring, with the flags that suit one thread which submits and reaps by itself.
pub(crate) struct Ring(IoUring);

impl Ring {
    pub(crate) fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        Ok(Self(ring))
    }

    pub(crate) fn uring(&self) -> &IoUring {
        &self.0
    }

    /// Submits what waits and sleeps until something has completed.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        match self.0.submit_and_wait(1) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => Ok(()),
            // Completions have overflowed the queue: they are reaped first.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn next(&mut self) -> Option<Completed> {
        self.0.completion().next().map(Completed::from)
    }

    pub(crate) fn accept(&mut self, listener: RawFd) -> io::Result<()> {
        let accept = opcode::AcceptMulti::new(Fd(listener)).flags(libc::SOCK_CLOEXEC).build();
        // SAFETY: the operation uses no memory of ours.
        unsafe { self.push(&accept, Token::Accept) }
    }

    pub(crate) fn connect(
        &mut self,
        socket: &impl AsRawFd,
        to: &'static SockAddr,
        pair: usize,
    ) -> io::Result<()> {
        let connect = opcode::Connect::new(Fd(socket.as_raw_fd()), to.as_ptr().cast(), to.len()).build();
        // SAFETY: the address is static.
        unsafe { self.push(&connect, Token::Connect { pair }) }
    }

    /// Receives into buffers of the pool until it is told to stop, fails, or finds the pool empty.
    pub(crate) fn receive(&mut self, socket: &impl AsRawFd, end: End) -> io::Result<()> {
        let receive = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), buffers::GROUP).build();
        // SAFETY: the operation uses no memory but the pool's, which is never unmapped.
        unsafe { self.push(&receive, Token::Receive(end)) }
    }

    /// Sends `bytes`, all of them unless the connection fails.
    ///
    /// # Safety
    /// The bytes are valid until the operation has completed.
    pub(crate) unsafe fn send(
        &mut self,
        socket: &impl AsRawFd,
        bytes: (*const u8, u32),
        end: End,
    ) -> io::Result<()> {
        let send = opcode::Send::new(Fd(socket.as_raw_fd()), bytes.0, bytes.1)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build();
        // SAFETY: the caller's promise.
        unsafe { self.push(&send, Token::Send(end)) }
    }

    /// Asks the receive of `end` to stop; it then completes a last time.
    pub(crate) fn cancel_receive(&mut self, end: End) -> io::Result<()> {
        let cancel = opcode::AsyncCancel::new(Token::Receive(end).pack()).build();
        // SAFETY: the operation uses no memory of ours.
        unsafe { self.push(&cancel, Token::Cancel { pair: end.pair }) }
    }

    /// # Safety
    /// What the operation points to is valid until it has completed.
    unsafe fn push(&mut self, operation: &Submission, token: Token) -> io::Result<()> {
        let operation = operation.clone().user_data(token.pack());
        // SAFETY: the caller's promise.
        while unsafe { self.0.submission().push(&operation) }.is_err() {
            self.0.submit()?;
        }
        Ok(())
    }
}
