//! An access log line as one JSON object.

use super::{
    field::{Field, Value},
    line::{Line, outcome},
    text::{apache_date, json_address, json_string, millis, number, rfc3339},
};
use corelane_engine::Attempt;
use std::{borrow::Cow, io::Write};

/// Writes the line, with its end. What is not known is left out.
pub(crate) fn write(out: &mut Vec<u8>, fields: &[Field], line: &Line<'_>) {
    out.push(b'{');
    let mut is_first = true;
    for field in fields {
        let value = field.value(line);
        if matches!(value, Value::Missing) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        key(out, field);
        self::value(out, value);
    }
    out.extend_from_slice(b"}\n");
}

fn key(out: &mut Vec<u8>, field: &Field) {
    // No name of a field needs an escape.
    write!(out, "\"{field}\":").expect("a vector takes everything");
}

fn value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Missing => out.extend_from_slice(b"null"),
        Value::Text(text) => json_string(out, text),
        Value::Number(n) => number(out, n),
        Value::Millis(time) => millis(out, time),
        Value::Time(at) => quoted(out, |out| rfc3339(out, at)),
        Value::TimeApache(at) => quoted(out, |out| apache_date(out, at)),
        Value::Ip(ip) => write!(out, "\"{ip}\"").expect("a vector takes everything"),
        Value::Address(address) => json_address(out, address),
        Value::Attempts(list) => attempts(out, list),
        Value::Notes(list) => notes(out, list),
    }
}

/// For what needs no escape.
fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn attempts(out: &mut Vec<u8>, attempts: &[Attempt]) {
    out.push(b'[');
    for (index, attempt) in attempts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"endpoint\":");
        json_address(out, &attempt.endpoint);
        write!(out, ",\"reused\":{},\"outcome\":\"", attempt.reused).expect("a vector takes everything");
        outcome(out, attempt.outcome);
        out.extend_from_slice(b"\",\"connect_ms\":");
        millis(out, attempt.connect);
        out.extend_from_slice(b",\"wait_ms\":");
        millis(out, attempt.wait);
        out.push(b'}');
    }
    out.push(b']');
}

fn notes(out: &mut Vec<u8>, notes: &[(Cow<'static, str>, String)]) {
    for (index, (name, value)) in notes.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        json_string(out, name.as_bytes());
        out.push(b':');
        json_string(out, value.as_bytes());
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::line::tests::sample;
    use corelane_engine::{Address, Attempt, AttemptOutcome, End, ErrorKind, Stage};
    use serde_json::{Value, json};
    use std::{borrow::Cow, net::SocketAddr, time::Duration};

    fn parsed(line: &Line<'_>) -> Value {
        let mut out = Vec::new();
        write(&mut out, &Field::usual(), line);
        assert_eq!(out.iter().position(|&byte| byte == b'\n'), Some(out.len() - 1), "one line");
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_line_has_the_semantic_names() {
        let attempts = [
            Attempt {
                endpoint: Address::Ip(SocketAddr::from(([127, 0, 0, 1], 9001))),
                reused: false,
                outcome: AttemptOutcome::Failed(Stage::Connect, ErrorKind::Timeout),
                connect: Duration::from_secs(3),
                wait: Duration::ZERO,
            },
            Attempt {
                endpoint: Address::Ip(SocketAddr::from(([127, 0, 0, 1], 9002))),
                reused: true,
                outcome: AttemptOutcome::Status(200),
                connect: Duration::ZERO,
                wait: Duration::from_micros(1234),
            },
        ];
        let notes = [(Cow::Borrowed("tenant"), "a\"b".to_owned())];
        let line = Line {
            target: b"/a%20b?x=1?",
            host: b"example.com:8080",
            user_agent: b"curl/8",
            attempts: &attempts,
            attempts_total: 2,
            notes: &notes,
            ..sample()
        };
        let expected = json!({
            "time": "2026-01-01T00:00:00.123Z",
            "request_id": "0123456789abcdef0123456789abcdef",
            "client.address": "192.0.2.1",
            "client.port": 40000,
            "http.request.method": "GET",
            "url.path": "/a%20b",
            "url.query": "x=1?",
            "server.address": "example.com",
            "server.port": 8080,
            "network.protocol.version": "1.1",
            "user_agent.original": "curl/8",
            "http.response.status_code": 200,
            "http.request.body.size": 0,
            "http.response.body.size": 5,
            "duration_ms": 12.345,
            "queue_ms": 0.0,
            "parse_ms": 0.0,
            "route_ms": 0.0,
            "connect_ms": 0.0,
            "wait_ms": 0.0,
            "transfer_ms": 0.0,
            "behind_ms": 0.0,
            "attempts": [
                {
                    "endpoint": "127.0.0.1:9001", "reused": false, "outcome": "connect: timeout",
                    "connect_ms": 3000.0, "wait_ms": 0.0,
                },
                {
                    "endpoint": "127.0.0.1:9002", "reused": true, "outcome": "200",
                    "connect_ms": 0.0, "wait_ms": 1.234,
                },
            ],
            "end": "done",
            "notes": { "tenant": "a\"b" },
        });
        assert_eq!(parsed(&line), expected);
    }

    #[test]
    fn a_line_without_a_request_says_what_is_known() {
        let line = Line {
            method: None,
            version: "",
            target: b"",
            host: b"",
            status: 0,
            end: End::ClientTimeout,
            error: "client, reading the head: timed out",
            ..sample()
        };
        let value = parsed(&line);
        assert_eq!(value["end"], "client_timeout");
        assert_eq!(value["error"], "client, reading the head: timed out");
        for absent in
            ["http.request.method", "url.path", "http.response.status_code", "server.address", "notes"]
        {
            assert!(value.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn b_06_unix_sockets_are_named_and_their_clients_are_not() {
        let attempts = [Attempt {
            endpoint: Address::unix("/run/\"a\"\n.sock").unwrap(),
            reused: false,
            outcome: AttemptOutcome::Status(200),
            connect: Duration::ZERO,
            wait: Duration::ZERO,
        }];
        let line =
            Line { client: &Address::Unnamed, peer: &Address::Unnamed, attempts: &attempts, ..sample() };
        let value = parsed(&line);
        assert_eq!(value["client.address"], "unix:");
        assert!(value.get("client.port").is_none());
        assert_eq!(value["attempts"][0]["endpoint"], "unix:/run/\"a\"\n.sock");
    }

    #[test]
    fn b_70_a_proxy_before_us_is_told_apart_from_the_client() {
        let client = Address::Ip(SocketAddr::from(([198, 51, 100, 7], 0)));
        let value = parsed(&Line { client: &client, ..sample() });
        assert_eq!(value["client.address"], "198.51.100.7");
        assert!(value.get("client.port").is_none(), "it is not known");
        assert_eq!(
            (&value["network.peer.address"], &value["network.peer.port"]),
            (&json!("192.0.2.1"), &json!(40000))
        );
    }

    #[test]
    fn h1q_69_hostile_text_stays_inside_its_string() {
        let hostile = b"\n\r\x1b[2J\0\"},{\"end\":\"done\\\xff";
        let line = Line { target: hostile, host: hostile, user_agent: hostile, referer: hostile, ..sample() };
        let value = parsed(&line);
        assert_eq!(value["user_agent.original"], String::from_utf8_lossy(hostile).as_ref());
        let mut out = Vec::new();
        write(&mut out, &Field::usual(), &line);
        assert!(out[..out.len() - 1].iter().all(|byte| !byte.is_ascii_control()));
    }

    #[test]
    fn more_attempts_than_are_kept_are_counted() {
        assert_eq!(parsed(&Line { attempts_total: 12, ..sample() })["attempts_total"], 12);
    }

    #[test]
    fn fields_can_be_chosen() {
        let notes = [(Cow::Borrowed("user"), "ann".to_owned())];
        let line = Line { notes: &notes, ..sample() };
        let fields = ["end", "upstream.address", "notes.user", "http.response.status_code"];
        let mut out = Vec::new();
        write(&mut out, &fields.map(|name| name.parse().unwrap()), &line);
        let expected = "{\"end\":\"done\",\"notes.user\":\"ann\",\"http.response.status_code\":200}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        write(&mut out, &["error".parse().unwrap()], &sample());
        assert_eq!(out, b"{}\n");
    }
}
