//! After a response: another request on the connection, or its end.

use crate::simulate::{Bug, has};
use crate::{
    content::Pull,
    downstream::Downstream,
    exchange::After,
    io::{Received, Wait},
    pace::Outflow,
    wheel::{TICK, Tick},
};
use std::{
    future::poll_fn,
    net::Shutdown,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// Makes the connection ready for another request, or closes it without losing what the client has not read yet.
pub(crate) async fn settle(connection: &Rc<Downstream>) -> After {
    if connection.begin_next() {
        return After::Next;
    }
    let settings = connection.door.settings().clone();
    let timeouts = &settings.timeouts;
    let due = connection.lane.after(timeouts.linger);
    let mut left = timeouts.linger_bytes_max;
    if connection.keeps_alive()
        && !connection.request_ended()
        && drain_request(connection, due, &mut left).await
        && connection.begin_next()
    {
        return After::Next;
    }
    if connection.has_said_all() || has(Bug::ClosedWithoutLinger) {
        return After::Close;
    }
    connection.io.shutdown(Shutdown::Write);
    if let Some(input) = connection.take_input() {
        connection.lane.0.buffers.give(input);
    }
    linger(connection, due, &mut left).await;
    After::Close
}

/// Discards what the client still sends of this request, within limits; says whether it came to its end.
async fn drain_request(connection: &Downstream, due: Tick, left: &mut u64) -> bool {
    poll_fn(|cx| {
        connection.timer.clear();
        connection.timer.waits(cx);
        while *left > 0 {
            if connection.lane.has_spent(cx) {
                return Poll::Pending;
            }
            match connection.poll_content(cx) {
                Poll::Ready(Ok(Pull::Piece(piece))) => {
                    *left = left.saturating_sub(piece.len() as u64);
                    connection.lane.0.buffers.give(piece);
                }
                Poll::Ready(Ok(Pull::End)) => return Poll::Ready(true),
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending if connection.lane.0.wheel.expired(&connection.timer, due) => {
                    return Poll::Ready(false);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(false)
    })
    .await
}

/// Closing a socket that has unread data resets the connection, and a reset throws away what the kernel has not
/// delivered (RFC 9112 §9.6). So what comes is discarded, within limits; then nothing more is read, and the close waits
/// until the client has acknowledged the response, or takes none of it any more.
async fn linger(connection: &Downstream, due: Tick, left: &mut u64) {
    let mut outflow = Outflow::default();
    let between = connection.door.settings().timeouts.between_bytes;
    poll_fn(|cx| {
        let (lane, timer) = (&connection.lane, &connection.timer);
        timer.clear();
        timer.waits(cx);
        if *left > 0 && poll_discard(cx, connection, left).is_ready() {
            if connection.has_ended() {
                return Poll::Ready(());
            }
            *left = 0;
        }
        if *left > 0 && !lane.0.wheel.expired(timer, due) {
            return Poll::Pending;
        }
        *left = 0;
        if connection.io.queued_bytes() == 0 || outflow.wait(&connection.io, lane, between).is_none() {
            return Poll::Ready(());
        }
        // Nobody tells when a peer acknowledges.
        lane.0.wheel.expired(timer, lane.after(TICK));
        Poll::Pending
    })
    .await;
}

/// Ready when the client has closed, or has sent more than is worth reading.
fn poll_discard(cx: &mut Context<'_>, connection: &Downstream, left: &mut u64) -> Poll<()> {
    while !connection.has_ended() && *left > 0 {
        if connection.lane.has_spent(cx) {
            return Poll::Pending;
        }
        if !connection.io.is_receiving() {
            connection.io.begin_receive(None, Wait::Short);
        }
        match ready!(connection.io.poll_receive(cx)) {
            Ok(Received::Bytes(buffer)) => {
                *left = left.saturating_sub(buffer.len() as u64);
                connection.lane.0.buffers.give(buffer);
            }
            Ok(Received::End(buffer)) => {
                connection.lane.0.buffers.give(buffer);
                connection.set_ended();
            }
            // Reset: there is nothing left to protect.
            Err(_) => connection.set_ended(),
        }
    }
    Poll::Ready(())
}
