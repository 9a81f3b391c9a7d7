//! One connection of the load: it takes requests, sends them, and hears the answers.

use super::{
    speech::{Heard, Http, Speech, shake_hands},
    tally::{Fault, Moments},
    target::Target,
    worker::{Seat, Worker},
};
use corelane_engine::Link;
use std::{
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

/// Rounds of sending and receiving before the other connections get a turn.
const ROUNDS_PER_TURN: usize = 16;
/// How long a connection waits after it could not be made, at first and at most: a target that is down is not stormed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// A request that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) due: Duration,
    /// Which of the targets.
    pub(crate) target: usize,
}

/// A request that has been sent, or of which a part has.
#[derive(Debug, Clone, Copy)]
struct Flight {
    job: Job,
    sent: Duration,
}

impl Flight {
    fn moments(&self) -> Moments {
        Moments { due: self.job.due, sent: self.sent }
    }
}

/// Runs one connection after another in a seat, until there is nothing left to send.
pub(crate) async fn run(worker: Rc<Worker>, seat: Rc<Seat>) {
    let mut pause = PAUSE.0;
    while let Some(job) = worker.next(&seat).await {
        let began = worker.lane.now();
        let Some(opened) = worker.unless_cut(&seat, open(&worker, job.target)).await else { break };
        match opened {
            Ok((link, speech)) => {
                worker.connected(true);
                pause = PAUSE.0;
                Connection::new(&worker, &seat, link, speech).serve(Flight { job, sent: began }).await;
                seat.leave();
            }
            Err((fault, says)) => {
                worker.failed(fault, Moments { due: job.due, sent: began }, || says);
                worker.connected(false);
                // An open loop comes no sooner for it, and what is due next is to be tried when it is due.
                if worker.plan.rate.is_none() {
                    worker.unless_cut(&seat, worker.lane.sleep(pause)).await;
                    pause = (2 * pause).min(PAUSE.1);
                }
            }
        }
    }
    worker.gone();
}

/// Opens a connection, and switches protocols on it if messages are to be sent.
async fn open(worker: &Worker, target: usize) -> Result<(Rc<Link>, Speech), (Fault, String)> {
    let (timeout, group) = (worker.plan.timeout, &worker.group);
    let opening = async {
        let link = worker.lane.connect(&group.address).await;
        let link = link.map_err(|error| (Fault::Connect, group.cannot_connect(&error)))?;
        let speech = match &group.targets[target].handshake {
            Some(handshake) => shake_hands(&link, handshake, &worker.message).await?,
            None => Speech::Http(Box::new(Http::new(&worker.limits))),
        };
        Ok((Rc::new(link), speech))
    };
    let late = || (Fault::Timeout, format!("no connection to {} in {timeout:?}", group.address));
    worker.lane.timeout(timeout, opening).await.unwrap_or_else(|| Err(late()))
}

/// What a poll of a connection came to.
enum Turn {
    /// The others are to have a turn.
    Yield,
    /// The connection is done with.
    Over,
}

/// An open connection.
struct Connection<'a> {
    worker: &'a Rc<Worker>,
    seat: &'a Rc<Seat>,
    link: Rc<Link>,
    speech: Speech,
    in_flight: VecDeque<Flight>,
    /// A request of which a part has been sent.
    partly: Option<(Rc<[u8]>, usize)>,
    /// The time of what is being done; one look at the clock for everything that came at once.
    now: Option<Duration>,
    /// Bytes of the answer under way.
    heard_bytes: u64,
}

impl<'a> Connection<'a> {
    fn new(worker: &'a Rc<Worker>, seat: &'a Rc<Seat>, link: Rc<Link>, speech: Speech) -> Self {
        seat.sit(&link);
        let in_flight = VecDeque::with_capacity(worker.plan.pipeline);
        Self { worker, seat, link, speech, in_flight, partly: None, now: None, heard_bytes: 0 }
    }

    /// Begins with the request for which the connection was opened.
    async fn serve(mut self, first: Flight) {
        self.partly = Some((self.worker.requests[first.job.target].clone(), 0));
        self.in_flight.push_back(first);
        self.note_oldest();
        while let Turn::Yield = poll_fn(|cx| self.poll(cx)).await {
            self.worker.lane.yield_now().await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.now = None;
        for _ in 0..ROUNDS_PER_TURN {
            // Why sending failed is what receiving says, behind the answer if there was one.
            let mut moved = self.wants_to_send()
                && matches!(self.link.poll_sent(cx), Poll::Ready(Ok(())))
                && self.send(cx);
            match self.link.poll_fill(cx) {
                Poll::Ready(Ok(true)) => {
                    moved = true;
                    self.now = None;
                    if !self.hear() {
                        return Poll::Ready(Turn::Over);
                    }
                }
                Poll::Ready(Ok(false)) => {
                    self.ended();
                    return Poll::Ready(Turn::Over);
                }
                Poll::Ready(Err(error)) => {
                    self.lost(Fault::Reset, || format!("a connection broke: {error}"));
                    return Poll::Ready(Turn::Over);
                }
                Poll::Pending => {}
            }
            if !moved {
                let over = self.in_flight.is_empty() && self.worker.is_over(self.now());
                return if over { Poll::Ready(Turn::Over) } else { Poll::Pending };
            }
        }
        Poll::Ready(Turn::Yield)
    }

    /// Whether something is to be sent, or is being.
    fn wants_to_send(&self) -> bool {
        self.partly.is_some()
            || self.speech.has_to_answer()
            || self.link.is_sending()
            || self.in_flight.len() < self.worker.plan.pipeline
    }

    fn now(&mut self) -> Duration {
        *self.now.get_or_insert_with(|| self.worker.lane.now())
    }

    /// Sends what is due, as many requests at once as may be under way; says whether there was any.
    fn send(&mut self, cx: &mut Context<'_>) -> bool {
        let pipeline = self.worker.plan.pipeline;
        if self.partly.is_none() {
            self.partly = self.speech.answer().map(|bytes| (bytes.into(), 0));
        }
        if self.partly.is_none() {
            if self.in_flight.len() >= pipeline {
                return false;
            }
            let now = self.now();
            if !self.worker.has_work(self.seat, now) {
                self.worker.park(self.seat, cx.waker());
                return false;
            }
        }
        let (now, link) = (self.now(), self.link.clone());
        link.begin_send(|out| {
            self.fill(out, now);
        });
        self.note_oldest();
        true
    }

    /// Writes requests for as long as there are any, there is room, and they may be under way.
    fn fill(&mut self, out: &mut Vec<u8>, now: Duration) {
        let room_end = out.len() + Link::SEND_BYTES_MAX;
        loop {
            if let Some((bytes, at)) = &mut self.partly {
                let end = bytes.len().min(*at + (room_end - out.len()));
                out.extend_from_slice(&bytes[*at..end]);
                *at = end;
                if end < bytes.len() {
                    return;
                }
                self.partly = None;
            }
            if self.in_flight.len() >= self.worker.plan.pipeline {
                return;
            }
            let Some(job) = self.worker.take(self.seat, now) else { return };
            self.in_flight.push_back(Flight { job, sent: now });
            self.partly = Some((self.worker.requests[job.target].clone(), 0));
        }
    }

    /// Lets the worker see how long the oldest request has been under way.
    fn note_oldest(&self) {
        self.seat.waits_since(self.in_flight.front().map(|flight| flight.sent));
    }

    /// Makes answers of what has come; `false` if the connection is done with.
    fn hear(&mut self) -> bool {
        loop {
            let Some(flight) = self.in_flight.front().copied() else {
                let (consumed, goes_on) = self.link.with_input(|input| self.speech.hear_unasked(input));
                self.link.consume(consumed);
                return goes_on;
            };
            let worker = self.worker;
            let target: &Target = &worker.group.targets[flight.job.target];
            let expected = &worker.plan.expected;
            let (consumed, heard) = self.link.with_input(|input| self.speech.hear(target, expected, input));
            self.link.consume(consumed);
            self.heard_bytes += consumed as u64;
            match heard {
                Heard::Part => return true,
                Heard::Answer(answer) => {
                    if !self.answered(answer) {
                        return false;
                    }
                }
                Heard::Broken(fault, says) => {
                    self.lost(fault, || says.clone());
                    return false;
                }
            }
        }
    }

    /// Counts an answer; `false` if no other may follow.
    fn answered(&mut self, answer: Result<(), (Fault, String)>) -> bool {
        let Some(flight) = self.in_flight.pop_front() else { return false };
        let now = self.now();
        let bytes = std::mem::take(&mut self.heard_bytes);
        // Whoever looks for late answers looks now and then.
        let is_late = now.saturating_sub(flight.sent) > self.worker.plan.timeout;
        match answer {
            _ if is_late => self.fail_late(&flight),
            Ok(()) => self.worker.answered(flight.moments(), now, bytes),
            Err((fault, says)) => self.worker.failed(fault, flight.moments(), || says),
        }
        self.note_oldest();
        let may_go_on = self.speech.may_go_on() && !self.seat.has_timed_out();
        let goes_on = may_go_on && !self.worker.plan.new_connection;
        if !goes_on {
            self.lost(Fault::Reset, || {
                "the connection was closed before pipelined requests were answered".to_owned()
            });
        }
        goes_on
    }

    /// The other side has ended, or we have ended it.
    fn ended(&mut self) {
        if !self.in_flight.is_empty()
            && !self.worker.is_cut()
            && let Some(answer) = self.speech.hear_end(&self.worker.plan.expected)
        {
            self.answered(answer);
        }
        self.lost(Fault::Reset, || "a connection was closed before the whole answer had come".to_owned());
    }

    /// What is under way has no answer any more.
    fn lost(&mut self, fault: Fault, says: impl Fn() -> String) {
        for flight in std::mem::take(&mut self.in_flight) {
            if self.seat.has_timed_out() {
                self.fail_late(&flight);
            } else {
                self.worker.failed(fault, flight.moments(), &says);
            }
        }
    }

    fn fail_late(&self, flight: &Flight) {
        let timeout = self.worker.plan.timeout;
        self.worker.failed(Fault::Timeout, flight.moments(), || format!("no answer in {timeout:?}"));
    }
}
