//! A gateway as one `async fn`: refuses some, marks the rest, balances over two origins.
//!
//! `cargo run --example gateway -- 127.0.0.1:8080 127.0.0.1:9001 127.0.0.1:9002`
use corelane_engine::{Cluster, Counter, Engine, Handler, Request, Response, Result, StatusCode, Upstream};

struct Gateway {
    origin: Upstream,
    denied: Counter,
}

impl Handler for Gateway {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        if request.path().starts_with("/login") && request.fields().get("authorization").is_none() {
            self.denied.add(1); // merged over lanes, on /metrics
            return Ok(Response::text(StatusCode::FORBIDDEN, "no way!\n"));
        }
        request.note("tenant", "acme"); // in the record, and so in the log line, however it ends
        request.fields_mut().set("x-gateway", "corelane");
        let mut response = self.origin.send(request).await?; // pick, lease, send, retry
        response.fields_mut().remove("alt-svc");
        Ok(response) // the engine relays the content
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let mut origins: Vec<String> = arguments.collect();
    if origins.is_empty() {
        origins = vec!["127.0.0.1:9001".to_owned(), "127.0.0.1:9002".to_owned()];
    }
    let origin = Cluster::round_robin(origins).resolve()?; // a recipe, sent to every lane
    let engine = Engine::builder()
        .serve(listen, move |lane| {
            Ok(Gateway { origin: lane.upstream(&origin), denied: lane.counter("denied_total") })
        })
        .on_event(|event| eprintln!("{event}"))
        .spawn()?;
    engine.join();
    Ok(())
}
