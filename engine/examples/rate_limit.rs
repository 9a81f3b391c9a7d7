//! So many requests per second and client, over all lanes together; who is late is told when to come back.
//!
//! `cargo run --example rate_limit -- 127.0.0.1:8080 127.0.0.1:9001`
use corelane_engine::{
    Cluster, Counter, Engine, Handler, RateLimit, RateLimiter, Request, Response, Result, StatusCode,
    Upstream, balancer::count::Limit,
};
use std::time::Duration;

struct Limited {
    origin: Upstream,
    per_key: RateLimiter,
    refused: Counter,
}

impl Handler for Limited {
    async fn handle(&self, request: Request) -> Result<Response> {
        let checked = match (request.fields().get("x-api-key"), request.client_ip()) {
            (Some(key), _) => self.per_key.check(key),
            (None, Some(ip)) => self.per_key.check_ip(ip),
            (None, None) => Ok(()),
        };
        if let Err(wait) = checked {
            self.refused.add(1); // merged over lanes, on /metrics
            let mut response = Response::text(StatusCode::TOO_MANY_REQUESTS, "not so fast\n");
            response.fields_mut().set("retry-after", (wait.as_secs() + 1).to_string());
            return Ok(response);
        }
        self.origin.send(request).await
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let origin = Cluster::round_robin(arguments).resolve()?;
    // Five at once, and then one each second.
    let limit = Limit::new(1, Duration::from_secs(1), 5).map_err(corelane_engine::Error::internal)?;
    let limit = RateLimit::new(limit, 100_000); // a recipe: all lanes take from the same
    Engine::builder()
        .serve(listen, move |lane| {
            Ok(Limited {
                origin: lane.upstream(&origin),
                per_key: lane.rate_limit(&limit),
                refused: lane.counter("rate_limited_total"),
            })
        })
        .on_event(|event| eprintln!("{event}"))
        .run()?;
    Ok(())
}
