//! Where servers run: they are started on their CPU, watched, and all ended with the tool.

use crate::{
    clock::{monotonic, pause},
    interrupt,
};

use super::{
    Trouble,
    account::{family, started_at},
    plan::{Plan, on_cpu},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How often something that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A server that was asked to end and has not is killed.
const STOP_MAX: Duration = Duration::from_secs(5);
/// Of what a server said, so much is shown when it fails.
const TAIL_BYTES_MAX: usize = 2000;

/// What every measurement needs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) plan: Plan,
    /// Where programs are looked for.
    pub(super) programs: Programs,
    /// This program, which is also the load and the origin.
    pub(super) own: PathBuf,
    /// Holds configurations and logs.
    pub(super) directory: PathBuf,
    /// Ends a server when the tool is killed.
    setpriv: Option<PathBuf>,
    interrupted: Arc<AtomicBool>,
    /// Removes the directory, unless it is to be kept.
    _temporary: Option<tempfile::TempDir>,
}

impl Stage {
    /// A stage whose files are in `keep`, or go with it.
    pub(super) fn new(plan: Plan, programs: Programs, keep: Option<&Path>) -> Result<Self, Trouble> {
        let failed = |what: &str, error: io::Error| Trouble::Said(format!("{what}: {error}"));
        let temporary = match keep {
            Some(_) => None,
            None => {
                let made = tempfile::Builder::new().prefix("corelane-bench-").tempdir();
                Some(made.map_err(|error| failed("cannot make a directory for configurations", error))?)
            }
        };
        let directory = match (keep, &temporary) {
            (Some(keep), _) => {
                fs::create_dir_all(keep).map_err(|error| failed(&keep.display().to_string(), error))?;
                keep.canonicalize().map_err(|error| failed(&keep.display().to_string(), error))?
            }
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => unreachable!("one of the two was made above"),
        };
        // A proxy may change its user before it looks at its files.
        let _ = fs::set_permissions(&directory, fs::Permissions::from_mode(0o755));
        let own = fs::read_link("/proc/self/exe").map_err(|error| failed("/proc/self/exe", error))?;
        let interrupted = interrupt::flag().map_err(|failure| Trouble::Said(failure.to_string()))?;
        let setpriv = programs.find("setpriv");
        Ok(Self { plan, programs, own, directory, setpriv, interrupted, _temporary: temporary })
    }

    /// Waits a moment; an error if the user wants to stop.
    pub(super) fn look_again(&self) -> Result<(), Trouble> {
        self.wait(LOOK_EVERY)
    }

    /// Waits; an error if the user wants to stop.
    pub(super) fn wait(&self, long: Duration) -> Result<(), Trouble> {
        let until = monotonic() + long;
        while !self.interrupted.load(Ordering::Relaxed) {
            let left = until.saturating_sub(monotonic());
            if left.is_zero() {
                return Ok(());
            }
            pause(left.min(LOOK_EVERY));
        }
        Err(Trouble::Interrupted)
    }

    /// Starts a program on a CPU. What it says goes to `NAME.log` in the stage's directory, and what it says on
    /// standard output to `NAME.out`.
    pub(super) fn start(&self, name: &str, argv: &[OsString], cpu: usize) -> Result<Process, Trouble> {
        let path = |end: &str| self.directory.join(format!("{name}.{end}"));
        let failed = |error: io::Error| Trouble::Said(format!("{name} cannot be started: {error}"));
        let (log, out) = (path("log"), path("out"));
        let mut line = Vec::new();
        if let Some(setpriv) = &self.setpriv {
            line.extend([setpriv.into(), "--pdeathsig".into(), "TERM".into()]);
        }
        line.extend_from_slice(argv);
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .stdin(Stdio::null())
            .stdout(File::create(&out).map_err(failed)?)
            .stderr(File::create(&log).map_err(failed)?)
            // Ctrl-C reaches the tool alone, which then stops the others in order.
            .process_group(0);
        let child = on_cpu(Some(cpu), || command.spawn())?.map_err(failed)?;
        Ok(Process { child, log, out, started: None })
    }
}

/// A running program, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
    out: PathBuf,
    /// What it had started when it was asked to end, with the times at which they began.
    started: Option<Vec<(u32, u64)>>,
}

impl Process {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs still.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// What it said on standard output.
    pub(super) fn output(&self) -> String {
        fs::read(&self.out).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The end of what it said, on either output.
    pub(super) fn tail(&self) -> String {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_default() + &self.output();
        let text = text.trim();
        let from = text.len().saturating_sub(TAIL_BYTES_MAX);
        let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        if text.is_empty() { "(nothing)".to_owned() } else { text[from..].to_owned() }
    }

    /// Asks it to end, without waiting.
    fn ask_to_end(&mut self) {
        if self.started.is_none() && self.is_alive() {
            let pids = family(self.pid()).into_iter().skip(1);
            self.started = Some(pids.filter_map(|pid| Some((pid, started_at(pid)?))).collect());
            signal(self.pid(), Signal::TERM);
        }
    }

    /// Waits until it has ended, and kills what has not.
    fn see_the_end(&mut self) {
        let until = monotonic() + STOP_MAX;
        while self.is_alive() && monotonic() < until {
            pause(LOOK_EVERY);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        for (pid, start) in self.started.take().unwrap_or_default() {
            if started_at(pid) == Some(start) {
                signal(pid, Signal::KILL);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ask_to_end();
        self.see_the_end();
    }
}

/// Ends several processes; all are asked before the first is waited for.
pub(super) fn stop_all(mut processes: Vec<Process>) {
    processes.iter_mut().for_each(Process::ask_to_end);
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The directories in which programs are looked for.
#[derive(Debug, Clone)]
pub(super) struct Programs(Vec<PathBuf>);

impl Programs {
    /// Those of a `PATH`, and those that are not on every user's.
    pub(super) fn on(path: &str) -> Self {
        let more = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
        Self(path.split(':').filter(|dir| !dir.is_empty()).chain(more).map(PathBuf::from).collect())
    }

    /// The path of an installed program.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        self.0.iter().map(|dir| dir.join(name)).find(|path| is_program(path))
    }
}

/// Whether there is a file that may be run.
pub(super) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// A port that the kernel says is free; somebody else may take it before we do.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
