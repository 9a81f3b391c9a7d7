//! What a picker knows of an endpoint, and the endpoints among which it may choose now.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use crate::Tried;

/// An endpoint's place in the list of weights that its [`Picker`](crate::Picker) was built from, from 0.
///
/// It means something only to that picker, and to others built from the same list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(u32);

impl EndpointId {
    /// The endpoint at `index` in the list of weights.
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The place in the list of weights.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One endpoint's state.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Its share, relative to the others'. 0: it gets nothing.
    pub(crate) weight: u32,
    /// Picked and not yet done.
    pub(crate) in_flight: u32,
    /// It is suspect before this time, and no longer at it.
    pub(crate) suspect_until: Duration,
    /// What it is, wherever it stands in the list.
    pub(crate) identity: u64,
}

impl Endpoint {
    /// Compares in flight divided by weight, exactly: by multiplying crosswise, which fits in 64 bits.
    pub(crate) fn compare_load(&self, other: &Self) -> Ordering {
        let crosswise = u64::from(self.in_flight) * u64::from(other.weight);
        crosswise.cmp(&(u64::from(other.in_flight) * u64::from(self.weight)))
    }
}

/// The endpoints that one pick may choose among: a view of what the picker knows, for a
/// [`Choose`](crate::Choose).
///
/// Those with a weight of 0 and those that were tried are not among them; suspect ones are only when there are
/// no others.
pub struct Candidates<'a> {
    pub(crate) endpoints: &'a [Endpoint],
    pub(crate) tried: &'a Tried,
    /// Only endpoints whose suspicion has ended by this time. [`Duration::MAX`] admits all suspects.
    pub(crate) cleared_by: Duration,
}

/// One of the [`Candidates`], as it is now.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    index: usize,
    endpoint: &'a Endpoint,
}

impl<'a> Candidates<'a> {
    /// Each candidate, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a>> + use<'a> {
        let candidates = self.indexed();
        candidates.map(|(index, endpoint)| Candidate { index, endpoint })
    }

    /// The candidate `id`; `None` when it is not among them.
    pub fn candidate(&self, id: EndpointId) -> Option<Candidate<'a>> {
        let endpoint = self.endpoints.get(id.index())?;
        self.admit(id.index()).then_some(Candidate { index: id.index(), endpoint })
    }

    /// Whether `id` is among them.
    pub fn contains(&self, id: EndpointId) -> bool {
        self.candidate(id).is_some()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.indexed().next().is_none()
    }

    /// How many endpoints the cluster has, candidates or not: every [`EndpointId::index`] is below it.
    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether the endpoint at `index`, which must be in range, may be chosen.
    pub(crate) fn admit(&self, index: usize) -> bool {
        may_choose(self.tried, self.cleared_by, index, &self.endpoints[index])
    }

    /// Those that may be chosen, in the order of the list. Their weights are never 0.
    pub(crate) fn indexed(&self) -> impl Iterator<Item = (usize, &'a Endpoint)> + use<'a> {
        let (tried, cleared_by) = (self.tried, self.cleared_by);
        let endpoints = self.endpoints.iter().enumerate();
        endpoints.filter(move |(index, endpoint)| may_choose(tried, cleared_by, *index, endpoint))
    }
}

fn may_choose(tried: &Tried, cleared_by: Duration, index: usize, endpoint: &Endpoint) -> bool {
    endpoint.weight > 0 && endpoint.suspect_until <= cleared_by && !tried.contains_index(index)
}

impl Candidate<'_> {
    /// Which it is.
    pub const fn id(&self) -> EndpointId {
        EndpointId(self.index as u32)
    }

    /// Its share, relative to the others'. Never 0.
    pub const fn weight(&self) -> u32 {
        self.endpoint.weight
    }

    /// How many attempts at it were picked, by this lane, and are not done.
    pub const fn in_flight(&self) -> u32 {
        self.endpoint.in_flight
    }

    /// The identity that it was given, by
    /// [`Picker::with_identities`](crate::Picker::with_identities): the same wherever it stands in the list.
    pub const fn identity(&self) -> u64 {
        self.endpoint.identity
    }

    /// Compares what they have in flight divided by their weights, exactly.
    pub fn compare_load(&self, other: &Self) -> Ordering {
        self.endpoint.compare_load(other.endpoint)
    }
}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut this = f.debug_struct("Candidate");
        this.field("id", &self.id()).field("weight", &self.weight()).field("in_flight", &self.in_flight());
        this.finish_non_exhaustive()
    }
}
