//! The simulator's own proof: mistakes that it has to find.

use crate::{Cli, plan::Plan, run::run_with};
use corelane_engine::simulate::Bug;
use std::{
    panic,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Two minutes of one CPU are enough to find a mistake; the runs of all threads count.
const SEARCH_MAX: Duration = Duration::from_secs(120);

/// One of the mistakes that the engine can be asked to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mistake(Bug);

impl Mistake {
    pub(crate) fn all() -> Vec<Self> {
        Bug::ALL.into_iter().map(Self).collect()
    }

    /// `OwedContentPooled` is `owed-content-pooled`.
    fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{:?}", self.0).chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }
}

impl FromStr for Mistake {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::all().into_iter().map(Self::name).collect::<Vec<_>>().join(", ");
        Self::all()
            .into_iter()
            .find(|mistake| mistake.name() == text)
            .ok_or_else(|| format!("there is none of this name; there are {}", names()))
    }
}

/// What found a mistake.
struct Found {
    seed: u64,
    kind: &'static str,
}

/// Looks for each of them; whether all were found.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
pub(crate) fn find(cli: &Cli, mistakes: &[Mistake]) -> bool {
    panic::set_hook(Box::new(|_| {}));
    println!("| mistake | what it does | found by | seed | runs | CPU s |");
    println!("|---|---|---|---:|---:|---:|");
    let mut all = true;
    for mistake in mistakes {
        let (began, next) = (Instant::now(), AtomicU64::new(0));
        let found = search(cli, *mistake, &next);
        let runs = next.load(Ordering::Relaxed);
        let seconds = began.elapsed().as_secs_f64() * cli.threads.max(1) as f64;
        let what = mistake.0.what();
        match found {
            Some(Found { seed, kind }) => {
                println!("| `{}` | {what} | {kind} | {seed} | {runs} | {seconds:.1} |", mistake.name());
            }
            None => {
                all = false;
                println!("| `{}` | {what} | NOT FOUND | | {runs} | {seconds:.1} |", mistake.name());
            }
        }
    }
    all
}

fn search(cli: &Cli, mistake: Mistake, next: &AtomicU64) -> Option<Found> {
    let (found, began) = (OnceLock::<Found>::new(), begin());
    let per_thread = SEARCH_MAX / u32::try_from(cli.threads.max(1)).unwrap_or(1);
    let is_over = || found.get().is_some() || began.elapsed() > per_thread;
    thread::scope(|scope| {
        for _ in 0..cli.threads.max(1) {
            scope.spawn(|| {
                while !is_over() {
                    let seed = cli.seed.wrapping_add(next.fetch_add(1, Ordering::Relaxed));
                    let outcome = run_with(&Plan::draw(seed), Some(mistake.0));
                    if let Some(violation) = outcome.violations.first() {
                        found.get_or_init(|| Found { seed, kind: violation.kind });
                    }
                }
            });
        }
    });
    found.into_inner()
}

#[expect(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
fn begin() -> Instant {
    Instant::now()
}
