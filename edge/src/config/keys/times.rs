//! How long things may take: for the process, for the requests of a site or of a route, for the endpoints of an
//! upstream.

use super::{Default::Is, Key, Kind, Section, Time, around, key};

const fn time(name: &'static str, default: &'static str, help: &'static str) -> Key {
    key(name, Kind::Time(Time::AboveZero), Is(default), help)
}

const fn time_or_zero(name: &'static str, default: &'static str, help: &'static str) -> Key {
    key(name, Kind::Time(Time::Any), Is(default), help)
}

const fn size(name: &'static str, default: &'static str, help: &'static str) -> Key {
    key(name, Kind::Size { min: 0, max: 1 << 30, none: false }, Is(default), help)
}

const CONNECT: Key = time("connect", "3s", "To connect to an upstream; then the next one is tried, and 504.");
const CLIENT_HEAD: Key = time("client_head", "10s", "For the whole head of a request; then 408.");
const UPSTREAM_HEAD: Key = time(
    "upstream_head",
    "60s",
    "For the head of a response, at each try; then 504, or another try by `retry.on_timeout`.",
);
const BETWEEN_BYTES: Key = time("between_bytes", "60s", "Between two pieces of content, on either side.");
const REQUEST: Key =
    key("request", Kind::Time(Time::OrNone), Is("none"), "For a whole exchange, all tries included.");
const CLIENT_IDLE: Key = time("client_idle", "60s", "For a client's connection without a request.");
const UPSTREAM_IDLE: Key =
    time("upstream_idle", "50s", "For a pooled upstream connection; less than its origin's.");
const TUNNEL_IDLE: Key = time("tunnel_idle", "1h", "For a tunnel without a byte in either direction.");
const EXPECT: Key = time(
    "expect",
    "1s",
    "How long an origin may leave `Expect: 100-continue` unanswered once content comes.",
);
const CONTENT_RATE_MIN: Key =
    size("content_rate_min", "500b", "Bytes per second that the content of a request must keep; then 408.");
const CONTENT_RATE_GRACE: Key =
    time_or_zero("content_rate_grace", "5s", "How long it may be slower at first.");
const LINGER: Key = time_or_zero("linger", "2s", "For what a client still sends once it has its answer.");
const LINGER_MAX: Key = size("linger_max", "64k", "And at most so much of it.");
const DRAIN_GRACE: Key = time_or_zero("drain_grace", "30s", "For requests in flight when a drain begins.");

const EXAMPLE: &str = "{ connect = \"3s\" }";

pub(crate) static TIMEOUTS: Section = Section {
    name: "[timeouts]",
    help: "How long things may take; one fires up to 50 ms late, never early.",
    example: EXAMPLE,
    keys: &[
        CONNECT,
        CLIENT_HEAD,
        UPSTREAM_HEAD,
        BETWEEN_BYTES,
        REQUEST,
        CLIENT_IDLE,
        UPSTREAM_IDLE,
        TUNNEL_IDLE,
        EXPECT,
        CONTENT_RATE_MIN,
        CONTENT_RATE_GRACE,
        LINGER,
        LINGER_MAX,
        DRAIN_GRACE,
    ],
};

pub(crate) static OF_SITE: Section = Section {
    name: "timeouts of a site",
    help: "In the place of those at the top level. `client_head`, `client_idle`, `linger` and `linger_max` are an address's: \
           sites that share one say the same.",
    example: EXAMPLE,
    keys: &[
        around(CONNECT),
        around(CLIENT_HEAD),
        around(UPSTREAM_HEAD),
        around(BETWEEN_BYTES),
        around(REQUEST),
        around(CLIENT_IDLE),
        around(TUNNEL_IDLE),
        around(EXPECT),
        around(CONTENT_RATE_MIN),
        around(CONTENT_RATE_GRACE),
        around(LINGER),
        around(LINGER_MAX),
    ],
};

pub(crate) static OF_ROUTE: Section = Section {
    name: "timeouts of a route",
    help: "In the place of those of its upstream, of its site and of the top level.",
    example: EXAMPLE,
    keys: &[
        around(CONNECT),
        around(UPSTREAM_HEAD),
        around(BETWEEN_BYTES),
        around(REQUEST),
        around(UPSTREAM_IDLE),
        around(TUNNEL_IDLE),
        around(EXPECT),
        around(CONTENT_RATE_MIN),
        around(CONTENT_RATE_GRACE),
    ],
};

pub(crate) static OF_UPSTREAM: Section = Section {
    name: "timeouts of an upstream",
    help: "In the place of those of the site and of the top level.",
    example: EXAMPLE,
    keys: &[
        around(CONNECT),
        around(UPSTREAM_HEAD),
        around(BETWEEN_BYTES),
        around(UPSTREAM_IDLE),
        around(TUNNEL_IDLE),
        around(EXPECT),
    ],
};
