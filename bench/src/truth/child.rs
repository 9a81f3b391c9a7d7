//! This program as child processes. What is measured is what users run, each part in a process of its own.

use crate::{clock, failure::Failure};
use serde::Deserialize;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// This program, whatever has become of its file.
const PROGRAM: &str = "/proc/self/exe";
/// How often it is looked whether a child has ended, or the user wants an end.
const LOOK: Duration = Duration::from_millis(20);

/// What starts children.
pub(super) struct Bench {
    stop: Arc<AtomicBool>,
}

/// As much of the report of `load` as is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Measured {
    pub(super) latency_us: Latency,
    pub(super) uncorrected_latency_us: Latency,
    interrupted: bool,
    pub(super) warnings: Vec<String>,
}

/// Times in microseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p99_9: f64,
}

impl Bench {
    pub(super) fn new(stop: Arc<AtomicBool>) -> Self {
        Self { stop }
    }

    fn start(arguments: &[&str]) -> Result<Ending, Failure> {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child =
            command.spawn().map_err(|error| Failure::Run(format!("cannot start a child: {error}")))?;
        Ok(Ending(child))
    }

    /// Starts an origin of its own, which ends with the value.
    pub(super) fn origin(&self, arguments: &[&str]) -> Result<Origin, Failure> {
        let mut child = Self::start(&[&["origin", "--listen", "127.0.0.1:0"], arguments].concat())?;
        let mut line = String::new();
        let read = child.0.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        match line.trim_end().strip_prefix("listening on ") {
            Some(url) if matches!(read, Some(Ok(_))) => Ok(Origin { url: url.to_owned(), _child: child }),
            _ => Err(Failure::Run(format!("the origin did not start: {}", text(child.0.stderr.take())))),
        }
    }

    /// Measures.
    pub(super) fn load(&self, url: &str, arguments: &[&str]) -> Result<Measured, Failure> {
        let mut child = Self::start(&[&["load", url, "--json", "-"], arguments].concat())?;
        let (stdout, stderr) = (child.0.stdout.take(), child.0.stderr.take());
        let stdout = thread::spawn(move || text(stdout));
        let stderr = thread::spawn(move || text(stderr));
        let status = loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failure::Run("it was interrupted".to_owned()));
            }
            let ended = child.0.try_wait();
            match ended.map_err(|error| Failure::Run(format!("cannot wait for a child: {error}")))? {
                Some(status) => break status,
                None => clock::pause(LOOK),
            }
        };
        let (json, says) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
        // With 3 it says that the rate was not reached; that is in the warnings, or does not matter.
        let as_asked = matches!(status.code(), Some(0 | 3));
        match serde_json::from_str::<Measured>(&json) {
            Ok(measured) if as_asked && !measured.interrupted => Ok(measured),
            Ok(measured) if measured.interrupted => Err(Failure::Run("it was interrupted".to_owned())),
            _ => Err(Failure::Run(format!("load on {url} failed: {}", says.trim_end()))),
        }
    }
}

/// An origin that runs.
pub(super) struct Origin {
    /// Without a path.
    pub(super) url: String,
    _child: Ending,
}

/// A child that is ended with the value.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(from: Option<impl Read>) -> String {
    let mut text = String::new();
    let _ = from.map(|mut from| from.read_to_string(&mut text));
    text
}
