//! A scenario: all subjects measured in turn, round after round.

use super::{
    Trouble,
    figures::{self, Figures},
    idle,
    load::{Load, Tracer},
    scenario::{Scenario, Shape},
    server::{Server, Start, start_origin},
    stage::{Process, Stage, stop_all},
    subject::Subject,
};
use std::{collections::BTreeMap, path::PathBuf};

const WARM_UP_SECONDS: u32 = 1;
/// System calls are counted in a run of their own, because counting them costs CPU time.
const COUNT_SECONDS: u32 = 1;

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) rounds: u32,
    pub(super) seconds: u32,
}

/// A scenario with all that was measured of it so far.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) scenario: Scenario,
    pub(super) shape: Shape,
    /// By subject, in the order of the table.
    pub(super) rounds: Vec<BTreeMap<Subject, Figures>>,
    pub(super) syscalls: BTreeMap<Subject, f64>,
    /// Who has no figure, and why.
    pub(super) no_figure: BTreeMap<Subject, String>,
}

/// A scenario under way.
struct Course<'a> {
    stage: &'a Stage,
    load: Load,
    origin: Process,
    servers: BTreeMap<Subject, Server>,
}

impl Run {
    pub(super) fn new(scenario: Scenario, shape: Shape) -> Self {
        let (rounds, syscalls, no_figure) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { scenario, shape, rounds, syscalls, no_figure }
    }

    /// Measures `subjects`, each with its program. What was measured before an error stays.
    pub(super) fn measure(
        &mut self,
        stage: &Stage,
        subjects: &BTreeMap<Subject, PathBuf>,
        wanted: Wanted,
        tracer: Option<&Tracer>,
    ) -> Result<(), Trouble> {
        let (origin, port) = start_origin(stage, self.shape.answer_bytes)?;
        let load = Load { scenario: self.scenario, shape: self.shape, seconds: wanted.seconds };
        let mut course = Course { stage, load, origin, servers: BTreeMap::new() };
        let shape = self.shape;
        let start = |subject: Subject| Start {
            subject,
            program: &subjects[&subject],
            origin: port,
            connections: shape.connections,
            answer_bytes: Some(shape.answer_bytes),
        };
        let names: Vec<Subject> = subjects.keys().copied().collect();
        if self.scenario == Scenario::Idle {
            let starts: Vec<_> =
                names.iter().filter(|name| **name != Subject::Direct).map(|name| start(*name)).collect();
            return self.measure_idle(&mut course, &starts, wanted.rounds);
        }
        for name in &names {
            let server = start(*name).start(stage);
            if let Some(server) = self.unless_said(*name, server)? {
                course.servers.insert(*name, server);
            }
        }
        self.warm_up(&mut course)?;
        for number in 0..wanted.rounds {
            self.rounds.push(BTreeMap::new());
            for name in turn(&names, number) {
                self.measure_one(&mut course, name)?;
            }
            self.say_round(number + 1, wanted.rounds);
        }
        if let Some(tracer) = tracer {
            self.count_syscalls(&course, tracer)?;
        }
        stop_all(course.servers.into_values().filter_map(|server| server.process).collect());
        Ok(())
    }

    /// What a result is worth, or nothing if it was the subject's failure, which is noted.
    fn unless_said<T>(&mut self, subject: Subject, result: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Trouble::Said(reason)) => {
                super::say(&format!("{}: {subject}: no figure: {reason}", self.scenario));
                self.no_figure.insert(subject, reason);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    fn warm_up(&mut self, course: &mut Course<'_>) -> Result<(), Trouble> {
        let load = Load { seconds: WARM_UP_SECONDS, ..course.load };
        let names: Vec<_> = course.servers.keys().copied().collect();
        for name in names {
            let Some(server) = course.servers.get_mut(&name) else { continue };
            let figures = figures::measure(course.stage, &load, server);
            if self.unless_said(name, figures)?.is_none() {
                course.origin_lives()?;
                course.servers.remove(&name);
            }
        }
        Ok(())
    }

    /// One round of one subject; one that fails is measured no more.
    fn measure_one(&mut self, course: &mut Course<'_>, name: Subject) -> Result<(), Trouble> {
        let Some(server) = course.servers.get_mut(&name) else { return Ok(()) };
        let measured = figures::measure(course.stage, &course.load, server);
        match self.unless_said(name, measured)? {
            Some(figures) => self.note(name, figures),
            None => {
                course.origin_lives()?;
                course.servers.remove(&name);
            }
        }
        Ok(())
    }

    fn measure_idle(
        &mut self,
        course: &mut Course<'_>,
        starts: &[Start<'_>],
        rounds: u32,
    ) -> Result<(), Trouble> {
        let names: Vec<Subject> = starts.iter().map(|start| start.subject).collect();
        for number in 0..rounds {
            self.rounds.push(BTreeMap::new());
            for name in turn(&names, number) {
                let Some(start) = starts.iter().find(|start| start.subject == name) else { continue };
                if self.no_figure.contains_key(&name) {
                    continue;
                }
                // A new process each time: memory that it has had before it keeps.
                let measured = start.start(course.stage).and_then(|mut server| {
                    idle::measure(course.stage, &mut server, start.connections, self.shape.answer_bytes)
                });
                match self.unless_said(name, measured)? {
                    Some(figures) => self.note(name, figures),
                    None => course.origin_lives()?,
                }
            }
            self.say_round(number + 1, rounds);
        }
        Ok(())
    }

    fn count_syscalls(&mut self, course: &Course<'_>, tracer: &Tracer) -> Result<(), Trouble> {
        let load = Load { seconds: COUNT_SECONDS, ..course.load };
        for (name, server) in &course.servers {
            let Some(process) = &server.process else { continue };
            let pids = super::account::family(process.pid());
            match tracer.syscalls(course.stage, &load, server.port, &pids) {
                Ok(Some(count)) => {
                    self.syscalls.insert(*name, count);
                }
                Ok(None) => {}
                Err(Trouble::Said(reason)) => {
                    super::say(&format!("{name}: system calls are not counted: {reason}"));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    fn note(&mut self, name: Subject, figures: Figures) {
        if let Some(round) = self.rounds.last_mut() {
            round.insert(name, figures);
        }
    }

    fn say_round(&self, number: u32, of: u32) {
        let Some(round) = self.rounds.last() else { return };
        let said: Vec<_> = round
            .iter()
            .filter_map(|(name, figures)| Some(format!("{name} {:.2}", figures.cost()?)))
            .collect();
        let unit = if self.scenario == Scenario::Idle { "bytes" } else { "µs" };
        let per = self.scenario.unit();
        super::say(&format!("{}: round {number}/{of}, {unit} per {per}: {}", self.scenario, said.join(", ")));
    }

    /// Whoever has figures, or should have.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        let mut all: Vec<Subject> = self.rounds.iter().flat_map(|round| round.keys().copied()).collect();
        all.extend(self.no_figure.keys());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The figures of a subject, of each round in which it has some; none if it has failed.
    pub(super) fn figures(&self, subject: Subject) -> Vec<&Figures> {
        if self.no_figure.contains_key(&subject) {
            return Vec::new();
        }
        self.rounds.iter().filter_map(|round| round.get(&subject)).collect()
    }

    /// A subject's costs beside another's of the same round.
    pub(super) fn ratios(&self, subject: Subject, to: Subject) -> Vec<f64> {
        if self.no_figure.contains_key(&subject) || self.no_figure.contains_key(&to) {
            return Vec::new();
        }
        let ratio = |round: &BTreeMap<Subject, Figures>| {
            let (cost, to) = (round.get(&subject)?.cost()?, round.get(&to)?.cost()?);
            if to > 0.0 { Some(cost / to) } else { None }
        };
        self.rounds.iter().filter_map(ratio).collect()
    }
}

impl Course<'_> {
    /// A proxy is not to blame if its origin is gone.
    fn origin_lives(&mut self) -> Result<(), Trouble> {
        match self.origin.ended() {
            None => Ok(()),
            Some(status) => {
                Err(Trouble::Stuck(format!("the origin died ({status}); it said:\n{}", self.origin.tail())))
            }
        }
    }
}

/// The order of a round: each begins with the next subject.
fn turn(names: &[Subject], round: u32) -> Vec<Subject> {
    let mut turn = names.to_vec();
    if !turn.is_empty() {
        turn.rotate_left(round as usize % names.len());
    }
    turn
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::figures::{Cost, Loaded};
    use super::*;

    /// A run of `h1-small` whose costs in µs are given by round.
    pub(in super::super) fn run(rounds: &[&[(Subject, f64)]]) -> Run {
        let mut run = Run::new(Scenario::H1Small, Scenario::H1Small.shape());
        for round in rounds {
            let figures = |&(subject, cpu_us): &(Subject, f64)| {
                let cost = (subject != Subject::Direct).then_some(Cost {
                    cpu_us,
                    user_us: cpu_us / 4.0,
                    system_us: cpu_us * 0.75,
                    resident_bytes: 5 << 20,
                    ..Cost::default()
                });
                let loaded = Loaded {
                    cost,
                    requests: 100,
                    requests_per_second: 50_000.0,
                    load_cpu_busy: 1.0,
                    proxy_cpu_busy: 0.5,
                    ..Loaded::default()
                };
                (subject, Figures::Load(Box::new(loaded)))
            };
            run.rounds.push(round.iter().map(figures).collect());
        }
        run
    }

    #[test]
    fn every_round_begins_with_the_next_subject() {
        let names = [Subject::Direct, Subject::Floor, Subject::Nginx];
        assert_eq!(turn(&names, 0), names);
        assert_eq!(turn(&names, 1), [Subject::Floor, Subject::Nginx, Subject::Direct]);
        assert_eq!(turn(&names, 5), [Subject::Nginx, Subject::Direct, Subject::Floor]);
        assert_eq!(turn(&[], 1), []);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine gets twice as slow, and the ratio stays.
        let run = run(&[
            &[(Subject::Corelane, 8.0), (Subject::Nginx, 10.0)],
            &[(Subject::Corelane, 16.0), (Subject::Nginx, 20.0)],
            // Interrupted before nginx.
            &[(Subject::Corelane, 30.0)],
        ]);
        assert_eq!(run.ratios(Subject::Corelane, Subject::Nginx), [0.8, 0.8]);
        assert_eq!(run.figures(Subject::Corelane).len(), 3);
        assert_eq!(run.ratios(Subject::Corelane, Subject::Direct), [0.0; 0]);
    }

    #[test]
    fn who_failed_has_neither_figures_nor_ratios() {
        let mut run = run(&[&[(Subject::Corelane, 8.0), (Subject::Nginx, 10.0)]]);
        run.no_figure.insert(Subject::Nginx, "it died".to_owned());
        assert_eq!(run.figures(Subject::Nginx).len(), 0);
        assert_eq!(run.ratios(Subject::Corelane, Subject::Nginx), [0.0; 0]);
        assert_eq!(run.subjects(), [Subject::Corelane, Subject::Nginx]);
    }
}
