//! What is looked at while a soak runs: the kernel's account of the proxy, and the proxy's own of itself.

use super::world::World;
use crate::failure::Failure;
use std::{fs, io::Write, path::Path, time::Duration};

/// The numbers of `/metrics` that must come back to where they were, by their names without `corelane_`.
pub(super) const GAUGES: [&str; 7] = [
    "connections_open",
    "requests_open",
    "tunnels_open",
    "upstream_idle",
    "deadlines",
    "tasks",
    "buffers_kept",
];
/// Those that are counted, and looked at in the end.
const COUNTERS: [&str; 9] = [
    "connections_total",
    "requests_total",
    "responses_4xx_total",
    "responses_5xx_total",
    "retries_total",
    "upstream_connects_total",
    "tunnels_total",
    "panics_total",
    "engine_panics_total",
];

/// One look.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) at: Duration,
    pub(super) resident_bytes: u64,
    /// Without the pipes that lanes keep for content: they are made when they are wanted, 64 descriptors at most.
    pub(super) descriptors: usize,
    pub(super) pipes: usize,
    gauges: [u64; GAUGES.len()],
    counters: [u64; COUNTERS.len()],
}

impl Sample {
    pub(super) fn look(world: &World, at: Duration) -> Result<Self, Failure> {
        let pid = world.proxy.pid();
        let (descriptors, pipes) = descriptors(pid);
        let resident_bytes = resident_bytes(pid);
        let text = world.admin().get("/metrics")?;
        Ok(Self {
            at,
            resident_bytes,
            descriptors,
            pipes,
            gauges: GAUGES.map(|name| value(&text, name)),
            counters: COUNTERS.map(|name| value(&text, name)),
        })
    }

    /// A gauge or a counter, by its name.
    pub(super) fn value(&self, name: &str) -> u64 {
        let gauge = GAUGES.iter().position(|known| *known == name).map(|at| self.gauges[at]);
        let counter = || COUNTERS.iter().position(|known| *known == name).map(|at| self.counters[at]);
        gauge.or_else(counter).unwrap_or_default()
    }

    /// Whether nobody is connected on either side, and nothing is waited for.
    pub(super) fn is_at_rest(&self) -> bool {
        ["connections_open", "requests_open", "tunnels_open", "upstream_idle", "deadlines"]
            .iter()
            .all(|name| self.value(name) == 0)
    }

    /// In words, for a log.
    pub(super) fn says(&self) -> String {
        let gauges: Vec<String> =
            GAUGES.iter().zip(self.gauges).map(|(name, value)| format!("{name} {value}")).collect();
        format!(
            "{} KiB, {} descriptors and {} of pipes, {}",
            self.resident_bytes >> 10,
            self.descriptors,
            self.pipes,
            gauges.join(", ")
        )
    }
}

/// The samples as a table for other programs.
pub(super) fn write_csv(path: &Path, samples: &[Sample]) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    let names: Vec<&str> = GAUGES.iter().chain(&COUNTERS).copied().collect();
    writeln!(file, "seconds,resident_bytes,descriptors,pipes,{}", names.join(","))?;
    for sample in samples {
        let values = sample.gauges.iter().chain(&sample.counters).map(u64::to_string);
        let values: Vec<String> = values.collect();
        let Sample { at, resident_bytes, descriptors, pipes, .. } = sample;
        let at = at.as_secs_f64();
        writeln!(file, "{at:.1},{resident_bytes},{descriptors},{pipes},{}", values.join(","))?;
    }
    file.flush()
}

/// The sum over all lanes.
fn value(text: &str, name: &str) -> u64 {
    let plain = format!("corelane_{name} ");
    let of_lane = format!("corelane_lane_{name}{{");
    let number = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse().ok());
    // Where endpoints have the same number, there is no sum but by lane.
    match text.lines().find(|line| line.starts_with(&plain)) {
        Some(line) => number(line).unwrap_or_default(),
        None => text.lines().filter(|line| line.starts_with(&of_lane)).filter_map(number).sum(),
    }
}

/// Descriptors that are no pipes, and those that are.
fn descriptors(pid: u32) -> (usize, usize) {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return (0, 0) };
    let (mut others, mut pipes) = (0, 0);
    for entry in open.flatten() {
        // One that has gone meanwhile is none.
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        if target.to_string_lossy().starts_with("pipe:") { pipes += 1 } else { others += 1 }
    }
    (others, pipes)
}

fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0);
    kib << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_a_sum_or_by_lane() {
        let text = "# HELP corelane_tasks x\ncorelane_tasks 9\ncorelane_lane_upstream_idle{lane=\"0\"} 2\n\
                    corelane_lane_upstream_idle{lane=\"1\"} 3\ncorelane_upstream_idle{cluster=\"a\"} 5\n";
        assert_eq!((value(text, "tasks"), value(text, "upstream_idle"), value(text, "none")), (9, 5, 0));
    }

    #[test]
    fn this_process_has_descriptors_and_memory() {
        let pid = std::process::id();
        // Of the three that a test begins with, two are pipes under one runner and none under another.
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let _files = [fs::File::open(here).unwrap(), fs::File::open(here).unwrap()];
        let (_reader, _writer) = std::io::pipe().unwrap();
        let (others, pipes) = descriptors(pid);
        assert!(others >= 2 && pipes >= 2, "{others} and {pipes} of pipes");
        assert!(resident_bytes(pid) > 1 << 20);
        assert_eq!((descriptors(u32::MAX), resident_bytes(u32::MAX)), ((0, 0), 0));
    }
}
