//! What the kernel says of this process, read from /proc. Where that is denied, the numbers are missing.

use std::fs;

/// Clock ticks per second in /proc: `USER_HZ`, which Linux fixes at 100 for user space on every architecture that
/// the project runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where process and thread names end in /proc/self/stat; the fields that follow are counted from 3 in proc(5).
const FIRST_FIELD_AFTER_NAME: usize = 3;

/// Numbers about the process.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Process {
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_descriptors: Option<u64>,
    /// Since 1970.
    pub(crate) start_seconds: Option<f64>,
    /// User and system.
    pub(crate) cpu_seconds: Option<f64>,
}

impl Process {
    pub(crate) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self {
            resident_bytes: fs::read_to_string("/proc/self/status")
                .ok()
                .and_then(|text| resident_bytes(&text)),
            // One of them is the directory's own.
            open_descriptors: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|dir| dir.count().saturating_sub(1) as u64),
            start_seconds: start_seconds(&stat, &system),
            cpu_seconds: cpu_seconds(&stat),
        }
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS_PER_SECOND)
}

fn start_seconds(stat: &str, system: &str) -> Option<f64> {
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + field(stat, 22)? / TICKS_PER_SECOND)
}

/// A field of /proc/self/stat by its number in proc(5). The second one, the name, may hold spaces and brackets.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(number - FIRST_FIELD_AFTER_NAME)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 1234 1000 200";

    #[test]
    fn the_fields_of_proc_are_found() {
        assert_eq!(cpu_seconds(STAT), Some(3.0));
        assert_eq!(start_seconds(STAT, "cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_012.34));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn op_17_what_is_denied_is_missing() {
        assert_eq!((cpu_seconds(""), start_seconds("", ""), resident_bytes("")), (None, None, None));
    }

    #[test]
    fn this_process_has_numbers() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.open_descriptors.unwrap() >= 3);
        assert!(process.start_seconds.unwrap() > 1_600_000_000.0);
        assert!(process.cpu_seconds.unwrap() >= 0.0);
    }
}
