//! Where a lane finds what others want of it.

use super::{mailbox::Mailbox, slot::Slot};
use crate::{door::Plan, io::driver::Running, letter::Letter, upstream::Cluster};
use arc_swap::ArcSwapOption;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering},
    },
};

/// Letters that wait for a lane; more are refused.
const LETTERS_MAX: usize = 256;

/// Where a lane finds what others want of it: work in its mailbox, and state in slots, of which the latest counts. It
/// outlives the lane's thread, so that one that is rebuilt goes on from it.
pub(crate) struct Desk {
    pub(crate) mail: Mailbox<Letter>,
    /// What is to be served, once that has been [decided](Self::decided).
    pub(crate) plan: Slot<Plan>,
    pub(crate) decided: Decisions,
    /// Clusters whose endpoints have changed, all that ever did.
    pub(crate) clusters: Slot<Changed>,
    pub(crate) grace: GraceSlot,
    pub(crate) heart: Heart,
    /// Its thread, as the system numbers them.
    pub(crate) thread: AtomicI32,
    /// Work that was done elsewhere has results for this lane.
    results: AtomicBool,
    /// What the lane runs on.
    pub(crate) driver: ArcSwapOption<Running>,
}

impl Desk {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            mail: Mailbox::new(LETTERS_MAX)?,
            plan: Slot::default(),
            decided: Decisions::default(),
            clusters: Slot::default(),
            grace: GraceSlot::default(),
            heart: Heart::default(),
            thread: AtomicI32::new(0),
            results: AtomicBool::new(false),
            driver: ArcSwapOption::empty(),
        })
    }

    /// Work is done that the lane waits for.
    pub(crate) fn has_results(&self) {
        self.results.store(true, Ordering::Release);
        self.mail.ring();
    }

    /// Whether there were results since this was asked last; for the lane.
    pub(crate) fn take_results(&self) -> bool {
        self.results.load(Ordering::Relaxed) && self.results.swap(false, Ordering::AcqRel)
    }

    /// Puts state, and wakes the lane.
    pub(crate) fn put<T>(&self, slot: &Slot<T>, state: Arc<T>) {
        slot.put(state);
        self.mail.ring();
    }
}

/// Clusters whose endpoints have changed.
pub(crate) struct Changed {
    /// The plan that they were changed under: what a later one brings along is newer.
    pub(crate) plan: u64,
    pub(crate) clusters: Vec<Cluster>,
}

/// Which plans hold: they have numbers, from 1, and the latest decision stands for all before it.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    carried_out: AtomicU64,
    given_up: AtomicU64,
}

impl Decisions {
    /// Every lane is ready for this plan: it holds.
    pub(crate) fn carry_out(&self, number: u64) {
        self.carried_out.fetch_max(number, Ordering::Release);
    }

    /// A lane is not: it never holds.
    pub(crate) fn give_up(&self, number: u64) {
        self.given_up.fetch_max(number, Ordering::Release);
    }

    /// Whether this plan holds; `None` while that is open.
    pub(crate) fn of(&self, number: u64) -> Option<bool> {
        if self.carried_out.load(Ordering::Acquire) >= number {
            return Some(true);
        }
        (self.given_up.load(Ordering::Acquire) >= number).then_some(false)
    }
}

/// How a lane is to end. A later value is the hastier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Grace {
    /// It is not.
    Serve,
    Unlimited,
    Configured,
    None,
}

/// A slot that is never full, so that no drain is lost, and in which the hastiest wins.
#[derive(Debug, Default)]
pub(crate) struct GraceSlot(AtomicU8);

impl GraceSlot {
    pub(crate) fn hasten(&self, grace: Grace) {
        self.0.fetch_max(grace as u8, Ordering::Release);
    }

    pub(crate) fn read(&self) -> Grace {
        match self.0.load(Ordering::Acquire) {
            0 => Grace::Serve,
            1 => Grace::Unlimited,
            2 => Grace::Configured,
            _ => Grace::None,
        }
    }
}

/// Whether a lane still turns: it is asked, and it answers when it next looks at its desk.
#[derive(Debug, Default)]
pub(crate) struct Heart {
    asked: AtomicU64,
    answered: AtomicU64,
}

impl Heart {
    /// Asks; for the one that watches.
    pub(crate) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers; for the lane.
    pub(crate) fn answer(&self) {
        self.answered.store(self.asked.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether all questions have been answered.
    pub(crate) fn beats(&self) -> bool {
        self.answered.load(Ordering::Relaxed) == self.asked.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_decision_stands_for_those_before_it() {
        let decided = Decisions::default();
        assert_eq!(decided.of(1), None);
        decided.give_up(1);
        assert_eq!((decided.of(1), decided.of(2)), (Some(false), None));
        decided.carry_out(2);
        assert_eq!((decided.of(2), decided.of(3)), (Some(true), None));
    }

    #[test]
    fn no_drain_puts_another_off() {
        let grace = GraceSlot::default();
        grace.hasten(Grace::None);
        grace.hasten(Grace::Unlimited);
        assert_eq!(grace.read(), Grace::None);
    }

    #[test]
    fn a_heart_beats_when_it_has_answered() {
        let heart = Heart::default();
        assert!(heart.beats());
        heart.ask();
        assert!(!heart.beats());
        heart.answer();
        assert!(heart.beats());
    }
}
