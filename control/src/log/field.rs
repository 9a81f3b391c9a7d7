//! What a line of the access log may tell: each field has one name, in JSON and in templates alike.

use super::line::Line;
use corelane_engine::{Address, Attempt};
use std::{
    fmt,
    net::IpAddr,
    str::FromStr,
    time::{Duration, SystemTime},
};

/// The name of a field that tells one note of a handler begins so.
const NOTE: &str = "notes.";

/// One thing that a line may tell. Names are OpenTelemetry's where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// One of the fields that every request has, or may have.
    Of(Known),
    /// A note of the handler's: `notes.user`.
    Note(String),
}

macro_rules! known {
    ($($(#[doc = $doc:literal])* $field:ident = $name:literal,)*) => {
        /// The fields that are known by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Known {
            $($(#[doc = $doc])* $field,)*
        }

        impl Known {
            /// Every field, in the order of a JSON line.
            pub const ALL: &[Self] = &[$(Self::$field,)*];

            /// The name in lines, templates and configurations.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)*
                }
            }
        }
    };
}

known! {
    /// When the request began, in RFC 3339.
    Time = "time",
    /// The same as Apache writes it.
    TimeApache = "time.apache",
    /// The request's id.
    RequestId = "request_id",
    /// The client's address.
    ClientAddress = "client.address",
    /// The client's port.
    ClientPort = "client.port",
    /// The address of the proxy before us, where the client is not the one who has connected.
    PeerAddress = "network.peer.address",
    /// And its port.
    PeerPort = "network.peer.port",
    /// The method.
    Method = "http.request.method",
    /// The target as it came.
    Target = "http.request.target",
    /// The target up to the query.
    Path = "url.path",
    /// The query.
    Query = "url.query",
    /// The host that was asked for.
    ServerAddress = "server.address",
    /// And its port, if it was named.
    ServerPort = "server.port",
    /// `1.1`.
    Version = "network.protocol.version",
    /// `User-Agent`.
    UserAgent = "user_agent.original",
    /// `Referer`.
    Referer = "http.request.header.referer",
    /// The status of the answer.
    Status = "http.response.status_code",
    /// Bytes of the request's content.
    RequestBytes = "http.request.body.size",
    /// Bytes of the response's content.
    ResponseBytes = "http.response.body.size",
    /// All of it, in milliseconds.
    Duration = "duration_ms",
    /// What the head waited for behind others, before the duration begins.
    Queue = "queue_ms",
    /// Receiving and parsing the head, before the duration begins.
    Parse = "parse_ms",
    /// The handler's own time.
    Route = "route_ms",
    /// Connecting.
    Connect = "connect_ms",
    /// From the request out to the response's head.
    Wait = "wait_ms",
    /// From there to the end.
    Transfer = "transfer_ms",
    /// What of connect, wait and transfer was waiting behind other requests of the lane.
    Behind = "behind_ms",
    /// The endpoint that was tried last.
    UpstreamAddress = "upstream.address",
    /// Every attempt, with its endpoint and its outcome.
    Attempts = "attempts",
    /// How many there were, where they are more than are told apart.
    AttemptsTotal = "attempts_total",
    /// Why it ended.
    End = "end",
    /// What went wrong, in words.
    Error = "error",
    /// What the handler noted.
    Notes = "notes",
}

impl Known {
    /// Whether a JSON line has it unless somebody chooses its fields. The others say again what one of these says.
    const fn is_usual(self) -> bool {
        !matches!(self, Self::TimeApache | Self::Target | Self::UpstreamAddress)
    }
}

impl Field {
    /// What a JSON line tells unless somebody chooses.
    pub fn usual() -> Vec<Self> {
        Known::ALL.iter().copied().filter(|field| field.is_usual()).map(Self::Of).collect()
    }

    /// What a line says there.
    pub(crate) fn value<'a>(&self, line: &Line<'a>) -> Value<'a> {
        match self {
            Self::Of(field) => known(*field, line),
            Self::Note(name) => {
                let note = line.notes.iter().find(|(known, _)| known == name);
                note.map_or(Value::Missing, |(_, value)| Value::Text(value.as_bytes()))
            }
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(known) => f.write_str(known.name()),
            Self::Note(name) => write!(f, "{NOTE}{name}"),
        }
    }
}

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Self, UnknownField> {
        if let Some(known) = Known::ALL.iter().find(|known| known.name() == name) {
            return Ok(Self::Of(*known));
        }
        match name.strip_prefix(NOTE) {
            // Such a name needs no escape in any form of a line.
            Some(note)
                if !note.is_empty()
                    && note.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) =>
            {
                Ok(Self::Note(note.to_owned()))
            }
            _ => Err(UnknownField),
        }
    }
}

/// There is no field of that name; [`Known::ALL`] has those that there are, and `notes.NAME` is a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownField;

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no field of the access log")
    }
}

impl std::error::Error for UnknownField {}

/// What a field holds, before it is written in one form or another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Missing,
    /// Whatever came over the network.
    Text(&'a [u8]),
    Number(u64),
    Millis(Duration),
    Time(SystemTime),
    TimeApache(SystemTime),
    Ip(IpAddr),
    Address(&'a Address),
    Attempts(&'a [Attempt]),
    Notes(&'a [(std::borrow::Cow<'static, str>, String)]),
}

fn ip(address: &Address) -> Value<'_> {
    address.ip().map_or(Value::Address(address), |ip| Value::Ip(ip.to_canonical()))
}

/// A port of 0 is one that is not known.
fn port(address: &Address) -> Value<'_> {
    address.port().filter(|port| *port != 0).map_or(Value::Missing, |port| Value::Number(port.into()))
}

fn known<'a>(field: Known, line: &Line<'a>) -> Value<'a> {
    match field {
        Known::Time => Value::Time(line.at),
        Known::TimeApache => Value::TimeApache(line.at),
        Known::RequestId => text(line.request_id),
        Known::ClientAddress => ip(line.client),
        Known::ClientPort => port(line.client),
        Known::PeerAddress | Known::PeerPort if line.peer == line.client => Value::Missing,
        Known::PeerAddress => ip(line.peer),
        Known::PeerPort => port(line.peer),
        Known::Method => line.method.map_or(Value::Missing, |method| text(method.as_str().as_bytes())),
        Known::Target => text(line.target),
        Known::Path => text(line.path_and_query().0),
        Known::Query => text(line.path_and_query().1.unwrap_or_default()),
        Known::ServerAddress => text(line.host_and_port().0),
        Known::ServerPort => line.host_and_port().1.map_or(Value::Missing, |port| Value::Number(port.into())),
        Known::Version => text(line.version.as_bytes()),
        Known::UserAgent => text(line.user_agent),
        Known::Referer => text(line.referer),
        Known::Status if line.status == 0 => Value::Missing,
        Known::Status => Value::Number(line.status.into()),
        Known::RequestBytes => Value::Number(line.request_bytes),
        Known::ResponseBytes => Value::Number(line.response_bytes),
        Known::Duration => Value::Millis(line.duration),
        Known::Queue => Value::Millis(line.phases.queue),
        Known::Parse => Value::Millis(line.phases.parse),
        Known::Route => Value::Millis(line.phases.route),
        Known::Connect => Value::Millis(line.phases.connect),
        Known::Wait => Value::Millis(line.phases.wait),
        Known::Transfer => Value::Millis(line.phases.transfer),
        Known::Behind => Value::Millis(line.phases.behind),
        Known::UpstreamAddress => {
            line.attempts.last().map_or(Value::Missing, |attempt| Value::Address(&attempt.endpoint))
        }
        Known::Attempts => Value::Attempts(line.attempts),
        Known::AttemptsTotal if line.attempts_total as usize > line.attempts.len() => {
            Value::Number(line.attempts_total.into())
        }
        Known::AttemptsTotal => Value::Missing,
        Known::End => text(line.end.as_str().as_bytes()),
        Known::Error => text(line.error.as_bytes()),
        Known::Notes if line.notes.is_empty() => Value::Missing,
        Known::Notes => Value::Notes(line.notes),
    }
}

fn text(text: &[u8]) -> Value<'_> {
    if text.is_empty() { Value::Missing } else { Value::Text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_by_their_names() {
        for known in Known::ALL {
            assert_eq!(known.name().parse(), Ok(Field::Of(*known)));
            assert_eq!(Field::Of(*known).to_string(), known.name());
        }
        assert_eq!("notes.user".parse(), Ok(Field::Note("user".to_owned())));
        for wrong in ["", "notes.", "notes.a b", "notes.a\"", "status", "TIME"] {
            assert_eq!(wrong.parse::<Field>(), Err(UnknownField), "{wrong}");
        }
    }
}
