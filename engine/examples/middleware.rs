//! Middleware is a struct around a handler: their order is nesting, and what a request needs is a local variable.
//!
//! `cargo run --example middleware -- 127.0.0.1:8080 127.0.0.1:9001`
use corelane_engine::{
    Cluster, Counter, Engine, Error, Handler, Lane, Request, Response, Result, StatusCode, Upstream,
};

/// Says how long the answer took, and gives errors a face. The record keeps the error all the same.
struct Polite<H>(H, Lane);

impl<H: Handler> Handler for Polite<H> {
    async fn handle(&self, request: Request) -> Result<Response> {
        let (began, id) = (self.1.now(), request.id());
        let mut response = self.0.handle(request).await.unwrap_or_else(Response::from);
        if response.error().is_some() {
            response.set_body(format!("{}, we are sorry. Ask for {id}.\n", response.status()));
        }
        let took = (self.1.now() - began).as_millis();
        response.fields_mut().set("server-timing", format!("app;dur={took}"));
        Ok(response)
    }
}

/// Lets in who has a token, and tells the origin and the log who that is.
struct Authenticated<H>(H, Counter);

impl<H: Handler> Handler for Authenticated<H> {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let user = match request.fields().get("authorization") {
            Some(b"Bearer wonderland") => "alice",
            Some(_) => return Err(Error::status_of(StatusCode::FORBIDDEN)),
            None => return Err(Error::status_of(StatusCode::UNAUTHORIZED)),
        };
        self.1.add(1);
        request.note("user", user);
        request.fields_mut().set("x-user", user);
        self.0.handle(request).await
    }
}

struct Forward(Upstream);

impl Handler for Forward {
    async fn handle(&self, request: Request) -> Result<Response> {
        self.0.send(request).await
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let origin = Cluster::round_robin(arguments).resolve()?;
    let builder = Engine::builder().serve(listen, move |lane| {
        let inner = Authenticated(Forward(lane.upstream(&origin)), lane.counter("authenticated_total"));
        Ok(Polite(inner, lane.clone()))
    });
    builder.on_event(|event| eprintln!("{event}")).run()?;
    Ok(())
}
