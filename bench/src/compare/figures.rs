//! What one round measured of one subject.

use super::{
    Trouble,
    account::{Account, Busy, Spent, resident_bytes},
    load::{Latency, Load, Report},
    scenario::{RATE, RATE_PART_MIN, Scenario},
    server::Server,
    stage::Stage,
};
use crate::clock::monotonic;
use rustix::param::clock_ticks_per_second;
use serde::Serialize;
use std::{io, time::Duration};

/// Connections that the load closed are part of the work, and closing them takes a moment.
const AFTER_LOAD: Duration = Duration::from_millis(50);

/// The figures of one round.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Figures {
    Load(Box<Loaded>),
    Idle(Idle),
}

/// What a load got and what it cost.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Loaded {
    pub(super) requests: u64,
    pub(super) seconds: f64,
    pub(super) requests_per_second: f64,
    pub(super) latency_us: Latency,
    /// The proxy's; there is none for `direct`.
    pub(super) cost: Option<Cost>,
    /// The parts of the time in which the CPUs were busy, from 0 to 1.
    pub(super) proxy_cpu_busy: f64,
    pub(super) load_cpu_busy: f64,
    /// In which the load itself ran.
    pub(super) load_busy: f64,
    /// In which other programs than the proxy had its CPU.
    pub(super) others_busy: f64,
    /// In which a hypervisor kept the proxy's CPU for others.
    pub(super) stolen: f64,
    pub(super) warnings: Vec<String>,
}

/// What a proxy used, for each request.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Cost {
    /// Of all its threads and processes together, for all requests.
    pub(super) cpu_ns: u64,
    pub(super) cpu_us: f64,
    pub(super) user_us: f64,
    pub(super) system_us: f64,
    pub(super) voluntary_switches: f64,
    pub(super) involuntary_switches: f64,
    pub(super) resident_bytes: u64,
}

/// The memory of idle connections.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Idle {
    pub(super) connections: u32,
    pub(super) before_bytes: u64,
    pub(super) after_bytes: u64,
    pub(super) bytes_per_connection: f64,
}

impl Figures {
    /// What is compared: CPU time per request in µs, or bytes of memory per idle connection.
    pub(super) fn cost(&self) -> Option<f64> {
        match self {
            Self::Load(loaded) => loaded.cost.map(|cost| cost.cpu_us),
            Self::Idle(idle) => Some(idle.bytes_per_connection),
        }
    }

    pub(super) fn loaded(&self) -> Option<&Loaded> {
        match self {
            Self::Load(loaded) => Some(loaded),
            Self::Idle(_) => None,
        }
    }

    pub(super) fn idle(&self) -> Option<&Idle> {
        match self {
            Self::Idle(idle) => Some(idle),
            Self::Load(_) => None,
        }
    }
}

impl Loaded {
    /// Whether the load fell short of the rate that it was to offer.
    pub(super) fn is_short(&self, scenario: Scenario) -> bool {
        scenario == Scenario::H1FixedRate && self.requests_per_second < f64::from(RATE) * RATE_PART_MIN
    }
}

/// The accounts as they were before a round.
struct Before {
    /// There is none for `direct`.
    account: Option<Account>,
    proxy_cpu: Busy,
    load_cpu: Busy,
    at: Duration,
}

/// Loads a subject for one round. An error that is said is the subject's: it gets no figure.
pub(super) fn measure(stage: &Stage, load: &Load, server: &mut Server) -> Result<Figures, Trouble> {
    let before = Before::read(stage, server)?;
    let report = load.run(stage, server.port);
    if let Some(died) = server.died() {
        return Err(Trouble::Said(died));
    }
    let report = check(report?)?;
    let mut loaded = Loaded {
        requests: report.requests,
        seconds: report.duration_s,
        requests_per_second: report.rate,
        latency_us: report.latency_us,
        load_busy: report.busy,
        warnings: report.warnings,
        ..Loaded::default()
    };
    let elapsed = (monotonic() - before.at).as_secs_f64();
    (loaded.proxy_cpu_busy, loaded.stolen) =
        Busy::read(stage.plan.proxy).map_err(unreadable)?.since(&before.proxy_cpu);
    (loaded.load_cpu_busy, _) = Busy::read(stage.plan.load).map_err(unreadable)?.since(&before.load_cpu);
    stage.wait(AFTER_LOAD)?;
    if let Some(died) = server.died() {
        return Err(Trouble::Said(died));
    }
    if let (Some(process), Some(before)) = (&server.process, before.account) {
        let after = Account::read(process.pid()).map_err(unreadable)?;
        let spent = after.since(&before, clock_ticks_per_second()).map_err(Trouble::Said)?;
        let resident = resident_bytes(process.pid()).map_err(unreadable)?;
        let own_busy = spent.cpu_ns as f64 / 1e9 / elapsed;
        loaded.others_busy = (loaded.proxy_cpu_busy - own_busy).max(0.0);
        loaded.cost = Some(Cost::of(&spent, report.requests, resident));
    }
    Ok(Figures::Load(Box::new(loaded)))
}

impl Before {
    fn read(stage: &Stage, server: &Server) -> Result<Self, Trouble> {
        let account = server.process.as_ref().map(|process| Account::read(process.pid()));
        Ok(Self {
            account: account.transpose().map_err(unreadable)?,
            proxy_cpu: Busy::read(stage.plan.proxy).map_err(unreadable)?,
            load_cpu: Busy::read(stage.plan.load).map_err(unreadable)?,
            at: monotonic(),
        })
    }
}

fn unreadable(error: io::Error) -> Trouble {
    Trouble::Said(format!("an account of the kernel's cannot be read: {error}"))
}

/// A proxy that answers errors, or nothing, must not look cheap.
fn check(report: Report) -> Result<Report, Trouble> {
    match report.errors.say() {
        Some(errors) => Err(Trouble::Said(format!("{errors}, beside {} as they should be", report.requests))),
        None if report.requests == 0 => Err(Trouble::Said("it answers nothing".to_owned())),
        None => Ok(report),
    }
}

impl Cost {
    fn of(spent: &Spent, requests: u64, resident_bytes: u64) -> Self {
        let requests = requests as f64;
        let cpu_us = spent.cpu_ns as f64 / 1000.0 / requests;
        Self {
            cpu_ns: spent.cpu_ns,
            cpu_us,
            user_us: cpu_us * spent.user_part,
            system_us: cpu_us * (1.0 - spent.user_part),
            voluntary_switches: spent.switches.voluntary as f64 / requests,
            involuntary_switches: spent.switches.involuntary as f64 / requests,
            resident_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{account::Switches, load::Errors};
    use super::*;

    #[test]
    fn a_cost_is_for_each_request() {
        let switches = Switches { voluntary: 50, involuntary: 5 };
        let spent = Spent { cpu_ns: 1_000_000, user_part: 0.25, switches };
        let cost = Cost::of(&spent, 100, 4096);
        assert_eq!((cost.cpu_us, cost.user_us, cost.system_us), (10.0, 2.5, 7.5));
        assert_eq!((cost.voluntary_switches, cost.involuntary_switches), (0.5, 0.05));
    }

    #[test]
    fn errors_and_silence_are_no_figures() {
        let report = |requests, status| Report {
            requests,
            errors: Errors { status, ..Errors::default() },
            rate: 1.0,
            duration_s: 1.0,
            latency_us: Latency::default(),
            busy: 0.0,
            warnings: Vec::new(),
        };
        assert!(check(report(5, 0)).is_ok());
        let says = |report| check(report).unwrap_err().say();
        assert_eq!(says(report(5, 1)), "1 answers had another status, beside 5 as they should be");
        assert_eq!(says(report(0, 0)), "it answers nothing");
    }

    #[test]
    fn only_a_rate_can_be_missed() {
        let loaded = |requests_per_second| Loaded { requests_per_second, ..Loaded::default() };
        assert!(loaded(9_700.0).is_short(Scenario::H1FixedRate));
        assert!(!loaded(9_900.0).is_short(Scenario::H1FixedRate));
        assert!(!loaded(1.0).is_short(Scenario::H1Small));
    }
}
