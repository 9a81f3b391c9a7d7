//! The flight recorder of an engine: its last slow exchanges, the slowest first.

use super::reading::PARTS;
use crate::{failure::Failure, units::say_micros};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Write};

/// An answer to `/slow.json`.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Flight {
    slower_than_us: f64,
    kept_per_lane: usize,
    /// Those that answered.
    lanes: Vec<usize>,
    pub(super) slow: Vec<Slow>,
}

/// A slow exchange.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Slow {
    pub(super) lane: usize,
    pub(super) at: String,
    pub(super) duration_us: f64,
    phases_us: BTreeMap<String, f64>,
    longest_turn_us: f64,
    pub(super) request_id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) end: String,
    pub(super) endpoint: Option<String>,
    pub(super) attempts: u32,
}

impl Slow {
    fn phase(&self, phase: &str) -> f64 {
        self.phases_us.get(phase).copied().unwrap_or_default()
    }

    /// With what came before the complete head.
    pub(super) fn took_us(&self) -> f64 {
        self.duration_us + self.phase("queue") + self.phase("parse")
    }

    /// The phases that took a tenth or more, in their order, and what no phase has.
    pub(super) fn where_it_went(&self) -> String {
        let took = self.took_us();
        let known = PARTS.iter().map(|(phase, _)| (*phase, self.phase(phase)));
        let rest = took - PARTS.iter().map(|(phase, _)| self.phase(phase)).sum::<f64>();
        let mut parts: Vec<String> = known
            .chain([("other", rest)])
            .filter(|(_, micros)| *micros >= took / 10.0)
            .map(|(phase, micros)| format!("{phase} {}", say_micros(micros)))
            .collect();
        for (phase, micros) in
            [("behind other tasks", self.phase("behind")), ("a turn of", self.longest_turn_us)]
        {
            if micros > 0.0 && micros >= took / 10.0 {
                parts.push(format!("{phase} {}", say_micros(micros)));
            }
        }
        parts.join(", ")
    }
}

impl Flight {
    /// What an engine answers, the slowest first.
    pub(super) fn parse(text: &str, from: &impl std::fmt::Display) -> Result<Self, Failure> {
        let mut flight: Self = serde_json::from_str(text).map_err(|error| {
            Failure::Run(format!(
                "{from} answers something that corelane-bench does not understand; is it a corelane of this version? ({error})"
            ))
        })?;
        flight.slow.sort_by(|one, other| other.took_us().total_cmp(&one.took_us()));
        Ok(flight)
    }

    /// What is kept, and how much of it there is.
    pub(super) fn heading(&self) -> String {
        if self.kept_per_lane == 0 {
            return "the engine keeps no slow requests".to_owned();
        }
        let lanes = self.lanes.len();
        format!(
            "{} of the last requests slower than {} ({} kept on each of {lanes} lane{}), the slowest first",
            self.slow.len(),
            say_micros(self.slower_than_us),
            self.kept_per_lane,
            if lanes == 1 { "" } else { "s" },
        )
    }

    /// What the engine has answered, in this order.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!(self)
    }

    /// For a terminal: three lines for each.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n", self.heading());
        for slow in &self.slow {
            let request = if slow.method.is_empty() {
                "no request".to_owned()
            } else {
                format!("{} {}", slow.method, printable(&slow.path))
            };
            let status = if slow.status == 0 { "no answer".to_owned() } else { slow.status.to_string() };
            write!(
                text,
                "\n{:>9}  {request}  {status} {}\n           {}\n           {}  lane {}  id {}",
                say_micros(slow.took_us()),
                slow.end,
                slow.where_it_went(),
                slow.at,
                slow.lane,
                printable(&slow.request_id),
            )
            .expect("a string takes everything");
            if let Some(endpoint) = &slow.endpoint {
                write!(text, "  {endpoint}").expect("a string takes everything");
            }
            if slow.attempts > 1 {
                write!(text, "  {} attempts", slow.attempts).expect("a string takes everything");
            }
            text.push('\n');
        }
        text
    }
}

/// What came over the network must not command a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn slow(path: &str, micros: f64) -> Value {
        json!({
            "lane": 1, "at": "2026-11-23T14:00:00.123Z", "duration_us": micros, "longest_turn_us": 60_000.0,
            "phases_us": { "queue": 0.0, "parse": 1.0, "route": 10.0, "connect": 0.0, "wait": micros * 0.8, "transfer": 5.0,
                "behind": 0.0 },
            "request_id": "abc", "method": "GET", "path": path, "status": 200, "end": "done",
            "endpoint": "127.0.0.1:9001", "attempts": 2,
        })
    }

    fn flight(slow: &[Value]) -> Flight {
        let answer =
            json!({ "slower_than_us": 100_000.0, "kept_per_lane": 32, "lanes": [0, 1], "slow": slow });
        Flight::parse(&answer.to_string(), &"a test").unwrap()
    }

    #[test]
    fn the_slowest_comes_first_with_where_its_time_went() {
        let text = flight(&[slow("/quicker", 150_000.0), slow("/slower", 500_000.0)]).text();
        let expected = "2 of the last requests slower than 100 ms (32 kept on each of 2 lanes), the slowest first\n\n   500 ms  \
                        GET /slower  200 done\n           wait 400 ms, other 100.0 ms, a turn of 60.0 ms\n           2026-11-23T14:00:00.123Z  lane 1  id \
                        abc  127.0.0.1:9001  2 attempts\n\n   150 ms  GET /quicker  200 done\n           wait 120 ms, other 30.0 ms, a \
                        turn of 60.0 ms\n";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn what_came_over_the_network_is_shown_and_not_obeyed() {
        let text = flight(&[slow("/\u{1b}[2J\u{7}", 150_000.0)]).text();
        assert!(text.contains("GET /\u{fffd}[2J\u{fffd}  200"), "{text}");
    }

    #[test]
    fn an_engine_that_keeps_none_says_so() {
        let answer = json!({ "slower_than_us": 1.0, "kept_per_lane": 0, "lanes": [0], "slow": [] });
        let flight = Flight::parse(&answer.to_string(), &"a test").unwrap();
        assert_eq!(flight.text(), "the engine keeps no slow requests\n");
        assert!(
            Flight::parse("[]", &"unix:/a").unwrap_err().to_string().starts_with("unix:/a answers something")
        );
    }
}
