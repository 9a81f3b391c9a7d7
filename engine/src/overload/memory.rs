//! How much memory there is, and how much of it is used.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";

/// How much memory the process may have before it is taken to run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Memory {
    /// What its control group is allowed, or one around that: `memory.max`, or `memory.high` where it is less, because
    /// there the kernel begins to slow everything down. What counts is what the whole group uses, without files that the
    /// kernel can let go of. Without a limit nothing is watched.
    #[default]
    Group,
    /// So many bytes, beside what its control group is allowed; what counts is what is resident of this process.
    Bytes(u64),
    /// Memory is not watched.
    Unlimited,
}

/// The least that the process's control group, or one around it, is allowed, in bytes; `None` where there is no limit, or
/// none to be seen.
pub fn memory_limit() -> Option<u64> {
    groups().iter().filter_map(Group::hard_limit).min()
}

/// The part of the memory that is used; `None` where there is no limit.
pub(super) struct Look {
    groups: Vec<Group>,
    bytes_max: Option<u64>,
}

impl Look {
    pub(super) fn new(memory: Memory) -> Self {
        match memory {
            Memory::Group => Self { groups: groups(), bytes_max: None },
            Memory::Bytes(bytes) => Self { groups: groups(), bytes_max: Some(bytes.max(1)) },
            Memory::Unlimited => Self { groups: Vec::new(), bytes_max: None },
        }
    }

    /// The largest part of any limit. Limits may change while the process runs, so they are read each time.
    pub(super) fn used(&self) -> Option<f64> {
        let of_own = self.bytes_max.and_then(|max| Some(resident_bytes()? as f64 / max as f64));
        self.groups.iter().filter_map(Group::used).chain(of_own).reduce(f64::max)
    }
}

/// What is resident of this process.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The control groups that the process is in.
fn groups() -> Vec<Group> {
    groups_in(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default(), Path::new(GROUPS))
}

/// `text` is what /proc/self/cgroup says.
fn groups_in(text: &str, root: &Path) -> Vec<Group> {
    text.lines().flat_map(|line| groups_of(line, root)).collect()
}

fn groups_of(line: &str, root: &Path) -> Vec<Group> {
    // hierarchy:controllers:path; version 2 has hierarchy 0 and no controllers.
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (mut directory, files) = match controllers {
        "" => (root.to_owned(), &VERSION_2),
        all if all.split(',').any(|one| one == "memory") => (root.join("memory"), &VERSION_1),
        _ => return Vec::new(),
    };
    let mut groups = vec![Group { directory: directory.clone(), files }];
    for part in Path::new(path).components() {
        if let Component::Normal(part) = part {
            directory.push(part);
            groups.push(Group { directory: directory.clone(), files });
        }
    }
    groups
}

/// What the files of a control group are called.
#[derive(Debug)]
struct Files {
    hard: &'static str,
    soft: Option<&'static str>,
    used: &'static str,
    /// In `memory.stat`: what is kept of files, which the kernel lets go of before it kills anybody.
    reclaimable: [&'static str; 2],
}

static VERSION_2: Files = Files {
    hard: "memory.max",
    soft: Some("memory.high"),
    used: "memory.current",
    reclaimable: ["inactive_file ", "active_file "],
};
static VERSION_1: Files = Files {
    hard: "memory.limit_in_bytes",
    soft: None,
    used: "memory.usage_in_bytes",
    reclaimable: ["total_inactive_file ", "total_active_file "],
};

#[derive(Debug)]
struct Group {
    directory: PathBuf,
    files: &'static Files,
}

impl Group {
    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.directory.join(file)).ok()?.trim().parse().ok()
    }

    /// `max`, and the huge number by which version 1 says the same, are no limits.
    fn limit(&self, file: &str) -> Option<u64> {
        self.number(file).filter(|limit| *limit < 1 << 60)
    }

    fn hard_limit(&self) -> Option<u64> {
        self.limit(self.files.hard)
    }

    fn used(&self) -> Option<f64> {
        let soft = self.files.soft.and_then(|file| self.limit(file));
        let limit = self.hard_limit().into_iter().chain(soft).min()?;
        let used = self.number(self.files.used)?;
        let stat = fs::read_to_string(self.directory.join("memory.stat")).unwrap_or_default();
        let bytes = |line: &str| -> Option<u64> {
            self.files.reclaimable.iter().find_map(|name| line.strip_prefix(name)?.parse().ok())
        };
        let reclaimable: u64 = stat.lines().filter_map(bytes).sum();
        Some(used.saturating_sub(reclaimable) as f64 / limit.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like control groups, and goes when this is dropped.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("corelane-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }

        fn limit(&self, groups: &str) -> Option<u64> {
            groups_in(groups, &self.0).iter().filter_map(Group::hard_limit).min()
        }

        fn used(&self, groups: &str) -> Option<f64> {
            Look { groups: groups_in(groups, &self.0), bytes_max: None }.used()
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn op_18_the_tightest_of_the_control_groups_counts() {
        let root = Root::new(
            "limits",
            &[
                ("a/memory.max", "1000\n"),
                ("a/b/memory.max", "max\n"),
                ("a/b/c/memory.max", "2000\n"),
                ("memory/d/memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory/d/e/memory.limit_in_bytes", "500\n"),
            ],
        );
        assert_eq!(root.limit("0::/a/b/c\n"), Some(1000));
        assert_eq!(root.limit("0::/\n"), None);
        assert_eq!(root.limit("5:cpu,memory:/d/e\n0::/a\n"), Some(500));
        assert_eq!(root.limit("5:memory:/d\n"), None);
        for nonsense in ["", "x", "0::", "0::/../../a", "::::"] {
            root.limit(nonsense);
        }
    }

    #[test]
    fn res_03_what_the_kernel_can_let_go_of_is_not_used() {
        let root = Root::new(
            "used",
            &[
                ("a/memory.max", "1000\n"),
                ("a/memory.current", "700\n"),
                ("a/memory.stat", "anon 500\ninactive_file 150\nactive_file 50\n"),
                ("a/b/memory.max", "max\n"),
                ("a/b/memory.high", "400\n"),
                ("a/b/memory.current", "300\n"),
                ("memory/d/memory.limit_in_bytes", "1000\n"),
                ("memory/d/memory.usage_in_bytes", "900\n"),
                ("memory/d/memory.stat", "inactive_file 1\ntotal_inactive_file 60\ntotal_active_file 40\n"),
            ],
        );
        assert_eq!(root.used("0::/a\n"), Some(0.5));
        assert_eq!(root.used("0::/a/b\n"), Some(0.75), "the group that is nearest to its limit");
        assert_eq!(root.used("3:memory:/d\n0::/a\n"), Some(0.8));
        assert_eq!(root.used("0::/\n"), None);
    }

    #[test]
    fn res_03_a_limit_of_ones_own_counts_what_is_resident() {
        let resident = resident_bytes().expect("the kernel says");
        let look = Look { groups: Vec::new(), bytes_max: Some(resident) };
        let used = look.used().expect("there is a limit");
        assert!((0.5..2.0).contains(&used), "{used}");
        assert_eq!(Look::new(Memory::Unlimited).used(), None);
    }
}
