//! What other threads do in the real world: they wait for messages, and attend to something now and then.

use super::world::World;
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use std::{cell::Cell, future::poll_fn, rc::Rc, task::Poll, time::Duration};

/// How often somebody who waits for a message looks whether it has come.
const LOOK: Duration = Duration::from_millis(100);

impl World {
    /// Waits for so long.
    pub async fn sleep(&self, wait: Duration) {
        let (done, mut armed) = (Rc::new(Cell::new(false)), false);
        poll_fn(|cx| {
            if done.get() {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut armed, true) {
                let (done, waker) = (done.clone(), cx.waker().clone());
                self.after(wait, move |_| {
                    done.set(true);
                    waker.wake();
                });
            }
            Poll::Pending
        })
        .await;
    }

    /// As a thread that waits for a message: the world goes on meanwhile.
    ///
    /// # Panics
    /// When a lane waits so.
    pub(crate) fn receive<T>(
        &self,
        from: &Receiver<T>,
        wait: Option<Duration>,
    ) -> Result<T, RecvTimeoutError> {
        assert!(!self.is_polling(), "a lane must not wait for a message: it holds up everything on it");
        let until = wait.map(|wait| self.now().saturating_add(wait));
        if let Some(until) = until {
            self.at(until, |_| {});
        }
        loop {
            match from.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => {}
            }
            if until.is_some_and(|until| self.now() >= until) || !self.step() {
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }

    /// As a thread that attends to something: `turn` is given each message, or none if none has come within `wait`.
    pub(crate) fn attend<T: 'static>(
        &self,
        from: Receiver<T>,
        wait: Duration,
        mut turn: impl FnMut(Option<T>) -> bool + 'static,
    ) {
        let world = self.clone();
        self.spawn(async move {
            let mut waited = Duration::ZERO;
            loop {
                let message = from.try_recv().ok();
                if message.is_some() || waited >= wait {
                    waited = Duration::ZERO;
                    if !turn(message) {
                        return;
                    }
                } else {
                    world.sleep(LOOK.min(wait)).await;
                    waited += LOOK.min(wait);
                }
            }
        });
    }

    /// As a thread that does what comes, until nothing can come any more.
    pub(crate) fn serve<T: 'static>(&self, from: Receiver<T>, mut turn: impl FnMut(T) + 'static) {
        let world = self.clone();
        self.spawn(async move {
            loop {
                match from.try_recv() {
                    Ok(work) => turn(work),
                    Err(TryRecvError::Empty) => world.sleep(LOOK).await,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        });
    }
}
