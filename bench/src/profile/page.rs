//! A profile as a page.

use super::{
    reading::{BEHIND, PARTS, Phases, Profile, REQUEST, TURN, Times},
    slow::Flight,
    text::{beside, figures, heading, percent, rows},
    verdict,
};
use crate::{
    report::{Axis, Bar, Bars, Chart, Page, Scale, Series},
    units::say_micros,
};

/// Points of a curve, by the part of all that is quicker: dense where it is steep.
const PARTS_OF_ALL: [f64; 16] =
    [0.05, 0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999];

/// Tables and distributions.
pub(super) fn profile(profile: &Profile) -> String {
    let mut page = Page::new("Where the time of requests goes");
    page.paragraph(&heading(profile));
    for lane in &profile.silent {
        page.paragraph(&format!("Lane {lane} did not answer, and is missing."));
    }
    for sentence in verdict::sentences(profile) {
        page.paragraph(&sentence);
    }
    section(&mut page, "All lanes", &profile.merged);
    page.chart(&by_percentile(
        "Phases by percentile",
        PARTS.iter().map(|(phase, _)| *phase),
        &profile.merged,
    ));
    page.chart(&by_percentile(
        "Whole requests, and what lanes were busy with",
        [REQUEST, BEHIND, TURN],
        &profile.merged,
    ));
    if profile.lanes.len() > 1 {
        for lane in &profile.lanes {
            section(&mut page, &format!("Lane {} ({})", lane.id, lane.driver), &lane.phases);
        }
    }
    page.finish()
}

fn section(page: &mut Page, title: &str, phases: &Phases) {
    page.heading(title);
    let cells: Vec<Vec<String>> = rows(phases)
        .into_iter()
        .chain(beside(phases))
        .map(|row| {
            let mut cells = vec![format!("{}: {}", row.phase, row.what)];
            cells.push(row.share.map_or_else(String::new, percent));
            cells.extend(figures(&row.times));
            cells
        })
        .collect();
    page.table(&["phase", "share of the time", "count", "mean", "p50", "p99", "p99.9", "max"], &cells);
    let bars = rows(phases).into_iter().enumerate().map(|(colour, row)| {
        let value = row.share.unwrap_or_default() * 100.0;
        Bar { name: row.phase.to_owned(), value, low: value, high: value, colour }
    });
    page.bars(&Bars {
        title: format!("{title}: share of the time"),
        label: "%".to_owned(),
        bars: bars.collect(),
    });
}

fn by_percentile<'a>(title: &str, names: impl IntoIterator<Item = &'a str>, phases: &Phases) -> Chart {
    let curve = |phase: &str| {
        let times = phases.times(phase);
        (times.count > 0).then(|| Series { name: phase.to_owned(), points: points(&times) })
    };
    Chart {
        title: title.to_owned(),
        x: Axis { label: "percentile".to_owned(), scale: Scale::Percentile },
        y: Axis { label: "µs".to_owned(), scale: Scale::Log },
        series: names.into_iter().filter_map(curve).collect(),
    }
}

/// As far out as there is more than one to tell from.
fn points(times: &Times) -> Vec<(f64, f64)> {
    let told = |part: &f64| *part <= 0.5 || (1.0 - part) * times.count as f64 >= 1.0;
    PARTS_OF_ALL.into_iter().filter(told).map(|part| (part * 100.0, times.percentile(part) as f64)).collect()
}

/// The flight recorder.
pub(super) fn slow(flight: &Flight) -> String {
    let mut page = Page::new("Slow requests");
    page.paragraph(&flight.heading());
    let rows: Vec<Vec<String>> = flight
        .slow
        .iter()
        .map(|slow| {
            vec![
                format!("{} {}", slow.method, slow.path),
                say_micros(slow.took_us()),
                slow.where_it_went(),
                slow.status.to_string(),
                slow.end.clone(),
                slow.endpoint.clone().unwrap_or_default(),
                slow.attempts.to_string(),
                slow.lane.to_string(),
                slow.at.clone(),
                slow.request_id.clone(),
            ]
        })
        .collect();
    let head = ["request", "took", "where", "status", "end", "endpoint", "attempts", "lane", "at", "id"];
    page.table(&head, &rows);
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::{super::reading::tests::reading, *};

    #[test]
    fn a_page_has_the_tables_the_plots_and_nothing_from_outside() {
        let html = profile(&reading(3.0, &[Some(100), Some(50)]).since(None).unwrap());
        for expected in [
            "All lanes",
            "Lane 0 (epoll)",
            "wait: waiting for the first byte",
            "81.3%",
            "Phases by percentile",
        ] {
            assert!(html.contains(expected), "{expected}: {html}");
        }
        assert_eq!(html.matches("<svg").count(), 5, "three of bars and two of curves");
        assert!(
            !html.contains("http://")
                || html.matches("http://").count() == html.matches("http://www.w3.org").count()
        );
        assert!(!html.contains("src=") && !html.contains("href="), "{html}");
    }

    #[test]
    fn what_came_over_the_network_is_text() {
        let answer = serde_json::json!({ "slower_than_us": 1.0, "kept_per_lane": 1, "lanes": [0], "slow": [{
            "lane": 0, "at": "", "duration_us": 5.0, "longest_turn_us": 0.0, "phases_us": {}, "request_id": "", "method": "GET",
            "path": "/<script>", "status": 200, "end": "done", "endpoint": null, "attempts": 0 }] });
        let html = slow(&Flight::parse(&answer.to_string(), &"a test").unwrap());
        assert!(html.contains("/&lt;script&gt;") && !html.contains("<script"), "{html}");
    }
}
