//! Every wait has an end. These are they.

use std::time::Duration;

/// How long things may take. A lane checks them on a coarse wheel: one fires up to 50 ms late, never early.
///
/// ```
/// let mut timeouts = corelane_engine::Timeouts::default();
/// timeouts.connect = std::time::Duration::from_secs(1);
/// let engine = corelane_engine::Engine::builder().timeouts(timeouts);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// To connect to an endpoint. Then the next is tried; none left: 504. Default 3 s.
    pub connect: Duration,
    /// For the whole head of a request, from its first byte (on a fresh connection: from the accept), however it
    /// trickles in. Then 408, or a silent close if nothing came. Default 10 s.
    pub client_head: Duration,
    /// For the head of a response, from the end of the request; interim responses do not extend it. Then 504.
    /// Default 60 s.
    pub upstream_head: Duration,
    /// Between two pieces of content, and for the progress of a send, on either side. The kernel gives a TCP connection
    /// up (`TCP_USER_TIMEOUT`) whose peer has acknowledged nothing for twice as long, and not before 2 minutes; what a
    /// reload changes of that holds for connections that come afterwards. Default 60 s.
    pub between_bytes: Duration,
    /// For a whole exchange. Default: none.
    pub request: Option<Duration>,
    /// For a client's connection without a request. Default 60 s.
    pub client_idle: Duration,
    /// For a pooled upstream connection; below the 60 to 75 s of common origins. Default 50 s.
    pub upstream_idle: Duration,
    /// Without a byte in either direction of a tunnel. Default 1 h.
    pub tunnel_idle: Duration,
    /// How long `Expect: 100-continue` is honoured once the client's content has begun to come all the same: an
    /// origin that knows no expectations would wait for it for ever. Default 1 s.
    pub expect: Duration,
    /// The rate that the content of a request must keep, in bytes per second, … Default 500.
    pub content_rate_min: u64,
    /// … once so long has passed. It holds for content of known length, before the response begins. Default 5 s.
    pub content_rate_grace: Duration,
    /// For discarding what a client still sends once it has its answer. Default 2 s.
    pub linger: Duration,
    /// And at most so many bytes. Default 64 KiB.
    pub linger_bytes_max: u64,
    /// For exchanges in flight when a drain begins. Default 30 s.
    pub drain_grace: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            client_head: Duration::from_secs(10),
            upstream_head: Duration::from_secs(60),
            between_bytes: Duration::from_secs(60),
            request: None,
            client_idle: Duration::from_secs(60),
            upstream_idle: Duration::from_secs(50),
            tunnel_idle: Duration::from_secs(3600),
            expect: Duration::from_secs(1),
            content_rate_min: 500,
            content_rate_grace: Duration::from_secs(5),
            linger: Duration::from_secs(2),
            linger_bytes_max: 64 << 10,
            drain_grace: Duration::from_secs(30),
        }
    }
}
