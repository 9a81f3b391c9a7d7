//! What other threads do in the real world: they wait for messages, and attend to something now and then.

use super::world::World;
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

/// How often who waits for work looks whether anybody could still send it some.
const LOOK: Duration = Duration::from_secs(5);

/// Tasks that stand for threads, by their number; those that have ended leave their place.
#[derive(Default)]
pub(super) struct Threads(RefCell<Vec<Option<Thread>>>);

struct Thread {
    has_message: Box<dyn Fn() -> bool>,
    /// Of one that waits for a message.
    waiting: Option<Waker>,
}

impl Threads {
    /// How many there are.
    pub(super) fn alive(&self) -> usize {
        self.0.borrow().iter().flatten().count()
    }

    pub(super) fn forget(&self) {
        self.0.take();
    }

    fn begin(&self, has_message: impl Fn() -> bool + 'static) -> usize {
        let mut threads = self.0.borrow_mut();
        threads.push(Some(Thread { has_message: Box::new(has_message), waiting: None }));
        threads.len() - 1
    }

    fn end(&self, number: usize) {
        if let Some(place) = self.0.borrow_mut().get_mut(number) {
            *place = None;
        }
    }

    fn wait(&self, number: usize, waker: Option<Waker>) {
        if let Some(Some(thread)) = self.0.borrow_mut().get_mut(number) {
            thread.waiting = waker;
        }
    }

    /// Wakes those whose message has come; whether there are any.
    pub(super) fn wake(&self) -> bool {
        let mut any = false;
        for thread in self.0.borrow_mut().iter_mut().flatten() {
            if thread.waiting.is_some() && (thread.has_message)() {
                thread.waiting.take().into_iter().for_each(Waker::wake);
                any = true;
            }
        }
        any
    }
}

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
        let (world, from) = (self.clone(), Rc::new(from));
        let number = self.begin_thread(&from);
        self.spawn(async move {
            loop {
                world.wait_for_message(number, &from, wait).await;
                if !turn(from.try_recv().ok()) {
                    return world.0.threads.end(number);
                }
            }
        });
    }

    /// As a thread that does what comes, until nothing can come any more.
    pub(crate) fn serve<T: 'static>(&self, from: Receiver<T>, mut turn: impl FnMut(T) + 'static) {
        let (world, from) = (self.clone(), Rc::new(from));
        let number = self.begin_thread(&from);
        self.spawn(async move {
            loop {
                match from.try_recv() {
                    Ok(work) => turn(work),
                    Err(TryRecvError::Empty) => world.wait_for_message(number, &from, LOOK).await,
                    Err(TryRecvError::Disconnected) => return world.0.threads.end(number),
                }
            }
        });
    }

    fn begin_thread<T: 'static>(&self, from: &Rc<Receiver<T>>) -> usize {
        let from = from.clone();
        self.0.threads.begin(move || !from.is_empty())
    }

    /// Until there is a message, or for so long.
    async fn wait_for_message<T>(&self, number: usize, from: &Receiver<T>, wait: Duration) {
        let (until, mut is_armed) = (self.now().saturating_add(wait), false);
        poll_fn(|cx| {
            if !from.is_empty() || self.now() >= until {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut is_armed, true) {
                let waker = cx.waker().clone();
                self.at(until, move |_| waker.wake());
            }
            self.0.threads.wait(number, Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        self.0.threads.wait(number, None);
    }
}
