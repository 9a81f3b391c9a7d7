//! Weighted random choice.

use std::ops::Range;

use crate::{Candidates, Rng};

/// Each candidate with a probability of its weight divided by the sum of the candidates' weights.
///
/// The first draw is over all endpoints and finds its place by bisection. Only when it falls on one that may
/// not be picked is a second one made, over the candidates alone. With `A` the candidates' sum of weights out
/// of `S`, a candidate of weight `w` has `w/S + (S-A)/S · w/A`, which is `w/A`: nothing is skewed.
#[derive(Debug)]
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
        self.pick_but(candidates, None, rng)
    }

    /// One that isn't `first`, which must be a candidate; `None` when that is the only one.
    pub(crate) fn pick_another(
        &self,
        candidates: &Candidates<'_>,
        first: usize,
        rng: &mut Rng,
    ) -> Option<usize> {
        self.pick_but(candidates, Some(first), rng)
    }

    fn pick_but(&self, candidates: &Candidates<'_>, but: Option<usize>, rng: &mut Rng) -> Option<usize> {
        // What is left out is cut from the line on which the draw falls.
        let Range { start, end } = but.map_or(0..0, |index| self.span(index));
        let mut drawn = rng.below(self.sums.last()? - (end - start));
        if drawn >= start {
            drawn += end - start;
        }
        let index = self.sums.partition_point(|&sum| sum <= drawn);
        if index < self.sums.len() && candidates.admit(index) {
            return Some(index);
        }
        pick_from_candidates(candidates, but, rng)
    }

    /// The draws that fall on the endpoint at `index`.
    fn span(&self, index: usize) -> Range<u64> {
        let start = index.checked_sub(1).map_or(0, |before| self.sums[before]);
        start..self.sums[index]
    }
}

/// A draw that visits every endpoint twice.
fn pick_from_candidates(candidates: &Candidates<'_>, but: Option<usize>, rng: &mut Rng) -> Option<usize> {
    let others = || candidates.indexed().filter(|(index, _)| Some(*index) != but);
    let sum = others().map(|(_, endpoint)| u64::from(endpoint.weight)).sum();
    let mut left = rng.below(sum);
    for (index, endpoint) in others() {
        match left.checked_sub(u64::from(endpoint.weight)) {
            Some(rest) => left = rest,
            None => return Some(index),
        }
    }
    None
}
