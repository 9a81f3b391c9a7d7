//! What an exchange is held to: sizes, times, and when it is tried again.

use crate::{network::Network, timeouts::Timeouts};
use corelane_balancer::retry::RetryPolicy;
use corelane_codec::{Limits, trail::Trail};
use std::{net::IpAddr, sync::Arc};

/// What exchanges are held to. A [builder](crate::Builder::settings) has one for all listeners, a
/// [listener](crate::Builder::serve_with) may have its own, and a handler may give an exchange
/// [others](crate::Request::set_settings), such as those of its route, once it has seen the head.
///
/// ```
/// let mut settings = corelane_engine::Settings::default();
/// settings.content_bytes_max = Some(1 << 20);
/// settings.timeouts.upstream_head = std::time::Duration::from_secs(5);
/// let engine = corelane_engine::Engine::builder().settings(settings);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How large the parts of a message may be. Of a request's head they are the listener's; whatever a handler sets
    /// holds for what comes after it.
    pub limits: Limits,
    /// How long things may take. Those before the head of a request has come are the listener's.
    pub timeouts: Timeouts,
    /// When a failed attempt may be followed by another.
    pub retry: RetryPolicy,
    /// How many of a cluster's requests may be tried again, in per cent: with more that fail, each lane gives the failure to
    /// the client instead, so that an origin in trouble is not asked twice as often because of it. Ten at once, and one in
    /// each second, are always there; attempts that reached no origin cost nothing. Default 20.
    pub retry_budget_percent: u16,
    /// The most content that a request may have, in bytes; more is a 413. Default: no limit.
    pub content_bytes_max: Option<u64>,
    /// Content of a request that is kept for another attempt, in bytes; with more it cannot be tried again once it
    /// has been sent. Default 64 KiB.
    pub replay_bytes_max: usize,
    /// Whether a client that ends its half of the connection behind a complete request counts as gone, and work at the
    /// origin is cancelled. By the standard it may do so and still wait for the answer (RFC 9112 §9.6), but hardly any
    /// client does, and most that are seen to end have been closed. Default: no.
    pub abort_on_half_close: bool,
    /// Proxies before us whose word is taken: a request of theirs is their [client's](crate::Request::client_ip), and
    /// what they say of the way that it took is passed on. They are always the listener's. Default: nobody.
    pub trusted_proxies: Arc<[Network]>,
    /// The list that these proxies keep, and that is believed; the other one may be anybody's invention. It is always
    /// the listener's. Default: `X-Forwarded-For`.
    pub trail: Trail,
}

impl Settings {
    /// Whether this is a proxy whose word is taken; `None`: one on a unix socket.
    pub(crate) fn trusts(&self, who: Option<IpAddr>) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(who))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            retry_budget_percent: 20,
            content_bytes_max: None,
            replay_bytes_max: 64 << 10,
            abort_on_half_close: false,
            trusted_proxies: Arc::default(),
            trail: Trail::default(),
        }
    }
}
