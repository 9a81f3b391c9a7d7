//! What a soak starts: an origin that lives, two that die and come back, and the proxy before them.

use crate::{
    clock::{monotonic, pause},
    failure::Failure,
    profile::Admin,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsStr,
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// What does not serve by then does not serve.
const READY_MAX: Duration = Duration::from_secs(15);
/// How long an orderly end may take.
const STOP_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// How the proxy is to behave; the times are short, so that what is let go by them is let go many times. Not that of idle
/// clients: a request that crosses its connection's end on the way has no answer, and nobody is to blame.
const CONFIGURATION: &str = r#"
lanes = {lanes}
admin.listen = "unix:{directory}/admin.sock"
log = { access = "{access}", fields = ["time", "url.path", "http.response.status_code", "end", "error", "duration_ms"] }
timeouts = { client_head = "4s", client_idle = "2m", between_bytes = "5s", upstream_head = "3s", upstream_idle = "5s", tunnel_idle = "30s" }

[[site]]
listen = "127.0.0.1:{stable}"
route = [
  { path = "/generation", respond.body = "{number}" },
  { to = "127.0.0.1:{origin}" },
]

[[site]]
listen = "127.0.0.1:{flaky}"
route = [{ to = ["127.0.0.1:{first}", "127.0.0.1:{second}"] }]
"#;

/// The timeouts above that others count on.
pub(super) const CLIENT_HEAD: Duration = Duration::from_secs(4);
pub(super) const BETWEEN_BYTES: Duration = Duration::from_secs(5);
pub(super) const UPSTREAM_HEAD: Duration = Duration::from_secs(3);

/// Ports of the machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    /// Of the proxy: before the origin that lives, and before those that die.
    pub(super) stable: u16,
    pub(super) flaky: u16,
    origin: u16,
    dying: [u16; 2],
}

impl Ports {
    fn find() -> std::io::Result<Self> {
        // All are held until all are found, so that they differ.
        let held: Vec<TcpListener> =
            (0..5).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let mut ports = [0; 5];
        for (port, listener) in ports.iter_mut().zip(&held) {
            *port = listener.local_addr()?.port();
        }
        let [stable, flaky, origin, first, second] = ports;
        Ok(Self { stable, flaky, origin, dying: [first, second] })
    }
}

/// A process that ends, at the latest, when this is dropped.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Its exit code, once it has ended; -1 if a signal has ended it.
    pub(super) fn ended(&mut self) -> Option<i32> {
        self.0.try_wait().ok().flatten().map(|status| status.code().unwrap_or(-1))
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    pub(super) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Asks it to end, and gives its exit code.
    pub(super) fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let until = monotonic() + STOP_MAX;
        while monotonic() < until {
            if let Some(code) = self.ended() {
                return Some(code);
            }
            pause(LOOK);
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.stop();
            self.kill();
        }
    }
}

/// Where everything is, and everything that runs for as long as the soak.
#[derive(Debug)]
pub(super) struct World {
    pub(super) ports: Ports,
    pub(super) proxy: Process,
    corelane: PathBuf,
    own: PathBuf,
    lanes: u16,
    /// Of the configuration that is there now.
    number: u64,
    dying: [Option<Process>; 2],
    _stable: Process,
    directory: PathBuf,
    /// Removes the directory, unless it is to be kept.
    temporary: Option<tempfile::TempDir>,
}

impl World {
    /// Starts the origins and the proxy, and waits until they serve.
    pub(super) fn start(corelane: &Path, lanes: u16, keep: Option<&Path>) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::Run(format!("cannot set the stage: {error}"));
        let own = fs::read_link("/proc/self/exe").map_err(failed)?;
        let temporary = match keep {
            Some(keep) => fs::create_dir_all(keep).map(|()| None),
            None => tempfile::Builder::new().prefix("corelane-soak-").tempdir().map(Some),
        };
        let temporary = temporary.map_err(failed)?;
        let directory = temporary.as_ref().map_or_else(|| keep.unwrap_or(Path::new(".")), |made| made.path());
        let directory = directory.canonicalize().map_err(failed)?;
        let ports = Ports::find().map_err(failed)?;
        let origin = |port| start_origin(&own, &directory, port);
        let (stable, dying) =
            (origin(ports.origin)?, [Some(origin(ports.dying[0])?), Some(origin(ports.dying[1])?)]);
        let place = Place { lanes, directory: &directory, logs: temporary.is_none() };
        fs::write(directory.join("corelane.toml"), place.configuration(ports, 0)).map_err(failed)?;
        let arguments = [OsStr::new("run"), OsStr::new("-c"), OsStr::new("corelane.toml")];
        let proxy = start(corelane, &arguments, &directory, "corelane")?;
        let mut world = Self {
            ports,
            proxy,
            corelane: corelane.to_owned(),
            own,
            lanes,
            number: 0,
            dying,
            _stable: stable,
            directory,
            temporary,
        };
        world.await_ready()?;
        Ok(world)
    }

    fn await_ready(&mut self) -> Result<(), Failure> {
        let until = monotonic() + READY_MAX;
        let ports = [self.ports.stable, self.ports.origin, self.ports.dying[0], self.ports.dying[1]];
        while monotonic() < until && self.proxy.ended().is_none() {
            if ports.iter().all(|port| ask(*port, "/?size=1").is_ok()) && self.admin().get("/metrics").is_ok()
            {
                return Ok(());
            }
            pause(LOOK);
        }
        Err(Failure::Run(format!("the proxy or an origin does not serve; the proxy said:\n{}", self.said())))
    }

    /// Where operators look.
    pub(super) fn admin(&self) -> Admin {
        Admin::Unix(self.directory.join("admin.sock"))
    }

    /// What the proxy has written to its log.
    pub(super) fn said(&self) -> String {
        let log = fs::read(self.directory.join("corelane.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// A file of its own for `name`.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Starts this program with other arguments; what it says goes to a log of its `name`.
    pub(super) fn start_own(&self, name: &str, arguments: &[String]) -> Result<Process, Failure> {
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        start(&self.own, &arguments, &self.directory, name)
    }

    /// Reloads a file that has changed, which must be served then, or one that is wrong, which must be refused.
    pub(super) fn reload(&mut self, good: bool) -> Result<(), String> {
        self.number += u64::from(good);
        let place = Place { lanes: self.lanes, directory: &self.directory, logs: self.temporary.is_none() };
        let mut text = place.configuration(self.ports, self.number);
        if !good {
            text.insert_str(0, "lanse = 3\n");
        }
        let path = self.file("corelane.toml");
        fs::write(&path, text).map_err(|error| format!("the configuration cannot be written: {error}"))?;
        let admin = format!("unix:{}", self.file("admin.sock").display());
        let output = Command::new(&self.corelane).args(["reload", "--admin", &admin]).output();
        let output = output.map_err(|error| format!("corelane reload cannot be run: {error}"))?;
        let expected = if good { 0 } else { 3 };
        if output.status.code() != Some(expected) {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("a reload ended with {} and not with {expected}: {said}", output.status));
        }
        match ask(self.ports.stable, "/generation") {
            Ok(number) if number.trim() == self.number.to_string() => Ok(()),
            Ok(number) => {
                Err(format!("generation {} is served after a reload to {}", number.trim(), self.number))
            }
            Err(failure) => Err(format!("nothing is served after a reload: {failure}")),
        }
    }

    /// One of the origins that die, if it lives.
    pub(super) fn dying(&mut self, which: usize) -> Option<&mut Process> {
        self.dying[which].as_mut()
    }

    /// Kills an origin, in the middle of whatever it does.
    pub(super) fn kill(&mut self, which: usize) {
        if let Some(mut origin) = self.dying[which].take() {
            origin.kill();
        }
    }

    /// Starts it again, where it was.
    pub(super) fn revive(&mut self, which: usize) -> Result<(), Failure> {
        if self.dying[which].is_none() {
            let port = self.ports.dying[which];
            self.dying[which] = Some(start_origin(&self.own, &self.directory, port)?);
            let until = monotonic() + READY_MAX;
            while ask(port, "/?size=1").is_err() {
                if monotonic() > until {
                    return Err(Failure::Run("an origin that was killed does not come back".to_owned()));
                }
                pause(LOOK);
            }
        }
        Ok(())
    }
}

/// The content of an answer.
fn ask(port: u16, path: &str) -> Result<String, Failure> {
    Admin::Tcp(format!("127.0.0.1:{port}")).get(path)
}

/// What does not change in the configuration.
struct Place<'a> {
    lanes: u16,
    directory: &'a Path,
    /// An hour's log is long: there is one where files are kept.
    logs: bool,
}

impl Place<'_> {
    fn configuration(&self, ports: Ports, number: u64) -> String {
        let directory = self.directory.display().to_string();
        let access = if self.logs { format!("{directory}/access.log") } else { "/dev/null".to_owned() };
        let values = [
            ("{lanes}", self.lanes.to_string()),
            ("{directory}", directory),
            ("{access}", access),
            ("{stable}", ports.stable.to_string()),
            ("{flaky}", ports.flaky.to_string()),
            ("{number}", number.to_string()),
            ("{origin}", ports.origin.to_string()),
            ("{first}", ports.dying[0].to_string()),
            ("{second}", ports.dying[1].to_string()),
        ];
        values.iter().fold(CONFIGURATION.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

fn start_origin(own: &Path, directory: &Path, port: u16) -> Result<Process, Failure> {
    let listen = format!("127.0.0.1:{port}");
    let arguments = ["origin", "--listen", &listen].map(OsStr::new);
    start(own, &arguments, directory, &format!("origin-{port}"))
}

/// Starts a program that ends with this one, and is not reached by Ctrl-C, so that it ends in order.
fn start(program: &Path, arguments: &[&OsStr], directory: &Path, name: &str) -> Result<Process, Failure> {
    let failed =
        |error: std::io::Error| Failure::Run(format!("{} cannot be started: {error}", program.display()));
    let log = File::options().create(true).append(true).open(directory.join(format!("{name}.log")));
    let log = log.map_err(failed)?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(program);
    let with_setpriv = prepare(&mut command, arguments, (directory, &log)).map_err(failed)?.spawn();
    let child = match with_setpriv {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut command = Command::new(program);
            prepare(&mut command, arguments, (directory, &log)).map_err(failed)?.spawn()
        }
        started => started,
    };
    child.map(Process).map_err(failed)
}

fn prepare<'a>(
    command: &'a mut Command,
    arguments: &[&OsStr],
    (directory, log): (&Path, &File),
) -> std::io::Result<&'a mut Command> {
    command
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .process_group(0);
    Ok(command)
}
