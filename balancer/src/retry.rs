//! Whether an attempt that failed may be followed by another.
//!
//! The whole rule is this table, from the top; the first row that fits decides. Each cell has a test.
//!
//! | what happened | may be retried |
//! |---|---|
//! | nothing was written (the connect failed, or the write failed with no byte sent) | any method; costs no budget |
//! | the peer refused (REFUSED_STREAM, or GOAWAY below our stream) before any response byte | any method whose content can be replayed |
//! | a chosen status, or the per-try timeout | idempotent, replayable, configured |
//! | a response byte was received, a 1xx included | never |
//! | written, no response byte, reused connection | idempotent, replayable |
//! | written, no response byte, fresh connection | idempotent, replayable, configured |
//!
//! Why: a reused connection may have been closed by the origin while it was idle, and then it says nothing
//! about the request; on a fresh one the request itself may be what killed it. What is not idempotent may have
//! been carried out (RFC 9110 §9.2.2), unless the peer says that it was not (RFC 9113 §6.8 and §8.7).
//!
//! The budget, [`RetryPolicy::attempts_max`], limits the attempts that reached an origin. Those that sent
//! nothing are limited by the endpoints that there are: each is tried once ([`Tried`](crate::Tried)).

use std::fmt;

#[cfg(test)]
mod tests;

/// An attempt that will not be used: what went wrong, and how far it had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// How much of the request was handed to the kernel.
    pub written: Written,
    /// The connection had carried an exchange before this one.
    pub reused: bool,
    /// At least one byte of a response was received, be it of a 1xx.
    pub response_begun: bool,
    /// The peer says that it did not process the request: h2 REFUSED_STREAM (RFC 9113 §8.7), or a GOAWAY whose
    /// last stream is below ours (§6.8).
    pub refused_by_peer: bool,
    /// What made us ask.
    pub trigger: Trigger,
}

/// How much of a request was written. The table asks only whether it was nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Written {
    /// Not one byte: the origin cannot have seen the request.
    Nothing,
    /// At least one byte of the head, none of the content.
    Head,
    /// At least one byte of the content.
    Content,
}

/// What made an attempt one that will not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The connection or the stream failed, or what came was not HTTP.
    Failure,
    /// A response head arrived whose status was chosen for retrying, and none of it has been passed on.
    Status,
    /// The per-try timeout passed before a final response head had arrived.
    PerTryTimeout,
}

/// What of the request matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Doing it twice is as good as doing it once: see [`idempotent`].
    pub idempotent: bool,
    /// There is no content, or all of what was read of it is still in the replay buffer.
    pub replayable: bool,
}

/// What is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RetryPolicy {
    /// The most attempts that may reach an origin, the first included. Default 2. 1 is no retry but of
    /// attempts that sent nothing; 0 means the same, since the first attempt is always made.
    pub attempts_max: u32,
    /// Retry also when a fresh connection failed with no response byte. Default false.
    pub on_fresh_connection: bool,
    /// Retry also on a chosen status and on the per-try timeout. Default false.
    pub on_status_or_timeout: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts_max: 2, on_fresh_connection: false, on_status_or_timeout: false }
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    /// There may be another attempt.
    Retry {
        /// The attempt that ended reached an origin, so it counts towards [`RetryPolicy::attempts_max`].
        costs_budget: bool,
    },
    /// There may not.
    GiveUp(Why),
}

/// Why there may not be another attempt. When several reasons hold, the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// A response had begun.
    ResponseBegun,
    /// The method is not idempotent, and the origin may have carried the request out.
    NotIdempotent,
    /// The content cannot be sent again.
    NotReplayable,
    /// Nobody asked for retries in such a case.
    NotConfigured,
    /// [`RetryPolicy::attempts_max`] attempts have reached an origin.
    BudgetSpent,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ResponseBegun => "a response had begun",
            Self::NotIdempotent => "the method is not idempotent",
            Self::NotReplayable => "the content cannot be replayed",
            Self::NotConfigured => "retrying in this case is not configured",
            Self::BudgetSpent => "the attempts are used up",
        })
    }
}

/// Whether `attempt` may be followed by another. `reached` is how many attempts before this one reached an
/// origin; the caller adds 1 to it when the verdict says `costs_budget`.
///
/// Nobody may ask once a part of a final response has been passed on to the client.
pub fn verdict(attempt: &Attempt, message: &Message, policy: &RetryPolicy, reached: u32) -> Verdict {
    let costs_budget = attempt.written != Written::Nothing || has_response(attempt);
    if let Err(why) = permit(attempt, message, policy) {
        return Verdict::GiveUp(why);
    }
    if reached.saturating_add(u32::from(costs_budget)) >= policy.attempts_max.max(1) {
        return Verdict::GiveUp(Why::BudgetSpent);
    }
    Verdict::Retry { costs_budget }
}

/// Whether `method` is idempotent by RFC 9110 §9.2.2: GET, HEAD, OPTIONS, TRACE, PUT and DELETE. Methods are
/// case-sensitive (§9.1), and one that is not known is not idempotent.
pub fn idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// The table, without the budget.
fn permit(attempt: &Attempt, message: &Message, policy: &RetryPolicy) -> Result<(), Why> {
    let has_response = has_response(attempt);
    if attempt.written == Written::Nothing && !has_response {
        return Ok(());
    }
    if attempt.refused_by_peer && !has_response {
        return require(message.replayable, Why::NotReplayable);
    }
    let configured = match attempt.trigger {
        Trigger::Status | Trigger::PerTryTimeout => policy.on_status_or_timeout,
        Trigger::Failure if has_response => return Err(Why::ResponseBegun),
        Trigger::Failure => attempt.reused || policy.on_fresh_connection,
    };
    require(message.idempotent, Why::NotIdempotent)?;
    require(message.replayable, Why::NotReplayable)?;
    require(configured, Why::NotConfigured)
}

/// A status is a response, whatever the flag says.
fn has_response(attempt: &Attempt) -> bool {
    attempt.response_begun || attempt.trigger == Trigger::Status
}

fn require(condition: bool, why: Why) -> Result<(), Why> {
    if condition { Ok(()) } else { Err(why) }
}
