//! The log of what happens to the process: a line on standard error for each event.

use crate::{
    clock,
    log::{
        Counts, Opened, Target, Writer,
        text::{plain, rfc3339},
    },
};
use corelane_engine::{Event, Level};
use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

/// Writes events. Cloned freely; saying something never blocks, and when nobody reads standard error, lines are
/// dropped and counted.
#[derive(Debug, Clone)]
pub struct Events {
    queue: crate::log::Queue,
    name: &'static str,
    /// The [`rank`] of what is just worth a line.
    least: Arc<AtomicU8>,
}

/// Keeps the writing thread of [`Events`]; whoever holds it decides when the last line is out.
#[derive(Debug)]
pub struct EventLog(Writer);

impl EventLog {
    /// Starts a log on standard error, in which the program goes by `name`.
    pub fn start(name: &'static str) -> io::Result<(Self, Events)> {
        // A failure of this very log has nowhere to be told.
        let writer = Writer::start(Target::Stderr, |_, _| {})?;
        let events = Events { queue: writer.queue(), name, least: Arc::default() };
        Ok((Self(writer), events))
    }

    /// Goes over to another target. False if it cannot now: see [`Writer::replace`].
    pub fn replace(&self, opened: Opened) -> bool {
        self.0.replace(opened)
    }

    /// Opens its file again, for after it was moved away.
    pub fn reopen(&self) {
        self.0.reopen();
    }

    /// Writes what is queued, if that takes no longer than `wait`.
    pub fn close(&self, wait: Duration) -> bool {
        self.0.close(wait)
    }

    /// What became of the lines so far.
    pub fn counts(&self) -> Arc<Counts> {
        self.0.counts()
    }
}

impl Events {
    /// Says it: `2026-11-23T14:00:00.123Z WARN corelane: …`, on one line whatever the text holds.
    pub fn say(&self, level: Level, text: &str) {
        if rank(level) < self.least.load(Ordering::Relaxed) {
            return;
        }
        let mut batch = self.queue.small_batch();
        rfc3339(&mut batch.bytes, clock::time_of_day());
        for part in [" ", label(level), " ", self.name, ": "] {
            batch.bytes.extend_from_slice(part.as_bytes());
        }
        plain(&mut batch.bytes, text);
        batch.bytes.push(b'\n');
        batch.lines = 1;
        self.queue.hand_on_small(batch);
    }

    /// What is less than this is not said any more, by whoever holds a clone. At first everything is said.
    pub fn set_least(&self, least: Level) {
        self.least.store(rank(least), Ordering::Relaxed);
    }

    /// Something ordinary.
    pub fn info(&self, text: impl fmt::Display) {
        self.say(Level::Info, &text.to_string());
    }

    /// Something to look at.
    pub fn warn(&self, text: impl fmt::Display) {
        self.say(Level::Warn, &text.to_string());
    }

    /// Something to look at now.
    pub fn error(&self, text: impl fmt::Display) {
        self.say(Level::Error, &text.to_string());
    }

    /// What the engine says.
    pub fn event(&self, event: &Event) {
        self.say(event.level(), &event.to_string());
    }
}

const fn rank(level: Level) -> u8 {
    match level {
        Level::Info => 0,
        Level::Warn => 1,
        Level::Error => 2,
    }
}

const fn label(level: Level) -> &'static str {
    match level {
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Queue;

    #[test]
    fn h1q_69_an_event_is_one_line_whatever_it_says() {
        let (queue, lines) = Queue::without_writer(4);
        let events = Events { queue, name: "corelane", least: Arc::default() };
        events.warn("a handler panicked: one\ntwo\x1b[31m");
        let line = String::from_utf8(lines.try_recv().unwrap().bytes).unwrap();
        let (time, rest) = line.split_at("2026-11-23T14:00:00.123Z".len());
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
        assert_eq!(rest, " WARN corelane: a handler panicked: one\\x0atwo\\x1b[31m\n");
    }

    #[test]
    fn events_that_nobody_reads_are_dropped_and_counted() {
        let (queue, _lines) = Queue::without_writer(1);
        let events = Events { queue: queue.clone(), name: "corelane", least: Arc::default() };
        events.info("one");
        events.info("two");
        assert_eq!(queue.counts().dropped(), 1);
    }

    #[test]
    fn what_is_not_worth_a_line_is_not_said() {
        let (queue, lines) = Queue::without_writer(4);
        let events = Events { queue, name: "corelane", least: Arc::default() };
        let other = events.clone();
        events.set_least(Level::Warn);
        other.info("no");
        other.warn("yes");
        other.error("yes");
        assert_eq!(lines.len(), 2);
    }
}
