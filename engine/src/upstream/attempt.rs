//! One attempt to get an answer: the request out, the head of the response in.

use super::{
    Transfer, UpstreamConnection,
    roster::{Lease, too_late},
    upload::{Manner, Upload},
};
use crate::simulate::{Bug, has};
use crate::{
    body::Source,
    context::Exchange,
    error::{Error, ErrorKind, Stage},
    kept::Kept,
    message::{Response, UpstreamInfo},
    pace::Outflow,
    wheel::Tick,
};
use corelane_balancer::{
    Outcome,
    retry::{self, Trigger, Written},
};
use corelane_codec::{RequestHead, ResponseHead, h1::Event};
use http::StatusCode;
use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

/// What went wrong, and whether another origin may do better.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The origin's, or its connection's.
    Origin(Error),
    /// The client's, the handler's, ours: another attempt would end the same.
    Ours(Error),
}

impl Fault {
    pub(crate) const fn error(&self) -> &Error {
        match self {
            Self::Origin(error) | Self::Ours(error) => error,
        }
    }

    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Origin(error) | Self::Ours(error) => error,
        }
    }
}

/// Why there is no answer. Without an `attempt`, nothing may be tried again.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) attempt: Option<retry::Attempt>,
}

/// What is sent, and how.
pub(crate) struct Order<'a> {
    pub(crate) head: &'a RequestHead,
    /// The content. What has been taken from where it comes from stays in here, so that it can be sent again.
    pub(crate) content: &'a mut Source,
    pub(crate) exchange: &'a Rc<Exchange>,
    pub(crate) manner: Manner,
    /// How long the head of the answer may take, if not as the settings say.
    pub(crate) timeout: Option<Duration>,
}

/// Sends the request and waits for the head of its answer.
pub(crate) async fn run(lease: Lease, order: Order<'_>) -> Result<Response, Failure> {
    let Order { head, content, exchange, manner, timeout } = order;
    let lane = lease.lane().clone();
    let mut buffer = lane.0.buffers.take();
    let begun = lease
        .connection()
        .write_head(head, &mut buffer)
        .and_then(|()| Upload::begin(lease.connection(), buffer, replay(content), exchange, manner));
    let upload = match begun {
        Ok(upload) => upload,
        Err(error) => {
            exchange.mark_failed(&error);
            return Err(Failure { error, attempt: None });
        }
    };
    exchange.mark_sent();
    let mut wait = Wait {
        upload,
        head: Kept::blank(),
        head_due: None,
        timeout: timeout.unwrap_or_else(|| exchange.settings().timeouts.upstream_head),
        outflow: Outflow::default(),
        send_error: None,
    };
    match poll_fn(|cx| wait.poll(cx, &lease, content, exchange)).await {
        Ok(()) => {
            let waited = exchange.mark_answered(wait.head.status);
            let connect = if lease.reused { Duration::ZERO } else { exchange.last_attempt().0 };
            lease.set_latency(connect + waited);
            let (address, reused) = (lease.address().clone(), lease.reused);
            let upstream = UpstreamInfo { address, reused, connect, wait: waited };
            // What has been sent whole is left where it is: the answer may be one to try again after.
            let content = match content {
                Source::Replay(replay) if !wait.upload.over => Some(replay.hand_over()),
                _ => None,
            };
            let length = wait.head.content;
            let mut response = Response::of(wait.head);
            response.0.upstream = Some(upstream);
            response.0.body.0 =
                Source::Upstream(Transfer::new(lease, wait.upload, content, exchange, length));
            Ok(response)
        }
        Err(fault) => {
            exchange.mark_failed(fault.error());
            lease.set_latency(exchange.last_attempt().1);
            let attempt = matches!(fault, Fault::Origin(_)).then(|| facts(&lease, fault.error()));
            lease.judge(if attempt.is_some() { Outcome::Failure } else { Outcome::Cancelled });
            Err(Failure { error: fault.into_error(), attempt })
        }
    }
}

fn replay(content: &mut Source) -> Option<&mut crate::body::Replay> {
    match content {
        Source::Replay(replay) => Some(replay),
        _ => None,
    }
}

/// How far an attempt had come that failed.
fn facts(lease: &Lease, error: &Error) -> retry::Attempt {
    let connection = lease.connection();
    retry::Attempt {
        written: if connection.sent_bytes() == 0 { Written::Nothing } else { Written::Content },
        reused: lease.reused,
        response_begun: connection.response_begun(),
        refused_by_peer: false,
        trigger: match error.kind() {
            ErrorKind::Timeout => Trigger::PerTryTimeout,
            _ => Trigger::Failure,
        },
    }
}

/// The wait for a final head, while the request goes out.
struct Wait {
    upload: Upload,
    head: Kept<ResponseHead>,
    head_due: Option<Tick>,
    timeout: Duration,
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
        content: &mut Source,
        exchange: &Exchange,
    ) -> Poll<Result<(), Fault>> {
        let connection = lease.connection();
        exchange.begin_wait(cx);
        if exchange.client().is_none() && exchange.is_overdue() {
            return Poll::Ready(Err(Fault::Ours(too_late(Stage::Wait))));
        }
        loop {
            if self.send_error.is_none() {
                match self.upload.poll(cx, connection, replay(content), exchange) {
                    Poll::Ready(Err(Fault::Origin(error))) if error.kind() != ErrorKind::Timeout => {
                        self.send_error = Some(error);
                    }
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                    _ => {}
                }
            }
            match exchange.poll_informed(cx, &mut self.outflow) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::Ours(error))),
                Poll::Pending => return Poll::Pending,
            }
            match connection.poll_head(cx, &mut self.head) {
                Poll::Ready(Ok(Event::Interim)) => self.inform(exchange),
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Fault::Origin(self.blame(error, connection))));
                }
                Poll::Pending => return self.check_deadline(exchange),
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

    fn check_deadline(&mut self, exchange: &Exchange) -> Poll<Result<(), Fault>> {
        // The origin owes an answer once it has everything, or all that it gets before it says that it wants more.
        if self.upload.over || self.upload.is_held() {
            let due = *self.head_due.get_or_insert_with(|| exchange.lane().after(self.timeout));
            if !has(Bug::HeadTimerNeverArmed) && exchange.expired(due) {
                return Poll::Ready(Err(Fault::Origin(too_late(Stage::Wait))));
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
        exchange.inform(self.head.status, &self.head.fields);
        self.head.clear();
    }
}
