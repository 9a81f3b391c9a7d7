//! Upstreams, and how one of their endpoints is chosen.

use super::{
    Default::{Is, Required, Words},
    Key, Kind, NOTHING, Section, Time, count, form, key, limits, retry, route, times,
};

pub(super) const TO: Kind = Kind::Endpoints(&ENDPOINT);
pub(super) const BALANCE: Kind = Kind::Choice {
    built: &["round-robin", "random", "least-request", "p2c"],
    not_built: &["sticky", "peak-ewma", "first"],
    open: Some(form("hash:client, hash:path, hash:header:NAME or hash:cookie:NAME", "hash:cookie:session")),
};

pub(super) const CONNECTIONS_MAX: Key = key(
    "connections_max",
    count(1, 1 << 24),
    NOTHING,
    "The most connections to all endpoints together, of all lanes; requests that find none wait.",
);
pub(super) const SOURCE: Key = key(
    "source",
    Kind::Text(form("an address of this machine", "10.0.0.1")),
    Words("what the system thinks best"),
    "Where connections come from, as the endpoints see it.",
);
pub(super) const QUEUE_KEY: Key =
    key("queue", Kind::Table(&QUEUE), NOTHING, "What happens to requests that find no connection.");

pub(crate) static QUEUE: Section = Section {
    name: "queue",
    help: "What happens to requests that find `connections_max` connections in use; others get 503.",
    example: "{ requests_max = 1024, wait = \"1s\" }",
    keys: &[
        key("requests_max", count(0, 1 << 20), Is("1024"), "How many may wait, of all lanes together."),
        key("wait", Kind::Time(Time::AboveZero), Is("1s"), "For how long."),
    ],
};

pub(crate) static UPSTREAM: Section = Section {
    name: "[upstream.NAME]",
    help: "Endpoints that serve the same thing.",
    example: "{ to = [\"10.0.0.1:8080\"] }",
    keys: &[
        key("to", TO, Required, "The endpoints; a name with several addresses is that many endpoints."),
        key("balance", BALANCE, Is("round-robin"), "How one of them is chosen."),
        CONNECTIONS_MAX,
        QUEUE_KEY,
        SOURCE,
        key("timeouts", Kind::Table(&times::OF_UPSTREAM), NOTHING, "How long they may take."),
        key(
            "limits",
            Kind::Table(&limits::OF_RESPONSES),
            NOTHING,
            "How large their responses' heads may be.",
        ),
        key("retry", Kind::Table(&retry::AROUND), NOTHING, "When an attempt is followed by another."),
        key("check", Kind::NotBuilt(route::NO_CHECK), NOTHING, "Health checks."),
        key(
            "tls",
            Kind::NotBuilt("origins are spoken to in clear text until then"),
            NOTHING,
            "TLS to the endpoints.",
        ),
        key(
            "proxy_protocol",
            Kind::NotBuilt("endpoints learn the client from `X-Forwarded-For` and `Forwarded` until then"),
            NOTHING,
            "Whether endpoints get a PROXY protocol header.",
        ),
    ],
};

pub(crate) static ENDPOINT: Section = Section {
    name: "an endpoint",
    help: "An endpoint with a weight; one without is a string.",
    example: "{ address = \"10.0.0.1:8080\", weight = 3 }",
    keys: &[
        key(
            "address",
            Kind::Text(form("HOST:PORT or unix:PATH", "10.0.0.1:8080")),
            Required,
            "Where it listens.",
        ),
        key("weight", count(1, 65_535), Is("1"), "Its share of the requests."),
    ],
};
