//! How many clients may be connected: in all, and from one source.

use crate::{
    address::Address,
    io::HashState,
    network::block,
    shared::{
        count::Count,
        sources::{Counted, Sources},
    },
};
use std::{
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How often it is said, at most, that a source has as many connections as it may.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// Clients of all lanes. Whoever comes enters, and leaves; that is a matter of connections, not of requests.
pub(crate) struct Crowd {
    pub(crate) all: Count,
    by_source: Option<BySource>,
}

struct BySource {
    sources: Sources,
    /// Keyed at random, so that nobody outside knows which sources meet.
    hasher: HashState,
    /// When it was said last that one has too many, in nanoseconds.
    said: AtomicU64,
}

/// Its source has as many connections as it may.
pub(crate) struct TooMany {
    pub(crate) connections_max: u64,
    /// It has not been said for a while.
    pub(crate) say: bool,
}

impl Crowd {
    pub(crate) fn new(connections_max: usize, per_source_max: Option<u32>, lanes: usize) -> Self {
        let connections_max = u32::try_from(connections_max).unwrap_or(u32::MAX);
        let by_source = per_source_max.map(|max| BySource {
            sources: Sources::new(connections_max, max.max(1)),
            hasher: HashState::default(),
            said: AtomicU64::new(0),
        });
        Self { all: Count::new(connections_max, lanes), by_source }
    }

    /// Counts a client among those of its source, if that is limited: not on a unix socket.
    pub(crate) fn enter(&self, peer: &Address, now: Duration) -> Result<Option<Counted>, TooMany> {
        let (Some(by_source), Some(ip)) = (&self.by_source, peer.ip()) else { return Ok(None) };
        let hash = by_source.hasher.hash_one(block(ip));
        by_source
            .sources
            .try_take(hash)
            .map(Some)
            .ok_or_else(|| TooMany { connections_max: by_source.sources.max(), say: by_source.may_say(now) })
    }

    /// A client that was counted among those of its source has gone.
    pub(crate) fn leave(&self, counted: Counted) {
        if let Some(by_source) = &self.by_source {
            by_source.sources.put_back(counted);
        }
    }
}

impl BySource {
    fn may_say(&self, now: Duration) -> bool {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let said = self.said.load(Ordering::Relaxed);
        let is_due = said == 0 || nanos(now).saturating_sub(said) >= nanos(SAY_AGAIN);
        // Of several lanes that find it due, one says it.
        is_due
            && self
                .said
                .compare_exchange(said, nanos(now).max(1), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn res_08_a_source_is_one_host_and_is_said_once_a_second() {
        let crowd = Crowd::new(100, Some(2), 1);
        let from = |text: &str| Address::Ip(SocketAddr::new(text.parse().unwrap(), 4711));
        let at = Duration::from_millis;
        let enter =
            |text: &str, now| crowd.enter(&from(text), now).map_err(|full| (full.connections_max, full.say));
        let first = enter("2001:db8::1", at(0)).unwrap().expect("it is counted");
        assert!(enter("2001:db8::ffff:1", at(0)).is_ok());
        assert_eq!(enter("2001:db8::2", at(10)), Err((2, true)));
        assert_eq!(enter("2001:db8::2", at(1000)), Err((2, false)));
        assert_eq!(enter("2001:db8::2", at(1010)), Err((2, true)));
        assert!(enter("2001:db8:0:1::1", at(0)).is_ok(), "another host");
        assert_eq!(crowd.enter(&Address::Unnamed, at(0)).ok(), Some(None));
        crowd.leave(first);
        assert!(enter("2001:db8::2", at(0)).is_ok());
        assert!((0..9).all(|_| Crowd::new(1, None, 1).enter(&from("192.0.2.1"), at(0)).is_ok()), "no limit");
    }
}
