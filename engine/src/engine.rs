//! Building an engine, and holding one that runs.

use crate::{
    address::{Address, ToAddresses},
    config::Config,
    handler::Handler,
    io::{
        Listener, Socket,
        bell::{Bell, Ringer},
        driver::{self, Driver, Running, Runtime},
    },
    lane::{Drain, Lane, panic_message},
    listener::{self, Door},
    metrics::{Metric, Snapshot},
    record::Record,
    settings::Settings,
    sink::{Event, Sink},
    sys,
    timeouts::Timeouts,
};
use corelane_balancer::retry::RetryPolicy;
use corelane_codec::Limits;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

/// Commands that wait for a lane; more are refused.
const INBOX_MAX: usize = 64;
/// Descriptors that are not for clients and origins: listeners, rings, logs, the admin socket.
const DESCRIPTORS_RESERVED: u64 = 128;

/// A proxy engine: see the crate's documentation.
#[derive(Debug)]
pub struct Engine(());

type Serve = dyn Fn(&Lane, Listener, Rc<Door>) -> crate::Result<()> + Send + Sync;

struct Listening {
    addresses: io::Result<Vec<Address>>,
    named: String,
    settings: Option<Arc<Settings>>,
    serve: Arc<Serve>,
}

/// What an engine is to be.
pub struct Builder {
    config: Config,
    settings: Settings,
    lanes: usize,
    connections_max: Option<usize>,
    listening: Vec<Listening>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

impl Engine {
    /// Begins to describe one.
    pub fn builder() -> Builder {
        Builder {
            config: Config {
                driver: Driver::Auto,
                via: format!("corelane-{:08x}", sys::random() as u32),
                connections_max: 0,
                sink: None,
                event: None,
            },
            settings: Settings::default(),
            lanes: 1,
            connections_max: None,
            listening: Vec::new(),
        }
    }
}

impl Builder {
    /// How many lanes: threads, each with its own event loop, listeners and pools. Default 1; 0 is taken for 1.
    #[must_use]
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes.max(1);
        self
    }

    /// What lanes run on. Default: io_uring, else epoll.
    #[must_use]
    pub fn driver(mut self, driver: Driver) -> Self {
        self.config.driver = driver;
        self
    }

    /// What exchanges are held to, all at once.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// How long things may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// How large things may be.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// When a failed attempt may be followed by another. Default: [`RetryPolicy::default`].
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.settings.retry = retry;
        self
    }

    /// The most content that a request may have, in bytes; more is a 413. Default: no limit.
    #[must_use]
    pub fn content_bytes_max(mut self, max: Option<u64>) -> Self {
        self.settings.content_bytes_max = max;
        self
    }

    /// The most client connections of all lanes; those beyond wait in the kernel's queue. Default: what the limit on
    /// descriptors allows, at two for each, less 128.
    #[must_use]
    pub fn max_connections(mut self, max: Option<usize>) -> Self {
        self.connections_max = max;
        self
    }

    /// The name in `Via`. It must be nobody else's, because a request that carries it is taken for one that has come
    /// round in a loop. Default: `corelane-` and eight random digits. It must be a token (RFC 9110 §5.6.2).
    #[must_use]
    pub fn via(mut self, name: impl Into<String>) -> Self {
        self.config.via = name.into();
        self
    }

    /// Listens on an address, such as `127.0.0.1:8080` or `unix:/run/app.sock`, and answers with the handlers that
    /// `factory` makes, one for each lane. May be called for several addresses.
    ///
    /// The file of a unix socket gets the mode 0660, replaces one that a dead process left behind, and is removed when
    /// the engine drains.
    #[must_use]
    pub fn serve<H: Handler>(
        self,
        address: impl ToAddresses,
        factory: impl Fn(&Lane) -> crate::Result<H> + Send + Sync + 'static,
    ) -> Self {
        self.listen(address, None, factory)
    }

    /// The same with settings of this listener's own, in the place of the [builder's](Self::settings).
    #[must_use]
    pub fn serve_with<H: Handler>(
        self,
        address: impl ToAddresses,
        settings: Settings,
        factory: impl Fn(&Lane) -> crate::Result<H> + Send + Sync + 'static,
    ) -> Self {
        self.listen(address, Some(Arc::new(settings)), factory)
    }

    fn listen<H: Handler>(
        mut self,
        address: impl ToAddresses,
        settings: Option<Arc<Settings>>,
        factory: impl Fn(&Lane) -> crate::Result<H> + Send + Sync + 'static,
    ) -> Self {
        let addresses = address.to_addresses();
        self.listening.push(Listening {
            addresses,
            named: format!("{address:?}"),
            settings,
            serve: Arc::new(move |lane, socket, door| {
                listener::serve(lane, socket, door, Rc::new(factory(lane)?));
                Ok(())
            }),
        });
        self
    }

    /// Takes the record of each exchange; `factory` makes a sink for each lane.
    #[must_use]
    pub fn on_record(mut self, factory: impl Fn(usize) -> Box<dyn Sink> + Send + Sync + 'static) -> Self {
        self.config.sink = Some(Box::new(factory));
        self
    }

    /// Hears what happens to the engine. It is called on lanes, so it must never block.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.config.event = Some(Box::new(hook));
        self
    }

    /// Runs until it is drained, which without a [`Handle`] nobody can do. The engine installs no signal handler, so a
    /// TERM ends the process in mid-request: to drain then, use [`spawn`](Self::spawn) and call [`Handle::drain`].
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn run(self) -> Result<(), StartError> {
        self.spawn()?.join();
        Ok(())
    }

    /// Binds every address, starts the lanes, and returns once each of them serves. The engine installs no signal
    /// handler and never ends the process.
    ///
    /// # Errors
    /// An address that cannot be understood or bound, a driver that the kernel refuses, a handler that cannot be
    /// made. Nothing runs then.
    pub fn spawn(mut self) -> Result<Handle, StartError> {
        let descriptors = sys::raise_descriptor_limit().map_err(StartError::Descriptors)?;
        let allowed =
            usize::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED) / 2).unwrap_or(usize::MAX);
        let connections = self.connections_max.unwrap_or(allowed).max(1);
        self.config.connections_max = connections.div_ceil(self.lanes);
        let sockets = self.bind()?;
        let addresses =
            sockets.first().map(|lane| lane.iter().map(Served::address).collect()).unwrap_or_default();
        let (config, settings) = (Arc::new(self.config), Arc::new(self.settings));
        let (ended_sender, ended) = bounded(0);
        let mut handle = Handle {
            lanes: Vec::new(),
            addresses,
            ended,
            draining: Arc::default(),
            settings: settings.clone(),
        };
        let mut starting = Vec::new();
        for (id, sockets) in sockets.into_iter().enumerate() {
            match start_lane(id, (config.clone(), settings.clone()), sockets, ended_sender.clone()) {
                Ok((lane, started)) => {
                    handle.lanes.push(Arc::new(lane));
                    starting.push(started);
                }
                Err(error) => {
                    handle.stop();
                    return Err(StartError::Thread(error));
                }
            }
        }
        drop(ended_sender);
        handle.await_start(&starting)?;
        for address in handle.addresses() {
            if let Some(hook) = &config.event {
                hook(&Event::Listening { address: address.clone() });
            }
        }
        Ok(handle)
    }

    /// A listening socket for each lane and address. They belong to the process; a lane borrows them.
    fn bind(&self) -> Result<Vec<Vec<Served>>, StartError> {
        let mut lanes: Vec<Vec<Served>> = (0..self.lanes).map(|_| Vec::new()).collect();
        for listening in &self.listening {
            let addresses = listening.addresses.as_ref().map_err(|error| StartError::Address {
                address: listening.named.clone(),
                error: error.to_string(),
            })?;
            for address in addresses {
                let mut before: Option<Arc<Socket>> = None;
                for sockets in &mut lanes {
                    let socket = beside(before.as_ref(), address)
                        .map_err(|error| StartError::Bind { address: address.clone(), error })?;
                    before = Some(socket.clone());
                    let (settings, serve) = (listening.settings.clone(), listening.serve.clone());
                    sockets.push(Served { socket, settings, serve });
                }
            }
        }
        Ok(lanes)
    }
}

/// The next lane's socket for an address, where one before it has one already: lanes share a unix socket, because
/// another could not have its name, and have one each of TCP, among which the kernel spreads connections.
fn beside(before: Option<&Arc<Socket>>, address: &Address) -> io::Result<Arc<Socket>> {
    match before {
        None => listen(address).map(Arc::new),
        Some(shared) if shared.address().path().is_some() => Ok(shared.clone()),
        // Port 0 is the kernel's choice for the first, and then everybody's.
        Some(first) => Socket::listen(first.address(), false).map(Arc::new),
    }
}

/// Opens the first listening socket of an address. After a kill, the kernel takes some milliseconds to dissolve a ring and what it holds, so
/// a supervisor that restarts at once finds its own address taken: that is waited for, for a second.
fn listen(address: &Address) -> io::Result<Socket> {
    const PAUSE: Duration = Duration::from_millis(20);
    const PAUSES: u32 = 50;
    for _ in 0..PAUSES {
        match Socket::listen(address, true) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let _ = crossbeam_channel::after(PAUSE).recv();
            }
            done => return done,
        }
    }
    Socket::listen(address, true)
}

/// A listening socket, and what is served on it.
struct Served {
    socket: Arc<Socket>,
    settings: Option<Arc<Settings>>,
    serve: Arc<Serve>,
}

impl Served {
    fn address(&self) -> Address {
        self.socket.address().clone()
    }
}

type Started = Receiver<Result<Running, StartError>>;

/// Starts a lane's thread. `ended` is dropped when it ends.
fn start_lane(
    id: usize,
    (config, settings): (Arc<Config>, Arc<Settings>),
    sockets: Vec<Served>,
    ended: Sender<()>,
) -> io::Result<(LaneHandle, Started)> {
    let (commands, inbox) = bounded(INBOX_MAX);
    let (started_sender, started) = bounded(1);
    let (ringer, grace) = (Bell::ringer()?, Arc::<GraceSlot>::default());
    let start = Start { id, config, settings, sockets, inbox, grace: grace.clone(), ringer: ringer.clone() };
    thread::Builder::new().name(format!("corelane-{id}")).spawn(move || {
        start.run(&started_sender);
        drop(ended);
    })?;
    Ok((LaneHandle { grace, commands, ringer, driver: Running::Uring }, started))
}

/// A request for a copy of the lane's numbers, with where to send it.
type Command = Sender<Snapshot>;

/// How a lane is to end: a slot that is never full, so that no drain is lost. A later value is the hastier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grace {
    /// It is not.
    Serve,
    Unlimited,
    Configured,
    None,
}

#[derive(Debug, Default)]
struct GraceSlot(AtomicU8);

impl GraceSlot {
    fn hasten(&self, grace: Grace) {
        self.0.fetch_max(grace as u8, Ordering::Release);
    }

    fn read(&self) -> Grace {
        match self.0.load(Ordering::Acquire) {
            0 => Grace::Serve,
            1 => Grace::Unlimited,
            2 => Grace::Configured,
            _ => Grace::None,
        }
    }
}

/// What a lane's thread starts with.
struct Start {
    id: usize,
    config: Arc<Config>,
    settings: Arc<Settings>,
    sockets: Vec<Served>,
    inbox: Receiver<Command>,
    grace: Arc<GraceSlot>,
    ringer: Ringer,
}

impl Start {
    fn run(mut self, started: &Sender<Result<Running, StartError>>) {
        let (mut runtime, running) = match driver::build(self.config.driver) {
            Ok(built) => built,
            Err(error) => {
                let _ = started.send(Err(StartError::Driver(error)));
                return;
            }
        };
        let lane = match runtime.block_on(self.set_up(running.clone())) {
            Ok(lane) => lane,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        lane.event(&Event::LaneStarted { lane: self.id, driver: running.clone() });
        let _ = started.send(Ok(running));
        let cut = serve_out(&mut runtime, &lane);
        runtime.block_on(lane.tear_down());
        lane.event(&Event::LaneEnded { lane: self.id, cut });
    }

    async fn set_up(&mut self, running: Running) -> Result<Lane, StartError> {
        let bell = Bell::new(&self.ringer).map_err(StartError::Thread)?;
        let lane = Lane::new(self.id, self.config.clone(), &self.settings, running, bell);
        let house = lane.clone();
        lane.spawn_forever(move || house.clone().keep_house());
        let (inbox, grace, commanded) = (self.inbox.clone(), self.grace.clone(), lane.clone());
        lane.spawn_forever(move || obey(commanded.clone(), inbox.clone(), grace.clone()));
        for Served { socket, settings, serve } in self.sockets.drain(..) {
            let listener = Listener::new(&socket)
                .map_err(|error| StartError::Bind { address: socket.address().clone(), error })?;
            let door = Door::new(socket.address().unshared(), settings.as_ref().unwrap_or(&self.settings));
            // A factory that panics, such as over a name that cannot be found, says why.
            let made = catch_unwind(AssertUnwindSafe(|| serve(&lane, listener, door)));
            made.map_err(|payload| StartError::Handler(panic_message(&*payload)))?
                .map_err(|error| StartError::Handler(error.to_string()))?;
            lane.0.sockets.borrow_mut().push(socket);
        }
        Ok(lane)
    }
}

/// Runs the lane until it is drained. A panic that nothing else caught leaves the loop, which is entered again: the
/// lane's other connections live on.
fn serve_out(runtime: &mut Runtime, lane: &Lane) -> u64 {
    loop {
        match catch_unwind(AssertUnwindSafe(|| runtime.block_on(lane.finished()))) {
            Ok(cut) => return cut,
            Err(payload) => {
                lane.0.metrics.count(Metric::EnginePanics);
                lane.event(&Event::LanePanicked { lane: lane.id(), message: panic_message(&*payload) });
            }
        }
    }
}

/// Does what other threads ask for.
async fn obey(lane: Lane, inbox: Receiver<Command>, grace: Arc<GraceSlot>) {
    let mut seen = Grace::Serve;
    loop {
        let now = grace.read();
        if now != seen {
            seen = now;
            match now {
                Grace::Serve => {}
                Grace::Unlimited => lane.drain(Drain::Patiently),
                Grace::Configured => {
                    lane.drain(Drain::Until(lane.after(lane.settings().timeouts.drain_grace)))
                }
                Grace::None => lane.drain(Drain::Now),
            }
        }
        while let Ok(reply) = inbox.try_recv() {
            let _ = reply.try_send(lane.snapshot());
        }
        if lane.0.bell.rung().await.is_err() {
            return;
        }
    }
}

struct LaneHandle {
    grace: Arc<GraceSlot>,
    commands: Sender<Command>,
    ringer: Ringer,
    driver: Running,
}

impl LaneHandle {
    fn command(&self, command: Command) -> bool {
        let sent = self.commands.try_send(command).is_ok();
        self.ringer.ring();
        sent
    }
}

/// An engine that runs. Dropping it changes nothing; the engine runs until it is drained.
#[derive(Clone)]
pub struct Handle {
    lanes: Vec<Arc<LaneHandle>>,
    addresses: Vec<Address>,
    /// Disconnected when every lane has ended.
    ended: Receiver<()>,
    draining: Arc<AtomicBool>,
    settings: Arc<Settings>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Handle {
    fn await_start(&mut self, starting: &[Receiver<Result<Running, StartError>>]) -> Result<(), StartError> {
        let mut failed = None;
        for (lane, started) in self.lanes.iter_mut().zip(starting) {
            let running = started.recv().unwrap_or(Err(StartError::Panicked));
            match running {
                Ok(running) => Arc::get_mut(lane).expect("nobody has the handle yet").driver = running,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => Ok(()),
            Some(error) => {
                self.stop();
                self.join();
                Err(error)
            }
        }
    }

    /// The addresses that are listened on, in the order in which they were asked for; a port of 0 has become the
    /// kernel's choice.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// What each lane runs on.
    pub fn driver(&self) -> Vec<Running> {
        self.lanes.iter().map(|lane| lane.driver.clone()).collect()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// The timeouts in force.
    pub fn timeouts(&self) -> &Timeouts {
        &self.settings.timeouts
    }

    /// Stops accepting and finishes what is in flight, within [`Timeouts::drain_grace`]: the next answer on each
    /// connection says `Connection: close`, and idle connections are closed within about a second.
    pub fn drain(&self) {
        self.drain_with(Grace::Configured);
    }

    /// The same, however long it takes.
    pub fn drain_without_deadline(&self) {
        self.drain_with(Grace::Unlimited);
    }

    /// Ends at once; what is in flight is cut off.
    pub fn stop(&self) {
        self.drain_with(Grace::None);
    }

    fn drain_with(&self, grace: Grace) {
        self.draining.store(true, Ordering::Relaxed);
        for lane in &self.lanes {
            lane.grace.hasten(grace);
            lane.ringer.ring();
        }
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether every lane has ended.
    pub fn is_finished(&self) -> bool {
        self.ended.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// A copy of each lane's numbers. A lane that does not answer within `wait` is missing.
    pub fn snapshots(&self, wait: Duration) -> Vec<Snapshot> {
        let (reply, replies) = bounded(self.lanes.len());
        let asked = self.lanes.iter().filter(|lane| lane.command(reply.clone())).count();
        drop(reply);
        let deadline = crossbeam_channel::after(wait);
        let mut snapshots = Vec::with_capacity(asked);
        while snapshots.len() < asked {
            crossbeam_channel::select! {
                recv(replies) -> snapshot => match snapshot {
                    Ok(snapshot) => snapshots.push(snapshot),
                    Err(_) => break,
                },
                recv(deadline) -> _ => break,
            }
        }
        snapshots.sort_by_key(|snapshot: &Snapshot| snapshot.lane);
        snapshots
    }

    /// Waits until every lane has ended.
    pub fn join(&self) {
        // Nothing is ever sent: the channel ends when the last lane does.
        let _ = self.ended.recv();
    }
}

/// Why an engine could not be started: what is wrong, and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address that cannot be understood.
    Address {
        /// As it was given.
        address: String,
        /// What is wrong with it.
        error: String,
    },
    /// An address that cannot be bound.
    Bind {
        /// Which.
        address: Address,
        /// The system's words.
        error: io::Error,
    },
    /// The kernel refuses the driver that was asked for.
    Driver(io::Error),
    /// A handler's factory failed.
    Handler(String),
    /// A handler's factory panicked.
    Panicked,
    /// A thread, or what it needs, could not be made.
    Thread(io::Error),
    /// The limit on descriptors could not be read.
    Descriptors(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, error } => {
                write!(
                    f,
                    "{address} is not an address to listen on: {error}; write 127.0.0.1:8080, \
                     [::1]:8080 or unix:/run/app.sock"
                )
            }
            Self::Bind { address, error } => cannot_bind(f, address, error),
            Self::Driver(error) => {
                write!(
                    f,
                    "{error}; use the driver `auto` to fall back to epoll, or allow io_uring (seccomp profile, \
                           sysctl kernel.io_uring_disabled)"
                )
            }
            Self::Handler(error) => write!(f, "a handler could not be made: {error}"),
            Self::Panicked => f.write_str("a lane panicked while it was starting, in a handler's factory"),
            Self::Thread(error) => write!(f, "cannot start a lane: {error}"),
            Self::Descriptors(error) => write!(f, "cannot read the limit on descriptors: {error}"),
        }
    }
}

fn cannot_bind(f: &mut fmt::Formatter<'_>, address: &Address, error: &io::Error) -> fmt::Result {
    use io::ErrorKind;
    match (address, error.kind()) {
        (Address::Ip(ip), ErrorKind::AddrInUse) => write!(
            f,
            "{address} is taken by another program; choose another address, or find who has it with: \
             ss -ltnp 'sport = :{}'",
            ip.port()
        ),
        (Address::Ip(_), ErrorKind::PermissionDenied) => write!(
            f,
            "no permission to listen on {address}; ports below 1024 need CAP_NET_BIND_SERVICE \
             (setcap cap_net_bind_service=+ep PROGRAM, or AmbientCapabilities= in a systemd unit)"
        ),
        (_, ErrorKind::AddrNotAvailable) => {
            write!(f, "{address} is not an address of this machine; see: ip address")
        }
        (_, ErrorKind::AddrInUse) => {
            write!(
                f,
                "{address} is taken: another program answers on it; choose another path, or stop that program"
            )
        }
        (_, ErrorKind::AlreadyExists) => {
            write!(
                f,
                "{address} is taken by a file that is no socket; choose another path, or remove the file"
            )
        }
        (_, ErrorKind::NotFound) => write!(f, "the directory of {address} does not exist; create it"),
        (_, ErrorKind::PermissionDenied) => {
            write!(f, "no permission to create {address}; its directory must be writable")
        }
        _ => write!(f, "cannot listen on {address}: {error}"),
    }
}

impl std::error::Error for StartError {}

impl From<StartError> for crate::Error {
    fn from(error: StartError) -> Self {
        Self::internal(error)
    }
}

/// The driver that a lane gets on this machine: by making a ring and dropping it, on a thread of its own.
pub fn probe_driver(choice: Driver) -> io::Result<Running> {
    let probe = thread::spawn(move || driver::build(choice).map(|built| built.1));
    probe.join().unwrap_or_else(|_| Err(io::Error::other("the probe panicked")))
}

/// A sink that calls a function.
pub struct FnSink<F>(pub F);

impl<F> fmt::Debug for FnSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnSink")
    }
}

impl<F: FnMut(&Record)> Sink for FnSink<F> {
    fn record(&mut self, record: &Record) {
        (self.0)(record);
    }
}
