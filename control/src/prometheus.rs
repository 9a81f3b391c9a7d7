//! The numbers as Prometheus's text exposition format 0.0.4 has them.

use crate::admin::view::{Gathered, Lines, fallback_reason};
use corelane_engine::{End, EndpointStats, Metric, Phase, Pressure, Snapshot};
use hdrhistogram::Histogram;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Display, Write},
    time::Duration,
};

/// What the answer is labelled with.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const PREFIX: &str = "corelane_";

/// The bounds of the histograms' buckets: in microseconds, and in seconds as they are written.
const BOUNDS: [(u64, &str); 18] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (30_000_000, "30"),
    (60_000_000, "60"),
];

/// A number of an endpoint, and whether it goes up and down.
struct EndpointFamily {
    name: &'static str,
    help: &'static str,
    is_gauge: bool,
    value: fn(&EndpointStats) -> u64,
}

const ENDPOINT_FAMILIES: [EndpointFamily; 4] = [
    EndpointFamily {
        name: "upstream_requests_total",
        help: "Requests sent to an endpoint, retries among them.",
        is_gauge: false,
        value: |endpoint| endpoint.requests,
    },
    EndpointFamily {
        name: "upstream_failures_total",
        help: "Attempts at an endpoint that got no answer.",
        is_gauge: false,
        value: |endpoint| endpoint.failures,
    },
    EndpointFamily {
        name: "upstream_in_flight",
        help: "Requests under way at an endpoint.",
        is_gauge: true,
        value: |endpoint| endpoint.in_flight,
    },
    EndpointFamily {
        name: "upstream_idle",
        help: "Pooled connections to an endpoint.",
        is_gauge: true,
        value: |endpoint| endpoint.idle,
    },
];

/// Everything, as one text.
pub(crate) fn exposition(gathered: &Gathered) -> String {
    let mut page = Page::default();
    about(&mut page, gathered);
    if let Some(merged) = gathered.merged() {
        metrics(&mut page, &merged, &gathered.lanes);
        ends(&mut page, &merged);
        phases(&mut page, &merged);
        endpoints(&mut page, &merged);
        counters(&mut page, &merged.counters);
    }
    for (name, lines) in [("access_log", gathered.access_log), ("event_log", gathered.event_log)] {
        if let Some(lines) = lines {
            log(&mut page, name, lines);
        }
    }
    process(&mut page, gathered);
    page.text
}

fn about(page: &mut Page, gathered: &Gathered) {
    page.family("corelane_build_info", "What this program is.", Kind::Gauge);
    let about = gathered.about;
    page.sample("corelane_build_info", &[("version", about.version), ("commit", about.commit)], 1);
    page.family("corelane_draining", "1 from the moment a drain begins.", Kind::Gauge);
    page.sample("corelane_draining", &[], u8::from(gathered.draining));
    pressure(page, &gathered.pressure);
    page.family("corelane_lane_driver_info", "What a lane runs on, and why not on io_uring.", Kind::Gauge);
    for (lane, driver) in gathered.drivers.iter().enumerate() {
        let (lane, reason) = (lane.to_string(), fallback_reason(driver).unwrap_or_default());
        let labels = [("lane", lane.as_str()), ("driver", driver.name()), ("reason", reason)];
        page.sample("corelane_lane_driver_info", &labels, 1);
    }
}

fn pressure(page: &mut Page, pressure: &Pressure) {
    let name = "corelane_shedding";
    let help = "What is shed because memory or descriptors run short: 0 nothing, 1 keep-alive, 2 new requests, 3 idle connections, 4 new connections.";
    page.family(name, help, Kind::Gauge);
    page.sample(name, &[], pressure.shedding as u8);
    let name = "corelane_used_ratio";
    page.family(name, "The part that is used of what there may be, from 0 to 1.", Kind::Gauge);
    if let Some(memory) = pressure.memory {
        page.sample(name, &[("of", "memory")], memory);
    }
    page.sample(name, &[("of", "descriptors")], pressure.descriptors);
}

/// Each number of the lanes, summed and by lane. The sum is left out where endpoints have the same number, because
/// that is a sum already.
fn metrics(page: &mut Page, merged: &Snapshot, lanes: &[Snapshot]) {
    for metric in Metric::ALL {
        let kind = if metric.is_gauge() { Kind::Gauge } else { Kind::Counter };
        let plain = plain_name(*metric);
        if ENDPOINT_FAMILIES.iter().all(|family| family.name != plain) {
            let name = format!("{PREFIX}{plain}");
            page.family(&name, metric.help(), kind);
            page.sample(&name, &[], merged.value(*metric));
        }
        let name = format!("{PREFIX}lane_{plain}");
        page.family(&name, metric.help(), kind);
        for lane in lanes {
            page.sample(&name, &[("lane", &lane.lane.to_string())], lane.value(*metric));
        }
    }
}

/// The name without a prefix. `lane_…` stands for the numbers of one lane, so a number about lanes needs another.
fn plain_name(metric: Metric) -> String {
    match metric.as_str().strip_prefix("lane_") {
        Some(rest) => format!("engine_{rest}"),
        None => metric.as_str().to_owned(),
    }
}

fn ends(page: &mut Page, merged: &Snapshot) {
    let name = "corelane_exchanges_ended_total";
    page.family(name, "Exchanges that ended, by reason.", Kind::Counter);
    for end in End::ALL {
        page.sample(name, &[("reason", end.as_str())], merged.ended(end));
    }
}

fn phases(page: &mut Page, merged: &Snapshot) {
    let help =
        "Time that exchanges spent in each phase, and that lanes spent in a turn, to within one per cent.";
    page.family("corelane_phase_seconds", help, Kind::Histogram);
    for phase in Phase::ALL {
        histogram(page, phase.as_str(), merged.histogram(*phase), merged.sum(*phase));
    }
}

fn histogram(page: &mut Page, phase: &str, histogram: &Histogram<u64>, sum: Duration) {
    let mut below = [0; BOUNDS.len()];
    for step in histogram.iter_recorded() {
        let count = step.count_at_value();
        let micros = step.value_iterated_to();
        // The first bound that is not below all of the values that were counted here.
        let lowest = histogram.lowest_equivalent(micros);
        if let Some(at) = BOUNDS.iter().position(|(bound, _)| lowest <= *bound) {
            below[at] += count;
        }
    }
    let mut cumulative = 0;
    for ((_, bound), count) in BOUNDS.iter().zip(below) {
        cumulative += count;
        page.sample("corelane_phase_seconds_bucket", &[("phase", phase), ("le", bound)], cumulative);
    }
    page.sample("corelane_phase_seconds_bucket", &[("phase", phase), ("le", "+Inf")], histogram.len());
    page.sample("corelane_phase_seconds_sum", &[("phase", phase)], sum.as_secs_f64());
    page.sample("corelane_phase_seconds_count", &[("phase", phase)], histogram.len());
}

fn endpoints(page: &mut Page, merged: &Snapshot) {
    for family in &ENDPOINT_FAMILIES {
        let name = format!("{PREFIX}{}", family.name);
        page.family(&name, family.help, if family.is_gauge { Kind::Gauge } else { Kind::Counter });
        for (cluster, endpoints) in &merged.clusters {
            for endpoint in endpoints {
                let labels = [("cluster", cluster.as_str()), ("endpoint", &endpoint.address.to_string())];
                page.sample(&name, &labels, (family.value)(endpoint));
            }
        }
    }
}

/// The handler's own counters. One whose name is ours already goes by `corelane_handler_…`.
fn counters(page: &mut Page, counters: &BTreeMap<String, u64>) {
    let mut families: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in counters {
        let plain: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        let mut name = format!("{PREFIX}{plain}");
        if page.families.contains(&name) {
            name = format!("{PREFIX}handler_{plain}");
        }
        *families.entry(name).or_default() += count;
    }
    for (name, count) in families {
        page.family(&name, "A counter of the handler's own.", Kind::Counter);
        page.sample(&name, &[], count);
    }
}

fn log(page: &mut Page, log: &str, lines: Lines) {
    for (what, help, count) in [
        ("lines", "Log lines written.", lines.written),
        (
            "dropped",
            "Log lines dropped, because the log could not keep up or could not be written.",
            lines.dropped,
        ),
        ("write_errors", "Writes of the log that failed.", lines.failures),
    ] {
        let name = format!("{PREFIX}{log}_{what}_total");
        page.family(&name, help, Kind::Counter);
        page.sample(&name, &[], count);
    }
}

fn process(page: &mut Page, gathered: &Gathered) {
    let process = gathered.process;
    let mut one = |name: &str, help: &str, kind: Kind, value: Option<f64>| {
        if let Some(value) = value {
            page.family(name, help, kind);
            page.sample(name, &[], value);
        }
    };
    let bytes = process.resident_bytes.map(|bytes| bytes as f64);
    one("process_resident_memory_bytes", "Memory that is resident, in bytes.", Kind::Gauge, bytes);
    let open = process.open_descriptors.map(|open| open as f64);
    one("process_open_fds", "Descriptors that are open.", Kind::Gauge, open);
    let start = process.start_seconds;
    one("process_start_time_seconds", "When the process started, in seconds since 1970.", Kind::Gauge, start);
    let cpu = process.cpu_seconds;
    one("process_cpu_seconds_total", "CPU time used, user and system, in seconds.", Kind::Counter, cpu);
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text, and the families that are in it.
#[derive(Default)]
struct Page {
    text: String,
    families: BTreeSet<String>,
}

impl Page {
    fn family(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes everything");
        self.families.insert(name.to_owned());
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.text.push_str(if index == 0 { "{" } else { "," });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        self.text.push_str(if labels.is_empty() { " " } else { "} " });
        writeln!(self.text, "{value}").expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample_of(text: &str, name: &str) -> f64 {
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        line.trim().parse().unwrap()
    }

    #[test]
    fn labels_and_help_are_escaped() {
        let mut page = Page::default();
        page.family("a", "one\ntwo\\", Kind::Gauge);
        page.sample("a", &[("b", "x\"y\\z\n"), ("c", "")], 1);
        page.sample("a", &[], 2);
        assert_eq!(
            page.text,
            "# HELP a one\\ntwo\\\\\n# TYPE a gauge\na{b=\"x\\\"y\\\\z\\n\",c=\"\"} 1\na 2\n"
        );
    }

    #[test]
    fn buckets_are_cumulative_and_end_in_the_count() {
        let mut times = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 2).unwrap();
        for micros in [50, 100, 5_000, 2_000_000, 3_000_000_000] {
            times.record(micros).unwrap();
        }
        let mut page = Page::default();
        histogram(&mut page, "wait", &times, Duration::from_micros(3_002_005_150));
        let bucket = |le: &str| {
            sample_of(&page.text, &format!("corelane_phase_seconds_bucket{{phase=\"wait\",le=\"{le}\"}}"))
        };
        let expected =
            [("0.0001", 2.0), ("0.0025", 2.0), ("0.005", 3.0), ("2.5", 4.0), ("60", 4.0), ("+Inf", 5.0)];
        for (le, count) in expected {
            assert_eq!(bucket(le), count, "{le}");
        }
        assert_eq!(sample_of(&page.text, "corelane_phase_seconds_count{phase=\"wait\"}"), 5.0);
        let sum = sample_of(&page.text, "corelane_phase_seconds_sum{phase=\"wait\"}");
        assert!((sum - 3_002.005_15).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn bounds_are_what_they_say() {
        for (micros, seconds) in BOUNDS {
            assert_eq!(seconds.parse::<f64>().unwrap() * 1e6, micros as f64);
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn no_two_metrics_have_one_name() {
        let plain: Vec<String> = Metric::ALL.iter().map(|metric| plain_name(*metric)).collect();
        let lane = plain.iter().map(|name| format!("lane_{name}"));
        let names: BTreeSet<String> = plain.iter().cloned().chain(lane).collect();
        assert_eq!(names.len(), 2 * Metric::ALL.len());
    }

    #[test]
    fn a_handlers_counter_never_doubles_one_of_ours() {
        let mut page = Page::default();
        page.family("corelane_requests_total", "ours", Kind::Counter);
        let theirs = [("denied-total", 1), ("denied_total", 2), ("requests_total", 3)];
        counters(&mut page, &theirs.map(|(name, count)| (name.to_owned(), count)).into());
        assert_eq!(sample_of(&page.text, "corelane_denied_total "), 3.0);
        assert_eq!(sample_of(&page.text, "corelane_handler_requests_total "), 3.0);
        assert!(!page.text.contains("\ncorelane_requests_total "));
    }
}
