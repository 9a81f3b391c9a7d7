//! The binary under test: started on a free port, watched, and ended with the value that stands for it.

use super::clock::{Deadline, PATIENCE, poll};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A running `corelane proxy`.
pub(crate) struct Proxy {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    said: Vec<String>,
    says: Receiver<String>,
    /// Where its threads' states stand.
    threads: Vec<PathBuf>,
}

/// Times that keep tests quick, where a test does not give its own.
const DEFAULT_FLAGS: [(&str, &str); 4] = [
    ("--listen", "127.0.0.1:0"),
    ("--access-log", "off"),
    ("--linger", "500ms"),
    ("--connect-timeout", "300ms"),
];

impl Proxy {
    /// Starts it before the endpoints `to`, and waits until it listens.
    pub(crate) fn start(to: &str, flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
        // No admin socket, which is one for the machine.
        command.env("RUNTIME_DIRECTORY", "/nonexistent/corelane");
        command.args(["proxy", "--to", to]);
        for (flag, value) in DEFAULT_FLAGS.iter().filter(|(flag, _)| !flags.contains(flag)) {
            command.args([flag, value]);
        }
        command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("it is piped");
        let (sender, says) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut proxy =
            Self { child, address: ([127, 0, 0, 1], 0).into(), said: Vec::new(), says, threads: vec![] };
        proxy.address = proxy.announced("listening on http://");
        proxy
    }

    /// The address that it says it has, in a line with `words` before it.
    pub(crate) fn announced(&mut self, words: &str) -> SocketAddr {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let address = self.said.iter().find_map(|line| {
                let rest = line.split_once(words)?.1;
                rest.split(|c: char| c.is_whitespace() || c == '/').next()?.parse().ok()
            });
            if let Some(address) = address {
                return address;
            }
            match deadline.left().and_then(|left| self.says.recv_timeout(left).ok()) {
                Some(line) => self.said.push(line),
                None => panic!("no line with `{words}` came: {:#?}", self.said),
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// That it runs, and that nothing in it has panicked.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        self.said.extend(self.says.try_iter());
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(format!("corelane has ended ({status}): {:#?}", self.said));
        }
        match self.said.iter().find(|line| line.contains("panic")) {
            Some(line) => Err(format!("corelane says: {line}")),
            None => Ok(()),
        }
    }

    /// A value of `/proc/<pid>/status` in KiB, such as `VmHWM`.
    pub(crate) fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel says so");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB")
    }

    /// The processor time that it has used, in ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it runs");
        let fields = stat.rsplit_once(") ").expect("the kernel says so").1;
        let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
        ticks.sum()
    }

    /// Waits until all of its threads sleep: what was sent to it before has been read then, since a write to a
    /// local connection wakes its reader before it returns. No promise: the wait is bounded, and nothing but the
    /// places where reads end depends on it.
    pub(crate) fn wait_until_idle(&mut self) {
        const WAIT: Duration = Duration::from_millis(20);
        if self.threads.is_empty() {
            let entries = std::fs::read_dir(format!("/proc/{}/task", self.id())).into_iter().flatten();
            self.threads = entries.flatten().map(|entry| entry.path().join("stat")).collect();
        }
        let asleep = |path: &PathBuf| {
            let stat = std::fs::read_to_string(path).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
        };
        let deadline = Deadline::after(WAIT);
        while !self.threads.iter().all(asleep) && deadline.left().is_some() {
            std::thread::yield_now();
        }
    }

    /// How many descriptors it has open that are sockets.
    pub(crate) fn sockets(&self) -> usize {
        // It listens before the thread of all that is no request has begun, which has sockets, too.
        let has_begun = || {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs");
            let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
            let mut names = tasks.filter_map(|task| name(task.ok()?));
            names.any(|name| name.starts_with("corelane-contro")).then_some(())
        };
        poll(PATIENCE, has_begun).expect("it starts to its end");
        let links = std::fs::read_dir(format!("/proc/{}/fd", self.id())).expect("it runs");
        let target = |link: std::io::Result<std::fs::DirEntry>| std::fs::read_link(link.ok()?.path()).ok();
        links.filter_map(target).filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
