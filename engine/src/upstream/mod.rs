//! The way to an origin: which endpoint, which connection, and whether to try again.

mod attempt;
mod cluster;
mod connection;
mod lane;
mod lend;
mod peer;
mod pool;
mod roster;
mod turnstile;
mod upload;

pub(crate) use attempt::Transfer;
pub use cluster::Cluster;
pub(crate) use connection::UpstreamConnection;
pub(crate) use lend::Asked;
pub use peer::Peer;
pub(crate) use pool::Pool;
pub(crate) use roster::Members;
pub(crate) use turnstile::Turnstile;

use crate::{
    body::Source,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    lane::Lane,
    message::{Request, Response},
    metrics::Metric,
    record::AttemptOutcome,
};
use attempt::Failure;
use corelane_balancer::{
    Tried,
    retry::{self, Message, Verdict},
};
use corelane_codec::{RequestHead, forward};
use std::rc::Rc;
use upload::Content;

/// One lane's way to a cluster: its picker and its pooled connections.
#[derive(Clone)]
pub struct Upstream {
    lane: Lane,
    members: Rc<Members>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("cluster", &self.members.roster().name()).finish_non_exhaustive()
    }
}

impl Upstream {
    pub(crate) fn new(lane: &Lane, members: Rc<Members>) -> Self {
        Self { lane: lane.clone(), members }
    }

    /// Sends the request to an endpoint and gives its answer; tries again where that is safe.
    ///
    /// What an intermediary must change is changed here: `Via`, `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are
    /// set on the request (or extended: see [`Settings::trusted_proxies`](crate::Settings::trusted_proxies)), `Via` on the response. The content goes out while the answer is awaited, and may still go
    /// on while the answer's content is read.
    ///
    /// # Errors
    /// Nobody could be reached (502, or 504 if the last wait for a connection timed out); the origin answered with
    /// what is not HTTP, or closed (502); it took too long (504); the client went away or sent what it must not.
    pub async fn send(&self, request: Request) -> Result<Response> {
        let Request { mut head, body, exchange } = request;
        exchange.mark_upstream();
        self.prepare(&mut head, &exchange)?;
        // What the handler has read, or put in its place, decides; not what the client had announced.
        head.content = body.length();
        let mut content = match body.0 {
            Source::Empty => Content::none(),
            Source::Bytes(bytes) => Content::bytes(bytes),
            Source::Client(client, length) => {
                let idempotent = retry::idempotent(head.method.as_str());
                Content::from_client(client, length, idempotent)
            }
            Source::Upstream(_) => {
                return Err(Error::internal("a response's content cannot be sent as a request's"));
            }
        };
        // From here on it is the origin that asks for the content.
        content.set_expects(exchange.take_expects());
        let result = self.attempts(&head, &mut content, &exchange).await;
        self.lane.give_request(head);
        let mut response = result?;
        forward::response(&mut response.head, &self.lane.0.process.config.via);
        Ok(response)
    }

    fn prepare(&self, head: &mut RequestHead, exchange: &Exchange) -> Result<()> {
        let mut forward = |request_id: &[u8]| {
            let hop = forward::Hop {
                peer: exchange.connection().peer.ip(),
                scheme: "http",
                via: &self.lane.0.process.config.via,
                request_id: str::from_utf8(request_id).unwrap_or_default(),
                trusted: exchange.trusted(),
            };
            forward::request(head, &hop)
        };
        match exchange.read(|record| forward(&record.request_id)) {
            Some(forwarded) => forwarded?,
            // The record has gone: a task sends this that has outlived its request.
            None => forward(&self.lane.request_id())?,
        }
        Ok(())
    }

    /// One attempt after another, as the table of [`retry`] allows.
    async fn attempts(
        &self,
        head: &RequestHead,
        content: &mut Content,
        exchange: &Rc<Exchange>,
    ) -> Result<Response> {
        let message = retry::idempotent(head.method.as_str());
        let roster = self.members.roster();
        let key = if roster.asks_for_key() { exchange.balance_key() } else { 0 };
        let (mut tried, mut reached, mut fresh_only) = (Tried::default(), 0, None);
        let mut last: Option<Error> = None;
        loop {
            let endpoint = match fresh_only {
                Some(endpoint) => endpoint,
                None => match roster.pick(key, &tried) {
                    Some(endpoint) => endpoint,
                    None => {
                        let none = Error::new(Side::Upstream, Stage::Route, ErrorKind::NoEndpoint);
                        return Err(last.unwrap_or(none));
                    }
                },
            };
            let lease = roster.lease(endpoint, fresh_only.is_some(), exchange).await;
            let lease = match lease {
                Ok(lease) => lease,
                // Other endpoints are no way around the cluster's maximum.
                Err(error) if error.kind() == ErrorKind::Busy => return Err(error),
                Err(error) => {
                    exchange.record(|record| record.attempt_ended(outcome(&error)));
                    tried.insert(endpoint);
                    fresh_only = None;
                    last = Some(error);
                    continue;
                }
            };
            let Failure { error, attempt } = match attempt::run(lease, head, content, exchange).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            exchange.record(|record| record.attempt_ended(outcome(&error)));
            let Some(attempt) = attempt else { return Err(error) };
            let message = Message { idempotent: message, replayable: content.rewind() };
            if !message.replayable {
                // Even if nothing was written: a part of the content is gone.
                return Err(error);
            }
            match retry::verdict(&attempt, &message, &exchange.settings().retry, reached) {
                Verdict::GiveUp(_) => return Err(error),
                Verdict::Retry { costs_budget } => {
                    self.lane.0.metrics.count(Metric::Retries);
                    reached += u32::from(costs_budget);
                    // A pooled connection that has gone may mean that its endpoint is going, so another is better if
                    // there is one; and the next pooled one may have gone, too.
                    tried.insert(endpoint);
                    if attempt.reused {
                        let other = roster.pick(key, &tried);
                        fresh_only = Some(other.unwrap_or_else(|| roster.pick_again(key, endpoint)));
                    } else {
                        fresh_only = None;
                    }
                    last = Some(error);
                }
            }
        }
    }
}

fn outcome(error: &Error) -> AttemptOutcome {
    AttemptOutcome::Failed(error.stage(), error.kind())
}
