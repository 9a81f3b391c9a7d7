//! A lane's event loop: it polls tasks, and waits for descriptors when none is ready.
//!
//! That is all it does. It has no timers (see [`Alarm`](super::Alarm)) and performs no operation: what can be done at once
//! is done by a call of the system, and the loop is asked only to [wait](super::Watch). So a loop of a hundred lines does,
//! and a warm request asks it for nothing: see [`sources`].
//!
//! Tasks never leave their thread. Their wakers may: whoever is woken from another thread is woken through a channel and
//! an eventfd, so that a handler can wait for what other threads do.

mod kernel;
mod places;
mod sources;
mod tasks;

pub(crate) use sources::Direction;

use crate::sys::{Epoll, Fired, Ring};
use kernel::Kernel;
use sources::{At, Place, Sources, Who};
use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};
use tasks::{Home, Tasks};

thread_local! {
    static HERE: RefCell<Option<Rc<Loop>>> = const { RefCell::new(None) };
}

struct Loop {
    tasks: Tasks,
    sources: Sources,
    /// What the kernel has said, between looks.
    fired: Cell<Vec<Fired>>,
    /// Where the eventfd of [`Tasks::bell`] is among the sources.
    bell: Cell<Option<Place>>,
    /// The kernel cannot be looked at any more.
    has_failed: Cell<bool>,
}

/// A loop. Dropping it drops its tasks.
pub(crate) struct Runtime(Rc<Loop>);

impl Runtime {
    /// On a ring, for the thread that calls.
    pub(crate) fn on_ring() -> io::Result<Self> {
        Self::on(Kernel::Ring(Ring::new()?))
    }

    /// On epoll.
    pub(crate) fn on_epoll() -> io::Result<Self> {
        Self::on(Kernel::Epoll(Epoll::new()?))
    }

    fn on(kernel: Kernel) -> io::Result<Self> {
        let inner = Loop {
            tasks: Tasks::new()?,
            sources: Sources::new(kernel),
            fired: Cell::default(),
            bell: Cell::new(None),
            has_failed: Cell::new(false),
        };
        inner.listen_to_strangers()?;
        // What the kernel refuses at the first look it refuses for good: seccomp may grant a ring and nothing else.
        inner.look(false)?;
        Ok(Self(Rc::new(inner)))
    }

    /// Runs until `main` has ended. It is polled first, and then after the tasks, before the kernel is looked at.
    ///
    /// # Panics
    /// On a thread that runs a loop already; and with whichever task panics, which is no more then. It may be called
    /// again.
    pub(crate) fn block_on<F: Future>(&self, main: F) -> F::Output {
        assert!(HERE.with_borrow(Option::is_none), "this thread runs a lane already");
        let _here = Here::enter(&self.0);
        let tasks = &self.0.tasks;
        let mut main = pin!(main);
        let waker = tasks.main_waker();
        let mut cx = Context::from_waker(&waker);
        if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
            return output;
        }
        loop {
            tasks.run();
            if tasks.take_main()
                && let Poll::Ready(output) = main.as_mut().poll(&mut cx)
            {
                return output;
            }
            if let Err(error) = self.0.look(!tasks.has_ready()) {
                self.0.has_failed.set(true);
                panic!("the event loop cannot wait: {error}");
            }
        }
    }

    /// Whether it panicked because it cannot look at the kernel any more: then there is no use in going on.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.has_failed.get()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _here = Here::enter(&self.0);
        self.0.tasks.end();
        // What was taken back is let go of now.
        let _ = self.0.look(false);
    }
}

impl Loop {
    fn look(&self, blocks: bool) -> io::Result<()> {
        let mut fired = self.fired.take();
        let looked = self.sources.look(blocks, &mut fired);
        for fired in fired.drain(..) {
            self.sources.fired(fired, |task| self.tasks.wake(task));
            if self.bell.get().is_some_and(|bell| bell.is_of(fired)) {
                if fired.is_over {
                    self.keep_listening()?;
                }
                self.tasks.hear();
            }
        }
        self.fired.set(fired);
        looked
    }

    fn who<'a, 'b>(&self, cx: &'a Context<'b>) -> Who<'a, 'b> {
        (cx, self.tasks.place_of(cx))
    }

    fn listen_to_strangers(&self) -> io::Result<()> {
        self.bell.set(Some(self.sources.add()));
        self.keep_listening()
    }

    fn keep_listening(&self) -> io::Result<()> {
        let place = self.bell.get().expect("it is set before");
        self.sources.keep((place, self.tasks.bell()))
    }
}

/// This thread runs a loop; what it ran before comes back.
struct Here(Option<Rc<Loop>>);

impl Here {
    fn enter(inner: &Rc<Loop>) -> Self {
        Self(HERE.replace(Some(inner.clone())))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        drop(HERE.replace(self.0.take()));
    }
}

fn here() -> Rc<Loop> {
    HERE.with_borrow(Clone::clone).expect("it is only asked for on a lane's thread, while that runs")
}

/// Wakes a task of this thread's loop; `false` if that is not its home.
fn wake_here(home: &Arc<Home>, index: u32) -> bool {
    let woken = HERE.try_with(|here| match &*here.borrow() {
        Some(inner) if inner.tasks.is_home(home) => {
            inner.tasks.wake(index);
            true
        }
        _ => false,
    });
    woken.unwrap_or(false)
}

/// Runs `task` on this thread's loop.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    here().tasks.spawn(Box::pin(task));
}

/// Whether this thread's loop, if it runs one, has many more places than tasks and descriptors.
pub(crate) fn has_spare() -> bool {
    HERE.with_borrow(|here| {
        here.as_ref().is_some_and(|here| here.tasks.has_spare() || here.sources.has_spare())
    })
}

/// Lets go of places that this thread's loop does not need.
pub(crate) fn shrink() {
    if let Some(here) = HERE.with_borrow(Clone::clone) {
        here.tasks.shrink();
        here.sources.shrink();
    }
}

/// A descriptor that can be waited for. Dropping it closes it.
pub(crate) struct Watched {
    fd: OwnedFd,
    place: Place,
    home: Rc<Loop>,
}

impl Watched {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let home = here();
        Self { fd, place: home.sources.add(), home }
    }

    fn at(&self) -> At {
        (self.place, self.fd.as_raw_fd())
    }

    /// Ready when there may be something to do in a direction: see [`sources`].
    pub(crate) fn poll(&self, direction: Direction, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.home.sources.poll(self.at(), direction, self.home.who(cx))
    }

    /// Ready when the system says so, for what nobody says to be exhausted.
    pub(crate) fn poll_once(&self, direction: Direction, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.home.sources.poll_once(self.at(), direction, self.home.who(cx))
    }

    /// Has the loop take note of what comes, and wake nobody.
    pub(crate) fn listen(&self) {
        self.home.sources.listen(self.at());
    }

    /// A call has found that there is nothing more to do in a direction for now.
    pub(crate) fn exhausted(&self, direction: Direction) {
        self.home.sources.exhausted(self.place, direction);
    }
}

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.home.sources.remove(self.at());
    }
}

#[cfg(test)]
mod tests;
