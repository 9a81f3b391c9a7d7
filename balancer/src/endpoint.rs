//! What a picker knows of an endpoint, and the endpoints among which it may choose now.

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
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Its share, relative to the others'. 0: it gets nothing.
    pub(crate) weight: u32,
    /// Picked and not yet done.
    pub(crate) in_flight: u32,
    /// It is suspect before this time, and no longer at it.
    pub(crate) suspect_until: Duration,
}

/// The endpoints that one pick may choose among.
pub(crate) struct Candidates<'a> {
    pub(crate) endpoints: &'a [Endpoint],
    pub(crate) tried: &'a Tried,
    /// Only endpoints whose suspicion has ended by this time. [`Duration::MAX`] admits all suspects.
    pub(crate) cleared_by: Duration,
}

impl Candidates<'_> {
    /// Whether the endpoint at `index`, which must be in range, may be chosen.
    pub(crate) fn admit(&self, index: usize) -> bool {
        let endpoint = &self.endpoints[index];
        endpoint.weight > 0 && endpoint.suspect_until <= self.cleared_by && !self.tried.contains_index(index)
    }

    /// Those that may be chosen, in the order of the list. Their weights are never 0.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        self.endpoints.iter().enumerate().filter(|(index, _)| self.admit(*index))
    }
}
