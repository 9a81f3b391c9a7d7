//! `corelane proxy`: everything that comes goes to one cluster.

use crate::{
    address::resolve_listen,
    admin::Usual,
    balance::Balance,
    cli::ProxyArgs,
    config::Env,
    failure::Failure,
    plan::{Plan, Serving},
    serve::{self, Command, Words},
    upstream::{Found, Upstream},
};
use corelane_control::log::Format;
use corelane_engine::{Address, Builder, Cluster, Handler, Request, Response, Result, Upstream as Origin};

/// Forwards every request to its origin.
pub(crate) struct Proxy {
    origin: Origin,
    balance: Balance,
}

impl Handler for Proxy {
    async fn handle(&self, request: Request) -> Result<Response> {
        self.balance.mark(&request);
        self.origin.send(request).await
    }
}

/// Serves until it is told to stop.
pub(crate) fn run(args: &ProxyArgs, env: Env<'_>) -> std::result::Result<(), Failure> {
    let listen = resolve_listen(&args.listen)?;
    let upstream = Upstream::new("default", args.balance.clone(), args.to.clone());
    let found = upstream.find()?;
    serve::run(Command {
        plan: plan(listen, found, Serving::of(&args.serving, Format::default()))?,
        again: None,
        usual: Usual::new(env),
        words: Words::Flags,
        say_more: None,
    })
}

/// One handler for every address.
pub(crate) fn plan(
    listen: Vec<Address>,
    found: Found,
    serving: Serving,
) -> std::result::Result<Plan, Failure> {
    let cluster = found.cluster().map_err(|says| Failure::Usage(format!("--to cannot be: {says}")))?;
    let balance = found.upstream.balance.clone();
    Ok(Plan {
        install: Box::new(move |builder| install(builder, &listen, (&cluster, &balance))),
        upstreams: vec![found],
        serving,
        explained: String::new(),
        summary: String::new(),
        fixed: Vec::new(),
    })
}

fn install(builder: Builder, listen: &[Address], (cluster, balance): (&Cluster, &Balance)) -> Builder {
    listen.iter().fold(builder, |builder, address| {
        let (cluster, balance) = (cluster.clone(), balance.clone());
        builder.serve(address, move |lane| {
            Ok(Proxy { origin: lane.upstream(&cluster), balance: balance.clone() })
        })
    })
}
