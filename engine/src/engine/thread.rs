//! A lane's thread, from its start to its end.

use super::StartError;
use crate::{
    door::{Plan, Prepared},
    io::{
        Alarm,
        bell::Bell,
        driver::{self, Running},
        threads,
    },
    lane::{Drain, Lane, panic_message},
    letter::{Answer, Letter},
    metrics::Metric,
    process::Process,
    shared::desk::{Desk, Grace},
    simulate::{self, World},
    sink::Event,
    sys,
};
use crossbeam_channel::Sender;
use std::{
    cell::{Cell, OnceCell},
    future::{Future, poll_fn},
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

/// What a lane's thread starts with.
pub(crate) struct Start {
    pub(crate) id: usize,
    pub(crate) process: Arc<Process>,
    pub(crate) plan: Arc<Plan>,
    /// The core that it is pinned to.
    pub(crate) core: Option<core_affinity::CoreId>,
}

/// Tells that a lane's thread has ended, however it did.
struct Ended {
    lane: usize,
    tell: Sender<usize>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.tell.send(self.lane);
    }
}

impl Start {
    /// Starts the thread. `started` is told whether the lane serves, and `ended` when it has ended.
    pub(crate) fn spawn(
        self,
        started: Sender<Result<(), StartError>>,
        ended: Sender<usize>,
    ) -> io::Result<()> {
        let ended = Ended { lane: self.id, tell: ended };
        if let Some(world) = simulate::world() {
            self.begin_in(&world, started, ended);
            return Ok(());
        }
        threads::begin(format!("corelane-{}", self.id), move || {
            let _ended = ended;
            if let Some(core) = self.core {
                // A core that has gone meanwhile is no reason not to serve.
                core_affinity::set_for_current(core);
            }
            self.run(&started);
        })
    }

    /// Runs the lane as one of many in a simulated world.
    fn begin_in(self, world: &World, started: Sender<Result<(), StartError>>, ended: Ended) {
        let (id, born) = (self.id, Rc::new(OnceCell::<Lane>::new()));
        let running = Running::Epoll { reason: "simulated".to_owned() };
        let (lane, panicked) = (born.clone(), born);
        world.begin_lane(
            id,
            async move {
                let _ended = ended;
                self.live(running, started, &lane).await;
            },
            move |message| panicked.get().into_iter().for_each(|lane| lane.panicked(message.clone())),
        );
    }

    fn run(self, started: &Sender<Result<(), StartError>>) {
        let (runtime, running) = match driver::build(self.process.config.driver) {
            Ok(built) => built,
            Err(error) => {
                let _ = started.send(Err(StartError::Driver(error)));
                return;
            }
        };
        self.desk().thread.store(sys::thread_id(), Ordering::Relaxed);
        let born = OnceCell::new();
        let mut life = pin!(self.live(running, started.clone(), &born));
        // A panic of a task that nothing else caught leaves the loop, which is entered again: the lane's other
        // connections live on. One of the lane's own life ends it, and one of the loop's own.
        let in_life = Cell::new(false);
        let mut life = poll_fn(|cx| {
            in_life.set(true);
            let polled = life.as_mut().poll(cx);
            in_life.set(false);
            polled
        });
        loop {
            let lived = catch_unwind(AssertUnwindSafe(|| runtime.block_on(&mut life)));
            let Err(payload) = lived else { return };
            if in_life.get() || runtime.has_failed() {
                resume_unwind(payload);
            }
            born.get().into_iter().for_each(|lane: &Lane| lane.panicked(panic_message(&*payload)));
        }
    }

    /// The life of the lane: it is set up, serves, drains, and lets go of everything. `born` is the lane once there is one.
    async fn live(self, running: Running, started: Sender<Result<(), StartError>>, born: &OnceCell<Lane>) {
        self.desk().driver.store(Some(Arc::new(running.clone())));
        self.desk().heart.answer();
        let id = self.id;
        // The plan goes, and with it its hold on the sockets.
        let lane = match self.set_up(running.clone()).await {
            Ok(lane) => lane,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let lane = born.get_or_init(|| lane);
        lane.event(&Event::LaneStarted { lane: id, driver: running });
        let _ = started.send(Ok(()));
        let cut = lane.turning(lane.finished()).await;
        lane.turning(lane.tear_down()).await;
        if lane.is_draining() {
            lane.event(&Event::LaneEnded { lane: id, cut });
        }
    }

    fn desk(&self) -> &Desk {
        &self.process.desks[self.id]
    }

    async fn set_up(self, running: Running) -> Result<Lane, StartError> {
        let bell = Bell::new(self.desk().mail.ringer()).map_err(StartError::Thread)?;
        let alarm = Alarm::new().map_err(StartError::Thread)?;
        let lane = Lane::new(self.id, self.process.clone(), &self.plan.settings, running, (bell, alarm));
        match lane.0.doors.prepare(&lane, self.plan) {
            Ok(prepared) => {
                attend(&lane);
                lane.carry_out(prepared);
                Ok(lane)
            }
            Err(error) => {
                // What its factories have begun holds on to it.
                lane.tear_down().await;
                Err(error)
            }
        }
    }
}

/// Has a lane keep its house and look at its desk.
pub(super) fn attend(lane: &Lane) {
    let (house, obedient) = (lane.clone(), lane.clone());
    lane.spawn_forever({
        let lane = lane.clone();
        move || lane.clone().keep_time()
    });
    lane.spawn_forever(move || house.clone().keep_house());
    lane.spawn_forever(move || obey(obedient.clone()));
}

/// Does what others want of the lane, whenever its bell rings.
async fn obey(lane: Lane) {
    let process = lane.0.process.clone();
    let desk = &process.desks[lane.id()];
    let (mut seen, mut prepared) = (Grace::Serve, None);
    loop {
        desk.heart.answer();
        let grace = desk.grace.read();
        if grace != seen {
            seen = grace;
            match grace {
                Grace::Serve => {}
                Grace::Unlimited => lane.drain(Drain::Patiently),
                Grace::Configured => {
                    let grace = lane.settings().timeouts.drain_grace;
                    lane.drain(Drain::Until(lane.after(grace)));
                }
                Grace::None => lane.drain(Drain::Now),
            }
        }
        if let Some(plan) = desk.plan.take() {
            prepared = prepare(&lane, plan);
        }
        prepared = decide(&lane, desk, prepared);
        if let Some(clusters) = desk.clusters.take() {
            lane.update_clusters(&clusters);
        }
        while let Some(letter) = desk.mail.next() {
            lane.open(letter);
        }
        if desk.take_results() {
            lane.wake_offloaded();
        }
        if lane.0.bell.rung().await.is_err() {
            return;
        }
    }
}

/// Makes what a plan needs, and says whether that went well.
fn prepare(lane: &Lane, plan: Arc<Plan>) -> Option<Prepared> {
    let number = plan.number;
    let (answer, prepared) = match lane.0.doors.prepare(lane, plan.clone()) {
        Ok(prepared) => (Ok(()), Some(prepared)),
        Err(error) => (Err(error), None),
    };
    plan.answer(Answer { lane: lane.id(), number, answer });
    prepared
}

/// Carries out what has been decided; what is still open is kept.
fn decide(lane: &Lane, desk: &Desk, prepared: Option<Prepared>) -> Option<Prepared> {
    let prepared = prepared?;
    match desk.decided.of(prepared.number()) {
        None => return Some(prepared),
        Some(false) => {}
        Some(true) => lane.carry_out(prepared),
    }
    None
}

impl Lane {
    /// One of its tasks has panicked, and nothing else has caught it.
    fn panicked(&self, message: String) {
        self.0.metrics.count(Metric::EnginePanics);
        self.event(&Event::LanePanicked { lane: self.id(), message });
    }

    /// Serves by a plan from now on.
    fn carry_out(&self, prepared: Prepared) {
        let plan = prepared.plan().clone();
        self.set_settings(&plan.settings);
        self.0.doors.carry_out(self, prepared);
        self.hold_limits(plan.number);
        plan.answer(Answer { lane: self.id(), number: plan.number, answer: Ok(()) });
    }

    /// Does what a letter asks for.
    fn open(&self, letter: Letter) {
        match letter {
            Letter::Snapshot(reply) => {
                let _ = reply.try_send(self.snapshot());
            }
            Letter::Slow(reply) => {
                let _ = reply.try_send((self.id(), self.slow()));
            }
            Letter::Unreachable(address) => self.suspect(&address),
            Letter::Borrow { peer, by, ticket } => self.lend(&peer, by, ticket),
            Letter::Lent { ticket, lent } => self.lent(ticket, lent),
            Letter::Given(lent) => self.take_in(lent),
            Letter::Room(cluster) => self.call_for(&cluster),
            Letter::MakeRoom(cluster) => self.make_room_in(&cluster),
            Letter::Adopt { sockets, from } => self.0.doors.adopt(&sockets, from),
            Letter::GiveUp { from } => self.0.doors.give_up(self, from),
            Letter::End => self.end(),
        }
    }
}
