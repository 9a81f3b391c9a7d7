//! Any sequence of calls, against a model that is too simple to be wrong.

use std::time::Duration;

use corelane_balancer::{Candidates, Choose, EndpointId, Outcome, Picker, Policy, Rng, SUSPECT, Tried};
use proptest::prelude::*;

/// Whoever is last in the list, but for keys that say otherwise.
struct Last;

impl Choose for Last {
    fn choose(
        &mut self,
        candidates: &Candidates<'_>,
        key: u64,
        _now: Duration,
        _rng: &mut Rng,
    ) -> Option<EndpointId> {
        let last = candidates.iter().last()?;
        if key.is_multiple_of(2) { Some(last.id()) } else { candidates.iter().next().map(|first| first.id()) }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// With these tried (taken modulo the number of endpoints).
    Pick(Vec<usize>),
    /// Ends one in flight (taken modulo their number), or one that is not when there is none.
    Done(usize, Outcome),
    /// Ends one that may not be in flight, or not exist.
    StrayDone(u32),
    Suspect(usize),
    WaitMs(u64),
}

struct Model {
    weights: Vec<u32>,
    suspect_until: Vec<Duration>,
    in_flight: Vec<EndpointId>,
    now: Duration,
}

impl Model {
    fn new(weights: &[u32]) -> Self {
        let suspect_until = vec![Duration::ZERO; weights.len()];
        Self { weights: weights.to_vec(), suspect_until, in_flight: Vec::new(), now: Duration::ZERO }
    }

    fn suspect(&mut self, id: EndpointId) {
        self.suspect_until[id.index()] = self.now + SUSPECT;
    }

    /// Those that may be picked, by the words of `Picker::pick`.
    fn eligible(&self, tried: &Tried) -> Vec<EndpointId> {
        let ids = (0..self.weights.len() as u32).map(EndpointId::new);
        let left: Vec<_> = ids.filter(|&id| self.weights[id.index()] > 0 && !tried.contains(id)).collect();
        let is_clear = |id: &EndpointId| self.suspect_until[id.index()] <= self.now;
        let clear: Vec<_> = left.iter().copied().filter(is_clear).collect();
        if clear.is_empty() { left } else { clear }
    }
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::RoundRobin),
        Just(Policy::WeightedRoundRobin),
        Just(Policy::Random),
        Just(Policy::LeastRequest),
        Just(Policy::P2c),
        Just(Policy::Hash),
        Just(Policy::custom(|| Last)),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Success),
        Just(Outcome::Failure),
        Just(Outcome::Unreachable),
        Just(Outcome::Cancelled)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(any::<usize>(), 0..4).prop_map(Step::Pick),
        3 => (any::<usize>(), outcome()).prop_map(|(which, outcome)| Step::Done(which, outcome)),
        1 => any::<u32>().prop_map(Step::StrayDone),
        1 => any::<usize>().prop_map(Step::Suspect),
        1 => (0..1_500_u64).prop_map(Step::WaitMs),
    ]
}

/// Few endpoints mostly; sometimes more than a `Tried` holds without heap.
fn weights() -> impl Strategy<Value = Vec<u32>> {
    let weight = prop_oneof![1 => Just(0), 4 => 1..10_u32, 1 => 1..1_000_000_u32];
    prop_oneof![
        4 => prop::collection::vec(weight.clone(), 0..8),
        1 => prop::collection::vec(weight, 120..160),
    ]
    .prop_filter("not all zero", |weights| weights.is_empty() || weights.iter().any(|&weight| weight > 0))
}

fn tried_of(indexes: &[usize], endpoints: usize) -> Tried {
    let mut tried = Tried::default();
    if endpoints > 0 {
        indexes.iter().for_each(|index| {
            tried.insert(EndpointId::new((index % endpoints) as u32));
        });
    }
    tried
}

/// Takes one step with both, and asserts that they agree.
fn take(step: &Step, picker: &mut Picker, model: &mut Model, rng: &mut Rng) -> Result<(), TestCaseError> {
    let endpoints = model.weights.len();
    match step {
        Step::Pick(indexes) => {
            let tried = tried_of(indexes, endpoints);
            let eligible = model.eligible(&tried);
            match picker.pick(rng.next(), model.now, rng, &tried) {
                None => prop_assert!(eligible.is_empty()),
                Some(id) => {
                    prop_assert!(eligible.contains(&id), "{id:?} of {eligible:?}");
                    model.in_flight.push(id);
                }
            }
        }
        Step::Done(which, outcome) if !model.in_flight.is_empty() => {
            let id = model.in_flight.swap_remove(which % model.in_flight.len());
            picker.done(id, *outcome, Duration::ZERO, model.now);
            if *outcome == Outcome::Unreachable {
                model.suspect(id);
            }
        }
        Step::Done(..) => {}
        Step::StrayDone(index) => {
            let id = EndpointId::new(*index);
            picker.done(id, Outcome::Success, Duration::ZERO, model.now);
            if let Some(place) = model.in_flight.iter().position(|&other| other == id) {
                model.in_flight.swap_remove(place);
            }
        }
        Step::Suspect(index) if endpoints > 0 => {
            let id = EndpointId::new((index % endpoints) as u32);
            picker.suspect(id, model.now);
            model.suspect(id);
        }
        Step::Suspect(_) => {}
        Step::WaitMs(wait_ms) => model.now += Duration::from_millis(*wait_ms),
    }
    for id in (0..endpoints as u32 + 1).map(EndpointId::new) {
        let in_flight = model.in_flight.iter().filter(|&&other| other == id).count();
        prop_assert_eq!(picker.in_flight(id) as usize, in_flight);
    }
    Ok(())
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        policy in policy(),
        weights in weights(),
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut picker = Picker::new(policy, &weights, seed).unwrap();
        prop_assert_eq!(picker.len(), weights.len());
        let mut model = Model::new(&weights);
        let mut rng = Rng::new(seed);
        for step in &steps {
            take(step, &mut picker, &mut model, &mut rng)?;
        }
    }

    #[test]
    fn every_endpoint_is_tried_once_and_then_none(
        policy in policy(),
        weights in weights(),
        seed in any::<u64>(),
    ) {
        let mut picker = Picker::new(policy, &weights, seed).unwrap();
        let mut rng = Rng::new(seed);
        let mut tried = Tried::default();
        while let Some(id) = picker.pick(0, Duration::ZERO, &mut rng, &tried) {
            prop_assert!(tried.insert(id));
            picker.done(id, Outcome::Unreachable, Duration::ZERO, Duration::ZERO);
        }
        prop_assert_eq!(tried.len(), weights.iter().filter(|&&weight| weight > 0).count());
    }

    #[test]
    fn suspects_recover_after_a_second(
        policy in policy(),
        seed in any::<u64>(),
        suspected_at_ms in 0..1_000_000_u64,
    ) {
        let mut picker = Picker::new(policy, &[1, 1], seed).unwrap();
        let mut rng = Rng::new(seed);
        let suspected_at = Duration::from_millis(suspected_at_ms);
        let suspect = EndpointId::new(0);
        picker.suspect(suspect, suspected_at);
        let mut is_picked_at = |now| {
            (0..64).any(|_| {
                let id = picker.pick(rng.next(), now, &mut rng, &Tried::default()).unwrap();
                picker.done(id, Outcome::Success, Duration::ZERO, now);
                id == suspect
            })
        };
        prop_assert!(!is_picked_at(suspected_at));
        prop_assert!(!is_picked_at(suspected_at + Duration::from_millis(999)));
        prop_assert!(is_picked_at(suspected_at + Duration::from_secs(1)));
    }

    #[test]
    fn the_same_seeds_give_the_same_picks(policy in policy(), weights in weights(), seed in any::<u64>()) {
        let picks = || {
            let mut picker = Picker::new(policy.clone(), &weights, seed).unwrap();
            let mut rng = Rng::new(seed);
            let mut pick = || picker.pick(rng.next(), Duration::ZERO, &mut rng, &Tried::default());
            (0..50).map(|_| pick()).collect::<Vec<_>>()
        };
        prop_assert_eq!(picks(), picks());
    }
}
