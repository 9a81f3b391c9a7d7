//! What this machine grants the process, and whether that is enough for what it is to do.

use crate::{failure::Failure, plan::Serving};
use corelane_engine::available_cpus;

/// With fewer descriptors there is no serving: the engine keeps 128 to itself, and a client needs two.
const DESCRIPTORS_MIN: u64 = 256;
/// Descriptors that are not for clients and origins.
const DESCRIPTORS_RESERVED: u64 = 128;
/// One for the client and one for an origin.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;
/// What the process takes before anybody connects, …
const MEMORY_OF_PROCESS: u64 = 16 << 20;
/// … each of its lanes, with its ring and its pool of buffers, …
const MEMORY_OF_LANE: u64 = 4 << 20;
/// … and a connection that does nothing, in the kernel and here. One that does something takes more: this is the least
/// that a limit on connections promises.
const MEMORY_OF_CONNECTION: u64 = 4 << 10;

/// Refuses to start where the limits of the system cannot hold what the configuration promises: it would fail later,
/// under load.
pub(crate) fn check(serving: &Serving) -> Result<(), Failure> {
    let descriptors = corelane_engine::raise_descriptor_limit()
        .map_err(|error| Failure::Run(format!("the descriptor limit is unknown: {error}")))?;
    let memory = corelane_engine::memory_limit();
    let lanes = serving.lanes.unwrap_or_else(available_cpus) as u64;
    enough(descriptors, memory, lanes, serving.connections.max.map(|max| max as u64)).map_err(Failure::Run)
}

fn enough(descriptors: u64, memory: Option<u64>, lanes: u64, connections: Option<u64>) -> Result<(), String> {
    if descriptors < DESCRIPTORS_MIN {
        return Err(format!(
            "only {descriptors} descriptors are allowed and {DESCRIPTORS_MIN} are the least that make sense; raise the \
             limit with: ulimit -n 65536 (in systemd: LimitNOFILE=65536)"
        ));
    }
    let Some(connections) = connections else { return Ok(()) };
    let needed = connections * DESCRIPTORS_PER_CONNECTION + DESCRIPTORS_RESERVED;
    if descriptors < needed {
        return Err(format!(
            "`limits.connections_max` is {connections}, which takes {needed} descriptors, and only {descriptors} are \
             allowed; raise the limit with: ulimit -n {needed} (in systemd: LimitNOFILE={needed}), or lower the number"
        ));
    }
    let needed = MEMORY_OF_PROCESS + lanes * MEMORY_OF_LANE + connections * MEMORY_OF_CONNECTION;
    match memory {
        Some(memory) if memory < needed => Err(format!(
            "`limits.connections_max` is {connections}, which takes at least {} MiB of memory, and the control group is \
             allowed {} MiB; raise its limit (memory.max; in systemd: MemoryMax=), or lower the number",
            needed.div_ceil(1 << 20),
            memory >> 20
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op_18_limits_below_what_is_promised_are_refused() {
        assert!(enough(100, None, 1, None).unwrap_err().contains("ulimit -n"));
        assert_eq!(enough(256, None, 1, None), Ok(()));
        let says = enough(1000, None, 1, Some(1000)).unwrap_err();
        assert!(says.contains("takes 2128 descriptors") && says.contains("LimitNOFILE=2128"), "{says}");
        assert_eq!(enough(2128, None, 1, Some(1000)), Ok(()));
        let says = enough(1 << 20, Some(64 << 20), 2, Some(100_000)).unwrap_err();
        assert!(says.contains("at least 415 MiB") && says.contains("allowed 64 MiB"), "{says}");
        assert_eq!(enough(1 << 20, Some(512 << 20), 2, Some(100_000)), Ok(()));
        assert_eq!(enough(1 << 20, Some(1), 2, None), Ok(()), "nothing is promised");
    }
}
