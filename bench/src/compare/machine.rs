//! What the figures were measured on, and with which releases.

use super::{stage::Stage, subject::Subject, subject::pingora_version};
use serde::Serialize;
use std::{fs, path::Path};

/// The machine.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cpus: usize,
    pub(super) kernel: String,
    /// How TCP finds its pace, which has a part in what a request costs.
    pub(super) congestion_control: String,
    /// Runnable threads in the last minute before the measurements, on average.
    pub(super) load_average: f64,
}

impl Machine {
    pub(super) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let congestion_control = read("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned();
        let load_average = read("/proc/loadavg").split(' ').next().and_then(|text| text.parse().ok());
        Self {
            cpu: model(&cpuinfo).unwrap_or_else(|| "unknown CPU".to_owned()),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            congestion_control,
            load_average: load_average.unwrap_or(0.0),
        }
    }

    /// The machine in half a sentence.
    pub(super) fn say(&self) -> String {
        let Self { cpu, cpus, kernel, congestion_control, load_average } = self;
        format!(
            "{cpu}, {cpus} CPUs, Linux {kernel} (TCP: {congestion_control}), load average {load_average:.1} when it \
             began"
        )
    }
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// A subject with its release, as far as it tells.
pub(super) fn version(stage: &Stage, subject: Subject, program: &Path) -> String {
    match subject {
        Subject::Direct => return subject.to_string(),
        Subject::Floor => return format!("{subject} {}", env!("CARGO_PKG_VERSION")),
        Subject::Pingora => return format!("{subject} {}", pingora_version()),
        _ => {}
    }
    let argv = std::iter::once(program.as_os_str().to_owned());
    let argv: Vec<_> = argv.chain(subject.version_arguments().iter().map(|word| word.into())).collect();
    let Ok(mut process) = stage.start("version", &argv, stage.plan.load) else { return subject.to_string() };
    // It may be a program that does not know the question.
    for _ in 0..VERSION_LOOKS_MAX {
        if !process.is_alive() || stage.look_again().is_err() {
            break;
        }
    }
    match number(&process.tail()) {
        Some(number) => format!("{subject} {number}"),
        None => subject.to_string(),
    }
}

/// How often it is looked whether a program has said its version: for two seconds.
const VERSION_LOOKS_MAX: u32 = 100;

/// The first thing that looks like a version, such as `1.22.1`.
fn number(text: &str) -> Option<&str> {
    let start = |(at, _): &(usize, char)| {
        text[*at..].starts_with(|c: char| c.is_ascii_digit())
            && !text[..*at].ends_with(|c: char| c.is_ascii_digit() || c == '.')
    };
    text.char_indices().filter(start).find_map(|(at, _)| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number = rest[..end].trim_end_matches('.');
        number.contains('.').then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(number("nginx version: nginx/1.22.1\n"), Some("1.22.1"));
        assert_eq!(
            number("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/"),
            Some("2.6.12")
        );
        assert_eq!(number("h2o version 2.2.5\nOpenSSL: 3.0.19"), Some("2.2.5"));
        assert_eq!(number("v2.7 of 3"), Some("2.7"));
        assert_eq!(number("no 3 numbers 4."), None);
    }

    #[test]
    fn this_machine_is_known() {
        let machine = Machine::this();
        assert!(machine.cpus > 0 && machine.kernel.contains('.'), "{machine:?}");
        assert_eq!(model("processor : 0\nmodel name\t: A: B\n").as_deref(), Some("A: B"));
        assert!(machine.say().contains(&machine.kernel));
    }
}
