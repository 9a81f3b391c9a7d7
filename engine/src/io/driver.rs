//! Which event loop a lane runs on: io_uring where the kernel grants the real ring, epoll otherwise.

use super::runtime::Runtime;
use std::io;

/// The flags that every ring is made with, by their names in io_uring_setup(2).
pub const RING_FLAGS: &str = "SINGLE_ISSUER|DEFER_TASKRUN|COOP_TASKRUN|SUBMIT_ALL";

/// Which driver a lane is to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// io_uring if the kernel grants it, else epoll, which is said in the log and in the metrics.
    #[default]
    Auto,
    /// io_uring, or the lane does not start.
    Uring,
    /// epoll, whatever the kernel offers.
    Epoll,
}

/// The driver that a lane runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Running {
    /// io_uring, with [`RING_FLAGS`].
    Uring,
    /// epoll, and why it is not io_uring.
    Epoll {
        /// The kernel's answer, or that it was asked for.
        reason: String,
    },
}

impl Running {
    /// `io_uring` or `epoll`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Uring => "io_uring",
            Self::Epoll { .. } => "epoll",
        }
    }
}

/// Builds the calling thread's event loop. Each lane tries its own ring with the flags that it will use: a test of another
/// ring proves nothing, because seccomp profiles and limits on locked memory refuse rings one by one.
pub(crate) fn build(choice: Driver) -> io::Result<(Runtime, Running)> {
    let reason = match choice {
        Driver::Epoll => "asked for".to_owned(),
        Driver::Auto | Driver::Uring => match Runtime::on_ring() {
            Ok(runtime) => return Ok((runtime, Running::Uring)),
            Err(error) if choice == Driver::Uring => {
                return Err(io::Error::new(error.kind(), format!("the kernel refused io_uring: {error}")));
            }
            Err(error) => format!("io_uring refused: {error}"),
        },
    };
    Ok((Runtime::on_epoll()?, Running::Epoll { reason }))
}
