//! An engine with all that a process puts around it: descriptors, logs, the admin server, signals, and the order in
//! which they begin and end.

use crate::{
    address::cannot_listen,
    admin::{self, AdminAt, Usual},
    cli::ServingArgs,
    failure::Failure,
    logs::{AccessLogTo, Logs},
    machine, signals,
    version::{COMMIT, VERSION},
};
use corelane_control::{About, Address, Control, Events, Setup, events::EventLog, log};
use corelane_engine::{Builder, Driver, Engine, Event, Handle, StartError};
use signal_hook::iterator::Signals;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// With fewer descriptors there is no serving: the engine keeps 128 to itself, and a client needs two.
const DESCRIPTORS_MIN: u64 = 256;
/// A lane that has stood still for so long is not worth waiting for: whoever supervises the process restarts it.
const LANE_LOST: Duration = Duration::from_secs(10);
/// What the log gets to write the reason for an abort.
const LOG_LAST_LINES: Duration = Duration::from_millis(200);
/// How long the end waits for a log that is being written.
const LOG_CLOSE_MAX: Duration = Duration::from_secs(2);

/// What is to be served.
pub(crate) struct Plan<'a> {
    /// Adds the addresses and their handlers.
    pub(crate) install: &'a dyn Fn(Builder) -> Builder,
    /// Tried once at the start.
    pub(crate) upstreams: Vec<corelane_engine::Address>,
    pub(crate) serving: Serving,
    pub(crate) admin: Vec<AdminAt>,
    /// Where the admin socket is unless somebody says something else.
    pub(crate) usual: Usual,
    pub(crate) settings: Settings,
    /// Called once everything listens.
    pub(crate) say_more: Option<&'a dyn Fn(&Listening)>,
}

/// How it is to be served.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) lanes: usize,
    pub(crate) driver: Driver,
    pub(crate) exchanges: corelane_engine::Settings,
    pub(crate) connections_max: Option<usize>,
    pub(crate) logs: Logs,
}

impl Serving {
    /// As the command line says; `format` for the access log where it says nothing.
    pub(crate) fn of(args: &ServingArgs, format: log::Format) -> Self {
        Self {
            lanes: args.lanes.unwrap_or_else(machine::cpus),
            driver: args.driver(),
            exchanges: args.exchanges(),
            connections_max: None,
            logs: args.logs(format),
        }
    }
}

/// Where somebody has said what to do, for errors that say what to say instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settings {
    Flags,
    File,
}

impl Settings {
    pub(crate) fn listen(self) -> &'static str {
        match self {
            Self::Flags => "--listen",
            Self::File => "`listen`",
        }
    }

    fn admin(self) -> &'static str {
        match self {
            Self::Flags => "--admin",
            Self::File => "`admin.listen`",
        }
    }

    fn access_log(self) -> &'static str {
        match self {
            Self::Flags => "--access-log",
            Self::File => "`log.access`",
        }
    }

    fn driver(self) -> &'static str {
        match self {
            Self::Flags => "leave --driver out",
            Self::File => "leave `driver` out",
        }
    }
}

/// Where everything listens, with the ports that the system chose.
pub(crate) struct Listening {
    pub(crate) addresses: Vec<corelane_engine::Address>,
    pub(crate) admin: Vec<Address>,
}

/// Serves from here to the end of the process's work.
pub(crate) fn run(plan: Plan<'_>) -> Result<(), Failure> {
    check_descriptors()?;
    let (event_log, events) = EventLog::start("corelane").map_err(failed("the event log cannot start"))?;
    let result = serve(plan, &event_log, &events);
    // The last lines, the reason for a failure among them, come after everything else.
    event_log.close(LOG_CLOSE_MAX);
    result
}

fn serve(plan: Plan<'_>, event_log: &EventLog, events: &Events) -> Result<(), Failure> {
    // Signals first: one that comes while the rest starts is answered when it has.
    let mut signals = signals::register().map_err(failed("signals cannot be handled"))?;
    let admin = admin::bind(&plan.admin, &plan.usual, plan.settings.admin(), events)?;
    let access_log = start_access_log(&plan, events)?;
    start_event_log(&plan, event_log, events)?;
    let cut = Arc::new(AtomicU64::new(0));
    let engine = start_engine(&plan, access_log.as_ref(), events, &cut)?;

    let listening = Listening {
        addresses: engine.addresses().to_vec(),
        admin: admin.iter().map(|admin| admin.address().clone()).collect(),
    };
    let setup = Setup {
        about: About { version: VERSION, commit: COMMIT },
        admin,
        operator: None,
        access_log: access_log.as_ref().map(log::Writer::counts),
        event_log: Some(event_log.counts()),
        upstreams: plan.upstreams,
        events: events.clone(),
    };
    let control = Control::start(setup, engine.clone()).map_err(failed("the control thread cannot start"))?;
    for address in &listening.admin {
        events.info(format_args!("admin on {address}"));
    }
    if let Some(say) = plan.say_more {
        say(&listening);
    }

    let ended = wait(
        &mut signals,
        &engine,
        &|| reopen(access_log.as_ref(), event_log, events),
        events,
        plan.settings,
    );
    // Nothing logs any more once the lanes have ended; the admin server answers until the very end.
    if let Some(log) = access_log
        && !log.close(LOG_CLOSE_MAX)
    {
        events.warn("the access log could not be written to its end: nobody reads it");
    }
    control.stop();
    match cut.load(Ordering::Relaxed) {
        0 => events.info("ended; nothing was cut off"),
        cut => events.warn(format_args!("ended; {cut} connections were cut off")),
    }
    ended
}

fn start_engine(
    plan: &Plan<'_>,
    access_log: Option<&log::Writer>,
    events: &Events,
    cut: &Arc<AtomicU64>,
) -> Result<Handle, Failure> {
    let serving = &plan.serving;
    let mut builder = Engine::builder()
        .lanes(serving.lanes)
        .driver(serving.driver)
        .settings(serving.exchanges.clone())
        .max_connections(serving.connections_max)
        .on_event(on_event(events.clone(), Arc::clone(cut)));
    if let Some(log) = access_log {
        builder = builder.on_record(log.sinks(serving.logs.format.clone()));
    }
    let builder = (plan.install)(builder);
    builder.spawn().map_err(|error| Failure::Run(cannot_start(&error, plan.settings)))
}

/// In a sentence that says what to do, in the words of whoever has to.
fn cannot_start(error: &StartError, settings: Settings) -> String {
    match error {
        StartError::Bind { address, error } => cannot_listen(address, error, settings.listen()),
        StartError::Driver(error) => {
            format!(
                "{error}; {} to fall back to epoll, or allow io_uring (seccomp, sysctl kernel.io_uring_disabled)",
                settings.driver()
            )
        }
        error => error.to_string(),
    }
}

/// Tells people, and adds up what the end of a drain cut off.
fn on_event(events: Events, cut: Arc<AtomicU64>) -> impl Fn(&Event) + Send + Sync + 'static {
    move |event| {
        if let Event::LaneEnded { cut: more, .. } = event {
            cut.fetch_add(*more, Ordering::Relaxed);
        }
        events.event(event);
        if let Event::LaneStuck { silent, .. } = event
            && *silent >= LANE_LOST
        {
            events.error("a lane that stands still for so long does not come back; ending, to be restarted");
            // The log has a thread of its own; half of the lanes' clients wait for nothing.
            thread::park_timeout(LOG_LAST_LINES);
            std::process::abort();
        }
    }
}

/// Answers signals until the engine has ended, by whatever cause.
fn wait(
    signals: &mut Signals,
    engine: &Handle,
    reopen_logs: &dyn Fn(),
    events: &Events,
    settings: Settings,
) -> Result<(), Failure> {
    let (handle, joined) = (signals.handle(), engine.clone());
    thread::Builder::new()
        .name("corelane-join".to_owned())
        .spawn(move || {
            joined.join();
            handle.close();
        })
        .map_err(failed("a thread cannot start"))?;
    signals::answer(signals, engine, reopen_logs, events, settings);
    engine.join();
    if engine.is_draining() {
        Ok(())
    } else {
        Err(Failure::Run(
            "every lane has ended, and nobody asked for it; please report the lines above".to_owned(),
        ))
    }
}

fn start_access_log(plan: &Plan<'_>, events: &Events) -> Result<Option<log::Writer>, Failure> {
    let AccessLogTo::To(target) = &plan.serving.logs.access else { return Ok(None) };
    let complaints = events.clone();
    match log::Writer::start(target.clone(), move |level, says| complaints.say(level, says)) {
        Ok(writer) => Ok(Some(writer)),
        Err(error) => Err(Failure::Run(format!(
            "cannot open the access log {target}: {error}; choose another {}, or off",
            plan.settings.access_log()
        ))),
    }
}

/// Takes the log of the process to where it is to be.
fn start_event_log(plan: &Plan<'_>, log: &EventLog, events: &Events) -> Result<(), Failure> {
    let logs = &plan.serving.logs;
    events.set_least(logs.least);
    if logs.errors != log::Target::Stderr {
        let target = &logs.errors;
        let opened = log::Opened::open(target.clone()).map_err(|error| {
            Failure::Run(format!("cannot open the log {target}: {error}; choose another `log.errors`"))
        })?;
        log.replace(opened);
    }
    Ok(())
}

/// For after files were moved away.
fn reopen(access_log: Option<&log::Writer>, event_log: &EventLog, events: &Events) {
    event_log.reopen();
    match access_log {
        Some(log) => log.reopen(),
        None => events.info("there is no access log to reopen"),
    }
}

fn check_descriptors() -> Result<(), Failure> {
    let limit =
        corelane_engine::raise_descriptor_limit().map_err(failed("the descriptor limit is unknown"))?;
    if limit < DESCRIPTORS_MIN {
        return Err(Failure::Run(format!(
            "only {limit} descriptors are allowed and {DESCRIPTORS_MIN} are the least that make sense; raise the limit \
             with: ulimit -n 65536 (in systemd: LimitNOFILE=65536)"
        )));
    }
    Ok(())
}

fn failed<E: fmt::Display>(what: &'static str) -> impl Fn(E) -> Failure {
    move |error| Failure::Run(format!("{what}: {error}"))
}
