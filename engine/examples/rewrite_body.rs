//! Rewrites what an origin says, while it passes: a word may be torn apart by whatever cuts the content into pieces.
//!
//! `cargo run --example rewrite_body -- 127.0.0.1:8080 127.0.0.1:9001`
use corelane_engine::{
    Chunk, Cluster, Engine, Fields, Handler, Output, Request, Response, Result, Transform, Upstream,
};

struct Replace {
    from: &'static [u8],
    to: &'static [u8],
    held: Vec<u8>,
    times: u32,
}

impl Transform for Replace {
    fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()> {
        self.held.extend_from_slice(&chunk);
        let mut rest = &self.held[..];
        while let Some(at) = rest.windows(self.from.len()).position(|word| word == self.from) {
            out.extend(&rest[..at]);
            out.extend(self.to);
            rest = &rest[at + self.from.len()..];
            self.times += 1;
        }
        // The end of this piece may be the beginning of a word.
        let known = rest.len().saturating_sub(self.from.len() - 1);
        out.extend(&rest[..known]);
        self.held = rest[known..].to_vec();
        Ok(())
    }

    fn end(&mut self, trailers: &mut Fields, out: &mut Output) -> Result<()> {
        out.extend(&self.held);
        trailers.set("x-replaced", self.times.to_string());
        Ok(())
    }
}

struct Gateway(Upstream);

impl Handler for Gateway {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        request.fields_mut().remove("accept-encoding"); // what is compressed cannot be read
        request.fields_mut().remove("range");
        let mut response = self.0.send(request).await?;
        let replace =
            Replace { from: b"internal.example", to: b"www.example.com", held: Vec::new(), times: 0 };
        response.body_mut().transform(replace); // length and validators follow from it
        Ok(response)
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let origin = Cluster::round_robin(arguments).resolve()?;
    let builder = Engine::builder().serve(listen, move |lane| Ok(Gateway(lane.upstream(&origin))));
    builder.on_event(|event| eprintln!("{event}")).run()?;
    Ok(())
}
