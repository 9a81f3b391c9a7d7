//! What one thread asks of a lane. A letter is work, and may be refused when too much of it waits; state that must not
//! be lost crosses by slots.

use crate::{
    address::Address,
    engine::StartError,
    flight::Slow,
    io::{Fd, Socket},
    metrics::Snapshot,
    shared::limit::Moving,
    upstream::Peer,
};
use crossbeam_channel::Sender;
use std::sync::Arc;

/// A letter to a lane.
pub(crate) enum Letter {
    /// A copy of the lane's numbers is wanted.
    Snapshot(Sender<Snapshot>),
    /// The lane's last slow exchanges are wanted.
    Slow(Sender<(usize, Vec<Slow>)>),
    /// Another lane could not connect to this address.
    Unreachable(Address),
    /// Another lane needs a connection to this peer, and this one has shown idle ones.
    Borrow {
        peer: Peer,
        /// The lane that asks, and its number for this.
        by: usize,
        ticket: u64,
    },
    /// The answer: a connection, or none.
    Lent { ticket: u64, lent: Option<Lent> },
    /// A connection for which requests wait here, from a lane that has no use for it at the moment.
    Given(Lent),
    /// There may be a place again in this cluster, for which requests wait here.
    Room(Arc<str>),
    /// Requests wait elsewhere for this cluster: an idle connection here is to make place.
    MakeRoom(Arc<str>),
    /// The lane `from` does not turn: its sockets are to be watched here meanwhile.
    Adopt { sockets: Vec<(Address, Arc<Socket>)>, from: usize },
    /// It turns again.
    GiveUp { from: usize },
    /// The lane's thread is to end as if it had died: for tests of what is around it.
    End,
}

/// A connection on its way from one lane to another: at rest, with nothing under way on it.
pub(crate) struct Lent {
    pub(crate) peer: Peer,
    pub(crate) socket: Fd,
    /// What it takes of its cluster's maximum.
    pub(crate) place: Option<Moving>,
}

/// What a lane says of a plan: first whether it is ready for it, and then that it has carried it out.
pub(crate) struct Answer {
    pub(crate) lane: usize,
    pub(crate) number: u64,
    pub(crate) answer: Result<(), StartError>,
}
