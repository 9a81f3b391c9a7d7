//! From a tree to a [`Config`]: one small reader for each table.

mod general;
mod routes;
mod rules;
mod sites;
mod upstreams;

use super::{
    data::Config,
    keys,
    reader::{Reader, Scope},
    tree::Table,
};
use general::number;
use upstreams::Upstreams;

/// Reads it all. Where something is wrong, that is said and something harmless stands in its place: such a
/// configuration is never served.
pub(crate) fn read(reader: &mut Reader<'_>, table: &Table) -> Config {
    let mut top = Scope::new(&keys::TOP, Some(table), table.at, String::new());
    let lanes = reader.count(&mut top, "lanes").map(number);
    let pin = general::pin(reader, &mut top);
    let driver = general::driver(reader, &mut top);
    // It has been followed when the files were read.
    reader.texts(&mut top, "include", |_| Ok(()));
    let admin = general::admin(reader, &mut top);
    let logs = general::logs(reader, &mut top);
    let names = general::names(reader, &mut top);
    let (terms, connections) = general::settings(reader, &mut top);
    let overload = general::overload(reader, &mut top);
    let mut upstreams = Upstreams::read(reader, &mut top);
    let sites = sites::sites(reader, &mut top, &terms, &mut upstreams);
    sites::keep_apart(reader, &sites, &admin);
    let admin = admin.into_iter().map(|at| at.value).collect();
    reader.finish(top);
    Config {
        lanes,
        pin,
        driver,
        connections,
        overload,
        admin,
        logs,
        names,
        terms,
        upstreams: upstreams.all,
        sites,
    }
}
