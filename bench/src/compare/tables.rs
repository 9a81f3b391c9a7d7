//! The findings as tables: Markdown for a terminal or a page.

use super::{
    findings::{Findings, Row, Scene},
    scenario::Scenario,
    statistics::thousands,
    subject::Subject,
};
use crate::units::say_micros;

/// What stands where there is nothing to say.
const NOTHING: &str = "—";
/// A reason in a cell is cut after so many characters; the whole is in the JSON.
const REASON_CHARS_MAX: usize = 160;

/// A table's head and its rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// The whole report as Markdown.
pub(super) fn markdown(findings: &Findings) -> String {
    let mut text = String::new();
    for line in preface(findings) {
        text.push_str(&format!("{line}\n\n"));
    }
    for scene in &findings.scenarios {
        text.push_str(&format!("### {}: {}\n\n", scene.scenario, scene.says));
        text.push_str(&Table::of(scene, findings).markdown());
        text.push('\n');
        for line in remarks(scene) {
            text.push_str(&format!("- {line}\n"));
        }
        text.push('\n');
    }
    text
}

/// On what, and how.
pub(super) fn preface(findings: &Findings) -> Vec<String> {
    let Findings { rounds, seconds, baseline, .. } = findings;
    let rounds_of = if *rounds == 1 { "round" } else { "rounds" };
    let versions: Vec<&str> = findings.versions.values().map(String::as_str).collect();
    let mut lines = vec![
        format!("`{}`", findings.command_line),
        format!(
            "{}; {}. {}.",
            findings.machine.say(),
            findings.plan.say(),
            if versions.is_empty() { "nothing was measured".to_owned() } else { versions.join(", ") }
        ),
        format!(
            "{rounds} interleaved {rounds_of} of {seconds} s; medians (min–max); × {baseline}: the ratio of the costs, \
             taken round by round."
        ),
    ];
    lines.extend(findings.notes.iter().map(|note| format!("Note: {note}.")));
    for (subject, differences) in &findings.differences {
        lines.extend(differences.iter().map(|difference| format!("Note: {subject} {difference}.")));
    }
    lines
}

/// Verdicts and caveats below a table.
pub(super) fn remarks(scene: &Scene) -> Vec<String> {
    let verdict = |row: &Row| row.verdict.as_ref().map(|verdict| format!("**{}** {verdict}", row.subject));
    scene.subjects.iter().filter_map(verdict).chain(scene.notes.iter().cloned()).collect()
}

impl Table {
    /// The table of a scenario.
    pub(super) fn of(scene: &Scene, findings: &Findings) -> Self {
        let has_floor = findings.baseline != Subject::Floor
            && scene.subjects.iter().any(|row| row.subject == Subject::Floor && row.cost.is_some());
        let mut head = vec!["subject".to_owned()];
        let per = scene.scenario.unit();
        if scene.scenario == Scenario::Idle {
            head.push("bytes/connection".to_owned());
        } else {
            head.push(format!("CPU µs/{per}"));
        }
        head.push(format!("× {}", findings.baseline));
        head.extend(has_floor.then(|| "× floor".to_owned()));
        if scene.scenario == Scenario::Idle {
            head.push("resident before → after".to_owned());
        } else {
            head.push("user + system".to_owned());
            head.push(format!("{per}s/s"));
            head.extend(
                ["p50 / p99 / p99.9", "syscalls / switches", "resident", "core busy"].map(str::to_owned),
            );
        }
        let rows = scene.subjects.iter().map(|row| cells(row, scene, findings, has_floor)).collect();
        Self { head, rows }
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<_> =
            (0..self.head.len()).map(|column| if column == 0 { "---" } else { "---:" }.to_owned()).collect();
        let mut text = line(&self.head) + &line(&rule);
        for row in &self.rows {
            text.push_str(&line(row));
        }
        text
    }
}

fn cells(row: &Row, scene: &Scene, findings: &Findings, has_floor: bool) -> Vec<String> {
    let is_idle = scene.scenario == Scenario::Idle;
    let width = 4 + usize::from(has_floor) + if is_idle { 0 } else { 5 };
    let mut cells =
        vec![findings.versions.get(&row.subject).cloned().unwrap_or_else(|| row.subject.to_string())];
    if let Some(reason) = &row.no_figure {
        cells.push(format!("no figure: {}", one_line(reason)));
        cells.resize(width, NOTHING.to_owned());
        return cells;
    }
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    cells.push(or_nothing(row.cost.map(|cost| cost.say(if is_idle { 0 } else { 2 }))));
    let one = |is_same: bool| is_same.then(|| "1".to_owned());
    let ratio = row.to_baseline.map(|ratio| ratio.say(3));
    cells.push(or_nothing(ratio.or(one(row.subject == findings.baseline))));
    if has_floor {
        let ratio = row.to_floor.map(|ratio| ratio.say(3));
        cells.push(or_nothing(ratio.or(one(row.subject == Subject::Floor))));
    }
    if is_idle {
        let last = row.rounds.last().and_then(|figures| figures.idle());
        cells.push(or_nothing(
            last.map(|idle| format!("{} → {}", mebibytes(idle.before_bytes), mebibytes(idle.after_bytes))),
        ));
        return cells;
    }
    let pair = |first: Option<f64>, second: Option<f64>, between: &str| {
        let say = |value: Option<f64>| or_nothing(value.map(|value| format!("{value:.2}")));
        if first.is_none() && second.is_none() {
            NOTHING.to_owned()
        } else {
            format!("{}{between}{}", say(first), say(second))
        }
    };
    cells.push(pair(row.user_us, row.system_us, " + "));
    cells.push(or_nothing(row.requests_per_second.map(|rate| thousands(rate.median))));
    let latencies = [row.p50_us, row.p99_us, row.p99_9_us];
    cells.push(
        latencies.map(|latency| or_nothing(latency.map(|latency| say_micros(latency.median)))).join(" / "),
    );
    cells.push(pair(row.syscalls_per_request, row.switches_per_request, " / "));
    cells.push(or_nothing(row.resident_bytes.map(mebibytes)));
    cells.push(or_nothing(row.proxy_cpu_busy.map(|busy| format!("{:.0} %", busy * 100.0))));
    cells
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A reason that fits into a cell.
fn one_line(reason: &str) -> String {
    let joined = reason.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "¦");
    let mut short: String = joined.chars().take(REASON_CHARS_MAX).collect();
    if short.len() < joined.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{machine::Machine, plan::Plan, rounds::Run, rounds::tests::run};
    use super::*;
    use std::collections::BTreeMap;

    pub(in super::super) fn findings(run: &Run) -> Findings {
        let names = [(Subject::Direct, "direct"), (Subject::Nginx, "nginx 1.22.1")];
        Findings {
            command_line: "corelane-bench compare --quick".to_owned(),
            machine: Machine {
                cpu: "A CPU".to_owned(),
                cpus: 2,
                kernel: "6.18".to_owned(),
                congestion_control: "cubic".to_owned(),
                load_average: 0.1,
            },
            plan: Plan { proxy: 0, load: 1, origin: 1, siblings: false },
            baseline: Subject::Nginx,
            rounds: 2,
            seconds: 3,
            notes: vec!["system calls are not counted: perf is not installed".to_owned()],
            versions: names.map(|(subject, version)| (subject, version.to_owned())).into(),
            differences: BTreeMap::from([(Subject::Nginx, vec!["does less".to_owned()])]),
            configurations: BTreeMap::from([(Subject::Nginx, "daemon off;".to_owned())]),
            scenarios: vec![Scene::of(run, Subject::Nginx)],
        }
    }

    pub(in super::super) fn failed_run() -> Run {
        let mut run = run(&[
            &[
                (Subject::Direct, 0.0),
                (Subject::Floor, 5.0),
                (Subject::Corelane, 9.0),
                (Subject::Nginx, 10.0),
            ],
            &[
                (Subject::Direct, 0.0),
                (Subject::Floor, 6.0),
                (Subject::Corelane, 9.6),
                (Subject::Nginx, 12.0),
            ],
        ]);
        run.syscalls.insert(Subject::Nginx, 8.0);
        run.no_figure.insert(Subject::Floor, "it died\nsaying | \"no\"".to_owned());
        run
    }

    #[test]
    fn the_report_is_markdown() {
        let text = markdown(&findings(&failed_run()));
        let expected = "\
### h1-small: answers of 128 B over 64 connections

| subject | CPU µs/request | × nginx | user + system | requests/s | p50 / p99 / p99.9 | syscalls / switches | resident | core busy |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| direct | — | — | — | 50,000 | 0.00 µs / 0.00 µs / 0.00 µs | — | — | — |
| floor | no figure: it died saying ¦ \"no\" | — | — | — | — | — | — | — |
| corelane | 9.30 (9.00–9.60) | 0.850 (0.800–0.900) | 2.33 + 6.97 | 50,000 | 0.00 µs / 0.00 µs / 0.00 µs | — / 0.00 | 5.0 MiB | 50 % |
| nginx 1.22.1 | 11.00 (10.00–12.00) | 1 | 2.75 + 8.25 | 50,000 | 0.00 µs / 0.00 µs / 0.00 µs | 8.00 / 0.00 | 5.0 MiB | 50 % |

- no verdicts: 5 rounds are needed, not 2
";
        assert!(text.contains(expected), "{text}");
        assert!(text.starts_with("`corelane-bench compare --quick`\n\nA CPU, 2 CPUs, Linux 6.18"), "{text}");
        assert!(text.contains("Note: nginx does less.\n"), "{text}");
    }

    #[test]
    fn every_row_is_as_wide_as_the_head() {
        let mut run = failed_run();
        for scenario in [Scenario::H1Small, Scenario::Idle, Scenario::WsEcho] {
            run.scenario = scenario;
            for failed in [true, false] {
                if !failed {
                    run.no_figure.clear();
                }
                let findings = findings(&run);
                let table = Table::of(&findings.scenarios[0], &findings);
                assert!(table.rows.iter().all(|row| row.len() == table.head.len()), "{table:?}");
            }
        }
    }

    #[test]
    fn reasons_fit_into_a_cell() {
        assert_eq!(one_line("a\n  b|c"), "a b¦c");
        assert_eq!(one_line(&"é".repeat(200)).chars().count(), REASON_CHARS_MAX + 1);
    }
}
