//! From a tree to a [`Config`]: one small reader for each table.

mod general;
mod routes;
mod rules;
mod sites;

use super::{
    data::{Config, Upstream},
    keys,
    reader::{Reader, Scope},
    settings::Said,
    tree::Table,
};
use crate::{address::To, balance::Balance};
use general::number;
use std::collections::HashMap;

/// Reads it all. Where something is wrong, that is said and something harmless stands in its place: such a
/// configuration is never served.
pub(crate) fn read(reader: &mut Reader<'_>, table: &Table) -> Config {
    let mut top = Scope::new(&keys::TOP, Some(table), table.at, String::new());
    let lanes = reader.count(&mut top, "lanes").map(number);
    let driver = general::driver(reader, &mut top);
    // It has been followed when the files were read.
    reader.texts(&mut top, "include", |_| Ok(()));
    let admin = general::admin(reader, &mut top);
    let logs = general::logs(reader, &mut top);
    let (settings, connections_max) = general::settings(reader, &mut top);
    let mut upstreams = Upstreams::new(general::upstreams(reader, &mut top));
    let sites = sites::sites(reader, &mut top, &settings, &mut upstreams);
    reader.finish(top);
    Config { lanes, driver, connections_max, admin, logs, settings, upstreams: upstreams.all, sites }
}

/// The upstreams, those with a name first.
struct Upstreams {
    all: Vec<Upstream>,
    named: usize,
    /// Routes that say the same share one.
    unnamed: HashMap<(Balance, Vec<To>), usize>,
}

impl Upstreams {
    fn new(all: Vec<Upstream>) -> Self {
        Self { named: all.len(), all, unnamed: HashMap::new() }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().take(self.named).map(|upstream| upstream.name.as_str())
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.names().position(|known| known == name)
    }

    /// What an upstream says of the requests that go there.
    fn said(&self, upstream: usize) -> &[Said] {
        self.all.get(upstream).map_or(&[], |upstream| &upstream.said)
    }

    /// One without a name: metrics call it by its endpoints.
    fn add(&mut self, balance: Balance, to: Vec<To>) -> usize {
        let next = self.all.len();
        let found = *self.unnamed.entry((balance.clone(), to.clone())).or_insert(next);
        if found == next {
            let name = to.iter().map(To::to_string).collect::<Vec<_>>().join(",");
            self.all.push(Upstream { name, balance, to, said: Vec::new() });
        }
        found
    }
}
