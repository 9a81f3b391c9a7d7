//! A policy of one's own: whoever has answered fastest of late, times what it has to do already.
//!
//! `cargo run --example custom_policy -- 127.0.0.1:8080 127.0.0.1:9001 127.0.0.1:9002`
use corelane_engine::{
    Cluster, Engine, Handler, Request, Response, Result, Upstream,
    balancer::{Candidates, Choose, EndpointId, Factory, Outcome, Rng},
};
use std::time::Duration;

/// One for each lane and cluster. Endpoints that were tried, or cannot be reached, are no candidates.
#[derive(Default)]
struct Fastest {
    /// A moving average for each endpoint, in seconds.
    latencies: Vec<f64>,
}

impl Choose for Fastest {
    fn choose(&mut self, all: &Candidates<'_>, _: u64, _: Duration, rng: &mut Rng) -> Option<EndpointId> {
        self.latencies.resize(all.endpoints(), 0.0);
        let cost = |id: EndpointId, in_flight: u32| self.latencies[id.index()] * f64::from(in_flight + 1);
        // Now and then somebody else, or nobody would hear that it has become faster.
        if rng.below(20) == 0 {
            let nth = rng.below(all.iter().count() as u64) as usize;
            return all.iter().nth(nth).map(|one| one.id());
        }
        all.iter()
            .map(|one| (cost(one.id(), one.in_flight()), one.id()))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|best| best.1)
    }

    fn done(&mut self, id: EndpointId, outcome: Outcome, latency: Duration, _: Duration) {
        if let (Outcome::Success, Some(average)) = (outcome, self.latencies.get_mut(id.index())) {
            *average += (latency.as_secs_f64() - *average) * 0.2;
        }
    }
}

struct Balancer(Upstream);

impl Handler for Balancer {
    async fn handle(&self, request: Request) -> Result<Response> {
        self.0.send(request).await
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let origin = Cluster::custom(arguments, Factory::new(Fastest::default)).resolve()?;
    let builder = Engine::builder().serve(listen, move |lane| Ok(Balancer(lane.upstream(&origin))));
    builder.on_event(|event| eprintln!("{event}")).run()?;
    Ok(())
}
