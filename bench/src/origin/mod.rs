//! `corelane-bench origin`: a server that behaves as it is told to, fast enough to measure others before it.

mod answer;
mod delay;

use crate::{failure::Failure, interrupt, print, units};
use answer::{Behaviour, Origin};
use corelane_engine::{Engine, Event, Settings};
use delay::{Delay, Stall};
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// How often it is looked whether the user wants an end.
const LOOK: Duration = Duration::from_millis(20);
/// The most content that an answer may have.
const SIZE_MAX: u64 = 1 << 40;

/// Serves answers whose size, delay and failures are given.
///
/// A request may ask for others by its query: /?size=16k&delay=normal:5ms,1ms&status=404&chunked&trailers. What is
/// posted to /echo comes back; /head tells what the request's head was; a WebSocket gets its messages back.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen; port 0 is any that is free
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Threads that serve
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    lanes: u16,
    /// The content's length
    #[arg(long, default_value = "128", value_parser = units::size)]
    size: u64,
    /// How long an answer is kept back: 5ms, normal:5ms,1ms (mean, deviation), longtail:5ms (median) or
    /// exponential:5ms (mean)
    #[arg(long)]
    delay: Option<Delay>,
    /// Answers nobody for the first part of every period, such as 100ms/1s
    #[arg(long)]
    stall: Option<Stall>,
    /// The part of the requests that is answered with --fail-status
    #[arg(long, default_value = "0", value_name = "PART", value_parser = units::part)]
    fail: f64,
    /// The status of failures
    #[arg(long, default_value_t = 503, value_parser = clap::value_parser!(u16).range(200..=599))]
    fail_status: u16,
    /// The part of the requests whose connection is reset instead of an answer
    #[arg(long, default_value = "0", value_name = "PART", value_parser = units::part)]
    reset: f64,
    /// Sends content in chunks
    #[arg(long)]
    chunked: bool,
    /// Sends trailers behind it, to clients that take them
    #[arg(long)]
    trailers: bool,
    /// Sends every request's content back
    #[arg(long, conflicts_with = "size")]
    echo: bool,
    /// How fast content is sent, in bytes per second [as fast as it is taken]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pace: Option<u64>,
    /// Requests after which a connection is closed [never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests_per_connection: Option<u64>,
    /// How long a connection may be idle
    #[arg(long, default_value = "1h", value_parser = units::duration)]
    idle: Duration,
}

/// Serves until the user wants an end.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.size > SIZE_MAX {
        return Err(Failure::Usage("--size is at most 1024g".to_owned()));
    }
    if args.pace == Some(0) {
        return Err(Failure::Usage("--pace is at least 1 byte per second".to_owned()));
    }
    let behaviour = Arc::new(Behaviour {
        size: args.size,
        delay: args.delay,
        stall: args.stall,
        fail: args.fail,
        fail_status: args.fail_status,
        reset: args.reset,
        chunked: args.chunked || args.trailers,
        trailers: args.trailers,
        echo: args.echo,
        pace: args.pace,
        requests_per_connection: args.requests_per_connection,
    });
    let mut settings = Settings::default();
    settings.timeouts.client_idle = args.idle;
    let stop = interrupt::flag()?;
    let _ = corelane_engine::raise_descriptor_limit();
    let handle = Engine::builder()
        .lanes(args.lanes.into())
        .settings(settings)
        .serve(args.listen.to_string(), move |lane| Ok(Origin::new(lane, behaviour.clone())))
        .on_event(|event| {
            if matches!(event, Event::LanePanicked { .. } | Event::HandlerPanicked { .. }) {
                eprintln!("{event}");
            }
        })
        .spawn()
        .map_err(|error| Failure::Run(error.to_string()))?;
    for address in handle.addresses() {
        print(&format!("listening on http://{address}\n"))?;
    }
    while !stop.load(Ordering::Relaxed) {
        crate::clock::pause(LOOK);
    }
    handle.stop();
    handle.join();
    Ok(())
}
