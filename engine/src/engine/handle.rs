//! An engine that runs: looking into it, changing it, ending it.

use super::{
    Builder, ReloadError, StartError,
    listen::{self, Bound},
    thread::Start,
    watch::Watcher,
};
use crate::{
    address::Address,
    door::Plan,
    flight::{FlightRecorder, Slow},
    io::{Socket, clock::Clock, driver::Running, threads},
    letter::{Answer, Letter},
    metrics::Snapshot,
    overload::Pressure,
    process::Process,
    settings::Settings,
    shared::desk::{Changed, Grace},
    sink::Event,
    upstream::Cluster,
};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long every lane has to get ready for a plan.
const PREPARE_MAX: Duration = Duration::from_secs(10);
/// How long a reload waits until every lane has carried it out. One that takes longer does it later.
const CARRY_OUT_MAX: Duration = Duration::from_secs(2);

#[expect(clippy::disallowed_types, reason = "for threads that change an engine; no lane ever takes it")]
type Lock<T> = std::sync::Mutex<T>;

/// What the threads share that look after lanes.
pub(crate) struct Shared {
    pub(crate) process: Arc<Process>,
    /// Held for a moment at a time.
    control: Lock<Control>,
    /// Held by a reload, which waits for lanes.
    reloading: Lock<()>,
    draining: AtomicBool,
    cores: Vec<core_affinity::CoreId>,
}

/// What an engine serves at the moment.
pub(crate) struct Control {
    pub(crate) bound: Vec<Bound>,
    settings: Arc<Settings>,
    /// Of the latest plan.
    number: u64,
    /// Those whose endpoints have changed while it ran.
    clusters: Vec<Cluster>,
}

impl Control {
    pub(crate) fn new(bound: Vec<Bound>, settings: Arc<Settings>) -> Self {
        Self { bound, settings, number: 1, clusters: Vec::new() }
    }

    /// A lane's part.
    fn plan(&self, lane: usize, answers: Option<Sender<Answer>>) -> Arc<Plan> {
        let doors = self.bound.iter().filter_map(|bound| bound.of_lane(lane)).collect();
        Arc::new(Plan { number: self.number, settings: self.settings.clone(), doors, answers })
    }

    /// A lane's sockets, by their addresses.
    pub(crate) fn sockets(&self, lane: usize) -> Vec<(Address, Arc<Socket>)> {
        let planned = |bound: &Bound| Some((bound.address().clone(), bound.of_lane(lane)?.socket));
        self.bound.iter().filter_map(planned).collect()
    }

    fn changed(&self) -> Changed {
        Changed { plan: self.number, clusters: self.clusters.clone() }
    }

    fn close_sockets(&mut self) {
        self.bound.iter_mut().for_each(Bound::close);
    }
}

impl Shared {
    pub(crate) fn new(process: Arc<Process>, control: Control, cores: Vec<core_affinity::CoreId>) -> Self {
        Self {
            process,
            control: Lock::new(control),
            reloading: Lock::new(()),
            draining: AtomicBool::new(false),
            cores,
        }
    }

    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// A number for a plan; each is used once, whatever becomes of it.
    fn next_number(&self) -> u64 {
        let mut control = self.control();
        control.number += 1;
        control.number
    }

    /// Lanes are to serve by this from now on.
    fn serve_by(&self, next: Control) {
        let mut control = self.control();
        *control = next;
        for desk in &self.process.desks {
            desk.clusters.take();
        }
        if self.is_draining() {
            control.close_sockets();
        }
    }

    pub(crate) fn event(&self, event: &Event) {
        self.process.event(event);
    }

    /// Starts a lane's thread with all that is served at the moment.
    pub(crate) fn start_lane(
        &self,
        id: usize,
        started: Sender<Result<(), StartError>>,
        ended: Sender<usize>,
    ) -> Result<(), StartError> {
        let control = self.control();
        let core = self.cores.get(id % self.cores.len().max(1)).copied();
        if !control.clusters.is_empty() {
            self.process.desks[id].clusters.put(Arc::new(control.changed()));
        }
        let start = Start { id, process: self.process.clone(), plan: control.plan(id, None), core };
        start.spawn(started, ended).map_err(StartError::Thread)
    }
}

/// An engine that runs. Dropping it changes nothing; the engine runs until it is drained.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    /// Disconnected when every lane has ended.
    finished: Receiver<()>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl Handle {
    /// Starts every lane, and whoever watches them.
    pub(crate) fn start(shared: Arc<Shared>) -> Result<Self, StartError> {
        let lanes = shared.process.lanes();
        let (tell_ended, ended) = unbounded();
        let (finish, finished) = bounded(0);
        let handle = Self { shared: shared.clone(), finished };
        let mut starting = Vec::new();
        let mut failed = None;
        for id in 0..lanes {
            let (tell_started, started) = bounded(1);
            match shared.start_lane(id, tell_started, tell_ended.clone()) {
                Ok(()) => starting.push(started),
                Err(error) => failed = Some(error),
            }
        }
        for started in &starting {
            if let Err(error) = threads::receive(started, None).unwrap_or(Err(StartError::Panicked)) {
                failed = Some(error);
            }
        }
        let watcher = Watcher::new(shared.clone(), ended, tell_ended, finish);
        if let Some(error) = failed {
            handle.stop();
            watcher.wait(starting.len());
            return Err(error);
        }
        watcher.start().map_err(StartError::Thread)?;
        for address in handle.addresses() {
            shared.event(&Event::Listening { address });
        }
        Ok(handle)
    }

    /// The addresses that are listened on, in the order in which they were asked for; a port of 0 has become the
    /// kernel's choice.
    pub fn addresses(&self) -> Vec<Address> {
        self.shared.control().bound.iter().map(|bound| bound.address().clone()).collect()
    }

    /// What each lane runs on.
    pub fn driver(&self) -> Vec<Running> {
        let running = self.shared.process.desks.iter().filter_map(|desk| desk.driver.load_full());
        running.map(|running| (*running).clone()).collect()
    }

    /// What exchanges are held to where neither their listener nor their handler says something else.
    pub fn settings(&self) -> Arc<Settings> {
        self.shared.control().settings.clone()
    }

    /// Serves what `builder` says from now on, and drops nothing.
    ///
    /// Every lane makes its handlers first. When all of them have, all change at once; if one fails, or an address
    /// cannot be bound, nothing changes. A listener that stays keeps its sockets and its connections: the next request
    /// on each is the new handler's, while those in flight end with theirs. One that goes lets in whoever waits in its
    /// queue, and closes each connection after the answer to its next request. Upstream connections stay, whatever
    /// cluster they were made for, as long as something may use them.
    ///
    /// Clusters are what the new handlers are given: what an [update](Self::update) has said of them before is
    /// forgotten.
    ///
    /// What was given to the first builder for life stays: `via`, `max_connections`, `max_connections_per_source`, `overload`, `flight_recorder`, `on_record`, `on_event`, `pin`.
    ///
    /// # Errors
    /// As [`Builder::spawn`], and when the number of lanes or the driver is another, when a lane does not answer
    /// within 10 s, and once a drain has begun.
    pub fn reload(&self, builder: Builder) -> Result<(), ReloadError> {
        let lanes = self.shared.process.lanes();
        let (wanted_lanes, wanted_driver) = builder.fixed();
        if wanted_lanes != lanes {
            return Err(fixed("the number of lanes", lanes, wanted_lanes));
        }
        if wanted_driver != self.shared.process.config.driver {
            return Err(fixed("the driver", self.shared.process.config.driver, wanted_driver));
        }
        // One after the other; whoever only looks, or drains, need not wait for that.
        let _alone = self.shared.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_draining() {
            return Err(ReloadError::Draining);
        }
        let changed = self.change(builder, lanes);
        if changed.is_err() || self.is_draining() {
            // A lane that has ended meanwhile looks no more, and what lies on its desk holds sockets open.
            self.shared.process.desks.iter().for_each(|desk| drop(desk.plan.take()));
        }
        changed
    }

    /// Has every lane serve by what is built, or none.
    fn change(&self, builder: Builder, lanes: usize) -> Result<(), ReloadError> {
        let before = self.shared.control().bound.clone();
        let bound = listen::bind(&builder.listening, &builder.settings, lanes, &before)?;
        let next = Control {
            number: self.shared.next_number(),
            bound,
            settings: Arc::new(builder.settings),
            clusters: Vec::new(),
        };
        let number = next.number;
        let (answers, answered) = bounded(4 * lanes);
        let plans: Vec<_> = (0..lanes).map(|id| next.plan(id, Some(answers.clone()))).collect();
        let desks = &self.shared.process.desks;
        desks.iter().zip(&plans).for_each(|(desk, plan)| desk.put(&desk.plan, plan.clone()));
        let clock = self.shared.process.clock;
        let prepared = await_answers(&answered, lanes, number, (clock, PREPARE_MAX));
        if prepared.is_ok() {
            self.shared.serve_by(next);
        }
        for desk in desks {
            match &prepared {
                Ok(()) => desk.decided.carry_out(number),
                Err(_) => desk.decided.give_up(number),
            }
            desk.mail.ring();
        }
        prepared?;
        if await_answers(&answered, lanes, number, (clock, CARRY_OUT_MAX)).is_err() {
            // A lane that is late does it late; one that has been rebuilt meanwhile is told once more.
            desks.iter().zip(&plans).for_each(|(desk, plan)| desk.put(&desk.plan, plan.clone()));
        }
        for address in self.addresses() {
            if !before.iter().any(|before| *before.address() == address) {
                self.shared.event(&Event::Listening { address });
            }
        }
        Ok(())
    }

    /// The endpoints of a cluster have become others, found by a look-up of its names, say: every lane's
    /// [`Upstream`](crate::Upstream) of this name goes by `cluster` from its next request on. Names that share a
    /// cluster's name are updated alike.
    ///
    /// # Errors
    /// When `cluster` cannot be [resolved](Cluster::resolve).
    pub fn update(&self, cluster: &Cluster) -> std::io::Result<()> {
        let cluster = if cluster.is_resolved() { cluster.clone() } else { cluster.clone().resolve()? };
        let mut control = self.shared.control();
        control.clusters.retain(|known| known.as_name() != cluster.as_name());
        control.clusters.push(cluster);
        let changed = Arc::new(control.changed());
        for desk in &self.shared.process.desks {
            desk.put(&desk.clusters, changed.clone());
        }
        Ok(())
    }

    /// Stops accepting and finishes what is in flight, within [`Timeouts::drain_grace`](crate::Timeouts): the next
    /// answer on each connection says `Connection: close`, and idle connections are closed within about a second.
    pub fn drain(&self) {
        self.drain_with(Grace::Configured);
    }

    /// The same, however long it takes.
    pub fn drain_without_deadline(&self) {
        self.drain_with(Grace::Unlimited);
    }

    /// Ends at once; what is in flight is cut off.
    pub fn stop(&self) {
        self.drain_with(Grace::None);
    }

    fn drain_with(&self, grace: Grace) {
        self.shared.draining.store(true, Ordering::SeqCst);
        for desk in &self.shared.process.desks {
            desk.grace.hasten(grace);
            desk.mail.ring();
        }
        self.shared.control().close_sockets();
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        self.shared.is_draining()
    }

    /// Whether every lane has ended.
    pub fn is_finished(&self) -> bool {
        self.finished.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// A copy of each lane's numbers. A lane that does not answer within `wait` is missing.
    pub fn snapshots(&self, wait: Duration) -> Vec<Snapshot> {
        let mut snapshots = self.ask(wait, Letter::Snapshot);
        snapshots.sort_by_key(|snapshot: &Snapshot| snapshot.lane);
        snapshots
    }

    /// The last slow exchanges of each lane, the oldest first, by the lanes' numbers. A lane that does not answer
    /// within `wait` is missing. See [`Builder::flight_recorder`].
    pub fn slow(&self, wait: Duration) -> BTreeMap<usize, Vec<Slow>> {
        self.ask(wait, Letter::Slow).into_iter().collect()
    }

    /// How short the process is of memory and descriptors, and what is done about it.
    pub fn pressure(&self) -> Pressure {
        self.shared.process.gauge.pressure()
    }

    /// What lanes keep of slow exchanges.
    pub fn flight_recorder(&self) -> FlightRecorder {
        self.shared.process.config.flight
    }

    /// Asks every lane, and collects the answers that come within `wait`.
    fn ask<T>(&self, wait: Duration, letter: impl Fn(Sender<T>) -> Letter) -> Vec<T> {
        let desks = &self.shared.process.desks;
        let (reply, replies) = bounded(desks.len());
        let asked = desks.iter().filter(|desk| desk.mail.post(letter(reply.clone())).is_ok()).count();
        drop(reply);
        let began = self.shared.process.clock.now();
        let mut answers = Vec::with_capacity(asked);
        while answers.len() < asked {
            let left = wait.saturating_sub(self.shared.process.clock.now() - began);
            match threads::receive(&replies, Some(left)) {
                Ok(answer) => answers.push(answer),
                Err(_) => break,
            }
        }
        answers
    }

    /// Waits until every lane has ended.
    pub fn join(&self) {
        // Nothing is ever sent: the channel ends when the last lane does.
        let _ = threads::receive(&self.finished, None);
    }

    /// Ends a lane's thread as if it had died, which no handler can bring about: for tests of what is built around it.
    #[doc(hidden)]
    pub fn end_lane(&self, lane: usize) {
        let _ = self.shared.process.desks[lane].mail.post(Letter::End);
    }
}

fn fixed(what: &'static str, is: impl fmt::Debug, wanted: impl fmt::Debug) -> ReloadError {
    ReloadError::Fixed { what, is: format!("{is:?}"), wanted: format!("{wanted:?}") }
}

/// Waits until every lane has said the same of a plan, the first thing that it has to say or the second.
fn await_answers(
    answers: &Receiver<Answer>,
    lanes: usize,
    number: u64,
    (clock, wait): (Clock, Duration),
) -> Result<(), ReloadError> {
    let began = clock.now();
    let mut silent: Vec<usize> = (0..lanes).collect();
    while let Some(&lane) = silent.first() {
        let left = wait.saturating_sub(clock.now() - began);
        let Ok(answer) = threads::receive(answers, Some(left)) else {
            return Err(ReloadError::Silent { lane });
        };
        if answer.number == number {
            answer.answer?;
            silent.retain(|lane| *lane != answer.lane);
        }
    }
    Ok(())
}
