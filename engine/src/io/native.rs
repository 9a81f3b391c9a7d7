//! The system: its calls, as they are. See `system.rs` for the other one, of the feature `simulate`.

use crate::simulate::Descriptor;
use std::{collections::HashMap, hash::RandomState, os::fd::OwnedFd};

pub(crate) use crate::sys::*;

/// A descriptor that is closed with its owner.
pub(crate) type Fd = OwnedFd;
/// What makes the hashes of keys that may be a client's choice: at random, so that nobody outside knows which meet.
pub(crate) type HashState = RandomState;
/// A map whose keys may be a client's choice.
pub(crate) type Map<K, V> = HashMap<K, V, HashState>;

/// The same, of a descriptor that something else has made.
pub(crate) fn own(fd: OwnedFd) -> Fd {
    fd
}

/// The system's descriptor, to wait for; an error if it is a simulated one.
pub(crate) fn of_system(fd: Fd) -> Result<OwnedFd, Descriptor> {
    Ok(fd)
}
