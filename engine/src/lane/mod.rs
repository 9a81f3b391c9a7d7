//! A lane: one thread, one event loop, and everything that a request needs, shared with nobody.

mod ending;
mod free;
mod house;
mod tasks;

pub(crate) use ending::Drain;
pub(crate) use tasks::{caught, panic_message};

use crate::{
    client::Names,
    door::Doors,
    downstream::Downstream,
    flight::{Flight, Slow},
    io::{self, Alarm, Buffers, Fd, Map, Pipes, Spares, bell::Bell, driver::Running},
    letter::Letter,
    metrics::{Counter, Endpoints, Metric, Metrics, Phase, Snapshot},
    overload::Shedding,
    process::Process,
    rate_limit::Leases,
    settings::Settings,
    simulate::Alive,
    sink::{Event, Sink},
    turn::Turns,
    upstream::{Asked, Cluster, Known, Members, Peer, Pool, Turnstile, Upstream},
    wheel::{Tick, Wheel},
};
use corelane_balancer::Rng;
use free::FreeLists;
use std::{
    cell::{Cell, Ref, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, SystemTime},
};

/// Pieces of content that one connection may move before the others get a turn.
const PIECES_PER_TURN: u32 = 16;

/// A lane, as a handler sees it. Cheap to clone; never leaves its thread.
#[derive(Clone)]
pub struct Lane(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    pub(crate) id: usize,
    pub(crate) process: Arc<Process>,
    /// What holds where neither a listener nor an exchange says anything.
    settings: RefCell<Rc<Settings>>,
    pub(crate) driver: Running,
    looked: Cell<Duration>,
    pub(crate) turns: Turns,
    budget: Cell<u32>,
    /// For how long the lane has stood still in all: see [`Lane::awake`].
    stood: Cell<Duration>,
    /// The wall's time when the lane began, by the last look at both clocks.
    epoch: Cell<SystemTime>,
    pub(crate) wheel: Wheel,
    pub(crate) buffers: Buffers,
    pub(crate) spares: Spares,
    pub(crate) pipes: Pipes,
    pub(crate) metrics: Metrics,
    flight: Flight,
    pub(crate) bell: Bell,
    pub(crate) alarm: Alarm,
    pub(crate) rng: RefCell<Rng>,
    pub(crate) drain: Cell<Drain>,
    /// The lane's thread ends although nobody asked the engine to.
    ended: Cell<bool>,
    /// The drain is over: whatever is left ends now.
    cut: Cell<bool>,
    connections: RefCell<Vec<Rc<Downstream>>>,
    pub(crate) doors: Doors,
    /// The latest plan whose handlers have been made.
    pub(crate) plan: Cell<u64>,
    pub(crate) clusters: RefCell<Known>,
    pub(crate) pools: RefCell<Map<Peer, Rc<Pool>>>,
    /// Peers that were decided for one request, to be found again for another.
    pub(crate) peers: RefCell<Map<Peer, Rc<Members>>>,
    pub(crate) names: RefCell<Names>,
    /// Who waits for work to be done elsewhere.
    pub(crate) offloaded: RefCell<Vec<Waker>>,
    pub(crate) turnstiles: RefCell<Map<Arc<str>, Weak<Turnstile>>>,
    /// What has been taken ahead of rate limits.
    pub(crate) leases: RefCell<Vec<Weak<Leases>>>,
    /// What other lanes have been asked for.
    pub(crate) asked: Asked,
    free: FreeLists,
    sink: RefCell<Option<Box<dyn Sink>>>,
    unflushed: Cell<bool>,
    date: RefCell<(u64, String)>,
    finished: RefCell<Option<Waker>>,
    /// Whom to wake when the lane ends: one place for each task that it runs.
    tasks: RefCell<Vec<Option<Option<Waker>>>>,
    /// Those who accept connections, to be told when a drain begins.
    serving: RefCell<Vec<Waker>>,
    /// There was memory to give back at the last sweep.
    has_spare: Cell<bool>,
    /// A descriptor to close when there is none to accept with.
    pub(crate) reserve: Cell<Option<Fd>>,
    _alive: Alive,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("id", &self.0.id).field("driver", &self.0.driver).finish_non_exhaustive()
    }
}

impl Lane {
    pub(crate) fn new(
        id: usize,
        process: Arc<Process>,
        settings: &Settings,
        driver: Running,
        (bell, alarm): (Bell, Alarm),
    ) -> Self {
        let sink = process.config.sink.as_ref().map(|factory| factory(id));
        let clock = process.clock;
        Self(Rc::new(Inner {
            id,
            settings: RefCell::new(Rc::new(settings.clone())),
            driver,
            looked: Cell::new(clock.now()),
            turns: Turns::default(),
            budget: Cell::new(PIECES_PER_TURN),
            stood: Cell::default(),
            ended: Cell::new(false),
            cut: Cell::new(false),
            epoch: Cell::new(clock.wall()),
            wheel: Wheel::new(),
            buffers: Buffers::default(),
            spares: Spares::default(),
            pipes: Pipes::of_one_of(process.lanes()),
            metrics: Metrics::new(),
            flight: Flight::new(id, process.config.flight),
            bell,
            alarm,
            rng: RefCell::new(Rng::new(io::system::random())),
            drain: Cell::new(Drain::No),
            connections: RefCell::default(),
            doors: Doors::default(),
            plan: Cell::new(0),
            clusters: RefCell::default(),
            pools: RefCell::default(),
            peers: RefCell::default(),
            names: RefCell::default(),
            offloaded: RefCell::default(),
            turnstiles: RefCell::default(),
            leases: RefCell::default(),
            asked: Asked::default(),
            free: FreeLists::default(),
            sink: RefCell::new(sink),
            unflushed: Cell::new(false),
            date: RefCell::default(),
            finished: RefCell::new(None),
            tasks: RefCell::default(),
            serving: RefCell::default(),
            has_spare: Cell::new(false),
            reserve: Cell::new(io::system::reserve()),
            _alive: Alive::new(),
            process,
        }))
    }

    /// Which lane this is, from 0.
    pub fn id(&self) -> usize {
        self.0.id
    }

    /// What holds where neither a listener nor an exchange says anything.
    pub(crate) fn settings(&self) -> Ref<'_, Rc<Settings>> {
        self.0.settings.borrow()
    }

    /// This lane's own way to a cluster: its picker, and the pools of its endpoints, which it shares with every other
    /// cluster that has the same endpoint, be it another listener's or the next generation's.
    ///
    /// # Panics
    /// If the cluster has not been [resolved](Cluster::resolve) and cannot be.
    pub fn upstream(&self, cluster: &Cluster) -> Upstream {
        let resolved;
        let cluster = if cluster.is_resolved() {
            cluster
        } else {
            resolved = cluster.clone().resolve().unwrap_or_else(|error| panic!("{error}"));
            &resolved
        };
        if let Some(members) = self.0.clusters.borrow().find(cluster) {
            members.ask(self.0.plan.get());
            return Upstream::new(self, members);
        }
        let members = Members::new(self, cluster);
        self.0.clusters.borrow_mut().add(cluster.as_name(), &members);
        let endpoints: Rc<dyn Endpoints> = members.clone();
        self.0.metrics.watch(Rc::downgrade(&endpoints));
        Upstream::new(self, members)
    }

    /// A counter of the handler's own: lanes that ask for the same name are merged on `/metrics`.
    ///
    /// Names are of `[a-z0-9_]` and end in `_total` by custom.
    pub fn counter(&self, name: &str) -> Counter {
        self.0.metrics.counter(name)
    }

    /// Leaves a letter for another lane; it comes back when that one has too many.
    pub(crate) fn post(&self, lane: usize, letter: Letter) -> Result<(), Letter> {
        self.0.metrics.count(Metric::Letters);
        self.0.process.desks[lane].mail.post(letter)
    }

    /// What holds from now on where neither a listener nor an exchange says anything.
    pub(crate) fn set_settings(&self, settings: &Settings) {
        *self.0.settings.borrow_mut() = Rc::new(settings.clone());
    }

    /// Waits until [`now`](Self::now) is `due`, and some microseconds more.
    pub async fn sleep_until(&self, due: Duration) {
        self.0.alarm.wait(due, || self.now()).await;
    }

    /// Waits so long, and some microseconds more.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().saturating_add(duration)).await;
    }

    /// Waits for `task`, at most so long: then it is dropped, and this gives `None`.
    pub async fn timeout<T>(&self, duration: Duration, task: impl Future<Output = T>) -> Option<T> {
        let (mut task, mut late) = (pin!(task), pin!(self.sleep(duration)));
        poll_fn(|cx| match task.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => late.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    /// Time since the engine began, the same on every lane; it never jumps.
    pub fn now(&self) -> Duration {
        self.0.process.clock.now()
    }

    /// The time at which the present poll of a task began, or looked at the clock since: what happens in one poll has
    /// one time, and costs one look.
    pub(crate) fn about_now(&self) -> Duration {
        self.0.looked.get()
    }

    /// The same without the times in which the lane stood still: the process was stopped, the machine frozen, or a handler
    /// kept the lane. What came meanwhile could not be seen, so nobody is late because of it: all deadlines are kept in
    /// this time.
    pub(crate) fn awake(&self) -> Duration {
        self.about_now().saturating_sub(self.0.stood.get())
    }

    /// The lane has stood still for so long.
    fn has_stood(&self, time: Duration) {
        self.0.stood.set(self.0.stood.get() + time);
    }

    /// Looks at the clock, after something that may have taken time.
    pub(crate) fn look(&self) -> Duration {
        let now = self.now();
        self.0.looked.set(now);
        now
    }

    /// A poll of a task begins: it has its own time, and a budget of its own.
    pub(crate) fn begin_poll(&self) {
        self.0.turns.begin_poll(self.look());
        self.0.budget.set(PIECES_PER_TURN);
    }

    /// Polls `task` as one of the lane's own: it has a time.
    pub(crate) async fn polling<T>(&self, task: impl Future<Output = T>) -> T {
        let mut task = pin!(task);
        poll_fn(|cx| {
            self.begin_poll();
            task.as_mut().poll(cx)
        })
        .await
    }

    /// Runs the thread's main future, and learns from its polls when a turn ends.
    pub(crate) async fn turning<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        poll_fn(|cx| {
            if let Some(began) = self.0.turns.end(cx) {
                let ended = self.now();
                self.0.turns.ended(began, ended);
                self.0.metrics.time(Phase::Turn, ended.saturating_sub(began));
            }
            main.as_mut().poll(cx)
        })
        .await
    }

    /// What is done because the process runs short of something.
    pub(crate) fn shedding(&self) -> Shedding {
        self.0.process.gauge.shedding()
    }

    /// Spends one piece of content of this turn's budget. When it is spent, the others come first: on epoll an
    /// operation that is ready completes without yielding, so two fast peers could keep a lane for ever.
    pub(crate) fn has_spent(&self, cx: &std::task::Context<'_>) -> bool {
        match self.0.budget.get().checked_sub(1) {
            Some(left) => {
                self.0.budget.set(left);
                false
            }
            None => {
                self.0.bell.defer(cx);
                true
            }
        }
    }

    /// The wall's time, at most a tick of the wheel off.
    pub(crate) fn wall(&self) -> SystemTime {
        self.0.epoch.get() + self.about_now()
    }

    /// Lets the lane's other tasks, timers and connections have a turn: for loops that compute for long.
    pub async fn yield_now(&self) {
        self.0.bell.yield_now().await;
    }

    /// The moment that lies `duration` ahead, for [`Wheel::expired`].
    pub(crate) fn after(&self, duration: Duration) -> Tick {
        let now = self.awake();
        if self.0.wheel.stands_still() {
            self.0.wheel.set(now);
        }
        self.0.wheel.after(now, duration)
    }

    /// What an embedder wrote has panicked.
    pub(crate) fn handler_panicked(&self, message: String, request_id: &[u8]) {
        self.0.metrics.count(Metric::Panics);
        let request_id = String::from_utf8_lossy(request_id).into_owned();
        self.event(&Event::HandlerPanicked { lane: self.id(), message, request_id });
    }

    pub(crate) fn event(&self, event: &Event) {
        self.0.process.event(event);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.0.metrics.set(Metric::Deadlines, self.0.wheel.enrolled() as u64);
        self.0.metrics.set(Metric::BuffersKept, self.0.buffers.kept() as u64);
        self.0.metrics.set(Metric::Tasks, self.0.tasks.borrow().iter().flatten().count() as u64);
        self.0.metrics.snapshot(self.0.id, &self.0.driver)
    }

    /// The last slow exchanges.
    pub(crate) fn slow(&self) -> Vec<Slow> {
        self.0.flight.copy()
    }
}
