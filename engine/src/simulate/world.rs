//! The world: its clock, its chance, and what is going to happen in it.

use super::{Bug, faults::Faults, kernel::Kernel, schedule::Schedule, threads::Threads};
use corelane_balancer::Rng;
use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::BinaryHeap,
    fmt,
    rc::Rc,
    time::{Duration, SystemTime},
};

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// The simulated world of this thread, if it has one.
pub(crate) fn world() -> Option<World> {
    // A thread that ends has none any more.
    WORLD.try_with(|world| world.borrow().clone()).ok().flatten()
}

/// When a process starts: some time in 2026.
const EPOCH: Duration = Duration::from_secs(1_770_000_000);
/// What a poll of a task takes, at most.
const POLL_NANOS_MAX: u64 = 3_000;

/// A simulated world. It is this thread's, from [`begin`](Self::begin) until its last handle outside of it is dropped and
/// [`end`](Self::end) has been called.
#[derive(Clone)]
pub struct World(pub(super) Rc<Inner>);

pub(super) struct Inner {
    rng: RefCell<Rng>,
    pub(super) faults: Cell<Faults>,
    now: Cell<Duration>,
    events: RefCell<BinaryHeap<Reverse<Event>>>,
    /// How many events there have been.
    happened: Cell<u64>,
    pub(super) schedule: Schedule,
    pub(super) kernel: Kernel,
    trace: Cell<u64>,
    pub(super) panics: RefCell<Vec<String>>,
    next_pause: Cell<Duration>,
    /// How long everything has stood still in all.
    paused: Cell<Duration>,
    lanes: Cell<usize>,
    pub(super) threads: Threads,
    bug: Cell<Option<Bug>>,
}

/// Whether this mistake is made.
pub(crate) fn has(bug: Bug) -> bool {
    world().is_some_and(|world| world.0.bug.get() == Some(bug))
}

/// A lane is in memory.
pub(crate) struct Alive(());

impl Alive {
    pub(crate) fn new() -> Self {
        count_lanes(|lanes| lanes + 1);
        Self(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        count_lanes(|lanes| lanes.saturating_sub(1));
    }
}

fn count_lanes(change: impl Fn(usize) -> usize) {
    if let Some(world) = world() {
        world.0.lanes.set(change(world.0.lanes.get()));
    }
}

struct Event {
    /// In nanoseconds: what is compared so often is one number.
    at: u64,
    number: u64,
    what: Box<dyn FnOnce(&World)>,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl World {
    /// Begins a world on this thread, in the place of the one that was there.
    pub fn begin(seed: u64, faults: Faults) -> Self {
        Self::end();
        let world = Self(Rc::new(Inner {
            rng: RefCell::new(Rng::new(seed)),
            faults: Cell::new(faults),
            now: Cell::new(Duration::from_secs(1)),
            events: RefCell::default(),
            happened: Cell::new(0),
            schedule: Schedule::default(),
            kernel: Kernel::default(),
            trace: Cell::new(seed),
            panics: RefCell::default(),
            next_pause: Cell::new(Duration::from_secs(2)),
            paused: Cell::new(Duration::ZERO),
            lanes: Cell::new(0),
            bug: Cell::new(None),
            threads: Threads::default(),
        }));
        WORLD.with(|place| *place.borrow_mut() = Some(world.clone()));
        world
    }

    /// Ends the world of this thread, with all that is in it.
    pub fn end() {
        let Some(world) = world() else { return };
        world.drop_everything();
        world.0.events.take();
        world.0.threads.forget();
        WORLD.with(|place| place.borrow_mut().take());
    }

    /// What may go wrong from now on. Connections that there are break no more.
    pub fn set_faults(&self, faults: Faults) {
        self.0.faults.set(faults);
        self.0.kernel.network.calm();
    }

    /// The engine makes this mistake from now on.
    pub fn set_bug(&self, bug: Option<Bug>) {
        self.0.bug.set(bug);
    }

    /// How many lanes there are in memory: one that has ended is held by something that was forgotten.
    pub fn lanes_alive(&self) -> usize {
        self.0.lanes.get()
    }

    /// Time since the world began, and a second more.
    pub fn now(&self) -> Duration {
        self.0.now.get()
    }

    /// The same, less the time for which everything stood still: by this one, deadlines are kept.
    pub fn awake(&self) -> Duration {
        self.now() - self.0.paused.get()
    }

    pub(crate) fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + EPOCH + self.now()
    }

    /// A number that follows from the seed and from what has happened so far.
    pub fn random(&self) -> u64 {
        self.0.rng.borrow_mut().next()
    }

    /// A number below `n`; 0 if that is 0.
    pub fn below(&self, n: u64) -> u64 {
        self.0.rng.borrow_mut().below(n)
    }

    /// Whether something happens that happens in `part` of 10,000 cases. Nothing is drawn for what never happens.
    pub fn chance(&self, part: u64) -> bool {
        part > 0 && self.below(10_000) < part
    }

    /// A hash of all that has happened: two runs with the same one were the same.
    pub fn trace(&self) -> u64 {
        self.0.trace.get()
    }

    /// How many things have happened: events, and polls of tasks.
    pub fn happened(&self) -> u64 {
        self.0.happened.get()
    }

    /// What has panicked so far, but for what somebody caught.
    pub fn panics(&self) -> Vec<String> {
        self.0.panics.borrow().clone()
    }

    /// Makes a fact a part of the trace.
    pub fn note(&self, fact: u64) {
        let mixed = (self.0.trace.get() ^ fact).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0.trace.set(mixed ^ (mixed >> 29));
    }

    pub(super) fn at(&self, at: Duration, what: impl FnOnce(&Self) + 'static) {
        let number = self.0.happened.get();
        self.0.happened.set(number + 1);
        self.0.events.borrow_mut().push(Reverse(Event {
            at: u64::try_from(at.max(self.now()).as_nanos()).unwrap_or(u64::MAX),
            number,
            what: Box::new(what),
        }));
    }

    pub(super) fn after(&self, wait: Duration, what: impl FnOnce(&Self) + 'static) {
        self.at(self.now().saturating_add(wait), what);
    }

    /// Does one thing: lets happen what is due, polls a task, or moves on to when something happens. `false` if nothing
    /// is ever going to.
    pub fn step(&self) -> bool {
        self.happen();
        if self.poll_one() {
            let took = Duration::from_nanos(1 + self.below(POLL_NANOS_MAX));
            self.0.now.set(self.now() + took);
            self.0.happened.set(self.0.happened.get() + 1);
            return true;
        }
        if self.0.threads.wake() {
            return true;
        }
        let Some(next) = self.0.events.borrow().peek().map(|Reverse(event)| event.at) else { return false };
        self.0.now.set(self.now().max(Duration::from_nanos(next)));
        self.maybe_pause();
        true
    }

    /// Everything stands still for a while, but time.
    fn maybe_pause(&self) {
        if self.now() < self.0.next_pause.get() {
            return;
        }
        self.0.next_pause.set(self.now() + Duration::from_secs(1));
        if self.chance(self.0.faults.get().pause) {
            let pause = Duration::from_millis(self.below(120_000));
            self.note(pause.as_nanos() as u64);
            self.0.now.set(self.now() + pause);
            self.0.paused.set(self.0.paused.get() + pause);
        }
    }

    fn happen(&self) {
        loop {
            let mut events = self.0.events.borrow_mut();
            let now = self.now().as_nanos();
            if events.peek().is_none_or(|Reverse(event)| u128::from(event.at) > now) {
                return;
            }
            let Reverse(event) = events.pop().expect("it was looked at");
            drop(events);
            self.note(event.number);
            self.0.schedule.outside(|| (event.what)(self));
        }
    }

    /// Goes on for so long.
    pub fn run(&self, duration: Duration) {
        self.run_until(duration, || false);
    }

    /// Goes on until something is true, for so long at most; says whether it is.
    pub fn run_until(&self, duration: Duration, mut is_true: impl FnMut() -> bool) -> bool {
        let until = self.now().saturating_add(duration);
        self.at(until, |_| {});
        while !is_true() {
            if self.now() >= until || !self.step() {
                return is_true();
            }
        }
        true
    }
}
