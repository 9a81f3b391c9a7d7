//! What this machine grants the process, and whether that is enough for what it is to do.

use crate::{failure::Failure, plan::Serving};

/// With fewer descriptors there is no serving: the engine keeps 128 to itself, and a client needs two.
const DESCRIPTORS_MIN: u64 = 256;

/// Refuses to start where the limits cannot hold what the configuration promises.
pub(crate) fn check(_serving: &Serving) -> Result<(), Failure> {
    let limit = corelane_engine::raise_descriptor_limit()
        .map_err(|error| Failure::Run(format!("the descriptor limit is unknown: {error}")))?;
    if limit < DESCRIPTORS_MIN {
        return Err(Failure::Run(format!(
            "only {limit} descriptors are allowed and {DESCRIPTORS_MIN} are the least that make sense; raise the limit \
             with: ulimit -n 65536 (in systemd: LimitNOFILE=65536)"
        )));
    }
    Ok(())
}
