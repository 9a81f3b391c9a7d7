//! A profile for a terminal.

use super::{
    reading::{BEHIND, PARTS, Phases, Profile, REQUEST, TURN, Times},
    verdict,
};
use crate::units::say_micros;
use std::fmt::Write;

/// What no phase has.
pub(super) const OTHER: (&str, &str) = ("other", "for a place, between attempts");
/// Characters of a bar that stands for all of the time.
const BAR_WIDTH: f64 = 24.0;

/// One line of a table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) phase: &'static str,
    pub(super) what: &'static str,
    pub(super) times: Times,
    /// Of all the time of requests; `None` of what is no part of it.
    pub(super) share: Option<f64>,
}

/// The phases in their order with their shares; `other` has only a share.
pub(super) fn rows(phases: &Phases) -> Vec<Row> {
    let total = phases.total_ns().max(1) as f64;
    let mut rows: Vec<Row> = PARTS
        .iter()
        .map(|&(phase, what)| {
            let times = phases.times(phase);
            Row { phase, what, share: Some(times.sum_ns as f64 / total), times }
        })
        .collect();
    let share = Some(phases.other_ns() as f64 / total);
    rows.push(Row { phase: OTHER.0, what: OTHER.1, times: Times::default(), share });
    rows
}

/// What is beside the parts: the whole, what of it was waiting behind others, and the lane's turns.
pub(super) fn beside(phases: &Phases) -> Vec<Row> {
    let total = phases.total_ns().max(1) as f64;
    let row = |phase, what| Row { phase, what, times: phases.times(phase), share: None };
    let behind = phases.times(BEHIND);
    let share = Some(behind.sum_ns as f64 / total);
    vec![
        row(REQUEST, "all of it, from the complete head"),
        Row { phase: BEHIND, what: "of it behind other tasks", times: behind, share },
        row(TURN, "a turn of the lane"),
    ]
}

/// What fills the columns behind a row's share.
pub(super) fn figures(times: &Times) -> [String; 6] {
    if times.count == 0 {
        let none = || "-".to_owned();
        return [none(), none(), none(), none(), none(), none()];
    }
    let bucket = |micros: u64| if micros <= 1 { "≤1 µs".to_owned() } else { say_micros(micros as f64) };
    [
        times.count.to_string(),
        say_micros(times.mean()),
        bucket(times.percentile(0.5)),
        bucket(times.percentile(0.99)),
        bucket(times.percentile(0.999)),
        bucket(times.max()),
    ]
}

/// A share in per cent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// How long was looked at what.
pub(super) fn heading(profile: &Profile) -> String {
    let requests = profile.merged.requests();
    let lanes = profile.lanes.len();
    let when = if profile.since_start {
        format!("since the engine's start, {:.0} s ago", profile.seconds)
    } else {
        format!("in {:.1} s, {:.0} a second", profile.seconds, requests as f64 / profile.seconds.max(1e-9))
    };
    let s = |count: u64| if count == 1 { "" } else { "s" };
    format!("{requests} request{} {when}, on {lanes} lane{}", s(requests), s(lanes as u64))
}

/// All of it.
pub(super) fn profile(profile: &Profile) -> String {
    let mut text = format!("{}\n", heading(profile));
    for lane in &profile.silent {
        writeln!(text, "lane {lane} did not answer, and is missing").expect("a string takes everything");
    }
    if profile.lanes.len() > 1 {
        for lane in &profile.lanes {
            table(&mut text, &format!("lane {} ({})", lane.id, lane.driver), &lane.phases);
        }
        table(&mut text, "all lanes", &profile.merged);
    } else if let Some(lane) = profile.lanes.first() {
        table(&mut text, &format!("lane {} ({})", lane.id, lane.driver), &lane.phases);
    }
    text.push('\n');
    for sentence in verdict::sentences(profile) {
        text.push_str(&sentence);
        text.push('\n');
    }
    text
}

fn table(text: &mut String, title: &str, phases: &Phases) {
    let mut line = |phase: &str, what: &str, share: &str, figures: &[String; 6], bar: &str| {
        let [count, mean, p50, p99, p999, max] = figures;
        let line = format!(
            "{phase:<9} {what:<34} {share:>7} {count:>10} {mean:>9} {p50:>9} {p99:>9} {p999:>9} {max:>9}  {bar}"
        );
        text.push_str(line.trim_end());
        text.push('\n');
    };
    let titles = ["count", "mean", "p50", "p99", "p99.9", "max"].map(ToOwned::to_owned);
    let blank = [(); 6].map(|()| String::new());
    line("", "", "", &blank, "");
    line(title, "", "", &blank, "");
    line("phase", "", "share", &titles, "");
    for row in rows(phases).into_iter().chain(beside(phases)) {
        let share = row.share.unwrap_or(0.0);
        let figures = if row.phase == OTHER.0 { blank.clone() } else { figures(&row.times) };
        line(row.phase, row.what, &row.share.map_or_else(String::new, percent), &figures, &bar(share));
    }
}

fn bar(share: f64) -> String {
    let eighths = (share.clamp(0.0, 1.0) * BAR_WIDTH * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) =
        [None, Some('▏'), Some('▎'), Some('▍'), Some('▌'), Some('▋'), Some('▊'), Some('▉')][eighths % 8]
    {
        bar.push(part);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::{super::reading::tests::reading, *};

    #[test]
    fn a_profile_is_a_table_for_each_lane_and_one_for_all() {
        let text = profile(&reading(3.0, &[Some(100), Some(50)]).since(None).unwrap());
        assert!(text.starts_with("150 requests since the engine's start, 3 s ago, on 2 lanes\n"), "{text}");
        let (first, all) = (text.find("\nlane 0 (epoll)\n").unwrap(), text.find("\nall lanes\n").unwrap());
        assert!(first < text.find("\nlane 1 (epoll)\n").unwrap() && first < all, "{text}");
        let wait = text[all..].lines().find(|line| line.starts_with("wait")).unwrap();
        let words: Vec<_> = wait.split_whitespace().skip(6).collect();
        assert_eq!(words[..9], ["81.3%", "150", "100", "µs", "100", "µs", "100", "µs", "100"], "{wait}");
        assert!(wait.ends_with("███████████████████▌"), "{wait}");
        let other = text[all..].lines().find(|line| line.starts_with("other")).unwrap();
        assert_eq!(other.split_whitespace().last(), Some("█"), "{other}");
        assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
        let turn = text[all..].lines().find(|line| line.starts_with("turn")).unwrap();
        assert!(turn.contains(" 300 ") && !turn.contains('%'), "{turn}");
    }

    #[test]
    fn one_lane_has_one_table() {
        let (before, after) = (reading(3.0, &[Some(100), None]), reading(5.0, &[Some(101), Some(3)]));
        let text = profile(&after.since(Some(&before)).unwrap());
        assert!(
            text.starts_with("1 request in 2.0 s, 0 a second, on 1 lane\nlane 1 did not answer"),
            "{text}"
        );
        assert!(!text.contains("all lanes"), "{text}");
        assert!(text.contains("≤1 µs"), "{text}");
    }

    #[test]
    fn shares_make_one() {
        let profile = reading(3.0, &[Some(7)]).since(None).unwrap();
        let sum: f64 = rows(&profile.merged).iter().filter_map(|row| row.share).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn bars_are_as_long_as_the_share() {
        assert_eq!((bar(0.0), bar(1.0).chars().count(), bar(2.0).chars().count()), (String::new(), 24, 24));
        assert_eq!((bar(1.0 / 24.0), bar(0.5 / 24.0)), ("█".to_owned(), "▌".to_owned()));
    }
}
