//! What is said of a measurement: text, JSON, a page, a file for other tools.

use super::{
    arrivals::Arrivals,
    lanes::Measured,
    plan::Plan,
    tally::{Faults, Second, Tally},
};
use crate::{
    failure::Failure,
    report::{Axis, Chart, Page, Scale, Series},
    units::say_micros,
};
use hdrhistogram::{
    Histogram,
    serialization::{V2DeflateSerializer, interval_log::IntervalLogWriterBuilder},
};
use serde::Serialize;
use std::{fmt::Write as _, fs::OpenOptions, path::Path, time::Duration};

/// A generator that was busier than this may have been the limit itself.
const BUSY_MAX: f64 = 0.95;
/// A rate that is reached to this part is reached.
const RATE_REACHED: f64 = 0.99;
/// Requests that were due in such a time before the end may have been sent behind it.
const END_BLUR_SECONDS: f64 = 0.02;
/// A part of the course over time that is shorter than this part of the others is not shown.
const SHOWN_MIN: f64 = 0.2;
/// Requests that are sent so late on a free connection blur what is measured.
const LATE_MICROS_MAX: f64 = 1_000.0;

/// Times in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) p99_99: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
}

impl Latency {
    /// Of a histogram of nanoseconds.
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: histogram.max() as f64 / 1e3,
            mean: histogram.mean() / 1e3,
        }
    }

    fn values(&self) -> [f64; 7] {
        [self.p50, self.p90, self.p99, self.p99_9, self.p99_99, self.max, self.mean]
    }
}

/// Seconds of the generator's own work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

/// Everything that was found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    urls: Vec<String>,
    /// Answers that were as expected.
    pub(crate) requests: u64,
    pub(crate) errors: Faults,
    /// Such answers per second.
    pub(crate) rate: f64,
    intended_rate: Option<f64>,
    duration_s: f64,
    warm_up_s: f64,
    connections: usize,
    pipeline: usize,
    lanes: usize,
    /// Bytes of the answers, heads among them.
    bytes: u64,
    /// From the moment at which a request was due.
    latency_us: Latency,
    /// From the moment at which it was sent.
    uncorrected_latency_us: Latency,
    /// How late requests were sent although a connection was free.
    lateness_us: Option<Latency>,
    /// Requests that waited because every connection was busy.
    waited: u64,
    /// Requests that were due and have not been sent, nor are among the latencies.
    unsent: u64,
    cpu_s: Cpu,
    /// The busiest lane's part of its time.
    busy: f64,
    pub(crate) interrupted: bool,
    pub(crate) warnings: Vec<String>,
    /// What first went wrong, of each kind.
    samples: Vec<String>,
    course: Vec<Second>,
    course_step_s: u64,
    /// Whether requests were sent, and answered, at the rate at which they were to be.
    #[serde(skip)]
    reached: bool,
    #[serde(skip)]
    histograms: (Histogram<u64>, Histogram<u64>),
}

impl Report {
    /// Of what the lanes have measured; `interrupted` if the user has cut it short.
    pub(crate) fn new(
        plan: &Plan,
        measured: &[Measured],
        cpu: (Duration, Duration),
        interrupted: bool,
    ) -> Self {
        let mut tally = Tally::new((Duration::ZERO, Duration::MAX), plan.rate.is_none());
        measured.iter().for_each(|lane| tally.add(&lane.tally));
        if plan.rate.is_none() {
            tally.uncorrected = tally.corrected.clone();
        }
        let elapsed = match plan.duration {
            // The last answer to what was due in time may come later; an open loop's rate counts the whole time.
            Some(duration) if plan.rate.is_some() && !interrupted => tally.elapsed().max(duration),
            _ => tally.elapsed(),
        };
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let requests = tally.corrected.len();
        let (course, course_step_s) = tally.course();
        let reached = interrupted || reached(plan, &tally);
        let mut report = Self {
            urls: plan.groups.iter().flat_map(|group| &group.urls).map(ToString::to_string).collect(),
            requests,
            errors: tally.faults,
            rate: achieved(plan, &tally, seconds, interrupted),
            intended_rate: plan.rate,
            duration_s: elapsed.as_secs_f64(),
            warm_up_s: plan.warm_up.as_secs_f64(),
            connections: plan.connections,
            pipeline: plan.pipeline,
            lanes: plan.lanes,
            bytes: tally.bytes,
            latency_us: Latency::of(&tally.corrected),
            uncorrected_latency_us: Latency::of(&tally.uncorrected),
            lateness_us: plan.rate.map(|_| Latency::of(&tally.lateness)),
            waited: tally.waited,
            unsent: tally.unsent,
            cpu_s: Cpu { user: cpu.0.as_secs_f64(), system: cpu.1.as_secs_f64() },
            busy: measured.iter().map(|lane| lane.busy).fold(0.0, f64::max),
            interrupted,
            warnings: Vec::new(),
            samples: tally.samples,
            course,
            course_step_s,
            reached,
            histograms: (tally.corrected, tally.uncorrected),
        };
        report.warnings = report.find_warnings();
        report
    }

    fn find_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.interrupted {
            warnings.push("it was interrupted: what was under way counts for nothing".to_owned());
        }
        if self.busy > BUSY_MAX {
            warnings.push(format!(
                "the generator was busy for {:.0} % of the time: it, and not the target, may have been the limit; give it \
                 more --lanes, or a core of its own",
                self.busy * 100.0
            ));
        }
        if let Some(late) = self.lateness_us.as_ref().filter(|late| late.p99 > LATE_MICROS_MAX) {
            warnings.push(format!(
                "the generator was late: of the requests that found a connection free, 1 % were sent {} or more after they \
                 were due; that is in the latencies",
                say_micros(late.p99)
            ));
        }
        if self.waited > 0 {
            warnings.push(format!(
                "{} requests waited because all of {} connections were busy; that is in the latencies, from when they were \
                 due",
                self.waited, self.connections
            ));
        }
        match (self.unsent, self.intended_rate) {
            (0, _) => {}
            (unsent, Some(_)) if self.errors.connect == 0 => warnings.push(format!(
                "{unsent} requests were due and had not been sent a second after the end, because all of {} connections \
                 were busy; they are not in the latencies, which would be longer with them",
                self.connections
            )),
            (unsent, _) => warnings.push(format!(
                "it ended early, with {unsent} requests unsent: no connection could be made any more"
            )),
        }
        warnings
    }

    /// What the exit code is to say.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        let sum = self.errors.sum();
        let first =
            self.samples.first().map(|sample| format!("; the first was: {sample}")).unwrap_or_default();
        if self.requests == 0 {
            return Err(Failure::Run(format!("nothing was measured: {sum} requests failed{first}")));
        }
        if sum > 0 {
            return Err(Failure::Run(format!("{sum} of {} requests failed{first}", sum + self.requests)));
        }
        match self.intended_rate {
            Some(intended) if !self.reached => Err(Failure::Short(format!(
                "{:.1} of {intended} requests/s were answered: {}",
                self.rate,
                if self.busy > BUSY_MAX {
                    "the generator was the bottleneck; give it more --lanes or another core"
                } else if self.waited > 0 {
                    "the target did not keep up, or --connections is too low"
                } else {
                    "the target did not keep up"
                }
            ))),
            _ => Ok(()),
        }
    }

    /// What the lanes were to do, in a line.
    fn says_what(&self) -> String {
        let pipeline =
            if self.pipeline > 1 { format!(", {} requests on each", self.pipeline) } else { String::new() };
        let loops = match self.intended_rate {
            Some(rate) => {
                format!("Open loop, {rate} requests/s, at most {} connections{pipeline}", self.connections)
            }
            None => format!("Closed loop, {} connections{pipeline}", self.connections),
        };
        format!("{loops}; measured for {:.1} s after {:.1} s of warm-up", self.duration_s, self.warm_up_s)
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}\n{}\n", self.urls.join("\n"), self.says_what());
        let mib = self.bytes as f64 / f64::from(1 << 20) / self.duration_s.max(1e-9);
        let intended = self.intended_rate.map(|rate| format!(" of {rate}/s")).unwrap_or_default();
        let _ = writeln!(text, "requests   {} ({:.1}/s{intended}), {mib:.1} MiB/s", self.requests, self.rate);
        let kinds: Vec<String> =
            self.errors.all().iter().map(|(name, count)| format!("{name} {count}")).collect();
        let _ = writeln!(text, "errors     {} ({})", self.errors.sum(), kinds.join(", "));
        for sample in &self.samples {
            let _ = writeln!(text, "           first: {sample}");
        }
        let names = ["p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"];
        let _ = writeln!(text, "\nlatency    {}", names.map(|name| format!("{name:>9}")).join(" "));
        let mut row = |name: &str, latency: &Latency| {
            let _ = writeln!(
                text,
                "{name:<10} {}",
                latency.values().map(|value| format!("{:>9}", say_micros(value))).join(" ")
            );
        };
        if self.intended_rate.is_some() {
            row("since due", &self.latency_us);
            row("since sent", &self.uncorrected_latency_us);
        } else {
            row("since sent", &self.latency_us);
        }
        if let Some(lateness) = &self.lateness_us {
            row("sent late", lateness);
        }
        let cpu = &self.cpu_s;
        let _ = writeln!(
            text,
            "\ngenerator  busy {:.0} %, {:.2} s user, {:.2} s system",
            self.busy * 100.0,
            cpu.user,
            cpu.system
        );
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("numbers and strings are JSON");
        text.push('\n');
        text
    }

    /// A page with plots.
    pub(crate) fn html(&self) -> String {
        let mut page = Page::new(&format!("Load on {}", self.urls.join(", ")));
        page.paragraph(&format!("{}.", self.says_what()));
        let row = |name: &str, latency: &Latency| {
            let mut row = vec![name.to_owned()];
            row.extend(latency.values().map(say_micros));
            row
        };
        page.table(
            &["", "requests", "per second", "errors", "generator busy"],
            &[vec![
                "total".to_owned(),
                self.requests.to_string(),
                format!("{:.1}", self.rate),
                self.errors.sum().to_string(),
                format!("{:.0} %", self.busy * 100.0),
            ]],
        );
        let mut rows = vec![row("since sent", &self.uncorrected_latency_us)];
        if self.intended_rate.is_some() {
            rows.insert(0, row("since due", &self.latency_us));
        }
        page.table(&["latency", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"], &rows);
        for says in &self.warnings {
            page.paragraph(&format!("Warning: {says}."));
        }
        for says in &self.samples {
            page.paragraph(&format!("First of its kind: {says}."));
        }
        page.heading("Latency by percentile");
        page.chart(&self.latency_chart());
        page.heading("Over time");
        for chart in self.course_charts() {
            page.chart(&chart);
        }
        page.finish()
    }

    fn latency_chart(&self) -> Chart {
        let line = |name: &str, histogram: &Histogram<u64>| Series {
            name: name.to_owned(),
            points: histogram
                .iter_quantiles(5)
                .map(|step| (step.quantile_iterated_to() * 100.0, step.value_iterated_to() as f64 / 1e3))
                .filter(|(percentile, _)| *percentile < 100.0)
                .collect(),
        };
        let mut series = vec![line("since the request was sent", &self.histograms.1)];
        if self.intended_rate.is_some() {
            series.insert(0, line("since the request was due", &self.histograms.0));
        }
        Chart {
            title: "The share of requests that took at most so long".to_owned(),
            x: Axis { label: "percentile".to_owned(), scale: Scale::Percentile },
            y: Axis { label: "latency, µs".to_owned(), scale: Scale::Log },
            series,
        }
    }

    fn course_charts(&self) -> Vec<Chart> {
        let each = self.course_step_s as f64;
        // The last part is as long as the run was; a few late answers make no part of their own.
        let covers = |second: &Second| (self.duration_s - second.at_s).clamp(each * SHOWN_MIN, each);
        let is_shown = |second: &&Second| {
            second.at_s == 0.0 || second.errors > 0 || self.duration_s - second.at_s >= each * SHOWN_MIN
        };
        let line = |name: &str, value: &dyn Fn(&Second) -> f64| Series {
            name: name.to_owned(),
            points: self.course.iter().filter(is_shown).map(|second| (second.at_s, value(second))).collect(),
        };
        let chart = |title: &str, label: &str, scale, series| Chart {
            title: title.to_owned(),
            x: Axis { label: "seconds".to_owned(), scale: Scale::Linear },
            y: Axis { label: label.to_owned(), scale },
            series,
        };
        vec![
            chart(
                "Throughput and errors",
                "per second",
                Scale::Linear,
                vec![
                    line("answers", &|second| second.requests as f64 / covers(second)),
                    line("errors", &|second| second.errors as f64 / covers(second)),
                ],
            ),
            chart(
                "Latency",
                "µs",
                Scale::Log,
                vec![line("mean", &|second| second.mean_us), line("worst", &|second| second.max_us)],
            ),
        ]
    }

    /// Writes the latencies in HdrHistogram's own format.
    pub(crate) fn write_hdr(&self, path: &Path) -> Result<(), Failure> {
        let mut file = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let written = IntervalLogWriterBuilder::new()
            .add_comment("latencies since requests were due, in nanoseconds, by corelane-bench")
            .begin_log_with(&mut file, &mut serializer)
            .map_err(|error| error.to_string())
            .and_then(|mut log| {
                let length = Duration::from_secs_f64(self.duration_s);
                log.write_histogram(&self.histograms.0, Duration::ZERO, length, None)
                    .map_err(|error| format!("{error:?}"))
            });
        written.map_err(|error| Failure::Run(format!("cannot write {}: {error}", path.display())))?;
        write(path, &file)
    }
}

/// Answers per second: what came in the time in which requests were due. The last answers come later, however slow or fast
/// the target is, and answers to the warm-up's last requests make up for them.
fn achieved(plan: &Plan, tally: &Tally, seconds: f64, interrupted: bool) -> f64 {
    let whole = tally.corrected.len() as f64 / seconds;
    match plan.duration {
        Some(duration) if !interrupted => whole.max(tally.in_time as f64 / duration.as_secs_f64()),
        _ => whole,
    }
}

/// Whether an open loop was as it was to be: what was due was sent in time, and answered at the rate at which it was sent.
fn reached(plan: &Plan, tally: &Tally) -> bool {
    let Some(rate) = plan.rate else { return true };
    let window = plan.window().map_or(0.0, |window| window.as_secs_f64());
    // A request may stand on either side of each end, a moment's delay at the end is none of the rate, and random arrivals
    // are not exactly as many as they are on average.
    let chance = if plan.arrivals == Arrivals::Poisson { 3.0 * (rate * window).sqrt() } else { 0.0 };
    let slack = (plan.lanes * plan.groups.len()) as f64 + rate * END_BLUR_SECONDS + chance;
    let reaches = |count: u64, seconds: f64| count as f64 + slack >= RATE_REACHED * rate * seconds;
    // Answers come as much later as they take.
    let takes = tally.uncorrected.value_at_quantile(0.5) as f64 / 1e9;
    let answered = tally.in_time + tally.faults_in_time;
    tally.unsent == 0 && reaches(tally.sent_in_time, window) && reaches(answered, window - takes)
}

/// Makes sure that a file can be written, and leaves what it has: there may be no report to replace it.
pub(crate) fn try_to_write(path: &Path) -> Result<(), Failure> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|error| Failure::Run(format!("cannot write {}: {error}", path.display())))
}

/// Writes a file.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, content)
        .map_err(|error| Failure::Run(format!("cannot write {}: {error}", path.display())))
}
