//! One attempt after another, as the table of [`retry`] allows: the loop is the caller's, or [`Upstream::send`]'s.

use super::{
    Upstream,
    attempt::{self, Failure, Order},
    roster::{Lease, Roster},
    upload::Manner,
};
use crate::simulate::{Bug, has};
use crate::{
    address::Address,
    body::Source,
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    kept::Kept,
    message::{Request, RequestParts, Response},
    metrics::Metric,
    record::{ATTEMPTS_KEPT_MAX, Attempt, AttemptOutcome},
};
use corelane_balancer::{
    EndpointId, Tried,
    retry::{self, Message, Trigger, Verdict, Written},
};
use corelane_codec::{Fields, RequestHead, forward};
use http::StatusCode;
use std::{rc::Rc, time::Duration};

/// The attempts to get an answer to one request from one cluster. See [`Upstream::attempts`].
pub struct Attempts<'r> {
    upstream: Upstream,
    /// Its endpoints, as they were when this began.
    roster: Rc<Roster>,
    request: &'r mut Request,
    exchange: Rc<Exchange>,
    /// What it belongs to, if that matters.
    key: u64,
    idempotent: bool,
    tried: Tried,
    /// How many have reached an origin.
    reached: u32,
    made: u32,
    /// Whose fault the last failure was.
    side: Side,
    last: Option<Last>,
    /// The head of the attempt that is being made, if it is not the request's own.
    head: Option<Kept<RequestHead>>,
    /// What came of each that has failed.
    reasons: Vec<Attempt>,
    /// Why nobody can be asked, or nobody else: it would end the same.
    over: Option<Error>,
}

/// The last attempt, unless its answer was taken.
#[derive(Clone, Copy)]
struct Last {
    endpoint: EndpointId,
    facts: retry::Attempt,
    status: Option<StatusCode>,
}

/// An attempt that has a connection and has sent nothing.
pub struct NextAttempt<'a, 'r> {
    attempts: &'a mut Attempts<'r>,
    endpoint: EndpointId,
    lease: Lease,
    timeout: Option<Duration>,
}

impl Upstream {
    /// The open form of [`send`](Self::send), which is its default loop: the attempts one by one, each with fields of
    /// its own and with an answer that may be refused.
    ///
    /// ```
    /// # use corelane_engine::{Request, Response, Result, Upstream};
    /// async fn send(origin: &Upstream, request: &mut Request) -> Result<Response> {
    ///     let mut attempts = origin.attempts(request);
    ///     loop {
    ///         let mut attempt = attempts.next().await?; // an error: none is left, with every reason
    ///         let number = attempt.number().to_string();
    ///         attempt.fields_mut().set("x-try", number); // of this attempt alone
    ///         match attempt.send().await {
    ///             Ok(response) if !attempts.worth_retrying(&response) => return Ok(response),
    ///             Ok(_) | Err(_) if attempts.may_retry() => {} // replayable, idempotent, within budget
    ///             outcome => return outcome,
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// A loop that only ever goes on ends by itself, and never does twice what must be done once: the table decides
    /// what [`next`](Attempts::next) gives.
    pub fn attempts<'r>(&self, request: &'r mut Request) -> Attempts<'r> {
        let exchange = request.exchange_on(&self.lane).clone();
        exchange.mark_upstream();
        let over = self.prepare(request, &exchange).err();
        let roster = self.members.roster();
        Attempts {
            upstream: self.clone(),
            key: if roster.asks_for_key() { exchange.balance_key() } else { 0 },
            roster,
            idempotent: retry::idempotent(request.0.head.method.as_str()),
            exchange,
            request,
            tried: Tried::default(),
            reached: 0,
            made: 0,
            side: Side::Upstream,
            last: None,
            head: None,
            reasons: Vec::new(),
            over,
        }
    }
}

impl std::fmt::Debug for Attempts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts")
            .field("upstream", &self.upstream)
            .field("made", &self.made)
            .field("reasons", &self.reasons)
            .finish_non_exhaustive()
    }
}

impl<'r> Attempts<'r> {
    /// Chooses an endpoint and gets a connection to it: a pooled one, else a new one. Endpoints that cannot be reached
    /// are passed over, which costs no budget.
    ///
    /// # Errors
    /// No endpoint is left, or the table allows no other attempt: the last error, with [every
    /// reason](Error::attempts). The request itself cannot be sent on, such as one that has come round in a loop.
    pub async fn next(&mut self) -> Result<NextAttempt<'_, 'r>> {
        if let Some(error) = &self.over {
            return Err(error.again());
        }
        // One that was not sent may have had its own.
        self.head = None;
        let (mut again, mut fresh) = (None, false);
        if let Some(last) = self.last.take() {
            if let Some(status) = last.status {
                self.remember(last.endpoint, last.facts.reused, AttemptOutcome::Status(status.as_u16()));
            }
            let Verdict::Retry { costs_budget } = self.verdict(&last) else { return Err(self.give_up()) };
            if costs_budget && !self.roster.try_retry() {
                return Err(self.give_up());
            }
            self.exchange.lane().0.metrics.count(Metric::Retries);
            self.reached += u32::from(costs_budget);
            // A pooled connection that has gone may mean that its endpoint is going, so another is better if there is
            // one; and the next pooled one may have gone, too.
            fresh = last.facts.reused && last.status.is_none();
            again = may_try_again(&last.facts).then_some(last.endpoint);
        } else if self.made == 0 {
            self.roster.count_request(self.exchange.settings().retry_budget_percent);
        }
        let roster = self.roster.clone();
        loop {
            let endpoint = roster
                .pick(self.key, &self.tried)
                .or_else(|| again.take().map(|last| roster.pick_again(self.key, last)));
            let Some(endpoint) = endpoint else { return Err(self.give_up()) };
            self.tried.insert(endpoint);
            self.made += 1;
            match roster.lease(endpoint, fresh, &self.exchange).await {
                Ok(lease) => {
                    return Ok(NextAttempt { attempts: self, endpoint, lease, timeout: None });
                }
                // Other endpoints are no way around the cluster's maximum.
                Err(error) if error.kind() == ErrorKind::Busy => {
                    self.over = Some(error.again());
                    return Err(self.report(error));
                }
                Err(error) => {
                    self.exchange.mark_failed(&error);
                    self.remember(endpoint, false, AttemptOutcome::Failed(error.stage(), error.kind()));
                    self.side = error.side();
                }
            }
        }
    }

    /// Whether another attempt may follow the last, by the table: its answer had not begun or was not
    /// [taken](Self::worth_retrying), doing it twice is as good as once, all of the content can be sent again, the
    /// [policy](crate::RetryPolicy) allows it, somebody is left to be asked, and the [budget of the
    /// cluster](crate::Settings::retry_budget_percent) is not spent.
    pub fn may_retry(&self) -> bool {
        let Some(last) = self.last else { return false };
        let Verdict::Retry { costs_budget } = self.verdict(&last) else { return false };
        if !may_try_again(&last.facts) && self.tried.len() >= self.roster.len() {
            return false;
        }
        let affordable = !costs_budget || self.roster.has_retry();
        if !affordable {
            self.exchange.lane().0.metrics.count(Metric::RetriesRefused);
        }
        affordable
    }

    /// Whether the policy says of an answer that another attempt may do better: a 502, 503 or 504, if it is to be tried
    /// again [on a status](crate::RetryPolicy::on_status_or_timeout). Whoever decides for themselves what they take
    /// need not ask.
    pub fn worth_retrying(&self, response: &Response) -> bool {
        const STATUSES: [StatusCode; 3] =
            [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        self.exchange.settings().retry.on_status_or_timeout && STATUSES.contains(&response.status())
    }

    /// Says that doing the request twice is as good as doing it once, although its method does not: because it has an
    /// `Idempotency-Key` that its origin honours, say.
    pub fn assume_idempotent(&mut self) {
        self.idempotent = true;
    }

    /// The request. Fields that are set here are set for every attempt that follows.
    pub fn request(&mut self) -> &mut Request {
        self.request
    }

    fn verdict(&self, last: &Last) -> Verdict {
        let message = Message {
            idempotent: self.idempotent || has(Bug::PostRepeated),
            replayable: self.request.is_replayable(),
        };
        if !message.replayable {
            // Even if nothing was written: a part of the content is gone.
            return Verdict::GiveUp(retry::Why::NotReplayable);
        }
        let mut policy = self.exchange.settings().retry;
        // Whoever asks has chosen the status.
        policy.on_status_or_timeout |= last.status.is_some();
        retry::verdict(&last.facts, &message, &policy, self.reached)
    }

    /// Keeps what came of an attempt, for the error that ends them all.
    fn remember(&mut self, endpoint: EndpointId, reused: bool, outcome: AttemptOutcome) {
        if self.reasons.len() < ATTEMPTS_KEPT_MAX {
            let (connect, wait) = self.exchange.last_attempt();
            let connect = if reused { Duration::ZERO } else { connect };
            let endpoint = self.roster.address(endpoint).clone();
            self.reasons.push(Attempt { endpoint, reused, outcome, connect, wait });
        }
    }

    fn answered(&mut self, endpoint: EndpointId, reused: bool, status: StatusCode) {
        let facts = retry::Attempt {
            written: Written::Content,
            reused,
            response_begun: true,
            refused_by_peer: false,
            trigger: Trigger::Status,
        };
        self.request.0.last = Some(facts);
        self.last = Some(Last { endpoint, facts, status: Some(status) });
    }

    fn failed(&mut self, endpoint: EndpointId, reused: bool, failure: Failure) -> Error {
        let Failure { error, attempt } = failure;
        self.side = error.side();
        self.request.0.last = attempt;
        self.last = attempt.map(|facts| Last { endpoint, facts, status: None });
        self.remember(endpoint, reused, AttemptOutcome::Failed(error.stage(), error.kind()));
        if attempt.is_none() {
            self.over = Some(error.again());
        }
        self.report(error)
    }

    /// Nobody is left to be asked.
    fn give_up(&self) -> Error {
        let (stage, kind) = match self.reasons.last().map(|attempt| attempt.outcome) {
            Some(AttemptOutcome::Failed(stage, kind)) => (stage, kind),
            Some(AttemptOutcome::Status(status)) => match StatusCode::from_u16(status) {
                Ok(status) => (Stage::Wait, ErrorKind::Status(status)),
                Err(_) => (Stage::Wait, ErrorKind::Closed),
            },
            Some(AttemptOutcome::Unfinished) | None => (Stage::Route, ErrorKind::NoEndpoint),
        };
        self.report(Error::new(self.side, stage, kind))
    }

    /// Gives an error every reason, and has it in the record whatever becomes of it.
    fn report(&self, error: Error) -> Error {
        let error = error.with_attempts(&self.reasons);
        self.exchange.suspect(&error);
        error
    }
}

/// Whether an endpoint that has been tried may be asked once more if there is no other: it has been there.
fn may_try_again(last: &retry::Attempt) -> bool {
    last.reused || last.written != Written::Nothing
}

impl NextAttempt<'_, '_> {
    /// Which attempt this is, from 1. Endpoints that could not be reached count.
    pub fn number(&self) -> u32 {
        self.attempts.made
    }

    /// Whom it asks.
    pub fn endpoint(&self) -> &Address {
        self.lease.address()
    }

    /// Whether it has a pooled connection.
    pub fn is_reused(&self) -> bool {
        self.lease.reused
    }

    /// The fields that it sends.
    pub fn fields(&self) -> &Fields {
        &self.head().fields
    }

    fn head(&self) -> &RequestHead {
        self.attempts.head.as_ref().unwrap_or(&self.attempts.request.0.head)
    }

    /// The fields that it sends, to change: those of the request, and of other attempts, stay as they are.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.head_mut().fields
    }

    /// The whole head, to change for this attempt alone.
    pub fn head_mut(&mut self) -> &mut RequestHead {
        let Attempts { head, request, .. } = &mut *self.attempts;
        head.get_or_insert_with(|| {
            let mut head = Kept::<RequestHead>::blank();
            RequestHead::clone_from(&mut head, &request.0.head);
            head
        })
    }

    /// How long the head of its answer may take, from the end of the request: else as
    /// [`Timeouts::upstream_head`](crate::Timeouts) says.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    /// Sends the request and waits for the head of an answer. The content goes out meanwhile, and may still go on while
    /// the answer's content is read.
    ///
    /// # Errors
    /// The origin answered with what is not HTTP, or closed; it took too long; the client went away or sent what it
    /// must not. If [another attempt](Attempts::may_retry) may follow, the request is as it was before.
    pub async fn send(mut self) -> Result<Response> {
        if self.head().authority().is_empty() {
            // HTTP/1.0 need not name a host, and an empty one is refused by many (RFC 9110 §4.2.1).
            let host = self.endpoint().as_host();
            self.fields_mut().set("host", host);
        }
        let is_own = self.attempts.exchange.peer().is_none();
        let Self { attempts, endpoint, lease, timeout } = self;
        let (reused, lane) = (lease.reused, lease.lane().clone());
        let RequestParts { head: own_head, body, .. } = &mut *attempts.request.0;
        let expects = own_head.expects_continue && awaits_continue(&body.0);
        let order = Order {
            head: attempts.head.as_ref().unwrap_or(own_head),
            content: &mut body.0,
            exchange: &attempts.exchange,
            manner: Manner { expects, once: !attempts.idempotent && !has(Bug::PostRepeated) },
            timeout,
        };
        let result = attempt::run(lease, order).await;
        body.settle();
        attempts.head = None;
        match result {
            Ok(mut response) => {
                attempts.answered(endpoint, reused, response.status());
                if !is_own {
                    forward::response(&mut response.0.head, &lane.0.process.config.via);
                }
                Ok(response)
            }
            Err(failure) => Err(attempts.failed(endpoint, reused, failure)),
        }
    }
}

/// Whether nobody has said yet that content which waits for a 100 may come.
fn awaits_continue(content: &Source) -> bool {
    content.client().is_none_or(|client| client.exchange().expects())
}
