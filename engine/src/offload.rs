//! Work that a lane leaves to other threads, because it would hold up every connection that the lane has.

use crate::{
    error::{Error, ErrorKind, Result, Side, Stage},
    lane::{Lane, panic_message},
    shared::workers::Refused,
};
use crossbeam_channel::{TryRecvError, bounded};
use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

impl Lane {
    /// Runs `work` on another thread, and waits for what it gives: for what computes for long or blocks, such as
    /// verifying a password or looking a name up. Two to four threads serve all lanes, and 256 pieces of work may wait
    /// for them.
    ///
    /// Dropping the future does not stop the work.
    ///
    /// ```
    /// # use corelane_engine::{Handler, Lane, Request, Response, Result, StatusCode};
    /// struct Fibonacci(Lane);
    ///
    /// impl Handler for Fibonacci {
    ///     async fn handle(&self, request: Request) -> Result<Response> {
    ///         fn fibonacci(n: u64) -> u64 {
    ///             if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
    ///         }
    ///         let n = request.path()[1..].parse().unwrap_or(1);
    ///         let number = self.0.offload(move || fibonacci(n)).await?;
    ///         Ok(Response::text(StatusCode::OK, number.to_string()))
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Too much waits already (503), or `work` panicked (500).
    pub async fn offload<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (send, receive) = bounded(1);
        let (process, id) = (self.0.process.clone(), self.id());
        let done = move || {
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(|payload| panic_message(&*payload));
            // Whoever waited may have gone.
            let _ = send.send(result);
            process.desks[id].has_results();
        };
        self.0.process.workers.put(Box::new(done)).map_err(|refused| match refused {
            Refused::Full => Error::new(Side::Internal, Stage::Route, ErrorKind::Exhausted),
            Refused::NoThread(error) => Error::io(Side::Internal, Stage::Route, &error),
        })?;
        let result = poll_fn(|cx| match receive.try_recv() {
            Ok(result) => Poll::Ready(result),
            Err(TryRecvError::Disconnected) => Poll::Ready(Err("its thread has ended".to_owned())),
            Err(TryRecvError::Empty) => {
                let mut offloaded = self.0.offloaded.borrow_mut();
                if !offloaded.iter().any(|waker| waker.will_wake(cx.waker())) {
                    offloaded.push(cx.waker().clone());
                }
                Poll::Pending
            }
        });
        result.await.map_err(|message| {
            Error::new(Side::Internal, Stage::Route, ErrorKind::Panicked).with_source(message)
        })
    }

    /// Some of the work is done: whoever waits looks whether it is theirs.
    pub(crate) fn wake_offloaded(&self) {
        for waker in self.0.offloaded.take() {
            waker.wake();
        }
    }
}
