//! What lanes share, and all that they share: nothing here is touched for a request that finds what it needs on its
//! own lane, but for a relaxed store into a cell that only this lane writes.
//!
//! | type | what it is for |
//! |---|---|
//! | [`Slot`](slot::Slot) | state: the latest wins, none is lost |
//! | [`Mailbox`](mailbox::Mailbox) | work: a bounded queue and a bell; refused when it is full |
//! | [`Desk`](desk::Desk) | all that a lane is to look at when its bell rings |
//! | [`Board`](board::Board) | gauges: each lane writes its own cell, all read |
//! | [`Count`](count::Count) | a number of things that all lanes together may have |
//! | [`Limit`](limit::Limit) | such a number with lanes that wait for one |
//! | [`Rates`](rates::Rates) | rate limits by key: lanes take batches |
//! | [`Sources`](sources::Sources) | how many connections each source has |
//! | [`Workers`](workers::Workers) | threads for what would hog a lane |
//!
//! `ci/loom` compiles what is lock-free here against loom's atomics, and tries every order of events.

pub(crate) mod board;
pub(crate) mod count;
pub(crate) mod desk;
pub(crate) mod limit;
pub(crate) mod mailbox;
pub(crate) mod rates;
pub(crate) mod slot;
pub(crate) mod sources;
pub(crate) mod workers;

/// The atomics that the types here are made of: a module of its own, so that `ci/loom` can put others in its place.
pub(crate) mod atomic {
    pub(crate) use std::{
        hint::spin_loop,
        sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
    };
}
