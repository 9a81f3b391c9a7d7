//! The control thread: one single-threaded runtime for all that is not a request.

use crate::{
    admin::{Admin, Operator, server, view::View},
    events::Events,
    log::Counts,
};
use corelane_engine::{Address, Handle};
use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    net::{TcpStream, UnixStream},
    runtime,
    sync::oneshot,
    time::timeout,
};

/// How long an upstream may take to accept the one connection that is tried at the start.
const FIRST_TRY_MAX: Duration = Duration::from_secs(1);
/// Upstreams that are tried at the start.
const FIRST_TRIES_MAX: usize = 1024;
/// How long the end waits for what still runs in the background.
const SHUTDOWN_MAX: Duration = Duration::from_millis(500);
/// Threads for questions to lanes, which block for a moment.
const BLOCKING_THREADS_MAX: usize = 2;

/// What the program is.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its version.
    pub version: &'static str,
    /// The commit that it was built from.
    pub commit: &'static str,
}

/// What the control thread is given.
#[derive(Debug)]
pub struct Setup {
    /// What the program is.
    pub about: About,
    /// Where to answer operators.
    pub admin: Vec<Admin>,
    /// What they can ask for beside numbers, if there is anything.
    pub operator: Option<Arc<dyn Operator>>,
    /// What becomes of the access log's lines, if there is one.
    pub access_log: Option<Arc<Counts>>,
    /// What becomes of the lines about the process.
    pub event_log: Option<Arc<Counts>>,
    /// Upstreams to try once at the start: if none answers, that is said.
    pub upstreams: Vec<Address>,
    /// Where to say it.
    pub events: Events,
}

/// The control thread, running.
#[derive(Debug)]
pub struct Control {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Control {
    /// Starts the thread beside a running engine.
    pub fn start(setup: Setup, engine: Handle) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("corelane-control".to_owned()).spawn(move || {
            runtime.block_on(run(setup, engine, stopped));
            runtime.shutdown_timeout(SHUTDOWN_MAX);
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread. A unix socket is removed.
    pub fn stop(self) {
        let _ = self.stop.send(());
        // A panic there was printed when it happened, and nothing depends on the thread any more.
        let _ = self.thread.join();
    }
}

async fn run(setup: Setup, engine: Handle, stopped: oneshot::Receiver<()>) {
    let Setup { about, admin, operator, access_log, event_log, upstreams, events } = setup;
    if !upstreams.is_empty() {
        tokio::spawn(try_once(upstreams, events.clone()));
    }
    let view = Arc::new(View::new(engine, about, (access_log, event_log), operator));
    // They live until the end, because their drop removes the sockets.
    let mut files = Vec::new();
    for (listener, file) in admin.into_iter().map(Admin::into_parts) {
        files.extend(file);
        if let Err(error) = server::start(listener, Arc::clone(&view)) {
            events.error(format_args!("the admin server cannot run: {error}"));
        }
    }
    let _ = stopped.await;
    drop(files);
}

/// Connects to each upstream once and says so if none answers.
async fn try_once(upstreams: Vec<Address>, events: Events) {
    let tries: Vec<_> = upstreams
        .into_iter()
        .take(FIRST_TRIES_MAX)
        .map(|address| tokio::spawn(timeout(FIRST_TRY_MAX, try_one(address))))
        .collect();
    for one in tries {
        if let Ok(Ok(Ok(_connected))) = one.await {
            return;
        }
    }
    events.warn("no upstream answers; requests get 502 until one does");
}

async fn try_one(upstream: Address) -> io::Result<()> {
    match upstream {
        Address::Ip(address) => drop(TcpStream::connect(address).await?),
        Address::Unix(path) => drop(UnixStream::connect(path).await?),
        Address::Unnamed => {}
    }
    Ok(())
}
