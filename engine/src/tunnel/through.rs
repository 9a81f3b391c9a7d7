//! A tunnel between a client and an origin: bytes both ways, until either side has had enough.

use super::Open;
use crate::{
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::{Buffer, Connection, Received, Wait},
    lane::Lane,
    upstream::Transfer,
    wheel::Tick,
};
use std::{
    future::poll_fn,
    io,
    net::Shutdown,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// Moves bytes both ways. One side's end ends the other, once what it had sent has been delivered.
///
/// # Errors
/// Who has broken it off, if one did: there is no message that it could have cut.
pub(crate) async fn run(exchange: &Rc<Exchange>, transfer: &Transfer) -> Result<()> {
    let (client, lane) = (exchange.connection(), exchange.lane());
    let Some(upstream) = transfer.connection() else { return Ok(()) };
    let _open = Open::count(exchange);
    let mut up = Way::new(Side::Downstream, Side::Upstream, client.take_input());
    let mut down = Way::new(Side::Upstream, Side::Downstream, upstream.take_input());
    let mut idle = Idle { due: lane.after(exchange.settings().timeouts.tunnel_idle), seen: 0, ending: false };
    let result = poll_fn(|cx| {
        exchange.begin_wait(cx);
        let (went, came) =
            (up.poll(cx, lane, &client.io, &upstream.io), down.poll(cx, lane, &upstream.io, &client.io));
        exchange.record(|record| {
            record.request_bytes += std::mem::take(&mut up.uncounted);
            record.response_bytes += std::mem::take(&mut down.uncounted);
        });
        for way in [went, came] {
            if let Poll::Ready(Err(error)) = way {
                return Poll::Ready(Err(error));
            }
        }
        if up.ended && down.ended {
            return Poll::Ready(Ok(()));
        }
        idle.moved(exchange, up.bytes + down.bytes, up.ended || down.ended);
        if exchange.expired(idle.due) {
            let late = Error::new(Side::Downstream, Stage::Tunnel, ErrorKind::Timeout);
            return Poll::Ready(if idle.ending { Ok(()) } else { Err(late) });
        }
        Poll::Pending
    })
    .await;
    upstream.io.shutdown(Shutdown::Both);
    client.io.shutdown(Shutdown::Both);
    result
}

struct Idle {
    due: Tick,
    seen: u64,
    /// One side has ended; the other gets a moment to say good-bye.
    ending: bool,
}

impl Idle {
    fn moved(&mut self, exchange: &Exchange, bytes: u64, ending: bool) {
        if bytes == self.seen && ending == self.ending {
            return;
        }
        let (lane, timeouts) = (exchange.lane(), &exchange.settings().timeouts);
        self.due = lane.after(if ending { timeouts.linger } else { timeouts.tunnel_idle });
        (self.seen, self.ending) = (bytes, ending);
    }
}

/// One direction.
struct Way {
    from: Side,
    to: Side,
    /// What had come before the tunnel began.
    first: Option<Buffer>,
    ended: bool,
    /// The last piece filled its buffer.
    full: bool,
    bytes: u64,
    /// Of these, what does not stand in the record yet.
    uncounted: u64,
}

impl Way {
    const fn new(from: Side, to: Side, first: Option<Buffer>) -> Self {
        Self { from, to, first, ended: false, full: false, bytes: 0, uncounted: 0 }
    }

    /// Ready when this direction has ended, and everything in it has been delivered.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        lane: &Lane,
        from: &Connection,
        to: &Connection,
    ) -> Poll<Result<()>> {
        let broken = |side, error: &io::Error| Error::io(side, Stage::Tunnel, error);
        while !self.ended {
            ready!(to.poll_sent(cx)).map_err(|error| broken(self.to, &error))?;
            if lane.has_spent(cx) {
                return Poll::Pending;
            }
            if let Some(first) = self.first.take() {
                self.send(first, to);
                continue;
            }
            if !from.is_receiving() {
                // Behind a buffer that was filled there is more; behind a message mostly nothing, until it is answered.
                from.begin_receive(None, if self.full { Wait::Short } else { Wait::Long });
            }
            match ready!(from.poll_receive(cx)).map_err(|error| broken(self.from, &error))? {
                Received::Bytes(buffer) => {
                    self.full = buffer.room() == 0;
                    self.send(buffer, to);
                }
                Received::End(_) => {
                    self.ended = true;
                    to.shutdown(Shutdown::Write);
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, buffer: Buffer, to: &Connection) {
        let bytes = buffer.len() as u64;
        self.bytes += bytes;
        self.uncounted += bytes;
        to.begin_send(buffer);
    }
}
