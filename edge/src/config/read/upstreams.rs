//! Reads upstreams: those that have a name, and those of routes that say where to.

use super::{Reader, Scope, general::number};
use crate::{
    address::To,
    balance::Balance,
    config::{
        reader::{Choice, Endpoint, Located},
        settings::{self, Said},
        source::At,
    },
    upstream::Upstream,
    words::{nearest, quote},
};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

/// Keys of a route that belong to the upstream which it names.
const OF_UPSTREAM: [&str; 4] = ["balance", "connections_max", "queue", "source"];

/// The upstreams of a configuration, those with a name first.
pub(super) struct Upstreams {
    pub(super) all: Vec<Upstream>,
    /// What each of those with a name says of the requests that go there.
    said: Vec<Vec<Said>>,
    /// Routes that say the same share one. The name is left empty here.
    unnamed: HashMap<Upstream, usize>,
    names: HashSet<String>,
}

impl Upstreams {
    pub(super) fn read(reader: &mut Reader<'_>, top: &mut Scope<'_>) -> Self {
        let mut upstreams =
            Self { all: Vec::new(), said: Vec::new(), unnamed: HashMap::new(), names: HashSet::new() };
        for (name, mut scope) in reader.named(top, "upstream") {
            if name.value.is_empty() || name.value.chars().any(|c| c.is_control() || c.is_whitespace()) {
                reader.error(name.at, "expected a name without spaces, such as [upstream.app]");
            }
            let mut said = settings::said(reader, &mut scope);
            let idle_max = settings::take_upstream_idle(&mut said).map(|(_, idle)| idle);
            let spread = spread(reader, &mut scope, idle_max);
            reader.finish(scope);
            upstreams.names.insert(name.value.clone());
            upstreams.all.push(Upstream { name: name.value, ..spread });
            upstreams.said.push(said);
        }
        upstreams
    }

    fn named(&self) -> impl Iterator<Item = &str> {
        self.all.iter().take(self.said.len()).map(|upstream| upstream.name.as_str())
    }

    /// What an upstream says of the requests that go there.
    pub(super) fn said(&self, upstream: usize) -> &[Said] {
        self.said.get(upstream).map_or(&[], Vec::as_slice)
    }

    /// The one that a route means: it names one, or says where to. What is wrong with that has been said then.
    pub(super) fn of_route(
        &mut self,
        reader: &mut Reader<'_>,
        scope: &mut Scope<'_>,
        idle: Option<(At, Duration)>,
    ) -> Option<usize> {
        let named = reader.text(scope, "upstream", |text| Ok(text.to_owned()));
        let places: Vec<(&str, At)> =
            OF_UPSTREAM.iter().filter_map(|key| Some((*key, scope.place(key)?))).collect();
        let spread = spread(reader, scope, idle.map(|(_, idle)| idle));
        let Some(Located { at, value: name }) = named else {
            return (!spread.to.is_empty()).then(|| self.add(spread));
        };
        for (key, at) in places.into_iter().chain(idle.map(|(at, _)| ("timeouts.upstream_idle", at))) {
            reader.error(at, format!("`{key}` belongs to [upstream.{name}], which the route names"));
        }
        let found = self.named().position(|known| known == name);
        if found.is_none() {
            reader.error(at, self.no_upstream(&name));
        }
        found
    }

    fn no_upstream(&self, name: &str) -> String {
        let meant = match nearest(name, self.named()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("expected a table [upstream.{name}]"),
        };
        format!("there is no upstream {}; {meant}", quote(name))
    }

    /// One without a name: metrics call it by its endpoints, and nothing else may be called so.
    fn add(&mut self, spread: Upstream) -> usize {
        if let Some(there) = self.unnamed.get(&spread) {
            return *there;
        }
        let endpoints = spread.to.iter().map(To::to_string).collect::<Vec<_>>().join(",");
        let mut name = endpoints.clone();
        let mut number = 2;
        while !self.names.insert(name.clone()) {
            name = format!("{endpoints} ({number})");
            number += 1;
        }
        self.unnamed.insert(spread.clone(), self.all.len());
        self.all.push(Upstream { name, ..spread });
        self.all.len() - 1
    }
}

/// Endpoints and how requests are spread over them, without a name yet.
fn spread(reader: &mut Reader<'_>, scope: &mut Scope<'_>, idle_max: Option<Duration>) -> Upstream {
    let to = endpoints(reader, scope);
    let balance = balance(reader, scope);
    let connections_max = reader.count(scope, "connections_max").map(number);
    let queue_at = scope.place("queue");
    let queue = reader.table(scope, "queue").map(|mut below| {
        let requests_max = reader.count(&mut below, "requests_max").map(number).unwrap_or_default();
        let wait = reader.time(&mut below, "wait").flatten().unwrap_or_default();
        reader.finish(below);
        (requests_max, wait)
    });
    if let Some(at) = queue_at
        && connections_max.is_none()
        && scope.place("connections_max").is_none()
    {
        reader.error(
            at,
            "`queue` has no meaning without `connections_max`: nobody waits where there is no limit",
        );
    }
    let source = reader.text(scope, "source", |text| {
        let ip: IpAddr =
            text.parse().map_err(|_| "expected an address of this machine, such as \"10.0.0.1\"")?;
        if ip.is_unspecified() || ip.is_multicast() {
            return Err("this is no address that a connection can come from".to_owned());
        }
        Ok(ip)
    });
    let source = source.map(|source| source.value);
    Upstream { connections_max, queue, idle_max, source, ..Upstream::new(String::new(), balance, to) }
}

fn balance(reader: &mut Reader<'_>, scope: &mut Scope<'_>) -> Balance {
    match reader.choice_or(scope, "balance", Balance::by_hash) {
        Some(Choice::Of(word)) => word.parse().unwrap_or_default(),
        Some(Choice::Open(hash)) => hash,
        None => Balance::default(),
    }
}

/// The endpoints of `to`.
fn endpoints(reader: &mut Reader<'_>, scope: &mut Scope<'_>) -> Vec<To> {
    let mut to = Vec::new();
    for endpoint in reader.endpoints(scope, "to") {
        match endpoint {
            Endpoint::Address(Located { at, value }) => match address(value) {
                Ok(address) => to.push(address),
                Err(says) => {
                    reader.error(at, format!("{} is no endpoint: {says}", quote(value)));
                }
            },
            Endpoint::Table(mut scope) => {
                let address = reader.text(&mut scope, "address", address);
                let weight = reader.count(&mut scope, "weight").map(number);
                reader.finish(scope);
                to.extend(address.map(|address| address.value.with_weight(weight)));
            }
        }
    }
    to
}

/// Without the weight that the command line has behind a `=`.
fn address(text: &str) -> Result<To, String> {
    if text.contains('=') {
        return Err("a weight stands in a table: { address = \"10.0.0.1:8080\", weight = 3 }".to_owned());
    }
    let to: To = text.parse()?;
    match to.unspecified() {
        Some(meant) => Err(format!("this is no address to connect to; did you mean \"{meant}\"?")),
        None => Ok(to),
    }
}
