//! `ci/simulate`: whole engines in a simulated world, broken on purpose, by one seed each.

mod bugs;
mod cases;
mod client;
mod gateway;
mod hostile;
mod ledger;
mod origin;
mod plan;
mod retry;
mod run;
mod search;
mod spec;
mod tunnel;
mod way;
mod wire;

use bugs::Mistake;
use clap::Parser;
use plan::Changes;
use std::process::ExitCode;

/// Runs the engine in a simulated world, once for each seed, and says which seeds break an invariant.
///
/// The same seed gives the same run. A seed that fails is run again, made smaller, and printed with the command that
/// repeats it. Exit code 1: something is broken.
#[derive(Debug, Parser)]
#[command(name = "ci/simulate")]
struct Cli {
    /// How many seeds are tried.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is changed of the plan that a seed has drawn, as a failure prints it.
    #[arg(long, value_name = "KEY=VALUE ..", default_value = "")]
    plan: Changes,
    /// Every so many seeds, one is run twice, to see that it is the same run.
    #[arg(long, default_value_t = 100)]
    twice_every: u64,
    /// Threads, each with a world of its own.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Goes on after a failure, to this many.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Has the engine make a mistake, by its name, to see that it is found. The exit code is 1 if it is not.
    #[arg(long, value_name = "NAME")]
    bug: Option<Mistake>,
    /// Has the engine make each of its mistakes in turn, and says how long each took to be found.
    #[arg(long)]
    bugs: bool,
    /// Does not make failures smaller.
    #[arg(long)]
    no_shrink: bool,
    /// Says what each run came to.
    #[arg(long, short)]
    verbose: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let is_fine = match cli.bug {
        Some(mistake) => bugs::find(&cli, &[mistake]),
        None if cli.bugs => bugs::find(&cli, &Mistake::all()),
        None => search::search(&cli),
    };
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
