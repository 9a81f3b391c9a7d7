//! The proxy, under valgrind.

use super::Asked;
use crate::callgrind::Here;
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How long it may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two rings of its bell.
const RING_EVERY: Duration = Duration::from_millis(20);
/// How long a lane stays with what its last client still sends, which nobody does here.
const LINGER: &str = "10ms";

pub(super) struct Proxy {
    child: Child,
    /// Another address of it.
    bell: PathBuf,
    pub(super) address: SocketAddr,
}

impl Proxy {
    /// One lane, no log, no admin socket. What it executes is written to `out` when it ends.
    pub(super) fn start(here: &Here, asked: &Asked, origin: SocketAddr, out: &Path) -> Result<Self, String> {
        let bell = here.scratch.file("bell");
        let mut command = here.command(&asked.binary, &["--dump-instr=yes"], out);
        command.args(["proxy", "--listen", "127.0.0.1:0", "--listen", &format!("unix:{}", bell.display())]);
        command.args(["--to", &origin.to_string(), "--lanes", "1", "--driver", &asked.driver]);
        command.args(["--access-log", "off", "--admin", "off", "--linger", LINGER]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("valgrind does not run: {error}"))?;
        let (sender, says) = mpsc::channel();
        let stderr = child.stderr.take().expect("it is piped");
        // To the end, so that it never waits for us.
        thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut proxy = Self { child, bell, address: origin };
        match proxy.listens_at(&says) {
            Ok(address) => proxy.address = address,
            Err(why) => return Err(format!("{} does not serve: {why}", asked.binary.display())),
        }
        // Who reads what it says has to stay.
        thread::spawn(move || says.iter().for_each(drop));
        Ok(proxy)
    }

    /// Waits for the line that says where.
    fn listens_at(&self, says: &Receiver<String>) -> Result<SocketAddr, String> {
        let (began, mut said) = (now(), String::new());
        while now() - began < PATIENCE {
            match says.recv_timeout(RING_EVERY) {
                Ok(line) => {
                    if let Some(Ok(address)) =
                        line.split_once("listening on http://").map(|(_, address)| address.trim().parse())
                    {
                        return Ok(address);
                    }
                    said.push_str(&format!("\n{line}"));
                }
                Err(RecvTimeoutError::Timeout) => self.ring(),
                Err(RecvTimeoutError::Disconnected) => return Err(said),
            }
        }
        Err(format!("it took too long{said}"))
    }

    /// Wakes its lane.
    ///
    /// Valgrind keeps the other threads of a process from running while one waits in `io_uring_enter`, among them the
    /// one that says where it listens and the one that is told to end it.
    fn ring(&self) {
        // Refused before it listens and when it has ended.
        let _ = UnixStream::connect(&self.bell);
    }

    /// Ends it and waits.
    pub(super) fn end(mut self) -> Result<(), String> {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status();
        sent.map_err(|error| format!("kill does not run: {error}"))?;
        let began = now();
        while now() - began < PATIENCE {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the proxy ended with {status}")),
                Err(error) => return Err(format!("the proxy is lost: {error}")),
                Ok(None) => self.ring(),
            }
            pause(RING_EVERY);
        }
        Err("the proxy does not end".to_owned())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "what another process does has a deadline")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this thread serves nobody")]
fn pause(duration: Duration) {
    thread::sleep(duration);
}
