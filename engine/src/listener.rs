//! Accepting connections on a lane.

use crate::{
    address::Address,
    door::{Door, Leaving, Watch},
    downstream::{
        Downstream,
        h1::{self, Seats},
    },
    error::Result,
    exchange::After,
    io::{self, Listener, system},
    kept::Kept,
    lane::Lane,
    metrics::Metric,
    overload::Shedding,
    shared::sources::Counted,
    sink::Event,
};
use corelane_codec::RequestHead;
use std::{future::Future, io::ErrorKind, rc::Rc, time::Duration};

/// Connections accepted before the others get a turn, at most. It is as many as are likely to wait, by what came the last
/// time: looking once more, to find nobody, costs a call for each time that somebody came.
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
    S: Fn(Rc<Downstream>, Result<Kept<RequestHead>>) -> F + 'static,
{
    let entrance = Entrance { lane: lane.clone(), listener, door, seats };
    let (mut said, mut full) = (false, false);
    let mut burst = 1;
    while lane.serving(&watch, entrance.is_wanted()).await {
        let mut accepted = 0;
        while accepted < burst {
            let came = entrance.let_in();
            full &= matches!(came, Came::Full);
            said &= !matches!(came, Came::In);
            match came {
                Came::In => accepted += 1,
                Came::Gone => {}
                Came::Nobody => break,
                Came::Full => {
                    if !std::mem::replace(&mut full, true) {
                        entrance.say_full();
                    }
                    lane.serving(&watch, pause(&lane)).await;
                    break;
                }
                // The watch has said it.
                Came::Short => {
                    lane.serving(&watch, pause(&lane)).await;
                    break;
                }
                Came::Failed(error) => {
                    lane.0.metrics.count(Metric::AcceptErrors);
                    if !std::mem::replace(&mut said, true) {
                        let address = entrance.door.local.clone();
                        lane.event(&Event::AcceptFailed { address, error: error.to_string() });
                    } else if system::is_out_of_descriptors(&error) {
                        // They have waited for a pause, and there is still no descriptor: they are told.
                        entrance.turn_away();
                    }
                    // Those that wait go on waiting: the listener stays ready, so looking again at once would spin.
                    lane.serving(&watch, pause(&lane)).await;
                    break;
                }
            }
        }
        if accepted == BURST_MAX {
            lane.yield_now().await;
        }
        burst = if accepted == burst { 2 * accepted } else { accepted }.clamp(1, BURST_MAX);
    }
    if watch.end() == Some(Leaving::Others) {
        return;
    }
    // Closing the socket resets whoever waits in its queue, so they are taken first, however many there are already.
    for _ in 0..system::BACKLOG {
        lane.0.process.crowd.all.take_anyway(lane.id());
        if !matches!(entrance.take(), Came::In | Came::Gone) {
            break;
        }
    }
}

/// What came of looking who wants in.
enum Came {
    /// One came in, or was turned away.
    In,
    /// One had gone again (accept(2)).
    Gone,
    /// Nobody waits.
    Nobody,
    /// There are as many as there may be.
    Full,
    /// The process runs short of memory or descriptors.
    Short,
    Failed(std::io::Error),
}

/// Where connections come in.
struct Entrance<F, S> {
    lane: Lane,
    listener: Listener,
    door: Rc<Door>,
    seats: Rc<Seats<F, S>>,
}

impl<F, S> Entrance<F, S>
where
    F: Future<Output = After> + 'static,
    S: Fn(Rc<Downstream>, Result<Kept<RequestHead>>) -> F + 'static,
{
    /// Waits until somebody wants in.
    async fn is_wanted(&self) -> std::io::Result<()> {
        if self.listener.ready().await.is_err() {
            // Looking, after a pause, says what is wrong.
            pause(&self.lane).await?;
        }
        Ok(())
    }

    /// Lets the next one in, if there is one and there is room.
    fn let_in(&self) -> Came {
        if self.lane.shedding() >= Shedding::StopAccept {
            return Came::Short;
        }
        if self.lane.0.process.crowd.all.try_take(self.lane.id()) { self.take() } else { Came::Full }
    }

    /// Lets the next one in who waits; it has been counted already.
    fn take(&self) -> Came {
        let (lane, crowd) = (&self.lane, &self.lane.0.process.crowd);
        let not_in = match self.listener.accept() {
            Ok((stream, peer)) => match self.counted(&peer) {
                Ok(counted) => {
                    lane.0.metrics.count(Metric::Connections);
                    let connection = Downstream::new(lane, stream, peer, (self.door.clone(), counted));
                    lane.register(&connection);
                    io::spawn(h1::Task::new(connection, self.seats.clone()));
                    return Came::In;
                }
                Err(TurnedAway) => Came::In,
            },
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => Came::Nobody,
                ErrorKind::ConnectionAborted => Came::Gone,
                _ => Came::Failed(error),
            },
        };
        crowd.all.put_back(lane.id());
        not_in
    }

    /// Counts a client among those of its source, unless that is a trusted proxy.
    fn counted(&self, peer: &Address) -> std::result::Result<Option<Counted>, TurnedAway> {
        let lane = &self.lane;
        if self.door.settings().trusts(peer.ip()) {
            return Ok(None);
        }
        lane.0.process.crowd.enter(peer, lane.about_now()).map_err(|too_many| {
            lane.0.metrics.count(Metric::ConnectionsRefused);
            if let (true, Some(source)) = (too_many.say, peer.ip()) {
                let (address, connections) = (self.door.local.clone(), too_many.connections_max);
                lane.event(&Event::SourceFull { address, source: source.to_canonical(), connections });
            }
            TurnedAway
        })
    }

    /// Closes connections that wait and cannot be let in, by a descriptor that is kept for that: whoever waits for
    /// nothing may as well try elsewhere.
    fn turn_away(&self) {
        let lane = &self.lane;
        drop(lane.0.reserve.take());
        for _ in 0..BURST_MAX {
            if self.listener.turn_away().is_err() {
                break;
            }
            lane.0.metrics.count(Metric::ConnectionsRefused);
        }
        lane.0.reserve.set(system::reserve());
    }

    fn say_full(&self) {
        self.lane.0.metrics.count(Metric::AcceptErrors);
        let connections = self.lane.0.process.config.connections_max;
        self.lane.event(&Event::Full { address: self.door.local.clone(), connections });
    }
}

/// Its source has as many connections as it may.
struct TurnedAway;

async fn pause(lane: &Lane) -> std::io::Result<()> {
    lane.sleep(PAUSE).await;
    Ok(())
}
