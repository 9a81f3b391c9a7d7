//! What the kernel has on account of a proxy: CPU time, context switches, memory; and how busy a CPU was.
//!
//! CPU time is the sum of `/proc/PID/task/TID/schedstat` over every thread of every process: nanoseconds, exact. How
//! it divides into user and system time is in `/proc/PID/stat` alone, which counts in ticks but keeps the time of
//! threads that have ended; so it is also what the sum is checked against.

use std::{collections::BTreeMap, fs, io, path::Path};

/// The process's own account may lag behind the scheduler's by some ticks; more than this, and
/// [`ACCOUNT_SLACK_PART`] of it, means that a thread has ended and its time with it.
const ACCOUNT_SLACK_NS: u64 = 50_000_000;
const ACCOUNT_SLACK_PART: f64 = 0.03;

/// A reading of all that some processes have used since they began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    pids: Vec<u32>,
    /// By process and thread.
    tasks: BTreeMap<(u32, u32), Task>,
    user_ticks: u64,
    system_ticks: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Task {
    run_ns: u64,
    switches: Switches,
}

/// How often threads gave up the CPU: because they waited, and because others were due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Switches {
    pub(super) voluntary: u64,
    pub(super) involuntary: u64,
}

/// What was used between two readings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Spent {
    /// Exact.
    pub(super) cpu_ns: u64,
    /// The part of it that was user time, from 0 to 1, by ticks.
    pub(super) user_part: f64,
    pub(super) switches: Switches,
}

impl Account {
    /// Reads the accounts of `pid` and of all its descendants.
    pub(super) fn read(pid: u32) -> io::Result<Self> {
        let mut account = Self { pids: family(pid), ..Self::default() };
        for &pid in &account.pids {
            let stat = stat(pid)?;
            account.user_ticks += stat.user_ticks;
            account.system_ticks += stat.system_ticks;
            for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
                let path = entry?.path();
                let Some(tid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
                    continue;
                };
                // A thread may end while it is looked at; the process's account then tells.
                if let Some(task) = task(&path) {
                    account.tasks.insert((pid, tid), task);
                }
            }
        }
        Ok(account)
    }

    /// What was used since `before`, or why that cannot be said.
    pub(super) fn since(&self, before: &Self, ticks_per_second: u64) -> Result<Spent, String> {
        if self.pids != before.pids {
            return Err("its processes came and went meanwhile".to_owned());
        }
        let mut spent = Spent::default();
        for (id, after) in &self.tasks {
            let before = before.tasks.get(id).copied().unwrap_or_default();
            spent.cpu_ns += after.run_ns.saturating_sub(before.run_ns);
            spent.switches.voluntary += after.switches.voluntary.saturating_sub(before.switches.voluntary);
            spent.switches.involuntary +=
                after.switches.involuntary.saturating_sub(before.switches.involuntary);
        }
        let user = self.user_ticks.saturating_sub(before.user_ticks);
        let ticks = user + self.system_ticks.saturating_sub(before.system_ticks);
        let ticks_ns = ticks * 1_000_000_000 / ticks_per_second;
        let slack = ACCOUNT_SLACK_NS as f64 + ACCOUNT_SLACK_PART * ticks_ns as f64;
        if spent.cpu_ns.abs_diff(ticks_ns) as f64 > slack {
            return Err(format!(
                "its threads account for {:.2} s and its processes for {:.2} s: threads came and went",
                spent.cpu_ns as f64 / 1e9,
                ticks_ns as f64 / 1e9
            ));
        }
        spent.user_part = if ticks == 0 { 0.0 } else { user as f64 / ticks as f64 };
        Ok(spent)
    }
}

/// A process and all its descendants, parents first.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut next = 0;
    while let Some(&parent) = pids.get(next) {
        next += 1;
        let Ok(tasks) = fs::read_dir(format!("/proc/{parent}/task")) else { continue };
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    pids
}

/// When a process began, in ticks since the machine did: tells it from a later one with its id. `None` if it has
/// ended.
pub(super) fn started_at(pid: u32) -> Option<u64> {
    stat(pid).ok().filter(|stat| stat.state != 'Z').map(|stat| stat.started_at)
}

/// Resident memory (VmRSS) of a process and its descendants, in bytes.
pub(super) fn resident_bytes(pid: u32) -> io::Result<u64> {
    let mut total = 0;
    for pid in family(pid) {
        let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
        total += number_after(&text, "VmRSS:").unwrap_or(0) * 1024;
    }
    Ok(total)
}

fn task(dir: &Path) -> Option<Task> {
    let run_ns = run_ns(&fs::read_to_string(dir.join("schedstat")).ok()?)?;
    let switches = switches(&fs::read_to_string(dir.join("status")).ok()?)?;
    Some(Task { run_ns, switches })
}

/// The first column of `schedstat`: nanoseconds on a CPU.
fn run_ns(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn switches(status: &str) -> Option<Switches> {
    Some(Switches {
        voluntary: number_after(status, "voluntary_ctxt_switches:")?,
        involuntary: number_after(status, "nonvoluntary_ctxt_switches:")?,
    })
}

/// The number in the line of a `status` file that begins with `name`.
fn number_after(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    user_ticks: u64,
    system_ticks: u64,
    started_at: u64,
}

fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an unknown /proc/PID/stat"))
}

/// Fields 3, 14, 15 and 22. The name before them is in parentheses, and may hold some itself.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut fields = fields.skip(10);
    let mut number = |skip: usize| fields.nth(skip)?.parse().ok();
    Some(Stat { state, user_ticks: number(0)?, system_ticks: number(0)?, started_at: number(6)? })
}

/// What a CPU did since the machine began, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Busy {
    busy: u64,
    /// Meanwhile the hypervisor ran somebody else.
    stolen: u64,
    idle: u64,
}

impl Busy {
    /// Reads the account of CPU number `cpu`.
    pub(super) fn read(cpu: usize) -> io::Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        parse_cpu(&text, cpu).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("/proc/stat says nothing of CPU {cpu}"))
        })
    }

    /// The parts of the time since `before`, from 0 to 1, in which the CPU was busy, and was stolen.
    pub(super) fn since(&self, before: &Self) -> (f64, f64) {
        let busy = self.busy.saturating_sub(before.busy) as f64;
        let stolen = self.stolen.saturating_sub(before.stolen) as f64;
        let all = busy + stolen + self.idle.saturating_sub(before.idle) as f64;
        if all == 0.0 { (0.0, 0.0) } else { (busy / all, stolen / all) }
    }
}

/// The line `cpuN user nice system idle iowait irq softirq steal …`.
fn parse_cpu(text: &str, cpu: usize) -> Option<Busy> {
    let name = format!("cpu{cpu}");
    let line = text.lines().find(|line| line.split(' ').next() == Some(&name))?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).map_while(|tick| tick.parse().ok()).collect();
    let &[user, nice, system, idle, iowait, irq, softirq, ref rest @ ..] = ticks.as_slice() else {
        return None;
    };
    let stolen = rest.first().copied().unwrap_or(0);
    Some(Busy { busy: user + nice + system + irq + softirq, stolen, idle: idle + iowait })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(tasks: &[(u32, u64, u64)], user_ticks: u64, system_ticks: u64) -> Account {
        let task = |&(tid, run_ns, voluntary): &(u32, u64, u64)| {
            ((1, tid), Task { run_ns, switches: Switches { voluntary, involuntary: 1 } })
        };
        Account { pids: vec![1], tasks: tasks.iter().map(task).collect(), user_ticks, system_ticks }
    }

    #[test]
    fn a_stat_whose_name_is_hostile_is_read() {
        let text = "7 (a) R (b)) S 1 7 7 0 -1 4194560 1 2 3 4 31 69 0 0 20 0 1 0 12345 100 200\n";
        let expected = Stat { state: 'S', user_ticks: 31, system_ticks: 69, started_at: 12345 };
        assert_eq!(parse_stat(text), Some(expected));
        for wrong in ["", "7 (a)", "7 (a) S 1 2 3", "7 a S"] {
            assert_eq!(parse_stat(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn schedstat_and_status_are_read() {
        assert_eq!(run_ns("123456789 42 7\n"), Some(123_456_789));
        assert_eq!(run_ns(""), None);
        let status = "Name:\tvoluntary_ctxt_switches:\nVmRSS:\t    1024 kB\nvoluntary_ctxt_switches:\t12\n\
                      nonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(switches(status), Some(Switches { voluntary: 12, involuntary: 3 }));
        assert_eq!(number_after(status, "VmRSS:"), Some(1024));
        assert_eq!(number_after(status, "VmSwap:"), None);
    }

    #[test]
    fn what_was_spent_is_the_difference_over_all_threads() {
        let before = account(&[(1, 1_000_000_000, 10), (2, 5, 0)], 60, 40);
        let after = account(&[(1, 1_500_000_000, 25), (2, 5, 0), (3, 500_000_000, 2)], 85, 115);
        let spent = after.since(&before, 100).unwrap();
        assert_eq!(spent.cpu_ns, 1_000_000_000);
        // 25 of 100 ticks.
        assert_eq!(spent.user_part, 0.25);
        // A thread that is new has its one involuntary switch in this time.
        assert_eq!(spent.switches, Switches { voluntary: 17, involuntary: 1 });
    }

    #[test]
    fn a_thread_that_ended_with_its_time_is_noticed() {
        let before = account(&[(1, 0, 0), (2, 0, 0)], 0, 0);
        let after = account(&[(1, 500_000_000, 0)], 50, 50);
        let says = after.since(&before, 100).unwrap_err();
        assert!(says.contains("0.50 s and its processes for 1.00 s"), "{says}");
        // 70 ms of a second are within 50 ms and 3 %.
        let near = account(&[(1, 930_000_000, 0)], 50, 50);
        assert!(near.since(&before, 100).is_ok());
        let mut other = after.clone();
        other.pids.push(2);
        assert!(other.since(&before, 100).unwrap_err().contains("came and went"));
    }

    #[test]
    fn a_cpu_is_busy_idle_or_stolen() {
        let text = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu1 10 0 20 30 5 1 4 0 0 0\ncpu11 1 1 1 1 1 1 1 1 0 0\n";
        let before = parse_cpu(text, 1).unwrap();
        assert_eq!(before, Busy { busy: 35, stolen: 0, idle: 35 });
        let after = Busy { busy: 110, stolen: 5, idle: 55 };
        assert_eq!(after.since(&before), (0.75, 0.05));
        assert_eq!(before.since(&before), (0.0, 0.0));
        assert_eq!(parse_cpu(text, 2), None);
    }

    #[test]
    fn the_kernel_counts_this_process() {
        let pid = std::process::id();
        let account = Account::read(pid).unwrap();
        assert!(account.tasks.values().any(|task| task.run_ns > 0));
        assert!(resident_bytes(pid).unwrap() > 100_000);
        assert!(started_at(pid).is_some());
        assert!(family(pid).contains(&pid));
    }
}
