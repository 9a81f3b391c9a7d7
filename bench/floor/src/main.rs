//! The floor: what it costs merely to move a proxy's bytes.
//!
//! `corelane-floor` accepts connections, opens one upstream connection for each, and passes bytes both ways
//! without looking at them. It uses what io_uring has that makes this cheap: one multishot accept, one
//! multishot receive per connection, buffers that the kernel picks from a shared ring, and a send straight
//! from the buffer that was received into. A proxy that understands HTTP has all of this to do as well, so
//! the CPU time of the floor is a bound to compare with, not a competitor.
//!
//! What it leaves out on purpose: deadlines, limits on connections, and fairness. Readers that are stuck
//! can hold every buffer of the pool, and then everyone waits for them.

mod buffers;
mod pair;
mod relay;
mod ring;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

const USAGE: &str = "usage: corelane-floor --listen ADDRESS:PORT --to ADDRESS:PORT";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (listen, to) = match parse(&mut arguments) {
        Ok(addresses) => addresses,
        Err(reason) => {
            eprintln!("corelane-floor: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(listen, to) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("corelane-floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listen: SocketAddr, to: SocketAddr) -> std::io::Result<std::convert::Infallible> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    let relay = relay::Relay::new(listener, to)?;
    // With port 0 the kernel chooses, so the address is said.
    println!("listening on {address}");
    relay.run()
}

fn parse(arguments: &mut dyn Iterator<Item = String>) -> Result<(SocketAddr, SocketAddr), String> {
    let (mut listen, mut to) = (None, None);
    while let Some(flag) = arguments.next() {
        let slot = match flag.as_str() {
            "--listen" => &mut listen,
            "--to" => &mut to,
            _ => return Err(format!("unknown argument {flag:?}")),
        };
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        *slot = Some(value.parse().map_err(|_| format!("{flag}: {value:?} is not ADDRESS:PORT"))?);
    }
    Ok((listen.ok_or("--listen is missing")?, to.ok_or("--to is missing")?))
}
