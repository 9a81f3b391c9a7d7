//! The tasks of a loop, and whom to poll next.

use super::places::Places;
use crate::sys;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    io,
    os::fd::{AsRawFd, OwnedFd},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Wake, Waker},
};

/// The place of a thread's main future: no task has it.
const MAIN: u32 = u32::MAX;
/// Tasks that are polled before the loop looks at the kernel again although others are ready.
const POLLS_PER_LOOK: usize = 1024;

type Polled = Pin<Box<dyn Future<Output = ()>>>;

/// Where a task's wakers find their loop.
pub(super) struct Home {
    /// Those who are woken from other threads.
    strangers: Sender<u32>,
    /// Rings for them.
    bell: OwnedFd,
}

/// Wakes whichever task has this place. A waker may outlive its task, and then wakes another for nothing; in return,
/// neither a task nor a wake needs memory of its own.
struct Wakes {
    index: u32,
    home: Arc<Home>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !super::wake_here(&self.home, self.index) {
            // Once the loop has gone, nobody hears of it.
            let _ = self.home.strangers.send(self.index);
            sys::ring(self.home.bell.as_raw_fd());
        }
    }
}

/// A place for a task.
struct Place {
    waker: Waker,
    future: Cell<Option<Polled>>,
    is_ready: Cell<bool>,
}

impl Place {
    fn holds(&self) -> bool {
        let future = self.future.take();
        let holds = future.is_some();
        self.future.set(future);
        holds
    }
}

pub(super) struct Tasks {
    places: RefCell<Places<Rc<Place>>>,
    ready: RefCell<VecDeque<u32>>,
    is_main_woken: Cell<bool>,
    /// The task that is being polled, and what tells its waker from others.
    polled: Cell<Option<(u32, *const ())>>,
    home: Arc<Home>,
    woken_elsewhere: Receiver<u32>,
}

impl Tasks {
    pub(super) fn new() -> io::Result<Self> {
        let (strangers, woken_elsewhere) = unbounded();
        Ok(Self {
            places: RefCell::default(),
            ready: RefCell::default(),
            is_main_woken: Cell::new(false),
            polled: Cell::new(None),
            home: Arc::new(Home { strangers, bell: sys::eventfd()? }),
            woken_elsewhere,
        })
    }

    pub(super) fn is_home(&self, home: &Arc<Home>) -> bool {
        Arc::ptr_eq(&self.home, home)
    }

    /// The eventfd by which other threads say that they have woken somebody.
    pub(super) fn bell(&self) -> i32 {
        self.home.bell.as_raw_fd()
    }

    pub(super) fn main_waker(&self) -> Waker {
        Waker::from(Arc::new(Wakes { index: MAIN, home: self.home.clone() }))
    }

    pub(super) fn wake(&self, index: u32) {
        if index == MAIN {
            self.is_main_woken.set(true);
        } else if let Some(place) = self.places.borrow().get(index)
            && !place.is_ready.replace(true)
        {
            self.ready.borrow_mut().push_back(index);
        }
    }

    /// The place of the task that waits by this, if it is the one that is being polled: [`wake`](Self::wake) does for it what
    /// its waker does, and a place costs less to keep.
    pub(super) fn place_of(&self, cx: &Context<'_>) -> Option<u32> {
        self.polled.get().filter(|(_, waker)| *waker == cx.waker().data()).map(|(index, _)| index)
    }

    /// Wakes those whom other threads have woken.
    pub(super) fn hear(&self) {
        while let Ok(index) = self.woken_elsewhere.try_recv() {
            self.wake(index);
        }
    }

    /// Whether the main future has been woken; it is taken to be polled then.
    pub(super) fn take_main(&self) -> bool {
        self.is_main_woken.take()
    }

    pub(super) fn has_ready(&self) -> bool {
        self.is_main_woken.get() || !self.ready.borrow().is_empty()
    }

    pub(super) fn spawn(&self, future: Polled) {
        let index = self.places.borrow_mut().take(|index| {
            let waker = Waker::from(Arc::new(Wakes { index, home: self.home.clone() }));
            Rc::new(Place { waker, future: Cell::new(None), is_ready: Cell::new(false) })
        });
        let place = self.places.borrow()[index].clone();
        place.future.set(Some(future));
        self.wake(index);
    }

    /// Polls tasks until none is ready, or the kernel is to be looked at in between.
    pub(super) fn run(&self) {
        for _ in 0..POLLS_PER_LOOK {
            let Some(index) = self.ready.borrow_mut().pop_front() else { return };
            self.poll(index);
        }
    }

    fn poll(&self, index: u32) {
        // One that has gone since it was woken for nothing.
        let Some(place) = self.places.borrow().get(index).cloned() else { return };
        place.is_ready.set(false);
        // A task that is no more, or one that is being polled further up.
        let Some(future) = place.future.take() else { return };
        let mut polling = Polling { tasks: self, index, future: Some(future) };
        let future = polling.future.as_mut().expect("it was put there");
        self.polled.set(Some((index, place.waker.data())));
        if future.as_mut().poll(&mut Context::from_waker(&place.waker)).is_pending() {
            place.future.set(polling.future.take());
        }
    }

    /// Whether there are many more places than tasks.
    pub(super) fn has_spare(&self) -> bool {
        self.places.borrow().has_spare()
    }

    /// Lets go of places that no task has.
    pub(super) fn shrink(&self) {
        let gone = self.places.borrow_mut().shrink();
        drop(gone);
        self.ready.borrow_mut().shrink_to(POLLS_PER_LOOK);
    }

    /// Drops all tasks, and those that they begin meanwhile.
    pub(super) fn end(&self) {
        let mut index = 0;
        // The places themselves stay, so none is looked at twice but those that others have taken meanwhile.
        while let Some(place) = self.places.borrow().get(index).cloned() {
            drop(place.future.take());
            index += 1;
            if index as usize == self.places.borrow().len()
                && self.places.borrow().iter().any(|place| place.holds())
            {
                index = 0;
            }
        }
    }
}

/// A task that is polled. If it ends, be it by a panic, its place is free again.
struct Polling<'a> {
    tasks: &'a Tasks,
    index: u32,
    future: Option<Polled>,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.tasks.polled.set(None);
        if let Some(future) = self.future.take() {
            // Another may begin meanwhile, at another place.
            drop(future);
            self.tasks.places.borrow_mut().give(self.index);
        }
    }
}
