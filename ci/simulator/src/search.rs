//! Trying seeds, and making a failure small.

use crate::{
    Cli,
    plan::Plan,
    run::{Outcome, run},
};
use std::{
    panic,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::Instant,
};

/// Runs that making a failure small may take.
const SHRINK_RUNS_MAX: usize = 400;

/// What all runs came to.
#[derive(Default)]
struct Sum {
    runs: AtomicU64,
    twice: AtomicU64,
    steps: AtomicU64,
    requests: AtomicU64,
    exact: AtomicU64,
    cut: AtomicU64,
    refused: AtomicU64,
    retried: AtomicU64,
    hostile: AtomicU64,
    seconds: AtomicU64,
    failures: AtomicUsize,
}

impl Sum {
    fn add(&self, outcome: &Outcome) {
        let add = |sum: &AtomicU64, what: u64| sum.fetch_add(what, Ordering::Relaxed);
        add(&self.runs, 1);
        add(&self.steps, outcome.steps);
        add(&self.requests, outcome.requests);
        add(&self.exact, outcome.exact);
        add(&self.cut, outcome.cut);
        add(&self.refused, outcome.refused);
        add(&self.retried, outcome.retried);
        add(&self.hostile, outcome.hostile);
        add(&self.seconds, outcome.lasted.as_secs());
    }
}

/// Tries all seeds; whether nothing is broken.
#[expect(
    clippy::disallowed_methods,
    reason = "the runs have no clock but their own; how long they take is said"
)]
pub(crate) fn search(cli: &Cli) -> bool {
    // What is caught is told in the end.
    panic::set_hook(Box::new(|_| {}));
    let (sum, next, began) = (Sum::default(), AtomicU64::new(0), Instant::now());
    thread::scope(|scope| {
        for _ in 0..cli.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= cli.seeds || sum.failures.load(Ordering::Relaxed) >= cli.failures {
                        return;
                    }
                    try_seed(cli, &sum, cli.seed.wrapping_add(n), n);
                }
            });
        }
    });
    let value = |of: &AtomicU64| of.load(Ordering::Relaxed);
    println!(
        "{} seeds in {:.1} s: {} requests ({} answered exactly, {} cut, {} refused by the engine, {} repeated), {} hostile \
         clients, {} events, {} simulated hours; {} run twice with the same trace",
        value(&sum.runs),
        began.elapsed().as_secs_f64(),
        value(&sum.requests),
        value(&sum.exact),
        value(&sum.cut),
        value(&sum.refused),
        value(&sum.retried),
        value(&sum.hostile),
        value(&sum.steps),
        value(&sum.seconds) / 3600,
        value(&sum.twice),
    );
    sum.failures.load(Ordering::Relaxed) == 0
}

fn try_seed(cli: &Cli, sum: &Sum, seed: u64, n: u64) {
    let mut plan = Plan::draw(seed);
    if let Err(error) = cli.plan.apply(&mut plan) {
        unreachable!("it was tried when it was read: {error}");
    }
    let outcome = run(&plan);
    sum.add(&outcome);
    if cli.verbose {
        println!("seed {seed}: {outcome:?}\n  {plan}");
    }
    if cli.twice_every > 0 && n.is_multiple_of(cli.twice_every) {
        let again = run(&plan);
        if again.trace == outcome.trace {
            sum.twice.fetch_add(1, Ordering::Relaxed);
        } else {
            sum.failures.fetch_add(1, Ordering::Relaxed);
            println!("seed {seed}: two runs are not the same ({} and {} events)", outcome.steps, again.steps);
        }
    }
    if outcome.violations.is_empty() {
        return;
    }
    sum.failures.fetch_add(1, Ordering::Relaxed);
    tell(seed, &plan, &outcome);
    if !cli.no_shrink {
        let (plan, outcome) = shrink(plan, outcome);
        println!("made smaller:");
        tell(seed, &plan, &outcome);
    }
}

fn tell(seed: u64, plan: &Plan, outcome: &Outcome) {
    println!("seed {seed}: broken");
    for violation in outcome.violations.iter().take(5) {
        println!("  {}: {}", violation.kind, violation.what);
    }
    println!("  again: ci/simulate --seed {seed} --plan '{plan}'");
}

/// Looks for the smallest plan that breaks the same.
fn shrink(mut plan: Plan, mut outcome: Outcome) -> (Plan, Outcome) {
    let kind = outcome.violations[0].kind;
    let mut runs = 0;
    'smaller: while runs < SHRINK_RUNS_MAX {
        for candidate in plan.smaller() {
            runs += 1;
            let tried = run(&candidate);
            if tried.violations.iter().any(|violation| violation.kind == kind) {
                (plan, outcome) = (candidate, tried);
                continue 'smaller;
            }
        }
        break;
    }
    (plan, outcome)
}
