//! `corelane-bench profile`: where a running engine's requests spend their time, and which were slow lately.

mod ask;
mod page;
mod reading;
mod slow;
mod text;
mod verdict;

use crate::{clock, failure::Failure, interrupt, print, units};
pub(crate) use ask::Admin;
use reading::{Profile, Reading};
use serde_json::Value;
use slow::Flight;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};

/// How often it is looked whether the user wants an end.
const LOOK: Duration = Duration::from_millis(20);

/// Shows where the time of requests goes in a running corelane, lane by lane and phase by phase.
///
/// It asks over the admin socket, which costs each lane a copy of its numbers for each question, and nothing in between.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The engine's admin address: unix:PATH, a path, or http://HOST:PORT [default: the socket in $RUNTIME_DIRECTORY,
    /// $XDG_RUNTIME_DIR/corelane or /run/corelane]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<Admin>,
    /// Profiles the time from now on, such as 10s, instead of everything since the engine's start; Ctrl-C ends it early
    #[arg(long = "for", value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,
    /// Shows the last slow requests with their phases, the slowest first
    #[arg(long, conflicts_with = "duration")]
    slow: bool,
    /// Writes what the engine has answered, or the difference, as JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes a page with the tables and the distributions
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What is shown, in each form.
struct Shown {
    text: String,
    json: Value,
    html: String,
}

/// Asks, and shows. `env` reads the environment.
pub(crate) fn run(args: &Args, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Failure> {
    // A file that cannot be written is said before the time has been spent.
    for path in [&args.json, &args.html].into_iter().flatten().filter(|path| !is_stdout(path)) {
        write(path, "")?;
    }
    let admin = args.admin.clone().unwrap_or_else(|| Admin::usual(env));
    let (shown, requests) = if args.slow {
        let flight = Flight::parse(&admin.get("/slow.json")?, &admin)?;
        (Shown { text: flight.text(), json: flight.json(), html: page::slow(&flight) }, None)
    } else {
        let profile = profile(&admin, args.duration)?;
        let shown =
            Shown { text: text::profile(&profile), json: profile.json(), html: page::profile(&profile) };
        (shown, Some(profile.merged.requests()))
    };
    let json = format!("{:#}\n", shown.json);
    match &args.json {
        Some(path) if is_stdout(path) => print(&json)?,
        Some(path) => write(path, &json)?,
        None => {}
    }
    if !args.json.as_deref().is_some_and(is_stdout) {
        print(&shown.text)?;
    }
    if let Some(path) = &args.html {
        write(path, &shown.html)?;
    }
    if requests == Some(0) {
        return Err(Failure::Short("no request has ended, so there is nothing to profile".to_owned()));
    }
    Ok(())
}

/// Reads once, or twice with some time between.
fn profile(admin: &Admin, duration: Option<Duration>) -> Result<Profile, Failure> {
    let read = || Reading::parse(&admin.get("/profile.json")?, admin);
    let first = read()?;
    let Some(duration) = duration else { return first.since(None) };
    let (stop, due) = (interrupt::flag()?, clock::monotonic() + duration);
    while clock::monotonic() < due && !stop.load(Ordering::Relaxed) {
        clock::pause(LOOK.min(due.saturating_sub(clock::monotonic())));
    }
    read()?.since(Some(&first))
}

fn is_stdout(path: impl AsRef<Path>) -> bool {
    path.as_ref() == Path::new("-")
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::Run(format!("cannot write {}: {error}", path.display())))
}
