//! A load balancer: two origins, one after the other.
//!
//! `cargo run --example round_robin -- 127.0.0.1:8080 127.0.0.1:9001 127.0.0.1:9002`
use corelane_engine::{Cluster, Engine, Handler, Request, Response, Result, Upstream};

struct Balancer(Upstream);

impl Handler for Balancer {
    async fn handle(&self, request: Request) -> Result<Response> {
        self.0.send(request).await
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let origins: Vec<String> = arguments.collect();
    let origin = Cluster::round_robin(origins).resolve()?;
    Engine::builder()
        .serve(listen, move |lane| Ok(Balancer(lane.upstream(&origin))))
        .on_event(|event| eprintln!("{event}"))
        .run()?;
    Ok(())
}
