//! A client by itself: gets a URL, and sends what it got elsewhere while it still comes.
//!
//! `cargo run --example client -- http://127.0.0.1:9001/file [http://127.0.0.1:9002/copy]`
use corelane_engine::{Client, Error, Method, Request, Result};
use std::io::Write;

async fn copy(client: Client, from: &str, to: Option<&str>) -> Result<()> {
    let mut response = client.get(from).await?;
    let asked = response.upstream().expect("somebody answered");
    eprintln!("{} from {} after {:?}", response.status(), asked.address, asked.wait);
    if let Some(to) = to {
        let content = std::mem::take(response.body_mut());
        let mut copied = client.send(Request::new(Method::PUT, to).with_body(content)).await?;
        eprintln!("{} from {to}", copied.status());
        copied.body_mut().collect(1 << 20).await?;
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    while let Some(chunk) = response.body_mut().chunk().await? {
        out.write_all(&chunk)?; // the next piece is not asked for before this one is written
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(from) = arguments.first() else {
        return Err(Error::internal("usage: client URL [URL]"));
    };
    let to = arguments.get(1).map(String::as_str);
    Client::run(async |client: Client| copy(client, from, to).await)?
}
