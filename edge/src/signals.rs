//! What the process does when it is sent a signal, until its engine has ended.

use crate::{books::Books, live::Live};
use corelane_control::Events;
use corelane_engine::Handle;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::Signals,
};
use std::{fmt, io};

/// The signals that are answered. SIGPIPE is ignored, as in every Rust program.
const ANSWERED: [i32; 6] = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2];

/// How far the end has come. It only ever goes down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    Draining,
    DrainingWithDeadline,
    Stopping,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Move(Stage),
    ReopenLogs,
    Reload,
    Upgrade,
    Nothing,
}

impl Stage {
    fn wish(self, signal: i32) -> Wish {
        match (signal, self) {
            (SIGTERM | SIGINT, Self::Serving | Self::Draining) => Wish::Move(Self::DrainingWithDeadline),
            (SIGTERM | SIGINT, Self::DrainingWithDeadline) => Wish::Move(Self::Stopping),
            (SIGQUIT, Self::Serving) => Wish::Move(Self::Draining),
            (SIGUSR1, _) => Wish::ReopenLogs,
            (SIGHUP, _) => Wish::Reload,
            (SIGUSR2, _) => Wish::Upgrade,
            _ => Wish::Nothing,
        }
    }
}

/// Takes the signals over from now on; those that come before [`answer`] are answered then.
pub(crate) fn register() -> io::Result<Signals> {
    Signals::new(ANSWERED)
}

/// Answers signals until the iterator is closed.
pub(crate) fn answer(signals: &mut Signals, engine: &Handle, books: &Books, live: Option<&Live>) {
    let events = &books.events;
    let mut stage = Stage::Serving;
    for signal in signals.forever() {
        let name = Name(signal);
        match stage.wish(signal) {
            Wish::Move(next) => {
                stage = next;
                move_on(next, name, engine, events);
            }
            Wish::ReopenLogs => books.reopen(),
            Wish::Reload => match live {
                Some(live) => live.reload_soon(),
                None => events.info(format_args!("{name}: there is no configuration file to reload")),
            },
            // Without an answer the signal would end the process.
            Wish::Upgrade => {
                events.info(format_args!("{name}: a running program cannot be upgraded yet; start another"))
            }
            Wish::Nothing => {}
        }
    }
}

fn move_on(to: Stage, name: Name, engine: &Handle, events: &Events) {
    match to {
        Stage::Serving => {}
        Stage::Draining => {
            events.info(format_args!("{name}: draining without a deadline; TERM sets one"));
            engine.drain_without_deadline();
        }
        Stage::DrainingWithDeadline => {
            let grace = engine.settings().timeouts.drain_grace;
            events.info(format_args!("{name}: draining for at most {grace:?}; once more stops at once"));
            engine.drain();
        }
        Stage::Stopping => {
            events.warn(format_args!("{name} again: stopping at once"));
            engine.stop();
        }
    }
}

/// A signal's name without the SIG.
#[derive(Clone, Copy)]
struct Name(i32);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            SIGTERM => "TERM",
            SIGINT => "INT",
            SIGQUIT => "QUIT",
            SIGHUP => "HUP",
            SIGUSR1 => "USR1",
            SIGUSR2 => "USR2",
            other => return write!(f, "signal {other}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a process ends up that is sent these signals.
    fn after(signals: &[i32]) -> Stage {
        signals.iter().fold(Stage::Serving, |stage, signal| match stage.wish(*signal) {
            Wish::Move(next) => {
                assert!(next > stage, "the end never comes less near");
                next
            }
            _ => stage,
        })
    }

    #[test]
    fn op_10_signals_are_taken_once_each() {
        assert_eq!(after(&[]), Stage::Serving);
        assert_eq!(after(&[SIGHUP, SIGUSR1, SIGUSR2, SIGHUP]), Stage::Serving);
        assert_eq!(after(&[SIGTERM]), Stage::DrainingWithDeadline);
        assert_eq!(after(&[SIGINT, SIGHUP, SIGQUIT, SIGUSR1]), Stage::DrainingWithDeadline);
        assert_eq!(after(&[SIGINT, SIGINT]), Stage::Stopping);
        assert_eq!(after(&[SIGTERM, SIGINT, SIGTERM, SIGQUIT]), Stage::Stopping);
        assert_eq!(after(&[SIGQUIT, SIGQUIT]), Stage::Draining);
        assert_eq!(after(&[SIGQUIT, SIGTERM]), Stage::DrainingWithDeadline);
        assert_eq!(after(&[SIGQUIT, SIGTERM, SIGTERM]), Stage::Stopping);
    }
}
