//! The power of two choices.

use crate::random::Random;
use crate::{Candidates, Rng};

/// Two candidates by chance, in proportion to weight and never the same one twice; of them the one with less in
/// flight divided by weight, and on a tie the first: so while little is under way, shares are those of
/// [`Random`], which are the weights.
///
/// It counts what this lane has in flight.
#[derive(Debug)]
pub(crate) struct P2c {
    random: Random,
}

impl P2c {
    pub(crate) fn new(weights: &[u32]) -> Self {
        Self { random: Random::new(weights) }
    }

    pub(crate) fn pick(&self, candidates: &Candidates<'_>, rng: &mut Rng) -> Option<usize> {
        let first = self.random.pick(candidates, rng)?;
        let Some(second) = self.random.pick_another(candidates, first, rng) else { return Some(first) };
        let endpoints = candidates.endpoints;
        let is_second_better = endpoints[second].compare_load(&endpoints[first]).is_lt();
        Some(if is_second_better { second } else { first })
    }
}
