//! What a line of the access log is made of: a record, borrowed.

use corelane_engine::{Address, Attempt, AttemptOutcome, End, ErrorKind, Method, Phases, Record, Stage};
use std::{
    borrow::Cow,
    io::Write,
    time::{Duration, SystemTime},
};

/// The parts of a [`Record`] that a log line may show.
pub(crate) struct Line<'a> {
    pub(crate) at: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) phases: Phases,
    pub(crate) client: &'a Address,
    pub(crate) peer: &'a Address,
    pub(crate) request_id: &'a [u8],
    pub(crate) method: Option<&'a Method>,
    pub(crate) version: &'a str,
    pub(crate) target: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) user_agent: &'a [u8],
    pub(crate) referer: &'a [u8],
    pub(crate) status: u16,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) attempts: &'a [Attempt],
    pub(crate) attempts_total: u32,
    pub(crate) notes: &'a [(Cow<'static, str>, String)],
    pub(crate) end: End,
    pub(crate) error: &'a str,
}

impl<'a> From<&'a Record> for Line<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            at: record.at,
            duration: record.duration,
            phases: record.phases,
            client: &record.client,
            peer: &record.peer,
            request_id: &record.request_id,
            method: record.method.as_ref(),
            version: record.version,
            target: &record.target,
            host: &record.host,
            user_agent: &record.user_agent,
            referer: &record.referer,
            status: record.status,
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            attempts: &record.attempts,
            attempts_total: record.attempts_total,
            notes: &record.notes,
            end: record.end,
            error: &record.error,
        }
    }
}

impl<'a> Line<'a> {
    /// The target up to the first `?`, and what follows it.
    pub(crate) fn path_and_query(&self) -> (&'a [u8], Option<&'a [u8]>) {
        match self.target.iter().position(|&byte| byte == b'?') {
            Some(at) => (&self.target[..at], Some(&self.target[at + 1..])),
            None => (self.target, None),
        }
    }

    /// The host without its port and without the brackets of an IPv6 address; and the port.
    pub(crate) fn host_and_port(&self) -> (&'a [u8], Option<u16>) {
        let (host, port) = match self.host.iter().rposition(|&byte| byte == b':') {
            Some(at) if !self.host[at..].contains(&b']') => (&self.host[..at], parse(&self.host[at + 1..])),
            _ => (self.host, None),
        };
        match host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")) {
            Some(inside) => (inside, port),
            None => (host, port),
        }
    }
}

fn parse(port: &[u8]) -> Option<u16> {
    str::from_utf8(port).ok()?.parse().ok()
}

/// `200`, `unfinished`, or where and how it failed: `connect: connection refused`. Nothing of it needs an escape.
pub(crate) fn outcome(out: &mut Vec<u8>, outcome: AttemptOutcome) {
    let written = match outcome {
        AttemptOutcome::Unfinished => out.write_all(b"unfinished"),
        AttemptOutcome::Status(status) => write!(out, "{status}"),
        AttemptOutcome::Failed(stage, ErrorKind::Io(kind)) => write!(out, "{}: {kind}", name(stage)),
        AttemptOutcome::Failed(stage, kind) => write!(out, "{}: {}", name(stage), reason(kind)),
    };
    written.expect("a vector takes everything");
}

const fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Head => "head",
        Stage::Route => "route",
        Stage::Connect => "connect",
        Stage::Send => "send",
        Stage::Wait => "wait",
        Stage::Transfer => "transfer",
        Stage::Tunnel => "tunnel",
    }
}

const fn reason(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Protocol(kind) => kind.as_str(),
        ErrorKind::Closed => "closed",
        ErrorKind::Timeout => "timeout",
        ErrorKind::TooSlow => "too slow",
        ErrorKind::Drained => "drained",
        _ => "failed",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::{
        net::{IpAddr, Ipv4Addr, SocketAddr},
        time::UNIX_EPOCH,
    };

    const CLIENT: Address = Address::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 40_000));

    /// A plain, successful `GET /` on the first of January 2026.
    pub(crate) fn sample() -> Line<'static> {
        Line {
            at: UNIX_EPOCH + Duration::from_millis(1_767_225_600_123),
            duration: Duration::from_micros(12_345),
            phases: Phases::default(),
            client: &CLIENT,
            peer: &CLIENT,
            request_id: b"0123456789abcdef0123456789abcdef",
            method: Some(&Method::GET),
            version: "1.1",
            target: b"/",
            host: b"example.com",
            user_agent: b"",
            referer: b"",
            status: 200,
            request_bytes: 0,
            response_bytes: 5,
            attempts: &[],
            attempts_total: 0,
            notes: &[],
            end: End::Done,
            error: "",
        }
    }

    #[test]
    fn a_host_is_taken_apart() {
        for (host, name, port) in [
            ("example.com", "example.com", None),
            ("example.com:8080", "example.com", Some(8080)),
            ("[::1]", "::1", None),
            ("[::1]:80", "::1", Some(80)),
            ("a:b", "a", None),
            ("", "", None),
        ] {
            let line = Line { host: host.as_bytes(), ..sample() };
            assert_eq!(line.host_and_port(), (name.as_bytes(), port), "{host}");
        }
    }

    #[test]
    fn outcomes_are_short() {
        let shown = |attempt| {
            let mut out = Vec::new();
            outcome(&mut out, attempt);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(AttemptOutcome::Status(502)), "502");
        let refused = ErrorKind::Io(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(shown(AttemptOutcome::Failed(Stage::Connect, refused)), "connect: connection refused");
        assert_eq!(shown(AttemptOutcome::Failed(Stage::Wait, ErrorKind::Timeout)), "wait: timeout");
        assert_eq!(shown(AttemptOutcome::Unfinished), "unfinished");
    }
}
