//! `corelane run`: serves what a configuration file says.

use crate::{
    Environment,
    address::Listen,
    admin::Usual,
    cli::FileArgs,
    config::{
        Config, Loaded,
        data::{Action, Site},
        explain,
    },
    failure::Failure,
    files,
    gateway::{Gateway, Table},
    plan::{Fixed, Plan, Serving, summary},
    rates::Limits,
    serve::{self, Command, Words},
    upstream::Found,
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

/// What outlives a configuration.
#[derive(Default)]
struct Lasting {
    limits: Limits,
}

/// Serves until it is told to stop.
pub(crate) fn run(args: &FileArgs, env: Environment) -> Result<(), Failure> {
    let mut lasting = Lasting::default();
    let plan = plan(files::load(&args.file, env)?, &mut lasting)?;
    let path = args.file.clone();
    serve::run(Command {
        plan,
        again: Some(Box::new(move || self::plan(files::load(&path, env)?, &mut lasting))),
        usual: Usual::new(env),
        words: Words::File,
        say_more: None,
    })
}

/// What a configuration comes down to. Names are looked up here.
fn plan(loaded: Loaded, lasting: &mut Lasting) -> Result<Plan, Failure> {
    let explained = explain::all(&loaded);
    let place = |key: &str| loaded.place(key);
    let serving = serving(&loaded.config);
    let fixed = Fixed::all(&serving, place);
    let config = Arc::new(loaded.config);
    let upstreams: Vec<Found> =
        config.upstreams.iter().map(|upstream| upstream.find()).collect::<Result<_, _>>()?;
    let routes = || config.sites.iter().flat_map(|site| &site.routes);
    lasting.limits = lasting.limits.of_rules(routes().filter_map(|route| route.rules.rate_limit.as_ref()));
    let doors = doors(&config, &upstreams, &lasting.limits)?;
    let routes = routes().count();
    let counts = [(config.sites.len(), "site"), (routes, "route"), (upstreams.len(), "upstream")];
    Ok(Plan {
        install: Box::new(move |builder| doors.iter().fold(builder, open)),
        upstreams,
        serving,
        explained,
        summary: summary(&counts),
        fixed,
    })
}

fn serving(config: &Config) -> Serving {
    Serving {
        lanes: config.lanes,
        pin: config.pin,
        driver: config.driver,
        exchanges: config.terms.engine.clone(),
        connections: config.connections,
        overload: config.overload,
        admin: config.admin.clone(),
        logs: config.logs.clone(),
        names: config.names,
    }
}

/// A door for each different `listen`. What is written alike is one, whatever port the system gives it.
fn doors(config: &Arc<Config>, upstreams: &[Found], limits: &Limits) -> Result<Vec<Door>, Failure> {
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
            table: Arc::new(Table::new(config.clone(), limits, is_here)),
            clusters: clusters_of(config, upstreams, is_here)?,
        });
    }
    Ok(doors)
}

fn clusters_of(
    config: &Config,
    upstreams: &[Found],
    is_here: impl Fn(&Site) -> bool,
) -> Result<Arc<[Option<Cluster>]>, Failure> {
    let mut needed = vec![false; upstreams.len()];
    for route in config.sites.iter().filter(|site| is_here(site)).flat_map(|site| &site.routes) {
        if let Action::Forward(forward) = &route.action {
            needed[forward.upstream] = true;
        }
    }
    let cluster = |(found, needed): (&Found, bool)| {
        let cluster = needed.then(|| found.cluster()).transpose();
        cluster.map_err(|says| Failure::Run(format!("the upstream {}: {says}", found.upstream.name)))
    };
    upstreams.iter().zip(needed).map(cluster).collect()
}

fn open(builder: Builder, door: &Door) -> Builder {
    let (table, clusters) = (door.table.clone(), door.clusters.clone());
    let settings = table.listener_settings().clone();
    builder.serve_again(door.addresses.as_slice(), Some(settings), move |lane, before: Option<&Gateway>| {
        Ok(Gateway::new(lane, table.clone(), &clusters, before))
    })
}
