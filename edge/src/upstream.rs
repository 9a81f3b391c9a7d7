//! Upstreams: endpoints by name, what their names stand for by now, and the cluster that lanes make of it.

use crate::{address::To, balance::Balance, failure::Failure};
use corelane_control::names::Group;
use corelane_engine::{Address, Cluster};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Endpoints, and how requests are spread over them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Upstream {
    /// What metrics and logs call it; nobody else is called so.
    pub(crate) name: String,
    pub(crate) balance: Balance,
    pub(crate) to: Vec<To>,
    /// To all endpoints together; none: no limit.
    pub(crate) connections_max: Option<u32>,
    /// For requests that find no connection: how many may wait, and for how long; none: as the engine does.
    pub(crate) queue: Option<(u32, Duration)>,
    /// For a connection that nothing is sent on; none: as `timeouts.upstream_idle` at the top level says.
    pub(crate) idle_max: Option<Duration>,
    /// Where connections come from; none: as the system thinks best.
    pub(crate) source: Option<IpAddr>,
}

impl Upstream {
    /// One that is nothing but endpoints.
    pub(crate) fn new(name: impl Into<String>, balance: Balance, to: Vec<To>) -> Self {
        Self {
            name: name.into(),
            balance,
            to,
            connections_max: None,
            queue: None,
            idle_max: None,
            source: None,
        }
    }

    /// Looks its names up, which may take as long as the system lets it.
    pub(crate) fn find(&self) -> Result<Found, Failure> {
        let known = self.to.iter().map(To::look_up).collect::<Result<_, _>>()?;
        Ok(Found { upstream: self.clone(), known })
    }
}

/// An upstream whose names have been looked up.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) upstream: Upstream,
    /// What each endpoint's name stands for; nothing for a unix socket.
    known: Vec<Vec<SocketAddr>>,
}

impl Found {
    /// The recipe for lanes. Names have been looked up, so it blocks for nothing.
    pub(crate) fn cluster(&self) -> Result<Cluster, String> {
        let Upstream { name, balance, to, connections_max, queue, idle_max, source } = &self.upstream;
        let mut endpoints: Vec<(Address, Option<u32>)> = Vec::new();
        for (to, known) in to.iter().zip(&self.known) {
            endpoints.extend(to.endpoints(known)?.into_iter().map(|address| (address, to.weight)));
        }
        let mut cluster = balance.cluster(&endpoints).name(name.as_str()).connections_max(*connections_max);
        if let Some((requests_max, wait)) = queue {
            cluster = cluster.queue(*requests_max, *wait);
        }
        if let Some(idle_max) = idle_max {
            cluster = cluster.idle_max(*idle_max);
        }
        if let Some(source) = source {
            cluster = cluster.source(*source);
        }
        cluster.resolve().map_err(|error| error.to_string())
    }

    /// The names among its endpoints, to be looked up again; none if all are numbers or sockets.
    pub(crate) fn group(&self) -> Option<Group> {
        let mut group = Group { hosts: Vec::new(), known: Vec::new() };
        for (to, known) in self.upstream.to.iter().zip(&self.known) {
            if let Some((host, port)) = to.name() {
                group.hosts.push((host.to_owned(), port));
                group.known.push(known.clone());
            }
        }
        (!group.hosts.is_empty()).then_some(group)
    }

    /// The same with what its names stand for by now, in the order of the [group](Self::group).
    #[must_use]
    pub(crate) fn with(mut self, news: Vec<Vec<SocketAddr>>) -> Self {
        let named = self.upstream.to.iter().zip(&mut self.known).filter(|(to, _)| to.name().is_some());
        for ((_, known), new) in named.zip(news) {
            *known = new;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(to: &[&str]) -> Found {
        let to = to.iter().map(|to| to.parse().unwrap()).collect();
        Upstream::new("app", Balance::RoundRobin, to).find().unwrap()
    }

    #[test]
    fn weights_hold_for_every_address_of_a_name() {
        let found = found(&["127.0.0.1:1=3", "localhost:2", "unix:/a"]);
        let cluster = found.cluster().unwrap();
        assert_eq!(cluster.addresses().len(), 3, "{cluster:?}");
        assert_eq!(found.group().unwrap().hosts, [("localhost".to_owned(), 2)]);
    }

    #[test]
    fn up_13_other_addresses_take_the_place_of_those_of_the_name_only() {
        let found = found(&["127.0.0.1:1", "localhost:2", "127.0.0.1:3"]);
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let next = found.clone().with(vec![vec![at("10.0.0.1:2"), at("10.0.0.2:2"), at("[::1]:2")]]);
        let addresses: Vec<String> =
            next.cluster().unwrap().addresses().iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["127.0.0.1:1", "10.0.0.1:2", "10.0.0.2:2", "127.0.0.1:3"]);
        // A forged answer would make the proxy talk to itself.
        assert!(found.with(vec![vec![at("0.0.0.0:2")]]).cluster().unwrap_err().contains("0.0.0.0"));
    }
}
