//! Deadlines without a timer for each: a coarse wheel for each lane.
//!
//! A [`Timer`] belongs to whoever waits. Setting its deadline is a store; it is enrolled in the wheel at most once,
//! at or before its deadline, and when the wheel comes by, it either fires or is enrolled again. A request that ends
//! in time therefore never touches the wheel.

use crate::simulate::{Bug, has};
use std::{
    cell::{Cell, RefCell},
    ptr,
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

/// How often the wheel turns while anything is enrolled.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// One turn is 25.6 s; what is due later is enrolled again.
const SLOTS: u64 = 512;
const NEVER: u64 = u64::MAX;

/// A moment, in ticks since the lane began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

/// One waiter's deadline.
pub(crate) struct Timer {
    due: Cell<u64>,
    enrolled: Cell<u64>,
    /// What tells the last of the wakers from others, to be compared without looking at them; null if there is none.
    last: Cell<*const ()>,
    wakers: RefCell<Wakers>,
}

/// Whom to wake: nearly always one task.
#[derive(Default)]
struct Wakers {
    last: Option<Waker>,
    /// Parts of an exchange may wait in tasks of their own.
    #[expect(clippy::box_collection, reason = "an idle connection has none, and should not pay for it")]
    others: Option<Box<Vec<Waker>>>,
}

/// Tasks that wait for one deadline; of more, those that polled last are woken.
const WAKERS_MAX: usize = 8;

impl Timer {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            due: Cell::new(NEVER),
            enrolled: Cell::new(NEVER),
            last: Cell::new(ptr::null()),
            wakers: RefCell::default(),
        })
    }

    /// Forgets the deadline. A poll begins with this and then says anew what it waits for.
    pub(crate) fn clear(&self) {
        self.due.set(NEVER);
    }

    /// Forgets the deadline, and whom to wake.
    pub(crate) fn forget(&self) {
        self.clear();
        self.forget_wakers();
    }

    fn forget_wakers(&self) {
        self.last.set(ptr::null());
        self.wakers.take();
    }

    /// Wakes whoever waits, before the deadline.
    pub(crate) fn wake(&self) {
        let wakers = self.wakers.borrow();
        wakers.others.iter().flat_map(|others| others.iter()).for_each(Waker::wake_by_ref);
        if let Some(waker) = &wakers.last {
            waker.wake_by_ref();
        }
    }

    /// Remembers whom to wake.
    #[inline]
    pub(crate) fn waits(&self, cx: &Context<'_>) {
        // One task has one pointer. Its functions may stand in several places, where a program is compiled in parts, and
        // then a waker and its clone do not know each other.
        if self.last.get() != cx.waker().data() {
            self.remember(cx.waker());
        }
    }

    fn remember(&self, waker: &Waker) {
        if has(Bug::WakerForgotten) {
            return;
        }
        self.last.set(waker.data());
        let mut wakers = self.wakers.borrow_mut();
        let Wakers { last, others } = &mut *wakers;
        if let Some(before) = last.replace(waker.clone()) {
            let others = others.get_or_insert_default();
            others.retain(|other| other.data() != waker.data());
            if others.len() + 1 == WAKERS_MAX {
                others.remove(0);
            }
            others.push(before);
        }
    }
}

/// The lane's wheel.
pub(crate) struct Wheel {
    now: Cell<u64>,
    slots: Vec<RefCell<Vec<Rc<Timer>>>>,
    enrolled: Cell<usize>,
    /// The last turn has not come to the end of its slot.
    is_within: Cell<bool>,
    /// Whoever turns the wheel, asleep while there is nothing to turn it for; the wheel's time stands still then.
    turner: RefCell<Option<Waker>>,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            now: Cell::new(0),
            slots: (0..SLOTS).map(|_| RefCell::default()).collect(),
            enrolled: Cell::new(0),
            is_within: Cell::new(false),
            turner: RefCell::new(None),
        }
    }

    /// Whether nobody turns the wheel because nothing is enrolled: its time is to be set before it is used.
    pub(crate) fn stands_still(&self) -> bool {
        self.turner.borrow().is_some()
    }

    /// Sets the time of a wheel that stands still.
    pub(crate) fn set(&self, now: Duration) {
        debug_assert_eq!(self.enrolled.get(), 0, "what is enrolled would be skipped");
        self.now.set(self.now.get().max((now.as_nanos() / TICK.as_nanos()) as u64));
    }

    /// The moment that lies `duration` ahead of `now`, rounded up. The wheel itself may be behind `now`.
    pub(crate) fn after(&self, now: Duration, duration: Duration) -> Tick {
        const TICK_NANOS: u64 = TICK.as_nanos() as u64;
        const PER_SECOND: u64 = 1_000_000_000 / TICK_NANOS;
        let end = now.saturating_add(duration);
        let within = u64::from(end.subsec_nanos()).div_ceil(TICK_NANOS);
        let ticks = end.as_secs().saturating_mul(PER_SECOND).saturating_add(within);
        Tick(ticks.max(self.now.get() + 1).min(NEVER - 1))
    }

    /// Whether `due` has passed.
    pub(crate) fn passed(&self, due: Tick) -> bool {
        due.0 <= self.now.get()
    }

    /// Whether `due` has passed; if not, `timer` will wake its task no later than then.
    pub(crate) fn expired(&self, timer: &Rc<Timer>, due: Tick) -> bool {
        if self.passed(due) {
            return true;
        }
        if due.0 < timer.due.get() {
            timer.due.set(due.0);
            if due.0 < timer.enrolled.get() {
                self.enrol(timer, due.0);
            }
        }
        false
    }

    /// How many entries there are.
    pub(crate) fn enrolled(&self) -> usize {
        self.enrolled.get()
    }

    fn enrol(&self, timer: &Rc<Timer>, due: u64) {
        let at = due.min(self.now.get() + SLOTS - 1);
        timer.enrolled.set(at);
        self.slots[(at % SLOTS) as usize].borrow_mut().push(timer.clone());
        self.enrolled.set(self.enrolled.get() + 1);
        self.rouse();
    }

    /// There is something to turn it for.
    pub(crate) fn rouse(&self) {
        if let Some(turner) = self.turner.take() {
            turner.wake();
        }
    }

    /// Whether nothing is enrolled; if so, `cx`'s task is woken when something is.
    pub(crate) fn is_empty(&self, cx: &Context<'_>) -> bool {
        if self.enrolled.get() > 0 {
            return false;
        }
        *self.turner.borrow_mut() = Some(cx.waker().clone());
        true
    }

    /// Turns towards `now`, the time since the lane began, and wakes whoever is due: at most so many, so that a crowd
    /// that is due at once holds nobody up. False if more are due; then the others get a turn, and it goes on.
    pub(crate) fn turn(&self, now: Duration, timers_max: usize) -> bool {
        let now = (now.as_nanos() / TICK.as_nanos()) as u64;
        let mut left = timers_max;
        // After a long pause (SIGSTOP, a frozen machine) one turn sees every slot.
        let from = self.now.get().max(now.saturating_sub(SLOTS)) + u64::from(!self.is_within.get());
        for tick in from..=now {
            self.now.set(tick);
            // What is enrolled meanwhile is enrolled elsewhere, or is due at once.
            let mut entries = self.slots[(tick % SLOTS) as usize].take();
            let part = entries.split_off(entries.len().saturating_sub(left));
            self.enrolled.set(self.enrolled.get() - part.len());
            left -= part.len();
            for timer in part {
                self.visit(&timer, tick, now);
            }
            self.is_within.set(!entries.is_empty());
            if !entries.is_empty() {
                self.slots[(tick % SLOTS) as usize].borrow_mut().append(&mut entries);
                return false;
            }
        }
        self.now.set(self.now.get().max(now));
        true
    }

    fn visit(&self, timer: &Rc<Timer>, tick: u64, now: u64) {
        if timer.enrolled.get() > tick {
            // It was enrolled for later, and earlier again since: this is the stale one of two.
            return;
        }
        timer.enrolled.set(NEVER);
        let due = timer.due.get();
        if due <= now {
            timer.due.set(NEVER);
            timer.wake();
            // Whoever still waits says so again when it is polled.
            timer.forget_wakers();
        } else if due != NEVER && Rc::strong_count(timer) > 1 {
            self.enrol(timer, due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    struct Count(AtomicU32);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicU32::new(0)));
        (count.clone(), count.into())
    }

    #[test]
    fn fires_never_early_and_at_most_two_ticks_late() {
        let (wheel, timer, (count, waker)) = (Wheel::new(), Timer::new(), counted());
        timer.waits(&Context::from_waker(&waker));
        let due = wheel.after(Duration::ZERO, Duration::from_secs(60));
        assert!(!wheel.expired(&timer, due));
        assert!(wheel.turn(Duration::from_secs(60) - TICK, usize::MAX));
        assert_eq!(count.0.load(Ordering::Relaxed), 0, "it must not be early");
        assert!(wheel.turn(Duration::from_secs(60), usize::MAX));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        // The wheel may be behind, but a wait begins when it begins.
        let due = wheel.after(Duration::from_secs(61) + TICK / 2, Duration::from_secs(1));
        assert!(wheel.turn(Duration::from_secs(62), usize::MAX));
        assert!(!wheel.passed(due));
        assert!(wheel.turn(Duration::from_secs(62) + TICK, usize::MAX));
        assert!(wheel.passed(due));
    }

    #[test]
    fn a_deadline_that_moves_costs_one_enrolment() {
        let (wheel, timer, (count, waker)) = (Wheel::new(), Timer::new(), counted());
        timer.waits(&Context::from_waker(&waker));
        for second in 0..20 {
            timer.clear();
            assert!(
                !wheel.expired(&timer, wheel.after(Duration::from_secs(second), Duration::from_secs(10)))
            );
            assert_eq!(wheel.enrolled.get(), 1);
            assert!(wheel.turn(Duration::from_secs(second), usize::MAX));
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert!(wheel.turn(Duration::from_secs(40), usize::MAX));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(wheel.enrolled.get(), 0);
    }

    #[test]
    fn an_earlier_deadline_overtakes() {
        let (wheel, timer, (count, waker)) = (Wheel::new(), Timer::new(), counted());
        timer.waits(&Context::from_waker(&waker));
        wheel.expired(&timer, wheel.after(Duration::ZERO, Duration::from_secs(20)));
        wheel.expired(&timer, wheel.after(Duration::ZERO, Duration::from_secs(1)));
        assert!(wheel.turn(Duration::from_millis(1100), usize::MAX));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(wheel.turn(Duration::from_secs(30), usize::MAX));
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "the stale entry must not fire");
    }

    #[test]
    fn res_13_a_crowd_that_is_due_at_once_is_woken_in_parts_each_once() {
        const CROWD: usize = 1_000_000;
        const PART: usize = 1_000;
        let (wheel, (count, waker)) = (Wheel::new(), counted());
        let timers: Vec<_> = (0..CROWD).map(|_| Timer::new()).collect();
        let due = wheel.after(Duration::ZERO, Duration::from_secs(1));
        for timer in &timers {
            timer.waits(&Context::from_waker(&waker));
            assert!(!wheel.expired(timer, due));
        }
        for part in 1..CROWD / PART {
            assert!(!wheel.turn(Duration::from_secs(2), PART), "more are due");
            assert_eq!(count.0.load(Ordering::Relaxed) as usize, part * PART);
        }
        assert!(wheel.turn(Duration::from_secs(2), PART));
        assert!(wheel.turn(Duration::from_secs(60), PART));
        assert_eq!((count.0.load(Ordering::Relaxed) as usize, wheel.enrolled.get()), (CROWD, 0));
        assert!(wheel.passed(due));
    }

    #[test]
    fn a_long_pause_fires_everything_once() {
        let wheel = Wheel::new();
        let timers: Vec<_> = (1..100)
            .map(|seconds| {
                let (timer, (count, waker)) = (Timer::new(), counted());
                timer.waits(&Context::from_waker(&waker));
                wheel.expired(&timer, wheel.after(Duration::ZERO, Duration::from_secs(seconds)));
                (timer, count)
            })
            .collect();
        assert!(wheel.turn(Duration::from_secs(3600), usize::MAX));
        assert!(wheel.turn(Duration::from_secs(3700), usize::MAX));
        for (_, count) in timers {
            assert_eq!(count.0.load(Ordering::Relaxed), 1);
        }
    }
}
