//! Who gets how much, by each policy.

use std::collections::BTreeSet;
use std::time::Duration;

use corelane_balancer::{EndpointId, Outcome, Picker, Policy, Rng, Tried};

const NOW: Duration = Duration::from_secs(5);

/// Picks `count` times, each ended at once.
fn picks(picker: &mut Picker, count: usize, tried: &Tried) -> Vec<usize> {
    let mut rng = Rng::new(11);
    let mut one = || {
        let id = picker.pick(0, NOW, &mut rng, tried).expect("some endpoint is left");
        picker.done(id, Outcome::Success, Duration::ZERO, NOW);
        id.index()
    };
    (0..count).map(|_| one()).collect()
}

fn shares(picks: &[usize], endpoints: usize) -> Vec<u32> {
    let mut shares = vec![0; endpoints];
    picks.iter().for_each(|&index| shares[index] += 1);
    shares
}

/// Asserts shares in proportion to `weights`, within five standard deviations.
#[track_caller]
fn assert_near(shares: &[u32], weights: &[u32]) {
    let count = f64::from(shares.iter().sum::<u32>());
    let sum = f64::from(weights.iter().sum::<u32>());
    for (&share, &weight) in shares.iter().zip(weights) {
        let p = f64::from(weight) / sum;
        let allowed = 5.0 * (count * p * (1.0 - p)).sqrt();
        assert!((f64::from(share) - count * p).abs() <= allowed, "{shares:?} for {weights:?}");
    }
}

#[test]
fn round_robin_gives_everyone_a_turn_and_ignores_weights() {
    let mut picker = Picker::new(Policy::RoundRobin, &[1, 9, 0, 4], 5).unwrap();
    let picks = picks(&mut picker, 300, &Tried::default());
    assert!(picks.windows(3).all(|turn| shares(turn, 4) == [1, 1, 0, 1]), "{picks:?}");
}

#[test]
fn round_robin_gives_nobody_two_turns_when_one_is_left_out() {
    let mut picker = Picker::new(Policy::RoundRobin, &[1; 5], 5).unwrap();
    picker.suspect(EndpointId::new(2), NOW);
    let picks = picks(&mut picker, 100, &Tried::default());
    assert!(picks.windows(4).all(|turn| shares(turn, 5) == [1, 1, 0, 1, 1]), "{picks:?}");
}

#[test]
fn lanes_start_at_different_endpoints() {
    for policy in [Policy::RoundRobin, Policy::WeightedRoundRobin, Policy::LeastRequest] {
        let first_pick =
            |lane| picks(&mut Picker::new(policy.clone(), &[1; 8], lane).unwrap(), 1, &Tried::default());
        let firsts: Vec<_> = (0..4_000).flat_map(first_pick).collect();
        assert_near(&shares(&firsts, 8), &[1; 8]);
        let few: BTreeSet<_> = firsts[..8].iter().collect();
        assert!(few.len() >= 4, "{policy:?}: the first lanes start at {few:?}");
    }
}

#[test]
fn lanes_together_honour_weights_from_their_first_request() {
    let weights = [1, 2, 5];
    for policy in [Policy::WeightedRoundRobin, Policy::LeastRequest] {
        let first_pick =
            |lane| picks(&mut Picker::new(policy.clone(), &weights, lane).unwrap(), 1, &Tried::default());
        let firsts: Vec<_> = (0..8_000).flat_map(first_pick).collect();
        assert_near(&shares(&firsts, 3), &weights);
    }
}

#[test]
fn weighted_round_robin_is_exact_over_every_window_of_a_cycle() {
    for (weights, cycle) in [
        (vec![5, 1, 1], 7),
        (vec![1, 1, 1, 1], 4),
        (vec![0, 3, 2, 0, 7], 12),
        (vec![1], 1),
        (vec![997, 2, 1], 1000),
        (vec![1; 200], 200),
    ] {
        for seed in 0..20 {
            let mut picker = Picker::new(Policy::WeightedRoundRobin, &weights, seed).unwrap();
            let picks = picks(&mut picker, 2 * cycle, &Tried::default());
            assert!(picks.windows(cycle).all(|window| shares(window, weights.len()) == weights));
        }
    }
}

#[test]
fn weighted_round_robin_becomes_exact_again_after_the_candidates_changed() {
    let left_out = EndpointId::new(0);
    for seed in 0..20 {
        let mut picker = Picker::new(Policy::WeightedRoundRobin, &[5, 3, 2], seed).unwrap();
        let mut tried = Tried::default();
        tried.insert(left_out);
        let without = picks(&mut picker, 500, &tried);
        assert!(without[10..].windows(5).all(|window| shares(window, 3) == [0, 3, 2]), "{without:?}");
        let with = picks(&mut picker, 500, &Tried::default());
        assert!(with[20..].windows(10).all(|window| shares(window, 3) == [5, 3, 2]), "{with:?}");
    }
}

#[test]
fn weighted_round_robin_interleaves() {
    for seed in 0..20 {
        let mut picker = Picker::new(Policy::WeightedRoundRobin, &[3, 3, 1], seed).unwrap();
        let picks = picks(&mut picker, 70, &Tried::default());
        assert!(picks.windows(2).all(|pair| pair[0] != pair[1]), "{picks:?}");
    }
}

#[test]
fn random_and_idle_p2c_are_in_proportion_to_weight() {
    let weights = [1, 0, 2, 3, 10];
    for policy in [Policy::Random, Policy::P2c] {
        let mut picker = Picker::new(policy, &weights, 0).unwrap();
        assert_near(&shares(&picks(&mut picker, 100_000, &Tried::default()), 5), &weights);
    }
}

#[test]
fn random_and_idle_p2c_stay_in_proportion_when_some_are_left_out() {
    for policy in [Policy::Random, Policy::P2c] {
        let mut picker = Picker::new(policy, &[1, 4, 2, 3, 10], 0).unwrap();
        let mut tried = Tried::default();
        tried.insert(EndpointId::new(4));
        picker.suspect(EndpointId::new(1), NOW);
        assert_near(&shares(&picks(&mut picker, 100_000, &tried), 5), &[1, 0, 2, 3, 0]);
    }
}

/// Picks `count` times with none of them ended: how many each has.
fn pile_up(policy: Policy, weights: &[u32], count: usize) -> Vec<u32> {
    let mut picker = Picker::new(policy, weights, 0).expect("weights of use");
    let mut rng = Rng::new(6);
    for _ in 0..count {
        assert!(picker.pick(0, NOW, &mut rng, &Tried::default()).is_some());
    }
    (0..weights.len()).map(|index| picker.in_flight(EndpointId::new(index as u32))).collect()
}

#[test]
fn p2c_evens_out_what_chance_alone_does_not() {
    // As many balls as bins: ln ln n / ln 2 + O(1) for two choices, about ln n / ln ln n for one.
    let greatest = |policy| pile_up(policy, &[1; 10_000], 10_000).into_iter().max().unwrap();
    assert!(greatest(Policy::P2c) <= 4);
    assert!(greatest(Policy::Random) >= 6);
}

#[test]
fn p2c_fills_nearly_in_proportion_to_weight() {
    let piles = pile_up(Policy::P2c, &[100, 200, 0, 300], 6_000);
    for (pile, expected) in piles.iter().zip([1_000, 2_000, 0, 3_000_u32]) {
        assert!(pile.abs_diff(expected) <= expected / 50, "{piles:?}");
    }
}

#[test]
fn p2c_compares_two_that_differ() {
    let mut picker = Picker::new(Policy::P2c, &[1, 1_000_000], 0).unwrap();
    let mut rng = Rng::new(6);
    // The heavy one comes first nearly always; while it has one, the light one is the better of the two.
    let first = picker.pick(0, NOW, &mut rng, &Tried::default()).unwrap();
    let second = picker.pick(0, NOW, &mut rng, &Tried::default()).unwrap();
    assert_eq!([first.index(), second.index()], [1, 0]);
}

#[test]
fn least_request_fills_in_proportion_to_weight() {
    let mut picker = Picker::new(Policy::LeastRequest, &[1, 2, 3], 4).unwrap();
    let mut rng = Rng::new(0);
    for _ in 0..60 {
        assert!(picker.pick(0, NOW, &mut rng, &Tried::default()).is_some());
    }
    assert_eq!([0, 1, 2].map(|index| picker.in_flight(EndpointId::new(index))), [10, 20, 30]);
}

#[test]
fn least_request_and_p2c_follow_the_faster_endpoint() {
    for policy in [Policy::LeastRequest, Policy::P2c] {
        let mut picker = Picker::new(policy, &[1, 1], 0).unwrap();
        let mut rng = Rng::new(0);
        let mut fast_picks = 0;
        // What goes to the first never ends; what goes to the second ends before the next request.
        for _ in 0..100 {
            let id = picker.pick(0, NOW, &mut rng, &Tried::default()).unwrap();
            if id.index() == 1 {
                fast_picks += 1;
                picker.done(id, Outcome::Success, Duration::ZERO, NOW);
            }
        }
        assert!(fast_picks >= 98, "{fast_picks}");
    }
}

#[test]
fn least_request_breaks_ties_by_turns() {
    let mut equal = Picker::new(Policy::LeastRequest, &[2; 4], 1).unwrap();
    let turns = picks(&mut equal, 100, &Tried::default());
    assert!(turns.windows(4).all(|turn| shares(turn, 4) == [1; 4]), "{turns:?}");

    let mut weighted = Picker::new(Policy::LeastRequest, &[5, 1, 1], 1).unwrap();
    let turns = picks(&mut weighted, 700, &Tried::default());
    assert!(turns.windows(7).all(|turn| shares(turn, 3) == [5, 1, 1]), "{turns:?}");
}
