//! An HTTP/1 connection: one task, which waits for heads itself and lends a seat to each exchange.

use super::{Downstream, Next};
use crate::{error::Result, exchange::After};
use corelane_codec::RequestHead;
use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
};

/// Free seats that a listener keeps.
const SEATS_KEPT_MAX: usize = 1024;

/// Where exchanges are polled. An exchange's future is several KiB and must not sit in an idle connection's task, so
/// it is put into a seat, which is used again: a request costs no allocation, an idle connection no room.
pub(crate) struct Seats<F, S> {
    start: S,
    free: RefCell<Vec<Seat<F>>>,
}

type Seat<F> = Pin<Box<Option<F>>>;

impl<F, S> Seats<F, S>
where
    F: Future<Output = After>,
    S: Fn(Rc<Downstream>, Result<RequestHead>) -> F,
{
    pub(crate) fn new(start: S) -> Rc<Self> {
        Rc::new(Self { start, free: RefCell::default() })
    }

    /// Runs one exchange.
    async fn run(&self, connection: &Rc<Downstream>, received: Result<RequestHead>) -> After {
        let free = self.free.borrow_mut().pop();
        let mut seat = free.unwrap_or_else(|| Box::pin(None));
        seat.as_mut().set(Some((self.start)(connection.clone(), received)));
        let after = poll_fn(|cx| seat.as_mut().as_pin_mut().expect("somebody sits in it").poll(cx)).await;
        seat.as_mut().set(None);
        let mut free = self.free.borrow_mut();
        if free.len() < SEATS_KEPT_MAX {
            free.push(seat);
        }
        after
    }
}

/// Serves a connection until it is over.
pub(crate) async fn serve<F, S>(connection: Rc<Downstream>, seats: Rc<Seats<F, S>>)
where
    F: Future<Output = After>,
    S: Fn(Rc<Downstream>, Result<RequestHead>) -> F,
{
    let _registered = Registered(&connection);
    let timeouts = &connection.lane.0.config.timeouts;
    // A fresh connection has so long for its first head, from the accept.
    let (mut due, mut head_due) = (connection.lane.after(timeouts.client_head), None);
    loop {
        let received = match poll_fn(|cx| connection.poll_head(cx, due, &mut head_due)).await {
            Ok(Next::Request(head)) => Ok(head),
            Ok(Next::Over) => return,
            Ok(Next::Sleep) => {
                if connection.sleep(due).await {
                    continue;
                }
                return;
            }
            Err(error) => Err(error),
        };
        if seats.run(&connection, received).await == After::Close {
            return;
        }
        (due, head_due) = (connection.lane.after(timeouts.client_idle), None);
    }
}

struct Registered<'a>(&'a Rc<Downstream>);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.lane.unregister(self.0);
    }
}
