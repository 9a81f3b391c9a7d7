//! A gateway within a program that runs on tokio. The engine has threads of its own, and a lane awaits nothing that
//! another thread would wake: what belongs to tokio is asked for by `offload`.
//!
//! `cargo run --example embedded_in_tokio -- 127.0.0.1:8080 127.0.0.1:9001`, and Ctrl-C to end it
use corelane_engine::{
    Cluster, Engine, Error, Handler, Lane, Request, Response, Result, StatusCode, Upstream,
};
use tokio::{runtime, sync::RwLock};

/// What the rest of the program knows, and may change at any time.
static TENANTS: RwLock<Vec<(String, String)>> = RwLock::const_new(Vec::new());

struct Gateway {
    lane: Lane,
    origin: Upstream,
    tokio: runtime::Handle,
}

impl Handler for Gateway {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let (tokio, host) = (self.tokio.clone(), request.authority().to_owned());
        let tenant = self.lane.offload(move || {
            tokio.block_on(async {
                let tenants = TENANTS.read().await;
                tenants.iter().find(|(name, _)| *name == host).map(|(_, tenant)| tenant.clone())
            })
        });
        let Some(tenant) = tenant.await? else {
            return Ok(Response::text(StatusCode::MISDIRECTED_REQUEST, "nobody of that name\n"));
        };
        request.note("tenant", &tenant);
        request.fields_mut().try_set("x-tenant", tenant).map_err(Error::internal)?;
        self.origin.send(request).await
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let origin = Cluster::round_robin(arguments).resolve()?;
    TENANTS.write().await.push(("example.com".to_owned(), "acme".to_owned()));
    let tokio = runtime::Handle::current();
    let engine = Engine::builder()
        .serve(listen, move |lane| {
            let origin = lane.upstream(&origin);
            Ok(Gateway { lane: lane.clone(), origin, tokio: tokio.clone() })
        })
        .on_event(|event| eprintln!("{event}"))
        .spawn()?;
    tokio::signal::ctrl_c().await?;
    engine.drain(); // requests in flight finish
    tokio::task::spawn_blocking(move || engine.join()).await.map_err(Error::internal)
}
