//! What is in force, and how it changes while the program runs: by a file that has changed, and by names that stand for
//! other addresses. One thread does both, one thing after the other.

use crate::{
    books::Books,
    failure::Failure,
    plan::{Fixed, Plan, Serving},
    serve::{Words, cannot_start},
    upstream::Found,
};
use arc_swap::ArcSwap;
use corelane_control::{
    Operator, Outcome,
    names::{self, Names, News},
};
use corelane_engine::{Engine, Handle, ReloadError};
use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

/// What may wait to be done.
const ASKS_MAX: usize = 64;

/// Makes the plan of a file that may have changed.
pub(crate) type Again = Box<dyn FnMut() -> Result<Plan, Failure> + Send>;

/// Whoever waits for a reload.
type Done = Box<dyn FnOnce(Outcome) + Send>;

enum Ask {
    Reload(Option<Done>),
    /// Of an upstream, by its number in a generation of names.
    Names(u64, usize, News),
    Stop,
}

/// The way to the thread.
#[derive(Clone)]
pub(crate) struct Live {
    asks: SyncSender<Ask>,
    explained: Arc<ArcSwap<String>>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

impl Live {
    /// Starts the thread; `plan` is what the engine serves already.
    pub(crate) fn start(
        plan: Plan,
        again: Option<Again>,
        engine: Handle,
        books: Arc<Books>,
        words: Words,
    ) -> io::Result<Self> {
        let (asks, asked) = sync_channel(ASKS_MAX);
        let explained = Arc::new(ArcSwap::from_pointee(plan.explained));
        let live = Self { asks, explained };
        let mut force = Force {
            live: live.clone(),
            again,
            lanes: engine.driver().len(),
            engine,
            books,
            words,
            serving: plan.serving,
            fixed: plan.fixed,
            upstreams: plan.upstreams,
            names: None,
            generation: 0,
        };
        force.watch_names();
        thread::Builder::new().name("corelane-live".to_owned()).spawn(move || force.run(&asked))?;
        Ok(live)
    }

    /// Serves the changed file, soon. What waits already does it too.
    pub(crate) fn reload_soon(&self) {
        let _ = self.asks.try_send(Ask::Reload(None));
    }

    /// Nothing changes any more.
    pub(crate) fn stop(&self) {
        let _ = self.asks.try_send(Ask::Stop);
    }
}

impl Operator for Live {
    fn reload(&self, done: Done) {
        // When the program ends, whoever waits sees that nobody answers.
        if let Err(TrySendError::Full(Ask::Reload(Some(done)))) = self.asks.try_send(Ask::Reload(Some(done)))
        {
            done(Outcome::Failed("too many reloads wait already\n".to_owned()));
        }
    }

    fn config(&self) -> String {
        self.explained.load().to_string()
    }
}

/// What is in force.
struct Force {
    live: Live,
    again: Option<Again>,
    engine: Handle,
    lanes: usize,
    books: Arc<Books>,
    words: Words,
    serving: Serving,
    /// As the process began.
    fixed: Vec<Fixed>,
    upstreams: Vec<Found>,
    names: Option<Names>,
    /// Of the names: what an earlier one reports is about upstreams that are no more.
    generation: u64,
}

impl Force {
    fn run(mut self, asked: &Receiver<Ask>) {
        let mut left = None;
        while let Some(ask) = left.take().or_else(|| asked.recv().ok()) {
            match ask {
                Ask::Stop => return,
                Ask::Names(generation, upstream, news) if generation == self.generation => {
                    self.renamed(upstream, news);
                }
                Ask::Names(..) => {}
                Ask::Reload(done) => {
                    // All that have asked by now want the same: the file as it is from here on.
                    let mut all = vec![done];
                    while let Ok(next) = asked.try_recv() {
                        match next {
                            Ask::Reload(done) => all.push(done),
                            other => {
                                left = Some(other);
                                break;
                            }
                        }
                    }
                    let outcome = self.reload();
                    all.into_iter().flatten().for_each(|done| done(outcome.clone()));
                }
            }
        }
    }

    /// All of it or nothing, and either way everything is said, in the log and to whoever asked.
    fn reload(&mut self) -> Outcome {
        let events = self.books.events.clone();
        // A fault of ours in reading a file is no reason to read none any more.
        let tried = catch_unwind(AssertUnwindSafe(|| self.try_reload()))
            .unwrap_or_else(|_| Err(Failure::Run("the reload panicked; please report it".to_owned())));
        match tried {
            Ok(says) => {
                events.info(&says);
                Outcome::Done(format!("{says}\n"))
            }
            Err(failure) => {
                let list = failure.list();
                list.lines().for_each(|line| events.error(line));
                let says = format!("{failure}; nothing has changed");
                events.error(&says);
                match &failure {
                    Failure::Config { .. } => Outcome::Bad(format!("{list}{says}\n")),
                    _ => Outcome::Failed(format!("{says}\n")),
                }
            }
        }
    }

    fn try_reload(&mut self) -> Result<String, Failure> {
        let Some(again) = &mut self.again else {
            return Err(Failure::Run("there is no configuration file to reload".to_owned()));
        };
        let plan = again()?;
        let fixed = Fixed::differences(&self.fixed, &plan.fixed);
        if !fixed.is_empty() {
            let list = fixed.join("\n") + "\n";
            return Err(Failure::Config { list, says: "a reload cannot do all of it".to_owned() });
        }
        let logs = self.books.prepare(&self.serving.logs, &plan.serving.logs)?;
        let builder = (plan.install)(plan.serving.builder(self.lanes, Engine::builder()));
        self.engine.reload(builder).map_err(|error| Failure::Run(self.cannot_reload(&error)))?;
        self.books.turn(logs);
        let says = format!("reloaded: {}", plan.summary);
        self.live.explained.store(Arc::new(plan.explained));
        (self.serving, self.upstreams) = (plan.serving, plan.upstreams);
        self.watch_names();
        Ok(says)
    }

    fn cannot_reload(&self, error: &ReloadError) -> String {
        match error {
            ReloadError::Start(error) => cannot_start(error, self.words),
            error => error.to_string(),
        }
    }

    /// Looks the names of the upstreams up from now on, and no others any more.
    fn watch_names(&mut self) {
        self.generation += 1;
        self.names = None;
        let Some(every) = self.serving.names else { return };
        let (mut groups, mut upstreams) = (Vec::new(), Vec::new());
        for (number, found) in self.upstreams.iter().enumerate() {
            if let Some(group) = found.group() {
                groups.push(group);
                upstreams.push(number);
            }
        }
        if groups.is_empty() {
            return;
        }
        let (asks, generation) = (self.live.asks.clone(), self.generation);
        let watched = Names::watch(groups, every, &names::system(), move |group, news| {
            // An error means that the program ends.
            let _ = asks.send(Ask::Names(generation, upstreams[group], news));
        });
        match watched {
            Ok(names) => self.names = Some(names),
            Err(error) => {
                self.books.events.error(format_args!("names cannot be looked up again: {error}"));
            }
        }
    }

    fn renamed(&mut self, upstream: usize, news: News) {
        let events = &self.books.events;
        let Some(found) = self.upstreams.get_mut(upstream) else { return };
        let name = found.upstream.name.clone();
        let addresses = match news {
            News::Changed(addresses) => addresses,
            News::Failing(why) => {
                return events.warn(format_args!("the upstream {name}: {why}; what was known of it stays"));
            }
            News::Recovered => {
                return events.info(format_args!("the upstream {name}: its names can be looked up again"));
            }
        };
        let next = found.clone().with(addresses);
        let updated = next.cluster().and_then(|cluster| {
            self.engine.update(&cluster).map_err(|error| error.to_string())?;
            Ok(cluster.addresses().len())
        });
        match updated {
            Ok(count) => {
                events.info(format_args!(
                    "the upstream {name} has other addresses: {} now",
                    crate::words::plural(count, "endpoint")
                ));
                *found = next;
            }
            Err(why) => events.warn(format_args!("the upstream {name}: {why}; what was known of it stays")),
        }
    }
}
