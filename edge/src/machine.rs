//! What this machine grants the process, and whether that is enough for what it is to do.

use crate::{failure::Failure, plan::Serving};
use corelane_engine::available_cpus;
use std::{
    fs,
    path::{Component, Path, PathBuf},
};

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
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let memory = memory_limit(&groups, Path::new("/sys/fs/cgroup"));
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

/// The least limit on the memory of the process's control group and of those around it, in bytes; none where there is
/// no limit, or none to be seen. `groups` is what /proc/self/cgroup says.
fn memory_limit(groups: &str, root: &Path) -> Option<u64> {
    groups.lines().flat_map(|line| limits_of(line, root)).min()
}

fn limits_of(line: &str, root: &Path) -> Vec<u64> {
    // hierarchy:controllers:path; version 2 has hierarchy 0 and no controllers.
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (root, file) = match controllers {
        "" => (root.to_owned(), "memory.max"),
        all if all.split(',').any(|one| one == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
        _ => return Vec::new(),
    };
    let mut directory: PathBuf = root.clone();
    let mut limits: Vec<u64> = limit_in(&directory.join(file)).into_iter().collect();
    for part in Path::new(path).components() {
        if let Component::Normal(part) = part {
            directory.push(part);
            limits.extend(limit_in(&directory.join(file)));
        }
    }
    limits
}

/// `max`, and the huge number by which version 1 says the same, are no limits.
fn limit_in(file: &Path) -> Option<u64> {
    let limit: u64 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (limit < 1 << 60).then_some(limit)
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

    #[test]
    fn op_18_the_tightest_of_the_control_groups_counts() {
        let root = std::env::temp_dir().join(format!("corelane-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "1000\n");
        write("a/b/memory.max", "max\n");
        write("a/b/c/memory.max", "2000\n");
        write("memory/d/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/d/e/memory.limit_in_bytes", "500\n");
        assert_eq!(memory_limit("0::/a/b/c\n", &root), Some(1000));
        assert_eq!(memory_limit("0::/\n", &root), None);
        assert_eq!(memory_limit("5:cpu,memory:/d/e\n0::/a\n", &root), Some(500));
        assert_eq!(memory_limit("5:memory:/d\n", &root), None);
        for nonsense in ["", "x", "0::", "0::/../../a", "::::"] {
            memory_limit(nonsense, &root);
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
