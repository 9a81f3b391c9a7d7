//! Work that one thread gives to a lane.

use crate::io::bell::{Bell, Ringer};
use crate::simulate::{Bug, has};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;

/// A bounded queue of letters and the bell that says that there is one. It outlives its lane, so that a lane that is
/// rebuilt finds what was sent meanwhile.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    send: Sender<T>,
    receive: Receiver<T>,
    ringer: Ringer,
}

impl<T> Mailbox<T> {
    /// For at most so many letters; more are refused.
    pub(crate) fn new(letters_max: usize) -> io::Result<Self> {
        let (send, receive) = bounded(letters_max);
        Ok(Self { send, receive, ringer: Bell::ringer()? })
    }

    /// Leaves a letter and rings; never waits. The letter comes back when the box is full.
    pub(crate) fn post(&self, letter: T) -> Result<(), T> {
        if has(Bug::LetterLost) {
            return Ok(());
        }
        let posted = self.send.try_send(letter).map_err(|refused| refused.into_inner());
        self.ringer.ring();
        posted
    }

    /// Wakes the lane, which looks at all that it shares.
    pub(crate) fn ring(&self) {
        self.ringer.ring();
    }

    /// The next letter; for the lane.
    pub(crate) fn next(&self) -> Option<T> {
        self.receive.try_recv().ok()
    }

    pub(crate) fn ringer(&self) -> &Ringer {
        &self.ringer
    }
}
