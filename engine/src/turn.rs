//! A lane's turns, as far as tasks can see them.
//!
//! A turn begins when the loop comes back from the kernel and ends when no task is left to run. The runtime tells
//! nobody of either. But it polls the thread's main future, if that was woken, after the tasks and before it goes to
//! the kernel again: so the first poll of a turn wakes it, and its poll is the turn's end.
//!
//! **What is seen**: the time from the first poll of a turn to each later one, which is what a task that was ready
//! waited behind others; and how long turns are. **What is not**: the kernel's and the runtime's own work between the
//! kernel's return and the first poll (they find out there whom to wake: well below a microsecond for each event); and
//! what arrived in the middle of a turn, which nobody learns of before its end. It waited for the rest of that turn, so
//! the lengths of turns bound what is not seen. A task that another one has woken in the same turn counts from the
//! turn's beginning, or from its own last poll if that is later: a little too much. Where so many tasks wake each other
//! that the runtime looks at the kernel in between, that is a turn's end, too, and those left begin to count anew.

use std::{
    cell::{Cell, RefCell},
    task::{Context, Waker},
    time::Duration,
};

/// Turns that are at least so long are remembered for a while.
const LONG: Duration = Duration::from_millis(1);
/// So many of them.
const LONG_KEPT: usize = 16;

/// From when to when a turn lasted.
#[derive(Debug, Clone, Copy, Default)]
struct Long {
    began: Duration,
    ended: Duration,
}

/// What a lane knows of its turns.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// When the present turn's first poll began; `None` between turns.
    began: Cell<Option<Duration>>,
    /// When the present poll began.
    polled: Cell<Duration>,
    /// This poll has already done something that took time.
    worked: Cell<bool>,
    /// Polled at the end of a turn. A thread that does not say when that is has none, and no turns.
    main: RefCell<Option<Waker>>,
    long: RefCell<[Long; LONG_KEPT]>,
    next_long: Cell<usize>,
}

impl Turns {
    /// A task is polled.
    pub(crate) fn begin_poll(&self, now: Duration) {
        self.polled.set(now);
        self.worked.set(false);
        if self.began.get().is_none()
            && let Some(main) = &*self.main.borrow()
        {
            self.began.set(Some(now));
            main.wake_by_ref();
        }
    }

    /// When the present poll began.
    pub(crate) fn polled(&self) -> Duration {
        self.polled.get()
    }

    /// How long this poll's task has waited behind others since the turn began, or since it was polled itself.
    pub(crate) fn behind(&self, polled_before: Duration) -> Duration {
        let polled = self.polled.get();
        let began = self.began.get().unwrap_or(polled);
        polled.saturating_sub(began.max(polled_before))
    }

    /// This poll has done something that took time: what it does next did not begin with it.
    pub(crate) fn set_worked(&self) {
        self.worked.set(true);
    }

    /// When what this poll does first began, if it does it now.
    pub(crate) fn not_worked_since(&self) -> Option<Duration> {
        (!self.worked.get()).then(|| self.polled.get())
    }

    /// No task is left to run. Gives when the turn began, if there was one.
    pub(crate) fn end(&self, cx: &Context<'_>) -> Option<Duration> {
        let began = self.began.take();
        if began.is_none() && self.main.borrow().is_none() {
            *self.main.borrow_mut() = Some(cx.waker().clone());
        }
        began
    }

    /// A turn has ended: it is remembered if it was long.
    pub(crate) fn ended(&self, began: Duration, ended: Duration) {
        if ended.saturating_sub(began) >= LONG {
            let at = self.next_long.get();
            self.long.borrow_mut()[at] = Long { began, ended };
            self.next_long.set((at + 1) % LONG_KEPT);
        }
    }

    /// The longest turn of those remembered, and of the present one, that was not over at `since`; zero if none was
    /// long. It may have begun before.
    pub(crate) fn longest_since(&self, since: Duration, now: Duration) -> Duration {
        let present = self.began.get().map(|began| Long { began, ended: now });
        let long = self.long.borrow();
        let lengths = long
            .iter()
            .copied()
            .chain(present)
            .filter(|long| long.ended > since)
            .map(|long| long.ended.saturating_sub(long.began));
        lengths.filter(|length| *length >= LONG).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn turns() -> (Turns, Context<'static>) {
        let (turns, cx) = (Turns::default(), Context::from_waker(Waker::noop()));
        assert_eq!(turns.end(&cx), None);
        (turns, cx)
    }

    #[test]
    fn a_poll_is_behind_what_came_before_it_in_the_turn() {
        let (turns, cx) = turns();
        turns.begin_poll(ms(10));
        assert_eq!(turns.behind(ms(3)), ms(0));
        turns.begin_poll(ms(30));
        assert_eq!((turns.behind(ms(3)), turns.behind(ms(25))), (ms(20), ms(5)));
        assert_eq!(turns.end(&cx), Some(ms(10)));
        turns.begin_poll(ms(50));
        assert_eq!(turns.behind(ms(30)), ms(0));
    }

    #[test]
    fn without_a_main_future_there_are_no_turns() {
        let turns = Turns::default();
        turns.begin_poll(ms(10));
        turns.begin_poll(ms(30));
        assert_eq!(turns.behind(ms(0)), ms(0));
    }

    #[test]
    fn the_longest_of_the_last_long_turns_is_found() {
        let (turns, cx) = turns();
        turns.ended(ms(0), ms(40));
        turns.ended(ms(50), ms(70));
        turns.ended(ms(80), ms(80));
        assert_eq!(turns.longest_since(ms(10), ms(90)), ms(40));
        assert_eq!(turns.longest_since(ms(40), ms(90)), ms(20));
        assert_eq!(turns.longest_since(ms(70), ms(90)), ms(0));
        turns.begin_poll(ms(100));
        assert_eq!(turns.longest_since(ms(60), ms(130)), ms(30));
        turns.end(&cx);
        (0..LONG_KEPT as u64).for_each(|n| turns.ended(ms(200 + 2 * n), ms(201 + 2 * n)));
        assert_eq!(turns.longest_since(ms(0), ms(300)), ms(1), "older ones are forgotten");
    }
}
