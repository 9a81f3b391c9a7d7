//! One test per cell of the table: a row is what happened, a column is the message and the policy.

use super::*;

const GET: Message = Message { idempotent: true, replayable: true };
const GET_LOST: Message = Message { idempotent: true, replayable: false };
const POST: Message = Message { idempotent: false, replayable: true };
const POST_LOST: Message = Message { idempotent: false, replayable: false };
const MESSAGES: [Message; 4] = [GET, GET_LOST, POST, POST_LOST];

const DEFAULT: RetryPolicy =
    RetryPolicy { attempts_max: 2, on_fresh_connection: false, on_status_or_timeout: false };
const ON_FRESH: RetryPolicy = RetryPolicy { on_fresh_connection: true, ..DEFAULT };
const ON_STATUS: RetryPolicy = RetryPolicy { on_status_or_timeout: true, ..DEFAULT };
const ON_ALL: RetryPolicy = RetryPolicy { on_fresh_connection: true, ..ON_STATUS };
const POLICIES: [RetryPolicy; 4] = [DEFAULT, ON_FRESH, ON_STATUS, ON_ALL];

const FRESH: Attempt = Attempt {
    written: Written::Head,
    reused: false,
    response_begun: false,
    refused_by_peer: false,
    trigger: Trigger::Failure,
};
const NOT_WRITTEN: Attempt = Attempt { written: Written::Nothing, ..FRESH };
const REUSED: Attempt = Attempt { reused: true, ..FRESH };
const REFUSED: Attempt = Attempt { refused_by_peer: true, ..REUSED };
const STATUS: Attempt = Attempt { response_begun: true, trigger: Trigger::Status, ..REUSED };
const TIMEOUT: Attempt = Attempt { trigger: Trigger::PerTryTimeout, ..FRESH };
const BEGUN: Attempt = Attempt { response_begun: true, ..REUSED };

const FREE: Verdict = Verdict::Retry { costs_budget: false };
const PAID: Verdict = Verdict::Retry { costs_budget: true };

#[track_caller]
fn check(attempt: Attempt, message: Message, policy: RetryPolicy, expected: Verdict) {
    assert_eq!(verdict(&attempt, &message, &policy, 0), expected, "{attempt:?} {message:?} {policy:?}");
    let content_begun = match attempt.written {
        Written::Nothing => attempt,
        Written::Head | Written::Content => Attempt { written: Written::Content, ..attempt },
    };
    assert_eq!(verdict(&content_begun, &message, &policy, 0), expected, "with content written");
}

#[track_caller]
fn check_all_policies(attempt: Attempt, message: Message, expected: Verdict) {
    POLICIES.into_iter().for_each(|policy| check(attempt, message, policy, expected));
}

/// The row "nothing was written".
mod nothing_written {
    use super::*;

    #[test]
    fn any_message_and_policy_retries_for_free() {
        MESSAGES.into_iter().for_each(|message| check_all_policies(NOT_WRITTEN, message, FREE));
    }

    #[test]
    fn on_a_reused_connection_too() {
        let attempt = Attempt { reused: true, ..NOT_WRITTEN };
        MESSAGES.into_iter().for_each(|message| check_all_policies(attempt, message, FREE));
    }

    #[test]
    fn a_per_try_timeout_while_connecting_too() {
        let attempt = Attempt { trigger: Trigger::PerTryTimeout, ..NOT_WRITTEN };
        MESSAGES.into_iter().for_each(|message| check_all_policies(attempt, message, FREE));
    }

    #[test]
    fn a_response_all_the_same_is_never_retried() {
        let attempt = Attempt { response_begun: true, ..NOT_WRITTEN };
        MESSAGES
            .into_iter()
            .for_each(|message| check_all_policies(attempt, message, Verdict::GiveUp(Why::ResponseBegun)));
    }
}

/// The row "written, no response byte, reused connection".
mod reused_connection {
    use super::*;

    #[test]
    fn idempotent_and_replayable_retries() {
        check_all_policies(REUSED, GET, PAID);
    }

    #[test]
    fn not_replayable_gives_up() {
        check_all_policies(REUSED, GET_LOST, Verdict::GiveUp(Why::NotReplayable));
    }

    #[test]
    fn not_idempotent_gives_up() {
        check_all_policies(REUSED, POST, Verdict::GiveUp(Why::NotIdempotent));
    }

    #[test]
    fn neither_gives_up() {
        check_all_policies(REUSED, POST_LOST, Verdict::GiveUp(Why::NotIdempotent));
    }
}

/// The row "written, no response byte, fresh connection".
mod fresh_connection {
    use super::*;

    #[test]
    fn not_configured_gives_up() {
        check(FRESH, GET, DEFAULT, Verdict::GiveUp(Why::NotConfigured));
        check(FRESH, GET, ON_STATUS, Verdict::GiveUp(Why::NotConfigured));
    }

    #[test]
    fn configured_retries() {
        check(FRESH, GET, ON_FRESH, PAID);
    }

    #[test]
    fn not_replayable_gives_up() {
        check_all_policies(FRESH, GET_LOST, Verdict::GiveUp(Why::NotReplayable));
    }

    #[test]
    fn not_idempotent_gives_up() {
        check_all_policies(FRESH, POST, Verdict::GiveUp(Why::NotIdempotent));
    }

    #[test]
    fn neither_gives_up() {
        check_all_policies(FRESH, POST_LOST, Verdict::GiveUp(Why::NotIdempotent));
    }
}

/// The row "the peer refused".
mod refused {
    use super::*;

    const REFUSED_FRESH: Attempt = Attempt { reused: false, ..REFUSED };

    #[test]
    fn idempotent_and_replayable_retries() {
        check_all_policies(REFUSED, GET, PAID);
        check_all_policies(REFUSED_FRESH, GET, PAID);
    }

    #[test]
    fn not_idempotent_but_replayable_retries() {
        check_all_policies(REFUSED, POST, PAID);
        check_all_policies(REFUSED_FRESH, POST, PAID);
    }

    #[test]
    fn not_replayable_gives_up() {
        check_all_policies(REFUSED, GET_LOST, Verdict::GiveUp(Why::NotReplayable));
        check_all_policies(REFUSED_FRESH, GET_LOST, Verdict::GiveUp(Why::NotReplayable));
    }

    #[test]
    fn neither_gives_up() {
        check_all_policies(REFUSED, POST_LOST, Verdict::GiveUp(Why::NotReplayable));
        check_all_policies(REFUSED_FRESH, POST_LOST, Verdict::GiveUp(Why::NotReplayable));
    }

    #[test]
    fn a_peer_that_had_answered_lies() {
        let attempt = Attempt { response_begun: true, ..REFUSED };
        check_all_policies(attempt, GET, Verdict::GiveUp(Why::ResponseBegun));
    }
}

/// The row "a chosen status, or the per-try timeout".
mod status_or_timeout {
    use super::*;

    const TIMEOUT_AFTER_INTERIM: Attempt = Attempt { response_begun: true, ..TIMEOUT };
    const STATUS_UNFLAGGED: Attempt = Attempt { response_begun: false, ..STATUS };
    const ROW: [Attempt; 4] = [STATUS, STATUS_UNFLAGGED, TIMEOUT, TIMEOUT_AFTER_INTERIM];

    #[test]
    fn not_configured_gives_up() {
        ROW.into_iter().for_each(|attempt| check(attempt, GET, DEFAULT, Verdict::GiveUp(Why::NotConfigured)));
        ROW.into_iter()
            .for_each(|attempt| check(attempt, GET, ON_FRESH, Verdict::GiveUp(Why::NotConfigured)));
    }

    #[test]
    fn configured_retries() {
        ROW.into_iter().for_each(|attempt| check(attempt, GET, ON_STATUS, PAID));
    }

    #[test]
    fn not_replayable_gives_up() {
        ROW.into_iter()
            .for_each(|attempt| check_all_policies(attempt, GET_LOST, Verdict::GiveUp(Why::NotReplayable)));
    }

    #[test]
    fn not_idempotent_gives_up() {
        ROW.into_iter()
            .for_each(|attempt| check_all_policies(attempt, POST, Verdict::GiveUp(Why::NotIdempotent)));
    }

    #[test]
    fn neither_gives_up() {
        ROW.into_iter()
            .for_each(|attempt| check_all_policies(attempt, POST_LOST, Verdict::GiveUp(Why::NotIdempotent)));
    }

    #[test]
    fn a_status_before_the_request_was_written_is_still_a_response() {
        let attempt = Attempt { written: Written::Nothing, ..STATUS };
        check(attempt, GET, DEFAULT, Verdict::GiveUp(Why::NotConfigured));
        check(attempt, GET, ON_STATUS, PAID);
    }
}

/// The row "a response byte was received".
mod response_begun {
    use super::*;

    #[test]
    fn never_whatever_the_message_and_policy() {
        let fresh = Attempt { reused: false, ..BEGUN };
        for message in MESSAGES {
            check_all_policies(BEGUN, message, Verdict::GiveUp(Why::ResponseBegun));
            check_all_policies(fresh, message, Verdict::GiveUp(Why::ResponseBegun));
        }
    }
}

mod budget {
    use super::*;

    #[test]
    fn the_default_allows_one_retry() {
        let policy = RetryPolicy::default();
        assert_eq!(policy, DEFAULT);
        assert_eq!(verdict(&REUSED, &GET, &policy, 0), PAID);
        assert_eq!(verdict(&REUSED, &GET, &policy, 1), Verdict::GiveUp(Why::BudgetSpent));
        assert_eq!(verdict(&REUSED, &GET, &policy, u32::MAX), Verdict::GiveUp(Why::BudgetSpent));
    }

    #[test]
    fn what_sent_nothing_costs_nothing() {
        assert_eq!(verdict(&NOT_WRITTEN, &GET, &DEFAULT, 0), FREE);
        assert_eq!(verdict(&NOT_WRITTEN, &GET, &DEFAULT, 1), FREE);
    }

    #[test]
    fn one_attempt_still_fails_over_when_nothing_was_sent() {
        for attempts_max in [0, 1] {
            let policy = RetryPolicy { attempts_max, ..ON_ALL };
            assert_eq!(verdict(&NOT_WRITTEN, &POST, &policy, 0), FREE);
            for attempt in [REUSED, FRESH, REFUSED, STATUS, TIMEOUT] {
                assert_eq!(verdict(&attempt, &GET, &policy, 0), Verdict::GiveUp(Why::BudgetSpent));
            }
        }
    }

    #[test]
    fn other_reasons_are_given_first() {
        assert_eq!(verdict(&REUSED, &POST, &DEFAULT, 1), Verdict::GiveUp(Why::NotIdempotent));
        assert_eq!(verdict(&BEGUN, &GET, &DEFAULT, 1), Verdict::GiveUp(Why::ResponseBegun));
    }
}

#[test]
fn the_idempotent_methods_are_those_of_rfc_9110() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert!(idempotent(method), "{method}");
    }
    for method in ["POST", "PATCH", "CONNECT", "get", "GET ", "", "PURGE"] {
        assert!(!idempotent(method), "{method}");
    }
}
