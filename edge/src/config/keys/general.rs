//! What concerns the process: lanes, logs, times, limits; and upstreams that have names.

use super::{
    Default::{Is, Required, Words},
    Key, Kind, NOTHING, Section, Time, form, key, route, site,
};

const TO: Kind = Kind::Endpoints(&ENDPOINT);
pub(super) const BALANCE: Kind = Kind::Choice {
    built: &["round-robin", "random", "least-request"],
    not_built: &["p2c", "hash", "sticky", "peak-ewma", "first"],
};

pub(crate) static TOP: Section = Section {
    name: "the top level",
    help: "The file itself.",
    example: "{ site = [{ route = [{ to = [\"127.0.0.1:9001\"] }] }] }",
    keys: &[
        key(
            "lanes",
            Kind::Count { min: 1, max: 1024 },
            Is("1"),
            "Threads that serve, each with an event loop of its own.",
        ),
        key(
            "driver",
            Kind::Choice { built: &["auto", "uring", "epoll"], not_built: &[] },
            Is("auto"),
            "The event loop: io_uring where the kernel grants it, or one of the two.",
        ),
        key(
            "content_max",
            Kind::Size { min: 0, max: 1 << 50, none: true },
            Is("1g"),
            "The most content that a request may have; more is answered with 413.",
        ),
        key(
            "include",
            Kind::OneOrTexts(form("a path or a pattern, beside this file", "conf.d/*.toml")),
            NOTHING,
            "Files that are read as if they stood here, sorted by name.",
        ),
        key("admin", Kind::Table(&ADMIN), NOTHING, "Where operators look."),
        key("log", Kind::Table(&LOG), NOTHING, "The access log."),
        key("timeouts", Kind::Table(&TIMEOUTS), NOTHING, "How long things may take."),
        key("limits", Kind::Table(&LIMITS), NOTHING, "How large things may be."),
        key("site", Kind::Tables(&site::SITE), Required, "What is served."),
        key(
            "upstream",
            Kind::Named { name: "names", section: &UPSTREAM },
            NOTHING,
            "Upstreams with a name, for routes that share one.",
        ),
        key(
            "tls",
            Kind::NotBuilt("put a TLS terminator in front of it until then"),
            NOTHING,
            "TLS for every site.",
        ),
        key(
            "trusted_proxies",
            Kind::NotBuilt("the peer's address is the client's until then"),
            NOTHING,
            "Proxies whose word on the client's address is taken.",
        ),
    ],
};

pub(crate) static ADMIN: Section = Section {
    name: "[admin]",
    help: "`/livez`, `/readyz`, `/metrics`, `/stats.json`.",
    example: "{ listen = \"127.0.0.1:9090\" }",
    keys: &[key(
        "listen",
        Kind::Text(form("HOST:PORT or unix:PATH", "127.0.0.1:9090")),
        Words("off"),
        "Where the admin server listens.",
    )],
};

pub(crate) static LOG: Section = Section {
    name: "[log]",
    help: "The access log: a line for each request.",
    example: "{ access = \"stdout\", format = \"json\" }",
    keys: &[
        key(
            "access",
            Kind::Text(form("stdout, off, or a path", "stdout")),
            Is("stdout"),
            "Where its lines go.",
        ),
        key(
            "format",
            Kind::Choice { built: &["json", "combined"], not_built: &["template"] },
            Is("json"),
            "How they look.",
        ),
    ],
};

const fn time(name: &'static str, default: &'static str, help: &'static str) -> Key {
    key(name, Kind::Time(Time::AboveZero), Is(default), help)
}

pub(crate) static TIMEOUTS: Section = Section {
    name: "[timeouts]",
    help: "How long things may take; one fires up to 50 ms late, never early.",
    example: "{ connect = \"3s\" }",
    keys: &[
        time("connect", "3s", "To connect to an upstream; then the next one is tried, and 504."),
        time("client_head", "10s", "For the whole head of a request; then 408."),
        time("upstream_head", "60s", "For the head of a response; then 504."),
        time("between_bytes", "60s", "Between two pieces of content, on either side."),
        key("request", Kind::Time(Time::OrNone), Is("none"), "For a whole exchange."),
        time("client_idle", "60s", "For a client's connection without a request."),
        time("upstream_idle", "50s", "For a pooled upstream connection; less than its origin's."),
        time("tunnel_idle", "1h", "For a tunnel without a byte in either direction."),
        time(
            "expect",
            "1s",
            "How long an origin may leave `Expect: 100-continue` unanswered once content comes.",
        ),
        key(
            "content_rate_min",
            Kind::Size { min: 0, max: 1 << 30, none: false },
            Is("500b"),
            "Bytes per second that the content of a request must keep; then 408.",
        ),
        key("content_rate_grace", Kind::Time(Time::Any), Is("5s"), "How long it may be slower at first."),
        key(
            "linger",
            Kind::Time(Time::Any),
            Is("2s"),
            "For what a client still sends once it has its answer.",
        ),
        key(
            "linger_max",
            Kind::Size { min: 0, max: 1 << 30, none: false },
            Is("64k"),
            "And at most so much of it.",
        ),
        key("drain_grace", Kind::Time(Time::Any), Is("30s"), "For requests in flight when a drain begins."),
    ],
};

const fn size(name: &'static str, max: u64, default: &'static str, help: &'static str) -> Key {
    key(name, Kind::Size { min: 1, max, none: false }, Is(default), help)
}

const fn count(name: &'static str, max: u64, default: &'static str, help: &'static str) -> Key {
    key(name, Kind::Count { min: 1, max }, Is(default), help)
}

pub(crate) static LIMITS: Section = Section {
    name: "[limits]",
    help: "How large things may be. Each is checked before anything is allocated for it.",
    example: "{ request_head_max = \"32k\" }",
    keys: &[
        key(
            "connections_max",
            Kind::Count { min: 1, max: 1 << 24 },
            Words("what the limit on descriptors allows, at two for each, less 128"),
            "Client connections of all lanes; those beyond wait in the kernel's queue.",
        ),
        size("request_line_max", 64 << 10, "8k", "Request line; then 414."),
        size("method_max", 256, "32b", "Method; then 400."),
        size("request_head_max", 64 << 10, "32k", "Head of a request; then 431."),
        count("request_fields_max", 1024, "128", "Fields in it; then 431."),
        size("response_head_max", 64 << 10, "64k", "Head of a response; then 502."),
        count("response_fields_max", 1024, "256", "Fields in it; then 502."),
        size("trailer_max", 64 << 10, "4k", "Trailer section; then 431."),
        count("trailer_fields_max", 1024, "16", "Fields in it."),
        size("chunk_extension_max", 64 << 10, "1k", "Chunk extensions of one message: so much, ..."),
        size("chunk_extension_per_chunk_max", 1 << 10, "16b", "... and so much more for each chunk."),
        count("interim_responses_max", 1024, "16", "Interim (1xx) responses before the final one; then 502."),
        key(
            "leading_empty_lines_max",
            Kind::Count { min: 0, max: 16 },
            Is("2"),
            "Empty lines before a request line that are overlooked.",
        ),
        key(
            "connections_per_source_max",
            Kind::NotBuilt("limit connections in the firewall until then"),
            NOTHING,
            "Client connections from one address.",
        ),
    ],
};

pub(crate) static UPSTREAM: Section = Section {
    name: "[upstream.NAME]",
    help: "Endpoints that serve the same thing.",
    example: "{ to = [\"10.0.0.1:8080\"] }",
    keys: &[
        key("to", TO, Required, "The endpoints; a name with several addresses is that many endpoints."),
        key("balance", BALANCE, Is("round-robin"), "How one of them is chosen."),
        key("check", Kind::NotBuilt(route::NO_CHECK), NOTHING, "Health checks."),
        key(
            "tls",
            Kind::NotBuilt("origins are spoken to in clear text until then"),
            NOTHING,
            "TLS to the endpoints.",
        ),
        key(
            "connections_max",
            Kind::NotBuilt("let the origin limit its connections until then"),
            NOTHING,
            "Connections to the endpoints.",
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
        key("weight", Kind::Count { min: 1, max: 65_535 }, Is("1"), "Its share of the requests."),
    ],
};
