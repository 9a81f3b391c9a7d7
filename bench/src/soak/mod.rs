//! `corelane-bench soak`: a long run among dying origins, hostile clients and reloads, which ends where it began.

mod blame;
mod hostile;
mod load;
mod verdict;
mod watch;
mod world;

use crate::{
    clock::{monotonic, pause},
    failure::Failure,
    interrupt, print, units,
};
use blame::Outages;
use hostile::KINDS;
use load::{Round, Total};
use rand::{RngExt, rngs::SmallRng};
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    fmt::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};
use verdict::Finding;
use watch::Sample;
use world::World;

/// How often it is looked what is due.
const TICK: Duration = Duration::from_millis(50);
/// How long everything may take to come to rest: more than any timeout of the configuration.
const REST_MAX: Duration = Duration::from_secs(120);
/// Behind that, how long memory that is free is waited for to be given back.
const GIVE_BACK: Duration = Duration::from_secs(3);
/// Hostile clients at a time.
const HOSTILE_MAX: usize = 256;
const HOSTILE_STACK_BYTES: usize = 256 << 10;
/// A round of load.
const ROUND: Duration = Duration::from_secs(60);
/// Broken promises that are told in full.
const TOLD_MAX: usize = 20;

/// Runs corelane for long among all that can happen to it, and says whether it ends where it began.
///
/// It starts an origin that lives and two that are killed, or hang, and come back; corelane before them; a mix of load
/// (small, large, chunked, uploads, WebSocket, a connection for each request); hostile clients; and reloads of good and
/// of bad configurations. It fails when a request fails that no origin is to blame for, when a hostile client gets what
/// it must not, and when descriptors, tasks, deadlines, buffers or memory are not back in the end.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long, in minutes
    #[arg(long, default_value_t = 60.0, value_name = "N")]
    minutes: f64,
    /// Requests per second
    #[arg(long, default_value = "400", value_parser = units::rate)]
    rate: f64,
    /// Hostile clients, as a part of the requests
    #[arg(long, default_value = "1%", value_name = "PART", value_parser = units::part)]
    hostile: f64,
    /// Lanes of the proxy
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    lanes: u16,
    /// How often the configuration is reloaded
    #[arg(long, default_value = "5s", value_parser = units::duration)]
    reload_every: Duration,
    /// How often an origin dies, or hangs
    #[arg(long, default_value = "15s", value_parser = units::duration)]
    kill_every: Duration,
    /// How often the proxy is looked at
    #[arg(long, default_value = "2s", value_parser = units::duration)]
    look_every: Duration,
    /// Where what was seen is written, a line for each look
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Where configurations and logs are kept, an access log among them [nowhere]
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
    /// The proxy [the one beside this program]
    #[arg(long, value_name = "PROGRAM")]
    corelane: Option<PathBuf>,
}

/// A soak that runs.
struct Soak<'a> {
    args: &'a Args,
    world: World,
    rng: SmallRng,
    began: Duration,
    samples: Vec<Sample>,
    totals: BTreeMap<&'static str, Total>,
    outages: Outages,
    /// Who is down: which origin, its outage, until when, and whether it only hangs.
    down: Vec<(usize, usize, Duration, bool)>,
    reloads: (u64, u64),
    hostile: Hostile,
    /// What the proxy is to blame for.
    broken: Vec<String>,
    /// How many of them have been told.
    told: usize,
}

struct Hostile {
    sender: Sender<(usize, Result<(), String>)>,
    ended: Receiver<(usize, Result<(), String>)>,
    running: usize,
    counts: [u64; KINDS.len()],
    /// Those that would have been too many at a time.
    skipped: u64,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if !(args.minutes > 0.0 && args.minutes <= 7.0 * 24.0 * 60.0) {
        return Err(Failure::Usage("--minutes is more than 0 and at most a week".to_owned()));
    }
    let beside = std::fs::read_link("/proc/self/exe").map(|own| own.with_file_name("corelane"));
    let corelane = match (&args.corelane, beside) {
        (Some(corelane), _) => std::path::absolute(corelane).unwrap_or_else(|_| corelane.clone()),
        (None, Ok(beside)) => beside,
        (None, Err(_)) => return Err(Failure::Usage("say with --corelane where the proxy is".to_owned())),
    };
    let _ = corelane_engine::raise_descriptor_limit();
    let stop = interrupt::flag()?;
    let (sender, ended) = channel();
    let mut soak = Soak {
        args,
        world: World::start(&corelane, args.lanes, args.keep.as_deref())?,
        rng: rand::make_rng(),
        began: monotonic(),
        samples: Vec::new(),
        totals: BTreeMap::new(),
        outages: Outages::default(),
        down: Vec::new(),
        reloads: (0, 0),
        hostile: Hostile { sender, ended, running: 0, counts: [0; KINDS.len()], skipped: 0 },
        broken: Vec::new(),
        told: 0,
    };
    let length = Duration::from_secs_f64(args.minutes * 60.0);
    // What is allocated once is allocated in a first part, which counts for no comparison.
    soak.run(ROUND.min(length / 3), &stop)?;
    let before = soak.rest(&stop)?;
    soak.say(&format!("baseline: {}", before.says()));
    soak.samples.clear();
    soak.run(length, &stop)?;
    let after = soak.rest(&stop)?;
    soak.say(&format!("in the end: {}", after.says()));
    if let Some(csv) = &args.csv {
        watch::write_csv(csv, &soak.samples)
            .map_err(|error| Failure::Run(format!("cannot write {}: {error}", csv.display())))?;
    }
    soak.verdict(&before, &after)
}

impl Soak<'_> {
    /// Everything at once, for so long.
    fn run(&mut self, length: Duration, stop: &Arc<AtomicBool>) -> Result<(), Failure> {
        let (began, end) = (monotonic(), monotonic() + length);
        let mut round = Round::start(&self.world, self.args.rate, ROUND.min(length))?;
        let (mut reload, mut kill, mut look) =
            (began + self.args.reload_every, began + self.args.kill_every / 3, began);
        let mut hostile_due = 0.0;
        loop {
            let now = monotonic();
            if stop.load(Ordering::Relaxed) {
                return Err(Failure::Short("it was interrupted; there is no verdict".to_owned()));
            }
            if let Some(code) = self.world.proxy.ended() {
                return Err(Failure::Run(format!(
                    "the proxy ended with {code}; it said:\n{}",
                    self.world.said()
                )));
            }
            self.hear_hostile();
            self.revive(now)?;
            if round.has_ended() {
                let says = round.account(self.began, &self.outages, &mut self.totals);
                self.broken.extend(says);
                self.tell_round();
                let left = end.saturating_sub(monotonic());
                // A round that is not worth it is not begun.
                if left < TICK * 20 {
                    break;
                }
                round = Round::start(&self.world, self.args.rate, ROUND.min(left))?;
            }
            if now < end {
                hostile_due += self.args.rate * self.args.hostile * TICK.as_secs_f64();
                while hostile_due >= 1.0 {
                    hostile_due -= 1.0;
                    self.send_hostile();
                }
                if now >= reload {
                    reload = now + self.args.reload_every;
                    self.reload();
                }
                if now >= kill {
                    kill = now + self.args.kill_every;
                    self.strike(now);
                }
            }
            if now >= look {
                look = now + self.args.look_every;
                self.samples.push(Sample::look(&self.world, now - self.began)?);
            }
            pause(TICK);
        }
        self.revive(Duration::MAX)
    }

    /// One of two reloads is good.
    fn reload(&mut self) {
        let good = (self.reloads.0 + self.reloads.1).is_multiple_of(2);
        if good {
            self.reloads.0 += 1
        } else {
            self.reloads.1 += 1
        }
        if let Err(says) = self.world.reload(good) {
            self.broken.push(says);
        }
    }

    /// An origin dies, or hangs; now and then both.
    fn strike(&mut self, now: Duration) {
        let hangs = self.rng.random_bool(0.3);
        let both = self.rng.random_bool(0.2);
        let first = self.rng.random_range(0..2);
        let which: &[usize] = if both { &[0, 1] } else { &[first] };
        for &which in which {
            if self.down.iter().any(|down| down.0 == which) {
                continue;
            }
            let until = now + Duration::from_millis(self.rng.random_range(500..3000));
            let outage = self.outages.begin(now);
            if hangs {
                if let Some(origin) = self.world.dying(which) {
                    origin.signal(Signal::STOP);
                }
            } else {
                self.world.kill(which);
            }
            self.down.push((which, outage, until, hangs));
        }
    }

    /// Those whose time has come are there again.
    fn revive(&mut self, now: Duration) -> Result<(), Failure> {
        while let Some(at) = self.down.iter().position(|down| down.2 <= now) {
            let (which, outage, _, hangs) = self.down.swap_remove(at);
            match self.world.dying(which) {
                Some(origin) if hangs => origin.signal(Signal::CONT),
                _ => self.world.revive(which)?,
            }
            self.outages.end(outage, monotonic());
        }
        Ok(())
    }

    fn send_hostile(&mut self) {
        if self.hostile.running >= HOSTILE_MAX {
            self.hostile.skipped += 1;
            return;
        }
        let (kind, port) = (self.rng.random_range(0..KINDS.len()), self.world.ports.stable);
        let sender = self.hostile.sender.clone();
        let started = thread::Builder::new().stack_size(HOSTILE_STACK_BYTES).spawn(move || {
            // Nobody listens any more when the soak is over.
            let _ = sender.send((kind, hostile::act(&KINDS[kind], port)));
        });
        match started {
            Ok(_) => self.hostile.running += 1,
            Err(_) => self.hostile.skipped += 1,
        }
    }

    fn hear_hostile(&mut self) {
        while let Ok((kind, outcome)) = self.hostile.ended.try_recv() {
            self.hostile.running -= 1;
            self.hostile.counts[kind] += 1;
            if let Err(says) = outcome {
                self.broken.push(format!("a hostile client ({}) expected {says}", KINDS[kind].name));
            }
        }
    }

    /// Waits until nobody is connected, nothing is due, and free memory is given back.
    fn rest(&mut self, stop: &Arc<AtomicBool>) -> Result<Sample, Failure> {
        let until = monotonic() + REST_MAX;
        loop {
            self.hear_hostile();
            let sample = Sample::look(&self.world, monotonic() - self.began)?;
            if self.hostile.running == 0 && sample.is_at_rest() {
                pause(GIVE_BACK);
                return Sample::look(&self.world, monotonic() - self.began);
            }
            if monotonic() > until || stop.load(Ordering::Relaxed) {
                let hostile = self.hostile.running;
                return Err(Failure::Run(format!(
                    "it does not come to rest within {REST_MAX:?} of the load's end: {}, {hostile} hostile clients; the \
                     proxy said:\n{}",
                    sample.says(),
                    tail(&self.world.said())
                )));
            }
            pause(TICK * 5);
        }
    }

    fn tell_round(&mut self) {
        for broken in &self.broken[self.told..] {
            self.say(&format!("a promise was broken: {broken}"));
        }
        self.told = self.broken.len();
        let sum = |of: fn(&Total) -> u64| self.totals.values().map(of).sum::<u64>();
        let memory = self.samples.last().map_or(0, |sample| sample.resident_bytes >> 10);
        self.say(&format!(
            "{} requests answered, {} failed by dead origins, {} by the proxy; {} hostile clients, {} broken promises, {} \
             reloads, {} outages, {memory} KiB",
            sum(|total| total.requests),
            sum(|total| total.excused),
            sum(|total| total.blamed),
            self.hostile.counts.iter().sum::<u64>(),
            self.broken.len(),
            self.reloads.0 + self.reloads.1,
            self.outages.count(),
        ));
    }

    fn say(&self, text: &str) {
        eprintln!("{:6.0} s: {text}", (monotonic() - self.began).as_secs_f64());
    }

    /// Ends the proxy, and says how all of it went.
    fn verdict(&mut self, before: &Sample, after: &Sample) -> Result<(), Failure> {
        let mut findings = verdict::rest(before, after);
        findings.push(verdict::growth(&self.samples));
        let blamed: u64 = self.totals.values().map(|total| total.blamed).sum();
        findings.push(Finding::new("requests failed by the proxy", blamed == 0, blamed.to_string()));
        let promises = self.broken.len();
        findings.push(Finding::new("promises broken", promises == 0, promises.to_string()));
        for name in ["panics_total", "engine_panics_total"] {
            findings.push(Finding::new(name, after.value(name) == 0, after.value(name).to_string()));
        }
        let code = self.world.proxy.stop();
        let says = code.map_or("it does not end".to_owned(), |code| format!("exit code {code}"));
        findings.push(Finding::new("TERM", code == Some(0), says));
        print(&self.report(&findings, after))?;
        let bad: Vec<&str> =
            findings.iter().filter(|finding| !finding.good).map(|finding| finding.what.as_str()).collect();
        if bad.is_empty() {
            return print("\nverdict: pass\n");
        }
        Err(Failure::Run(format!("not as it must be: {}", bad.join(", "))))
    }

    fn report(&self, findings: &[Finding], after: &Sample) -> String {
        let mut text = String::from(
            "| load | answered | failed, an origin being down | failed by the proxy | errors |\n",
        );
        text.push_str("| --- | ---: | ---: | ---: | --- |\n");
        for (name, Total { requests, errors, excused, blamed }) in &self.totals {
            let errors: Vec<String> = errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            let _ = writeln!(text, "| {name} | {requests} | {excused} | {blamed} | {} |", errors.join(", "));
        }
        text.push_str("\n| hostile client | times |\n| --- | ---: |\n");
        for (kind, count) in KINDS.iter().zip(self.hostile.counts) {
            let _ = writeln!(text, "| {} | {count} |", kind.name);
        }
        let _ = writeln!(
            text,
            "\n{} good reloads, {} bad ones, {} outages of origins, {} hostile clients left out; the proxy has counted {} \
             requests, {} retries, {} connections.\n",
            self.reloads.0,
            self.reloads.1,
            self.outages.count(),
            self.hostile.skipped,
            after.value("requests_total"),
            after.value("retries_total"),
            after.value("connections_total"),
        );
        text.push_str("| what | how it is | |\n| --- | --- | --- |\n");
        for Finding { what, says, good } in findings {
            let _ = writeln!(text, "| {what} | {says} | {} |", if *good { "good" } else { "BAD" });
        }
        for broken in self.broken.iter().take(TOLD_MAX) {
            let _ = writeln!(text, "- {broken}");
        }
        if self.broken.len() > TOLD_MAX {
            let _ = writeln!(text, "- and {} more", self.broken.len() - TOLD_MAX);
        }
        text
    }
}

/// The last lines of a log.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
