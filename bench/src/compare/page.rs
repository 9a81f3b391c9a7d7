//! The findings as a page: tables, bars, and what each proxy was told.

use super::{
    findings::{Findings, Row, Scene},
    scenario::Scenario,
    statistics::Spread,
    tables::{Table, preface, remarks},
};
use crate::report::{Bar, Bars, Page};

/// The page.
pub(super) fn html(findings: &Findings) -> String {
    let mut page = Page::new("Proxies side by side");
    for line in preface(findings) {
        page.paragraph(&plain(&line));
    }
    for scene in &findings.scenarios {
        page.heading(&format!("{}: {}", scene.scenario, scene.says));
        let Table { head, rows } = Table::of(scene, findings);
        page.table(&head.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
        for line in remarks(scene) {
            page.paragraph(&plain(&line));
        }
        let per = scene.scenario.unit();
        if scene.scenario == Scenario::Idle {
            bars(&mut page, scene, "Memory", "bytes per idle connection", |row| row.cost);
        } else {
            bars(&mut page, scene, "CPU time of the proxy", &format!("µs per {per}"), |row| row.cost);
            bars(&mut page, scene, "Throughput", &format!("{per}s per second"), |row| {
                row.requests_per_second
            });
            let label = format!("µs until 99 % of {per}s are answered");
            bars(&mut page, scene, "Latency", &label, |row| row.p99_us);
        }
    }
    page.heading("Configurations");
    page.paragraph("With the ports that they had when they were inspected.");
    for (subject, text) in &findings.configurations {
        page.pre(subject.name(), text);
    }
    page.finish()
}

/// Bars of whoever has a value, unless nobody has.
fn bars(page: &mut Page, scene: &Scene, title: &str, label: &str, value: fn(&Row) -> Option<Spread>) {
    let bar = |(colour, row): (usize, &Row)| {
        let Spread { median, low, high } = value(row)?;
        Some(Bar { name: row.subject.to_string(), value: median, low, high, colour })
    };
    let bars: Vec<_> = scene.subjects.iter().enumerate().filter_map(bar).collect();
    if !bars.is_empty() {
        let title = format!("{title}, {}", scene.scenario);
        page.bars(&Bars { title, label: label.to_owned(), bars });
    }
}

/// Markdown without its marks.
fn plain(line: &str) -> String {
    line.replace("**", "").replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::super::tables::tests::{failed_run, findings};
    use super::*;

    #[test]
    fn the_page_has_tables_bars_and_configurations() {
        let text = html(&findings(&failed_run()));
        for part in ["<table", "<svg", "daemon off;", "no figure: it died", "corelane-bench compare --quick"]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        // The one that failed has no bar; the three with throughput have three.
        assert_eq!(text.matches("class=\"bar\"").count(), 2 + 3 + 3, "{text}");
        assert!(!text.contains("**") && !text.contains('`'), "{text}");
    }
}
