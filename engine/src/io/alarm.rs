//! Waiting for moments: a timerfd for each lane. It is exact to some microseconds, and a loop without timers of its own
//! looks at no clock each time that it has waited.

use super::{Watch, system};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    io,
    task::{Poll, Waker},
    time::Duration,
};

/// When somebody is to be woken, and which of those who are to be woken then.
type Key = (Duration, u64);

/// Wakes those who wait for moments.
pub(crate) struct Alarm {
    watch: Watch,
    waiting: RefCell<BTreeMap<Key, Waker>>,
    /// The moment that the kernel has been told.
    armed: Cell<Option<Duration>>,
    next: Cell<u64>,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let watch = Watch::new(system::timerfd()?);
        Ok(Self { watch, waiting: RefCell::default(), armed: Cell::new(None), next: Cell::new(0) })
    }

    /// Waits so long, for one alone.
    pub(crate) async fn once(&self, duration: Duration) {
        system::arm(self.watch.fd(), duration.max(Duration::from_nanos(1)));
        let _ = self.watch.readable().await;
    }

    /// Waits until `due`; `now` is the lane's clock.
    pub(crate) async fn wait(&self, due: Duration, now: impl Fn() -> Duration) {
        let mut place = Place { alarm: self, key: None };
        poll_fn(|cx| {
            if now() >= due {
                return Poll::Ready(());
            }
            let key = *place.key.get_or_insert_with(|| {
                self.next.set(self.next.get() + 1);
                (due, self.next.get())
            });
            let mut waiting = self.waiting.borrow_mut();
            match waiting.get_mut(&key) {
                Some(waker) => waker.clone_from(cx.waker()),
                None => drop(waiting.insert(key, cx.waker().clone())),
            }
            drop(waiting);
            self.arm(now());
            Poll::Pending
        })
        .await;
    }

    /// Waits until it goes off, and wakes those whose moment has come.
    pub(crate) async fn gone_off(&self, now: impl Fn() -> Duration) -> io::Result<()> {
        self.watch.readable().await?;
        system::silence(self.watch.fd());
        self.armed.set(None);
        let now = now();
        loop {
            let mut waiting = self.waiting.borrow_mut();
            match waiting.first_entry() {
                Some(first) if first.key().0 <= now => {
                    let waker = first.remove();
                    drop(waiting);
                    waker.wake();
                }
                _ => break,
            }
        }
        self.arm(now);
        Ok(())
    }

    /// Tells the kernel the earliest moment, unless it knows an earlier one: going off too early costs a look.
    fn arm(&self, now: Duration) {
        let Some((first, _)) = self.waiting.borrow().keys().next().copied() else { return };
        if self.armed.get().is_none_or(|armed| first < armed) {
            self.armed.set(Some(first));
            // Zero would disarm it.
            system::arm(self.watch.fd(), first.saturating_sub(now).max(Duration::from_nanos(1)));
        }
    }
}

/// Whoever waits no longer is woken no more.
struct Place<'a> {
    alarm: &'a Alarm,
    key: Option<Key>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.alarm.waiting.borrow_mut().remove(&key);
        }
    }
}
