//! The load of a soak: clients that behave, by `corelane-bench load`, in rounds.

use super::{
    blame::{Blamed, Outages},
    world::{Process, World},
};
use crate::{clock::monotonic, failure::Failure};
use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

/// One kind of load.
#[derive(Debug)]
struct Mix {
    name: &'static str,
    /// Its origin never dies: no request may fail.
    stable: bool,
    /// Of all requests.
    part: f64,
    connections: u16,
    arguments: &'static [&'static str],
    urls: &'static [&'static str],
}

const MIXES: [Mix; 8] = [
    Mix { name: "small", stable: true, part: 0.35, connections: 16, arguments: &[], urls: &["?size=128"] },
    Mix {
        name: "large and in chunks",
        stable: true,
        part: 0.15,
        connections: 8,
        arguments: &[],
        urls: &["?size=16k", "?size=16k&chunked", "?size=16k&trailers", "?size=200k"],
    },
    Mix {
        name: "uploads",
        stable: true,
        part: 0.1,
        connections: 8,
        arguments: &["--body-size", "20k", "--expect-size", "20k"],
        urls: &["echo"],
    },
    Mix {
        name: "large uploads",
        stable: true,
        part: 0.01,
        connections: 4,
        arguments: &["--body-size", "300k", "--expect-size", "300k"],
        urls: &["echo"],
    },
    Mix {
        name: "WebSocket",
        stable: true,
        part: 0.1,
        connections: 8,
        arguments: &["--websocket"],
        urls: &[""],
    },
    Mix {
        name: "a connection each",
        stable: true,
        part: 0.09,
        connections: 16,
        arguments: &["--new-connection"],
        urls: &["?size=128"],
    },
    Mix {
        name: "dying: GET",
        stable: false,
        part: 0.15,
        connections: 16,
        arguments: &[],
        urls: &["?size=128"],
    },
    Mix {
        name: "dying: POST",
        stable: false,
        part: 0.05,
        connections: 8,
        arguments: &["--body-size", "20k"],
        urls: &["echo", "?size=128"],
    },
];

/// What a kind of load has come to, over all rounds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) requests: u64,
    pub(super) errors: BTreeMap<String, u64>,
    /// Failures whose origin was dead or hung at the time.
    pub(super) excused: u64,
    /// Failures that the proxy is to blame for.
    pub(super) blamed: u64,
}

/// A round that runs.
#[derive(Debug)]
pub(super) struct Round {
    began: Duration,
    running: Vec<(&'static Mix, Process, PathBuf)>,
}

impl Round {
    /// Starts every kind of load for so long, at so many requests a second in all.
    pub(super) fn start(world: &World, rate: f64, length: Duration) -> Result<Self, Failure> {
        let began = monotonic();
        let mut running = Vec::new();
        for (number, mix) in MIXES.iter().enumerate() {
            let port = if mix.stable { world.ports.stable } else { world.ports.flaky };
            let report = world.file(&format!("load-{number}.json"));
            let _ = fs::remove_file(&report);
            let mut arguments = vec!["load".to_owned()];
            arguments.extend(mix.urls.iter().map(|url| format!("http://127.0.0.1:{port}/{url}")));
            for (flag, value) in [
                ("--rate", format!("{:.3}", (rate * mix.part).max(0.1))),
                ("--arrivals", "poisson".to_owned()),
                ("--connections", mix.connections.to_string()),
                ("--warmup", "0s".to_owned()),
                ("--timeout", "30s".to_owned()),
                ("--duration", format!("{}ms", length.as_millis())),
                ("--json", report.display().to_string()),
            ] {
                arguments.extend([flag.to_owned(), value]);
            }
            arguments.extend(mix.arguments.iter().map(ToString::to_string));
            running.push((mix, world.start_own(&format!("load-{number}"), &arguments)?, report));
        }
        Ok(Self { began, running })
    }

    /// Whether all of it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.running.iter_mut().all(|(_, process, _)| process.ended().is_some())
    }

    /// What came of it, added to what came before; in words what the proxy is to blame for.
    pub(super) fn account(
        self,
        soak_began: Duration,
        outages: &Outages,
        totals: &mut BTreeMap<&'static str, Total>,
    ) -> Vec<String> {
        let mut says = Vec::new();
        for (mix, _, report) in &self.running {
            let total = totals.entry(mix.name).or_default();
            let read = fs::read(report).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let Some(report) = read else {
                total.blamed += 1;
                says.push(format!("{}: the load left no report", mix.name));
                continue;
            };
            let none = Outages::default();
            let Blamed { requests, errors, excused, blamed, says: said } =
                Blamed::of(&report, (self.began, soak_began), if mix.stable { &none } else { outages });
            total.requests += requests;
            total.excused += excused;
            total.blamed += blamed;
            for (kind, count) in errors {
                *total.errors.entry(kind).or_default() += count;
            }
            says.extend(said.into_iter().map(|said| format!("{}: {said}", mix.name)));
            if requests == 0 {
                total.blamed += 1;
                says.push(format!("{}: not one request was answered", mix.name));
            }
        }
        says
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_all_of_it() {
        let sum: f64 = MIXES.iter().map(|mix| mix.part).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        assert!(MIXES.iter().any(|mix| mix.stable) && MIXES.iter().any(|mix| !mix.stable));
    }
}
