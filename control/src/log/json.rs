//! An access log line as one JSON object.

use super::{
    line::{Line, outcome},
    text::{json_address, json_string, millis, number, rfc3339},
};
use std::{io::Write, time::Duration};

/// Writes the line, with its end. Names are OpenTelemetry's where it has one; what is not known is left out.
pub(crate) fn write(out: &mut Vec<u8>, line: &Line<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    rfc3339(out, line.at);
    out.push(b'"');
    string_if(out, "request_id", line.request_id);
    request(out, line);
    if line.status != 0 {
        integer(out, "http.response.status_code", u64::from(line.status));
    }
    integer(out, "http.request.body.size", line.request_bytes);
    integer(out, "http.response.body.size", line.response_bytes);
    times(out, line);
    attempts(out, line);
    key(out, "end");
    json_string(out, line.end.as_str().as_bytes());
    string_if(out, "error", line.error.as_bytes());
    notes(out, line);
    out.extend_from_slice(b"}\n");
}

fn request(out: &mut Vec<u8>, line: &Line<'_>) {
    key(out, "client.address");
    match line.client.ip() {
        Some(ip) => write!(out, "\"{}\"", ip.to_canonical()).expect("a vector takes everything"),
        None => json_address(out, line.client),
    }
    if let Some(port) = line.client.port() {
        integer(out, "client.port", u64::from(port));
    }
    if let Some(method) = line.method {
        key(out, "http.request.method");
        json_string(out, method.as_str().as_bytes());
    }
    let (path, query) = line.path_and_query();
    string_if(out, "url.path", path);
    string_if(out, "url.query", query.unwrap_or_default());
    let (host, port) = line.host_and_port();
    string_if(out, "server.address", host);
    if let Some(port) = port {
        integer(out, "server.port", u64::from(port));
    }
    string_if(out, "network.protocol.version", line.version.as_bytes());
    string_if(out, "user_agent.original", line.user_agent);
    string_if(out, "http.request.header.referer", line.referer);
}

fn times(out: &mut Vec<u8>, line: &Line<'_>) {
    time(out, "duration_ms", line.duration);
    time(out, "queue_ms", line.phases.queue);
    time(out, "route_ms", line.phases.route);
    time(out, "connect_ms", line.phases.connect);
    time(out, "wait_ms", line.phases.wait);
    time(out, "transfer_ms", line.phases.transfer);
}

fn attempts(out: &mut Vec<u8>, line: &Line<'_>) {
    key(out, "attempts");
    out.push(b'[');
    for (index, attempt) in line.attempts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"endpoint\":");
        json_address(out, &attempt.endpoint);
        write!(out, ",\"reused\":{},\"outcome\":\"", attempt.reused).expect("a vector takes everything");
        outcome(out, attempt.outcome);
        out.extend_from_slice(b"\"}");
    }
    out.push(b']');
    if line.attempts_total as usize > line.attempts.len() {
        integer(out, "attempts_total", u64::from(line.attempts_total));
    }
}

fn notes(out: &mut Vec<u8>, line: &Line<'_>) {
    if line.notes.is_empty() {
        return;
    }
    key(out, "notes");
    for (index, (name, value)) in line.notes.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        json_string(out, name.as_bytes());
        out.push(b':');
        json_string(out, value.as_bytes());
    }
    out.push(b'}');
}

/// A key of ours, which needs no escape, after a comma.
fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn string_if(out: &mut Vec<u8>, name: &str, text: &[u8]) {
    if !text.is_empty() {
        key(out, name);
        json_string(out, text);
    }
}

fn integer(out: &mut Vec<u8>, name: &str, n: u64) {
    key(out, name);
    number(out, n);
}

fn time(out: &mut Vec<u8>, name: &str, time: Duration) {
    key(out, name);
    millis(out, time);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::line::tests::sample;
    use corelane_engine::{Address, Attempt, AttemptOutcome, End, ErrorKind, Stage};
    use serde_json::{Value, json};
    use std::{borrow::Cow, net::SocketAddr};

    fn parsed(line: &Line<'_>) -> Value {
        let mut out = Vec::new();
        write(&mut out, line);
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
            },
            Attempt {
                endpoint: Address::Ip(SocketAddr::from(([127, 0, 0, 1], 9002))),
                reused: true,
                outcome: AttemptOutcome::Status(200),
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
            "route_ms": 0.0,
            "connect_ms": 0.0,
            "wait_ms": 0.0,
            "transfer_ms": 0.0,
            "attempts": [
                { "endpoint": "127.0.0.1:9001", "reused": false, "outcome": "connect: timeout" },
                { "endpoint": "127.0.0.1:9002", "reused": true, "outcome": "200" },
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
        }];
        let line = Line { client: &Address::Unnamed, attempts: &attempts, ..sample() };
        let value = parsed(&line);
        assert_eq!(value["client.address"], "unix:");
        assert!(value.get("client.port").is_none());
        assert_eq!(value["attempts"][0]["endpoint"], "unix:/run/\"a\"\n.sock");
    }

    #[test]
    fn h1q_69_hostile_text_stays_inside_its_string() {
        let hostile = b"\n\r\x1b[2J\0\"},{\"end\":\"done\\\xff";
        let line = Line { target: hostile, host: hostile, user_agent: hostile, referer: hostile, ..sample() };
        let value = parsed(&line);
        assert_eq!(value["user_agent.original"], String::from_utf8_lossy(hostile).as_ref());
        let mut out = Vec::new();
        write(&mut out, &line);
        assert!(out[..out.len() - 1].iter().all(|byte| !byte.is_ascii_control()));
    }

    #[test]
    fn more_attempts_than_are_kept_are_counted() {
        assert_eq!(parsed(&Line { attempts_total: 12, ..sample() })["attempts_total"], 12);
    }
}
