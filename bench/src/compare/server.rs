//! Starting whoever is measured, and the origin behind them.

use super::{
    Trouble,
    stage::{Process, Stage, free_port},
    subject::{Place, Subject},
    wire::{connect, get},
};
use crate::clock::monotonic;
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// A server that has not answered by then does not serve.
const READY_MAX: Duration = Duration::from_secs(15);
/// Somebody may take a port between our looking and the server's binding; that often in a row nobody does.
const TRIES_MAX: u32 = 3;

/// A running subject; `direct` is the origin and has no process of its own.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) process: Option<Process>,
}

/// How a subject is started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) subject: Subject,
    pub(super) program: &'a PathBuf,
    /// The port of whoever it asks.
    pub(super) origin: u16,
    /// The number of client connections that it must hold.
    pub(super) connections: u32,
    /// The size of an answer by which it is known to serve; `None` takes any.
    pub(super) answer_bytes: Option<u64>,
}

/// Starts the origin, with answers of some size, and gives its port.
pub(super) fn start_origin(stage: &Stage, answer_bytes: u64) -> Result<(Process, u16), Trouble> {
    let size = answer_bytes.to_string();
    let mut argv = vec![stage.own.clone().into_os_string()];
    argv.extend(["origin", "--listen", "127.0.0.1:0", "--size", &size].map(OsString::from));
    let mut origin = stage.start("origin", &argv, stage.plan.origin)?;
    let until = monotonic() + READY_MAX;
    while origin.is_alive() && monotonic() < until {
        if let Some(port) = port_of(&origin.output()) {
            return Ok((origin, port));
        }
        stage.look_again()?;
    }
    Err(Trouble::Said(format!("the origin does not serve; it said:\n{}", origin.tail())))
}

/// The port in `listening on http://127.0.0.1:PORT` and a line's end.
fn port_of(output: &str) -> Option<u16> {
    let (line, _) = output.split_once("listening on http://")?.1.split_once('\n')?;
    line.trim().trim_end_matches('/').rsplit(':').next()?.parse().ok()
}

impl Start<'_> {
    /// Starts it on a free port and waits until it serves.
    pub(super) fn start(&self, stage: &Stage) -> Result<Server, Trouble> {
        let Self { subject, origin, connections, .. } = *self;
        if subject == Subject::Direct {
            return Ok(Server { port: origin, process: None });
        }
        for attempt in 1.. {
            let listen =
                free_port().map_err(|error| Trouble::Said(format!("there is no free port: {error}")))?;
            let place = Place { listen, origin, connections };
            let directory = stage.directory.join(subject.name());
            let argv = subject.prepare(self.program, place, &directory);
            let argv = argv.map_err(|error| Trouble::Said(format!("{}: {error}", directory.display())))?;
            let mut process = stage.start(subject.name(), &argv, stage.plan.proxy)?;
            match self.await_answer(stage, &mut process, listen)? {
                None => return Ok(Server { port: listen, process: Some(process) }),
                Some(reason) => {
                    let tail = process.tail();
                    if attempt == TRIES_MAX || !tail.contains("in use") {
                        return Err(Trouble::Said(format!("it does not serve ({reason}); it said:\n{tail}")));
                    }
                }
            }
        }
        unreachable!("the last try returns")
    }

    /// Waits for the first answer; why there is none, if there is none.
    fn await_answer(
        &self,
        stage: &Stage,
        process: &mut Process,
        port: u16,
    ) -> Result<Option<String>, Trouble> {
        let until = monotonic() + READY_MAX;
        let mut reason = "no answer".to_owned();
        while monotonic() < until {
            if let Some(status) = process.ended() {
                return Ok(Some(format!("it ended with {status}")));
            }
            let answer =
                connect(port).and_then(|mut stream| get(&mut stream, &format!("127.0.0.1:{port}"), ""));
            match answer {
                Ok(answer) => {
                    let length = answer.content.len() as u64;
                    if answer.status == 200 && self.answer_bytes.is_none_or(|bytes| bytes == length) {
                        // Whoever else has the port would answer, too.
                        return Ok(process.ended().map(|status| format!("it ended with {status}")));
                    }
                    reason = format!("status {} with {length} bytes of content", answer.status);
                }
                Err(error) => reason = error.to_string(),
            }
            stage.look_again()?;
        }
        Ok(Some(reason))
    }
}

impl Server {
    /// Why it can no longer be measured, if it has died.
    pub(super) fn died(&mut self) -> Option<String> {
        let process = self.process.as_mut()?;
        let status = process.ended()?;
        Some(format!("it died in mid-run ({status}); it said:\n{}", process.tail()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origins_port_is_read_once_it_is_whole() {
        assert_eq!(port_of("listening on http://127.0.0.1:4567\n"), Some(4567));
        assert_eq!(port_of("hello\nlistening on http://127.0.0.1:4567/\nmore"), Some(4567));
        assert_eq!(port_of("listening on http://127.0.0.1:45"), None);
        assert_eq!(port_of(""), None);
    }
}
