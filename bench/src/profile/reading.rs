//! What an engine says of its phases, and what two such readings say of the time between them.

use crate::failure::Failure;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The phases of an exchange in their order. The first two come before what is recorded as the whole, [`REQUEST`].
pub(super) const PARTS: [(&str, &str); 6] = [
    ("queue", "waiting in the lane"),
    ("parse", "receiving and parsing the head"),
    ("route", "the handler's own time"),
    ("connect", "connecting to the origin"),
    ("wait", "waiting for the first byte"),
    ("transfer", "transfer of the answer"),
];
/// How many of them come before the whole.
const BEFORE: usize = 2;
/// The whole exchange, from the complete head to its end.
pub(super) const REQUEST: &str = "request";
/// What of an exchange was waiting behind other tasks of its lane.
pub(super) const BEHIND: &str = "behind";
/// A turn of the lane.
pub(super) const TURN: &str = "turn";

/// An answer to `/profile.json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Reading {
    uptime_s: f64,
    lanes: Vec<LaneRead>,
}

#[derive(Debug, Clone, Deserialize)]
struct LaneRead {
    id: usize,
    driver: String,
    /// `None` if the lane did not answer.
    phases: Option<BTreeMap<String, TimesRead>>,
}

#[derive(Debug, Clone, Deserialize)]
struct TimesRead {
    count: u64,
    sum_ns: u64,
    /// The highest value of each bucket in microseconds, and how many fell into it.
    buckets: Vec<(u64, u64)>,
}

/// How long something took, each time that it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) count: u64,
    pub(super) sum_ns: u64,
    buckets: BTreeMap<u64, u64>,
}

impl Times {
    fn of(read: &TimesRead) -> Self {
        Self { count: read.count, sum_ns: read.sum_ns, buckets: read.buckets.iter().copied().collect() }
    }

    /// What happened after `before`; `None` if that cannot have been before.
    fn since(&self, before: &Self) -> Option<Self> {
        let mut buckets = self.buckets.clone();
        for (highest, count) in &before.buckets {
            let now = buckets.get_mut(highest)?;
            *now = now.checked_sub(*count)?;
        }
        buckets.retain(|_, count| *count > 0);
        Some(Self {
            count: self.count.checked_sub(before.count)?,
            sum_ns: self.sum_ns.checked_sub(before.sum_ns)?,
            buckets,
        })
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        for (highest, count) in &other.buckets {
            *self.buckets.entry(*highest).or_default() += count;
        }
    }

    /// In microseconds; 0 of nothing.
    pub(super) fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ns as f64 / 1000.0 / self.count as f64 }
    }

    /// In microseconds, as exact as a bucket: to one per cent, and to one microsecond. `part` is of 1.
    pub(super) fn percentile(&self, part: f64) -> u64 {
        let all: u64 = self.buckets.values().sum();
        let wanted = ((all as f64 * part).ceil() as u64).clamp(1, all.max(1));
        let mut seen = 0;
        for (highest, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return *highest;
            }
        }
        0
    }

    /// As an engine says it.
    fn json(&self) -> Value {
        json!({
            "count": self.count,
            "sum_ns": self.sum_ns,
            "p50": self.percentile(0.5),
            "p90": self.percentile(0.9),
            "p99": self.percentile(0.99),
            "p99.9": self.percentile(0.999),
            "max": self.max(),
            "buckets": self.buckets.iter().collect::<Vec<_>>(),
        })
    }

    pub(super) fn max(&self) -> u64 {
        self.buckets.keys().next_back().copied().unwrap_or_default()
    }
}

/// The phases of one lane, or of all.
#[derive(Debug, Clone, Default)]
pub(super) struct Phases(BTreeMap<String, Times>);

impl Phases {
    /// What is known of a phase; nothing of one that the program does not know.
    pub(super) fn times(&self, phase: &str) -> Times {
        self.0.get(phase).cloned().unwrap_or_default()
    }

    /// Requests that ended.
    pub(super) fn requests(&self) -> u64 {
        self.0.get(REQUEST).map_or(0, |times| times.count)
    }

    /// All the time of requests, in nanoseconds: from when their heads were ready to be received.
    pub(super) fn total_ns(&self) -> u64 {
        let before: u64 = PARTS[..BEFORE].iter().map(|(phase, _)| self.times(phase).sum_ns).sum();
        before + self.times(REQUEST).sum_ns
    }

    /// What no phase has: waiting for a place among a cluster's connections, and between attempts; in nanoseconds.
    pub(super) fn other_ns(&self) -> u64 {
        let parts: u64 = PARTS[BEFORE..].iter().map(|(phase, _)| self.times(phase).sum_ns).sum();
        self.times(REQUEST).sum_ns.saturating_sub(parts)
    }

    /// As an engine says it.
    fn json(&self) -> Value {
        let one = |(phase, times): (&String, &Times)| (phase.clone(), times.json());
        Value::Object(self.0.iter().map(one).collect())
    }

    fn add(&mut self, other: &Self) {
        for (phase, times) in &other.0 {
            self.0.entry(phase.clone()).or_default().add(times);
        }
    }
}

/// A lane's part of a profile.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) id: usize,
    pub(super) driver: String,
    pub(super) phases: Phases,
}

/// Where the time went.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    /// How long was looked, by the engine's clock, in seconds.
    pub(super) seconds: f64,
    /// Since the engine's start, and not between two readings.
    pub(super) since_start: bool,
    pub(super) lanes: Vec<Lane>,
    /// Lanes that did not answer.
    pub(super) silent: Vec<usize>,
    pub(super) merged: Phases,
}

impl Profile {
    /// For programs, in the form of an engine's answer.
    pub(super) fn json(&self) -> Value {
        let lane =
            |lane: &Lane| json!({ "id": lane.id, "driver": lane.driver, "phases": lane.phases.json() });
        json!({
            "seconds": self.seconds,
            "since_start": self.since_start,
            "requests": self.merged.requests(),
            "total_ns": self.merged.total_ns(),
            "other_ns": self.merged.other_ns(),
            "silent_lanes": self.silent,
            "lanes": self.lanes.iter().map(lane).collect::<Vec<_>>(),
            "merged": self.merged.json(),
        })
    }
}

impl Reading {
    pub(super) fn parse(text: &str, from: &impl std::fmt::Display) -> Result<Self, Failure> {
        serde_json::from_str(text).map_err(|error| {
            Failure::Run(format!(
                "{from} answers something that corelane-bench does not understand; is it a corelane of this version? ({error})"
            ))
        })
    }

    /// What happened since the start, or since `before`.
    pub(super) fn since(&self, before: Option<&Self>) -> Result<Profile, Failure> {
        let restarted = || {
            Failure::Run(
                "the engine was restarted while it was measured, or one of its lanes was; try again"
                    .to_owned(),
            )
        };
        let mut profile = Profile {
            seconds: self.uptime_s - before.map_or(0.0, |before| before.uptime_s),
            since_start: before.is_none(),
            lanes: Vec::new(),
            silent: Vec::new(),
            merged: Phases::default(),
        };
        if profile.seconds < 0.0 {
            return Err(restarted());
        }
        for lane in &self.lanes {
            let earlier = before.map(|before| before.phases_of(lane.id));
            let (Some(now), None | Some(Some(_))) = (self.phases_of(lane.id), &earlier) else {
                profile.silent.push(lane.id);
                continue;
            };
            let mut phases = Phases::default();
            for (phase, times) in now {
                let mut times = Times::of(times);
                if let Some(before) = earlier.flatten().and_then(|phases| phases.get(phase)) {
                    times = times.since(&Times::of(before)).ok_or_else(restarted)?;
                }
                phases.0.insert(phase.clone(), times);
            }
            profile.merged.add(&phases);
            profile.lanes.push(Lane { id: lane.id, driver: lane.driver.clone(), phases });
        }
        Ok(profile)
    }

    fn phases_of(&self, lane: usize) -> Option<&BTreeMap<String, TimesRead>> {
        self.lanes.iter().find(|known| known.id == lane)?.phases.as_ref()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn times(buckets: &[(u64, u64)]) -> Value {
        let count: u64 = buckets.iter().map(|(_, count)| count).sum();
        let sum: u64 = buckets.iter().map(|(micros, count)| micros * count * 1000).sum();
        json!({ "count": count, "sum_ns": sum, "buckets": buckets })
    }

    /// An answer of a lane for each element: how many requests there were, of 100 µs in the wait and 20 µs elsewhere.
    pub(crate) fn answer(uptime: f64, requests: &[Option<u64>]) -> String {
        let lanes = requests.iter().enumerate().map(|(id, count)| {
            let phases = count.map(|count| {
                json!({
                    "queue": times(&[(1, count)]),
                    "parse": times(&[(2, count)]),
                    "request": times(&[(120, count)]),
                    "route": times(&[(5, count)]),
                    "wait": times(&[(100, count)]),
                    "transfer": times(&[(10, count)]),
                    "behind": times(&[(3, count)]),
                    "turn": times(&[(30, 2 * count)]),
                })
            });
            json!({ "id": id, "driver": "epoll", "phases": phases })
        });
        json!({ "version": "0.1.0", "uptime_s": uptime, "lanes": lanes.collect::<Vec<_>>(), "merged": null })
            .to_string()
    }

    pub(crate) fn reading(uptime: f64, requests: &[Option<u64>]) -> Reading {
        Reading::parse(&answer(uptime, requests), &"a test").unwrap()
    }

    #[test]
    fn what_happened_between_is_the_difference() {
        let (before, after) = (reading(5.0, &[Some(100), Some(50)]), reading(7.5, &[Some(160), Some(90)]));
        let profile = after.since(Some(&before)).unwrap();
        assert_eq!((profile.seconds, profile.since_start), (2.5, false));
        assert_eq!(profile.merged.requests(), 100);
        assert_eq!(profile.lanes[0].phases.requests(), 60);
        assert_eq!(profile.merged.total_ns(), 100 * 123_000);
        assert_eq!(profile.merged.other_ns(), 100 * 5_000);
        assert_eq!(profile.merged.times("wait").mean(), 100.0);
        assert_eq!(profile.merged.times("connect"), Times::default());
        assert_eq!(after.since(None).unwrap().merged.requests(), 250);
    }

    #[test]
    fn an_engine_that_began_anew_is_noticed() {
        let before = reading(5.0, &[Some(100)]);
        for after in [reading(1.0, &[Some(200)]), reading(6.0, &[Some(50)])] {
            let error = after.since(Some(&before)).unwrap_err().to_string();
            assert!(error.contains("was restarted"), "{error}");
        }
    }

    #[test]
    fn a_lane_that_does_not_answer_is_left_out_and_named() {
        let (before, after) =
            (reading(5.0, &[Some(1), None, Some(1)]), reading(6.0, &[Some(2), Some(9), None]));
        let profile = after.since(Some(&before)).unwrap();
        assert_eq!((profile.silent.as_slice(), profile.merged.requests()), (&[1, 2][..], 1));
    }

    #[test]
    fn percentiles_come_from_the_buckets() {
        let times = Times::of(&TimesRead {
            count: 1000,
            sum_ns: 0,
            buckets: vec![(1, 500), (10, 490), (99, 9), (7000, 1)],
        });
        let parts = [0.0, 0.5, 0.501, 0.99, 0.991, 0.999, 1.0].map(|part| times.percentile(part));
        assert_eq!(parts, [1, 1, 10, 10, 99, 99, 7000]);
        assert_eq!((times.max(), Times::default().max(), Times::default().percentile(0.5)), (7000, 0, 0));
    }

    #[test]
    fn nonsense_is_refused() {
        let error = Reading::parse("{\"lanes\": 3}", &"http://a").unwrap_err().to_string();
        assert!(error.starts_with("http://a answers something"), "{error}");
    }
}
