//! An engine with all that a process puts around it: descriptors, logs, the admin server, names, signals, and the order
//! in which they begin and end.

use crate::{
    address::cannot_listen,
    admin::{self, Usual},
    books::Books,
    failure::Failure,
    live::{Again, Live},
    machine,
    plan::Plan,
    signals,
    version::{COMMIT, VERSION},
};
use corelane_control::{About, Address, Control, Events, Operator, Setup, log::Writer};
use corelane_engine::{Engine, Event, Handle, StartError, available_cpus};
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

/// A lane that has stood still for so long is not worth waiting for: whoever supervises the process restarts it.
const LANE_LOST: Duration = Duration::from_secs(10);
/// What the log gets to write the reason for an abort.
const LOG_LAST_LINES: Duration = Duration::from_millis(200);

/// What a command has for the process.
pub(crate) struct Command<'a> {
    pub(crate) plan: Plan,
    /// Makes the plan again when a reload is asked for; none: there is no file.
    pub(crate) again: Option<Again>,
    /// Where the admin socket is unless somebody says something else.
    pub(crate) usual: Usual,
    pub(crate) words: Words,
    /// Called once everything listens.
    pub(crate) say_more: Option<&'a dyn Fn(&Listening)>,
}

/// Where somebody has said what to do, for errors that say what to say instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    Flags,
    File,
}

impl Words {
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

    pub(crate) fn log(self) -> &'static str {
        match self {
            Self::Flags => "--access-log, or off",
            Self::File => "path in [log], or off",
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
pub(crate) fn run(command: Command<'_>) -> Result<(), Failure> {
    machine::check(&command.plan.serving)?;
    let mut books = Books::new(command.words)?;
    let opened = books.open(&command.plan.serving.logs);
    let books = Arc::new(books);
    let result = opened.and_then(|()| serve(command, &books));
    books.close();
    result
}

fn serve(command: Command<'_>, books: &Arc<Books>) -> Result<(), Failure> {
    let Command { plan, again, usual, words, say_more } = command;
    let events = &books.events;
    // Signals first: one that comes while the rest starts is answered when it has.
    let mut signals = signals::register().map_err(failed("signals cannot be handled"))?;
    let admin = admin::bind(&plan.serving.admin, &usual, words.admin(), events)?;
    let cut = Arc::new(AtomicU64::new(0));
    let engine = start_engine(&plan, books, words, &cut)?;

    let listening = Listening {
        addresses: engine.addresses(),
        admin: admin.iter().map(|admin| admin.address().clone()).collect(),
    };
    let upstreams = plan.upstreams.iter().filter_map(|found| found.cluster().ok());
    let upstreams = upstreams.flat_map(|cluster| cluster.addresses().to_vec()).collect();
    let has_file = again.is_some();
    let live = Live::start(plan, again, engine.clone(), Arc::clone(books), words)
        .map_err(failed("a thread cannot start"))?;
    let setup = Setup {
        about: About { version: VERSION, commit: COMMIT },
        admin,
        operator: has_file.then(|| Arc::new(live.clone()) as Arc<dyn Operator>),
        access_log: books.access().map(Writer::counts),
        event_log: Some(books.process().counts()),
        upstreams,
        events: events.clone(),
    };
    let control = Control::start(setup, engine.clone()).map_err(failed("the control thread cannot start"))?;
    for address in &listening.admin {
        events.info(format_args!("admin on {address}"));
    }
    if let Some(say) = say_more {
        say(&listening);
    }

    let ended = wait(&mut signals, &engine, books, has_file.then_some(&live));
    live.stop();
    // The admin server answers until the very end.
    books.close_access();
    control.stop();
    match cut.load(Ordering::Relaxed) {
        0 => events.info("ended; nothing was cut off"),
        cut => events.warn(format_args!("ended; {cut} connections were cut off")),
    }
    ended
}

fn start_engine(plan: &Plan, books: &Books, words: Words, cut: &Arc<AtomicU64>) -> Result<Handle, Failure> {
    let lanes = plan.serving.lanes.unwrap_or_else(available_cpus);
    let builder = plan
        .serving
        .builder(lanes, Engine::builder())
        .on_event(on_event(books.events.clone(), Arc::clone(cut)));
    let builder = (plan.install)(books.install(builder, &plan.serving.logs.format));
    builder.spawn().map_err(|error| Failure::Run(cannot_start(&error, words)))
}

/// In a sentence that says what to do, in the words of whoever has to.
pub(crate) fn cannot_start(error: &StartError, words: Words) -> String {
    match error {
        StartError::Bind { address, error } => cannot_listen(address, error, words.listen()),
        StartError::Driver(error) => {
            format!(
                "{error}; {} to fall back to epoll, or allow io_uring (seccomp, sysctl kernel.io_uring_disabled)",
                words.driver()
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
fn wait(signals: &mut Signals, engine: &Handle, books: &Books, live: Option<&Live>) -> Result<(), Failure> {
    let (handle, joined) = (signals.handle(), engine.clone());
    thread::Builder::new()
        .name("corelane-join".to_owned())
        .spawn(move || {
            joined.join();
            handle.close();
        })
        .map_err(failed("a thread cannot start"))?;
    signals::answer(signals, engine, books, live);
    engine.join();
    if engine.is_draining() {
        Ok(())
    } else {
        Err(Failure::Run(
            "every lane has ended, and nobody asked for it; please report the lines above".to_owned(),
        ))
    }
}

fn failed<E: fmt::Display>(what: &'static str) -> impl Fn(E) -> Failure {
    move |error| Failure::Run(format!("{what}: {error}"))
}
