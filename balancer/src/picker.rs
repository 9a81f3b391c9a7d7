//! The picker: which endpoint next.

use std::fmt;
use std::time::Duration;

use crate::endpoint::{Candidates, Endpoint};
use crate::least_request::LeastRequest;
use crate::random::Random;
use crate::round_robin::RoundRobin;
use crate::weighted::Weighted;
use crate::{EndpointId, Rng, Tried};

/// The most endpoints that one picker holds: 65,536. A pick may visit each of them.
pub const ENDPOINTS_MAX: usize = 1 << 16;

/// How long an endpoint stays suspect after a connect to it failed: 1 s.
///
/// Long enough that a dead endpoint costs each lane about one connect a second and not one per request; short
/// enough that one which restarts is back before anybody looks. Health checks, which know more, come on top.
pub const SUSPECT: Duration = Duration::from_secs(1);

/// How requests are spread over endpoints. A weight of 0 means "gets nothing" to all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Each in turn, whatever its weight. The default. The first is chosen by the seed.
    #[default]
    RoundRobin,
    /// In proportion to weight, and evenly interleaved: nginx's smooth weighted round robin
    /// (`ngx_http_upstream_get_peer`). While none is passed over, shares are exact over each cycle: as many
    /// picks as the sum of the weights divided by their greatest common divisor. The phase is chosen by the
    /// seed.
    WeightedRoundRobin,
    /// By chance, in proportion to weight. Lanes, and processes, that know nothing of each other cannot fall
    /// into step.
    Random,
    /// The least in flight divided by weight, as nginx's `least_conn` does it. Ties are broken by round robin,
    /// in proportion to weight. Good where some requests take much longer than others.
    LeastRequest,
}

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
#[derive(Clone, Debug)]
pub struct Picker {
    endpoints: Vec<Endpoint>,
    chooser: Chooser,
}

/// A [`Policy`] with its state.
#[derive(Clone, Debug)]
enum Chooser {
    RoundRobin(RoundRobin),
    Weighted(Weighted),
    Random(Random),
    LeastRequest(LeastRequest),
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
        check(weights)?;
        let idle = |&weight| Endpoint { weight, in_flight: 0, suspect_until: Duration::ZERO };
        let chooser = match policy {
            Policy::RoundRobin => Chooser::RoundRobin(RoundRobin::new(weights.len(), seed)),
            Policy::WeightedRoundRobin => Chooser::Weighted(Weighted::new(weights, seed)),
            Policy::Random => Chooser::Random(Random::new(weights)),
            Policy::LeastRequest => Chooser::LeastRequest(LeastRequest::new(weights, seed)),
        };
        Ok(Self { endpoints: weights.iter().map(idle).collect(), chooser })
    }

    /// The endpoint for the next attempt, which from now on counts as in flight.
    ///
    /// Never one in `tried`, nor one with a weight of 0. A suspect one only when there is no other: a guess
    /// beats an error. `None` when nothing is left; then nothing was counted.
    ///
    /// `key` says what the request belongs to (a client, a session), for policies that keep such requests
    /// together; those of today ignore it. `now` is the time since the caller's epoch. Only
    /// [`Policy::Random`] draws from `rng`.
    #[must_use = "what was picked is in flight until `done`"]
    pub fn pick(&mut self, _key: u64, now: Duration, rng: &mut Rng, tried: &Tried) -> Option<EndpointId> {
        let clear = Candidates { endpoints: &self.endpoints, tried, cleared_by: now };
        let picked = self.chooser.pick(&clear, rng).or_else(|| {
            let all = Candidates { cleared_by: Duration::MAX, ..clear };
            self.chooser.pick(&all, rng)
        })?;
        let in_flight = &mut self.endpoints[picked].in_flight;
        *in_flight = in_flight.saturating_add(1);
        Some(EndpointId::new(picked as u32))
    }

    /// Ends an attempt at `id` that was picked before.
    ///
    /// `latency` is the time from the pick to the first byte of the response, or to the failure; no policy of
    /// today reads it. `now` is the time since the caller's epoch.
    ///
    /// Only time ends a suspicion, never a success: an origin that drains refuses connects while it goes on
    /// answering on the connections that it has. An `id` that is out of range, or not in flight, is ignored
    /// but for that suspicion.
    pub fn done(&mut self, id: EndpointId, outcome: Outcome, _latency: Duration, now: Duration) {
        if let Some(endpoint) = self.endpoints.get_mut(id.index()) {
            endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
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

impl Chooser {
    /// One of the candidates, or `None` when there are none; in that case no turn was taken.
    fn pick(&mut self, candidates: &Candidates<'_>, rng: &mut Rng) -> Option<usize> {
        match self {
            Self::RoundRobin(round_robin) => round_robin.pick(candidates),
            Self::Weighted(weighted) => weighted.pick(candidates),
            Self::Random(random) => random.pick(candidates, rng),
            Self::LeastRequest(least_request) => least_request.pick(candidates),
        }
    }
}

fn check(weights: &[u32]) -> Result<(), InvalidWeights> {
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
