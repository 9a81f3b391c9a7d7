//! Accepting connections on a lane.

use crate::{
    door::{Door, Leaving, Watch},
    downstream::{
        Downstream,
        h1::{self, Seats},
    },
    error::Result,
    exchange::After,
    io::{self, Listener},
    lane::Lane,
    metrics::Metric,
    sink::Event,
};
use corelane_codec::RequestHead;
use std::{future::Future, io::ErrorKind, rc::Rc, time::Duration};

/// Connections accepted before the others get a turn.
const BURST_MAX: usize = 64;
/// How long a lane waits when it can accept nobody: no descriptor left, or too many connections.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections that come in by `door`, until the lane drains or the watch is over.
pub(crate) async fn accept<F, S>(
    lane: Lane,
    listener: Listener,
    door: Rc<Door>,
    watch: Rc<Watch>,
    seats: Rc<Seats<F, S>>,
) where
    F: Future<Output = After> + 'static,
    S: Fn(Rc<Downstream>, Result<RequestHead>) -> F + 'static,
{
    let take = |(stream, peer)| {
        lane.0.metrics.count(Metric::Connections);
        let connection = Downstream::new(&lane, stream, peer, door.clone());
        lane.register(&connection);
        io::spawn(h1::Task::new(connection, seats.clone()));
    };
    let (mut said, mut full) = (false, false);
    while lane.serving(&watch, listener.ready()).await {
        let mut accepted = 0;
        while accepted < BURST_MAX {
            let max = lane.0.process.config.connections_max;
            if lane.connections() >= max {
                if !std::mem::replace(&mut full, true) {
                    lane.0.metrics.count(Metric::AcceptErrors);
                    lane.event(&Event::Full { address: door.local.clone(), connections: max });
                }
                lane.serving(&watch, pause()).await;
                break;
            }
            full = false;
            match listener.accept() {
                Ok(connection) => {
                    accepted += 1;
                    said = false;
                    take(connection);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The client was gone before it was accepted (accept(2)).
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    lane.0.metrics.count(Metric::AcceptErrors);
                    if !std::mem::replace(&mut said, true) {
                        let address = door.local.clone();
                        lane.event(&Event::AcceptFailed { address, error: error.to_string() });
                    }
                    // Those that wait go on waiting: the listener stays ready, so looking again at once would spin.
                    lane.serving(&watch, pause()).await;
                    break;
                }
            }
        }
        if accepted == BURST_MAX {
            lane.yield_now().await;
        }
    }
    if watch.end() == Some(Leaving::Others) {
        return;
    }
    // Closing the socket resets whoever waits in its queue, so they are taken first.
    for _ in 0..lane.0.process.config.connections_max {
        let Ok(connection) = listener.accept() else { break };
        take(connection);
    }
}

async fn pause() -> std::io::Result<()> {
    io::sleep(PAUSE).await;
    Ok(())
}
