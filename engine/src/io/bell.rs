//! Waking a lane: from another thread, and by a task that wants the others to have a turn.

use super::{Fd, Watch, system};
use crate::simulate::{Bug, has};
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    os::fd::AsRawFd,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// The end that rings. It may be cloned and sent anywhere.
#[derive(Debug, Clone)]
pub(crate) struct Ringer(Arc<Fd>);

impl Ringer {
    pub(crate) fn ring(&self) {
        system::ring(self.0.as_raw_fd());
    }
}

/// The lane's end: an eventfd on which one task waits.
pub(crate) struct Bell {
    watch: Watch,
    yielding: RefCell<Vec<Waker>>,
}

impl Bell {
    /// Makes one on the lane's own thread, for the ends that others ring.
    pub(crate) fn new(ringer: &Ringer) -> io::Result<Self> {
        let watch = Watch::new(system::duplicate(ringer.0.as_raw_fd())?);
        Ok(Self { watch, yielding: RefCell::default() })
    }

    pub(crate) fn ringer() -> io::Result<Ringer> {
        Ok(Ringer(Arc::new(system::eventfd()?)))
    }

    /// Waits until it is rung, silences it, and lets those go on that have yielded.
    pub(crate) async fn rung(&self) -> io::Result<()> {
        self.watch.readable().await?;
        system::silence(self.watch.fd());
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
        if yielding.is_empty() && !has(Bug::YieldLost) {
            system::ring(self.watch.fd());
        }
        yielding.push(cx.waker().clone());
    }
}
