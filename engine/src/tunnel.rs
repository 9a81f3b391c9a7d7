//! After a switch of protocols: bytes both ways, until either side has had enough.

use crate::{
    context::Exchange,
    error::{Error, ErrorKind, Result, Side, Stage},
    io::{Buffer, Connection, Received, Wait},
    lane::Lane,
    metrics::Metric,
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
pub(crate) async fn run(exchange: &Rc<Exchange>, transfer: &Transfer) -> Result<()> {
    let (client, lane) = (exchange.connection(), exchange.lane());
    let Some(upstream) = transfer.connection() else { return Ok(()) };
    lane.0.metrics.count(Metric::Tunnels);
    lane.0.metrics.add(Metric::TunnelsOpen, 1);
    let _open = Open(exchange);
    let mut up = Way { first: client.take_input(), ended: false, bytes: 0 };
    let mut down = Way { first: upstream.take_input(), ended: false, bytes: 0 };
    let mut idle = Idle { due: lane.after(exchange.settings().timeouts.tunnel_idle), seen: 0, ending: false };
    let result = poll_fn(|cx| {
        exchange.begin_wait(cx);
        let mut failed = None;
        if let Poll::Ready(Err(error)) = up.poll(cx, lane, &client.io, &upstream.io) {
            failed = Some(error);
        }
        if let Poll::Ready(Err(error)) = down.poll(cx, lane, &upstream.io, &client.io) {
            failed = Some(error);
        }
        if failed.is_some() || (up.ended && down.ended) {
            // Whoever breaks a tunnel ends it: there is no message that it could have cut.
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
    exchange.record(|record| {
        record.request_bytes += up.bytes;
        record.response_bytes += down.bytes;
    });
    upstream.io.shutdown(Shutdown::Both);
    client.io.shutdown(Shutdown::Both);
    result
}

struct Open<'a>(&'a Exchange);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.lane().0.metrics.sub(Metric::TunnelsOpen);
    }
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
    /// What had come before the tunnel began.
    first: Option<Buffer>,
    ended: bool,
    bytes: u64,
}

impl Way {
    /// Ready when this direction has ended, and everything in it has been delivered.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        lane: &Lane,
        from: &Connection,
        to: &Connection,
    ) -> Poll<io::Result<()>> {
        while !self.ended {
            ready!(to.poll_sent(cx))?;
            if lane.has_spent(cx) {
                return Poll::Pending;
            }
            if let Some(first) = self.first.take() {
                self.send(first, to);
                continue;
            }
            if !from.is_receiving() {
                from.begin_receive(None, Wait::Short);
            }
            match ready!(from.poll_receive(cx))? {
                Received::Bytes(buffer) => self.send(buffer, to),
                Received::End(_) => {
                    self.ended = true;
                    to.shutdown(Shutdown::Write);
                }
                Received::Cancelled(_) => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, buffer: Buffer, to: &Connection) {
        self.bytes += buffer.len() as u64;
        to.begin_send(buffer);
    }
}
