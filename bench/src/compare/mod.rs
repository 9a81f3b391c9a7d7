//! `compare`: proxies side by side, each doing the same work on a CPU of its own.
//!
//! | module | what it is for |
//! |---|---|
//! | `args` | the command line, and what it asks for |
//! | `plan` | which CPU does what |
//! | `subject` | who is compared, and the configurations that make the work equal |
//! | `scenario` | what is asked of them |
//! | `binaries` | where their programs are, and building those that are ours |
//! | `stage` | processes, which end with the tool |
//! | `server` | starting a subject and waiting until it serves |
//! | `wire` | single requests by hand |
//! | `inspect` | whether a proxy does the work that it is to be measured with |
//! | `load` | the load of a round, and counting system calls |
//! | `account` | the kernel's accounts: CPU time, switches, memory |
//! | `figures` | one round of one subject |
//! | `idle` | the memory of idle connections |
//! | `rounds` | a scenario: all subjects in turn, round after round |
//! | `statistics` | medians, ratios, and when a difference is one |
//! | `findings` | what may be said of all that |
//! | `machine` | what it was measured on |
//! | `tables`, `page` | the findings as Markdown and as HTML |

mod account;
mod args;
mod binaries;
mod figures;
mod findings;
mod idle;
mod inspect;
mod load;
mod machine;
mod page;
mod plan;
mod rounds;
mod scenario;
mod server;
mod stage;
mod statistics;
mod subject;
mod tables;
mod wire;

pub(crate) use args::Args;

use crate::failure::Failure;
use findings::{Findings, Scene};
use inspect::Inspector;
use load::Tracer;
use machine::Machine;
use plan::Plan;
use rounds::{Run, Wanted};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use scenario::{Scenario, Shape};
use server::Start;
use stage::{Programs, Stage};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};
use subject::{OTHER_DESCRIPTORS, Place, Subject};

/// Why it does not go on.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// Ctrl-C or TERM.
    Interrupted,
    /// A failure of whoever is being measured or started.
    Said(String),
    /// A failure after which nothing can be measured.
    Stuck(String),
}

impl Trouble {
    fn say(&self) -> String {
        match self {
            Self::Interrupted => "it was interrupted".to_owned(),
            Self::Said(says) | Self::Stuck(says) => says.clone(),
        }
    }
}

/// Compares, and prints the report of what was measured, whatever went wrong.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.baseline == Subject::Direct {
        return Err(Failure::Usage(
            "direct has no cost that others could be put in proportion to".to_owned(),
        ));
    }
    let mut comparison = Comparison::prepare(args).map_err(failure)?;
    let measured = comparison.measure(args);
    if !comparison.findings.scenarios.is_empty() {
        comparison.findings.report(args)?;
    }
    measured.map_err(failure)?;
    comparison.without_figures()
}

fn failure(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Interrupted => Failure::Short("interrupted; what is above was measured before".to_owned()),
        Trouble::Said(says) | Trouble::Stuck(says) => Failure::Run(says),
    }
}

/// Tells the user what is going on.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A comparison under way.
struct Comparison {
    stage: Stage,
    /// With their programs.
    subjects: BTreeMap<Subject, PathBuf>,
    scenarios: Vec<(Scenario, Shape)>,
    findings: Findings,
}

impl Comparison {
    /// Looks for all that is needed, and fails before anything is measured if something is not there.
    fn prepare(args: &Args) -> Result<Self, Trouble> {
        let plan = Plan::of_this_machine()?;
        let scenarios = args.shapes();
        allow_descriptors(&scenarios)?;
        let stage = Stage::new(plan, Programs::on(&args.search_path), args.keep.as_deref())?;
        let (asked, wanted) = args.subjects();
        let named = args.named();
        let checkout = if args.no_build { None } else { binaries::checkout() };
        let search = binaries::Search { programs: &stage.programs, named: &named, own: &stage.own, checkout };
        let found = search.find(&wanted)?;
        let mut notes = Vec::new();
        for (subject, reason) in found.missing {
            if asked.contains(&subject) || named.contains_key(&subject) {
                return Err(Trouble::Said(reason));
            }
            say(&format!("skipped: {reason}"));
            notes.push(format!("skipped: {reason}"));
        }
        let subjects = found.programs;
        let versions =
            subjects.iter().map(|(subject, path)| (*subject, machine::version(&stage, *subject, path)));
        let mut findings = Findings {
            command_line: args.say(),
            machine: Machine::this(),
            plan,
            baseline: args.baseline,
            rounds: args.rounds(),
            seconds: args.seconds(),
            notes,
            versions: versions.collect(),
            differences: BTreeMap::new(),
            configurations: BTreeMap::new(),
            scenarios: Vec::new(),
        };
        if cfg!(debug_assertions) {
            let note = "load and origin are built without optimisation, and are slow";
            say(note);
            findings.notes.push(note.to_owned());
        }
        say(&findings.plan.say());
        Ok(Self { stage, subjects, scenarios, findings })
    }

    fn measure(&mut self, args: &Args) -> Result<(), Trouble> {
        let refused = self.inspect()?;
        self.choose_baseline(args)?;
        let tracer = self.tracer()?;
        let wanted = Wanted { rounds: self.findings.rounds, seconds: self.findings.seconds };
        for (scenario, shape) in self.scenarios.clone() {
            let mut run = Run::new(scenario, shape);
            run.no_figure.clone_from(&refused);
            say(&format!("{scenario}: {}", scenario.say(shape)));
            let measured = run.measure(&self.stage, &self.subjects, wanted, tracer.as_ref());
            self.findings.scenarios.push(Scene::of(&run, self.findings.baseline));
            measured?;
        }
        Ok(())
    }

    /// Whoever does not do the same work is not measured; why, by subject.
    fn inspect(&mut self) -> Result<BTreeMap<Subject, String>, Trouble> {
        let failed = |error: io::Error| Trouble::Stuck(format!("cannot listen on 127.0.0.1: {error}"));
        let inspector = Inspector::start().map_err(failed)?;
        let mut refused = BTreeMap::new();
        for (&subject, program) in self.subjects.iter().filter(|(subject, _)| **subject != Subject::Direct) {
            let connections = self.scenarios.iter().map(|(_, shape)| shape.connections).max().unwrap_or(1);
            let start = Start { subject, program, origin: inspector.port, connections, answer_bytes: None };
            let place = |listen| Place { listen, origin: inspector.port, connections };
            let looked = start.start(&self.stage).and_then(|server| {
                self.findings
                    .configurations
                    .extend(subject.published(place(server.port)).map(|text| (subject, text)));
                inspector.inspect(subject, server.port).map_err(Trouble::Said)
            });
            match looked {
                Ok(differences) if differences.is_empty() => {}
                Ok(differences) => {
                    self.findings.differences.insert(subject, differences);
                }
                Err(Trouble::Said(reason)) => {
                    say(&format!("{subject}: no figure: {reason}"));
                    refused.insert(subject, reason);
                }
                Err(other) => return Err(other),
            }
        }
        self.subjects.retain(|subject, _| !refused.contains_key(subject));
        Ok(refused)
    }

    /// Without the baseline that was to be, another is better than none.
    fn choose_baseline(&mut self, args: &Args) -> Result<(), Trouble> {
        if self.subjects.contains_key(&args.baseline) && args.baseline != Subject::Direct {
            return Ok(());
        }
        let other = [Subject::Nginx, Subject::Floor, Subject::Corelane];
        let other = other.into_iter().chain(Subject::INSTALLED).find(|name| self.subjects.contains_key(name));
        let Some(other) = other.or_else(|| self.subjects.keys().next().copied()) else {
            return Err(Trouble::Stuck("there is nobody to measure".to_owned()));
        };
        let note = format!("{} is not measured, so {other} is the baseline", args.baseline);
        say(&note);
        self.findings.notes.push(note);
        self.findings.baseline = other;
        Ok(())
    }

    fn tracer(&mut self) -> Result<Option<Tracer>, Trouble> {
        let tracer = Tracer::find(&self.stage);
        // An interrupt must not pass for a missing perf.
        self.stage.wait(std::time::Duration::ZERO)?;
        match tracer {
            Ok(tracer) => Ok(Some(tracer)),
            Err(reason) => {
                self.findings.notes.push(format!("system calls are not counted: {reason}"));
                Ok(None)
            }
        }
    }

    /// Whoever has no figure makes the run a failure, once all is said.
    fn without_figures(&self) -> Result<(), Failure> {
        let mut failed = Vec::new();
        for scene in &self.findings.scenarios {
            for row in &scene.subjects {
                let reason = row.no_figure.as_ref().and_then(|reason| reason.lines().next());
                failed.extend(reason.map(|reason| format!("{}: {}: {reason}", scene.scenario, row.subject)));
            }
        }
        if failed.is_empty() {
            Ok(())
        } else {
            Err(Failure::Run(format!("no figure for {}", failed.join("; "))))
        }
    }
}

impl Findings {
    fn report(&self, args: &Args) -> Result<(), Failure> {
        let document = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::Run(format!("the report cannot be written as JSON: {error}")))?;
        let standard = Some(Path::new("-"));
        let write = |path: &Path, text: &str| {
            fs::write(path, text).map_err(|error| Failure::Run(format!("{}: {error}", path.display())))
        };
        if args.json.as_deref() == standard {
            crate::print(&(document + "\n"))?;
        } else {
            crate::print(&tables::markdown(self))?;
            if let Some(path) = &args.json {
                write(path, &(document + "\n"))?;
            }
        }
        if let Some(path) = &args.html {
            write(path, &page::html(self))?;
        }
        Ok(())
    }
}

/// Raises the soft limit of descriptors, which children inherit, to the hard one; fails if that is not enough.
fn allow_descriptors(scenarios: &[(Scenario, Shape)]) -> Result<(), Trouble> {
    let connections = scenarios.iter().map(|(_, shape)| shape.connections).max().unwrap_or(0);
    // A proxy may keep one of its own for each client's, and the floor does.
    let needed = 2 * u64::from(connections) + OTHER_DESCRIPTORS;
    let hard = getrlimit(Resource::Nofile).maximum;
    if let Some(hard) = hard.filter(|hard| *hard < needed) {
        return Err(Trouble::Said(format!(
            "{needed} descriptors per process are needed and the hard limit is {hard}: raise it (ulimit -Hn \
             {needed}) or ask for fewer --connections"
        )));
    }
    let limit = Rlimit { current: hard, maximum: hard };
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| Trouble::Said(format!("the limit of descriptors cannot be raised: {error}")))
}
