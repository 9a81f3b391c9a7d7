//! Whose fault a failed request is: the proxy's, unless an origin was dead or hung at the time.

use super::world::UPSTREAM_HEAD;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// How far the clock of a load may be off from ours: it starts its measurement when its program has started.
const BLUR: Duration = Duration::from_millis(1500);

/// When origins were dead, or hung.
#[derive(Debug, Default)]
pub(super) struct Outages(Vec<(Duration, Option<Duration>)>);

impl Outages {
    /// One begins.
    pub(super) fn begin(&mut self, at: Duration) -> usize {
        self.0.push((at, None));
        self.0.len() - 1
    }

    /// It is over.
    pub(super) fn end(&mut self, outage: usize, at: Duration) {
        if let Some(outage) = self.0.get_mut(outage) {
            outage.1 = Some(at);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether one explains what a client saw between these moments: a request that waited for its head is told when
    /// that takes too long.
    fn explain(&self, from: Duration, to: Duration) -> bool {
        self.0.iter().any(|(began, ended)| {
            let ended = ended.map_or(Duration::MAX, |ended| ended + UPSTREAM_HEAD + BLUR);
            began.saturating_sub(BLUR) <= to && from <= ended
        })
    }
}

/// What a report of `load` comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Blamed {
    pub(super) requests: u64,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) excused: u64,
    pub(super) blamed: u64,
    pub(super) says: Vec<String>,
}

impl Blamed {
    /// When the load was started, and when the soak was.
    pub(super) fn of(report: &Value, (began, soak): (Duration, Duration), outages: &Outages) -> Self {
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let mut blamed = Self { requests: number(&report["requests"]), ..Self::default() };
        for (kind, count) in report["errors"].as_object().into_iter().flatten() {
            if number(count) > 0 {
                blamed.errors.insert(kind.clone(), number(count));
            }
        }
        // An origin that dies is an answer with a status, or one that is cut short. The proxy itself is always there,
        // answers in time, and never changes what it passes on.
        for kind in ["connect", "timeout", "body"] {
            blamed.blamed += blamed.errors.get(kind).copied().unwrap_or_default();
        }
        let step = Duration::from_secs(number(&report["course_step_s"]).max(1));
        let mut in_course = 0;
        for part in report["course"].as_array().into_iter().flatten() {
            let errors = number(&part["errors"]);
            if errors == 0 {
                continue;
            }
            in_course += errors;
            let at = Duration::from_secs_f64(part["at_s"].as_f64().unwrap_or_default().max(0.0));
            let (from, to) = (began + at, began + at + step + BLUR);
            if outages.explain(from, to) {
                blamed.excused += errors;
            } else {
                blamed.blamed += errors;
                blamed.says.push(format!(
                    "{errors} failed at {:.0} s, and every origin was there",
                    from.saturating_sub(soak).as_secs_f64()
                ));
            }
        }
        // What has no moment has no excuse.
        blamed.blamed += blamed.errors.values().sum::<u64>().saturating_sub(in_course);
        if blamed.blamed > 0 {
            let samples = report["samples"].as_array().into_iter().flatten();
            blamed.says.extend(samples.filter_map(|sample| Some(format!("such as: {}", sample.as_str()?))));
        }
        blamed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BEGAN: Duration = Duration::from_secs(100);

    fn report(kind: &str, at: u64) -> Value {
        json!({
            "requests": 50, "errors": { "status": 0, kind: 2 }, "samples": ["status 502"], "course_step_s": 1,
            "course": [{ "at_s": 0.0, "errors": 0 }, { "at_s": at as f64, "errors": 2 }],
        })
    }

    fn outages() -> Outages {
        let mut outages = Outages::default();
        let outage = outages.begin(Duration::from_secs(120));
        outages.end(outage, Duration::from_secs(122));
        outages
    }

    #[test]
    fn an_outage_excuses_what_fails_while_it_lasts_and_soon_after() {
        for at in [19, 20, 22, 25] {
            let blamed = Blamed::of(&report("status", at), (BEGAN, BEGAN), &outages());
            assert_eq!((blamed.requests, blamed.excused, blamed.blamed), (50, 2, 0), "{at}");
        }
        for at in [10, 30] {
            let blamed = Blamed::of(&report("status", at), (BEGAN, BEGAN), &outages());
            assert_eq!((blamed.excused, blamed.blamed), (0, 2), "{at}");
            assert!(blamed.says[0].contains("every origin was there") && blamed.says[1].contains("502"));
        }
    }

    #[test]
    fn some_things_are_never_excused() {
        assert_eq!(Blamed::of(&report("connect", 20), (BEGAN, BEGAN), &outages()).blamed, 2);
        assert_eq!(Blamed::of(&report("status", 20), (BEGAN, BEGAN), &Outages::default()).blamed, 2);
        let no_moment = json!({ "requests": 1, "errors": { "reset": 3 } });
        assert_eq!(Blamed::of(&no_moment, (BEGAN, BEGAN), &outages()).blamed, 3);
    }
}
