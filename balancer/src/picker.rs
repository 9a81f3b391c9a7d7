//! The picker: which endpoint next.

use std::fmt;
use std::time::Duration;

use crate::choose::Custom;
use crate::endpoint::Endpoint;
use crate::least_request::LeastRequest;
use crate::p2c::P2c;
use crate::random::Random;
use crate::rendezvous::Rendezvous;
use crate::round_robin::RoundRobin;
use crate::weighted::Weighted;
use crate::{Candidates, EndpointId, Policy, Rng, Tried};

/// The most endpoints that one picker holds: 65,536. A pick may visit each of them.
pub const ENDPOINTS_MAX: usize = 1 << 16;

/// How long an endpoint stays suspect after a connect to it failed: 1 s.
///
/// Long enough that a dead endpoint costs each lane about one connect a second and not one per request; short
/// enough that one which restarts is back before anybody looks. Health checks, which know more, come on top.
pub const SUSPECT: Duration = Duration::from_secs(1);

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A response that was not judged bad, to its end.
    Success,
    /// A response that was judged bad, or none, or one that died under way. By itself it doesn't make the
    /// endpoint suspect: a request can be at fault too.
    Failure,
    /// Nothing was sent, because the connect failed. The endpoint is suspect for [`SUSPECT`].
    Unreachable,
    /// The client went away. This says nothing about the endpoint.
    Cancelled,
}

/// Why a list of weights is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidWeights {
    /// There are endpoints, and each has a weight of 0.
    AllZero,
    /// The weights sum to more than `u32::MAX`.
    SumOverflow,
    /// There are more than [`ENDPOINTS_MAX`].
    TooMany,
}

impl fmt::Display for InvalidWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllZero => f.write_str("every endpoint has a weight of 0"),
            Self::SumOverflow => write!(f, "the weights sum to more than {}", u32::MAX),
            Self::TooMany => write!(f, "there are more than {ENDPOINTS_MAX} endpoints"),
        }
    }
}

impl std::error::Error for InvalidWeights {}

/// Picks the endpoint for each attempt, and counts what is in flight.
///
/// It belongs to one lane. Every endpoint that [`pick`](Self::pick) gives is in flight until it is handed to
/// [`done`](Self::done), which must happen exactly once.
#[derive(Debug)]
pub struct Picker {
    endpoints: Vec<Endpoint>,
    chooser: Chooser,
}

/// A [`Policy`] with its state.
#[derive(Debug)]
enum Chooser {
    RoundRobin(RoundRobin),
    Weighted(Weighted),
    Random(Random),
    LeastRequest(LeastRequest),
    P2c(P2c),
    Hash(Rendezvous),
    Custom(Custom),
}

impl Picker {
    /// A picker over one endpoint per weight, none of them in flight or suspect.
    ///
    /// Weights are relative to each other and sum to at most `u32::MAX`; 0 means that the endpoint gets
    /// nothing. The list may be empty: then there is never anything to pick. Give each lane a `seed` of its
    /// own, so that lanes start at different endpoints; near ones (0, 1, 2…) are as good as others.
    ///
    /// # Errors
    /// When there are endpoints and all weights are 0, when the sum overflows, or when there are more than
    /// [`ENDPOINTS_MAX`].
    pub fn new(policy: Policy, weights: &[u32], seed: u64) -> Result<Self, InvalidWeights> {
        let endpoints: Vec<_> = weights.iter().copied().zip(0..).collect();
        Self::with_identities(policy, &endpoints, seed)
    }

    /// The same over endpoints that are each a weight and an identity: what the endpoint is, wherever it stands
    /// in the list, such as [`hash_bytes`](crate::hash_bytes) of its name or address.
    ///
    /// [`Policy::Hash`] needs them, so that keys stay where they are when the list changes; with
    /// [`new`](Self::new) an endpoint is no more than its place in the list. One that is listed twice counts as
    /// two.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use corelane_balancer::{Picker, Policy, Rng, Tried, hash_bytes};
    ///
    /// let address_for = |session: &str, addresses: &[&'static str]| {
    ///     let endpoints: Vec<_> = addresses.iter().map(|name| (1, hash_bytes(name.as_bytes()))).collect();
    ///     let mut picker = Picker::with_identities(Policy::Hash, &endpoints, 0)?;
    ///     let key = hash_bytes(session.as_bytes());
    ///     let id = picker.pick(key, Duration::ZERO, &mut Rng::new(0), &Tried::default());
    ///     Ok::<_, corelane_balancer::InvalidWeights>(addresses[id.expect("there are endpoints").index()])
    /// };
    /// let before = address_for("alice", &["10.0.0.1:80", "10.0.0.2:80"])?;
    /// assert_eq!(address_for("alice", &["10.0.0.2:80", "10.0.0.1:80"])?, before);
    /// let after = address_for("alice", &["10.0.0.3:80", "10.0.0.1:80", "10.0.0.2:80"])?;
    /// assert!(after == before || after == "10.0.0.3:80");
    /// # Ok::<(), corelane_balancer::InvalidWeights>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_identities(
        policy: Policy,
        endpoints: &[(u32, u64)],
        seed: u64,
    ) -> Result<Self, InvalidWeights> {
        let weights: Vec<u32> = endpoints.iter().map(|(weight, _)| *weight).collect();
        Self::check(&weights)?;
        let idle = |&(weight, identity): &(u32, u64)| Endpoint {
            weight,
            in_flight: 0,
            suspect_until: Duration::ZERO,
            identity,
        };
        let chooser = match policy {
            Policy::RoundRobin => Chooser::RoundRobin(RoundRobin::new(weights.len(), seed)),
            Policy::WeightedRoundRobin => Chooser::Weighted(Weighted::new(&weights, seed)),
            Policy::Random => Chooser::Random(Random::new(&weights)),
            Policy::LeastRequest => Chooser::LeastRequest(LeastRequest::new(&weights, seed)),
            Policy::P2c => Chooser::P2c(P2c::new(&weights)),
            Policy::Hash => Chooser::Hash(Rendezvous::new(endpoints)),
            Policy::Custom(factory) => Chooser::Custom(Custom::new(factory)),
        };
        Ok(Self { endpoints: endpoints.iter().map(idle).collect(), chooser })
    }

    /// Whether a picker can be built from these weights: makes nothing, and calls no [`Factory`](crate::Factory).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn check(weights: &[u32]) -> Result<(), InvalidWeights> {
        if weights.len() > ENDPOINTS_MAX {
            return Err(InvalidWeights::TooMany);
        }
        let sum = weights.iter().try_fold(0_u32, |sum, &weight| sum.checked_add(weight));
        match sum {
            None => Err(InvalidWeights::SumOverflow),
            Some(0) if !weights.is_empty() => Err(InvalidWeights::AllZero),
            Some(_) => Ok(()),
        }
    }

    /// The endpoint for the next attempt, which from now on counts as in flight.
    ///
    /// Never one in `tried`, nor one with a weight of 0. A suspect one only when there is no other: a guess
    /// beats an error. `None` when nothing is left, or when a [`Policy::Custom`] says so; then nothing was
    /// counted.
    ///
    /// `key` says what the request belongs to (a client, a session), for [`Policy::Hash`] and
    /// [`Policy::Custom`]; the others ignore it. `now` is the time since the caller's epoch. Only
    /// [`Policy::Random`], [`Policy::P2c`] and [`Policy::Custom`] draw from `rng`.
    #[must_use = "what was picked is in flight until `done`"]
    pub fn pick(&mut self, key: u64, now: Duration, rng: &mut Rng, tried: &Tried) -> Option<EndpointId> {
        let mut candidates = Candidates { endpoints: &self.endpoints, tried, cleared_by: now };
        if candidates.is_empty() {
            candidates.cleared_by = Duration::MAX;
        }
        let picked = match &mut self.chooser {
            Chooser::RoundRobin(round_robin) => round_robin.pick(&candidates),
            Chooser::Weighted(weighted) => weighted.pick(&candidates),
            Chooser::Random(random) => random.pick(&candidates, rng),
            Chooser::LeastRequest(least_request) => least_request.pick(&candidates),
            Chooser::P2c(p2c) => p2c.pick(&candidates, rng),
            Chooser::Hash(rendezvous) => rendezvous.pick(&candidates, key),
            Chooser::Custom(custom) => custom.pick(&candidates, key, now, rng),
        }?;
        let in_flight = &mut self.endpoints[picked].in_flight;
        *in_flight = in_flight.saturating_add(1);
        Some(EndpointId::new(picked as u32))
    }

    /// Ends an attempt at `id` that was picked before.
    ///
    /// `latency` is the time from the pick to the first byte of the response, or to the failure; only a
    /// [`Policy::Custom`] reads it. `now` is the time since the caller's epoch.
    ///
    /// Only time ends a suspicion, never a success: an origin that drains refuses connects while it goes on
    /// answering on the connections that it has. An `id` that is out of range, or not in flight, is ignored
    /// but for that suspicion.
    pub fn done(&mut self, id: EndpointId, outcome: Outcome, latency: Duration, now: Duration) {
        let endpoint = self.endpoints.get_mut(id.index());
        if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.in_flight > 0) {
            endpoint.in_flight -= 1;
            if let Chooser::Custom(custom) = &mut self.chooser {
                custom.done(id, outcome, latency, now);
            }
        }
        match outcome {
            Outcome::Unreachable => self.suspect(id, now),
            Outcome::Success | Outcome::Failure | Outcome::Cancelled => {}
        }
    }

    /// Makes `id` suspect until `now` + [`SUSPECT`]: another lane could not reach it. An `id` that is out of
    /// range is ignored.
    pub fn suspect(&mut self, id: EndpointId, now: Duration) {
        if let Some(endpoint) = self.endpoints.get_mut(id.index()) {
            endpoint.suspect_until = endpoint.suspect_until.max(now.saturating_add(SUSPECT));
        }
    }

    /// Whether `id` is suspect at `now`. False when it is out of range.
    pub fn is_suspect(&self, id: EndpointId, now: Duration) -> bool {
        self.endpoints.get(id.index()).is_some_and(|endpoint| now < endpoint.suspect_until)
    }

    /// How many attempts at `id` were picked and are not done. 0 when it is out of range.
    pub fn in_flight(&self, id: EndpointId) -> u32 {
        self.endpoints.get(id.index()).map_or(0, |endpoint| endpoint.in_flight)
    }

    /// How many endpoints there are, those with a weight of 0 included.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether there are no endpoints.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }
}
