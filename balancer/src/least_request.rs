//! The endpoint with the least in flight for its weight.

use std::cmp::Ordering;

use crate::endpoint::{Candidates, Endpoint};
use crate::weighted::Weighted;

/// nginx's `least_conn`: the candidate with the least in flight divided by its weight. Those that tie (when
/// little is under way, most do) take turns by smooth weighted round robin, which is plain round robin when
/// their weights are equal; so weights hold under light load too, and a lane that starts doesn't send
/// everything to the first in the list.
///
/// It counts what this lane has in flight. A pick visits every endpoint twice.
#[derive(Clone, Debug)]
pub(crate) struct LeastRequest {
    ties: Weighted,
}

impl LeastRequest {
    pub(crate) fn new(weights: &[u32], seed: u64) -> Self {
        Self { ties: Weighted::new(weights, seed) }
    }

    pub(crate) fn pick(&mut self, candidates: &Candidates<'_>) -> Option<usize> {
        let (_, least) = candidates.iter().min_by(|(_, a), (_, b)| compare_load(a, b))?;
        let tied = candidates.iter().filter(|(_, endpoint)| compare_load(endpoint, least).is_eq());
        self.ties.pick_from(tied.map(|(index, endpoint)| (index, endpoint.weight)))
    }
}

/// Compares in flight divided by weight, exactly: by multiplying crosswise, which fits in 64 bits.
fn compare_load(a: &Endpoint, b: &Endpoint) -> Ordering {
    let a_crosswise = u64::from(a.in_flight) * u64::from(b.weight);
    let b_crosswise = u64::from(b.in_flight) * u64::from(a.weight);
    a_crosswise.cmp(&b_crosswise)
}
