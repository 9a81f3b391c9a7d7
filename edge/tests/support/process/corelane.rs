//! The binary as a process.

use super::clock::{Deadline, PATIENCE, poll};
use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_corelane");

/// A directory that does not exist: programs that tests start have no admin socket unless they ask for one.
const NOWHERE: &str = "/nonexistent/corelane";

/// What a process that has ended left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Whether a program can be started in this way here, which takes rights that not everybody has.
pub(crate) fn can(command: &[&str]) -> bool {
    let status =
        Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let can = status.is_ok_and(|status| status.success());
    if !can {
        eprintln!("skipped: {} cannot be run here", command.join(" "));
    }
    can
}

/// Runs a command that is expected to end by itself.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    run_command(Command::new(BINARY).env("RUNTIME_DIRECTORY", NOWHERE).args(arguments))
}

pub(crate) fn run_command(command: &mut Command) -> Ended {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stdout = read_to_end(child.stdout.take().expect("it is piped"));
    let stderr = read_to_end(child.stderr.take().expect("it is piped"));
    let status = poll(PATIENCE, || child.try_wait().expect("it is our child"));
    let _ = child.kill();
    let (stdout, stderr) = (stdout.join().expect("it reads"), stderr.join().expect("it reads"));
    let code = status.unwrap_or_else(|| panic!("it does not end: {stdout}{stderr}")).code();
    Ended { code, stdout, stderr }
}

fn read_to_end(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A running corelane.
pub(crate) struct Corelane {
    child: Child,
    pub(crate) address: SocketAddr,
    stdout: Lines,
    stderr: Lines,
}

impl Corelane {
    /// `corelane proxy` on a free port before an origin, without an access log unless the flags ask for one.
    pub(crate) fn proxy(to: SocketAddr, flags: &[&str]) -> Self {
        let to = to.to_string();
        let mut arguments = vec!["proxy", "--listen", "127.0.0.1:0", "--to", &to];
        if !flags.contains(&"--access-log") {
            arguments.extend(["--access-log", "off"]);
        }
        arguments.extend(flags);
        Self::start(&arguments)
    }

    /// Waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut corelane = Self::spawn(arguments);
        corelane.listens();
        corelane
    }

    /// Waits until it listens on TCP.
    pub(crate) fn listens(&mut self) {
        self.address = self.said_address("listening on http://");
    }

    /// Waits for nothing, so that its address is not known.
    pub(crate) fn spawn(arguments: &[&str]) -> Self {
        Self::spawn_in(NOWHERE, arguments)
    }

    /// The same with a directory for its admin socket.
    pub(crate) fn spawn_in(runtime_directory: &str, arguments: &[&str]) -> Self {
        Self::spawn_command(Command::new(BINARY).args(arguments).env("RUNTIME_DIRECTORY", runtime_directory))
    }

    /// Any command that becomes a corelane.
    pub(crate) fn spawn_command(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = Lines::of(child.stdout.take().expect("it is piped"));
        let stderr = Lines::of(child.stderr.take().expect("it is piped"));
        Self { child, address: ([127, 0, 0, 1], 0).into(), stdout, stderr }
    }

    /// Where the admin server listens on TCP.
    pub(crate) fn admin(&mut self) -> SocketAddr {
        self.said_address("admin on http://")
    }

    fn said_address(&mut self, words: &str) -> SocketAddr {
        let line = self.says(words);
        line.split_once(words).and_then(|(_, rest)| rest.trim().parse().ok()).expect("an address follows")
    }

    /// Waits for a line with these words on standard error.
    pub(crate) fn says(&mut self, words: &str) -> String {
        self.stderr.wait_for(words)
    }

    /// Waits for a line with these words on standard output.
    pub(crate) fn prints(&mut self, words: &str) -> String {
        self.stdout.wait_for(words)
    }

    /// Stops reading standard output, as a reader that has died.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout.close();
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its status, if it has ended.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let status = poll(PATIENCE, || self.has_ended());
        status.unwrap_or_else(|| panic!("it does not end: {:#?}", self.stderr.seen))
    }

    /// Everything that it has said on standard error by now.
    pub(crate) fn said(&mut self) -> String {
        self.stderr.take_ready();
        self.stderr.seen.join("\n")
    }

    /// All lines of standard output, once it has ended.
    pub(crate) fn printed(&mut self) -> Vec<String> {
        self.stdout.take_all();
        self.stdout.seen.clone()
    }
}

impl Drop for Corelane {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of an output, as they come.
struct Lines {
    seen: Vec<String>,
    coming: Receiver<String>,
}

impl Lines {
    fn of(from: impl Read + Send + 'static) -> Self {
        let (sender, coming): (Sender<String>, _) = channel();
        thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        Self { seen: Vec::new(), coming }
    }

    fn wait_for(&mut self, words: &str) -> String {
        let deadline = Deadline::after(PATIENCE);
        self.take_ready();
        loop {
            if let Some(line) = self.seen.iter().find(|line| line.contains(words)) {
                return line.clone();
            }
            match deadline.left().and_then(|left| self.coming.recv_timeout(left).ok()) {
                Some(line) => self.seen.push(line),
                None => panic!("no line with `{words}` came: {:#?}", self.seen),
            }
        }
    }

    fn take_ready(&mut self) {
        self.seen.extend(self.coming.try_iter());
    }

    fn take_all(&mut self) {
        self.seen.extend(self.coming.iter());
    }

    /// The pipe's reading end closes with the next line.
    fn close(&mut self) {
        self.coming = channel().1;
    }
}

/// A directory of a test's own, removed when it is done.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("corelane-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until a file has so many whole lines, and gives them.
pub(crate) fn lines_of(path: &Path, count: usize) -> Vec<String> {
    let lines = || {
        let text = String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let lines: Vec<String> = whole.map(|line| line.trim_end_matches('\n').to_owned()).collect();
        (lines.len() >= count).then_some(lines)
    };
    poll(PATIENCE, lines).unwrap_or_else(|| panic!("no {count} lines in {}", path.display()))
}
