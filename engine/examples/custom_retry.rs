//! The loop of attempts, written out: a busy origin is waited for, a slow one is given up early, an idempotency key makes
//! a POST as good as a PUT, and each attempt says which it is.
//!
//! `cargo run --example custom_retry -- 127.0.0.1:8080 127.0.0.1:9001 127.0.0.1:9002`
use corelane_engine::{
    Cluster, Engine, Handler, Lane, Request, Response, Result, RetryPolicy, StatusCode, Upstream,
};
use std::time::Duration;

struct Patient {
    lane: Lane,
    origin: Upstream,
}

impl Handler for Patient {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let has_key = request.fields().contains("idempotency-key");
        let mut attempts = self.origin.attempts(&mut request);
        if has_key {
            attempts.assume_idempotent();
        }
        loop {
            let mut attempt = attempts.next().await?; // an error: none is left, with every reason
            let number = attempt.number();
            attempt.fields_mut().set("x-try", number.to_string()); // of this attempt alone
            attempt.set_timeout(Duration::from_secs(2));
            match attempt.send().await {
                Ok(busy) if busy.status() == StatusCode::TOO_MANY_REQUESTS && attempts.may_retry() => {
                    drop(busy); // its connection is free for somebody else
                    self.lane.sleep(Duration::from_millis(50) * number).await;
                }
                Ok(response) if !attempts.worth_retrying(&response) => return Ok(response),
                Ok(_) | Err(_) if attempts.may_retry() => {}
                outcome => return outcome,
            }
        }
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let origin = Cluster::round_robin(arguments).resolve()?;
    Engine::builder()
        .retry(RetryPolicy { attempts_max: 4, on_fresh_connection: true, on_status_or_timeout: true })
        .serve(listen, move |lane| Ok(Patient { lane: lane.clone(), origin: lane.upstream(&origin) }))
        .on_event(|event| eprintln!("{event}"))
        .run()?;
    Ok(())
}
