//! The load of one round: `corelane-bench load` as a child, and its report.

use super::{
    Trouble,
    scenario::{Scenario, Shape},
    stage::Stage,
};
use crate::clock::monotonic;
use serde::{Deserialize, Serialize};
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// Longer than it was told to run, for connecting and for writing the report.
const OVERTIME_MAX: Duration = Duration::from_secs(30);

/// What the load reports. `requests` are the answers that were as expected.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Report {
    pub(super) requests: u64,
    pub(super) errors: Errors,
    pub(super) rate: f64,
    pub(super) duration_s: f64,
    pub(super) latency_us: Latency,
    /// The part of the time in which the load was running, from 0 to 1.
    #[serde(default)]
    pub(super) busy: f64,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
pub(super) struct Errors {
    pub(super) connect: u64,
    pub(super) reset: u64,
    pub(super) timeout: u64,
    pub(super) status: u64,
    pub(super) body: u64,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p99_9: f64,
    pub(super) max: f64,
    pub(super) mean: f64,
}

impl Errors {
    /// All kinds that happened, or `None`.
    pub(super) fn say(&self) -> Option<String> {
        let kinds = [
            (self.connect, "connections failed"),
            (self.reset, "connections were reset"),
            (self.timeout, "requests timed out"),
            (self.status, "answers had another status"),
            (self.body, "answers had another content"),
        ];
        let said: Vec<_> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if said.is_empty() { None } else { Some(said.join(", ")) }
    }
}

/// Where the load goes, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) scenario: Scenario,
    pub(super) shape: Shape,
    pub(super) seconds: u32,
}

impl Load {
    /// Its command line, without the program.
    pub(super) fn line(&self, port: u16) -> Vec<String> {
        let Self { scenario, shape, seconds } = *self;
        let url = format!("http://127.0.0.1:{port}{}", scenario.target());
        let mut line = vec!["load".to_owned(), url];
        line.extend(scenario.load_arguments(shape));
        // All answers count, the first ones too: the proxy's account has them as well.
        line.extend(["--duration".to_owned(), format!("{seconds}s"), "--warmup".to_owned(), "0s".to_owned()]);
        line.extend(["--json", "-"].map(str::to_owned));
        line
    }

    /// Loads `port` and gives the report; errors that it counts are in it.
    pub(super) fn run(&self, stage: &Stage, port: u16) -> Result<Report, Trouble> {
        self.run_under(stage, port, &[])
    }

    /// The same, started by another program, whose command line comes first.
    pub(super) fn run_under(&self, stage: &Stage, port: u16, under: &[OsString]) -> Result<Report, Trouble> {
        let mut argv = under.to_vec();
        argv.push(stage.own.clone().into_os_string());
        argv.extend(self.line(port).into_iter().map(OsString::from));
        let mut load = stage.start("load", &argv, stage.plan.load)?;
        let until = monotonic() + Duration::from_secs(self.seconds.into()) + OVERTIME_MAX;
        let status = loop {
            if let Some(status) = load.ended() {
                break status;
            }
            if monotonic() > until {
                return Err(Trouble::Said(format!("the load does not end; it said:\n{}", load.tail())));
            }
            stage.look_again()?;
        };
        // With errors it ends with 1, and with 3 if it was itself the bottleneck; its report says so.
        serde_json::from_str(&load.output()).map_err(|error| {
            Trouble::Said(format!("the load gives no report ({status}; {error}); it said:\n{}", load.tail()))
        })
    }
}

/// `perf stat` around the load, to count a proxy's system calls.
#[derive(Debug, Clone)]
pub(super) struct Tracer {
    perf: PathBuf,
}

/// What `perf` counts: every system call as it begins.
const TRACEPOINT: &str = "raw_syscalls:sys_enter";

impl Tracer {
    /// A tracer, or why this kernel does not let us count.
    pub(super) fn find(stage: &Stage) -> Result<Self, String> {
        let perf = stage
            .programs
            .find("perf")
            .ok_or("perf is not installed (Debian: apt-get install linux-perf)")?;
        let tracer = Self { perf };
        let argv = ["stat", "-x,", "-e", TRACEPOINT, "--", "true"].map(OsString::from);
        let argv: Vec<_> = std::iter::once(tracer.perf.clone().into_os_string()).chain(argv).collect();
        let mut perf = stage.start("perf", &argv, stage.plan.load).map_err(|trouble| trouble.say())?;
        while perf.is_alive() {
            stage.look_again().map_err(|trouble| trouble.say())?;
        }
        match count(&perf.tail()) {
            Some(_) => Ok(tracer),
            None => Err(format!(
                "the kernel does not let perf count {TRACEPOINT} (it takes root, or perf_event_paranoid at -1 \
                 and a readable tracefs)"
            )),
        }
    }

    /// Loads `port` and gives the number of system calls per request of `pids`.
    pub(super) fn syscalls(
        &self,
        stage: &Stage,
        load: &Load,
        port: u16,
        pids: &[u32],
    ) -> Result<Option<f64>, Trouble> {
        let file = stage.directory.join("perf.csv");
        let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
        let mut under: Vec<OsString> = vec![self.perf.clone().into(), "stat".into(), "-o".into()];
        under.push(file.clone().into());
        under.extend(["-x,", "-e", TRACEPOINT, "-p", &pids.join(","), "--"].map(OsString::from));
        let report = load.run_under(stage, port, &under)?;
        let counted = std::fs::read_to_string(file).ok().and_then(|text| count(&text));
        Ok(counted.filter(|_| report.requests > 0).map(|count| count as f64 / report.requests as f64))
    }
}

/// The count in the comma-separated output of `perf stat -x,`.
fn count(text: &str) -> Option<u64> {
    text.lines().find(|line| line.contains(TRACEPOINT))?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"requests": 12, "errors": {"connect":0,"reset":2,"timeout":0,"status":1,"body":0},
        "rate": 1234.5, "intended_rate": null, "duration_s": 1.0, "connections": 64, "bytes": 123456,
        "latency_us": {"p50":1,"p90":2,"p99":3.5,"p99_9":4,"p99_99":5,"max":6,"mean":1.5},
        "uncorrected_latency_us": {"p50":1,"p90":2,"p99":3.5,"p99_9":4,"p99_99":5,"max":6,"mean":1.5},
        "cpu_s": {"user":0.1,"system":0.2}, "busy": 0.99, "warnings": ["the generator was the bottleneck"]}"#;

    #[test]
    fn a_report_is_read() {
        let report: Report = serde_json::from_str(REPORT).unwrap();
        assert_eq!((report.requests, report.rate, report.busy), (12, 1234.5, 0.99));
        assert_eq!(report.latency_us.p99, 3.5);
        assert_eq!(
            report.errors.say().as_deref(),
            Some("2 connections were reset, 1 answers had another status")
        );
        assert_eq!(Errors::default().say(), None);
    }

    #[test]
    fn the_load_is_told_what_to_check() {
        let scenario = Scenario::H1Noreuse;
        let load = Load { scenario, shape: scenario.shape(), seconds: 3 };
        assert_eq!(
            load.line(8080).join(" "),
            "load http://127.0.0.1:8080/ --connections 64 --new-connection --expect-status 200 --expect-size 128 \
             --duration 3s --warmup 0s --json -"
        );
    }

    #[test]
    fn what_perf_counts_is_read() {
        assert_eq!(count("# started\n\n29,,raw_syscalls:sys_enter,1949,100.00,,\n"), Some(29));
        assert_eq!(count("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
        assert_eq!(count("event syntax error: 'raw_syscalls:sys_enter'\n"), None);
        assert_eq!(count(""), None);
    }
}
