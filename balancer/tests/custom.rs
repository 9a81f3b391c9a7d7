//! Policies of one's own.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use corelane_balancer::{Candidates, Choose, EndpointId, Outcome, Picker, Policy, Rng, Tried};

const NOW: Duration = Duration::from_secs(5);
const FIRST: EndpointId = EndpointId::new(0);
const SECOND: EndpointId = EndpointId::new(1);
const THIRD: EndpointId = EndpointId::new(2);

/// Says what it was told to, and notes what it saw.
#[derive(Clone, Default)]
struct Scripted {
    says: Rc<RefCell<Option<EndpointId>>>,
    saw: Rc<RefCell<Vec<String>>>,
}

impl Choose for Scripted {
    fn choose(
        &mut self,
        candidates: &Candidates<'_>,
        key: u64,
        now: Duration,
        _rng: &mut Rng,
    ) -> Option<EndpointId> {
        assert!(!candidates.is_empty());
        let seen: Vec<_> =
            candidates.iter().map(|it| (it.id().index(), it.weight(), it.in_flight())).collect();
        self.saw.borrow_mut().push(format!("{key} {now:?} {seen:?} of {}", candidates.endpoints()));
        *self.says.borrow()
    }

    fn done(&mut self, id: EndpointId, outcome: Outcome, latency: Duration, now: Duration) {
        self.saw.borrow_mut().push(format!("done {} {outcome:?} {latency:?} {now:?}", id.index()));
    }
}

thread_local! {
    static SCRIPT: Scripted = Scripted::default();
}

/// A picker with a policy that the test holds the strings of.
fn scripted(weights: &[u32]) -> (Picker, Scripted) {
    let policy = Policy::custom(|| SCRIPT.with(Scripted::clone));
    (Picker::new(policy, weights, 0).expect("weights of use"), SCRIPT.with(Scripted::clone))
}

fn pick(picker: &mut Picker, tried: &[EndpointId]) -> Option<EndpointId> {
    let mut set = Tried::default();
    tried.iter().for_each(|id| assert!(set.insert(*id)));
    picker.pick(9, NOW, &mut Rng::new(0), &set)
}

#[test]
fn sees_the_candidates_and_how_each_attempt_ended() {
    let (mut picker, script) = scripted(&[4, 0, 6]);
    *script.says.borrow_mut() = Some(THIRD);
    assert_eq!(pick(&mut picker, &[]), Some(THIRD));
    assert_eq!(pick(&mut picker, &[]), Some(THIRD));
    picker.done(THIRD, Outcome::Failure, Duration::from_millis(3), 2 * NOW);
    assert_eq!(picker.in_flight(THIRD), 1);
    assert_eq!(
        *script.saw.borrow(),
        ["9 5s [(0, 4, 0), (2, 6, 0)] of 3", "9 5s [(0, 4, 0), (2, 6, 1)] of 3", "done 2 Failure 3ms 10s"]
    );
}

#[test]
fn is_asked_once_and_shown_suspects_only_when_nothing_else_is_left() {
    let (mut picker, script) = scripted(&[1, 1, 1]);
    picker.suspect(FIRST, NOW);
    assert_eq!(pick(&mut picker, &[]), None, "it says no, and nobody else is asked");
    *script.says.borrow_mut() = Some(FIRST);
    assert_eq!(pick(&mut picker, &[SECOND, THIRD]), Some(FIRST));
    assert_eq!(pick(&mut picker, &[FIRST, SECOND, THIRD]), None, "and it isn't asked");
    let saw = ["9 5s [(1, 1, 0), (2, 1, 0)] of 3", "9 5s [(0, 1, 0)] of 3"];
    assert_eq!(*script.saw.borrow(), saw);
}

#[test]
fn what_is_no_candidate_is_not_picked() {
    let (mut picker, script) = scripted(&[1, 0, 1]);
    picker.suspect(THIRD, NOW);
    for wrong in [SECOND, THIRD, EndpointId::new(3), EndpointId::new(u32::MAX)] {
        *script.says.borrow_mut() = Some(wrong);
        assert_eq!(pick(&mut picker, &[]), None, "{wrong:?}");
        assert_eq!(picker.in_flight(wrong), 0);
    }
    *script.says.borrow_mut() = Some(FIRST);
    assert_eq!(pick(&mut picker, &[FIRST]), None, "it was tried");
}

#[test]
fn is_told_of_what_was_picked_and_of_nothing_else() {
    let (mut picker, script) = scripted(&[1, 1]);
    for id in [FIRST, EndpointId::new(7)] {
        picker.done(id, Outcome::Unreachable, Duration::ZERO, NOW);
    }
    picker.suspect(SECOND, NOW);
    assert!(script.saw.borrow().is_empty());
    assert!(picker.is_suspect(FIRST, NOW), "the picker learns of it all the same");
}

#[test]
fn candidates_can_be_looked_up() {
    struct LookUp;
    impl Choose for LookUp {
        fn choose(
            &mut self,
            candidates: &Candidates<'_>,
            key: u64,
            _now: Duration,
            _rng: &mut Rng,
        ) -> Option<EndpointId> {
            assert!(!candidates.contains(SECOND) && candidates.candidate(SECOND).is_none());
            assert!(!candidates.contains(EndpointId::new(3)));
            assert_eq!(candidates.candidate(THIRD).map(|third| third.identity()), Some(33));
            candidates.iter().find(|it| it.identity() == key).map(|it| it.id())
        }
    }
    let endpoints = [(1, 11), (0, 22), (1, 33)];
    let mut picker = Picker::with_identities(Policy::custom(|| LookUp), &endpoints, 0).unwrap();
    let mut pick = |key| picker.pick(key, NOW, &mut Rng::new(0), &Tried::default());
    assert_eq!([pick(11), pick(22), pick(33)], [Some(FIRST), None, Some(THIRD)]);
}

/// One endpoint after the other, with no regard for anything.
#[derive(Default)]
struct Next(usize);

impl Choose for Next {
    fn choose(
        &mut self,
        candidates: &Candidates<'_>,
        _key: u64,
        _now: Duration,
        _rng: &mut Rng,
    ) -> Option<EndpointId> {
        self.0 += 1;
        candidates.iter().nth(self.0 % candidates.iter().count()).map(|it| it.id())
    }
}

#[test]
fn every_picker_has_a_state_of_its_own() {
    let policy = Policy::custom(Next::default);
    let mut lanes = [(); 2].map(|()| Picker::new(policy.clone(), &[1; 3], 0).unwrap());
    for expected in [1, 2, 0, 1] {
        for lane in &mut lanes {
            assert_eq!(pick(lane, &[]).map(EndpointId::index), Some(expected));
        }
    }
}

#[test]
fn a_recipe_can_be_sent_compared_and_shown() {
    fn is_recipe<T: Send + Sync + Clone>() {}
    is_recipe::<Policy>();
    let policy = Policy::custom(Next::default);
    assert_eq!(policy, policy.clone());
    assert_ne!(policy, Policy::custom(Next::default));
    assert_ne!(policy, Policy::Hash);
    assert_eq!(format!("{policy:?}"), "Custom(custom::Next)");
    let picker = Picker::new(policy, &[1], 0).unwrap();
    assert!(format!("{picker:?}").contains("custom::Next"));
}

#[test]
fn one_recipe_can_make_different_policies() {
    struct Never;
    impl Choose for Never {
        fn choose(&mut self, _: &Candidates<'_>, _: u64, _: Duration, _: &mut Rng) -> Option<EndpointId> {
            None
        }
    }
    for (fancy, expected) in [(true, Some(FIRST)), (false, None)] {
        let policy = Policy::custom(move || -> Box<dyn Choose> {
            if fancy { Box::new(Next::default()) } else { Box::new(Never) }
        });
        let mut picker = Picker::new(policy, &[1], 0).unwrap();
        assert_eq!(pick(&mut picker, &[]), expected);
        picker.done(FIRST, Outcome::Success, Duration::ZERO, NOW);
    }
}

#[test]
fn weights_are_checked_without_calling_the_factory() {
    assert!(Picker::check(&[1, 2]).is_ok());
    assert!(Picker::check(&[0]).is_err());
    let never = Policy::custom(|| -> Box<dyn Choose> { panic!("nobody asked for one") });
    assert!(Picker::new(never, &[0], 0).is_err());
}
