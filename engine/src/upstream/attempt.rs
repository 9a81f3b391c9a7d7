//! One attempt to get an answer: the request out, the head of the response in, and then its content.

use super::{
    UpstreamConnection,
    roster::{Lease, too_late},
    upload::{Content, Upload},
};
use crate::{
    body::{Body, Source},
    content::Pull,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    lane::Lane,
    message::{Response, UpstreamInfo},
    pace::Outflow,
    record::AttemptOutcome,
    wheel::Tick,
};
use corelane_balancer::{
    Outcome,
    retry::{Attempt, Trigger, Written},
};
use corelane_codec::{Fields, Length, RequestHead, ResponseHead, h1::Event};
use http::StatusCode;
use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

/// Why there is no answer. Without an `attempt`, nothing may be tried again: it was the client's fault, or ours.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) attempt: Option<Attempt>,
}

/// Sends the request and waits for the head of its answer.
pub(crate) async fn run(
    lease: Lease,
    head: &RequestHead,
    content: &mut Content,
    exchange: &Rc<Exchange>,
) -> Result<Response, Failure> {
    let lane = lease.lane().clone();
    let mut buffer = lane.0.buffers.take();
    let begun = lease
        .connection()
        .write_head(head, &mut buffer)
        .and_then(|()| Upload::begin(lease.connection(), buffer, content, &lane));
    let upload = match begun {
        Ok(upload) => upload,
        Err(error) => return Err(Failure { error, attempt: None }),
    };
    exchange.mark_sent();
    let mut wait = Wait {
        upload,
        head: lane.take_response(),
        head_due: None,
        outflow: Outflow::default(),
        send_error: None,
    };
    let result = poll_fn(|cx| wait.poll(cx, &lease, content, exchange)).await;
    let connection = lease.connection();
    match result {
        Ok(()) => {
            exchange.mark_answered();
            let status = wait.head.status.as_u16();
            exchange.record(|record| record.attempt_ended(AttemptOutcome::Status(status)));
            let transfer = Transfer {
                lease: Some(lease),
                upload: wait.upload,
                content: std::mem::replace(content, Content::none()),
                exchange: exchange.clone(),
                receive_due: None,
                length: wait.head.content,
                failed: false,
            };
            Ok(Response { head: wait.head, body: Body(Source::Upstream(transfer)) })
        }
        Err(error) => {
            // The wait was in vain, but it was one.
            exchange.mark_failed();
            lane.give_response(wait.head);
            let attempt = (error.side() == Side::Upstream).then(|| Attempt {
                written: if connection.sent_bytes() == 0 { Written::Nothing } else { Written::Content },
                reused: lease.reused,
                response_begun: connection.response_begun(),
                refused_by_peer: false,
                trigger: match error.kind() {
                    ErrorKind::Timeout => Trigger::PerTryTimeout,
                    _ => Trigger::Failure,
                },
            });
            lease.judge(if attempt.is_some() { Outcome::Failure } else { Outcome::Cancelled });
            Err(Failure { error, attempt })
        }
    }
}

/// The wait for a final head, while the request goes out.
struct Wait {
    upload: Upload,
    head: ResponseHead,
    head_due: Option<Tick>,
    /// Interim responses, on their way to the client.
    outflow: Outflow,
    /// Sending failed; what the origin had said before may still be there to read.
    send_error: Option<Error>,
}

impl Wait {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        lease: &Lease,
        content: &mut Content,
        exchange: &Exchange,
    ) -> Poll<Result<()>> {
        let (connection, lane) = (lease.connection(), lease.lane());
        exchange.begin_wait(cx);
        loop {
            if self.send_error.is_none()
                && let Poll::Ready(Err(error)) = self.upload.poll(cx, connection, content, exchange)
            {
                if error.side() != Side::Upstream || error.kind() == ErrorKind::Timeout {
                    return Poll::Ready(Err(error));
                }
                self.send_error = Some(error);
            }
            if !exchange.is_closed() && self.poll_informed(cx, exchange)?.is_pending() {
                return Poll::Pending;
            }
            match connection.poll_head(cx, &mut self.head) {
                Poll::Ready(Ok(Event::Interim)) => self.inform(exchange),
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.blame(error, connection))),
                Poll::Pending => return self.check_deadline(exchange, lane),
            }
        }
    }

    /// Pending while an interim response is still on its way to the client, which then holds everything up.
    fn poll_informed(&mut self, cx: &mut Context<'_>, exchange: &Exchange) -> Poll<Result<()>> {
        let io = &exchange.connection().io;
        match io.poll_sent(cx) {
            Poll::Ready(Ok(())) => {
                self.outflow.done();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Error::io(Side::Downstream, Stage::Wait, &error))),
            Poll::Pending => {
                match self.outflow.wait(io, exchange.lane(), exchange.settings().timeouts.between_bytes) {
                    Some(due) => {
                        exchange.expired(due);
                        Poll::Pending
                    }
                    None => Poll::Ready(Err(Error::new(Side::Downstream, Stage::Wait, ErrorKind::Timeout))),
                }
            }
        }
    }

    /// When both directions fail, the one that failed first tells more, unless the origin had begun to answer.
    fn blame(&mut self, error: Error, connection: &UpstreamConnection) -> Error {
        match self.send_error.take() {
            Some(first) if !connection.response_begun() => first,
            _ => error,
        }
    }

    fn check_deadline(&mut self, exchange: &Exchange, lane: &Lane) -> Poll<Result<()>> {
        // The origin owes an answer once it has everything, or all that it gets before it says that it wants more.
        if self.upload.over || self.upload.is_held() {
            let upstream_head = exchange.settings().timeouts.upstream_head;
            let due = *self.head_due.get_or_insert_with(|| lane.after(upstream_head));
            if exchange.expired(due) {
                return Poll::Ready(Err(too_late(Stage::Wait)));
            }
        } else {
            self.head_due = None;
        }
        Poll::Pending
    }

    fn inform(&mut self, exchange: &Exchange) {
        if self.head.status == StatusCode::CONTINUE {
            self.upload.go_on();
        }
        if !exchange.is_closed() {
            exchange.connection().begin_interim(self.head.status, &self.head.fields);
        }
        self.head.clear();
    }
}

/// The content of a response on its way, and what of the request's is still on its way out.
pub(crate) struct Transfer {
    lease: Option<Lease>,
    upload: Upload,
    content: Content,
    exchange: Rc<Exchange>,
    receive_due: Option<Tick>,
    length: Length,
    failed: bool,
}

impl Transfer {
    pub(crate) fn lane(&self) -> &Lane {
        self.exchange.lane()
    }

    pub(crate) fn length(&self) -> Length {
        self.length
    }

    pub(crate) fn info(&self) -> UpstreamInfo {
        match &self.lease {
            Some(lease) => UpstreamInfo { address: lease.address().clone(), reused: lease.reused },
            None => unreachable!("a response's lease is kept until its content has ended"),
        }
    }

    /// The content was held back for a 100 that never came.
    pub(crate) fn was_held(&self) -> bool {
        self.upload.is_held()
    }

    /// The next piece of the response's content; the upload moves on with it. The caller has begun the wait.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Pull>> {
        self.exchange.begin_wait(cx);
        self.poll_upload(cx)?;
        self.poll_download(cx)
    }

    /// The upload's own progress. An origin that no longer takes it may still have answered, so only the client's
    /// faults are errors.
    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let Some(lease) = &self.lease else { return Ok(()) };
        if self.upload.over || self.upload.is_held() {
            return Ok(());
        }
        match self.upload.poll(cx, lease.connection(), &mut self.content, &self.exchange) {
            Poll::Ready(Err(error)) if error.side() == Side::Downstream => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn poll_download(&mut self, cx: &mut Context<'_>) -> Poll<Result<Pull>> {
        let Some(lease) = &self.lease else { return Poll::Ready(Ok(Pull::End)) };
        match lease.connection().poll_content(cx) {
            Poll::Ready(Ok(pull)) => {
                self.receive_due = None;
                if let (Pull::Piece(piece), Length::Known(left)) = (&pull, &mut self.length) {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                Poll::Ready(Ok(pull))
            }
            Poll::Ready(Err(error)) => {
                self.failed = true;
                lease.judge(Outcome::Failure);
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                let lane = lease.lane();
                let between = self.exchange.settings().timeouts.between_bytes;
                let due = *self.receive_due.get_or_insert_with(|| lane.after(between));
                if self.exchange.expired(due) {
                    self.failed = true;
                    lease.judge(Outcome::Failure);
                    return Poll::Ready(Err(too_late(Stage::Transfer)));
                }
                Poll::Pending
            }
        }
    }

    /// A piece that is there already, to go out together with the head.
    pub(crate) fn piece_in_hand(&mut self) -> Result<Option<Pull>> {
        match &self.lease {
            Some(lease) => lease.connection().content_in_hand(),
            None => Ok(Some(Pull::End)),
        }
    }

    /// Whether the end of the content is known to have been reached.
    pub(crate) fn has_ended(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.connection().response_ended())
    }

    /// Begins to receive more while the last piece is still being sent on.
    pub(crate) fn prefetch(&self, cx: &mut Context<'_>) {
        if let Some(lease) = &self.lease {
            lease.connection().prefetch(cx);
        }
    }

    pub(crate) fn trailers(&self, use_them: impl FnOnce(Option<&Fields>)) {
        match &self.lease {
            Some(lease) => lease.connection().trailers(use_them),
            None => use_them(None),
        }
    }

    /// The response has been received to its end: gives the connection back as soon as the upload is over, too.
    /// Ready when there is nothing left to do with the origin.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(lease) = &self.lease else { return Poll::Ready(Ok(())) };
        lease.judge(Outcome::Success);
        if !self.upload.over && !self.upload.is_held() {
            // Once it has answered, an origin may close or stop reading whenever it likes (RFC 9112 §9.5).
            if lease.connection().has_moved_on(cx) {
                self.lease = None;
                return Poll::Ready(Ok(()));
            }
            match self.upload.poll(cx, lease.connection(), &mut self.content, &self.exchange) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) if error.side() == Side::Downstream => {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(_) => {}
            }
        }
        self.lease = None;
        Poll::Ready(Ok(()))
    }

    /// The connection, after a switch of protocols.
    pub(crate) fn connection(&self) -> Option<&UpstreamConnection> {
        self.lease.as_ref().map(Lease::connection)
    }
}
