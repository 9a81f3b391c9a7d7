//! A reverse proxy: balances over its origins, tries again where that is safe, says a line for each request.
//!
//! `cargo run --example reverse_proxy -- 127.0.0.1:8080 127.0.0.1:9001 127.0.0.1:9002`
use corelane_engine::{
    Cluster, Engine, FnSink, Handler, Record, Request, Response, Result, StatusCode, Upstream,
};

struct Proxy {
    origin: Upstream,
}

impl Handler for Proxy {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        if request.path() == "/healthz" {
            return Ok(Response::text(StatusCode::OK, "up\n"));
        }
        request.fields_mut().set("x-gateway", "corelane");
        let mut response = self.origin.send(request).await?; // pick, lease, send, retry
        response.fields_mut().remove("server");
        Ok(response) // the engine relays the content
    }
}

fn log(record: &Record) {
    let target = String::from_utf8_lossy(&record.target);
    let end = record.end.as_str();
    println!("{} {target} {} {:?} {end} {}", record.client, record.status, record.duration, record.error);
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let origin = Cluster::p2c(arguments).resolve()?; // a recipe, sent to every lane
    Engine::builder()
        .serve(listen, move |lane| Ok(Proxy { origin: lane.upstream(&origin) })) // one for each lane
        .on_record(|_lane| Box::new(FnSink(log)))
        .on_event(|event| eprintln!("{event}"))
        .run()?;
    Ok(())
}
