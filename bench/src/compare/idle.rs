//! How much memory an idle connection holds.
//!
//! The proxy serves some connections one after the other, so that what is allocated once is not counted, and its
//! resident memory is read once it is stable. Then the connections are opened; each has one answer and stays idle.
//! When the memory is stable again the difference is divided by their number. The kernel's memory of sockets is not
//! in it, nor what a proxy allocates for all connections when it starts.

use super::{
    Trouble,
    account::resident_bytes,
    figures::{Figures, Idle},
    server::Server,
    stage::Stage,
    wire::{connect, get, has_changed},
};
use crate::clock::monotonic;
use std::{net::TcpStream, time::Duration};

/// One after the other, so that no memory of theirs is left to be used again.
const WARM_UP_CONNECTIONS: u32 = 1000;
const LOOK_EVERY: Duration = Duration::from_millis(500);
const STABLE: Duration = Duration::from_secs(5);
const STABLE_BYTES: u64 = 64 << 10;
/// Within the 60 s after which a proxy may close an idle connection.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// Measures a server that has just been started.
pub(super) fn measure(
    stage: &Stage,
    server: &mut Server,
    connections: u32,
    answer_bytes: u64,
) -> Result<Figures, Trouble> {
    let port = server.port;
    let open = |number: u32| {
        // The interrupt is looked at now and then, without a wait.
        if number.is_multiple_of(256) {
            stage.wait(Duration::ZERO)?;
        }
        open(port, answer_bytes).map_err(|says| Trouble::Said(format!("connection {number}: {says}")))
    };
    for number in 0..WARM_UP_CONNECTIONS {
        drop(open(number)?);
    }
    let before_bytes = settle(stage, server)?;
    let streams = (0..connections).map(open).collect::<Result<Vec<_>, _>>()?;
    let after_bytes = settle(stage, server)?;
    let closed = streams.iter().filter(|stream| has_changed(stream)).count();
    if closed > 0 {
        return Err(Trouble::Said(format!(
            "it closed {closed} of {connections} connections while they were counted"
        )));
    }
    let more = after_bytes as f64 - before_bytes as f64;
    let bytes_per_connection = more / f64::from(connections);
    Ok(Figures::Idle(Idle { connections, before_bytes, after_bytes, bytes_per_connection }))
}

/// A connection that has had one answer.
fn open(port: u16, answer_bytes: u64) -> Result<TcpStream, String> {
    let mut stream = connect(port).map_err(|error| error.to_string())?;
    let answer = get(&mut stream, &format!("127.0.0.1:{port}"), "").map_err(|error| error.to_string())?;
    let length = answer.content.len() as u64;
    if answer.status == 200 && length == answer_bytes {
        Ok(stream)
    } else {
        Err(format!("status {} with {length} bytes of content", answer.status))
    }
}

/// Resident memory once it has stopped changing.
fn settle(stage: &Stage, server: &mut Server) -> Result<u64, Trouble> {
    let read = |server: &mut Server| {
        if let Some(died) = server.died() {
            return Err(Trouble::Said(died));
        }
        let pid = server.process.as_ref().map_or(0, super::stage::Process::pid);
        resident_bytes(pid).map_err(|error| Trouble::Said(format!("its memory cannot be read: {error}")))
    };
    let (mut reading, mut since) = (read(server)?, monotonic());
    let until = monotonic() + SETTLE_MAX;
    while monotonic() - since < STABLE {
        if monotonic() > until {
            let seconds = SETTLE_MAX.as_secs();
            return Err(Trouble::Said(format!("its memory is not stable after {seconds} s")));
        }
        stage.wait(LOOK_EVERY)?;
        let now_bytes = read(server)?;
        if now_bytes.abs_diff(reading) > STABLE_BYTES {
            (reading, since) = (now_bytes, monotonic());
        }
    }
    read(server)
}
