//! The two logs of the process: that of its requests and that of itself.

use crate::{
    failure::Failure,
    logs::{AccessLogTo, Logs},
    serve::Words,
};
use corelane_control::{
    Events,
    events::EventLog,
    log::{Format, Opened, Target, Writer},
};
use corelane_engine::Builder;
use std::time::Duration;

/// How long the end waits for a log that is being written.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Both logs, written until they are closed.
pub(crate) struct Books {
    /// None: off, for as long as the process lives.
    access: Option<Writer>,
    process: EventLog,
    pub(crate) events: Events,
    words: Words,
}

/// What has been opened, so that nothing can fail any more when logs go over to it.
pub(crate) struct Next {
    access: Option<Opened>,
    process: Option<Opened>,
    logs: Logs,
}

impl Books {
    /// The process's own log, on standard error at first.
    pub(crate) fn new(words: Words) -> Result<Self, Failure> {
        let (process, events) = EventLog::start("corelane")
            .map_err(|error| Failure::Run(format!("the event log cannot start: {error}")))?;
        Ok(Self { access: None, process, events, words })
    }

    /// Begins with both as they are to be.
    pub(crate) fn open(&mut self, logs: &Logs) -> Result<(), Failure> {
        if let AccessLogTo::To(target) = &logs.access {
            let opened = self.opened("access log", target)?;
            let complaints = self.events.clone();
            let writer = Writer::start_on(opened, move |level, says| complaints.say(level, says))
                .map_err(|error| Failure::Run(format!("the access log cannot start: {error}")))?;
            self.access = Some(writer);
        }
        self.events.set_least(logs.least);
        if logs.errors != Target::Stderr {
            let opened = self.opened("log", &logs.errors)?;
            self.process.replace(opened);
        }
        Ok(())
    }

    fn opened(&self, what: &str, target: &Target) -> Result<Opened, Failure> {
        Opened::open(target.clone()).map_err(|error| {
            let setting = self.words.log();
            Failure::Run(format!("cannot open the {what} {target}: {error}; choose another {setting}"))
        })
    }

    /// Gives lanes their part of the access log, if there is one.
    pub(crate) fn install(&self, builder: Builder, format: &Format) -> Builder {
        match &self.access {
            Some(log) => builder.on_record(log.sinks(format.clone())),
            None => builder,
        }
    }

    /// Opens what is different from what is in force.
    pub(crate) fn prepare(&self, now: &Logs, next: &Logs) -> Result<Next, Failure> {
        let access = match &next.access {
            AccessLogTo::To(target) if now.access != next.access => Some(self.opened("access log", target)?),
            _ => None,
        };
        let process = (now.errors != next.errors).then(|| self.opened("log", &next.errors)).transpose()?;
        Ok(Next { access, process, logs: next.clone() })
    }

    /// Goes over to what has been prepared.
    pub(crate) fn turn(&self, next: Next) {
        let stuck = || self.events.warn("a log is stuck, and stays where it is: nobody reads it");
        if let Some(log) = &self.access {
            if next.access.is_some_and(|opened| !log.replace(opened)) {
                stuck();
            }
            log.set_format(match next.logs.access {
                AccessLogTo::Off => Format::Nothing,
                AccessLogTo::To(_) => next.logs.format,
            });
        }
        if next.process.is_some_and(|opened| !self.process.replace(opened)) {
            stuck();
        }
        self.events.set_least(next.logs.least);
    }

    /// For after files were moved away.
    pub(crate) fn reopen(&self) {
        self.process.reopen();
        match &self.access {
            Some(log) => log.reopen(),
            None => self.events.info("there is no access log to reopen"),
        }
    }

    pub(crate) fn access(&self) -> Option<&Writer> {
        self.access.as_ref()
    }

    pub(crate) fn process(&self) -> &EventLog {
        &self.process
    }

    /// Nothing logs requests any more once the lanes have ended.
    pub(crate) fn close_access(&self) {
        if self.access.as_ref().is_some_and(|log| !log.close(CLOSE_MAX)) {
            self.events.warn("the access log could not be written to its end: nobody reads it");
        }
    }

    /// The last lines, the reason for a failure among them, come after everything else.
    pub(crate) fn close(&self) {
        self.process.close(CLOSE_MAX);
    }
}
