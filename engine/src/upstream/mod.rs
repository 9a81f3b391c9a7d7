//! The way to an origin: which endpoint, which connection, and whether to try again.

mod attempt;
mod attempts;
mod cluster;
mod connection;
mod known;
mod lane;
mod lend;
mod peer;
mod pool;
mod roster;
mod transfer;
mod turnstile;
mod upload;

pub use attempts::{Attempts, NextAttempt};
pub use cluster::Cluster;
pub(crate) use connection::UpstreamConnection;
pub(crate) use known::Known;
pub(crate) use lend::Asked;
pub use peer::Peer;
pub(crate) use pool::Pool;
pub(crate) use roster::Members;
pub(crate) use transfer::Transfer;
pub(crate) use turnstile::Turnstile;

use crate::{
    body::{Replay, Source},
    context::Exchange,
    error::Result,
    lane::Lane,
    message::{Request, Response, unvouch},
};
use corelane_codec::{RequestHead, forward};
use std::{borrow::BorrowMut, pin::pin, rc::Rc};

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

    /// Sends the request to an endpoint and gives its answer; tries again where that is safe. It takes a [`Request`], or
    /// a `&mut Request`, which can be sent to another cluster if this one fails ([`Request::may_resend`]).
    ///
    /// What an intermediary must change is changed here: `Via`, `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are
    /// set on the request (or extended: see [`Settings::trusted_proxies`](crate::Settings::trusted_proxies)), `Via` on
    /// the response. The content goes out while the answer is awaited, and may still go on while the answer's content is
    /// read.
    ///
    /// # Errors
    /// Nobody could be reached (502, or 504 if the last wait for a connection timed out); the origin answered with
    /// what is not HTTP, or closed (502); it took too long (504); the client went away or sent what it must not.
    pub async fn send(&self, mut request: impl BorrowMut<Request>) -> Result<Response> {
        let mut attempts = self.attempts(request.borrow_mut());
        loop {
            let attempt = attempts.next().await?;
            // Pinned where it is made: what is awaited as it is is copied once more.
            let outcome = pin!(attempt.send()).await;
            // By reference: a response is large, and this is every request's way.
            let is_good = outcome.as_ref().is_ok_and(|response| !attempts.worth_retrying(response));
            if is_good || !attempts.may_retry() {
                return outcome;
            }
        }
    }

    /// What is done once for all attempts, whichever cluster they are at.
    fn prepare(&self, request: &mut Request, exchange: &Exchange) -> Result<()> {
        let request = &mut *request.0;
        let (head, body) = (&mut request.head, &mut request.body);
        body.settle();
        // What the handler has read, or put in its place, decides; not what the client had announced.
        head.content = body.length();
        if head.content.is_empty() {
            body.0 = Source::Empty;
        } else if !matches!(body.0, Source::Replay(_)) {
            if body.0.is_altered() {
                unvouch(&mut head.fields);
            }
            let bytes_max = exchange.settings().replay_bytes_max;
            body.0 = Source::Replay(Box::new(Replay::new(std::mem::take(&mut body.0), bytes_max)));
        }
        if !std::mem::replace(&mut request.forwarded, true) {
            self.forward(head, exchange)?;
        }
        Ok(())
    }

    fn forward(&self, head: &mut RequestHead, exchange: &Exchange) -> Result<()> {
        // What is our own does not come from anywhere else.
        let Some(peer) = exchange.peer() else { return Ok(()) };
        let mut forward = |request_id: &[u8]| {
            let hop = forward::Hop {
                peer: peer.ip(),
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
}
