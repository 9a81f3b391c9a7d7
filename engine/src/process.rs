//! What all lanes of one engine have in common.

use crate::{
    config::Config,
    crowd::Crowd,
    engine::available_cpus,
    io::{Map, clock::Clock},
    overload::Gauge,
    shared::{board::Board, desk::Desk, limit::Limit, workers::Workers},
    sink::Event,
    upstream::Peer,
};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, Weak},
};

#[expect(
    clippy::disallowed_types,
    reason = "taken when a lane meets a peer or a cluster for the first time, never for a request that knows its own"
)]
type Registry<K, V> = std::sync::Mutex<Map<K, Weak<V>>>;

/// What all lanes of one engine have in common.
pub(crate) struct Process {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) crowd: Crowd,
    /// How short the process is of what it needs.
    pub(crate) gauge: Gauge,
    /// One for each lane.
    pub(crate) desks: Vec<Desk>,
    boards: Registry<Peer, Board>,
    limits: Registry<Arc<str>, Limit>,
    pub(crate) workers: Workers,
}

impl Process {
    pub(crate) fn new(config: Config, lanes: usize) -> io::Result<Self> {
        let desks = (0..lanes).map(|_| Desk::new()).collect::<io::Result<_>>()?;
        let crowd = Crowd::new(config.connections_max, config.connections_per_source_max, lanes);
        Ok(Self {
            config,
            crowd,
            gauge: Gauge::default(),
            clock: Clock::start(),
            desks,
            boards: Registry::default(),
            limits: Registry::default(),
            workers: Workers::new((available_cpus() / 2).clamp(2, 4)),
        })
    }

    pub(crate) fn lanes(&self) -> usize {
        self.desks.len()
    }

    /// Tells whoever runs the engine. What goes wrong there is none of a lane's business.
    pub(crate) fn event(&self, event: &Event) {
        if let Some(hook) = &self.config.event {
            let _ = catch_unwind(AssertUnwindSafe(|| hook(event)));
        }
    }

    /// Where lanes show what they have of this peer.
    pub(crate) fn board(&self, peer: &Peer) -> Arc<Board> {
        find_or_make(&self.boards, peer, || Board::new(self.lanes()))
    }

    /// The connection maximum of the cluster with this name, as it is if it is known.
    pub(crate) fn limit(&self, name: &Arc<str>, connections_max: u32, queue_max: u32) -> Arc<Limit> {
        find_or_make(&self.limits, name, || Limit::new(connections_max, queue_max, self.lanes()))
    }

    /// A lane has ended; what it had is free again.
    pub(crate) fn forget_lane(&self, lane: usize) {
        self.crowd.all.forget_lane(lane);
        let boards = self.boards.lock().unwrap_or_else(PoisonError::into_inner);
        boards.values().filter_map(Weak::upgrade).for_each(|board| board.show(lane, 0));
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.values().filter_map(Weak::upgrade).for_each(|limit| limit.forget_lane(lane));
    }
}

fn find_or_make<K: Clone + Eq + std::hash::Hash, V>(
    registry: &Registry<K, V>,
    key: &K,
    make: impl FnOnce() -> V,
) -> Arc<V> {
    let mut registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = registry.get(key).and_then(Weak::upgrade) {
        return found;
    }
    // Whatever nobody holds any more goes before more room is made.
    if registry.len() == registry.capacity() {
        registry.retain(|_, entry| entry.strong_count() > 0);
    }
    let made = Arc::new(make());
    registry.insert(key.clone(), Arc::downgrade(&made));
    made
}
