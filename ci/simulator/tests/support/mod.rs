//! Small simulated worlds, written by hand: one thing goes wrong in each, and what must come of it is known.
#![allow(dead_code, reason = "each test uses a part of it")]

use corelane_engine::{
    Builder, Cluster, Engine, Handle, Handler, Lane, Metric, Request, Response, Result, Upstream,
    simulate::{Faults, Socket, World},
};
use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

/// Where the engine listens.
pub(crate) const HERE: &str = "10.0.0.1:80";

/// `n` thousandths of a second.
pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `n` seconds.
pub(crate) const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn at(address: &str) -> SocketAddr {
    address.parse().expect("an address")
}

/// Sends everything on.
pub(crate) struct Gateway(pub(crate) Upstream);

impl Handler for Gateway {
    async fn handle(&self, request: Request) -> Result<Response> {
        self.0.send(request).await
    }
}

/// An engine for this cluster.
pub(crate) fn gateway(lanes: usize, cluster: Cluster) -> Builder {
    let cluster = cluster.resolve().expect("addresses");
    Engine::builder().lanes(lanes).serve(HERE, move |lane: &Lane| Ok(Gateway(lane.upstream(&cluster))))
}

/// A world, and the engine in it.
pub(crate) struct Town {
    pub(crate) world: World,
    engine: Option<Handle>,
}

impl Town {
    /// A world in which nothing goes wrong, with an engine.
    pub(crate) fn new(seed: u64, builder: Builder) -> Self {
        let world = World::begin(seed, Faults::none());
        let engine = builder.spawn().expect("it starts");
        Self { world, engine: Some(engine) }
    }

    pub(crate) fn engine(&self) -> &Handle {
        self.engine.as_ref().expect("it has not been ended")
    }

    /// From now on, this goes wrong.
    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut faults = Faults::none();
        change(&mut faults);
        self.world.set_faults(faults);
    }

    /// Somebody listens there, and does this with each connection.
    pub(crate) fn origin<F>(&self, address: &str, serve: impl Fn(Peer) -> F + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let (world, address, serve) = (self.world.clone(), at(address), Rc::new(serve));
        // From within, or its descriptor would be one of the engine's.
        self.world.spawn(async move {
            let listener = world.listen(address).expect("nobody else listens");
            while let Ok(socket) = listener.accept().await {
                let peer = Peer::new(&world, socket);
                let serving = serve(peer);
                world.spawn(serving);
            }
        });
    }

    /// Somebody connects, and does this.
    pub(crate) fn client<F>(&self, does: impl FnOnce(Peer) -> F + 'static) -> Rc<Cell<bool>>
    where
        F: Future<Output = ()> + 'static,
    {
        let (world, done) = (self.world.clone(), Rc::new(Cell::new(false)));
        let is_done = done.clone();
        self.world.spawn(async move {
            let socket = world.connect(at(HERE)).await.expect("it listens");
            does(Peer::new(&world, socket)).await;
            is_done.set(true);
        });
        done
    }

    /// Somebody sends this, and reads until the end.
    pub(crate) fn ask(&self, bytes: impl Into<Vec<u8>>) -> Rc<Answer> {
        let (answer, bytes) = (Rc::<Answer>::default(), bytes.into());
        let told = answer.clone();
        self.client(async move |mut peer| {
            let began = peer.world.now();
            let _ = peer.socket.send(&bytes).await;
            told.was_reset.set(!peer.rest().await);
            *told.text.borrow_mut() = peer.text();
            told.took.set(Some(peer.world.now().saturating_sub(began)));
        });
        answer
    }

    /// Goes on until it is true, which must be within this time.
    pub(crate) fn until(&self, what: &str, time: Duration, is_true: impl FnMut() -> bool) {
        assert!(self.world.run_until(time, is_true), "not within {time:?}: {what}");
    }

    /// The answer, which must come within this time.
    pub(crate) fn answered(&self, answer: &Answer, time: Duration) -> String {
        self.until("an answer", time, || answer.took.get().is_some());
        answer.text.borrow().clone()
    }

    /// A number, over all lanes.
    pub(crate) fn value(&self, metric: Metric) -> u64 {
        self.engine().snapshots(s(3)).iter().map(|lane| lane.value(metric)).sum()
    }

    /// The engine ends, and leaves nothing.
    pub(crate) fn end(mut self) {
        let engine = self.engine.take().expect("it has not been ended");
        engine.drain();
        self.until("the end of a drain", s(60), || engine.is_finished());
        drop(engine);
        assert_eq!(self.world.panics(), Vec::<String>::new());
        assert_eq!(
            (self.world.descriptors(), self.world.lane_tasks()),
            (0, 0),
            "descriptors and tasks are left"
        );
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        drop(self.engine.take());
        World::end();
    }
}

/// What became of a question.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) text: RefCell<String>,
    /// From the first byte sent to the end of the connection.
    pub(crate) took: Cell<Option<Duration>>,
    pub(crate) was_reset: Cell<bool>,
}

/// One end of a connection.
pub(crate) struct Peer {
    pub(crate) world: World,
    pub(crate) socket: Socket,
    received: Vec<u8>,
}

impl Peer {
    fn new(world: &World, socket: Socket) -> Self {
        Self { world: world.clone(), socket, received: Vec::new() }
    }

    /// The next head; none if the connection ends before.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.received.drain(..end + 4).collect();
                return String::from_utf8(head).ok();
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// So many bytes of content; whether they came.
    pub(crate) async fn bytes(&mut self, count: usize) -> bool {
        while self.received.len() < count {
            if !self.more().await {
                return false;
            }
        }
        self.received.drain(..count);
        true
    }

    /// Whether something came.
    pub(crate) async fn more(&mut self) -> bool {
        self.socket.receive(&mut self.received).await.is_ok_and(|count| count > 0)
    }

    /// Reads to the end; whether it was one, and no reset.
    pub(crate) async fn rest(&mut self) -> bool {
        loop {
            match self.socket.receive(&mut self.received).await {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.send(bytes.as_ref()).await.is_ok()
    }

    /// What has come and has not been used.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}

/// A request for this path, the last of its connection.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
}

/// A 200 with this content.
pub(crate) fn ok(content: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len())
}

/// Answers every request with this content.
pub(crate) async fn answers(mut peer: Peer, content: &'static str) {
    while peer.head().await.is_some() {
        if !peer.send(ok(content)).await {
            return;
        }
    }
}
