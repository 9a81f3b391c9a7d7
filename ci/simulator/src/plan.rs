//! What a run is made of. It is drawn from the seed, and may then be made smaller without touching the rest.

use crate::retry::Table;
use corelane_balancer::Rng;
use corelane_engine::{RetryPolicy, simulate::Faults};
use std::{fmt, str::FromStr, time::Duration};

/// What a run is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) lanes: usize,
    pub(crate) origins: usize,
    /// The numbers of the clients of the first part, in which things go wrong.
    pub(crate) clients: Vec<u64>,
    /// And of the second, in which nothing does.
    pub(crate) calm: Vec<u64>,
    pub(crate) requests_max: u64,
    /// Half of the clients begin with many small requests at once.
    pub(crate) rushes: bool,
    pub(crate) hostile: Vec<u64>,
    pub(crate) reloads: u64,
    /// Lanes that die.
    pub(crate) deaths: u64,
    /// Origins that go down for a while.
    pub(crate) outages: u64,
    /// Requests are in flight when the engine is drained.
    pub(crate) drains_early: bool,
    /// Connections that the cluster may have; 0: no limit.
    pub(crate) connections_max: u32,
    /// Attempts that may reach an origin.
    pub(crate) attempts_max: u32,
    /// Also after an attempt on a fresh connection.
    pub(crate) retries_fresh: bool,
    /// Also on a status.
    pub(crate) retries_status: bool,
    /// Which of [`FAULTS`].
    pub(crate) faults: Vec<&'static str>,
}

/// The faults that a run may have, by name.
pub(crate) const FAULTS: [&str; 15] = [
    "pieces",
    "short",
    "stall",
    "reset",
    "vanish",
    "refuse",
    "late-connect",
    "silent-connect",
    "failed-connect",
    "failed-accept",
    "no-descriptor",
    "late-wake",
    "spurious-wake",
    "late-timer",
    "pause",
];

impl Plan {
    /// What this seed is made of: not every run has every fault, because faults hide one another.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let clients = 1 + rng.below(8);
        let calm = 1 + rng.below(5);
        let hostile = if rng.below(3) == 0 { 1 + rng.below(4) } else { 0 };
        let likelihood = 1 + rng.below(4);
        let faults = FAULTS.into_iter().filter(|_| rng.below(6) < likelihood);
        Self {
            seed,
            faults: faults.collect(),
            lanes: 1 + rng.below(3) as usize,
            origins: 1 + rng.below(3) as usize,
            clients: (1..=clients).collect(),
            calm: (101..=100 + calm).collect(),
            hostile: (201..=200 + hostile).collect(),
            requests_max: 1 + rng.below(6),
            reloads: rng.below(4).saturating_sub(1),
            deaths: u64::from(rng.below(8) == 0),
            outages: u64::from(rng.below(5) == 0),
            drains_early: rng.below(3) == 0,
            connections_max: if rng.below(4) == 0 { 1 + rng.below(4) as u32 } else { 0 },
            attempts_max: 1 + rng.below(4) as u32,
            retries_fresh: rng.below(3) == 0,
            retries_status: rng.below(3) == 0,
            rushes: rng.below(6) == 0,
        }
    }

    /// What is held against repeated requests.
    pub(crate) fn table(&self) -> Table {
        let has = |fault: &str| self.faults.contains(&fault);
        Table { policy: self.retry(), loses_bytes: has("reset") || has("vanish"), loses_time: has("pause") }
    }

    /// When requests are repeated.
    pub(crate) fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            attempts_max: self.attempts_max,
            on_fresh_connection: self.retries_fresh,
            on_status_or_timeout: self.retries_status,
        }
    }

    /// What may go wrong in the first part.
    pub(crate) fn faults(&self) -> Faults {
        let mut rng = Rng::new(self.seed ^ 0xfa17);
        let mut faults = Faults::none();
        faults.stall_max = Duration::from_millis([50, 1_000, 20_000][rng.below(3) as usize]);
        for fault in FAULTS {
            // Drawn for each, so that one less changes nothing of the others.
            let (part, size) = ([20, 100, 500, 2_000][rng.below(4) as usize], rng.below(3));
            if !self.faults.contains(&fault) {
                continue;
            }
            match fault {
                "pieces" => faults.piece_bytes_max = [1, 40, 2_000][size as usize],
                "short" => faults.short = part,
                "stall" => faults.stall = part,
                "reset" => faults.reset = part,
                "vanish" => faults.vanish = part / 2,
                "refuse" => faults.refuse = part,
                "late-connect" => faults.late_connect = part,
                "silent-connect" => faults.silent_connect = part / 2,
                "failed-connect" => faults.failed_connect = part,
                "failed-accept" => faults.failed_accept = part,
                "no-descriptor" => faults.no_descriptor = part,
                "late-wake" => faults.late_wake = part,
                "spurious-wake" => faults.spurious_wake = part,
                "late-timer" => faults.late_timer = part,
                _ => faults.pause = part,
            }
        }
        faults.room_bytes = [4 << 10, 64 << 10, 64 << 10, 2 << 20][rng.below(4) as usize];
        faults.disorder = [0, 0, 2_000][rng.below(3) as usize];
        faults
    }

    /// Every plan that is a little smaller.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut plan = self.clone();
            change(&mut plan);
            if plan != *self {
                smaller.push(plan);
            }
        };
        for halve in [Self::halve_clients as fn(&mut Self, bool), Self::halve_calm, Self::halve_hostile] {
            with(&|plan| halve(plan, true));
            with(&|plan| halve(plan, false));
        }
        for number in &self.clients {
            with(&|plan| plan.clients.retain(|client| client != number));
        }
        for number in &self.calm {
            with(&|plan| plan.calm.retain(|client| client != number));
        }
        for fault in &self.faults {
            with(&|plan| plan.faults.retain(|kept| kept != fault));
        }
        with(&|plan| plan.hostile.clear());
        with(&|plan| plan.rushes = false);
        with(&|plan| plan.reloads = 0);
        with(&|plan| plan.deaths = 0);
        with(&|plan| plan.outages = 0);
        with(&|plan| plan.drains_early = false);
        with(&|plan| plan.connections_max = 0);
        with(&|plan| {
            (plan.attempts_max, plan.retries_fresh, plan.retries_status) = (2, false, false);
        });
        with(&|plan| plan.lanes = 1);
        with(&|plan| plan.origins = 1);
        with(&|plan| plan.requests_max = (plan.requests_max / 2).max(1));
        smaller
    }

    fn halve_clients(&mut self, first: bool) {
        halve(&mut self.clients, first);
    }

    fn halve_calm(&mut self, first: bool) {
        halve(&mut self.calm, first);
    }

    fn halve_hostile(&mut self, first: bool) {
        halve(&mut self.hostile, first);
    }
}

fn halve(numbers: &mut Vec<u64>, first: bool) {
    let middle = numbers.len() / 2;
    let second = numbers.split_off(middle);
    if !first {
        *numbers = second;
    }
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// As `--plan` takes it.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "lanes={} origins={} clients={} calm={} hostile={} requests={} rushes={} reloads={} deaths={} outages={} drains-early={} \
             connections={} attempts={} retries-fresh={} retries-status={} faults={}",
            self.lanes,
            self.origins,
            list(&self.clients),
            list(&self.calm),
            list(&self.hostile),
            self.requests_max,
            u8::from(self.rushes),
            self.reloads,
            self.deaths,
            self.outages,
            u8::from(self.drains_early),
            self.connections_max,
            self.attempts_max,
            u8::from(self.retries_fresh),
            u8::from(self.retries_status),
            self.faults.join(",")
        )
    }
}

/// What a `--plan` changes of what the seed has drawn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes(Vec<(String, String)>);

impl FromStr for Changes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs = text.split_whitespace().map(|part| {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not KEY=VALUE"))?;
            Ok((key.to_owned(), value.to_owned()))
        });
        let changes = Self(pairs.collect::<Result<_, String>>()?);
        changes.apply(&mut Plan::draw(0))?;
        Ok(changes)
    }
}

impl Changes {
    /// Changes a plan.
    pub(crate) fn apply(&self, plan: &mut Plan) -> Result<(), String> {
        for (key, value) in &self.0 {
            let number = || value.parse::<u64>().map_err(|error| format!("{key}={value}: {error}"));
            let numbers = || {
                let parts = value.split(',').filter(|part| !part.is_empty());
                let parsed: Result<Vec<u64>, _> = parts.map(str::parse).collect();
                parsed.map_err(|error| format!("{key}={value}: {error}"))
            };
            match key.as_str() {
                "lanes" => plan.lanes = number()?.clamp(1, 16) as usize,
                "origins" => plan.origins = number()?.clamp(1, 16) as usize,
                "clients" => plan.clients = numbers()?,
                "calm" => plan.calm = numbers()?,
                "hostile" => plan.hostile = numbers()?,
                "requests" => plan.requests_max = number()?.max(1),
                "rushes" => plan.rushes = number()? > 0,
                "reloads" => plan.reloads = number()?,
                "deaths" => plan.deaths = number()?,
                "outages" => plan.outages = number()?,
                "drains-early" => plan.drains_early = number()? > 0,
                "connections" => plan.connections_max = number()? as u32,
                "attempts" => plan.attempts_max = number()? as u32,
                "retries-fresh" => plan.retries_fresh = number()? > 0,
                "retries-status" => plan.retries_status = number()? > 0,
                "faults" => {
                    plan.faults =
                        FAULTS.into_iter().filter(|name| value.split(',').any(|it| it == *name)).collect();
                }
                _ => return Err(format!("there is no {key} in a plan")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_is_printed_is_read_again() {
        for seed in 0..200 {
            let plan = Plan::draw(seed);
            let mut again = Plan::draw(seed + 1);
            again.seed = seed;
            plan.to_string().parse::<Changes>().expect("it is one").apply(&mut again).expect("it fits");
            assert_eq!(again, plan);
        }
    }
}
