//! What a profile says, in sentences.

use super::{
    reading::{BEHIND, Profile, TURN},
    text::{percent, rows},
};
use crate::units::say_micros;

/// From this share on, what was waited behind other tasks is worth a word.
const BEHIND_MIN: f64 = 0.1;
/// From this length on, in microseconds, a turn is worth a word.
const TURN_MIN_US: u64 = 10_000;

/// What took most of the time, and what else to look at.
pub(super) fn sentences(profile: &Profile) -> Vec<String> {
    let merged = &profile.merged;
    let mut sentences = Vec::new();
    let most = rows(merged)
        .into_iter()
        .max_by(|one, other| one.share.partial_cmp(&other.share).expect("no share is NaN"));
    match most {
        Some(row) if merged.requests() > 0 => {
            let mean = merged.total_ns() as f64 / 1000.0 / merged.requests() as f64;
            let share = row.share.unwrap_or_default();
            sentences.push(format!(
                "{} of the time is {}: {}, {} of {} a request.",
                percent(share),
                row.phase,
                meaning(row.phase),
                say_micros(mean * share),
                say_micros(mean)
            ));
        }
        _ => sentences.push("No request has ended in this time.".to_owned()),
    }
    let behind = merged.times(BEHIND).sum_ns as f64 / merged.total_ns().max(1) as f64;
    if behind >= BEHIND_MIN {
        sentences.push(format!(
            "{} of the time was spent behind other tasks of the lane (it lies within connect, wait and transfer): the lanes \
             are busy, or something keeps them.",
            percent(behind)
        ));
    }
    let turn = merged.times(TURN).max();
    if turn >= TURN_MIN_US {
        sentences.push(format!(
            "A lane did not look at the kernel for up to {}: what came meanwhile waited until then, which no phase shows. \
             Either a handler keeps it, and should offload or yield, or the lane was given no CPU.",
            say_micros(turn as f64)
        ));
    }
    sentences
}

/// What it means that a phase takes most of the time.
fn meaning(phase: &str) -> &'static str {
    match phase {
        "queue" => "heads wait for a lane that is busy with other tasks",
        "parse" => "receiving and parsing heads",
        "route" => "the handlers' own work, or what they wait for",
        "connect" => "connecting to origins, which reused connections would save",
        "wait" => "the origins take so long to begin their answers",
        "transfer" => "answers are long, or the origins or the clients are slow",
        _ => "waiting for a place among a cluster's connections, or between attempts",
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::reading::{Reading, tests::reading},
        *,
    };
    use serde_json::json;

    #[test]
    fn the_longest_phase_is_named() {
        let sentences = sentences(&reading(3.0, &[Some(100)]).since(None).unwrap());
        assert_eq!(
            sentences,
            [
                "81.3% of the time is wait: the origins take so long to begin their answers, 100 µs of 123 µs a request."
            ]
        );
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert_eq!(
            sentences(&reading(3.0, &[Some(0)]).since(None).unwrap()),
            ["No request has ended in this time."]
        );
    }

    #[test]
    fn busy_lanes_and_long_turns_are_worth_a_word() {
        let times = |micros: u64| json!({ "count": 1, "sum_ns": micros * 1000, "buckets": [[micros, 1]] });
        let phases = json!({ "request": times(1000), "wait": times(300), "behind": times(400), "turn": times(60_000) });
        let answer = json!({ "version": "0", "uptime_s": 1.0, "lanes": [{ "id": 0, "driver": "epoll", "phases": phases }] });
        let profile = Reading::parse(&answer.to_string(), &"a test").unwrap().since(None).unwrap();
        let sentences = sentences(&profile);
        assert!(sentences[0].starts_with("70.0% of the time is other: waiting for a place"), "{sentences:?}");
        assert!(sentences[1].starts_with("40.0% of the time was spent behind other tasks"), "{sentences:?}");
        assert!(sentences[2].contains("for up to 60.0 ms"), "{sentences:?}");
    }
}
