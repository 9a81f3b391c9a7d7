//! What is known of each descriptor that somebody waits for.
//!
//! A connection's first wait is for once: many ask once and close. With the second begins one that stays, so that on a
//! warm connection the loop is asked for nothing any more, and only tells. It tells of what is **new**: after the first
//! word that there is something to receive, there is no other until somebody has received all that there was, so it is
//! taken note of here, and holds until a call has found that there is no more ([`exhausted`](Sources::exhausted)).

use super::{kernel::Kernel, places::Places};
use crate::sys::{Fired, Wanted};
use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::RawFd,
    task::{Context, Poll, Waker},
};

/// There may be something to receive.
const IN: u8 = 1;
/// There may be room to send.
const OUT: u8 = 2;
/// The peer has ended, or the connection is broken: a receive says which, now and for ever.
const ENDED: u8 = 4;
/// It is broken, or nothing can be sent any more: a send says so, now and for ever.
const BROKEN: u8 = 8;

const FOR_IN: u32 = (libc::EPOLLIN | libc::EPOLLRDHUP).cast_unsigned();
const FOR_OUT: u32 = libc::EPOLLOUT.cast_unsigned();
const FOR_BOTH: u32 = FOR_IN | FOR_OUT;

/// One of a pair of directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

/// What the loop has been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Armed {
    /// Nothing yet.
    #[default]
    Never,
    /// A wait for once, which is not over.
    Once,
    /// Nothing any more: the wait for once is over.
    Over,
    /// A wait that stays.
    Stays,
}

/// Who waits: by a waker, and by the place of the loop's own task, if it is one.
pub(super) type Who<'a, 'b> = (&'a Context<'b>, Option<u32>);

/// Whom to wake.
enum Whom {
    /// The task that has this place, as its waker would.
    Task(u32),
    Other(Waker),
}

/// Whom to wake, if anybody. It outlives the wait: the next is mostly by the same task, and then no waker is made.
#[derive(Default)]
struct Waiter {
    whom: Option<Whom>,
    waits: bool,
}

impl Waiter {
    /// Gives back who was there before. Dropping a waker may do anything, so the caller lets go of all else first.
    #[must_use]
    fn wait(&mut self, (cx, task): Who<'_, '_>) -> Option<Whom> {
        self.waits = true;
        match (&self.whom, task) {
            (Some(Whom::Task(before)), Some(task)) if *before == task => None,
            (_, Some(task)) => self.whom.replace(Whom::Task(task)),
            (Some(Whom::Other(waker)), None) if waker.will_wake(cx.waker()) => None,
            (_, None) => self.whom.replace(Whom::Other(cx.waker().clone())),
        }
    }

    /// Who is to be woken. A waker is given back afterwards.
    fn take(&mut self) -> Option<Whom> {
        if !std::mem::take(&mut self.waits) {
            return None;
        }
        match self.whom {
            Some(Whom::Task(task)) => Some(Whom::Task(task)),
            _ => self.whom.take(),
        }
    }
}

#[derive(Default)]
struct Source {
    /// Which of those that have had this place it is.
    generation: u32,
    ready: u8,
    armed: Armed,
    waiters: [Waiter; 2],
}

impl Source {
    fn is_ready(&self, direction: Direction) -> bool {
        self.ready
            & match direction {
                Direction::In => IN | ENDED,
                Direction::Out => OUT | BROKEN,
            }
            != 0
    }
}

/// A descriptor's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    index: u32,
    generation: u32,
}

impl Place {
    /// The lowest bit tells a wait for once from one that stays: both may be under way.
    fn token(self, stays: bool) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index) << 1 | u64::from(stays)
    }

    /// Whether this was said of it.
    pub(super) fn is_of(self, fired: Fired) -> bool {
        Self::of(fired.token).0 == self
    }

    fn of(token: u64) -> (Self, bool) {
        let index = (token & u64::from(u32::MAX)) as u32 >> 1;
        (Self { index, generation: (token >> 32) as u32 }, token & 1 == 1)
    }
}

/// A descriptor and its place.
pub(super) type At = (Place, RawFd);

/// All of them, and the kernel that is asked about them.
pub(super) struct Sources {
    places: RefCell<Places<Source>>,
    /// Where a new place's generations begin: what the loop still says of one that has gone is of an earlier one.
    fresh: Cell<u32>,
    kernel: RefCell<Kernel>,
}

impl Sources {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self { places: RefCell::default(), fresh: Cell::new(0), kernel: RefCell::new(kernel) }
    }

    /// Looks at what has come about; if `blocks`, waits until something has.
    pub(super) fn look(&self, blocks: bool, into: &mut Vec<Fired>) -> io::Result<()> {
        self.kernel.borrow_mut().look(blocks, into)
    }

    pub(super) fn add(&self) -> Place {
        let mut places = self.places.borrow_mut();
        let index = places.take(|_| Source { generation: self.fresh.get(), ..Source::default() });
        Place { index, generation: places[index].generation }
    }

    /// Forgets a descriptor, before it is closed.
    pub(super) fn remove(&self, (place, fd): At) {
        let gone = {
            let source = &mut self.places.borrow_mut()[place.index];
            // What the loop still says of it is of another generation.
            let generation = source.generation.wrapping_add(1) & (u32::MAX >> 1);
            std::mem::replace(source, Source { generation, ..Source::default() })
        };
        let mut kernel = self.kernel.borrow_mut();
        match gone.armed {
            Armed::Once => kernel.disarm(fd, place.token(false)),
            Armed::Stays => kernel.disarm(fd, place.token(true)),
            Armed::Over => kernel.forget(fd),
            Armed::Never => {}
        }
        self.places.borrow_mut().give(place.index);
    }

    /// Whether there are many more places than descriptors.
    pub(super) fn has_spare(&self) -> bool {
        self.places.borrow().has_spare()
    }

    /// Lets go of places that no descriptor has.
    pub(super) fn shrink(&self) {
        let gone = self.places.borrow_mut().shrink();
        let generations = gone.iter().map(|source| source.generation);
        self.fresh.set(generations.fold(self.fresh.get(), u32::max));
    }

    /// Waits until there may be something to do in a direction, as far as anybody knows: if nothing was said to be exhausted,
    /// that is at once.
    pub(super) fn poll(&self, at: At, direction: Direction, who: Who<'_, '_>) -> Poll<io::Result<()>> {
        self.wait(at, direction, who, |source| self.arm(source, at, direction))
    }

    /// The same for once, whatever was found before: ready when the system says so.
    pub(super) fn poll_once(&self, at: At, direction: Direction, who: Who<'_, '_>) -> Poll<io::Result<()>> {
        let waited = self.wait(at, direction, who, |source| self.arm_once(source, at, direction));
        if waited.is_ready() {
            self.places.borrow_mut()[at.0.index].ready = 0;
        }
        waited
    }

    fn wait(
        &self,
        (place, _): At,
        direction: Direction,
        who: Who<'_, '_>,
        arm: impl FnOnce(&mut Source) -> io::Result<()>,
    ) -> Poll<io::Result<()>> {
        let (armed, _before) = {
            let source = &mut self.places.borrow_mut()[place.index];
            if source.is_ready(direction) {
                return Poll::Ready(Ok(()));
            }
            let before = source.waiters[direction as usize].wait(who);
            (arm(source), before)
        };
        armed.map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
    }

    /// Has the loop wait for something to receive, and wakes nobody then.
    pub(super) fn listen(&self, at: At) {
        let source = &mut self.places.borrow_mut()[at.0.index];
        source.waiters[Direction::In as usize].waits = false;
        if !source.is_ready(Direction::In) {
            // An error shows itself when somebody waits.
            let _ = self.arm(source, at, Direction::In);
        }
    }

    fn arm(&self, source: &mut Source, at: At, direction: Direction) -> io::Result<()> {
        match (source.armed, direction) {
            (Armed::Stays, _) | (Armed::Once, Direction::In) => Ok(()),
            (Armed::Never, Direction::In) => self.begin(source, at, FOR_IN, Armed::Once),
            (Armed::Once, Direction::Out) => {
                self.kernel.borrow_mut().disarm(at.1, at.0.token(false));
                source.armed = Armed::Never;
                self.begin(source, at, FOR_BOTH, Armed::Stays)
            }
            (Armed::Never | Armed::Over, _) => self.begin(source, at, FOR_BOTH, Armed::Stays),
        }
    }

    fn arm_once(&self, source: &mut Source, at: At, direction: Direction) -> io::Result<()> {
        if source.armed == Armed::Once {
            return Ok(());
        }
        self.begin(source, at, if direction == Direction::In { FOR_IN } else { FOR_OUT }, Armed::Once)
    }

    /// Has the loop say each time that something comes, although nobody ever receives it.
    pub(super) fn keep(&self, at: At) -> io::Result<()> {
        let source = &mut self.places.borrow_mut()[at.0.index];
        self.begin(source, at, FOR_IN, Armed::Stays)
    }

    /// A wait of one kind or the other, where none is under way.
    fn begin(&self, source: &mut Source, (place, fd): At, events: u32, armed: Armed) -> io::Result<()> {
        let stays = armed == Armed::Stays;
        let again = source.armed == Armed::Over;
        self.kernel.borrow_mut().arm(fd, Wanted { token: place.token(stays), events, stays, again })?;
        source.armed = armed;
        Ok(())
    }

    /// A call has found that there is nothing more to do in a direction for now.
    pub(super) fn exhausted(&self, place: Place, direction: Direction) {
        let is = if direction == Direction::In { IN } else { OUT };
        self.places.borrow_mut()[place.index].ready &= !is;
    }

    /// Takes note of what the loop says, and wakes those who wait for it: its own tasks by `wake`.
    pub(super) fn fired(&self, fired: Fired, wake: impl Fn(u32)) {
        let (place, stays) = Place::of(fired.token);
        let woken = {
            let mut places = self.places.borrow_mut();
            let Some(source) = places.get_mut(place.index) else { return };
            if source.generation != place.generation {
                return;
            }
            match (source.armed, stays) {
                (Armed::Once, false) => source.armed = Armed::Over,
                (Armed::Stays, true) if fired.is_over => source.armed = Armed::Over,
                (Armed::Stays, true) => {}
                _ => return,
            }
            source.ready |= meaning(fired.events);
            [Direction::In, Direction::Out].map(|direction| {
                if source.is_ready(direction) { source.waiters[direction as usize].take() } else { None }
            })
        };
        for (at, whom) in woken.into_iter().enumerate() {
            match whom {
                Some(Whom::Task(task)) => wake(task),
                Some(Whom::Other(waker)) => {
                    waker.wake_by_ref();
                    self.give_back((place, at), waker);
                }
                None => {}
            }
        }
    }

    fn give_back(&self, (place, at): (Place, usize), waker: Waker) {
        let source = &mut self.places.borrow_mut()[place.index];
        if source.generation == place.generation && source.waiters[at].whom.is_none() {
            source.waiters[at].whom = Some(Whom::Other(waker));
        }
    }
}

fn meaning(events: u32) -> u8 {
    let has = |event: libc::c_int| events & event.cast_unsigned() != 0;
    let mut ready = 0;
    if has(libc::EPOLLIN) {
        ready |= IN;
    }
    if has(libc::EPOLLOUT) {
        ready |= OUT;
    }
    if has(libc::EPOLLRDHUP) {
        ready |= ENDED;
    }
    if has(libc::EPOLLHUP) || has(libc::EPOLLERR) {
        ready |= ENDED | BROKEN;
    }
    ready
}
