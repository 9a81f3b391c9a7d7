//! Choices and counters of `corelane-balancer`. A single choice is a handful of instructions, of which one more would
//! be beyond any gate: so each subject is many.

use super::Course;
use corelane_balancer::count::{Bucket, CountMin, Limit, Rate, Top};
use corelane_balancer::retry::{self, Attempt, Message, RetryPolicy, Trigger, Verdict, Written};
use corelane_balancer::{Candidates, Choose, EndpointId, Outcome, Picker, Policy, Rng, Tried, hash_bytes};
use std::hint::black_box;
use std::time::Duration;

/// Calls that one subject makes.
const CALLS: u64 = 64;

pub(super) fn subjects(course: &mut Course) {
    for (name, policy) in [
        ("round robin", Policy::RoundRobin),
        ("weighted round robin", Policy::WeightedRoundRobin),
        ("random", Policy::Random),
        ("least request", Policy::LeastRequest),
        ("p2c", Policy::P2c),
        ("hash", Policy::Hash),
        ("custom", Policy::custom(|| First)),
    ] {
        for endpoints in [8, 1000] {
            picks(course, name, &policy, endpoints);
        }
    }
    decisions(course);
    counters(course);
}

/// A policy of somebody's own that costs nothing itself: what is counted is the door.
struct First;

impl Choose for First {
    fn choose(
        &mut self,
        candidates: &Candidates<'_>,
        _key: u64,
        _now: Duration,
        _rng: &mut Rng,
    ) -> Option<EndpointId> {
        candidates.iter().next().map(|first| first.id())
    }
}

/// Picks, and says how it went, with one attempt under way all the time.
fn picks(course: &mut Course, name: &str, policy: &Policy, endpoints: usize) {
    let weights: Vec<u32> = (0..endpoints).map(|at| 1 + (at % 3) as u32).collect();
    let mut picker = Picker::new(policy.clone(), &weights, 1).expect("the weights are in order");
    let (mut rng, tried, now) = (Rng::new(1), Tried::default(), Duration::from_secs(5));
    let mut before = picker.pick(0, now, &mut rng, &tried).expect("there are endpoints");
    course.subject(format!("balancer: {CALLS} picks of {endpoints} by {name}"), || {
        for key in 0..CALLS {
            let next = picker.pick(black_box(key), now, &mut rng, &tried).expect("there are endpoints");
            picker.done(before, Outcome::Success, Duration::from_millis(1), now);
            before = next;
        }
    });
}

fn decisions(course: &mut Course) {
    let attempt = |at: u64| Attempt {
        written: [Written::Nothing, Written::Head, Written::Content][(at % 3) as usize],
        reused: at & 1 != 0,
        response_begun: at & 2 != 0,
        refused_by_peer: at & 4 != 0,
        trigger: [Trigger::Failure, Trigger::Status, Trigger::PerTryTimeout][(at / 8 % 3) as usize],
    };
    let attempts: Vec<Attempt> = (0..CALLS).map(attempt).collect();
    let message = Message { idempotent: true, replayable: true };
    let policy = RetryPolicy::default();
    course.subject(format!("balancer: {CALLS} decisions to try again"), || {
        let may = |attempt: &Attempt| {
            let verdict = retry::verdict(black_box(attempt), black_box(&message), black_box(&policy), 0);
            matches!(verdict, Verdict::Retry { .. })
        };
        let again = attempts.iter().filter(|attempt| may(attempt)).count() as u64;
        assert!((1..CALLS).contains(&again));
    });
}

fn counters(course: &mut Course) {
    let second = Duration::from_secs(1);
    let keys: Vec<u64> = (0..CALLS).map(|at| hash_bytes(&(at * at % 40).to_le_bytes())).collect();
    course.subject(format!("balancer: {CALLS} hashes of 24 bytes"), || {
        for at in 0..CALLS {
            let mut text = *b"a session of 24 bytes ..";
            text[23] = at as u8;
            black_box(hash_bytes(black_box(&text)));
        }
    });
    let (mut rate, mut now) = (Rate::new(second), second);
    course.subject(format!("balancer: {CALLS} events of a rate, counted"), || {
        for _ in 0..CALLS {
            now += Duration::from_millis(7);
            rate.add(1, now);
            assert!(black_box(&rate).count(now) > 0);
        }
    });
    let mut sketch = CountMin::new(0.001, 0.01, 1).expect("the error is in range");
    course.subject(format!("balancer: {CALLS} keys of a count-min sketch"), || {
        for key in &keys {
            let count = sketch.add(*key, 1);
            assert!(count > 0 && black_box(&sketch).estimate(*key) == count);
        }
    });
    let mut top = Top::new(32);
    course.subject(format!("balancer: {CALLS} keys of a top 32"), || {
        for key in &keys {
            top.add(*key, 1, || ());
        }
        assert!(top.total() >= CALLS);
    });
    let limit = Limit::new(1_000_000, second, 1_000_000).expect("the limit is in range");
    let mut bucket = Bucket::default();
    course.subject(format!("balancer: {CALLS} takes of a limit"), || {
        for _ in 0..CALLS {
            assert!(black_box(&mut bucket).take(black_box(&limit), 1, second).is_ok());
        }
    });
}
