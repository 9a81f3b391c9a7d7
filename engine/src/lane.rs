//! A lane: one thread, one event loop, and everything that a request needs, shared with nobody.

use crate::{
    client::Names,
    context::Exchange,
    door::{Doors, Watch},
    downstream::Downstream,
    flight::{Flight, Slow},
    io::{self, Alarm, Buffers, Pipes, Pumps, bell::Bell, driver::Running},
    letter::Letter,
    metrics::{Counter, Endpoints, Metric, Metrics, Phase, Snapshot},
    process::Process,
    rate_limit::Leases,
    record::Record,
    settings::Settings,
    sink::{Event, Sink},
    turn::Turns,
    upstream::{Asked, Cluster, Known, Members, Peer, Pool, Turnstile, Upstream},
    wheel::{TICK, Tick, Timer, Wheel},
};
use corelane_balancer::Rng;
use corelane_codec::{RequestHead, ResponseHead};
use std::{
    cell::{Cell, Ref, RefCell},
    collections::HashMap,
    future::{Future, poll_fn},
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, SystemTime},
};

/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// Deadlines that are met before the others get a turn.
const TIMERS_PER_TURN: usize = 1024;
/// Connections that are looked at before the others get a turn.
const SWEPT_PER_TURN: usize = 4096;
/// How often collected records are handed on.
const FLUSH: Duration = Duration::from_millis(100);
/// Pieces of content that one connection may move before the others get a turn.
const PIECES_PER_TURN: u32 = 16;
/// How long connections that a drain cuts off have to end.
const CUT: Duration = Duration::from_secs(1);
/// Free heads, records and exchanges that a lane keeps.
const KEPT_MAX: usize = 1024;
/// Free timers that a lane keeps: as many connections may end within the time for a head and leave no more than these.
const TIMERS_KEPT_MAX: usize = 16_384;
/// Free buffers that a lane keeps although it has been idle: 256 KiB.
const BUFFERS_KEPT_IDLE: usize = 8;

/// How far a lane is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drain {
    /// It serves.
    No,
    /// It finishes what it has, until then.
    Until(Tick),
    /// It finishes what it has, however long that takes.
    Patiently,
    /// It ends.
    Now,
}

impl Drain {
    /// This one, or `other` if that is over sooner: no drain puts another off.
    fn hastened(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, other) | (Self::Patiently, other @ (Self::Until(_) | Self::Now)) => other,
            (Self::Until(mine), Self::Until(theirs)) => Self::Until(mine.min(theirs)),
            (Self::Until(_), Self::Now) => Self::Now,
            (mine, _) => mine,
        }
    }
}

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
    /// The wall's time when the lane began, by the last look at both clocks.
    epoch: Cell<SystemTime>,
    pub(crate) wheel: Wheel,
    pub(crate) buffers: Buffers,
    pub(crate) pumps: Pumps,
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
    pub(crate) pools: RefCell<HashMap<Peer, Rc<Pool>>>,
    /// Peers that were decided for one request, to be found again for another.
    pub(crate) peers: RefCell<HashMap<Peer, Rc<Members>>>,
    pub(crate) names: RefCell<Names>,
    /// Who waits for work to be done elsewhere.
    pub(crate) offloaded: RefCell<Vec<Waker>>,
    pub(crate) turnstiles: RefCell<HashMap<Arc<str>, Weak<Turnstile>>>,
    /// What has been taken ahead of rate limits.
    pub(crate) leases: RefCell<Vec<Weak<Leases>>>,
    /// What other lanes have been asked for.
    pub(crate) asked: Asked,
    requests: RefCell<Vec<RequestHead>>,
    responses: RefCell<Vec<ResponseHead>>,
    #[expect(clippy::vec_box, reason = "the box is what is used again")]
    records: RefCell<Vec<Box<Record>>>,
    exchanges: RefCell<Vec<Rc<Exchange>>>,
    /// Of connections that have ended. The wheel still holds on to most of them, for a deadline that matters no more:
    /// used again, they need no other entry.
    timers: RefCell<Vec<Rc<Timer>>>,
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
    pub(crate) reserve: Cell<Option<OwnedFd>>,
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
            ended: Cell::new(false),
            cut: Cell::new(false),
            epoch: Cell::new(clock.wall()),
            wheel: Wheel::new(),
            buffers: Buffers::default(),
            pumps: Pumps::default(),
            pipes: Pipes::default(),
            metrics: Metrics::new(),
            flight: Flight::new(id, process.config.flight),
            bell,
            alarm,
            rng: RefCell::new(Rng::new(crate::sys::random())),
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
            requests: RefCell::default(),
            responses: RefCell::default(),
            records: RefCell::default(),
            exchanges: RefCell::default(),
            timers: RefCell::default(),
            sink: RefCell::new(sink),
            unflushed: Cell::new(false),
            date: RefCell::default(),
            finished: RefCell::new(None),
            tasks: RefCell::default(),
            serving: RefCell::default(),
            has_spare: Cell::new(false),
            reserve: Cell::new(crate::sys::reserve()),
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

    /// Runs `task` beside the requests, until it ends or the lane does. A panic in it ends it alone.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn_again_if(task, false, || std::future::ready(()));
    }

    /// Runs a task of the lane's own, which never ends: after a panic it begins again.
    pub(crate) fn spawn_forever<T: Future<Output = ()> + 'static>(&self, task: impl Fn() -> T + 'static) {
        self.spawn_again_if(task(), true, task);
    }

    fn spawn_again_if<T: Future<Output = ()>>(
        &self,
        first: impl Future<Output = ()> + 'static,
        again: bool,
        next: impl Fn() -> T + 'static,
    ) {
        let lane = self.clone();
        io::spawn(async move {
            let mut ended = lane.until_cut(caught(first)).await;
            while let Some(Err(message)) = ended {
                lane.0.metrics.count(Metric::EnginePanics);
                lane.event(&Event::LanePanicked { lane: lane.id(), message });
                if !again {
                    return;
                }
                ended = lane.until_cut(caught(next())).await;
            }
        });
    }

    /// Polls `task` until it ends, or drops it when the lane ends: the runtime itself would keep it for ever.
    async fn until_cut<T>(&self, task: impl Future<Output = T>) -> Option<T> {
        let place = Place::take(self);
        let mut task = pin!(task);
        poll_fn(|cx| {
            if self.is_cut() {
                return Poll::Ready(None);
            }
            place.waits(cx);
            self.begin_poll();
            task.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Waits until [`now`](Self::now) is `due`, and some microseconds more.
    pub async fn sleep_until(&self, due: Duration) {
        self.0.alarm.wait(due, || self.now()).await;
    }

    /// Waits so long, and some microseconds more.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
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
        let now = self.about_now();
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
        self.0.metrics.snapshot(self.0.id, &self.0.driver)
    }

    /// The last slow exchanges.
    pub(crate) fn slow(&self) -> Vec<Slow> {
        self.0.flight.copy()
    }

    // ---- what is used again and again ----

    pub(crate) fn take_request(&self) -> RequestHead {
        self.0.requests.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_request(&self, mut head: RequestHead) {
        let mut kept = self.0.requests.borrow_mut();
        if kept.len() < KEPT_MAX {
            head.clear();
            kept.push(head);
        }
    }

    pub(crate) fn take_response(&self) -> ResponseHead {
        self.0.responses.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_response(&self, mut head: ResponseHead) {
        let mut kept = self.0.responses.borrow_mut();
        if kept.len() < KEPT_MAX {
            head.clear();
            kept.push(head);
        }
    }

    pub(crate) fn take_record(&self) -> Box<Record> {
        self.0.records.borrow_mut().pop().unwrap_or_else(|| Box::new(Record::new()))
    }

    pub(crate) fn take_exchange(&self) -> Option<Rc<Exchange>> {
        self.0.exchanges.borrow_mut().pop()
    }

    pub(crate) fn give_exchange(&self, exchange: Rc<Exchange>) {
        let mut kept = self.0.exchanges.borrow_mut();
        if kept.len() < KEPT_MAX {
            kept.push(exchange);
        }
    }

    pub(crate) fn take_timer(&self) -> Rc<Timer> {
        self.0.timers.borrow_mut().pop().unwrap_or_else(Timer::new)
    }

    pub(crate) fn give_timer(&self, timer: Rc<Timer>) {
        let mut kept = self.0.timers.borrow_mut();
        if kept.len() < TIMERS_KEPT_MAX {
            timer.forget();
            kept.push(timer);
        }
    }

    /// Whether anybody reads records: otherwise their texts need not be filled in.
    pub(crate) fn has_sink(&self) -> bool {
        self.0.process.config.sink.is_some()
    }

    /// Whether slow exchanges are kept: that takes a few of those texts.
    pub(crate) fn has_flight_recorder(&self) -> bool {
        self.0.flight.is_on()
    }

    /// Closes a record: counts it, shows it to the sink, and keeps its memory.
    pub(crate) fn close_record(&self, record: Box<Record>) {
        self.0.metrics.record(&record);
        if self.0.flight.is_slow(&record) {
            self.0.metrics.count(Metric::Slow);
            let now = self.about_now();
            let longest = self.0.turns.longest_since(now.saturating_sub(record.duration), self.now());
            self.0.flight.keep(&record, longest);
        }
        if let Some(sink) = self.0.sink.borrow_mut().as_mut() {
            sink.record(&record);
            self.0.unflushed.set(true);
        }
        self.give_record(record);
    }

    pub(crate) fn give_record(&self, mut record: Box<Record>) {
        let mut kept = self.0.records.borrow_mut();
        if kept.len() < KEPT_MAX {
            record.clear();
            kept.push(record);
        }
    }

    /// A fresh request id: 128 random bits in hexadecimal.
    pub(crate) fn request_id(&self) -> [u8; 32] {
        const DIGITS: [[u8; 2]; 256] = {
            let (digits, mut all, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
            while byte < all.len() {
                all[byte] = [digits[byte >> 4], digits[byte & 15]];
                byte += 1;
            }
            all
        };
        let mut rng = self.0.rng.borrow_mut();
        let mut id = [0; 32];
        for half in id.chunks_exact_mut(16) {
            for (pair, byte) in half.chunks_exact_mut(2).zip(rng.next().to_le_bytes()) {
                pair.copy_from_slice(&DIGITS[usize::from(byte)]);
            }
        }
        id
    }

    /// The present time for `Date`, formatted once a second (RFC 9110 §5.6.7).
    pub(crate) fn date(&self, put: impl FnOnce(&str)) {
        let now = self.wall();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = self.0.date.borrow_mut();
        if date.0 != second || date.1.is_empty() {
            *date = (second, httpdate::fmt_http_date(now));
        }
        put(&date.1);
    }

    // ---- connections ----

    pub(crate) fn register(&self, connection: &Rc<Downstream>) {
        let mut connections = self.0.connections.borrow_mut();
        connection.place.set(connections.len());
        connections.push(connection.clone());
        self.0.metrics.set(Metric::ConnectionsOpen, connections.len() as u64);
    }

    pub(crate) fn unregister(&self, connection: &Downstream) {
        let mut connections = self.0.connections.borrow_mut();
        let place = connection.place.get();
        connections.swap_remove(place);
        if let Some(moved) = connections.get(place) {
            moved.place.set(place);
        }
        self.0.metrics.set(Metric::ConnectionsOpen, connections.len() as u64);
        let crowd = &self.0.process.crowd;
        crowd.all.put_back(self.id());
        if let Some(counted) = connection.counted {
            crowd.leave(counted);
        }
        if connections.is_empty() && self.is_draining() {
            self.wake_main();
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.0.connections.borrow().len()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.drain.get() != Drain::No
    }

    /// Begins to drain, or hurries a drain up.
    pub(crate) fn drain(&self, drain: Drain) {
        if !self.is_draining() {
            self.event(&Event::Draining { lane: self.id(), connections: self.connections() as u64 });
        }
        self.0.drain.set(self.0.drain.get().hastened(drain));
        self.wake_listeners();
        self.wake_main();
    }

    /// Wakes whoever accepts connections, to look whether that is over.
    pub(crate) fn wake_listeners(&self) {
        for waker in self.0.serving.take() {
            waker.wake();
        }
    }

    /// Waits for `ready` as long as the lane serves and `watch` lasts; `false` once that is over, or if the wait failed.
    pub(crate) async fn serving(
        &self,
        watch: &Watch,
        ready: impl Future<Output = std::io::Result<()>>,
    ) -> bool {
        let mut ready = pin!(ready);
        poll_fn(|cx| {
            if self.is_draining() || watch.end().is_some() {
                return Poll::Ready(false);
            }
            if let Poll::Ready(result) = ready.as_mut().poll(cx) {
                return Poll::Ready(result.is_ok());
            }
            let mut serving = self.0.serving.borrow_mut();
            if !serving.iter().any(|waker| waker.will_wake(cx.waker())) {
                serving.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    fn wake_main(&self) {
        if let Some(waker) = self.0.finished.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until a drain is over; says how many connections it cut off.
    pub(crate) async fn finished(&self) -> u64 {
        poll_fn(|cx| {
            if self.0.finished.borrow().is_some() {
                // It is the end of a turn, no more: nobody has woken it.
                return Poll::Pending;
            }
            let open = self.connections();
            let over = match self.0.drain.get() {
                Drain::No => self.0.ended.get(),
                Drain::Until(due) => open == 0 || self.0.wheel.passed(due),
                Drain::Patiently => open == 0,
                Drain::Now => true,
            };
            if over {
                return Poll::Ready(open as u64);
            }
            *self.0.finished.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The lane's thread ends, for whatever cause; it is rebuilt.
    pub(crate) fn end(&self) {
        self.0.ended.set(true);
        self.wake_main();
    }

    /// Whether everything ends now.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut.get()
    }

    /// Ends what is left, and lets go of everything, so that nothing of the lane outlives it.
    pub(crate) async fn tear_down(&self) {
        self.0.cut.set(true);
        let due = self.now() + CUT;
        while self.wake_all() && self.now() < due {
            io::nap(Duration::from_millis(1)).await;
        }
        self.0.peers.take();
        self.0.names.take();
        self.0.exchanges.take();
        for (_, pool) in self.0.pools.take() {
            pool.close();
        }
        self.0.doors.clear();
        self.flush();
        self.0.sink.borrow_mut().take();
        // The ring closes descriptors in the background: one more look at it.
        io::nap(Duration::from_millis(1)).await;
    }

    /// Wakes whatever is left on the lane; `false` if nothing is.
    fn wake_all(&self) -> bool {
        for connection in self.0.connections.borrow().iter() {
            connection.timer.wake();
        }
        let tasks = self.0.tasks.borrow();
        tasks.iter().flatten().flatten().for_each(Waker::wake_by_ref);
        self.connections() > 0 || tasks.iter().any(Option::is_some)
    }

    // ---- housekeeping ----

    /// Wakes those whose moment has come.
    pub(crate) async fn keep_time(self) {
        while self.0.alarm.gone_off(|| self.now()).await.is_ok() {}
    }

    /// Turns the wheel, and sweeps and flushes now and then. Sleeps while there is nothing to turn it for.
    pub(crate) async fn keep_house(self) {
        let (mut swept, mut flushed) = (self.now(), self.now());
        loop {
            poll_fn(|cx| if self.is_quiet(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
            self.sleep(TICK).await;
            let now = self.now();
            self.0.epoch.set(self.0.process.clock.wall() - now);
            while !self.0.wheel.turn(now, TIMERS_PER_TURN) {
                self.yield_now().await;
            }
            if now.saturating_sub(flushed) >= FLUSH {
                flushed = now;
                self.flush();
            }
            if self.is_draining() {
                self.sweep().await;
                self.wake_main();
            } else if now.saturating_sub(swept) >= SWEEP {
                swept = now;
                self.sweep().await;
            }
        }
    }

    /// Nothing is due, nobody is connected, nothing is to be flushed.
    fn is_quiet(&self, cx: &std::task::Context<'_>) -> bool {
        !self.is_draining()
            && !self.0.unflushed.get()
            && self.connections() == 0
            && self.0.metrics.value(Metric::UpstreamIdle) == 0
            && self.0.wheel.is_empty(cx)
    }

    pub(crate) fn flush(&self) {
        if self.0.unflushed.replace(false)
            && let Some(sink) = self.0.sink.borrow_mut().as_mut()
        {
            sink.flush();
        }
    }

    async fn sweep(&self) {
        let (mut idle, mut dozing, mut at) = (0, 0, 0);
        while at < self.connections() {
            let draining = self.is_draining();
            // Who takes the place of one that has left meanwhile may be passed over until the next time.
            for connection in self.0.connections.borrow().iter().skip(at).take(SWEPT_PER_TURN) {
                let seen = connection.sweep(draining);
                idle += u64::from(seen.asleep);
                dozing += usize::from(seen.dozes);
            }
            at += SWEPT_PER_TURN;
            if at < self.connections() {
                self.yield_now().await;
            }
        }
        self.0.metrics.set(Metric::ConnectionsIdle, idle);
        self.forget_peers();
        self.0.pools.borrow_mut().retain(|_, pool| {
            // A pool that nobody uses any more goes with its last connection.
            pool.sweep() > 0 || Rc::strong_count(pool) > 1
        });
        self.sweep_rate_limits();
        self.give_memory_back(dozing);
    }

    /// After a burst, memory goes back to the system: a second after the last connection fell asleep, or there were more
    /// buffers than are needed.
    fn give_memory_back(&self, dozing: usize) {
        let busy = self.0.metrics.value(Metric::RequestsOpen) as usize;
        let wanted = BUFFERS_KEPT_IDLE.max(2 * busy);
        let is_spare = self.0.buffers.kept() > wanted;
        if dozing > 0 || is_spare && !self.0.has_spare.get() {
            self.0.has_spare.set(true);
        } else if self.0.has_spare.replace(false) {
            self.0.buffers.shrink(wanted);
            self.0.pumps.shrink();
            crate::sys::release_free_memory();
        }
    }
}

/// A task's place in the lane's list of those that it runs.
struct Place<'a> {
    lane: &'a Lane,
    index: usize,
}

impl<'a> Place<'a> {
    fn take(lane: &'a Lane) -> Self {
        let mut tasks = lane.0.tasks.borrow_mut();
        let index = tasks.iter().position(Option::is_none).unwrap_or(tasks.len());
        if index == tasks.len() {
            tasks.push(None);
        }
        tasks[index] = Some(None);
        Self { lane, index }
    }

    fn waits(&self, cx: &std::task::Context<'_>) {
        let place = &mut self.lane.0.tasks.borrow_mut()[self.index];
        if !place
            .as_ref()
            .is_some_and(|waker| waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())))
        {
            *place = Some(Some(cx.waker().clone()));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lane.0.tasks.borrow_mut()[self.index] = None;
    }
}

/// Polls `task`; a panic in it becomes its words. It is never polled again after that, only dropped.
pub(crate) async fn caught<T>(task: impl Future<Output = T>) -> Result<T, String> {
    let mut task = pin!(task);
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => Poll::Ready(Err(panic_message(&*payload))),
    })
    .await
}

pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let message = payload.downcast_ref::<&str>().copied();
    message
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}
