//! Everything that is cheap to send and dear to receive, with what a peer may do of it: the one place for it.
//!
//! Most are an [`Allowance`]: so many at once, and so many more with each second; work that is done together fills
//! it up, too, so that a busy connection is not taken for a hostile one. What goes beyond ends the connection with
//! ENHANCE_YOUR_CALM.

use super::error::{Cause, Code, Error};
use std::time::Duration;

/// What is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Charge {
    /// Streams that the peer resets before they are answered, and those that it makes us reset.
    Resets,
    /// DATA and field blocks in frames without payload.
    EmptyFrames,
    /// SETTINGS frames.
    Settings,
    /// Settings in one frame.
    SettingsEntries,
    /// PING frames.
    Pings,
    /// PRIORITY, PRIORITY_UPDATE, GOAWAY, frames that mean nothing.
    IgnoredFrames,
    /// WINDOW_UPDATE frames.
    WindowUpdates,
    /// Frames on streams that are closed.
    LateFrames,
    /// Streams beyond what we allow at a time.
    RefusedStreams,
    /// CONTINUATION frames of one field block.
    Continuations,
    /// Octets of one field block.
    BlockBytes,
    /// Octets that one field block puts into HPACK's table.
    TableBytes,
    /// What waits to be sent that the peer made us say.
    PendingOutput,
}

impl Charge {
    /// One line for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resets => "too many streams reset",
            Self::EmptyFrames => "too many empty frames",
            Self::Settings => "too many SETTINGS frames",
            Self::SettingsEntries => "too many settings in a frame",
            Self::Pings => "too many PING frames",
            Self::IgnoredFrames => "too many frames that mean nothing",
            Self::WindowUpdates => "too many WINDOW_UPDATE frames",
            Self::LateFrames => "too many frames on closed streams",
            Self::RefusedStreams => "too many streams beyond the limit",
            Self::Continuations => "too many CONTINUATION frames",
            Self::BlockBytes => "field block too long",
            Self::TableBytes => "too much churn of the table",
            Self::PendingOutput => "too much to answer",
        }
    }
}

/// So many at once, and so many more with each second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// At once.
    pub burst: u32,
    /// More with each second, up to `burst`.
    pub per_s: u32,
}

/// What a peer may do. The defaults are safe to face the internet with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budgets {
    /// Resets within a second at which a connection ends, if they are also more than half of the streams that were
    /// opened in it. A reset of the peer's counts if it comes before our response's head; one that the peer provoked
    /// from us counts double, whatever was sent (it costs the peer no concurrency). Default 100: as many streams as
    /// are open at a time, so that a browser that leaves a page is no attack.
    pub resets_per_s_max: u32,
    /// DATA frames without content or END_STREAM, and HEADERS and CONTINUATION without a fragment. Default 100 and 10
    /// per second: nobody needs any.
    pub empty_frames: Allowance,
    /// SETTINGS frames. Default 32 and 1 per second: clients send one, and a few that tune their window some more.
    pub settings: Allowance,
    /// SETTINGS frames whose acknowledgement has not gone out. Default 16.
    pub settings_pending_max: u32,
    /// Settings in one frame. Default 64: there are 8 that mean something.
    pub settings_entries_max: u32,
    /// PING frames. Default 100 and 20 per second, and one more with each frame of content either way: gRPC measures
    /// the bandwidth by a PING for each round trip while content flows.
    pub pings: Allowance,
    /// PRIORITY, PRIORITY_UPDATE, GOAWAY and unknown frames. Default 500 and 100 per second, and 4 more with each
    /// stream: browsers re-prioritise what they have asked for.
    pub ignored_frames: Allowance,
    /// WINDOW_UPDATE frames. Default 1,000 and 500 per second, and 4 more with each frame of content that we send: two
    /// for each, for stream and connection, is what simple clients do.
    pub window_updates: Allowance,
    /// Frames on streams that are closed. Default 1,000 and 100 per second: what was under way when we reset a stream,
    /// in small frames.
    pub late_frames: Allowance,
    /// Streams beyond those that we allow at a time. Default 200 and 10 per second: a client that has not seen our
    /// settings yet may open many at once. As many as at once, and as many as are taken at a time, are remembered for
    /// what else of them is under way.
    pub refused_streams: Allowance,
    /// CONTINUATION frames of one field block. Default 8: with HEADERS nine times 16 KiB, more than any list that we
    /// take.
    pub continuations_max: u32,
    /// Octets of one field block, as a multiple of the decoded list's limit. Default 2: a list that is a little too
    /// long gets its 431, one that never ends does not.
    pub block_lists_max: u32,
    /// Octets that one field block may put into HPACK's table, as a multiple of the decoded list's limit. Default 16: a
    /// literal of three octets can put a name of 4 KiB there again, so a frame could cost a copy of 20 MiB; nothing that
    /// is meant to be read comes near the limit.
    pub table_lists_max: u32,
    /// Octets of acknowledgements, resets and window updates that wait to be sent. Default 8 KiB: more than five hundred
    /// of them.
    pub pending_output_bytes_max: usize,
    /// DATA frames that we make smaller than [`quantum_bytes`](Self::quantum_bytes) because the peer's window has no
    /// room for more. Default 500 and 10 per second. Beyond that we wait until there is room for so much.
    pub dribbles: Allowance,
    /// The smallest piece of content that is worth a frame, where there is that much. Default 1 KiB.
    pub quantum_bytes: u32,
    /// Content that waits for room to be sent must get room for so much within
    /// [`stall`](super::Timeouts::stall), or the stream is reset: a window that opens by a byte now and then is no
    /// progress. Default 4 KiB.
    pub stall_progress_bytes_min: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        let allow = |burst, per_s| Allowance { burst, per_s };
        Self {
            resets_per_s_max: 100,
            empty_frames: allow(100, 10),
            settings: allow(32, 1),
            settings_pending_max: 16,
            settings_entries_max: 64,
            pings: allow(100, 20),
            ignored_frames: allow(500, 100),
            window_updates: allow(1_000, 500),
            late_frames: allow(1_000, 100),
            refused_streams: allow(200, 10),
            continuations_max: 8,
            block_lists_max: 2,
            table_lists_max: 16,
            pending_output_bytes_max: 8 << 10,
            dribbles: allow(500, 10),
            quantum_bytes: 1 << 10,
            stall_progress_bytes_min: 4 << 10,
        }
    }
}

/// What one peer has done.
#[derive(Debug)]
pub(crate) struct Account {
    resets: Resets,
    empty_frames: Bucket,
    settings: Bucket,
    pings: Bucket,
    ignored_frames: Bucket,
    window_updates: Bucket,
    late_frames: Bucket,
    refused_streams: Bucket,
    dribbles: Bucket,
}

impl Account {
    pub(crate) fn new(budgets: &Budgets, now: Duration) -> Self {
        let full = |allowance: Allowance| Bucket { left: allowance.burst, since: now };
        Self {
            resets: Resets::default(),
            empty_frames: full(budgets.empty_frames),
            settings: full(budgets.settings),
            pings: full(budgets.pings),
            ignored_frames: full(budgets.ignored_frames),
            window_updates: full(budgets.window_updates),
            late_frames: full(budgets.late_frames),
            refused_streams: full(budgets.refused_streams),
            dribbles: full(budgets.dribbles),
        }
    }

    /// One more of what has an allowance.
    pub(crate) fn charge(&mut self, budgets: &Budgets, charge: Charge, now: Duration) -> Result<(), Error> {
        let (bucket, allowance) = match charge {
            Charge::EmptyFrames => (&mut self.empty_frames, budgets.empty_frames),
            Charge::Settings => (&mut self.settings, budgets.settings),
            Charge::Pings => (&mut self.pings, budgets.pings),
            Charge::IgnoredFrames => (&mut self.ignored_frames, budgets.ignored_frames),
            Charge::WindowUpdates => (&mut self.window_updates, budgets.window_updates),
            Charge::LateFrames => (&mut self.late_frames, budgets.late_frames),
            Charge::RefusedStreams => (&mut self.refused_streams, budgets.refused_streams),
            // These are compared with a number where they are counted.
            Charge::Resets
            | Charge::SettingsEntries
            | Charge::Continuations
            | Charge::BlockBytes
            | Charge::TableBytes
            | Charge::PendingOutput => return Err(exceeded(charge)),
        };
        if bucket.take(allowance, now) { Ok(()) } else { Err(exceeded(charge)) }
    }

    /// The peer opened a stream.
    pub(crate) fn opened(&mut self, budgets: &Budgets, now: Duration) {
        self.resets.add(now, Tally { opened: 1, ..Tally::default() });
        self.ignored_frames.give(4, budgets.ignored_frames);
    }

    /// A frame of content went one way or the other.
    pub(crate) fn content(&mut self, budgets: &Budgets, sent: bool) {
        self.pings.give(1, budgets.pings);
        if sent {
            self.window_updates.give(4, budgets.window_updates);
        }
    }

    /// The peer reset a stream that was not answered, or made us reset one.
    pub(crate) fn reset(&mut self, budgets: &Budgets, provoked: bool, now: Duration) -> Result<(), Error> {
        self.resets.add(now, Tally { opened: 0, resets: 1, score: if provoked { 2 } else { 1 } });
        let sum = self.resets.sum(now);
        let most = sum.resets.saturating_mul(2) > sum.opened;
        if most && sum.score >= budgets.resets_per_s_max { Err(exceeded(Charge::Resets)) } else { Ok(()) }
    }

    /// Whether a frame may be sent that is smaller than it should be. Asking costs nothing.
    pub(crate) fn may_dribble(&self, budgets: &Budgets, now: Duration) -> bool {
        self.dribbles.has(budgets.dribbles, now)
    }

    /// Such a frame was sent.
    pub(crate) fn dribbled(&mut self, budgets: &Budgets, now: Duration) {
        self.dribbles.take(budgets.dribbles, now);
    }
}

/// The connection ends.
pub(crate) const fn exceeded(charge: Charge) -> Error {
    Error::connection(Code::ENHANCE_YOUR_CALM, Cause::Budget(charge))
}

/// What is left of an allowance.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u32,
    since: Duration,
}

impl Bucket {
    /// One less; `false` if none was left.
    fn take(&mut self, allowance: Allowance, now: Duration) -> bool {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return true;
        }
        // The clock is looked at only when it matters: one that was never empty has not lost anything by it.
        let more = self.more(allowance, now);
        self.since = if more > 0 { now } else { self.since };
        match more.min(allowance.burst).checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    fn has(&self, allowance: Allowance, now: Duration) -> bool {
        self.left > 0 || self.more(allowance, now) > 0
    }

    fn give(&mut self, count: u32, allowance: Allowance) {
        self.left = self.left.saturating_add(count).min(allowance.burst);
    }

    fn more(&self, allowance: Allowance, now: Duration) -> u32 {
        let ms = now.saturating_sub(self.since).as_millis().min(u128::from(u32::MAX)) as u64;
        let more = ms.saturating_mul(u64::from(allowance.per_s)).checked_div(1000).unwrap_or(0);
        u32::try_from(more).unwrap_or(u32::MAX)
    }
}

/// What happened to streams within the last second, in eighths of one.
#[derive(Debug, Default)]
struct Resets {
    slices: [Tally; SLICES],
    /// The number of the newest slice since the start of time.
    newest: u64,
}

const SLICES: usize = 8;
const SLICE_MS: u64 = 1000 / SLICES as u64;

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    opened: u32,
    resets: u32,
    score: u32,
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            opened: self.opened.saturating_add(other.opened),
            resets: self.resets.saturating_add(other.resets),
            score: self.score.saturating_add(other.score),
        }
    }
}

impl Resets {
    fn add(&mut self, now: Duration, tally: Tally) {
        self.move_to(now);
        let at = place(self.newest);
        if let Some(slice) = self.slices.get_mut(at) {
            *slice = slice.plus(tally);
        }
    }

    fn sum(&mut self, now: Duration) -> Tally {
        self.move_to(now);
        self.slices.iter().fold(Tally::default(), |sum, slice| sum.plus(*slice))
    }

    fn move_to(&mut self, now: Duration) {
        let slice = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).checked_div(SLICE_MS).unwrap_or(0);
        let passed = slice.saturating_sub(self.newest).min(SLICES as u64);
        for back in 0..passed {
            if let Some(old) = self.slices.get_mut(place(slice.saturating_sub(back))) {
                *old = Tally::default();
            }
        }
        self.newest = self.newest.max(slice);
    }
}

fn place(slice: u64) -> usize {
    slice.checked_rem(SLICES as u64).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_allowance_is_used_up_and_comes_back() {
        let budgets = Budgets { settings: Allowance { burst: 3, per_s: 2 }, ..Budgets::default() };
        let mut account = Account::new(&budgets, ms(0));
        let mut charge = |now| account.charge(&budgets, Charge::Settings, ms(now)).is_ok();
        assert!(charge(0) && charge(0) && charge(0) && !charge(0) && !charge(499));
        assert!(charge(500) && !charge(999) && charge(1000));
        assert!(charge(60_000) && charge(60_000) && charge(60_000) && !charge(60_000));
    }

    #[test]
    fn h2_01_resets_count_if_they_are_many_and_most() {
        let budgets = Budgets::default();
        let mut account = Account::new(&budgets, ms(0));
        for n in 0..99 {
            account.opened(&budgets, ms(n * 10));
            account.reset(&budgets, false, ms(n * 10)).unwrap();
        }
        account.opened(&budgets, ms(990));
        assert_eq!(account.reset(&budgets, false, ms(990)), Err(exceeded(Charge::Resets)));

        let mut account = Account::new(&budgets, ms(0));
        for n in 0..1000 {
            account.opened(&budgets, ms(n / 10));
            account.opened(&budgets, ms(n / 10));
            account.reset(&budgets, false, ms(n / 10)).unwrap();
        }
        let mut account = Account::new(&budgets, ms(0));
        for n in 0..1000 {
            account.opened(&budgets, ms(n * 12));
            account.reset(&budgets, false, ms(n * 12)).unwrap();
        }
    }

    #[test]
    fn h2_02_provoked_resets_count_double() {
        let budgets = Budgets::default();
        let mut account = Account::new(&budgets, ms(0));
        let mut count = 0;
        while account.reset(&budgets, true, ms(5)).is_ok() {
            account.opened(&budgets, ms(5));
            count += 1;
        }
        assert_eq!(count, 49);
    }
}
