//! Where the time goes, in a form that a program can plot, add up and subtract: `/profile.json`, and `/slow.json`, the
//! flight recorder.

use crate::{admin::view::Gathered, log::rfc3339};
use corelane_engine::{FlightRecorder, Phase, Phases, Running, Slow, Snapshot};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};

const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// The histograms of every phase, of each lane and of all.
pub(crate) fn json(gathered: &Gathered) -> String {
    let lane = |(id, driver): (usize, &Running)| {
        let answered = gathered.lanes.iter().find(|snapshot| snapshot.lane == id);
        json!({ "id": id, "driver": driver.name(), "phases": answered.map(phases) })
    };
    let lanes: Vec<Value> = gathered.drivers.iter().enumerate().map(lane).collect();
    let about = |phase: &Phase| json!({ "name": phase.as_str(), "help": phase.help() });
    let value = json!({
        "version": gathered.about.version,
        "commit": gathered.about.commit,
        "uptime_s": gathered.uptime.as_secs_f64(),
        "phases": Phase::ALL.iter().map(about).collect::<Vec<_>>(),
        "lanes": lanes,
        "merged": gathered.merged().as_ref().map(phases),
    });
    format!("{value}\n")
}

fn phases(snapshot: &Snapshot) -> Map<String, Value> {
    let one =
        |phase: &Phase| (phase.as_str().to_owned(), times(snapshot.histogram(*phase), snapshot.sum(*phase)));
    Phase::ALL.iter().map(one).collect()
}

/// Percentiles in microseconds. `buckets` has a pair for each bucket that is not empty: the highest value that falls
/// into it, in microseconds, and how many did since the start. Those of two readings can be subtracted, and those of
/// several lanes added; the percentiles cannot.
fn times(histogram: &Histogram<u64>, sum: Duration) -> Value {
    let mut times = Map::new();
    times.insert("count".to_owned(), json!(histogram.len()));
    times.insert("sum_ns".to_owned(), json!(u64::try_from(sum.as_nanos()).unwrap_or(u64::MAX)));
    for (name, percentile) in PERCENTILES {
        times.insert(name.to_owned(), json!(histogram.value_at_percentile(percentile)));
    }
    times.insert("max".to_owned(), json!(histogram.max()));
    let buckets = histogram.iter_recorded().map(|step| {
        let highest = histogram.highest_equivalent(step.value_iterated_to());
        json!([highest, step.count_at_value()])
    });
    times.insert("buckets".to_owned(), Value::Array(buckets.collect()));
    Value::Object(times)
}

/// The last slow exchanges of all lanes, the latest first.
pub(crate) fn slow(recorder: FlightRecorder, lanes: &BTreeMap<usize, Vec<Slow>>) -> String {
    let mut all: Vec<&Slow> = lanes.values().flatten().collect();
    all.sort_by_key(|slow| std::cmp::Reverse(slow.at + slow.duration));
    let value = json!({
        "slower_than_us": micros(recorder.slower_than),
        "kept_per_lane": recorder.kept,
        "lanes": lanes.keys().collect::<Vec<_>>(),
        "slow": all.into_iter().map(exchange).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn exchange(slow: &Slow) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut at = Vec::new();
    rfc3339(&mut at, slow.at);
    json!({
        "lane": slow.lane,
        "at": text(&at),
        "duration_us": micros(slow.duration),
        "phases_us": split(&slow.phases),
        "longest_turn_us": micros(slow.longest_turn),
        "request_id": text(&slow.request_id),
        "method": text(&slow.method),
        "path": text(&slow.path),
        "status": slow.status,
        "end": slow.end.as_str(),
        "endpoint": slow.endpoint.as_ref().map(ToString::to_string),
        "attempts": slow.attempts,
    })
}

fn split(phases: &Phases) -> Value {
    json!({
        "queue": micros(phases.queue),
        "parse": micros(phases.parse),
        "route": micros(phases.route),
        "connect": micros(phases.connect),
        "wait": micros(phases.wait),
        "transfer": micros(phases.transfer),
        "behind": micros(phases.behind),
    })
}

/// With three places, which is what the clock tells.
fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_whole_and_can_be_subtracted() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 2).unwrap();
        for micros in [1, 1, 2, 1000, 1001, 50_000] {
            histogram.record(micros).unwrap();
        }
        let before = times(&histogram, Duration::from_nanos(52_005_123));
        assert_eq!((&before["count"], &before["sum_ns"]), (&json!(6), &json!(52_005_123)));
        assert_eq!(before["buckets"], json!([[1, 2], [2, 1], [1003, 2], [50_175, 1]]));
        histogram.record(1002).unwrap();
        let after = times(&histogram, Duration::ZERO);
        assert_eq!(
            after["buckets"],
            json!([[1, 2], [2, 1], [1003, 3], [50_175, 1]]),
            "they stay where they are"
        );
        assert_eq!((&after["p50"], &after["max"]), (&json!(1003), &json!(50_175)));
    }

    #[test]
    fn an_empty_histogram_has_no_buckets() {
        let histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 2).unwrap();
        let times = times(&histogram, Duration::ZERO);
        assert_eq!((&times["count"], &times["max"], &times["buckets"]), (&json!(0), &json!(0), &json!([])));
    }
}
