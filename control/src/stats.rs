//! The numbers as JSON, with percentiles.

use crate::admin::view::{Gathered, Lines, fallback_reason};
use corelane_engine::{End, Metric, Phase, Snapshot};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// Everything, as one object.
pub(crate) fn json(gathered: &Gathered) -> String {
    let merged = gathered.merged();
    let value = json!({
        "version": gathered.about.version,
        "commit": gathered.about.commit,
        "uptime_s": gathered.uptime.as_secs(),
        "draining": gathered.draining,
        "pressure": {
            "shedding": gathered.pressure.shedding as u8,
            "memory_used": gathered.pressure.memory,
            "descriptors_used": gathered.pressure.descriptors,
        },
        "lanes": lanes(gathered),
        "merged": merged.as_ref().map(values),
        "ended": merged.as_ref().map(ended),
        "phases_us": merged.as_ref().map(phases),
        "clusters": merged.as_ref().map(clusters),
        "counters": merged.as_ref().map(|merged| &merged.counters),
        "access_log": gathered.access_log.map(log),
        "event_log": gathered.event_log.map(log),
        "process": {
            "resident_bytes": gathered.process.resident_bytes,
            "open_descriptors": gathered.process.open_descriptors,
            "cpu_seconds": gathered.process.cpu_seconds,
        },
    });
    format!("{value:#}\n")
}

/// Every upstream with its endpoints, as an object.
pub(crate) fn upstreams(gathered: &Gathered) -> String {
    let merged = gathered.merged();
    format!("{:#}\n", json!(merged.as_ref().map(clusters)))
}

/// Every lane with its driver; the numbers of one that did not answer are missing.
fn lanes(gathered: &Gathered) -> Vec<Value> {
    let lane = |(id, driver)| {
        let mut lane = Map::new();
        lane.insert("id".to_owned(), json!(id));
        lane.insert("driver".to_owned(), json!(corelane_engine::Running::name(driver)));
        lane.insert("fallback_reason".to_owned(), json!(fallback_reason(driver)));
        if let Some(snapshot) = gathered.lanes.iter().find(|snapshot| snapshot.lane == id) {
            lane.extend(values(snapshot));
        }
        Value::Object(lane)
    };
    gathered.drivers.iter().enumerate().map(lane).collect()
}

fn values(snapshot: &Snapshot) -> Map<String, Value> {
    Metric::ALL.iter().map(|metric| (metric.as_str().to_owned(), json!(snapshot.value(*metric)))).collect()
}

fn ended(snapshot: &Snapshot) -> Map<String, Value> {
    End::ALL.iter().map(|end| (end.as_str().to_owned(), json!(snapshot.ended(*end)))).collect()
}

fn phases(snapshot: &Snapshot) -> Map<String, Value> {
    Phase::ALL.iter().map(|phase| (phase.as_str().to_owned(), times(snapshot.histogram(*phase)))).collect()
}

/// In microseconds.
fn times(histogram: &Histogram<u64>) -> Value {
    let mut times = Map::new();
    times.insert("count".to_owned(), json!(histogram.len()));
    for (name, percentile) in PERCENTILES {
        times.insert(name.to_owned(), json!(histogram.value_at_percentile(percentile)));
    }
    times.insert("max".to_owned(), json!(histogram.max()));
    Value::Object(times)
}

fn clusters(snapshot: &Snapshot) -> Map<String, Value> {
    let endpoints = |endpoints: &Vec<corelane_engine::EndpointStats>| {
        let endpoint = |endpoint: &corelane_engine::EndpointStats| {
            json!({
                "endpoint": endpoint.address.to_string(),
                "requests": endpoint.requests,
                "failures": endpoint.failures,
                "in_flight": endpoint.in_flight,
                "idle": endpoint.idle,
            })
        };
        endpoints.iter().map(endpoint).collect()
    };
    snapshot.clusters.iter().map(|(name, list)| (name.clone(), Value::Array(endpoints(list)))).collect()
}

fn log(lines: Lines) -> Value {
    json!({ "lines": lines.written, "dropped": lines.dropped, "write_errors": lines.failures })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 2).unwrap();
        for micros in 1..=100 {
            histogram.record(micros).unwrap();
        }
        let expected = json!({ "count": 100, "p50": 50, "p90": 90, "p99": 99, "p99.9": 100, "max": 100 });
        assert_eq!(times(&histogram), expected);
    }
}
