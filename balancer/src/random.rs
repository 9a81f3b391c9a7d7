//! Weighted random choice.

use crate::Rng;
use crate::endpoint::Candidates;

/// Each candidate with a probability of its weight divided by the sum of the candidates' weights.
///
/// The first draw is over all endpoints and finds its place by bisection. Only when it falls on one that may
/// not be picked is a second one made, over the candidates alone. With `A` the candidates' sum of weights out
/// of `S`, a candidate of weight `w` has `w/S + (S-A)/S · w/A`, which is `w/A`: nothing is skewed.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    /// Per endpoint, the sum of the weights up to and including its own.
    sums: Vec<u64>,
}

impl Random {
    pub(crate) fn new(weights: &[u32]) -> Self {
        let sums = weights.iter().scan(0, |sum, &weight| {
            *sum += u64::from(weight);
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    pub(crate) fn pick(&self, candidates: &Candidates<'_>, rng: &mut Rng) -> Option<usize> {
        let drawn = rng.below(*self.sums.last()?);
        let index = self.sums.partition_point(|&sum| sum <= drawn);
        if candidates.admit(index) { Some(index) } else { pick_from_candidates(candidates, rng) }
    }
}

/// A draw that visits every endpoint twice.
fn pick_from_candidates(candidates: &Candidates<'_>, rng: &mut Rng) -> Option<usize> {
    let sum = candidates.iter().map(|(_, endpoint)| u64::from(endpoint.weight)).sum();
    let mut left = rng.below(sum);
    for (index, endpoint) in candidates.iter() {
        match left.checked_sub(u64::from(endpoint.weight)) {
            Some(rest) => left = rest,
            None => return Some(index),
        }
    }
    None
}
