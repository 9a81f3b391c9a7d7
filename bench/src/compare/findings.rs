//! What was found: every round, and what may be said of it.

use super::{
    figures::{Cost, Figures, Loaded},
    machine::Machine,
    plan::Plan,
    rounds::Run,
    scenario::{RATE, Scenario, Shape},
    statistics::{Spread, VERDICT_ROUNDS_MIN, Verdict, thousands},
    subject::Subject,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Above this the CPU of the load, or the load itself, is full.
const FULL_PART: f64 = 0.95;
/// Other programs that take more of it than this may have changed its cost.
const OTHERS_PART: f64 = 0.1;
/// A hypervisor that takes more of the proxy's CPU than this is mentioned.
const STOLEN_PART: f64 = 0.02;

/// All of it, as it is written to JSON.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    pub(super) command_line: String,
    pub(super) machine: Machine,
    pub(super) plan: Plan,
    pub(super) baseline: Subject,
    pub(super) rounds: u32,
    pub(super) seconds: u32,
    /// What was said on the way: who was skipped, what could not be counted.
    pub(super) notes: Vec<String>,
    pub(super) versions: BTreeMap<Subject, String>,
    /// In what a subject differs from equal work.
    pub(super) differences: BTreeMap<Subject, Vec<String>>,
    /// What each was told, with the ports that it had when it was inspected.
    pub(super) configurations: BTreeMap<Subject, String>,
    pub(super) scenarios: Vec<Scene>,
}

/// One scenario.
#[derive(Debug, Serialize)]
pub(super) struct Scene {
    pub(super) scenario: Scenario,
    pub(super) says: String,
    pub(super) shape: Shape,
    /// What `corelane-bench load` was told.
    pub(super) load: String,
    pub(super) notes: Vec<String>,
    pub(super) subjects: Vec<Row>,
}

/// One subject in one scenario.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) subject: Subject,
    /// Why it has none.
    pub(super) no_figure: Option<String>,
    /// CPU time per request in µs, or bytes per connection.
    pub(super) cost: Option<Spread>,
    pub(super) user_us: Option<f64>,
    pub(super) system_us: Option<f64>,
    /// Beside the baseline, round by round.
    pub(super) to_baseline: Option<Spread>,
    pub(super) to_floor: Option<Spread>,
    pub(super) verdict: Option<String>,
    pub(super) requests_per_second: Option<Spread>,
    /// Of each round's percentile.
    pub(super) p50_us: Option<Spread>,
    pub(super) p99_us: Option<Spread>,
    pub(super) p99_9_us: Option<Spread>,
    pub(super) syscalls_per_request: Option<f64>,
    pub(super) switches_per_request: Option<f64>,
    /// Of the rounds' last.
    pub(super) resident_bytes: Option<u64>,
    pub(super) proxy_cpu_busy: Option<f64>,
    pub(super) rounds: Vec<Figures>,
}

impl Scene {
    /// What a run shows.
    pub(super) fn of(run: &Run, baseline: Subject) -> Self {
        let subjects = run.subjects();
        let rows: Vec<Row> = subjects.iter().map(|subject| Row::of(run, *subject, baseline)).collect();
        Self {
            scenario: run.scenario,
            says: run.scenario.say(run.shape),
            shape: run.shape,
            load: run.scenario.load_arguments(run.shape).join(" "),
            notes: notes(run, &subjects),
            subjects: rows,
        }
    }
}

impl Row {
    fn of(run: &Run, subject: Subject, baseline: Subject) -> Self {
        let figures = run.figures(subject);
        let loaded: Vec<&Loaded> = figures.iter().filter_map(|figures| figures.loaded()).collect();
        let spread = |value: fn(&Loaded) -> f64| Spread::of(loaded.iter().map(|loaded| value(loaded)));
        let median = |value: fn(&Loaded) -> f64| spread(value).map(|spread| spread.median);
        let costs: Vec<Cost> = loaded.iter().filter_map(|loaded| loaded.cost).collect();
        let of_cost =
            |value: fn(&Cost) -> f64| Spread::of(costs.iter().map(value)).map(|spread| spread.median);
        let ratios = run.ratios(subject, baseline);
        let beside = |to: Subject| {
            if to == subject { None } else { Spread::of(run.ratios(subject, to)) }
        };
        let costs_something = subject != baseline && figures.iter().any(|figures| figures.cost().is_some());
        let verdict = costs_something.then(|| verdict(run, subject, baseline, &ratios)).flatten();
        let idle = figures.last().and_then(|figures| figures.idle());
        Self {
            subject,
            no_figure: run.no_figure.get(&subject).cloned(),
            cost: Spread::of(figures.iter().filter_map(|figures| figures.cost())),
            user_us: of_cost(|cost| cost.user_us),
            system_us: of_cost(|cost| cost.system_us),
            to_baseline: beside(baseline),
            to_floor: beside(Subject::Floor),
            verdict,
            requests_per_second: spread(|loaded| loaded.requests_per_second),
            p50_us: spread(|loaded| loaded.latency_us.p50),
            p99_us: spread(|loaded| loaded.latency_us.p99),
            p99_9_us: spread(|loaded| loaded.latency_us.p99_9),
            syscalls_per_request: run.syscalls.get(&subject).copied(),
            switches_per_request: of_cost(|cost| cost.voluntary_switches + cost.involuntary_switches),
            resident_bytes: costs
                .last()
                .map(|cost| cost.resident_bytes)
                .or(idle.map(|idle| idle.after_bytes)),
            proxy_cpu_busy: if costs.is_empty() { None } else { median(|loaded| loaded.proxy_cpu_busy) },
            rounds: run.rounds.iter().filter_map(|round| round.get(&subject).cloned()).collect(),
        }
    }
}

/// None where the two did not do the same work, or there is nobody to compare with.
fn verdict(run: &Run, subject: Subject, baseline: Subject, ratios: &[f64]) -> Option<String> {
    if run.figures(baseline).is_empty() {
        return None;
    }
    let is_short = |subject| {
        run.figures(subject)
            .iter()
            .any(|figures| figures.loaded().is_some_and(|loaded| loaded.is_short(run.scenario)))
    };
    if is_short(subject) || is_short(baseline) {
        return Some(format!("no verdict beside {baseline}: the rate was not reached"));
    }
    match Verdict::of(ratios) {
        // That holds for all, and is said once.
        Verdict::Few(_) if run.rounds.len() < VERDICT_ROUNDS_MIN => None,
        verdict => Some(verdict.say(baseline.name())),
    }
}

/// What a reader must know of the figures of a scenario.
fn notes(run: &Run, subjects: &[Subject]) -> Vec<String> {
    let mut notes = Vec::new();
    if run.rounds.len() < VERDICT_ROUNDS_MIN {
        notes.push(format!("no verdicts: {VERDICT_ROUNDS_MIN} rounds are needed, not {}", run.rounds.len()));
    }
    let (mut full, mut shared) = (Vec::new(), Vec::new());
    for &subject in subjects {
        let figures = run.figures(subject);
        let loaded: Vec<&Loaded> = figures.iter().filter_map(|figures| figures.loaded()).collect();
        let median = |value: fn(&Loaded) -> f64| {
            Spread::of(loaded.iter().map(|loaded| value(loaded))).map_or(0.0, |spread| spread.median)
        };
        let (proxy, load) = (median(|loaded| loaded.proxy_cpu_busy), median(|loaded| loaded.load_cpu_busy));
        if loaded.iter().any(|loaded| loaded.is_short(run.scenario)) {
            let rate = thousands(median(|loaded| loaded.requests_per_second));
            notes
                .push(format!("{subject}: {rate} of {} requests/s were reached", thousands(f64::from(RATE))));
        }
        if load > FULL_PART && proxy < FULL_PART && subject != Subject::Direct {
            full.push(format!("{subject} {:.0} %", proxy * 100.0));
        }
        if median(|loaded| loaded.load_busy) > FULL_PART {
            notes.push(format!("{subject}: the load generator itself was the bottleneck"));
        }
        let others = median(|loaded| loaded.others_busy);
        if others > OTHERS_PART && subject != Subject::Direct {
            shared.push(format!("{subject} {:.0} %", others * 100.0));
        }
        let stolen = median(|loaded| loaded.stolen);
        if stolen > STOLEN_PART {
            notes.push(format!("{subject}: a hypervisor took {:.0} % of the proxy's CPU", stolen * 100.0));
        }
    }
    if !shared.is_empty() {
        notes.push(format!(
            "other programs had the proxy's CPU for a part of the time ({}): measure again when the machine is quiet",
            shared.join(", ")
        ));
    }
    if !full.is_empty() {
        notes.push(format!(
            "the CPU of the load was full and the proxy's was not ({}): requests/s and latencies say what load and \
             origin could do, CPU time per request what the proxy costs",
            full.join(", ")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::rounds::tests::run;
    use super::*;

    const FIVE: [&[(Subject, f64)]; 5] = [
        &[(Subject::Direct, 0.0), (Subject::Floor, 5.0), (Subject::Corelane, 9.0), (Subject::Nginx, 10.0)],
        &[(Subject::Direct, 0.0), (Subject::Floor, 6.0), (Subject::Corelane, 17.0), (Subject::Nginx, 20.0)],
        &[(Subject::Direct, 0.0), (Subject::Floor, 5.0), (Subject::Corelane, 8.0), (Subject::Nginx, 10.0)],
        &[(Subject::Direct, 0.0), (Subject::Floor, 5.0), (Subject::Corelane, 8.8), (Subject::Nginx, 10.0)],
        &[(Subject::Direct, 0.0), (Subject::Floor, 5.0), (Subject::Corelane, 8.6), (Subject::Nginx, 10.0)],
    ];

    fn row(scene: &Scene, subject: Subject) -> &Row {
        scene.subjects.iter().find(|row| row.subject == subject).unwrap()
    }

    #[test]
    fn a_row_has_medians_and_ratios_of_each_round() {
        let scene = Scene::of(&run(&FIVE), Subject::Nginx);
        let corelane = row(&scene, Subject::Corelane);
        assert_eq!(corelane.cost.unwrap().say(1), "8.8 (8.0–17.0)");
        assert_eq!(corelane.to_baseline.unwrap().say(3), "0.860 (0.800–0.900)");
        assert_eq!(corelane.verdict.as_deref(), Some("cheaper than nginx: 0.86 (0.80–0.90)"));
        assert_eq!((corelane.user_us, corelane.system_us), (Some(2.2), Some(6.6000000000000005)));
        let nginx = row(&scene, Subject::Nginx);
        assert_eq!((nginx.to_baseline, nginx.verdict.as_deref()), (None, None));
        assert_eq!(row(&scene, Subject::Floor).to_floor, None);
        let direct = row(&scene, Subject::Direct);
        assert_eq!((direct.cost, direct.verdict.as_deref(), direct.rounds.len()), (None, None, 5));
        assert!(direct.requests_per_second.is_some());
        assert_eq!(scene.notes.len(), 1, "{:?}", scene.notes);
        assert!(scene.notes[0].contains("(floor 50 %, corelane 50 %, nginx 50 %)"), "{:?}", scene.notes);
    }

    #[test]
    fn who_failed_has_its_reason_and_nothing_else() {
        let mut run = run(&FIVE);
        run.no_figure.insert(Subject::Corelane, "5 answers had another status".to_owned());
        let scene = Scene::of(&run, Subject::Nginx);
        let corelane = row(&scene, Subject::Corelane);
        assert_eq!(corelane.no_figure.as_deref(), Some("5 answers had another status"));
        assert_eq!((corelane.cost, corelane.to_baseline, corelane.requests_per_second), (None, None, None));
        assert_eq!(corelane.verdict, None);
        // What it did before it failed is kept for whoever looks.
        assert_eq!(corelane.rounds.len(), 5);
        run.no_figure.insert(Subject::Nginx, "it died".to_owned());
        assert_eq!(row(&Scene::of(&run, Subject::Nginx), Subject::Floor).verdict, None);
    }

    #[test]
    fn a_rate_that_was_not_reached_gives_no_verdict() {
        let mut run = run(&FIVE);
        run.scenario = Scenario::H1FixedRate;
        for figures in run.rounds.iter_mut().flat_map(|round| round.values_mut()) {
            let Figures::Load(loaded) = figures else { unreachable!() };
            loaded.requests_per_second = 8_000.0;
        }
        let scene = Scene::of(&run, Subject::Nginx);
        let says = row(&scene, Subject::Corelane).verdict.clone().unwrap();
        assert!(says.contains("the rate was not reached"), "{says}");
        assert!(scene.notes.iter().any(|note| note == "nginx: 8,000 of 10,000 requests/s were reached"));
    }
}
