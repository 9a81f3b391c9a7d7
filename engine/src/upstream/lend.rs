//! Connections that go from one lane to another.
//!
//! Whoever has none asks the lane that shows the most idle ones, and waits for a moment: that lane takes the one that
//! has rested longest and on which nothing is under way but a wait; then a duplicate of the descriptor goes, and the
//! original is closed.

use super::{Peer, UpstreamConnection, pool::Pool};
use crate::{
    io::Map,
    lane::Lane,
    letter::{Lent, Letter},
    metrics::Metric,
};
use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

/// How long a lane waits for another's answer: longer than that one's turn lasts, as a rule, and shorter than a
/// client notices. After that it connects by itself, and what comes late is kept.
const ANSWER_MAX: Duration = Duration::from_millis(5);

/// What a lane has asked others for.
#[derive(Default)]
pub(crate) struct Asked {
    last: Cell<u64>,
    open: RefCell<Map<u64, Rc<Question>>>,
}

struct Question {
    peer: Peer,
    /// `Some(None)`: there is none to be had.
    answer: RefCell<Option<Option<Box<UpstreamConnection>>>>,
    waker: RefCell<Option<Waker>>,
}

/// A question whose answer somebody waits for.
struct Asking<'a> {
    asked: &'a Asked,
    ticket: u64,
    question: Rc<Question>,
}

impl Asked {
    fn ask(&self, peer: &Peer) -> Asking<'_> {
        let ticket = self.last.get() + 1;
        self.last.set(ticket);
        let question =
            Rc::new(Question { peer: peer.clone(), answer: RefCell::default(), waker: RefCell::default() });
        self.open.borrow_mut().insert(ticket, question.clone());
        Asking { asked: self, ticket, question }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.asked.open.borrow_mut().remove(&self.ticket);
    }
}

impl Pool {
    /// An idle connection of another lane's, if one is to be had within a few milliseconds.
    pub(crate) async fn borrow(&self) -> Option<Box<UpstreamConnection>> {
        let lender = self.board.richest(self.lane.id())?;
        let asking = self.lane.0.asked.ask(&self.peer);
        let letter = Letter::Borrow { peer: self.peer.clone(), by: self.lane.id(), ticket: asking.ticket };
        self.lane.post(lender, letter).ok()?;
        let mut late = pin!(self.lane.sleep(ANSWER_MAX));
        let answer = poll_fn(|cx| {
            if let Some(answer) = asking.question.answer.borrow_mut().take() {
                return Poll::Ready(answer);
            }
            *asking.question.waker.borrow_mut() = Some(cx.waker().clone());
            late.as_mut().poll(cx).map(|()| None)
        })
        .await;
        let connection = answer.filter(|connection| !connection.stirs())?;
        self.lane.0.metrics.count(Metric::UpstreamBorrowed);
        Some(connection)
    }
}

impl Lane {
    /// Another lane asks for a connection.
    pub(crate) fn lend(&self, peer: &Peer, by: usize, ticket: u64) {
        let pool = self.0.pools.borrow().get(peer).cloned();
        let lent = pool.and_then(|pool| take_from(&pool));
        if let Err(Letter::Lent { lent: Some(lent), .. }) = self.post(by, Letter::Lent { ticket, lent }) {
            self.take_in(lent);
        }
    }

    /// An answer has come.
    pub(crate) fn lent(&self, ticket: u64, lent: Option<Lent>) {
        let question = self.0.asked.open.borrow().get(&ticket).cloned();
        match lent {
            // It may be the answer to a question of this lane before it was rebuilt.
            Some(lent) if question.as_ref().is_some_and(|question| question.peer != lent.peer) => {
                self.take_in(lent);
            }
            Some(lent) => self.arrive(lent, question),
            None => {
                if let Some(question) = question {
                    *question.answer.borrow_mut() = Some(None);
                    question.wake();
                }
            }
        }
    }

    /// A connection has come for which nobody asked by number.
    pub(crate) fn take_in(&self, lent: Lent) {
        self.arrive(lent, None);
    }

    fn arrive(&self, lent: Lent, question: Option<Rc<Question>>) {
        // A pool without its cluster's turnstile would know no maximum.
        if !self.knows(&lent.peer) {
            return;
        }
        let pool = self.pool(&lent.peer);
        let Some(connection) = pool.unpack(lent) else { return };
        match question {
            Some(question) => {
                *question.answer.borrow_mut() = Some(Some(connection));
                question.wake();
            }
            None => {
                connection.rest(self.after(self.settings().timeouts.upstream_idle));
                pool.keep(connection);
                if let Some(turnstile) = &pool.turnstile {
                    turnstile.call();
                }
            }
        }
    }
}

impl Question {
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// The idle connection that has rested longest, with nothing under way on it.
fn take_from(pool: &Pool) -> Option<Lent> {
    while let Some(connection) = pool.take_first() {
        // What waits here for something to receive takes nothing away from whoever has the connection next.
        if !connection.stirs()
            && let Ok(lent) = pool.pack(connection)
        {
            pool.lane.0.metrics.count(Metric::UpstreamLent);
            return Some(lent);
        }
    }
    None
}
