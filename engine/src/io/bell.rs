//! Waking a lane: from another thread, and by a task that wants the others to have a turn.

use crate::sys;
use monoio::net::TcpStream;
use std::{
    cell::RefCell,
    fs::File,
    future::poll_fn,
    io::{self, Read, Write},
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// The end that rings. It may be cloned and sent anywhere.
#[derive(Debug, Clone)]
pub(crate) struct Ringer(Arc<File>);

impl Ringer {
    pub(crate) fn ring(&self) {
        // The counter cannot overflow in practice, and a full one rings all the same.
        let _ = (&*self.0).write(&1u64.to_ne_bytes());
    }
}

/// The lane's end: an eventfd on which one task waits.
pub(crate) struct Bell {
    file: File,
    /// Used for readiness only: no type of the runtime can read an eventfd on both drivers.
    watch: TcpStream,
    yielding: RefCell<Vec<Waker>>,
}

impl Bell {
    /// Makes one on the lane's own thread, for the ends that others ring.
    pub(crate) fn new(ringer: &Ringer) -> io::Result<Self> {
        let file = ringer.0.try_clone()?;
        let watch = TcpStream::from_std(std::os::fd::OwnedFd::from(file.try_clone()?).into())?;
        Ok(Self { file, watch, yielding: RefCell::default() })
    }

    pub(crate) fn ringer() -> io::Result<Ringer> {
        Ok(Ringer(Arc::new(sys::eventfd()?.into())))
    }

    /// Waits until it is rung, silences it, and lets those go on that have yielded.
    pub(crate) async fn rung(&self) -> io::Result<()> {
        self.watch.readable(false).await?;
        let _ = (&self.file).read(&mut [0; 8]);
        for waker in self.yielding.take() {
            waker.wake();
        }
        Ok(())
    }

    /// Lets timers, I/O and other tasks run. A task that wakes itself would starve them all: the runtime looks at
    /// the kernel only when no task is left to run.
    pub(crate) async fn yield_now(&self) {
        let mut yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            self.defer(cx);
            Poll::Pending
        })
        .await;
    }

    /// Polls the task again once the others have had a turn.
    pub(crate) fn defer(&self, cx: &Context<'_>) {
        let mut yielding = self.yielding.borrow_mut();
        if yielding.is_empty() {
            let _ = (&self.file).write(&1u64.to_ne_bytes());
        }
        yielding.push(cx.waker().clone());
    }
}
