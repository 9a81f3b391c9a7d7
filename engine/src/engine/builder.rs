//! What an engine is to be.

use super::{
    Handle, StartError,
    handle::{Control, Shared},
    listen,
};
use crate::{
    address::{Address, ToAddresses},
    config::Config,
    door::{Serve, serve_by},
    flight::FlightRecorder,
    handler::Handler,
    io::{driver::Driver, system},
    lane::Lane,
    overload::Overload,
    process::Process,
    record::Record,
    settings::Settings,
    sink::{Event, Sink},
    timeouts::Timeouts,
};
use corelane_balancer::retry::RetryPolicy;
use corelane_codec::Limits;
use std::{fmt, io, sync::Arc, thread};

/// Descriptors that are not for clients and origins: listeners, rings, logs, the admin socket.
const DESCRIPTORS_RESERVED: u64 = 128;

/// A proxy engine: see the crate's documentation.
#[derive(Debug)]
pub struct Engine(());

/// Addresses to listen on, and what is served there.
pub(crate) struct Listening {
    pub(crate) addresses: io::Result<Vec<Address>>,
    pub(crate) named: String,
    pub(crate) settings: Option<Arc<Settings>>,
    pub(crate) serve: Arc<Serve>,
}

/// Whether each lane is pinned to a core of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pin {
    /// If there are as many lanes as cores that the process may use: then nothing is gained by moving them, and warm
    /// caches are lost. With fewer lanes, the system is left to keep them out of the way of other programs.
    #[default]
    Auto,
    /// Whatever their number; with more lanes than cores, some share one.
    Always,
    /// Never.
    Never,
}

/// What an engine is to be.
pub struct Builder {
    config: Config,
    pub(crate) settings: Settings,
    lanes: usize,
    pin: Pin,
    connections_max: Option<usize>,
    pub(crate) listening: Vec<Listening>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

/// How many CPUs this process may use, by its affinity and its control group's quota; at least 1.
pub fn available_cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Engine {
    /// Begins to describe one.
    pub fn builder() -> Builder {
        Builder {
            config: Config {
                driver: Driver::Auto,
                via: format!("corelane-{:08x}", system::random() as u32),
                connections_max: 0,
                connections_per_source_max: None,
                overload: Overload::default(),
                flight: FlightRecorder::default(),
                sink: None,
                event: None,
            },
            settings: Settings::default(),
            lanes: available_cpus(),
            pin: Pin::Auto,
            connections_max: None,
            listening: Vec::new(),
        }
    }
}

impl Builder {
    /// How many lanes: threads, each with its own event loop, listeners and pools. Default:
    /// [as many as the process may use CPUs](available_cpus); 0 is taken for 1.
    #[must_use]
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes.max(1);
        self
    }

    /// Whether each lane is pinned to a core. Default: [`Pin::Auto`].
    #[must_use]
    pub fn pin(mut self, pin: Pin) -> Self {
        self.pin = pin;
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

    /// The most client connections from one source, of all lanes: an IPv4 address, or all IPv6 addresses that begin with
    /// the same 64 bits. Those beyond are closed at once. [Trusted proxies](Settings::trusted_proxies) and unix sockets
    /// are not counted. Default: no limit; 0 is taken for 1, and 1,048,574 is the most.
    #[must_use]
    pub fn max_connections_per_source(mut self, max: Option<u32>) -> Self {
        self.config.connections_per_source_max = max;
        self
    }

    /// What is shed when memory or descriptors run short, and from where on. Default: [`Overload::default`].
    #[must_use]
    pub fn overload(mut self, overload: Overload) -> Self {
        self.config.overload = overload;
        self
    }

    /// The name in `Via`. It must be nobody else's, because a request that carries it is taken for one that has come
    /// round in a loop. Default: `corelane-` and eight random digits. It must be a token (RFC 9110 §5.6.2).
    #[must_use]
    pub fn via(mut self, name: impl Into<String>) -> Self {
        self.config.via = name.into();
        self
    }

    /// Listens on an address, and answers with the handlers that `factory` makes, one for each lane. May be called
    /// for several addresses; the file of a unix socket gets the mode 0660.
    #[must_use]
    pub fn serve<H: Handler>(
        self,
        address: impl ToAddresses,
        factory: impl Fn(&Lane) -> crate::Result<H> + Send + Sync + 'static,
    ) -> Self {
        self.listen(address, None, serve_by(move |lane, _: Option<&H>| factory(lane)))
    }

    /// The same with settings of this listener's own, in the place of the [builder's](Self::settings).
    #[must_use]
    pub fn serve_with<H: Handler>(
        self,
        address: impl ToAddresses,
        settings: Settings,
        factory: impl Fn(&Lane) -> crate::Result<H> + Send + Sync + 'static,
    ) -> Self {
        let serve = serve_by(move |lane, _: Option<&H>| factory(lane));
        self.listen(address, Some(Arc::new(settings)), serve)
    }

    /// The same, for what is [reloaded](Handle::reload): `factory` is given the handler that it takes the place of, if
    /// there is one of the same type at this address on this lane, so that it can take over what that one has learned.
    #[must_use]
    pub fn serve_again<H: Handler>(
        self,
        address: impl ToAddresses,
        settings: Option<Settings>,
        factory: impl Fn(&Lane, Option<&H>) -> crate::Result<H> + Send + Sync + 'static,
    ) -> Self {
        self.listen(address, settings.map(Arc::new), serve_by(factory))
    }

    fn listen(
        mut self,
        address: impl ToAddresses,
        settings: Option<Arc<Settings>>,
        serve: Arc<Serve>,
    ) -> Self {
        self.listening.push(Listening {
            addresses: address.to_addresses(),
            named: format!("{address:?}"),
            settings,
            serve,
        });
        self
    }

    /// Takes the record of each exchange; `factory` makes a sink for each lane.
    #[must_use]
    pub fn on_record(mut self, factory: impl Fn(usize) -> Box<dyn Sink> + Send + Sync + 'static) -> Self {
        self.config.sink = Some(Box::new(factory));
        self
    }

    /// Which exchanges each lane keeps for [`Handle::slow`]. Default: the last 32 that took at least 100 ms.
    #[must_use]
    pub fn flight_recorder(mut self, recorder: FlightRecorder) -> Self {
        self.config.flight = recorder;
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
    /// made, steps of [shedding](Overload) that are in no order. Nothing runs then.
    pub fn spawn(mut self) -> Result<Handle, StartError> {
        self.config.overload.check().map_err(StartError::Overload)?;
        let descriptors = system::raise_descriptor_limit().map_err(StartError::Descriptors)?;
        let allowed =
            usize::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED) / 2).unwrap_or(usize::MAX);
        self.config.connections_max = self.connections_max.unwrap_or(allowed).max(1);
        let bound = listen::bind(&self.listening, &self.settings, self.lanes, &[])?;
        let process = Process::new(self.config, self.lanes).map_err(StartError::Thread)?;
        let control = Control::new(bound, Arc::new(self.settings));
        Handle::start(Arc::new(Shared::new(Arc::new(process), control, cores(self.pin, self.lanes))))
    }

    /// What a lane without listeners is made of.
    pub(super) fn into_config(self) -> (Config, Settings) {
        (self.config, self.settings)
    }

    /// What a reload cannot change: the number of lanes and the driver.
    pub(crate) fn fixed(&self) -> (usize, Driver) {
        (self.lanes, self.config.driver)
    }
}

/// The cores that lanes are pinned to: none if they are not.
fn cores(pin: Pin, lanes: usize) -> Vec<core_affinity::CoreId> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    match pin {
        Pin::Always => cores,
        Pin::Auto if lanes == cores.len() => cores,
        Pin::Auto | Pin::Never => Vec::new(),
    }
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
