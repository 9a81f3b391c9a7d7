//! The thread that writes a log, and the bounded queue before it.

use super::{AccessLog, Format};
use arc_swap::ArcSwap;
use corelane_engine::{Level, Sink};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use std::{
    fmt,
    fs::File,
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Batches that may wait for the writer.
const QUEUE_BATCHES_MAX: usize = 1024;
/// Bytes that may wait for the writer.
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// Written buffers that are kept for the lanes to use again.
const SPARE_BUFFERS_MAX: usize = 32;
/// The size of a new buffer: what a lane collects before it hands it on, and one long line.
const BUFFER_BYTES: usize = 40 << 10;
/// The size of a buffer for one line about the process.
const SMALL_BUFFER_BYTES: usize = 256;
/// A buffer that a hostile line has made larger than this is not kept.
const SPARE_BUFFER_BYTES_MAX: usize = 64 << 10;
/// Orders that may wait. Further ones are refused, which loses nothing: to reopen twice is to reopen once.
const ORDERS_MAX: usize = 4;
/// The permissions of a log file that is created.
const FILE_MODE: u32 = 0o640;
/// How long a descriptor that is not ready (a terminal that somebody made non-blocking) is waited for …
const NOT_READY_PAUSE: Duration = Duration::from_millis(10);
/// … and how often.
const NOT_READY_PAUSES_MAX: u32 = 100;

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to; created with mode 0640.
    File(PathBuf),
}

impl Target {
    fn open(&self) -> io::Result<File> {
        match self {
            Self::Stdout => Ok(io::stdout().as_fd().try_clone_to_owned()?.into()),
            Self::Stderr => Ok(io::stderr().as_fd().try_clone_to_owned()?.into()),
            Self::File(path) => File::options().append(true).create(true).mode(FILE_MODE).open(path),
        }
    }
}

/// A target that has been opened, so that nothing can go wrong any more when a log goes over to it.
#[derive(Debug)]
pub struct Opened {
    file: File,
    target: Target,
}

impl Opened {
    /// Opens it; a file is created if there is none.
    pub fn open(target: Target) -> io::Result<Self> {
        Ok(Self { file: target.open()?, target })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What became of a log's lines.
#[derive(Debug, Default)]
pub struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

impl Counts {
    /// Lines written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines dropped, because the queue was full or because they could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// Whole lines, and how many.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: u64,
}

/// The way to the writer. It is bounded in batches and in bytes, and never blocks.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    batches: Sender<Batch>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queued_bytes: AtomicUsize,
    counts: Arc<Counts>,
    spare_in: Sender<Vec<u8>>,
    spare_out: Receiver<Vec<u8>>,
}

impl Queue {
    fn new(batches_max: usize) -> (Self, Receiver<Batch>) {
        let (batches, receiver) = bounded(batches_max);
        let (spare_in, spare_out) = bounded(SPARE_BUFFERS_MAX);
        let shared =
            Shared { queued_bytes: AtomicUsize::new(0), counts: Arc::default(), spare_in, spare_out };
        (Self { batches, shared: Arc::new(shared) }, receiver)
    }

    #[cfg(test)]
    pub(crate) fn without_writer(batches_max: usize) -> (Self, Receiver<Batch>) {
        Self::new(batches_max)
    }

    /// An empty buffer, one that was used before where there is one.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.shared.spare_out.try_recv().unwrap_or_else(|_| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Hands the batch on and leaves an empty one in a fresh buffer; or leaves it as it is, if there is no room.
    pub(crate) fn hand_on(&self, batch: &mut Batch, fresh: impl FnOnce() -> Vec<u8>) {
        let size = batch.bytes.len();
        if self.shared.queued_bytes.fetch_add(size, Ordering::Relaxed) + size > QUEUE_BYTES_MAX {
            self.shared.queued_bytes.fetch_sub(size, Ordering::Relaxed);
            return;
        }
        // Taken without memory first, so that a refusal costs none.
        match self.batches.try_send(std::mem::take(batch)) {
            Ok(()) => batch.bytes = fresh(),
            Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => {
                self.shared.queued_bytes.fetch_sub(size, Ordering::Relaxed);
                *batch = back;
            }
        }
    }

    /// An empty batch for a line or two, in memory of its own.
    pub(crate) fn small_batch(&self) -> Batch {
        Batch { bytes: Vec::with_capacity(SMALL_BUFFER_BYTES), lines: 0 }
    }

    /// Hands the batch on, or counts its lines as dropped.
    pub(crate) fn hand_on_small(&self, mut batch: Batch) {
        self.hand_on(&mut batch, Vec::new);
        if batch.lines > 0 {
            self.drop_lines(&mut batch);
        }
    }

    /// Empties the batch and counts its lines as dropped.
    pub(crate) fn drop_lines(&self, batch: &mut Batch) {
        self.shared.counts.dropped.fetch_add(batch.lines, Ordering::Relaxed);
        batch.lines = 0;
        batch.bytes.clear();
        batch.bytes.shrink_to(SPARE_BUFFER_BYTES_MAX);
    }

    /// Keeps a written buffer for the next who needs one.
    pub(crate) fn recycle(&self, mut bytes: Vec<u8>) {
        if (BUFFER_BYTES..=SPARE_BUFFER_BYTES_MAX).contains(&bytes.capacity()) {
            bytes.clear();
            // With enough spare buffers this one's memory goes back to the system.
            let _ = self.shared.spare_in.try_send(bytes);
        }
    }

    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.shared.counts
    }
}

/// What a writer can be told.
#[derive(Debug)]
enum Order {
    Reopen,
    Replace(Opened),
    Close,
}

/// Writes a log on a thread of its own.
#[derive(Debug)]
pub struct Writer {
    queue: Queue,
    format: Arc<ArcSwap<Format>>,
    orders: Sender<Order>,
    /// Closed when the thread is done.
    done: Receiver<()>,
}

impl Writer {
    /// Opens the target and starts the thread. `complain` is called on that thread when writing begins to fail, when
    /// it works again, and when a file could not be reopened.
    pub fn start(target: Target, complain: impl Fn(Level, &str) + Send + 'static) -> io::Result<Self> {
        Self::start_on(Opened::open(target)?, complain)
    }

    /// The same on a target that has been opened.
    pub fn start_on(opened: Opened, complain: impl Fn(Level, &str) + Send + 'static) -> io::Result<Self> {
        let (queue, batches) = Queue::new(QUEUE_BATCHES_MAX);
        let (orders, ordered) = bounded(ORDERS_MAX);
        let (running, done) = bounded(0);
        let Opened { file, target } = opened;
        let output = Output { file, target, complain, failing: false, gone: false, torn: false };
        let pen = Pen { output, queue: queue.clone(), batches, ordered, _running: running };
        thread::Builder::new().name("corelane-log".to_owned()).spawn(|| pen.run())?;
        Ok(Self { queue, format: Arc::default(), orders, done })
    }

    /// What [`Builder::on_record`](corelane_engine::Builder::on_record) takes: an access log for each lane.
    pub fn sinks(&self, format: Format) -> impl Fn(usize) -> Box<dyn Sink> + Send + Sync + 'static {
        self.set_format(format);
        let (queue, format) = (self.queue.clone(), Arc::clone(&self.format));
        move |_lane| Box::new(AccessLog::new(Arc::clone(&format), queue.clone()))
    }

    /// How lines look from now on.
    pub fn set_format(&self, format: Format) {
        self.format.store(Arc::new(format));
    }

    /// Opens the file again under its name, for after it was moved away. Standard streams stay as they are.
    pub fn reopen(&self) {
        let _ = self.orders.try_send(Order::Reopen);
    }

    /// Goes over to another target: what was queued before may end up in either. False if the writer is stuck in a
    /// pipe that nobody reads and too many orders wait already; then everything stays as it is.
    pub fn replace(&self, opened: Opened) -> bool {
        self.orders.try_send(Order::Replace(opened)).is_ok()
    }

    /// Writes what is queued and ends; false if that took longer than `wait` (a pipe that nobody reads). Lines that
    /// come later are not written.
    pub fn close(&self, wait: Duration) -> bool {
        let _ = self.orders.send_timeout(Order::Close, wait);
        matches!(self.done.recv_timeout(wait), Err(crossbeam_channel::RecvTimeoutError::Disconnected))
    }

    /// What became of the lines so far.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(self.queue.counts())
    }

    pub(crate) fn queue(&self) -> Queue {
        self.queue.clone()
    }
}

/// The writing thread.
struct Pen<C> {
    output: Output<C>,
    queue: Queue,
    batches: Receiver<Batch>,
    ordered: Receiver<Order>,
    _running: Sender<()>,
}

impl<C: Fn(Level, &str)> Pen<C> {
    fn run(mut self) {
        loop {
            select! {
                recv(self.batches) -> batch => match batch {
                    Ok(batch) => self.write(batch),
                    Err(_) => return,
                },
                recv(self.ordered) -> order => match order {
                    Ok(Order::Reopen) => self.output.reopen(),
                    Ok(Order::Replace(opened)) => self.output.replace(opened),
                    // Nobody holds the writer any more: what is queued is the last of it.
                    Ok(Order::Close) | Err(_) => break,
                },
            }
        }
        while let Ok(batch) = self.batches.try_recv() {
            self.write(batch);
        }
    }

    fn write(&mut self, batch: Batch) {
        let counts = self.queue.counts();
        match self.output.write(&batch.bytes) {
            Ok(()) => counts.written.fetch_add(batch.lines, Ordering::Relaxed),
            Err(_) => {
                counts.failures.fetch_add(1, Ordering::Relaxed);
                counts.dropped.fetch_add(batch.lines, Ordering::Relaxed)
            }
        };
        self.queue.shared.queued_bytes.fetch_sub(batch.bytes.len(), Ordering::Relaxed);
        self.queue.recycle(batch.bytes);
    }
}

/// What is written to.
struct Output<C> {
    file: File,
    target: Target,
    complain: C,
    /// Writing failed the last time.
    failing: bool,
    /// Nobody reads the pipe any more: there is no use in trying again.
    gone: bool,
    /// A line was cut off in the middle by a failure.
    torn: bool,
}

impl<C: Fn(Level, &str)> Output<C> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let result = if self.torn {
            self.write_all(b"\n").and_then(|()| self.write_all(bytes))
        } else {
            self.write_all(bytes)
        };
        match &result {
            Ok(()) => {
                self.torn = false;
                if std::mem::take(&mut self.failing) {
                    (self.complain)(Level::Info, &format!("the log {} is written again", self.target));
                }
            }
            Err(error) => {
                self.gone = error.kind() == io::ErrorKind::BrokenPipe;
                if !std::mem::replace(&mut self.failing, true) {
                    let target = &self.target;
                    let says =
                        format!("cannot write the log {target}: {error}; lines are dropped and counted");
                    (self.complain)(Level::Error, &says);
                }
            }
        }
        result
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut pauses = 0;
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    self.torn = !bytes.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && pauses < NOT_READY_PAUSES_MAX => {
                    pauses += 1;
                    thread::park_timeout(NOT_READY_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn replace(&mut self, Opened { file, target }: Opened) {
        (self.file, self.target) = (file, target);
        (self.failing, self.gone, self.torn) = (false, false, false);
    }

    fn reopen(&mut self) {
        let Target::File(path) = &self.target else { return };
        match self.target.open() {
            Ok(file) => {
                self.file = file;
                self.torn = false;
                (self.complain)(Level::Info, &format!("reopened the log {}", path.display()));
            }
            Err(error) => {
                let says = format!("cannot reopen the log {}: {error}; the old file is kept", path.display());
                (self.complain)(Level::Error, &says);
            }
        }
    }
}

#[cfg(test)]
mod tests;
