//! `corelane run`: serves what a configuration file says.

use crate::{
    address::Listen,
    admin::Usual,
    auth::Verifier,
    config::{
        Config, Env, Loaded,
        data::{Action, Site},
    },
    failure::Failure,
    gateway::{Gateway, Table},
    machine, proxy,
    serve::{self, Plan, Serving, Settings},
};
use corelane_engine::{Address, Builder, Cluster};
use std::sync::Arc;

/// Everything behind one `listen`.
struct Door {
    addresses: Vec<Address>,
    table: Arc<Table>,
    /// Of the configuration's upstreams those that a route here names.
    clusters: Arc<[Option<Cluster>]>,
}

/// Serves until it is told to stop. Names in `to` are looked up here, once.
pub(crate) fn run(loaded: Loaded, env: Env<'_>) -> Result<(), Failure> {
    let config = Arc::new(loaded.config);
    let clusters = clusters(&config)?;
    let doors = doors(&config, &clusters)?;
    let verifier = verifier(&config)?;
    let mut upstreams: Vec<Address> = clusters.iter().flat_map(Cluster::addresses).cloned().collect();
    upstreams.sort();
    upstreams.dedup();
    serve::run(Plan {
        install: &|builder| {
            doors.iter().fold(builder, |builder, door| open(builder, door, verifier.as_ref()))
        },
        upstreams,
        serving: Serving {
            lanes: config.lanes.unwrap_or_else(machine::cpus),
            driver: config.driver,
            exchanges: config.settings.clone(),
            connections_max: config.connections_max,
            logs: config.logs.clone(),
        },
        admin: config.admin.clone(),
        usual: Usual::new(env),
        settings: Settings::File,
        say_more: None,
    })
}

fn clusters(config: &Config) -> Result<Vec<Cluster>, Failure> {
    let one = |upstream: &crate::config::data::Upstream| {
        let endpoints = proxy::endpoints(&upstream.to)?;
        let cluster = upstream.balance.cluster(&endpoints).name(upstream.name.as_str());
        cluster.resolve().map_err(|error| Failure::Run(format!("the upstream {}: {error}", upstream.name)))
    };
    config.upstreams.iter().map(one).collect()
}

/// A door for each different `listen`. What is written alike is one, whatever port the system gives it.
fn doors(config: &Arc<Config>, clusters: &[Cluster]) -> Result<Vec<Door>, Failure> {
    let mut listens: Vec<&Listen> = Vec::new();
    for listen in config.sites.iter().flat_map(|site| &site.listen) {
        if !listens.contains(&listen) {
            listens.push(listen);
        }
    }
    let mut doors: Vec<Door> = Vec::new();
    for listen in listens {
        let is_here = |site: &Site| site.listen.contains(listen);
        let addresses = listen.resolve()?;
        // Two names may turn out to be one address.
        let taken = |address: &&Address| {
            address.port() != Some(0) && doors.iter().any(|door| door.addresses.contains(address))
        };
        if let Some(address) = addresses.iter().find(taken) {
            return Err(Failure::Run(format!(
                "`{listen}` is {address}, which another `listen` is too; write both alike"
            )));
        }
        doors.push(Door {
            addresses,
            table: Arc::new(Table::new(config.clone(), is_here)),
            clusters: clusters_of(config, clusters, is_here),
        });
    }
    Ok(doors)
}

fn clusters_of(
    config: &Config,
    clusters: &[Cluster],
    is_here: impl Fn(&Site) -> bool,
) -> Arc<[Option<Cluster>]> {
    let mut needed = vec![false; clusters.len()];
    for route in config.sites.iter().filter(|site| is_here(site)).flat_map(|site| &site.routes) {
        if let Action::Forward(forward) = &route.action {
            needed[forward.upstream] = true;
        }
    }
    clusters.iter().zip(needed).map(|(cluster, needed)| needed.then(|| cluster.clone())).collect()
}

/// Only if somebody has a password.
fn verifier(config: &Config) -> Result<Option<Verifier>, Failure> {
    let has_users = config.sites.iter().flat_map(|site| &site.routes).any(|route| route.rules.auth.is_some());
    let started = has_users.then(Verifier::start).transpose();
    started.map_err(|error| Failure::Run(format!("a thread cannot start: {error}")))
}

fn open(builder: Builder, door: &Door, verifier: Option<&Verifier>) -> Builder {
    let (table, clusters, verifier) = (door.table.clone(), door.clusters.clone(), verifier.cloned());
    let settings = table.listener_settings().clone();
    builder.serve_with(door.addresses.as_slice(), settings, move |lane| {
        Ok(Gateway::new(lane, table.clone(), &clusters, verifier.as_ref()))
    })
}
