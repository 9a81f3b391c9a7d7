//! What a whole request costs: the proxy as it is shipped serves warm requests under callgrind.
//!
//! Two runs, one of which serves more requests, are subtracted and divided: start, end and warm-up cancel. What the
//! lane does by the clock doesn't, but there is little of it. Only instructions of the proxy itself count, not the
//! kernel's.
//!
//! A function that is reached from itself, as a future that polls others of its kind, may be told more in the inclusive
//! table than it costs.

mod frames;
mod proxy;
mod traffic;

use crate::{callgrind::Here, profile::Profile};
use frames::Functions;
use proxy::Proxy;
use std::{fmt::Write, path::PathBuf};
use traffic::Clients;

/// Requests before those that count, on each connection.
const WARM_UP_ROUNDS: u32 = 100;

/// A name with its type parameters can be a page long.
const NAME_CHARS_MAX: usize = 110;
/// Part of all from which on a function is no more than the way to all others.
const ALL: f64 = 0.95;

/// What to count.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The proxy, built with names of functions and lines.
    pub(crate) binary: PathBuf,
    /// Its event loop, as its command line takes it.
    pub(crate) driver: String,
    /// Connections of clients, which ask in turn.
    pub(crate) connections: u32,
    /// Requests on each of them.
    pub(crate) rounds: u32,
    /// Of each answer.
    pub(crate) content_bytes: u32,
    /// Lines of each table.
    pub(crate) top: u32,
}

/// Counts, and gives the tables.
pub(crate) fn run(here: &Here, asked: &Asked) -> Result<String, String> {
    if !asked.binary.is_file() {
        return Err(format!("{} is not there; cargo build --release", asked.binary.display()));
    }
    let warm_up = serve(here, asked, 0)?;
    let all = serve(here, asked, asked.rounds)?;
    let profile = all.less(&warm_up);
    let functions = Functions::of(&profile, &asked.binary)?;
    let requests = f64::from(asked.rounds) * f64::from(asked.connections);
    let mut text = String::new();
    let total = profile.own.values().sum::<i64>() as f64 / requests;
    let Asked { driver, connections, content_bytes, .. } = asked;
    let _ = writeln!(
        text,
        "{total:.0} instructions of the proxy for a warm GET ({content_bytes} bytes of content, \
         {connections} connections, driver {driver}, {requests} requests)"
    );
    for (title, costs) in [
        ("self, with what was inlined of the standard library", &functions.own),
        ("inclusive", &functions.inclusive),
        ("in other objects, by caller", &functions.foreign),
        ("self, by file", &functions.files),
    ] {
        let costs = costs.iter().map(|(name, cost)| (&**name, *cost as f64 / requests));
        let costs = costs.filter(|(_, cost)| *cost < total * ALL).collect();
        table(&mut text, title, costs, asked.top);
    }
    Ok(text)
}

/// What the proxy executes from its start to its end, with so many rounds after the warm-up.
fn serve(here: &Here, asked: &Asked, rounds: u32) -> Result<Profile, String> {
    let out = here.scratch.file("request");
    let content_bytes = asked.content_bytes as usize;
    let origin = traffic::origin(content_bytes).map_err(|error| format!("the origin: {error}"))?;
    let proxy = Proxy::start(here, asked, origin, &out)?;
    let served = Clients::connect(proxy.address, asked.connections as usize, content_bytes)
        .and_then(|mut clients| (0..WARM_UP_ROUNDS + rounds).try_for_each(|_| clients.round()));
    served.map_err(|error| format!("a client: {error}"))?;
    proxy.end()?;
    Profile::read(&out)
}

fn table(text: &mut String, title: &str, mut costs: Vec<(&str, f64)>, top: u32) {
    let _ = writeln!(text, "\n{:>11}  {title}", "per request");
    costs.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    for (name, cost) in costs.into_iter().take(top as usize) {
        let _ = writeln!(text, "{cost:>11.1}  {}", shortened(name));
    }
}

/// What is in the middle is the least telling: types of types.
fn shortened(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    let half = NAME_CHARS_MAX / 2;
    let (start, end) = (&chars[..half], &chars[chars.len() - half..]);
    start.iter().chain(&['…']).chain(end).collect()
}
