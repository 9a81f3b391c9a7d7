//! Threads for what would hog a core: a few for all lanes, and a bounded queue before them.

use crate::io::threads;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Work that waits for a thread; more is refused.
const WAITING_MAX: usize = 256;

/// What a thread is to do. It catches its own panics; one that gets through costs nobody else anything.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// The threads, begun when there is work, and ended with whatever they belong to.
#[derive(Debug)]
pub(crate) struct Workers {
    send: Sender<Work>,
    receive: Receiver<Work>,
    threads_max: usize,
    threads: AtomicUsize,
    /// Pieces of work that wait or are being done.
    open: Arc<AtomicUsize>,
}

/// Why work is not done.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Too much of it waits.
    Full,
    /// There is no thread, and none can be had.
    NoThread(io::Error),
}

impl Workers {
    pub(crate) fn new(threads_max: usize) -> Self {
        let (send, receive) = bounded(WAITING_MAX);
        Self { send, receive, threads_max, threads: AtomicUsize::new(0), open: Arc::default() }
    }

    /// Leaves work for one of the threads.
    pub(crate) fn put(&self, work: Work) -> Result<(), Refused> {
        let open = self.open.fetch_add(1, Ordering::AcqRel) + 1;
        if self.send.try_send(work).is_err() {
            self.open.fetch_sub(1, Ordering::AcqRel);
            return Err(Refused::Full);
        }
        if open > self.threads.load(Ordering::Acquire) { self.begin_another() } else { Ok(()) }
    }

    /// Begins another thread, unless there are as many as there may be.
    fn begin_another(&self) -> Result<(), Refused> {
        let more = |threads| (threads < self.threads_max).then_some(threads + 1);
        if self.threads.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            return Ok(());
        }
        let (receive, open) = (self.receive.clone(), self.open.clone());
        let begun = threads::serve("corelane-offload", receive, move |work| {
            let _ = catch_unwind(AssertUnwindSafe(work));
            open.fetch_sub(1, Ordering::AcqRel);
        });
        match begun {
            Ok(()) => Ok(()),
            Err(error) => {
                let left = self.threads.fetch_sub(1, Ordering::AcqRel) - 1;
                // Others will come to it.
                if left > 0 { Ok(()) } else { Err(Refused::NoThread(error)) }
            }
        }
    }
}
