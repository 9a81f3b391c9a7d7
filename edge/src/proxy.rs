//! `corelane proxy`: everything that comes goes to one cluster.

use crate::{
    address::{To, resolve_listen},
    cli::{Balance, LogFormat, ProxyArgs},
    failure::Failure,
    serve::{self, Plan},
};
use corelane_engine::{Cluster, Handler, Request, Response, Result, Upstream};
use std::net::SocketAddr;

/// Forwards every request to its origin.
pub(crate) struct Proxy {
    pub(crate) origin: Upstream,
}

impl Handler for Proxy {
    async fn handle(&self, request: Request) -> Result<Response> {
        self.origin.send(request).await
    }
}

/// Serves until it is told to stop.
pub(crate) fn run(args: &ProxyArgs) -> std::result::Result<(), Failure> {
    let endpoints = endpoints(&args.to)?;
    let plan = Plan {
        listen: resolve_listen(&args.listen)?,
        cluster: cluster(&endpoints, args.balance)?,
        serving: &args.serving,
        admin: serve::admin_address(&args.serving)?,
        log_format: args.serving.log_format.unwrap_or(LogFormat::Json),
        say_more: None,
    };
    serve::run(plan)
}

/// Every address to forward to, with its weight. An address that is named twice counts twice.
fn endpoints(to: &[To]) -> std::result::Result<Vec<(SocketAddr, Option<u32>)>, Failure> {
    let mut endpoints = Vec::new();
    for one in to {
        endpoints.extend(one.resolve()?.into_iter().map(|address| (address, one.weight)));
    }
    Ok(endpoints)
}

/// The recipe; weights hold for every way to choose.
fn cluster(
    endpoints: &[(SocketAddr, Option<u32>)],
    balance: Balance,
) -> std::result::Result<Cluster, Failure> {
    let addresses = endpoints.iter().map(|(address, _)| address.to_string());
    let weights = endpoints.iter().map(|(_, weight)| weight.unwrap_or(1));
    let is_weighted = endpoints.iter().any(|(_, weight)| weight.is_some());
    let cluster = match balance {
        Balance::RoundRobin if is_weighted => Cluster::weighted_round_robin(addresses.zip(weights)),
        Balance::RoundRobin => Cluster::round_robin(addresses),
        Balance::Random => Cluster::random(addresses).weights(weights),
        Balance::LeastRequest => Cluster::least_request(addresses).weights(weights),
    };
    cluster.name("default").resolve().map_err(|error| Failure::Usage(format!("--to cannot be: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_reach_the_cluster() {
        let to: Vec<To> = ["127.0.0.1:1=3", "127.0.0.1:2"].map(|text| text.parse().unwrap()).to_vec();
        let endpoints = endpoints(&to).unwrap();
        assert_eq!(endpoints.iter().map(|(_, weight)| *weight).collect::<Vec<_>>(), [Some(3), None]);
        for balance in [Balance::RoundRobin, Balance::Random, Balance::LeastRequest] {
            assert_eq!(cluster(&endpoints, balance).unwrap().addresses().len(), 2, "{balance:?}");
        }
    }
}
