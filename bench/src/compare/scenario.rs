//! What is asked of every proxy.

use clap::ValueEnum;
use serde::{Serialize, Serializer};
use std::fmt;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// Answers of 128 B, 64 connections that are always busy.
    H1Small,
    /// Answers of 16 KiB, 64 connections that are always busy.
    #[value(name = "h1-16k")]
    H116k,
    /// Answers of 1 MiB, 16 connections that are always busy.
    #[value(name = "h1-1m")]
    H11m,
    /// Answers of 128 B, a client connection for each; the proxy keeps its upstream ones.
    H1Noreuse,
    /// Answers of 128 B, one connection that is always busy.
    #[value(name = "h1-1conn")]
    H11conn,
    /// Answers of 128 B, 10,000 requests a second over 64 connections, whatever the proxy does.
    H1FixedRate,
    /// The memory of 8,000 idle connections.
    Idle,
    /// WebSocket messages of 128 B, echoed, over 64 connections.
    WsEcho,
}

/// What `h1-fixed-rate` offers.
pub(super) const RATE: u32 = 10_000;
/// Fewer of them than this part, and the rate was not reached.
pub(super) const RATE_PART_MIN: f64 = 0.98;
/// The size of a WebSocket message.
const MESSAGE_BYTES: u64 = 128;

/// The size of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Shape {
    pub(super) connections: u32,
    pub(super) answer_bytes: u64,
}

impl Scenario {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::H1Small => "h1-small",
            Self::H116k => "h1-16k",
            Self::H11m => "h1-1m",
            Self::H1Noreuse => "h1-noreuse",
            Self::H11conn => "h1-1conn",
            Self::H1FixedRate => "h1-fixed-rate",
            Self::Idle => "idle",
            Self::WsEcho => "ws-echo",
        }
    }

    pub(super) const fn shape(self) -> Shape {
        let (connections, answer_bytes) = match self {
            Self::H1Small | Self::H1Noreuse | Self::H1FixedRate => (64, 128),
            Self::H116k => (64, 16 << 10),
            Self::H11m => (16, 1 << 20),
            Self::H11conn => (1, 128),
            Self::Idle => (8000, 128),
            Self::WsEcho => (64, MESSAGE_BYTES),
        };
        Shape { connections, answer_bytes }
    }

    /// What one unit of work is called.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::WsEcho => "message",
            Self::Idle => "connection",
            _ => "request",
        }
    }

    /// The scenario in a sentence.
    pub(super) fn say(self, shape: Shape) -> String {
        let Shape { connections, answer_bytes } = shape;
        let size = match answer_bytes {
            bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
            bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
            bytes => format!("{bytes} B"),
        };
        let over =
            if connections == 1 { "one connection".to_owned() } else { format!("{connections} connections") };
        match self {
            Self::H1Noreuse => {
                format!("answers of {size}, a client connection for each request, {connections} at once")
            }
            Self::H1FixedRate => format!("answers of {size}, {RATE} requests a second offered over {over}"),
            Self::Idle => {
                format!("memory of {connections} connections that had an answer of {size} and are idle")
            }
            Self::WsEcho => format!("WebSocket messages of {size}, echoed, over {over}"),
            _ => format!("answers of {size} over {over}"),
        }
    }

    /// The target of its requests.
    pub(super) const fn target(self) -> &'static str {
        match self {
            Self::WsEcho => "/ws",
            _ => "/",
        }
    }

    /// What the load is told beside where and for how long.
    pub(super) fn load_arguments(self, shape: Shape) -> Vec<String> {
        let mut line = vec!["--connections".to_owned(), shape.connections.to_string()];
        let more: &[&str] = match self {
            Self::H1Noreuse => &["--new-connection"],
            Self::H1FixedRate => &["--rate"],
            Self::WsEcho => &["--websocket", "--message-size"],
            _ => &[],
        };
        line.extend(more.iter().map(|word| (*word).to_owned()));
        match self {
            Self::H1FixedRate => line.push(RATE.to_string()),
            Self::WsEcho => line.push(shape.answer_bytes.to_string()),
            _ => {}
        }
        if self != Self::WsEcho {
            line.extend(["--expect-status", "200", "--expect-size"].map(str::to_owned));
            line.push(shape.answer_bytes.to_string());
        }
        line
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for scenario in Scenario::value_variants() {
            assert_eq!(scenario.to_possible_value().unwrap().get_name(), scenario.name());
        }
    }

    #[test]
    fn scenarios_are_said_and_asked_for() {
        let all = Scenario::value_variants().iter();
        let said: Vec<_> = all.map(|scenario| scenario.say(scenario.shape())).collect();
        assert_eq!(said[0], "answers of 128 B over 64 connections");
        assert_eq!(said[2], "answers of 1 MiB over 16 connections");
        assert_eq!(said[4], "answers of 128 B over one connection");
        let line = |scenario: Scenario| scenario.load_arguments(scenario.shape()).join(" ");
        assert_eq!(line(Scenario::H116k), "--connections 64 --expect-status 200 --expect-size 16384");
        assert_eq!(
            line(Scenario::H1FixedRate),
            "--connections 64 --rate 10000 --expect-status 200 --expect-size 128"
        );
        assert_eq!(line(Scenario::WsEcho), "--connections 64 --websocket --message-size 128");
    }
}
