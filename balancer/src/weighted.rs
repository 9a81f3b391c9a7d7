//! Smooth weighted round robin.

use crate::{Candidates, Rng};

/// A starting phase is less than this many picks into the cycle. More than there will ever be lanes.
const PHASE_PICKS_MAX: u64 = 1024;

/// Those picks together visit at most this many endpoints: about a millisecond when a picker is built.
const PHASE_VISITS_MAX: u64 = 1 << 20;

/// nginx's smooth weighted round robin (`ngx_http_upstream_get_peer`, since nginx 1.3.1): every candidate's
/// credit grows by its weight; the one with the most is picked and pays what all of them were given. Weights
/// 5, 1, 1 give `a a b a c a a` and not `a a a a a b c`.
///
/// Credits always sum to 0, and after a cycle (the sum of the weights divided by their greatest common
/// divisor) all are where they began: any run of one cycle's length gives each exactly its share. One that is
/// passed over keeps its credit; after that shares are exact again once the others have evened out theirs.
///
/// A pick visits every endpoint.
#[derive(Debug)]
pub(crate) struct Weighted {
    /// Per endpoint. With `n` endpoints and weights that sum to `s`, never more than `s` × (`n` - 1) / 2 from 0,
    /// whoever the candidates are from pick to pick: below 2^47 with the most that a picker takes.
    credit: Vec<i64>,
}

impl Weighted {
    /// Starts at a phase of the cycle that follows from `seed`, so that lanes don't march in step.
    pub(crate) fn new(weights: &[u32], seed: u64) -> Self {
        let mut this = Self { credit: vec![0; weights.len()] };
        let picks_max = PHASE_PICKS_MAX.min(PHASE_VISITS_MAX / weights.len().max(1) as u64);
        let phase = Rng::new(seed).below(cycle(weights).min(picks_max));
        for _ in 0..phase {
            this.pick_from(weights.iter().copied().enumerate());
        }
        this
    }

    pub(crate) fn pick(&mut self, candidates: &Candidates<'_>) -> Option<usize> {
        self.pick_from(candidates.indexed().map(|(index, endpoint)| (index, endpoint.weight)))
    }

    /// Picks among `candidates`, which are indexes with their weights.
    pub(crate) fn pick_from(&mut self, candidates: impl Iterator<Item = (usize, u32)>) -> Option<usize> {
        let mut given = 0;
        let mut best: Option<usize> = None;
        for (index, weight) in candidates {
            given += i64::from(weight);
            self.credit[index] += i64::from(weight);
            if best.is_none_or(|best| self.credit[index] > self.credit[best]) {
                best = Some(index);
            }
        }
        self.credit[best?] -= given;
        best
    }
}

/// After how many picks the same picks come again.
fn cycle(weights: &[u32]) -> u64 {
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let divisor = weights.iter().copied().map(u64::from).fold(0, greatest_common_divisor);
    sum.checked_div(divisor).unwrap_or(0)
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The sum of the `k` largest credits rises only in a pick after which the `k`-th is at most `s` above
        /// the next. So it is at most that of credits which are all `s` apart: `s` × `k` × (`n` - `k`) / 2.
        #[test]
        fn credit_is_bounded_and_sums_to_zero(
            weights in prop::collection::vec(1..1_000_u32, 1..6),
            candidate_sets in prop::collection::vec(any::<u8>(), 1..2_000),
        ) {
            let sum: i64 = weights.iter().copied().map(i64::from).sum();
            let bound = sum * (weights.len() as i64 - 1) / 2;
            let mut weighted = Weighted { credit: vec![0; weights.len()] };
            for set in candidate_sets {
                let candidates = weights.iter().copied().enumerate();
                weighted.pick_from(candidates.filter(|(index, _)| set >> index & 1 == 1));
                prop_assert_eq!(weighted.credit.iter().sum::<i64>(), 0);
                prop_assert!(weighted.credit.iter().all(|credit| credit.abs() <= bound));
            }
        }
    }

    #[test]
    fn the_published_sequence() {
        let weights = [5, 1, 1];
        let mut weighted = Weighted { credit: vec![0; 3] };
        let picks: Vec<_> =
            (0..7).filter_map(|_| weighted.pick_from(weights.into_iter().enumerate())).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(weighted.credit, [0, 0, 0]);
    }

    #[test]
    fn the_cycle_is_as_short_as_can_be() {
        assert_eq!(cycle(&[]), 0);
        assert_eq!(cycle(&[7]), 1);
        assert_eq!(cycle(&[100, 100, 100]), 3);
        assert_eq!(cycle(&[0, 4, 6]), 5);
    }
}
