//! `corelane-bench load`: sends requests and measures what comes back.
//!
//! | module | what it is for |
//! |---|---|
//! | `args` | the command line, and the plan that it asks for |
//! | `plan`, `target` | what is to be measured; what is requested, as bytes |
//! | `arrivals` | when requests are due |
//! | `lanes`, `worker` | the threads that send, and a lane's part in it |
//! | `connection`, `speech` | one connection, and what is said on it |
//! | `tally`, `report` | what is counted, and what is said of it |

mod args;
mod arrivals;
mod connection;
mod lanes;
mod plan;
mod report;
mod speech;
mod tally;
mod target;
mod worker;

pub(crate) use args::Args;

use crate::{clock, failure::Failure, interrupt, print};
use lanes::{Measured, Running};
use plan::Plan;
use report::Report;
use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How often the line of progress is written anew.
const PROGRESS: Duration = Duration::from_millis(250);
/// How often it is looked whether the lanes have ended.
const LOOK: Duration = Duration::from_millis(20);

/// Measures, and says what was found.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // A file that cannot be written is said before the time has been spent.
    for (flag, path) in [("--html", &args.html), ("--hdr", &args.hdr)] {
        if path.as_deref().is_some_and(is_stdout) {
            return Err(Failure::Usage(format!("{flag} is to name a file; only --json can be -")));
        }
    }
    for path in [&args.json, &args.html, &args.hdr].into_iter().flatten().filter(|path| !is_stdout(path)) {
        report::try_to_write(path)?;
    }
    let plan = Arc::new(args.plan()?);
    let stop = interrupt::flag()?;
    let report = measure(&plan, &stop)?;
    match &args.json {
        Some(path) if is_stdout(path) => print(&report.json())?,
        Some(path) => report::write(path, report.json().as_bytes())?,
        None => {}
    }
    if !args.json.as_deref().is_some_and(is_stdout) {
        print(&report.text())?;
    }
    if let Some(path) = &args.html {
        report::write(path, report.html().as_bytes())?;
    }
    if let Some(path) = &args.hdr {
        report.write_hdr(path)?;
    }
    report.verdict()
}

fn is_stdout(path: impl AsRef<Path>) -> bool {
    path.as_ref() == Path::new("-")
}

/// Runs all lanes to their end.
fn measure(plan: &Arc<Plan>, stop: &Arc<AtomicBool>) -> Result<Report, Failure> {
    let lanes = Running::start(plan, stop)?;
    let mut line = Line::new(plan);
    let mut cpu = None;
    while !lanes.iter().all(Running::is_over) {
        clock::pause(LOOK);
        let measuring = lanes.iter().all(|lane| lane.progress.measuring.load(Ordering::Relaxed) == 1);
        if measuring && cpu.is_none() {
            cpu = Some(clock::process_cpu());
        }
        line.show(&lanes, measuring);
    }
    line.clear();
    let (user, system) = clock::process_cpu();
    let (user_before, system_before) = cpu.unwrap_or_default();
    let cpu = (user.saturating_sub(user_before), system.saturating_sub(system_before));
    let measured = lanes.into_iter().map(Running::join).collect::<Result<Vec<Measured>, _>>()?;
    Ok(Report::new(plan, &measured, cpu, stop.load(Ordering::Relaxed)))
}

/// The line of progress on a terminal.
struct Line {
    shown: bool,
    began: Duration,
    last: Duration,
    answered: u64,
    latency_nanos: u64,
    total: String,
}

impl Line {
    fn new(plan: &Plan) -> Self {
        let total = match (plan.duration, plan.requests) {
            (Some(duration), _) => format!("{:.0} s", (plan.warm_up + duration).as_secs_f64()),
            (None, requests) => format!("{} requests", requests.unwrap_or(0)),
        };
        let now = clock::monotonic();
        Self {
            shown: io::stderr().is_terminal(),
            began: now,
            last: now,
            answered: 0,
            latency_nanos: 0,
            total,
        }
    }

    fn show(&mut self, lanes: &[Running], measuring: bool) {
        let now = clock::monotonic();
        if !self.shown || now - self.last < PROGRESS {
            return;
        }
        let sum = |cell: fn(&tally::Progress) -> &std::sync::atomic::AtomicU64| -> u64 {
            lanes.iter().map(|lane| cell(&lane.progress).load(Ordering::Relaxed)).sum()
        };
        let (answered, faults) = (sum(|progress| &progress.answered), sum(|progress| &progress.faults));
        let latency_nanos = sum(|progress| &progress.latency_nanos);
        let (more, took) = (answered - self.answered, latency_nanos - self.latency_nanos);
        let rate = more as f64 / (now - self.last).as_secs_f64();
        let mean = if more > 0 { took as f64 / more as f64 / 1e3 } else { 0.0 };
        let phase = if measuring { "" } else { " (warming up)" };
        let _ = write!(
            io::stderr(),
            "\r\x1b[K{:.0} s of {}{phase}: {answered} answers, {rate:.0}/s, mean {}, {faults} errors",
            (now - self.began).as_secs_f64(),
            self.total,
            crate::units::say_micros(mean),
        );
        (self.last, self.answered, self.latency_nanos) = (now, answered, latency_nanos);
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
