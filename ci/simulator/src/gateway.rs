//! The engine's handler: it deals with a request in the way that its target names.

use crate::{
    spec::content,
    way::{Way, rewrite},
};
use corelane_engine::{
    Body, Chunk, Error, Fields, Handler, Lane, Method, Output, Request, Response, Result, StatusCode,
    Transform, Tunnel, TunnelReader, TunnelWriter, Upstream,
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

/// What a handler says that panics on purpose.
pub(crate) const PANIC: &str = "as the request wants it";
/// More than any content of ours has.
const CONTENT_BYTES_MAX: usize = 4 << 20;
/// Bytes of an answer of the handler's own.
pub(crate) const LOCAL_BYTES: usize = 700;

/// A lane's handler.
pub(crate) struct Gateway {
    lane: Lane,
    origin: Upstream,
}

/// Content becomes another of the same length, which is known or not.
struct Rewriting {
    knows_length: bool,
}

impl Transform for Rewriting {
    fn chunk(&mut self, mut chunk: Chunk, out: &mut Output) -> Result<()> {
        rewrite(&mut chunk);
        out.push(chunk);
        Ok(())
    }

    fn length(&self, length: u64) -> Option<u64> {
        self.knows_length.then_some(length)
    }
}

impl Handler for Gateway {
    async fn handle(&self, request: Request) -> Result<Response> {
        match Way::of(request.query().unwrap_or_default()) {
            Way::Pass => self.origin.send(request).await,
            Way::Collect => self.collect(request).await,
            Way::Rewrite => self.rewrite(request, true).await,
            Way::Reframe => self.rewrite(request, false).await,
            Way::Tee => self.tee(request).await,
            Way::Loop => self.attempt(request).await,
            Way::Hint => self.hint(request).await,
            Way::Mirror => self.mirror(request).await,
            Way::Offload => self.offload(request).await,
            Way::Relay => self.relay(request).await,
            Way::Hold => self.hold(request).await,
            Way::Local => Ok(answer(&request)),
            Way::Read => self.read(request).await,
            Way::Panic => panic!("{PANIC}"),
            Way::PanicLate => self.panic_late(request).await,
            Way::Echo => echo(&request),
            Way::Carry => self.carry(request).await,
        }
    }
}

impl Gateway {
    pub(crate) fn new(lane: &Lane, origin: Upstream) -> Self {
        Self { lane: lane.clone(), origin }
    }

    async fn collect(&self, mut request: Request) -> Result<Response> {
        let content = request.body_mut().collect(CONTENT_BYTES_MAX).await?;
        request.set_body(content);
        self.origin.send(request).await
    }

    async fn rewrite(&self, mut request: Request, knows_length: bool) -> Result<Response> {
        request.body_mut().transform(Rewriting { knows_length });
        let mut response = self.origin.send(request).await?;
        response.body_mut().transform(Rewriting { knows_length });
        Ok(response)
    }

    async fn tee(&self, mut request: Request) -> Result<Response> {
        let asked = request.body_mut().tee(CONTENT_BYTES_MAX);
        let mut response = self.origin.send(request).await?;
        let answered = response.body_mut().tee(1_000);
        self.lane.spawn(async move {
            drop((asked.finish().await, answered.finish().await));
        });
        Ok(response)
    }

    async fn attempt(&self, mut request: Request) -> Result<Response> {
        let mut attempts = self.origin.attempts(&mut request);
        loop {
            let mut attempt = attempts.next().await?;
            let number = attempt.number();
            attempt.fields_mut().set("x-try", number.to_string());
            match attempt.send().await {
                Ok(response) if !attempts.worth_retrying(&response) => return Ok(response),
                Ok(_) | Err(_) if attempts.may_retry() => {}
                outcome => return outcome,
            }
            self.lane.sleep(Duration::from_millis(20) * number).await;
        }
    }

    async fn hint(&self, request: Request) -> Result<Response> {
        let mut fields = Fields::new();
        fields.set("link", "</103>");
        request.inform(StatusCode::EARLY_HINTS, &fields).await?;
        self.origin.send(request).await
    }

    async fn mirror(&self, request: Request) -> Result<Response> {
        let second = Request::new(Method::GET, format!("http://sim.example/m{}", request.path()));
        let origin = self.origin.clone();
        self.lane.spawn(async move {
            // What becomes of it is nobody's business, but that it has an end.
            if let Ok(mut response) = origin.send(second).await {
                let _ = response.body_mut().collect(CONTENT_BYTES_MAX).await;
            }
        });
        self.origin.send(request).await
    }

    async fn offload(&self, request: Request) -> Result<Response> {
        let path = request.path().to_owned();
        let length = self.lane.offload(move || path.len()).await?;
        if length != request.path().len() {
            return Err(Error::internal("what was computed is of somebody else"));
        }
        self.origin.send(request).await
    }

    async fn relay(&self, request: Request) -> Result<Response> {
        let mut response = self.origin.send(request).await?;
        if response.body_mut().length().is_empty() {
            return Ok(response);
        }
        let mut from = std::mem::take(response.body_mut());
        let (mut sender, body) = Body::channel();
        self.lane.spawn(async move {
            while let Ok(chunk) = from.chunk().await {
                let Some(chunk) = chunk else { return sender.end_with(from.trailers()) };
                let Ok(()) = sender.send(chunk).await else { return };
            }
        });
        response.set_body(body);
        Ok(response)
    }

    async fn hold(&self, request: Request) -> Result<Response> {
        let mut response = self.origin.send(request).await?;
        if !response.body_mut().length().is_empty() {
            let content = response.body_mut().collect(CONTENT_BYTES_MAX).await?;
            response.set_body(content);
        }
        Ok(response)
    }

    async fn read(&self, mut request: Request) -> Result<Response> {
        let response = answer(&request);
        while request.body_mut().chunk().await?.is_some() {}
        Ok(response)
    }

    async fn panic_late(&self, request: Request) -> Result<Response> {
        let response = self.origin.send(request).await?;
        panic!("{PANIC}: {}", response.status());
    }

    async fn carry(&self, mut request: Request) -> Result<Response> {
        let mut answer = self.origin.send(&mut request).await?;
        let Some(origin) = answer.take_tunnel() else { return Ok(answer) };
        let mut response = request.upgrade(async move |client: Tunnel| {
            let (from_client, to_client) = client.split();
            let (from_origin, to_origin) = origin.split();
            both(pump(from_client, to_origin), pump(from_origin, to_client)).await
        })?;
        for (name, value) in answer.fields().iter() {
            response.fields_mut().append(&String::from_utf8_lossy(name), value);
        }
        Ok(response)
    }
}

/// An answer of the handler's own, for this request alone.
fn answer(request: &Request) -> Response {
    let id = request.path().rsplit('/').next().and_then(|id| u64::from_str_radix(id, 16).ok());
    let mut response = Response::new(StatusCode::OK);
    response.fields_mut().set("x-local", "yes");
    response.with_body(content(id.unwrap_or_default(), true, LOCAL_BYTES))
}

fn echo(request: &Request) -> Result<Response> {
    let mut response = request.upgrade(async |tunnel: Tunnel| {
        let (reader, writer) = tunnel.split();
        pump(reader, writer).await
    })?;
    response.fields_mut().set("x-local", "yes");
    Ok(response)
}

/// One direction of a tunnel, to its end.
async fn pump(mut from: TunnelReader, mut to: TunnelWriter) -> Result<()> {
    while let Some(chunk) = from.receive().await? {
        to.send(chunk).await?;
    }
    to.end();
    Ok(())
}

/// Both at once, until both have come to their end or one has failed.
async fn both(one: impl Future<Output = Result<()>>, other: impl Future<Output = Result<()>>) -> Result<()> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        if first.is_none()
            && let Poll::Ready(result) = one.as_mut().poll(cx)
        {
            first = Some(result);
        }
        if second.is_none()
            && let Poll::Ready(result) = other.as_mut().poll(cx)
        {
            second = Some(result);
        }
        match (&mut first, &mut second) {
            (Some(Err(_)), _) => Poll::Ready(first.take()),
            (_, Some(Err(_))) => Poll::Ready(second.take()),
            (Some(_), Some(_)) => Poll::Ready(Some(Ok(()))),
            _ => Poll::Pending,
        }
    })
    .await
    .unwrap_or(Ok(()))
}
