//! A server: answers by itself.
//!
//! `cargo run --example hello -- 127.0.0.1:8080`, then `curl http://127.0.0.1:8080/world`
use corelane_engine::{Engine, Handler, Request, Response, Result, StatusCode};

struct Hello;

impl Handler for Hello {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let name = request.path().trim_start_matches('/').to_owned();
        let content = request.body_mut().collect(64 << 10).await?; // more is a 413
        let text = format!("hello, {name}! You sent {} bytes.\n", content.len());
        Ok(Response::text(StatusCode::OK, text))
    }
}

fn main() -> Result<()> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    Engine::builder().serve(listen, |_lane| Ok(Hello)).on_event(|event| eprintln!("{event}")).run()?;
    Ok(())
}
