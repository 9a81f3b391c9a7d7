//! What the parts of one exchange share: its connection, its record, its marks in time.

use crate::{
    address::Address,
    downstream::Downstream,
    error::{Error, Result},
    lane::Lane,
    metrics::Metric,
    pace::Pace,
    record::{End, Record},
    settings::Settings,
    wheel::{Tick, Timer},
};
use corelane_balancer::hash_bytes;
use corelane_codec::{Fields, forward::Trusted, trail};
use std::{
    cell::{Cell, Ref, RefCell},
    net::{IpAddr, SocketAddr},
    rc::Rc,
    task::Context,
    time::Duration,
};

/// When things happened, since the lane began.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    head: Duration,
    handled: Duration,
    upstream: Option<Duration>,
    sent: Option<Duration>,
    answered: Option<Duration>,
    connecting: Duration,
    /// Waiting for answers that did not come.
    in_vain: Duration,
}

/// One exchange. It outlives the handler: a response's content, and an upload that goes on, belong to it.
pub(crate) struct Exchange {
    /// `None` only while it lies in the lane's free list.
    connection: Option<Rc<Downstream>>,
    record: RefCell<Option<Box<Record>>>,
    marks: Cell<Marks>,
    /// What it is held to: the listener's at first.
    settings: RefCell<Rc<Settings>>,
    /// How the content of the request comes.
    pace: RefCell<Pace>,
    /// When the whole exchange must be over.
    due: Cell<Option<Tick>>,
    /// Its own, because it may outlive its place on the connection.
    timer: Rc<Timer>,
    /// It is over: whoever still holds it has no business with the client any more.
    closed: Cell<bool>,
    /// Its peer is a proxy whose word is taken.
    trusted: Cell<Option<Trusted>>,
    /// What the request belongs to, for policies that ask; `None`: to its client.
    balance_key: Cell<Option<u64>>,
    /// The client waits for a 100 before it sends the content, and nobody has asked for that yet.
    expects: Cell<bool>,
}

impl Exchange {
    /// Opens the record; it is closed exactly once, at the latest when this is dropped.
    pub(crate) fn open(connection: &Rc<Downstream>) -> Rc<Self> {
        let lane = &connection.lane;
        lane.0.metrics.count(Metric::Requests);
        lane.0.metrics.add(Metric::RequestsOpen, 1);
        let mut record = lane.take_record();
        record.at = lane.wall();
        record.peer = connection.peer.clone();
        (record.client, record.local) = (connection.peer.clone(), connection.door.local.clone());
        let settings = connection.door.settings().clone();
        connection.set_content_bytes_max(settings.content_bytes_max);
        let mut free = lane.take_exchange();
        let opened = Self {
            connection: Some(connection.clone()),
            timer: free.as_ref().map_or_else(Timer::new, |free| free.timer.clone()),
            closed: Cell::new(false),
            record: RefCell::new(Some(record)),
            marks: Cell::new(Marks { head: lane.about_now(), ..Marks::default() }),
            pace: RefCell::default(),
            due: Cell::new(settings.timeouts.request.map(|timeout| lane.after(timeout))),
            settings: RefCell::new(settings),
            trusted: Cell::new(None),
            balance_key: Cell::new(None),
            expects: Cell::new(false),
        };
        match free.take() {
            Some(mut free) => {
                *Rc::get_mut(&mut free).expect("nobody holds what lies in the free list") = opened;
                free
            }
            None => Rc::new(opened),
        }
    }

    /// Closes the record; the memory is used again unless somebody still holds on to it.
    pub(crate) fn finish(mut this: Rc<Self>) {
        this.close();
        this.closed.set(true);
        let lane = this.lane().clone();
        if let Some(exchange) = Rc::get_mut(&mut this) {
            exchange.connection = None;
            lane.give_exchange(this);
        }
    }

    pub(crate) fn connection(&self) -> &Rc<Downstream> {
        self.connection.as_ref().expect("an exchange that is open has a connection")
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.connection().lane
    }

    /// What it is held to.
    pub(crate) fn settings(&self) -> Ref<'_, Rc<Settings>> {
        self.settings.borrow()
    }

    /// Holds it to these from now on; the time for the whole of it counts from its beginning.
    pub(crate) fn set_settings(&self, settings: &Rc<Settings>) {
        self.connection().set_content_bytes_max(settings.content_bytes_max);
        let lane = self.lane();
        let began = self.marks.get().head;
        let elapsed = lane.about_now().saturating_sub(began);
        self.due.set(settings.timeouts.request.map(|timeout| lane.after(timeout.saturating_sub(elapsed))));
        *self.settings.borrow_mut() = settings.clone();
    }

    /// The request belongs to this.
    pub(crate) fn balance_by(&self, key: &[u8]) {
        self.balance_key.set(Some(hash_bytes(key)));
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
        named.or_else(|| self.connection().peer.ip().map(|ip| ip.to_canonical()))
    }

    /// The client waits for a 100.
    pub(crate) fn set_expects(&self, expects: bool) {
        self.expects.set(expects);
    }

    /// Whether the client still waits for a 100; whoever asks takes care of it.
    pub(crate) fn take_expects(&self) -> bool {
        self.expects.take()
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
        self.marks.get().answered.is_some()
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

    /// Reads from the record.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Record) -> T) -> Option<T> {
        self.record.borrow().as_ref().map(|record| read(record))
    }

    fn mark(&self, mark: impl FnOnce(&mut Marks, Duration)) {
        let mut marks = self.marks.get();
        mark(&mut marks, self.lane().about_now());
        self.marks.set(marks);
    }

    /// The handler begins.
    pub(crate) fn mark_handled(&self) {
        self.mark(|marks, now| marks.handled = now);
    }

    /// The handler asks for an upstream.
    pub(crate) fn mark_upstream(&self) {
        // The handler has been at work.
        self.lane().look();
        self.mark(|marks, now| {
            marks.upstream.get_or_insert(now);
        });
    }

    /// An upstream connection was made in so much time.
    pub(crate) fn mark_connected(&self, took: Duration) {
        let mut marks = self.marks.get();
        marks.connecting += took;
        self.marks.set(marks);
    }

    /// The first byte of the request goes out.
    pub(crate) fn mark_sent(&self) {
        self.mark(|marks, now| marks.sent = Some(now));
    }

    /// The head of the response has not come, and will not.
    pub(crate) fn mark_failed(&self) {
        self.mark(|marks, now| {
            if let Some(sent) = marks.sent.take() {
                marks.in_vain += now.saturating_sub(sent);
            }
        });
    }

    /// The head of the response has come.
    pub(crate) fn mark_answered(&self) {
        self.mark(|marks, now| marks.answered = Some(now));
    }

    /// Why it ends, if it is an error; a later reason does not replace an earlier one.
    pub(crate) fn failed(&self, error: &Error) {
        self.record(|record| {
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
        let (now, marks) = (lane.about_now(), self.marks.get());
        let handled = if marks.handled.is_zero() { marks.head } else { marks.handled };
        record.duration = now.saturating_sub(marks.head);
        record.phases.queue = handled.saturating_sub(marks.head);
        record.phases.route = marks.upstream.unwrap_or(now).saturating_sub(handled);
        record.phases.connect = marks.connecting;
        record.phases.wait = marks.in_vain;
        if let (Some(sent), Some(answered)) = (marks.sent, marks.answered) {
            record.phases.wait += answered.saturating_sub(sent);
            record.phases.transfer = now.saturating_sub(answered);
        }
        record.request_bytes += self.connection().content_bytes();
        lane.0.metrics.sub(Metric::RequestsOpen);
        lane.close_record(record);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.connection.is_some() {
            self.close();
        }
    }
}
