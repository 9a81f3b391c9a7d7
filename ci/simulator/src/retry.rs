//! The table of retries, from outside: what must not have happened to whoever reaches an origin once more.

use crate::{
    spec::{Answer, Framing, Manner, Request},
    tunnel::Ending,
};
use corelane_engine::RetryPolicy;
use std::time::Duration;

/// Content that the engine keeps for another attempt, unless it is told otherwise.
const KEPT_BYTES: usize = 64 << 10;

/// How long an attempt goes without an answer before it is given up, as an origin sees it at least: its head may have been
/// under way for a third of a minute.
const TRY: Duration = Duration::from_secs(35);

/// An attempt that has reached an origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) at: Duration,
    /// It was the first of its connection.
    pub(crate) is_fresh: bool,
    /// The origin has begun to say something.
    pub(crate) has_said: bool,
    /// Bytes of content that came.
    pub(crate) content_bytes: usize,
}

/// What is allowed in a run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Table {
    pub(crate) policy: RetryPolicy,
    /// What was sent may be lost on its way.
    pub(crate) loses_bytes: bool,
    /// Nobody can tell for how long the engine has waited: it was stopped meanwhile.
    pub(crate) loses_time: bool,
}

impl Table {
    /// Why this request may not reach an origin another time, after those that have; `None` if it may.
    pub(crate) fn forbids(
        &self,
        (request, answer): (&Request, &Answer),
        reached: &[Reached],
        now: Duration,
    ) -> Option<&'static str> {
        if !request.is_idempotent() {
            return Some("its method is not idempotent");
        }
        if reached.len() as u64 >= u64::from(self.policy.attempts_max.max(1)) {
            return Some("the attempts are used up");
        }
        if reached.iter().any(|attempt| attempt.content_bytes > KEPT_BYTES) && !request.way.keeps_content() {
            return Some("more of its content was sent than is kept");
        }
        let is_late = self.loses_time || reached.iter().any(|attempt| now.saturating_sub(attempt.at) > TRY);
        if self.policy.on_status_or_timeout && (is_late || matches!(answer.status, 502..=504)) {
            return None;
        }
        if reached.iter().any(|attempt| attempt.is_fresh) && !self.policy.on_fresh_connection {
            return Some("it was sent on a fresh connection");
        }
        let was_heard = reached.iter().any(|attempt| attempt.has_said) && self.is_heard(request, answer);
        was_heard.then_some("an answer had begun")
    }

    /// Whether what an origin says is heard for certain: a reset may take it away, and unread content makes one of a close,
    /// be it only the chunk that says that there is none.
    fn is_heard(&self, request: &Request, answer: &Answer) -> bool {
        let by_reset = matches!(answer.manner, Manner::Breaks { by_reset: true, .. });
        // A tunnel that its origin resets: the reset may overtake the 101.
        let ends_by_reset = answer.status == 101
            && request.switch.is_some_and(|script| script.ending == Ending::OriginResets);
        let by_reset = by_reset || ends_by_reset;
        !self.loses_bytes && !by_reset && request.content_bytes == 0 && request.framing != Framing::Chunked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::Script;
    use corelane_balancer::Rng;

    fn table(policy: RetryPolicy) -> Table {
        Table { policy, ..Table::default() }
    }

    /// A GET without content, and a plain answer to it.
    fn exchange() -> (Request, Answer) {
        let mut rng = Rng::new(1);
        let mut request = Request::draw(&mut rng, 1);
        (request.method, request.content_bytes, request.framing) = ("GET", 0, Framing::None);
        let mut answer = Answer::draw(&mut rng, &request, false);
        (answer.status, answer.manner) = (200, Manner::Good);
        (request, answer)
    }

    const NOW: Duration = Duration::from_secs(1);
    const POOLED: Reached =
        Reached { at: Duration::ZERO, is_fresh: false, has_said: false, content_bytes: 0 };

    #[test]
    fn each_row_forbids_what_it_says() {
        let (mut request, mut answer) = exchange();
        let plain = table(RetryPolicy::default());
        assert_eq!(plain.forbids((&request, &answer), &[POOLED], NOW), None);
        assert!(plain.forbids((&request, &answer), &[POOLED, POOLED], NOW).is_some(), "two are the limit");
        assert!(plain.forbids((&request, &answer), &[Reached { is_fresh: true, ..POOLED }], NOW).is_some());
        assert!(plain.forbids((&request, &answer), &[Reached { has_said: true, ..POOLED }], NOW).is_some());
        assert!(
            plain.forbids((&request, &answer), &[Reached { content_bytes: 70_000, ..POOLED }], NOW).is_some()
        );
        let policy = RetryPolicy { attempts_max: 3, on_fresh_connection: true, on_status_or_timeout: true };
        let fresh = Reached { is_fresh: true, ..POOLED };
        assert_eq!(table(policy).forbids((&request, &answer), &[fresh, fresh], NOW), None);
        let said = [Reached { has_said: true, ..fresh }];
        assert!(table(policy).forbids((&request, &answer), &said, NOW).is_some());
        assert_eq!(table(policy).forbids((&request, &answer), &said, TRY * 2), None, "it was given up");
        answer.status = 503;
        assert_eq!(
            table(policy).forbids((&request, &answer), &[Reached { has_said: true, ..fresh }], NOW),
            None
        );
        request.method = "POST";
        assert!(table(policy).forbids((&request, &answer), &[POOLED], NOW).is_some());
    }

    #[test]
    fn a_reset_behind_a_101_may_take_it_away() {
        let (mut request, mut answer) = exchange();
        let mut script = Script::draw(&mut Rng::new(1), request.way);
        let said = [Reached { has_said: true, ..POOLED }];
        answer.status = 101;
        for (ending, is_heard) in [(Ending::OriginResets, false), (Ending::Origin, true)] {
            script.ending = ending;
            request.switch = Some(script);
            let forbids = table(RetryPolicy::default()).forbids((&request, &answer), &said, NOW);
            assert_eq!(forbids.is_some(), is_heard, "{ending:?}");
        }
        // Who refuses to switch resets nothing.
        (script.ending, answer.status) = (Ending::OriginResets, 200);
        request.switch = Some(script);
        assert!(table(RetryPolicy::default()).forbids((&request, &answer), &said, NOW).is_some());
    }
}
