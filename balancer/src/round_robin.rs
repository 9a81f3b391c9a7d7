//! Round robin: each in turn.

use crate::{Candidates, Rng};

/// The turn. One that is passed over loses its turn, and nobody gets it twice in its place: the next search
/// starts after whoever was picked.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    /// Where the next search starts. At most the number of endpoints.
    next: usize,
}

impl RoundRobin {
    /// Starts at a place that follows from `seed`, so that lanes don't march in step.
    pub(crate) fn new(endpoints: usize, seed: u64) -> Self {
        Self { next: Rng::new(seed).below(endpoints as u64) as usize }
    }

    pub(crate) fn pick(&mut self, candidates: &Candidates<'_>) -> Option<usize> {
        let mut turns = (self.next..candidates.endpoints.len()).chain(0..self.next);
        let picked = turns.find(|&index| candidates.admit(index))?;
        self.next = picked + 1;
        Some(picked)
    }
}
