//! What lanes share: which site has which host at one address, which route which path, and what exchanges are held to
//! there.

use crate::{
    balance::Balance,
    config::data::{Config, Route, Site},
    rates::Limits,
    router::{Hosts, Paths},
};
use corelane_engine::{RateLimit, RequestHead, Settings};
use std::{collections::HashMap, sync::Arc};

/// The sites of one address. Every lane looks into the same table.
#[derive(Debug)]
pub(crate) struct Table {
    config: Arc<Config>,
    hosts: Hosts,
    /// Of every site of the configuration that listens here; others are never asked for.
    paths: Vec<Paths>,
    /// What exchanges are held to until there is a route.
    listeners: Settings,
    /// What routes hold exchanges to, each different one once, and the limits that they count by.
    pub(super) settings: Vec<Settings>,
    pub(super) limits: Vec<RateLimit>,
    numbers: Vec<Vec<Numbers>>,
}

/// What a route has of those that are kept once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Numbers {
    /// None: what holds for the listener.
    pub(super) settings: Option<u32>,
    pub(super) limit: Option<u32>,
}

impl Table {
    /// Of the sites for which `is_here` is true.
    pub(crate) fn new(config: Arc<Config>, limits: &Limits, is_here: impl Fn(&Site) -> bool) -> Self {
        let mut table = Self {
            hosts: Hosts::default(),
            paths: Vec::new(),
            listeners: listeners(config.sites.iter().filter(|site| is_here(site))),
            settings: Vec::new(),
            limits: Vec::new(),
            numbers: Vec::new(),
            config,
        };
        let config = Arc::clone(&table.config);
        let mut seen = Seen::default();
        for (number, site) in (0..).zip(&config.sites) {
            if !is_here(site) {
                table.paths.push(Paths::default());
                table.numbers.push(Vec::new());
                continue;
            }
            let routes = site.routes.iter().map(|route| (route.paths.as_slice(), &route.conditions));
            table.paths.push(Paths::new(routes));
            let numbers = site.routes.iter().map(|route| table.number(route, limits, &mut seen)).collect();
            table.numbers.push(numbers);
            let patterns = site.hosts.iter().map(Some).chain(site.hosts.is_empty().then_some(None));
            for pattern in patterns {
                // That no two sites have the same host at one address was seen when the file was read.
                let _ = table.hosts.insert(pattern, number);
            }
        }
        table
    }

    fn number(&mut self, route: &Route, limits: &Limits, seen: &mut Seen) -> Numbers {
        let settings = &route.terms.engine;
        let mut numbers = Numbers::default();
        if *settings != self.listeners {
            let next = u32::try_from(self.settings.len())
                .expect("there are fewer than routes, and those are bounded");
            let number = *seen.settings.entry(format!("{settings:?}")).or_insert(next);
            if number == next {
                self.settings.push(settings.clone());
            }
            numbers.settings = Some(number);
        }
        if let Some(rule) = &route.rules.rate_limit
            && let Some(limit) = limits.of(rule)
        {
            let next =
                u32::try_from(self.limits.len()).expect("there are fewer than routes, and those are bounded");
            let number = *seen.limits.entry(rule.owner.clone()).or_insert(next);
            if number == next {
                self.limits.push(limit.clone());
            }
            numbers.limit = Some(number);
        }
        numbers
    }

    pub(crate) fn site(&self, authority: &[u8]) -> Option<(usize, &Site)> {
        let number = self.hosts.find(authority)? as usize;
        Some((number, self.config.sites.get(number)?))
    }

    /// The number of the route among its site's.
    pub(crate) fn route(&self, site: usize, head: &RequestHead) -> Option<usize> {
        self.paths.get(site)?.find(head).map(|route| route as usize)
    }

    /// What exchanges are held to until there is a route.
    pub(crate) fn listener_settings(&self) -> &Settings {
        &self.listeners
    }

    pub(super) fn numbers(&self, (site, route): (usize, usize)) -> Numbers {
        self.numbers.get(site).and_then(|site| site.get(route)).copied().unwrap_or_default()
    }

    pub(super) fn balance(&self, upstream: usize) -> &Balance {
        self.config.upstreams.get(upstream).map_or(&Balance::RoundRobin, |upstream| &upstream.balance)
    }
}

/// What has a number already.
#[derive(Default)]
struct Seen {
    settings: HashMap<String, u32>,
    limits: HashMap<String, u32>,
}

/// What holds for the connections of an address is the same for all of its sites. Content that is too much for every
/// route need not be read; what may be right for one of them must be.
fn listeners<'s>(sites: impl Iterator<Item = &'s Site> + Clone) -> Settings {
    let mut listeners = sites.clone().next().map(|site| site.terms.engine.clone()).unwrap_or_default();
    let of_routes = sites.flat_map(|site| &site.routes).map(|route| route.terms.engine.content_bytes_max);
    listeners.content_bytes_max =
        of_routes.map(|max| max.unwrap_or(u64::MAX)).max().filter(|max| *max < u64::MAX);
    listeners
}
