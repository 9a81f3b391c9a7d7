//! The door for policies of one's own.

use std::fmt;
use std::time::Duration;

use crate::policy::Factory;
use crate::{Candidates, EndpointId, Outcome, Rng};

/// A policy of one's own, with its state: see [`Policy::custom`](crate::Policy::custom).
///
/// It belongs to one lane and one cluster, so it needs neither `Send` nor locks. It is called on the path of
/// each request: it should not block and should not allocate. Counting what is in flight, and steering clear of
/// suspects and of what was tried, is done for it.
///
/// ```
/// use std::time::Duration;
///
/// use corelane_balancer::{Candidates, Choose, EndpointId, Picker, Policy, Rng, Tried};
///
/// /// The first in the list that has fewer than `in_flight_max` under way.
/// struct FillUp {
///     in_flight_max: u32,
/// }
///
/// impl Choose for FillUp {
///     fn choose(
///         &mut self,
///         candidates: &Candidates<'_>,
///         _key: u64,
///         _now: Duration,
///         _rng: &mut Rng,
///     ) -> Option<EndpointId> {
///         let mut with_room = candidates.iter().filter(|one| one.in_flight() < self.in_flight_max);
///         with_room.next().map(|one| one.id())
///     }
/// }
///
/// let policy = Policy::custom(|| FillUp { in_flight_max: 2 });
/// let mut picker = Picker::new(policy, &[1, 1], 0)?;
/// let (mut rng, now) = (Rng::new(0), Duration::ZERO);
/// let mut pick = || picker.pick(0, now, &mut rng, &Tried::default()).map(EndpointId::index);
/// assert_eq!([pick(), pick(), pick(), pick(), pick()], [Some(0), Some(0), Some(1), Some(1), None]);
/// # Ok::<(), corelane_balancer::InvalidWeights>(())
/// ```
pub trait Choose: 'static {
    /// One of the candidates, of which there is at least one: it counts as in flight from now on. `None` when
    /// none of them should have the request: then nothing is picked, and nobody else is asked.
    ///
    /// Suspect endpoints are among the candidates only when there are no others. An answer that isn't among the
    /// candidates counts as `None`. `key`, `now` and `rng` are those that
    /// [`Picker::pick`](crate::Picker::pick) was called with.
    fn choose(
        &mut self,
        candidates: &Candidates<'_>,
        key: u64,
        now: Duration,
        rng: &mut Rng,
    ) -> Option<EndpointId>;

    /// An attempt at `id` has ended: called exactly once for each endpoint that was chosen, with what
    /// [`Picker::done`](crate::Picker::done) was called with. Does nothing unless it is overridden.
    fn done(&mut self, id: EndpointId, outcome: Outcome, latency: Duration, now: Duration) {
        let _ = (id, outcome, latency, now);
    }
}

/// So that one factory can make different ones.
impl<C: Choose + ?Sized> Choose for Box<C> {
    fn choose(
        &mut self,
        candidates: &Candidates<'_>,
        key: u64,
        now: Duration,
        rng: &mut Rng,
    ) -> Option<EndpointId> {
        (**self).choose(candidates, key, now, rng)
    }

    fn done(&mut self, id: EndpointId, outcome: Outcome, latency: Duration, now: Duration) {
        (**self).done(id, outcome, latency, now);
    }
}

/// One that a factory made.
pub(crate) struct Custom {
    factory: Factory,
    choose: Box<dyn Choose>,
}

impl Custom {
    pub(crate) fn new(factory: Factory) -> Self {
        Self { choose: factory.make(), factory }
    }

    pub(crate) fn pick(
        &mut self,
        candidates: &Candidates<'_>,
        key: u64,
        now: Duration,
        rng: &mut Rng,
    ) -> Option<usize> {
        if candidates.is_empty() {
            return None;
        }
        let chosen = self.choose.choose(candidates, key, now, rng)?;
        candidates.contains(chosen).then_some(chosen.index())
    }

    pub(crate) fn done(&mut self, id: EndpointId, outcome: Outcome, latency: Duration, now: Duration) {
        self.choose.done(id, outcome, latency, now);
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.factory.fmt(f)
    }
}
