//! What the parts of one exchange share: its connection, its record, its marks in time.

use crate::simulate::{Bug, has};
use crate::{
    address::Address,
    downstream::Downstream,
    error::{Error, ErrorKind, Result, Side, Stage},
    lane::{Lane, panic_message},
    metrics::Metric,
    pace::{Outflow, Pace},
    record::{AttemptOutcome, End, Record},
    settings::Settings,
    wheel::{Tick, Timer},
};
use corelane_balancer::hash_bytes;
use corelane_codec::{Fields, forward::Trusted, trail};
use http::StatusCode;
use std::{
    cell::{Cell, Ref, RefCell},
    future::poll_fn,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

/// When things happened, by the lane's clock.
#[derive(Debug, Default)]
struct Marks {
    head: Cell<Duration>,
    upstream: Cell<Option<Duration>>,
    sent: Cell<Option<Duration>>,
    answered: Cell<Option<Duration>>,
    /// The handler's answer.
    responded: Cell<Option<Duration>>,
    connecting: Cell<Duration>,
    /// The times of the last attempt alone: to connect, and then to wait.
    last: Cell<(Duration, Duration)>,
    /// Waiting for answers that did not come.
    in_vain: Cell<Duration>,
}

impl Marks {
    /// Where the time went, of an exchange that is over now.
    fn tell(&self, record: &mut Record, now: Duration) {
        let (head, phases) = (self.head.get(), &mut record.phases);
        let (answered, responded) = (self.answered.get(), self.responded.get());
        record.duration = now.saturating_sub(head);
        phases.route = self.upstream.get().or(responded).unwrap_or(now).saturating_sub(head);
        phases.connect = self.connecting.get();
        phases.wait = self.in_vain.get();
        if let (Some(sent), Some(answered)) = (self.sent.get(), answered) {
            // Where a lane stood still meanwhile, both happened in one poll, and no time passed by its clock. But an answer
            // was waited for.
            phases.wait += answered.saturating_sub(sent).max(Duration::from_nanos(1));
        }
        if let Some(begun) = answered.or(responded) {
            phases.transfer = now.saturating_sub(begun);
        }
    }
}

/// Where a test's requests come from.
static LOCALHOST: Address = Address::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));

/// What is called when an exchange ends.
pub(crate) type Hook = Box<dyn FnOnce(&Record)>;

/// Whose exchange it is.
enum Owner {
    /// Nobody's: it has not begun, or lies in the lane's free list.
    Nobody,
    /// A client's.
    Client(Rc<Downstream>),
    /// The lane's own: no client waits for its end, and nobody reads its record.
    Lane,
    /// A test's, which stands for a client.
    Trial,
}

/// One exchange. It outlives the handler: a response's content, and an upload that goes on, belong to it.
pub(crate) struct Exchange {
    lane: Lane,
    owner: Owner,
    record: RefCell<Option<Box<Record>>>,
    /// The record says why an upstream failed, which is no more than a guess until the exchange ends.
    suspected: Cell<bool>,
    marks: Marks,
    /// What it is held to: the listener's at first.
    settings: RefCell<Rc<Settings>>,
    /// How the content of the request comes.
    pace: RefCell<Pace>,
    /// When the whole exchange must be over.
    due: Cell<Option<Tick>>,
    /// Its own, because it may outlive its place on the connection.
    timer: Rc<Timer>,
    /// Whom to tell when it ends.
    hooks: RefCell<Vec<Hook>>,
    /// It is over: whoever still holds it has no business with the client any more.
    closed: Cell<bool>,
    /// Its peer is a proxy whose word is taken.
    trusted: Cell<Option<Trusted>>,
    /// What the request belongs to, for policies that ask; `None`: to its client.
    balance_key: Cell<Option<u64>>,
    /// The client waits for a 100 before it sends the content, and nobody has asked for that yet.
    expects: Cell<bool>,
    /// An interim response may be on its way.
    informs: Cell<bool>,
}

impl Exchange {
    /// Opens the record of a client's exchange; it is closed exactly once, at the latest when this is dropped.
    pub(crate) fn open(connection: &Rc<Downstream>) -> Rc<Self> {
        let lane = &connection.lane;
        lane.0.metrics.count(Metric::Requests);
        lane.0.metrics.add(Metric::RequestsOpen, 1);
        let settings = connection.door.settings().clone();
        connection.set_content_bytes_max(settings.content_bytes_max);
        let mut exchange = lane.take_exchange().unwrap_or_else(|| Rc::new(Self::blank(lane, &settings)));
        let place = Rc::get_mut(&mut exchange).expect("nobody holds what lies in the free list");
        place.begin(Owner::Client(connection.clone()), settings);
        exchange.record(|record| {
            record.peer = connection.peer.clone();
            (record.client, record.local) = (connection.peer.clone(), connection.door.local.clone());
            record.phases.queue = connection.take_behind();
            record.phases.parse = connection.take_parse();
        });
        exchange
    }

    /// An exchange without a client: a request of our own.
    pub(crate) fn own(lane: &Lane, settings: Rc<Settings>) -> Rc<Self> {
        Self::new(Owner::Lane, lane, settings)
    }

    /// An exchange that a test has with a handler.
    pub(crate) fn on_trial(lane: &Lane) -> Rc<Self> {
        let settings = lane.settings().clone();
        let exchange = Self::new(Owner::Trial, lane, settings);
        exchange.record(|record| {
            (record.peer, record.client) = (LOCALHOST.clone(), LOCALHOST.clone());
            record.request_id.extend_from_slice(&lane.request_id());
        });
        exchange
    }

    fn new(owner: Owner, lane: &Lane, settings: Rc<Settings>) -> Rc<Self> {
        let mut exchange = Self::blank(lane, &settings);
        exchange.begin(owner, settings);
        Rc::new(exchange)
    }

    /// One that has not begun.
    fn blank(lane: &Lane, settings: &Rc<Settings>) -> Self {
        Self {
            lane: lane.clone(),
            owner: Owner::Nobody,
            record: RefCell::default(),
            suspected: Cell::default(),
            marks: Marks::default(),
            settings: RefCell::new(settings.clone()),
            pace: RefCell::default(),
            due: Cell::default(),
            timer: Timer::new(),
            hooks: RefCell::default(),
            closed: Cell::default(),
            trusted: Cell::default(),
            balance_key: Cell::default(),
            expects: Cell::default(),
            informs: Cell::default(),
        }
    }

    /// Begins, where it is: one that is made and then moved costs more.
    fn begin(&mut self, owner: Owner, settings: Rc<Settings>) {
        let Self { lane, record, suspected, marks, pace, due, timer, hooks, .. } = self;
        let mut free = lane.take_record();
        free.at = lane.wall();
        *record.get_mut() = Some(free);
        suspected.set(false);
        *marks = Marks { head: Cell::new(lane.about_now()), ..Marks::default() };
        *pace.get_mut() = Pace::default();
        due.set(settings.timeouts.request.map(|timeout| lane.after(timeout)));
        timer.forget();
        hooks.get_mut().clear();
        let Self { closed, trusted, balance_key, expects, informs, .. } = self;
        closed.set(false);
        trusted.set(None);
        balance_key.set(None);
        expects.set(false);
        informs.set(false);
        *self.settings.get_mut() = settings;
        self.owner = owner;
    }

    /// Closes the record; the memory is used again unless somebody still holds on to it.
    pub(crate) fn finish(mut this: Rc<Self>) {
        this.close();
        this.closed.set(true);
        let lane = this.lane().clone();
        if let Some(exchange) = Rc::get_mut(&mut this) {
            exchange.owner = Owner::Nobody;
            lane.give_exchange(this);
        }
    }

    /// The client's connection, if there is a client.
    pub(crate) fn client(&self) -> Option<&Rc<Downstream>> {
        match &self.owner {
            Owner::Client(connection) => Some(connection),
            Owner::Nobody | Owner::Lane | Owner::Trial => None,
        }
    }

    /// Where its request comes from, if not from here.
    pub(crate) fn peer(&self) -> Option<&Address> {
        match &self.owner {
            Owner::Client(connection) => Some(&connection.peer),
            Owner::Trial => Some(&LOCALHOST),
            Owner::Nobody | Owner::Lane => None,
        }
    }

    /// The client's connection, for what only happens to the exchange of one.
    pub(crate) fn connection(&self) -> &Rc<Downstream> {
        self.client().expect("it is a client's exchange")
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// What it is held to.
    pub(crate) fn settings(&self) -> Ref<'_, Rc<Settings>> {
        self.settings.borrow()
    }

    /// Holds it to these from now on; the time for the whole of it counts from its beginning.
    pub(crate) fn set_settings(&self, settings: &Rc<Settings>) {
        if let Some(connection) = self.client() {
            connection.set_content_bytes_max(settings.content_bytes_max);
        }
        let lane = self.lane();
        let began = self.marks.head.get();
        let elapsed = lane.about_now().saturating_sub(began);
        self.due.set(settings.timeouts.request.map(|timeout| lane.after(timeout.saturating_sub(elapsed))));
        *self.settings.borrow_mut() = settings.clone();
    }

    /// The request belongs to this.
    pub(crate) fn balance_by(&self, key: u64) {
        self.balance_key.set(Some(key));
    }

    /// What the request belongs to: what was said, else its client; one without an address belongs nowhere.
    pub(crate) fn balance_key(&self) -> u64 {
        self.balance_key.get().unwrap_or_else(|| match self.client_ip() {
            Some(IpAddr::V4(ip)) => hash_bytes(&ip.octets()),
            Some(IpAddr::V6(ip)) => hash_bytes(&ip.octets()),
            None => self.lane().0.rng.borrow_mut().next(),
        })
    }

    /// Finds out who the client is, if a trusted proxy has sent the request.
    pub(crate) fn find_client(&self, fields: &Fields) {
        let (connection, settings) = (self.connection(), self.connection().door.settings());
        if settings.trusted_proxies.is_empty() || !settings.trusts(connection.peer.ip()) {
            return;
        }
        let client = trail::client(fields, settings.trail, |ip| settings.trusts(Some(ip)));
        self.trusted.set(Some(Trusted { trail: settings.trail, client }));
        if let Some(client) = client {
            let address = SocketAddr::new(client.ip, client.port.unwrap_or(0));
            self.record(|record| record.client = Address::Ip(address));
        }
    }

    /// What the peer says of its clients, if its word is taken.
    pub(crate) fn trusted(&self) -> Option<Trusted> {
        self.trusted.get()
    }

    /// The client's address, if it has one. An IPv4 client on an IPv6 socket is an IPv4 client.
    pub(crate) fn client_ip(&self) -> Option<IpAddr> {
        let named = self.trusted.get().and_then(|trusted| trusted.client).map(|client| client.ip);
        named.or_else(|| self.peer()?.ip().map(|ip| ip.to_canonical()))
    }

    /// Says whether the client waits for a 100.
    pub(crate) fn set_expects(&self, expects: bool) {
        self.expects.set(expects);
    }

    /// Whether the client still waits for a 100: it has been sent none, and has not begun to send content without.
    pub(crate) fn expects(&self) -> bool {
        self.expects.get()
    }

    /// Asks a client that waits for it to send its content.
    pub(crate) fn ask(&self) {
        self.inform(StatusCode::CONTINUE, &Fields::new());
    }

    /// Begins to send an interim response, when [nothing is being sent](Self::poll_informed). `false` if nobody takes
    /// one: an HTTP/1.0 client, one that has been answered, or none.
    pub(crate) fn inform(&self, status: StatusCode, fields: &Fields) -> bool {
        if self.is_closed() {
            return false;
        }
        if status == StatusCode::CONTINUE {
            self.expects.set(false);
        }
        let begun = self.client().is_some_and(|connection| connection.begin_interim(status, fields));
        self.informs.set(self.informs.get() || begun);
        begun
    }

    /// Waits until no interim response is on its way any more.
    pub(crate) async fn informed(&self) -> Result<()> {
        let mut outflow = Outflow::default();
        poll_fn(|cx| {
            self.begin_wait(cx);
            self.poll_informed(cx, &mut outflow)
        })
        .await
    }

    /// Pending while an interim response is still on its way to the client, which then holds everything up.
    pub(crate) fn poll_informed(&self, cx: &mut Context<'_>, outflow: &mut Outflow) -> Poll<Result<()>> {
        if !self.informs.get() {
            return Poll::Ready(Ok(()));
        }
        let Some(connection) =
            self.client().filter(|connection| !self.is_closed() && !connection.response_begun())
        else {
            return Poll::Ready(Ok(()));
        };
        match connection.io.poll_sent(cx) {
            Poll::Ready(Ok(())) => {
                outflow.done();
                self.informs.set(false);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Error::io(Side::Downstream, Stage::Wait, &error))),
            Poll::Pending => {
                let between = self.settings().timeouts.between_bytes;
                match outflow.wait(&connection.io, self.lane(), between) {
                    Some(due) => {
                        self.expired(due);
                        Poll::Pending
                    }
                    None => Poll::Ready(Err(Error::new(Side::Downstream, Stage::Wait, ErrorKind::Timeout))),
                }
            }
        }
    }

    /// Begins to wait: remembers whom to wake at the deadlines that follow. An earlier one that is no longer waited
    /// for wakes for nothing, which costs less than the loss of one that another part of the exchange waits for.
    pub(crate) fn begin_wait(&self, cx: &Context<'_>) {
        self.timer.waits(cx);
    }

    /// Whether `due` has passed; if not, the task is woken then.
    pub(crate) fn expired(&self, due: Tick) -> bool {
        self.lane().0.wheel.expired(&self.timer, due)
    }

    /// A piece of the request's content has come.
    pub(crate) fn content_came(&self, bytes: usize) {
        self.expects.set(false);
        self.pace.borrow_mut().came(bytes, self.lane());
    }

    /// Nothing of the request's content has come: an error if that lasts too long. The minimum rate holds for content
    /// of known length, and until the response begins.
    pub(crate) fn content_waits(&self) -> Result<()> {
        let connection = self.connection();
        let rated = connection.has_known_length() && !self.has_answer() && !connection.response_begun();
        let due = self.pace.borrow_mut().wait(self.lane(), &self.settings().timeouts, rated)?;
        self.expired(due);
        Ok(())
    }

    /// Whether it is over, and the client's connection somebody else's.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Whether an origin has begun to answer.
    fn has_answer(&self) -> bool {
        self.marks.answered.get().is_some()
    }

    /// Whether the exchange has taken longer than it may as a whole. It is said once: the answer that says so to the
    /// client has its own time.
    pub(crate) fn is_overdue(&self) -> bool {
        let overdue = self.due.get().is_some_and(|due| self.expired(due));
        if overdue {
            self.due.set(None);
        }
        overdue
    }

    /// Writes into the record, unless it has been closed.
    pub(crate) fn record(&self, write: impl FnOnce(&mut Record)) {
        if let Some(record) = self.record.borrow_mut().as_mut() {
            write(record);
        }
    }

    /// Has `hook` called with the record when it is closed.
    pub(crate) fn on_end(&self, hook: Hook) {
        if self.record.borrow().is_some() {
            self.hooks.borrow_mut().push(hook);
        }
    }

    /// Reads from the record.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Record) -> T) -> Option<T> {
        self.record.borrow().as_ref().map(|record| read(record))
    }

    /// The handler asks for an upstream.
    pub(crate) fn mark_upstream(&self) {
        // The handler has been at work.
        let now = self.lane().look();
        if self.marks.upstream.get().is_none() {
            self.marks.upstream.set(Some(now));
        }
    }

    /// The handler has answered.
    pub(crate) fn mark_responded(&self) {
        self.marks.responded.set(Some(self.lane().about_now()));
    }

    /// An upstream connection was made, or not, in so much time.
    pub(crate) fn mark_connected(&self, took: Duration) {
        self.marks.connecting.set(self.marks.connecting.get() + took);
        self.marks.last.set((took, Duration::ZERO));
        self.record(|record| record.attempt_connected(took));
    }

    /// How long the last attempt took to connect, if it had to, and then waited.
    pub(crate) fn last_attempt(&self) -> (Duration, Duration) {
        self.marks.last.get()
    }

    /// The first byte of the request goes out.
    pub(crate) fn mark_sent(&self) {
        self.marks.sent.set(Some(self.lane().about_now()));
    }

    fn waited_since(&self, sent: Option<Duration>) -> Duration {
        sent.map_or(Duration::ZERO, |sent| self.lane().about_now().saturating_sub(sent))
    }

    /// An attempt has ended without an answer.
    pub(crate) fn mark_failed(&self, error: &Error) {
        // The wait was in vain, but it was one.
        let waited = self.waited_since(self.marks.sent.take());
        self.marks.in_vain.set(self.marks.in_vain.get() + waited);
        self.marks.last.set((self.marks.last.get().0, waited));
        self.record(|record| {
            record.attempt_ended(AttemptOutcome::Failed(error.stage(), error.kind()), waited);
        });
    }

    /// The head of a response has come. Gives how long it was waited for.
    pub(crate) fn mark_answered(&self, status: StatusCode) -> Duration {
        let waited = self.waited_since(self.marks.sent.get());
        self.marks.answered.set(Some(self.lane().about_now()));
        self.marks.last.set((self.marks.last.get().0, waited));
        let is_suspected = self.suspected.take();
        self.record(|record| {
            record.attempt_ended(AttemptOutcome::Status(status.as_u16()), waited);
            if is_suspected {
                record.absolve();
            }
        });
        waited
    }

    /// An upstream has failed. That is why the exchange ends, whatever a handler makes of it, unless another answers.
    pub(crate) fn suspect(&self, error: &Error) {
        if self.suspected.get() || self.read(|record| record.error.is_empty()) == Some(true) {
            self.failed(error);
            self.suspected.set(true);
        }
    }

    /// Why it ends, if it is an error; a later reason does not replace an earlier one.
    pub(crate) fn failed(&self, error: &Error) {
        let is_suspected = self.suspected.take();
        self.record(|record| {
            if is_suspected {
                record.absolve();
            }
            if record.error.is_empty() {
                use std::fmt::Write;
                record.end = End::from(error);
                let _ = write!(record.error, "{error}");
            }
        });
    }

    /// Everything was delivered, unless something had failed before.
    pub(crate) fn delivered(&self) {
        self.record(|record| {
            if record.end == End::Dropped {
                record.end = End::Done;
            }
        });
    }

    /// Closes the record.
    pub(crate) fn close(&self) {
        let Some(mut record) = self.record.borrow_mut().take() else { return };
        let lane = self.lane();
        if record.end == End::Dropped && lane.is_cut() {
            record.end = End::Drained;
        }
        self.marks.tell(&mut record, lane.about_now());
        if let Some(connection) = self.client() {
            record.request_bytes += connection.content_bytes();
            record.phases.behind = connection.take_behind();
        }
        for hook in self.hooks.take() {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook(&record))) {
                lane.handler_panicked(panic_message(&*payload), &record.request_id);
            }
        }
        match &self.owner {
            Owner::Client(_) => {
                lane.0.metrics.sub(Metric::RequestsOpen);
                if !has(Bug::RecordLost) {
                    lane.close_record(record);
                }
            }
            Owner::Lane | Owner::Trial | Owner::Nobody => lane.give_record(record),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !matches!(self.owner, Owner::Nobody) {
            self.close();
        }
    }
}
