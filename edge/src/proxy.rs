//! `corelane proxy`: everything that comes goes to one cluster.

use crate::{
    address::{To, resolve_listen},
    admin::Usual,
    balance::Balance,
    cli::ProxyArgs,
    config::Env,
    failure::Failure,
    serve::{self, Plan, Serving, Settings},
};
use corelane_control::log::Format;
use corelane_engine::{Address, Builder, Cluster, Handler, Request, Response, Result, Upstream};

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
pub(crate) fn run(args: &ProxyArgs, env: Env<'_>) -> std::result::Result<(), Failure> {
    let endpoints = endpoints(&args.to)?;
    let listen = resolve_listen(&args.listen)?;
    let cluster = cluster(&endpoints, &args.balance)?;
    serve::run(Plan {
        install: &|builder| install(builder, &listen, &cluster),
        upstreams: cluster.addresses().to_vec(),
        serving: Serving::of(&args.serving, Format::default()),
        admin: args.serving.admin.clone(),
        usual: Usual::new(env),
        settings: Settings::Flags,
        say_more: None,
    })
}

/// One handler for every address.
pub(crate) fn install(builder: Builder, listen: &[Address], cluster: &Cluster) -> Builder {
    listen.iter().fold(builder, |builder, address| {
        let cluster = cluster.clone();
        builder.serve(address, move |lane| Ok(Proxy { origin: lane.upstream(&cluster) }))
    })
}

/// Every address to forward to, with its weight. An address that is named twice counts twice.
pub(crate) fn endpoints(to: &[To]) -> std::result::Result<Vec<(Address, Option<u32>)>, Failure> {
    let mut endpoints = Vec::new();
    for one in to {
        endpoints.extend(one.resolve()?.into_iter().map(|address| (address, one.weight)));
    }
    Ok(endpoints)
}

fn cluster(endpoints: &[(Address, Option<u32>)], balance: &Balance) -> std::result::Result<Cluster, Failure> {
    let cluster = balance.cluster(endpoints).name("default").resolve();
    cluster.map_err(|error| Failure::Usage(format!("--to cannot be: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_reach_the_cluster() {
        let to: Vec<To> = ["127.0.0.1:1=3", "127.0.0.1:2"].map(|text| text.parse().unwrap()).to_vec();
        let endpoints = endpoints(&to).unwrap();
        assert_eq!(endpoints.iter().map(|(_, weight)| *weight).collect::<Vec<_>>(), [Some(3), None]);
        assert_eq!(cluster(&endpoints, &Balance::Random).unwrap().addresses().len(), 2);
    }
}
