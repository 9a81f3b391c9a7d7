//! One run: an engine, its clients and its origins, first with faults and then without, and what must be true at the end.

use crate::{
    client::Client,
    gateway::{Gateway, PANIC},
    hostile::Hostile,
    ledger::{Ledger, Violation},
    origin::Origin,
    plan::Plan,
    tunnel,
};
use corelane_engine::{
    Cluster, Engine, Event, Handle, Metric, Timeouts,
    simulate::{Bug, Faults, World},
};
use std::{
    cell::Cell,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long the clients of a part may take together.
const PART: Duration = Duration::from_secs(20_000);
/// How long a connection may stay after its client has gone.
const LINGER_MAX: Duration = Duration::from_secs(10);
/// How long a request waits for a connection: longer than all that are before it may take when nothing goes wrong.
const QUEUE_MAX: Duration = Duration::from_secs(200);
/// The longest deadline of somebody who may have gone: that of an idle client, and a little.
const LONGEST: Duration = Duration::from_secs(62);
/// Buffers that a lane keeps at most when it has nothing to do.
const BUFFERS_KEPT_IDLE: u64 = 8;
/// Polls and events that a run may take: more is a task that spins.
const STEPS_MAX: u64 = 30_000_000;

/// What a run came to.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) trace: u64,
    pub(crate) steps: u64,
    pub(crate) requests: u64,
    pub(crate) exact: u64,
    pub(crate) cut: u64,
    pub(crate) refused: u64,
    pub(crate) retried: u64,
    pub(crate) hostile: u64,
    /// How long it took in its own time.
    pub(crate) lasted: Duration,
    pub(crate) violations: Vec<Violation>,
}

struct Run {
    plan: Plan,
    world: World,
    ledger: Rc<Ledger>,
    records: Arc<AtomicU64>,
    panics: Arc<AtomicU64>,
    listens: SocketAddr,
    origins: Vec<Origin>,
}

/// Does what a plan says.
pub(crate) fn run(plan: &Plan) -> Outcome {
    run_with(plan, None)
}

/// The same, with an engine that makes a mistake.
pub(crate) fn run_with(plan: &Plan, bug: Option<Bug>) -> Outcome {
    let world = World::begin(plan.seed, Faults::none());
    world.set_bug(bug);
    let ledger = Rc::new(Ledger::new(plan.table()));
    let origins = (0..plan.origins).map(|n| Origin {
        world: world.clone(),
        ledger: ledger.clone(),
        seed: plan.seed,
        address: SocketAddr::from((Ipv4Addr::new(10, 1, 0, n as u8 + 1), 80)),
        comes_whole: !["pieces", "stall"].iter().any(|fault| plan.faults.contains(fault)),
        is_down: Rc::new(Cell::new(false)),
    });
    let run = Run {
        plan: plan.clone(),
        origins: origins.collect(),
        world,
        ledger,
        records: Arc::default(),
        panics: Arc::default(),
        listens: SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 80)),
    };
    let lasted = run.go();
    let tally = &run.ledger.tally;
    let mut violations = run.ledger.violations();
    violations.extend(run.world.panics().into_iter().map(|what| Violation { kind: "panic", what }));
    let outcome = Outcome {
        trace: run.world.trace(),
        steps: run.world.happened(),
        requests: tally.requests.get(),
        exact: tally.exact.get(),
        cut: tally.cut.get(),
        refused: tally.refused.get(),
        retried: tally.retried.get(),
        hostile: tally.hostile.get(),
        lasted,
        violations,
    };
    World::end();
    outcome
}

impl Run {
    fn builder(&self) -> corelane_engine::Builder {
        let addresses: Vec<String> = self.origins.iter().map(|origin| origin.address.to_string()).collect();
        let mut cluster = Cluster::round_robin(addresses);
        if self.plan.connections_max > 0 {
            cluster = cluster.connections_max(Some(self.plan.connections_max)).queue(1_024, QUEUE_MAX);
        }
        let mut timeouts = Timeouts::default();
        // Waiting for nothing is no test, but now and then it is.
        timeouts.upstream_idle = Duration::from_secs(if self.plan.seed.is_multiple_of(8) { 50 } else { 2 });
        let (records, panics) = (self.records.clone(), self.panics.clone());
        timeouts.tunnel_idle = tunnel::IDLE;
        Engine::builder()
            .retry(self.plan.retry())
            .lanes(self.plan.lanes)
            .via("simulated")
            .timeouts(timeouts)
            .max_connections(Some(10_000))
            .on_record(move |_| {
                let records = records.clone();
                Box::new(corelane_engine::FnSink(move |_: &corelane_engine::Record| {
                    records.fetch_add(1, Ordering::Relaxed);
                }))
            })
            .on_event(move |event| {
                let is_ours = match event {
                    Event::LanePanicked { .. } => true,
                    Event::HandlerPanicked { message, .. } => !message.starts_with(PANIC),
                    _ => false,
                };
                panics.fetch_add(u64::from(is_ours), Ordering::Relaxed);
            })
            .serve(self.listens, move |lane| Ok(Gateway::new(lane, lane.upstream(&cluster))))
    }

    fn go(&self) -> Duration {
        self.origins.iter().cloned().for_each(Origin::run);
        let engine = match self.builder().spawn() {
            Ok(engine) => engine,
            Err(error) => {
                self.ledger.violate("start", error.to_string());
                return Duration::ZERO;
            }
        };
        let before = self.world.actors();
        let began = self.world.now();
        self.world.set_faults(self.plan.faults());
        self.begin_clients(&self.plan.clients, false);
        self.begin_hostile(&self.plan.hostile, false);
        self.disturb(&engine);
        self.wait(before, "a client of the first part has not come to its end");
        self.world.set_faults(Faults::none());
        // What was on its way arrives, and lanes that died are there again.
        self.world.run(self.plan.faults().stall_max + Duration::from_secs(5));
        self.begin_clients(&self.plan.calm, true);
        self.begin_hostile(&self.plan.hostile.iter().map(|number| number + 100).collect::<Vec<_>>(), true);
        if self.plan.reloads > 0 {
            self.world.run(Duration::from_millis(self.world.below(3_000)));
            self.reload(&engine, true);
        }
        self.wait(before, "a client of the second part has not come to its end");
        self.rests(&engine);
        self.end(engine);
        self.world.now().saturating_sub(began)
    }

    fn begin_clients(&self, numbers: &[u64], is_calm: bool) {
        for number in numbers {
            let client = Client {
                world: self.world.clone(),
                ledger: self.ledger.clone(),
                to: self.listens,
                number: *number,
                seed: self.plan.seed,
                requests_max: self.plan.requests_max,
                may_rush: self.plan.rushes,
                is_calm,
            };
            self.world.spawn(client.run());
        }
    }

    fn begin_hostile(&self, numbers: &[u64], is_calm: bool) {
        for number in numbers {
            let hostile = Hostile {
                world: self.world.clone(),
                ledger: self.ledger.clone(),
                to: self.listens,
                number: *number,
                seed: self.plan.seed,
                is_calm,
            };
            self.world.spawn(hostile.run());
        }
    }

    /// What an operator does, and what befalls the engine, while clients are at work.
    fn disturb(&self, engine: &Handle) {
        for _ in 0..self.plan.outages {
            self.world.run(Duration::from_millis(self.world.below(1_500)));
            let origin = &self.origins[self.world.below(self.origins.len() as u64) as usize];
            let (world, is_down) = (self.world.clone(), origin.is_down.clone());
            is_down.set(true);
            self.world.spawn(async move {
                world.sleep(Duration::from_millis(500 + world.below(5_000))).await;
                is_down.set(false);
            });
        }
        for _ in 0..self.plan.deaths {
            self.world.run(Duration::from_millis(self.world.below(1_500)));
            engine.end_lane(self.world.below(self.plan.lanes as u64) as usize);
        }
        for _ in 0..self.plan.reloads {
            self.world.run(Duration::from_millis(self.world.below(1_500)));
            self.reload(engine, false);
        }
    }

    fn reload(&self, engine: &Handle, must_work: bool) {
        if let Err(error) = engine.reload(self.builder())
            && must_work
        {
            self.ledger.violate("reload", error.to_string());
        }
    }

    /// Waits until nobody is left but those who were there before; origins' connections are closed by then as well.
    fn wait(&self, before: usize, what: &str) {
        let until = self.world.awake() + PART;
        let is_over = || self.is_over(before) || self.world.happened() > STEPS_MAX;
        // While the machine stands still, nobody gets on.
        self.world.run_until(100 * PART, || is_over() || self.world.awake() > until);
        if !is_over() {
            self.ledger.violate("stuck", what.to_owned());
        }
        if self.world.happened() > STEPS_MAX {
            self.ledger.violate("spin", format!("{} polls and events", self.world.happened()));
        }
    }

    fn is_over(&self, before: usize) -> bool {
        // Origins keep a task for each idle connection; the engine closes those in its own time.
        self.world.actors() <= before
    }

    /// With nothing to do, the engine holds nothing of anybody.
    fn rests(&self, engine: &Handle) {
        let value = |metric: Metric| -> u64 {
            engine.snapshots(Duration::from_secs(3)).iter().map(|lane| lane.value(metric)).sum()
        };
        // The last close waits for the client for a while, and nobody says of one that has vanished that it has gone.
        let has_vanished = self.plan.faults.contains(&"vanish");
        let until = self.world.now() + if has_vanished { 2 * LONGEST } else { LINGER_MAX };
        while value(Metric::ConnectionsOpen) > 0 && self.world.now() < until {
            self.world.run(LINGER_MAX / 20);
        }
        for (metric, name) in
            [(Metric::RequestsOpen, "requests"), (Metric::ConnectionsOpen, "client connections")]
        {
            let open = value(metric);
            if open > 0 {
                self.ledger.violate("leak", format!("{open} {name} are open when nobody is connected"));
            }
        }
        self.holds_little(engine);
        let (begun, recorded) = (value(Metric::Requests), self.records.load(Ordering::Relaxed));
        if self.plan.deaths == 0 && begun != recorded {
            self.ledger.violate("records", format!("{begun} requests and {recorded} records"));
        }
        let panics = self.panics.load(Ordering::Relaxed);
        if panics > 0 && self.world.panics().is_empty() {
            self.ledger.violate("panic", format!("{panics} were caught"));
        }
    }

    /// What lanes hold beside what is open is at its floor when all deadlines have passed.
    fn holds_little(&self, engine: &Handle) {
        self.world.run(LONGEST);
        for lane in engine.snapshots(Duration::from_secs(3)) {
            for (metric, most) in [
                (Metric::ConnectionsIdle, 0),
                (Metric::UpstreamIdle, 0),
                (Metric::TunnelsOpen, 0),
                (Metric::Deadlines, 0),
                (Metric::BuffersKept, BUFFERS_KEPT_IDLE),
            ] {
                let held = lane.value(metric);
                if held > most {
                    let what =
                        format!("lane {} has {} at {held}, with nothing to do", lane.lane, metric.as_str());
                    self.ledger.violate("leak", what);
                }
            }
        }
    }

    fn end(&self, engine: Handle) {
        let calm: Vec<u64> = self.plan.calm.iter().map(|number| number + 1_000).collect();
        if self.plan.drains_early {
            // They are cut by nothing but the end of listening, so they are judged as those of the first part.
            self.begin_clients(&calm, false);
            self.world.run(Duration::from_millis(self.world.below(2_500)));
        }
        engine.drain();
        if !self.world.run_until(Duration::from_secs(60), || engine.is_finished()) {
            self.ledger.violate("stuck", "a drain takes longer than its grace".to_owned());
            return;
        }
        // Whoever holds the engine holds the mailboxes of its lanes.
        drop(engine);
        if self.world.descriptors() > 0 {
            self.ledger.violate("leak", format!("{} descriptors are left", self.world.descriptors()));
        }
        if self.world.lane_tasks() > 0 {
            self.ledger.violate("leak", format!("{} tasks are left", self.world.lane_tasks()));
        }
        if self.world.lanes_alive() > 0 {
            self.ledger.violate("leak", format!("{} lanes live after their end", self.world.lanes_alive()));
        }
    }
}
