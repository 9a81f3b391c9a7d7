//! Picks, outcomes and the passing of time, in any order, beside a model that is too simple to be wrong.

use arbitrary::Arbitrary;
use corelane_balancer::retry::{Attempt, Message, RetryPolicy, Trigger, Verdict, Written, verdict};
use corelane_balancer::{Candidates, Choose, EndpointId, Outcome, Picker, Policy, Rng, SUSPECT, Tried};
use std::time::Duration;

/// A cluster and what happens to it.
#[derive(Arbitrary, Debug)]
pub struct Input {
    policy: u8,
    seed: u64,
    weights: Vec<Weight>,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Weight {
    None,
    Small(u8),
    Large(u32),
    /// Many endpoints of the same weight: more than a [`Tried`] holds without heap.
    Many(u8, u8),
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// For a key, with these tried.
    Pick(u64, Vec<u16>),
    /// Ends one of those in flight.
    Done(u16, How),
    /// Ends one that may not be in flight, or not exist.
    StrayDone(u32, How),
    Suspect(u32),
    WaitMs(u16),
    /// Asks whether an attempt may be followed by another.
    Retry {
        written: u8,
        flags: u8,
        trigger: u8,
        attempts_max: u8,
        reached: u8,
    },
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum How {
    Success,
    Failure,
    Unreachable,
    Cancelled,
}

impl From<How> for Outcome {
    fn from(how: How) -> Self {
        match how {
            How::Success => Self::Success,
            How::Failure => Self::Failure,
            How::Unreachable => Self::Unreachable,
            How::Cancelled => Self::Cancelled,
        }
    }
}

/// The last that is left, or the first, or none, as the key says.
struct Last;

impl Choose for Last {
    fn choose(
        &mut self,
        candidates: &Candidates<'_>,
        key: u64,
        _: Duration,
        _: &mut Rng,
    ) -> Option<EndpointId> {
        assert!(!candidates.is_empty(), "nobody is asked to choose among none");
        match key % 3 {
            0 => candidates.iter().last().map(|last| last.id()),
            1 => candidates.iter().next().map(|first| first.id()),
            _ => None,
        }
    }
}

struct Model {
    weights: Vec<u32>,
    suspect_until: Vec<Duration>,
    in_flight: Vec<EndpointId>,
    now: Duration,
}

impl Model {
    /// Those that may be picked, by the words of [`Picker::pick`].
    fn eligible(&self, tried: &Tried) -> Vec<EndpointId> {
        let ids = (0..self.weights.len() as u32).map(EndpointId::new);
        let left: Vec<_> = ids.filter(|&id| self.weights[id.index()] > 0 && !tried.contains(id)).collect();
        let clear = left.iter().copied().filter(|id| self.suspect_until[id.index()] <= self.now);
        let clear: Vec<_> = clear.collect();
        if clear.is_empty() { left } else { clear }
    }

    fn done(&mut self, id: EndpointId, outcome: Outcome) {
        if let Some(at) = self.in_flight.iter().position(|other| *other == id) {
            self.in_flight.swap_remove(at);
        }
        if outcome == Outcome::Unreachable {
            self.suspect(id);
        }
    }

    fn suspect(&mut self, id: EndpointId) {
        if let Some(until) = self.suspect_until.get_mut(id.index()) {
            *until = self.now + SUSPECT;
        }
    }
}

/// Endpoints that one input may have: a step costs as much as there are.
const ENDPOINTS_MAX: usize = 400;

fn weights(input: &[Weight]) -> Vec<u32> {
    let each = input.iter().flat_map(|weight| match weight {
        Weight::None => vec![0],
        Weight::Small(weight) => vec![u32::from(*weight)],
        Weight::Large(weight) => vec![*weight],
        Weight::Many(count, weight) => vec![u32::from(*weight); usize::from(*count)],
    });
    each.take(ENDPOINTS_MAX).collect()
}

/// Takes each step with the picker and with the model.
pub fn steps(input: &Input) {
    let weights = weights(&input.weights);
    let policy = match input.policy % 7 {
        0 => Policy::RoundRobin,
        1 => Policy::WeightedRoundRobin,
        2 => Policy::Random,
        3 => Policy::LeastRequest,
        4 => Policy::P2c,
        5 => Policy::Hash,
        _ => Policy::custom(|| Last),
    };
    let may_refuse = matches!(policy, Policy::Custom(_));
    let identities: Vec<_> =
        weights.iter().zip(0_u64..).map(|(weight, at)| (*weight, at.wrapping_mul(input.seed))).collect();
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let valid = weights.is_empty() || (1..=u64::from(u32::MAX)).contains(&sum);
    assert_eq!(Picker::check(&weights).is_ok(), valid);
    let picker = Picker::with_identities(policy, &identities, input.seed);
    assert_eq!(picker.is_ok(), valid);
    let Ok(mut picker) = picker else { return };
    let suspect_until = vec![Duration::ZERO; weights.len()];
    let mut model = Model { weights, suspect_until, in_flight: Vec::new(), now: Duration::ZERO };
    let mut rng = Rng::new(input.seed);
    for step in input.steps.iter().take(300) {
        take(step, &mut picker, &mut model, &mut rng, may_refuse);
    }
    for index in 0..picker.len() as u32 {
        let id = EndpointId::new(index);
        assert_eq!(picker.in_flight(id) as usize, model.in_flight.iter().filter(|one| **one == id).count());
        assert_eq!(picker.is_suspect(id, model.now), model.now < model.suspect_until[id.index()]);
    }
}

fn take(step: &Step, picker: &mut Picker, model: &mut Model, rng: &mut Rng, may_refuse: bool) {
    match step {
        Step::Pick(key, indexes) => {
            let mut tried = Tried::default();
            for index in indexes.iter().filter(|_| !model.weights.is_empty()) {
                tried.insert(EndpointId::new(u32::from(*index) % model.weights.len() as u32));
            }
            let eligible = model.eligible(&tried);
            match picker.pick(*key, model.now, rng, &tried) {
                None => assert!(eligible.is_empty() || (may_refuse && key % 3 == 2)),
                Some(id) => {
                    assert!(eligible.contains(&id), "{id:?} of {eligible:?}");
                    model.in_flight.push(id);
                }
            }
        }
        Step::Done(which, how) if !model.in_flight.is_empty() => {
            let id = model.in_flight[usize::from(*which) % model.in_flight.len()];
            picker.done(id, (*how).into(), Duration::from_millis(1), model.now);
            model.done(id, (*how).into());
        }
        Step::Done(..) => {}
        Step::StrayDone(index, how) => {
            let id = EndpointId::new(*index);
            picker.done(id, (*how).into(), Duration::MAX, model.now);
            model.done(id, (*how).into());
        }
        Step::Suspect(index) => {
            picker.suspect(EndpointId::new(*index), model.now);
            model.suspect(EndpointId::new(*index));
        }
        Step::WaitMs(ms) => model.now += Duration::from_millis(u64::from(*ms)),
        Step::Retry { written, flags, trigger, attempts_max, reached } => {
            retry(*written, *flags, *trigger, u32::from(*attempts_max), u32::from(*reached));
        }
    }
}

/// The rules that no configuration changes: nothing is sent twice that may have been carried out, that has gone, or
/// that was answered; and there is an end.
fn retry(written: u8, flags: u8, trigger: u8, attempts_max: u32, reached: u32) {
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let written = [Written::Nothing, Written::Head, Written::Content][usize::from(written % 3)];
    let trigger = [Trigger::Failure, Trigger::Status, Trigger::PerTryTimeout][usize::from(trigger % 3)];
    let (reused, response_begun, refused_by_peer) = (flag(0), flag(1), flag(2));
    let attempt = Attempt { written, reused, response_begun, refused_by_peer, trigger };
    let message = Message { idempotent: flag(3), replayable: flag(4) };
    let (on_fresh_connection, on_status_or_timeout) = (flag(5), flag(6));
    let policy = RetryPolicy { attempts_max, on_fresh_connection, on_status_or_timeout };
    let Verdict::Retry { costs_budget } = verdict(&attempt, &message, &policy, reached) else { return };
    let answered = response_begun || trigger == Trigger::Status;
    assert_eq!(costs_budget, written != Written::Nothing || answered);
    assert!(reached + u32::from(costs_budget) < attempts_max.max(1));
    if costs_budget {
        assert!(message.replayable);
        assert!(message.idempotent || (refused_by_peer && !answered));
        assert!(!(answered && trigger == Trigger::Failure), "a response is never asked for twice");
        assert!(trigger == Trigger::Failure || on_status_or_timeout || (refused_by_peer && !answered));
    }
}
