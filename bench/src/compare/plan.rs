//! Which CPU does what: the proxy has one of its own, so that its neighbours do not change its cost.

use super::Trouble;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;
use std::fs;

/// The CPUs of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Plan {
    pub(super) proxy: usize,
    pub(super) load: usize,
    pub(super) origin: usize,
    /// Whether the proxy's CPU and another's are two threads of one core.
    pub(super) siblings: bool,
}

impl Plan {
    /// The plan for the CPUs that this process may use.
    pub(super) fn of_this_machine() -> Result<Self, Trouble> {
        let set = sched_getaffinity(None).map_err(|error| {
            Trouble::Said(format!("the kernel does not say which CPUs there are: {error}"))
        })?;
        let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
        Self::of(&cpus, core_of).ok_or_else(|| {
            Trouble::Said(
                "two CPUs are needed, one for the proxy and one for load and origin, and this process may \
                 use only one"
                    .to_owned(),
            )
        })
    }

    /// CPUs of other cores than the proxy's come first; `core_of` says which core a CPU belongs to.
    fn of(cpus: &[usize], core_of: impl Fn(usize) -> usize) -> Option<Self> {
        let (&proxy, others) = cpus.split_first()?;
        let apart = |cpu: &&usize| core_of(**cpu) != core_of(proxy);
        let mut others: Vec<usize> =
            others.iter().filter(apart).chain(others.iter().filter(|cpu| !apart(cpu))).copied().collect();
        let load = *others.first()?;
        // A second thread of load's core is better than one of the proxy's, and worse than a core for itself.
        others.retain(|cpu| *cpu != load && core_of(*cpu) != core_of(proxy));
        let alone = others.iter().find(|cpu| core_of(**cpu) != core_of(load));
        let origin = alone.or(others.first()).copied().unwrap_or(load);
        let siblings = core_of(load) == core_of(proxy);
        Some(Self { proxy, load, origin, siblings })
    }

    /// The plan as a sentence.
    pub(super) fn say(&self) -> String {
        let Self { proxy, load, origin, siblings } = *self;
        let rest = if load == origin {
            format!("load and origin share CPU {load}")
        } else {
            format!("load has CPU {load}, the origin CPU {origin}")
        };
        let caveat =
            if siblings { "; these are two threads of one core, and slow each other down" } else { "" };
        format!("the proxy has CPU {proxy}, {rest}{caveat}")
    }
}

/// The first of the CPUs that are threads of the same core.
fn core_of(cpu: usize) -> usize {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split(['-', ',']).next().and_then(|first| first.trim().parse().ok()).unwrap_or(cpu)
}

/// Runs `act` on one CPU, or where it likes; what it starts stays there. The thread itself then goes back.
pub(super) fn on_cpu<T>(cpu: Option<usize>, act: impl FnOnce() -> T) -> Result<T, Trouble> {
    let Some(cpu) = cpu else { return Ok(act()) };
    let failed = |error| Trouble::Said(format!("cannot move to CPU {cpu}: {error}"));
    let before = sched_getaffinity(None).map_err(failed)?;
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one).map_err(failed)?;
    let done = act();
    sched_setaffinity(None, &before).map_err(failed)?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(proxy: usize, load: usize, origin: usize, siblings: bool) -> Option<Plan> {
        Some(Plan { proxy, load, origin, siblings })
    }

    #[test]
    fn few_cpus_are_shared_and_many_are_not() {
        let alone = |cpu| cpu;
        assert_eq!(Plan::of(&[], alone), None);
        assert_eq!(Plan::of(&[3], alone), None);
        assert_eq!(Plan::of(&[0, 1], alone), plan(0, 1, 1, false));
        assert_eq!(Plan::of(&[0, 1, 2], alone), plan(0, 1, 2, false));
        assert_eq!(Plan::of(&[4, 6, 7, 9], alone), plan(4, 6, 7, false));
    }

    #[test]
    fn threads_of_the_proxys_core_stay_idle() {
        // CPUs 0 and 1 are one core, and so on.
        let pairs = |cpu| cpu / 2;
        assert_eq!(Plan::of(&[0, 1], pairs), plan(0, 1, 1, true));
        assert_eq!(Plan::of(&[0, 1, 2, 3], pairs), plan(0, 2, 3, false));
        assert_eq!(Plan::of(&[0, 1, 2, 3, 4, 5], pairs), plan(0, 2, 4, false));
        assert_eq!(Plan::of(&[0, 1, 2], pairs), plan(0, 2, 2, false));
    }

    #[test]
    fn the_plan_is_said() {
        assert_eq!(
            plan(0, 1, 2, false).unwrap().say(),
            "the proxy has CPU 0, load has CPU 1, the origin CPU 2"
        );
        let shared = plan(0, 1, 1, true).unwrap().say();
        assert!(shared.contains("share CPU 1") && shared.contains("threads of one core"), "{shared}");
    }

    #[test]
    fn a_thread_comes_back_to_where_it_was() {
        let before = sched_getaffinity(None).unwrap();
        let cpu = (0..CpuSet::MAX_CPU).find(|cpu| before.is_set(*cpu)).unwrap();
        let during = on_cpu(Some(cpu), || sched_getaffinity(None).unwrap()).unwrap();
        assert_eq!((during.count(), during.is_set(cpu)), (1, true));
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
