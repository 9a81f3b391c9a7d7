//! Weighted rendezvous hashing.

use std::f64::consts::{LN_2, SQRT_2};

use crate::rng::mix;
use crate::{Candidates, Rng};

/// Each key and endpoint together give a number `x`, uniform from 0 to 1; the candidate with the least
/// `-ln(1 - x) / weight` is picked. That is a race between clocks that ring after exponentially distributed
/// times, each at a rate of its weight: the probability of ringing first is the weight divided by the sum of all
/// weights, and who would be first without the winner doesn't depend on the winner.
///
/// Since `-ln(1 - x)` is at least `x`, most endpoints are out without a logarithm.
#[derive(Debug)]
pub(crate) struct Rendezvous {
    lots: Vec<Lot>,
}

/// What an endpoint draws with.
#[derive(Clone, Copy, Debug)]
struct Lot {
    /// Follows from the identity alone, and from how many before it have the same.
    salt: u64,
    /// Infinite for a weight of 0, which is never a candidate.
    inverse_weight: f64,
}

/// A bound is compared with this much to spare, more than any rounding, so that skipping never decides.
const SLACK: f64 = 1.000_001;

impl Rendezvous {
    /// Over endpoints of these weights and identities.
    ///
    /// One that is listed twice is two endpoints, which differ by their weight and else by nothing, so that it
    /// doesn't matter which of them is which.
    pub(crate) fn new(endpoints: &[(u32, u64)]) -> Self {
        let mut order: Vec<usize> = (0..endpoints.len()).collect();
        order.sort_by_key(|&index| (endpoints[index].1, endpoints[index].0));
        let mut lots = vec![Lot { salt: 0, inverse_weight: f64::INFINITY }; endpoints.len()];
        let mut salts = Rng::new(0);
        let mut previous = None;
        for index in order {
            let (weight, identity) = endpoints[index];
            if previous != Some(identity) {
                salts = Rng::new(identity);
            }
            previous = Some(identity);
            lots[index] = Lot { salt: salts.next(), inverse_weight: f64::from(weight).recip() };
        }
        Self { lots }
    }

    pub(crate) fn pick(&self, candidates: &Candidates<'_>, key: u64) -> Option<usize> {
        let key = mix(key);
        let mut best: Option<(f64, u64, usize)> = None;
        for (index, _) in candidates.indexed() {
            let Lot { salt, inverse_weight } = self.lots[index];
            let drawn = unit(mix(key ^ salt));
            if best.is_some_and(|(time, _, _)| drawn * inverse_weight > time * SLACK) {
                continue;
            }
            let time = minus_ln(1.0 - drawn) * inverse_weight;
            if best.is_none_or(|(best_time, best_salt, _)| (time, salt) < (best_time, best_salt)) {
                best = Some((time, salt, index));
            }
        }
        best.map(|(_, _, index)| index)
    }
}

/// From 0 up to but not including 1, in steps of 2^-53: exact, and so is its difference to 1.
fn unit(hash: u64) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    (hash >> 11) as f64 * STEP
}

/// `-ln(u)` for `u` in `2^-53..=1`, within 10^-10 of its size: shares are no less exact than that.
///
/// By addition, multiplication and division alone, which IEEE 754 defines to the last bit: `f64::ln` may differ
/// from one machine to the next, and then so would their choices.
fn minus_ln(u: f64) -> f64 {
    /// The series of the inverse hyperbolic tangent, the last term first.
    const SERIES: [f64; 6] = [1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0];
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = u.to_bits();
    let mut exponent = (bits >> FRACTION_BITS) as f64 - 1023.0;
    let mut fraction = f64::from_bits(bits & ((1 << FRACTION_BITS) - 1) | 1.0_f64.to_bits());
    if fraction > SQRT_2 {
        (fraction, exponent) = (fraction / 2.0, exponent + 1.0);
    }
    let z = (fraction - 1.0) / (fraction + 1.0);
    let series = SERIES.iter().fold(0.0, |sum, term| sum * (z * z) + term);
    -(exponent * LN_2) - 2.0 * z * series
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_logarithm_is_one(drawn in prop_oneof![0..1_u64 << 53, 0..1_000_u64, (1_u64 << 53) - 1_000..1 << 53]) {
            let u = 1.0 - unit(drawn << 11);
            let (ours, std) = (minus_ln(u), -u.ln());
            prop_assert!((ours - std).abs() <= 1e-10 * std, "{ours} {std}");
            prop_assert!(ours * SLACK >= 1.0 - u, "the bound that spares the logarithm");
        }
    }

    #[test]
    fn the_logarithm_at_its_limits() {
        assert_eq!(minus_ln(1.0), 0.0);
        assert!((minus_ln(1.0 - unit(u64::MAX)) - 53.0 * LN_2).abs() < 1e-9);
    }
}
