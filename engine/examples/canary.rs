//! One request in ten goes to a new version, and so does whoever asks for it; if the new version fails, nobody notices.
//!
//! `cargo run --example canary -- 127.0.0.1:8080 127.0.0.1:9001 127.0.0.1:9002`: the stable one, then the canary
use corelane_engine::{Cluster, Counter, Engine, Handler, Request, Response, Result, Upstream};
use std::cell::Cell;

const ONE_IN: u64 = 10;

struct Canary {
    stable: Upstream,
    canary: Upstream,
    failed: Counter,
    seen: Cell<u64>, // a lane's own: no lock, no atomic
}

impl Handler for Canary {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        self.seen.set(self.seen.get() + 1);
        let wanted = request.fields().get("x-canary").is_some();
        if !wanted && !self.seen.get().is_multiple_of(ONE_IN) {
            return self.stable.send(request).await;
        }
        request.note("version", "canary"); // in the log line, however it ends
        match self.canary.send(&mut request).await {
            Ok(response) if !response.status().is_server_error() => return Ok(response),
            outcome if !request.may_resend() => return outcome, // what was done is not done twice
            _ => self.failed.add(1),
        }
        request.note("version", "canary, then stable");
        self.stable.send(request).await
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, stable, canary] = &arguments[..] else {
        return Err(corelane_engine::Error::internal("usage: canary LISTEN STABLE CANARY"));
    };
    let stable = Cluster::round_robin([stable]).name("stable").resolve()?;
    let canary = Cluster::round_robin([canary]).name("canary").resolve()?;
    Engine::builder()
        .serve(listen, move |lane| {
            Ok(Canary {
                stable: lane.upstream(&stable),
                canary: lane.upstream(&canary),
                failed: lane.counter("canary_failed_total"),
                seen: Cell::new(0),
            })
        })
        .on_event(|event| eprintln!("{event}"))
        .run()?;
    Ok(())
}
