//! How long things may take.

use super::{Default::Is, Key, Kind, Section, Time, key};

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
