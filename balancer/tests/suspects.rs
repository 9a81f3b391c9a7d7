//! What a failed connect does to an endpoint, and what is counted.

use std::time::Duration;

use corelane_balancer::{
    ENDPOINTS_MAX, EndpointId, InvalidWeights, Outcome, Picker, Policy, Rng, SUSPECT, Tried,
};

const POLICIES: [Policy; 6] = [
    Policy::RoundRobin,
    Policy::WeightedRoundRobin,
    Policy::Random,
    Policy::LeastRequest,
    Policy::P2c,
    Policy::Hash,
];

const FIRST: EndpointId = EndpointId::new(0);
const SECOND: EndpointId = EndpointId::new(1);
const START: Duration = Duration::from_secs(1_000);

/// Picks and ends an attempt at once.
fn pick_one(picker: &mut Picker, now: Duration, tried: &Tried) -> Option<EndpointId> {
    let id = picker.pick(0, now, &mut Rng::new(now.as_nanos() as u64), tried)?;
    picker.done(id, Outcome::Success, Duration::ZERO, now);
    Some(id)
}

/// Which of two endpoints get anything in 64 picks.
fn picked(picker: &mut Picker, now: Duration) -> [bool; 2] {
    let mut rng = Rng::new(3);
    let mut picked = [false; 2];
    for _ in 0..64 {
        let id = picker.pick(rng.next(), now, &mut rng, &Tried::default()).expect("suspects are picked too");
        picker.done(id, Outcome::Success, Duration::ZERO, now);
        picked[id.index()] = true;
    }
    picked
}

#[test]
fn an_unreachable_endpoint_is_avoided_for_a_second_and_no_longer() {
    for policy in POLICIES {
        let mut picker = Picker::new(policy.clone(), &[1, 1], 0).unwrap();
        assert_eq!(picked(&mut picker, START), [true, true], "{policy:?}");

        picker.done(FIRST, Outcome::Unreachable, Duration::ZERO, START);
        assert!(picker.is_suspect(FIRST, START));
        assert!(!picker.is_suspect(SECOND, START));
        assert_eq!(picked(&mut picker, START), [false, true], "{policy:?}");
        assert_eq!(picked(&mut picker, START + SUSPECT - Duration::from_nanos(1)), [false, true]);

        assert!(!picker.is_suspect(FIRST, START + SUSPECT));
        assert_eq!(picked(&mut picker, START + SUSPECT), [true, true], "{policy:?}");
    }
}

#[test]
fn suspects_are_picked_when_nothing_else_is_left() {
    for policy in POLICIES {
        let mut picker = Picker::new(policy.clone(), &[1, 1], 0).unwrap();
        picker.suspect(FIRST, START);
        let mut tried = Tried::default();
        tried.insert(SECOND);
        assert_eq!(pick_one(&mut picker, START, &tried), Some(FIRST), "the other was tried");
        picker.suspect(SECOND, START);
        assert_eq!(picked(&mut picker, START), [true, true], "{policy:?}: they share");
        tried.insert(FIRST);
        assert_eq!(pick_one(&mut picker, START, &tried), None, "suspect or not, all were tried");
    }
}

#[test]
fn only_unreachable_makes_suspect_and_success_does_not_clear() {
    let mut picker = Picker::new(Policy::RoundRobin, &[1, 1], 0).unwrap();
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Cancelled] {
        picker.done(FIRST, outcome, Duration::ZERO, START);
        assert!(!picker.is_suspect(FIRST, START), "{outcome:?}");
    }
    picker.done(FIRST, Outcome::Unreachable, Duration::ZERO, START);
    picker.done(FIRST, Outcome::Success, Duration::ZERO, START);
    assert!(picker.is_suspect(FIRST, START));
}

#[test]
fn late_news_does_not_shorten_a_suspicion() {
    let mut picker = Picker::new(Policy::RoundRobin, &[1, 1], 0).unwrap();
    picker.suspect(FIRST, START);
    picker.suspect(FIRST, START - SUSPECT / 2);
    assert!(picker.is_suspect(FIRST, START + SUSPECT - Duration::from_nanos(1)));
}

#[test]
fn times_at_the_limit_do_not_overflow() {
    let mut picker = Picker::new(Policy::RoundRobin, &[1], 0).unwrap();
    picker.suspect(FIRST, Duration::MAX);
    assert_eq!(pick_one(&mut picker, Duration::MAX, &Tried::default()), Some(FIRST));
}

#[test]
fn in_flight_counts_from_pick_to_done_whatever_the_outcome() {
    let mut picker = Picker::new(Policy::Random, &[1], 0).unwrap();
    let mut rng = Rng::new(0);
    let outcomes = [Outcome::Success, Outcome::Failure, Outcome::Unreachable, Outcome::Cancelled];
    for count in 1..=4 {
        assert_eq!(picker.pick(0, START, &mut rng, &Tried::default()), Some(FIRST));
        assert_eq!(picker.in_flight(FIRST), count);
    }
    for (outcome, left) in outcomes.into_iter().zip([3, 2, 1, 0]) {
        picker.done(FIRST, outcome, Duration::ZERO, START);
        assert_eq!(picker.in_flight(FIRST), left, "{outcome:?}");
    }
    picker.done(FIRST, Outcome::Success, Duration::ZERO, START);
    assert_eq!(picker.in_flight(FIRST), 0, "one too many is ignored");
}

#[test]
fn an_unknown_endpoint_is_ignored() {
    let unknown = EndpointId::new(2);
    let mut picker = Picker::new(Policy::LeastRequest, &[1, 1], 0).unwrap();
    picker.done(unknown, Outcome::Unreachable, Duration::ZERO, START);
    picker.suspect(unknown, START);
    assert_eq!(picker.in_flight(unknown), 0);
    assert!(!picker.is_suspect(unknown, START));
}

#[test]
fn no_endpoints_is_valid_and_picks_nothing() {
    for policy in POLICIES {
        let mut picker = Picker::new(policy.clone(), &[], 9).unwrap();
        assert!(picker.is_empty());
        assert_eq!(pick_one(&mut picker, START, &Tried::default()), None);
    }
}

#[test]
fn weights_that_are_no_use_are_refused() {
    for policy in POLICIES {
        let refusal = |weights: &[u32]| Picker::new(policy.clone(), weights, 0).err();
        assert_eq!(refusal(&[0, 0]), Some(InvalidWeights::AllZero));
        assert_eq!(refusal(&[u32::MAX, 1]), Some(InvalidWeights::SumOverflow));
        assert_eq!(refusal(&[u32::MAX, 0]), None);
        assert_eq!(refusal(&vec![1; ENDPOINTS_MAX]), None);
        assert_eq!(refusal(&vec![1; ENDPOINTS_MAX + 1]), Some(InvalidWeights::TooMany));
    }
}
