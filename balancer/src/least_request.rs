//! The endpoint with the least in flight for its weight.

use crate::Candidates;
use crate::weighted::Weighted;

/// nginx's `least_conn`: the candidate with the least in flight divided by its weight. Those that tie (when
/// little is under way, most do) take turns by smooth weighted round robin, which is plain round robin when
/// their weights are equal; so weights hold under light load too, and a lane that starts doesn't send
/// everything to the first in the list.
///
/// It counts what this lane has in flight. A pick visits every endpoint twice.
#[derive(Debug)]
pub(crate) struct LeastRequest {
    ties: Weighted,
}

impl LeastRequest {
    pub(crate) fn new(weights: &[u32], seed: u64) -> Self {
        Self { ties: Weighted::new(weights, seed) }
    }

    pub(crate) fn pick(&mut self, candidates: &Candidates<'_>) -> Option<usize> {
        let (_, least) = candidates.indexed().min_by(|(_, a), (_, b)| a.compare_load(b))?;
        let tied = candidates.indexed().filter(|(_, endpoint)| endpoint.compare_load(least).is_eq());
        self.ties.pick_from(tied.map(|(index, endpoint)| (index, endpoint.weight)))
    }
}
