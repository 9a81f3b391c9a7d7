//! An engine under test, with ears at everything that it says.

use super::clock::{PATIENCE, poll};
use corelane_engine::{
    Address, Attempt, Builder, Driver, End, Engine, Event, FnSink, Handle, Handler, Lane, Metric, Phases,
    Record, Request, Response, Result, Snapshot,
};
use std::{
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// Runs a test on both drivers, side by side.
pub(crate) fn on_both(test: impl Fn(Driver) + Sync) {
    thread::scope(|scope| {
        for driver in [Driver::Auto, Driver::Epoll] {
            let name = format!("{:?} on {driver:?}", thread::current().name().unwrap_or_default());
            let test = &test;
            thread::Builder::new().name(name).spawn_scoped(scope, move || test(driver)).expect("a thread");
        }
    });
}

type Answer = Pin<Box<dyn Future<Output = Result<Response>>>>;

/// A handler that is an async closure. It is one type whatever the closure is: the compiler makes the engine's code anew
/// for each type of handler, and tests have hundreds.
pub(crate) struct Fun {
    answer: Box<dyn Fn(Request) -> Answer>,
}

#[expect(non_snake_case, reason = "it reads like the type that it makes")]
pub(crate) fn Fun(handle: impl AsyncFn(Request) -> Result<Response> + 'static) -> Fun {
    let handle = Rc::new(handle);
    let answer = move |request| -> Answer {
        let handle = handle.clone();
        Box::pin(async move { handle(request).await })
    };
    Fun { answer: Box::new(answer) }
}

impl Handler for Fun {
    async fn handle(&self, request: Request) -> Result<Response> {
        (self.answer)(request).await
    }
}

/// What was in a record.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) lane: usize,
    pub(crate) end: End,
    pub(crate) error: String,
    pub(crate) status: u16,
    pub(crate) target: String,
    pub(crate) request_id: String,
    pub(crate) notes: Vec<(String, String)>,
    pub(crate) duration: Duration,
    pub(crate) phases: Phases,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) client: Address,
    pub(crate) peer: Address,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

impl Seen {
    fn of(lane: usize, record: &Record) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            lane,
            end: record.end,
            error: record.error.clone(),
            status: record.status,
            target: text(&record.target),
            request_id: text(&record.request_id),
            notes: record.notes.iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
            duration: record.duration,
            phases: record.phases,
            attempts: record.attempts.clone(),
            client: record.client.clone(),
            peer: record.peer.clone(),
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
        }
    }
}

/// A running engine. It is stopped when this is dropped.
pub(crate) struct Rig {
    pub(crate) handle: Handle,
    pub(crate) records: Receiver<Seen>,
    pub(crate) events: Receiver<Event>,
}

impl Rig {
    /// Starts what the builder describes, and listens to its records and events.
    pub(crate) fn start(builder: Builder) -> Self {
        let ((record, records), (event, events)) = (channel(), channel());
        let builder = builder
            .on_record(move |lane| {
                let record = record.clone();
                // A test that has ended does not care.
                Box::new(FnSink(move |seen: &Record| drop(record.send(Seen::of(lane, seen)))))
            })
            .on_event(move |seen| drop(event.send(seen.clone())));
        let handle = builder.spawn().expect("it starts");
        Self { handle, records, events }
    }

    /// One lane, one listener, a handler of its own.
    pub(crate) fn serve<H: Handler>(
        driver: Driver,
        factory: impl Fn(&Lane) -> Result<H> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Engine::builder().lanes(1).driver(driver).serve("127.0.0.1:0", factory))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.addresses()[0].socket().expect("an IP address")
    }

    /// The next record.
    #[track_caller]
    pub(crate) fn record(&self) -> Seen {
        self.records.recv_timeout(PATIENCE).expect("a record")
    }

    /// The next event that `pick` takes.
    #[track_caller]
    pub(crate) fn event<T>(&self, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        poll(PATIENCE, || self.events.try_iter().find_map(|event| pick(&event))).expect("the event")
    }

    /// All lanes' numbers together.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut lanes = self.handle.snapshots(PATIENCE).into_iter();
        let mut all = lanes.next().expect("a lane answers");
        lanes.for_each(|lane| all.merge(&lane));
        all
    }

    pub(crate) fn value(&self, metric: Metric) -> u64 {
        self.snapshot().value(metric)
    }

    /// Waits until every lane has ended.
    #[track_caller]
    pub(crate) fn ended(&self) {
        let over = poll(PATIENCE, || self.handle.is_finished().then_some(()));
        assert!(over.is_some(), "the engine does not end");
        self.handle.join();
    }

    /// Ends it, and gives the records that nobody has taken.
    #[track_caller]
    pub(crate) fn finish(self) -> Vec<Seen> {
        self.handle.stop();
        self.ended();
        self.records.try_iter().collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.handle.stop();
    }
}
