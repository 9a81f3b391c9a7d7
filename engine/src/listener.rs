//! Accepting connections on a lane.

use crate::{
    address::Address,
    downstream::{
        Downstream,
        h1::{self, Seats},
    },
    error::Result,
    exchange::{self, After},
    handler::Handler,
    io::{self, Listener},
    lane::Lane,
    metrics::Metric,
    settings::Settings,
    sink::Event,
};
use corelane_codec::RequestHead;
use std::{
    cell::{Ref, RefCell},
    future::Future,
    io::ErrorKind,
    rc::Rc,
    time::Duration,
};

/// Connections accepted before the others get a turn.
const BURST_MAX: usize = 64;
/// How long a lane waits when it can accept nobody: no descriptor left, or too many connections.
const PAUSE: Duration = Duration::from_millis(50);

/// A listener, as one lane sees it: what all connections have in common that came in by it.
pub(crate) struct Door {
    /// The address that clients connect to.
    pub(crate) local: Address,
    settings: RefCell<Rc<Settings>>,
}

impl Door {
    pub(crate) fn new(local: Address, settings: &Settings) -> Rc<Self> {
        Rc::new(Self { local, settings: RefCell::new(Rc::new(settings.clone())) })
    }

    /// What its exchanges are held to, unless their handler sets something else.
    pub(crate) fn settings(&self) -> Ref<'_, Rc<Settings>> {
        self.settings.borrow()
    }
}

/// Serves `handler` on `listener` until the lane drains.
pub(crate) fn serve<H: Handler>(lane: &Lane, listener: Listener, door: Rc<Door>, handler: Rc<H>) {
    let seats =
        Seats::new(move |connection, received| exchange::serve(connection, received, handler.clone()));
    lane.spawn(accept(lane.clone(), listener, door, seats));
}

async fn accept<F, S>(lane: Lane, listener: Listener, door: Rc<Door>, seats: Rc<Seats<F, S>>)
where
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
    while lane.serving(listener.ready()).await {
        let mut accepted = 0;
        while accepted < BURST_MAX {
            let max = lane.0.config.connections_max;
            if lane.connections() >= max {
                if !std::mem::replace(&mut full, true) {
                    lane.0.metrics.count(Metric::AcceptErrors);
                    lane.event(&Event::Full { address: door.local.clone(), connections: max });
                }
                lane.serving(pause()).await;
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
                    lane.serving(pause()).await;
                    break;
                }
            }
        }
        if accepted == BURST_MAX {
            lane.yield_now().await;
        }
    }
    // A drain has begun. Closing the socket resets whoever waits in its queue, so they are taken first.
    for _ in 0..lane.0.config.connections_max {
        let Ok(connection) = listener.accept() else { break };
        take(connection);
    }
}

async fn pause() -> std::io::Result<()> {
    io::sleep(PAUSE).await;
    Ok(())
}
