//! Ctrl-C and TERM: once to end in order, twice to end at once.

use crate::failure::Failure;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use std::sync::{Arc, atomic::AtomicBool};

/// The exit code of a program that was ended by Ctrl-C, by the shells' custom.
const INTERRUPTED: i32 = 130;

/// A flag that is set once the user wants an end.
pub(crate) fn flag() -> Result<Arc<AtomicBool>, Failure> {
    let wanted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset, and only sets it.
        flag::register_conditional_shutdown(signal, INTERRUPTED, wanted.clone())
            .and_then(|_| flag::register(signal, wanted.clone()))
            .map_err(|error| Failure::Run(format!("cannot watch for signals: {error}")))?;
    }
    Ok(wanted)
}
