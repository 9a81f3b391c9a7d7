//! Listeners, as one lane sees them, and how they change while it serves.

use crate::{
    address::Address,
    downstream::h1::Seats,
    engine::StartError,
    error::Result,
    exchange,
    handler::Handler,
    io::{Listener, Socket},
    lane::{Lane, panic_message},
    letter::Answer,
    listener,
    settings::Settings,
};
use crossbeam_channel::Sender;
use std::{
    any::Any,
    cell::{Cell, Ref, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Arc, Weak},
};

/// What the connections have in common that came in by one listener.
pub(crate) struct Door {
    /// The address that clients connect to.
    pub(crate) local: Address,
    settings: RefCell<Rc<Settings>>,
    /// Nobody comes in any more, and who is in is served to the end of the request.
    retired: Cell<bool>,
}

impl Door {
    fn new(local: Address, settings: &Settings) -> Rc<Self> {
        Rc::new(Self { local, settings: RefCell::new(Rc::new(settings.clone())), retired: Cell::new(false) })
    }

    /// What its exchanges are held to, unless their handler sets something else.
    pub(crate) fn settings(&self) -> Ref<'_, Rc<Settings>> {
        self.settings.borrow()
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.get()
    }
}

/// Makes the handler of a listener for one lane. It is given the one that it takes the place of.
pub(crate) type Serve = dyn Fn(&Lane, Option<&Opened>) -> Result<Box<dyn Ready>> + Send + Sync;

/// How a handler's factory serves.
pub(crate) fn serve_by<H: Handler>(
    factory: impl Fn(&Lane, Option<&H>) -> Result<H> + Send + Sync + 'static,
) -> Arc<Serve> {
    Arc::new(move |lane, before| {
        let before = before.and_then(|opened| opened.served.downcast_ref::<Served<H>>());
        let before = before.map(|served| served.0.borrow().clone());
        Ok(Box::new(Made(Rc::new(factory(lane, before.as_deref())?))))
    })
}

/// A handler that has been made and does not serve yet.
pub(crate) trait Ready {
    /// Takes the place of the handler that serves there, if that is of the same type: the next request of every
    /// connection is its.
    fn replace(&self, opened: &Opened) -> bool;

    /// Serves behind a new door.
    fn open(&self, lane: &Lane, door: Rc<Door>, socket: &Arc<Socket>) -> Rc<Opened>;
}

struct Made<H>(Rc<H>);

/// The handler that serves.
struct Served<H>(RefCell<Rc<H>>);

impl<H: Handler> Ready for Made<H> {
    fn replace(&self, opened: &Opened) -> bool {
        let served = opened.served.downcast_ref::<Served<H>>();
        if let Some(served) = served {
            *served.0.borrow_mut() = self.0.clone();
        }
        served.is_some()
    }

    fn open(&self, lane: &Lane, door: Rc<Door>, socket: &Arc<Socket>) -> Rc<Opened> {
        let served = Rc::new(Served(RefCell::new(self.0.clone())));
        let handlers = served.clone();
        let seats = Seats::new(move |connection, received| {
            let handler = handlers.0.borrow().clone();
            exchange::serve(connection, received, handler)
        });
        let (behind, lane) = (door.clone(), lane.clone());
        Rc::new(Opened {
            door,
            socket: Arc::downgrade(socket),
            served,
            accept: Box::new(move |listener, watch| {
                lane.spawn(listener::accept(lane.clone(), listener, behind.clone(), watch, seats.clone()));
            }),
            watches: RefCell::default(),
        })
    }
}

/// A door that is open: who serves behind it, and which sockets are watched for it.
pub(crate) struct Opened {
    pub(crate) door: Rc<Door>,
    socket: Weak<Socket>,
    served: Rc<dyn Any>,
    accept: Box<dyn Fn(Listener, Rc<Watch>)>,
    watches: RefCell<Vec<Rc<Watch>>>,
}

/// A socket that is watched. It is the lane's own, or that of another lane that is stuck.
pub(crate) struct Watch {
    /// Whose socket it is.
    lane: usize,
    end: Cell<Option<Leaving>>,
}

/// What becomes of those who wait in a socket's queue when nobody watches it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Somebody else watches it.
    Others,
    /// They are the last to be let in: closing the socket would reset them.
    Nobody,
}

impl Watch {
    /// Whether it is over, and how.
    pub(crate) fn end(&self) -> Option<Leaving> {
        self.end.get()
    }
}

impl Opened {
    /// Whether it listens on this very socket.
    fn is_on(&self, socket: &Arc<Socket>) -> bool {
        std::ptr::eq(self.socket.as_ptr(), Arc::as_ptr(socket)) && !self.door.is_retired()
    }

    /// Accepts connections from a socket of `lane`'s.
    fn watch(&self, listener: Listener, lane: usize) {
        let watch = Rc::new(Watch { lane, end: Cell::new(None) });
        self.watches.borrow_mut().push(watch.clone());
        (self.accept)(listener, watch);
    }

    /// Stops to accept connections from the sockets of `lane`.
    fn unwatch(&self, lane: usize) {
        self.watches.borrow_mut().retain(|watch| {
            if watch.lane == lane {
                watch.end.set(Some(Leaving::Others));
            }
            watch.lane != lane
        });
    }

    /// Nobody comes in here any more.
    fn retire(&self, leaving: Leaving) {
        self.door.retired.set(true);
        self.watches.take().iter().for_each(|watch| watch.end.set(Some(leaving)));
    }
}

/// What a lane is to serve from now on.
pub(crate) struct Plan {
    /// Counts up from 1.
    pub(crate) number: u64,
    /// What holds where a listener has nothing of its own.
    pub(crate) settings: Arc<Settings>,
    pub(crate) doors: Vec<PlannedDoor>,
    /// Whom to tell; nobody waits for a lane that starts.
    pub(crate) answers: Option<Sender<Answer>>,
}

impl Plan {
    pub(crate) fn answer(&self, answer: Answer) {
        if let Some(answers) = &self.answers {
            let _ = answers.try_send(answer);
        }
    }
}

/// One listener of a plan.
#[derive(Clone)]
pub(crate) struct PlannedDoor {
    pub(crate) socket: Arc<Socket>,
    pub(crate) settings: Option<Arc<Settings>>,
    pub(crate) serve: Arc<Serve>,
}

/// A plan for which everything has been made that can fail.
pub(crate) struct Prepared {
    plan: Arc<Plan>,
    ready: Vec<(Box<dyn Ready>, Listener)>,
}

impl Prepared {
    pub(crate) fn number(&self) -> u64 {
        self.plan.number
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
}

/// The doors of a lane.
#[derive(Default)]
pub(crate) struct Doors(RefCell<Vec<Rc<Opened>>>);

impl Doors {
    /// Makes the handlers of a plan, and changes nothing.
    pub(crate) fn prepare(&self, lane: &Lane, plan: Arc<Plan>) -> Result<Prepared, StartError> {
        lane.0.plan.set(plan.number);
        let make = |planned: &PlannedDoor| {
            let before = self.on(&planned.socket);
            // A factory that panics, such as over a name that cannot be found, says why.
            let made = catch_unwind(AssertUnwindSafe(|| (planned.serve)(lane, before.as_deref())));
            let made = made
                .map_err(|payload| StartError::Handler(panic_message(&*payload)))?
                .map_err(|error| StartError::Handler(error.to_string()))?;
            let address = planned.socket.address().clone();
            let listener =
                Listener::new(&planned.socket).map_err(|error| StartError::Bind { address, error })?;
            Ok((made, listener))
        };
        let ready = plan.doors.iter().map(make).collect::<Result<_, _>>()?;
        Ok(Prepared { ready, plan })
    }

    /// Carries a plan out. Nothing in here can fail.
    pub(crate) fn carry_out(&self, lane: &Lane, prepared: Prepared) {
        let Prepared { plan, ready } = prepared;
        let mut opened = Vec::new();
        for (planned, (ready, listener)) in plan.doors.iter().zip(ready) {
            let settings = planned.settings.as_ref().unwrap_or(&plan.settings);
            planned.socket.be_patient(settings.timeouts.between_bytes);
            let before = self.on(&planned.socket);
            if let Some(before) = before.filter(|before| ready.replace(before)) {
                *before.door.settings.borrow_mut() = Rc::new((**settings).clone());
                opened.push(before);
                continue;
            }
            let door = Door::new(planned.socket.address().unshared(), settings);
            let door = ready.open(lane, door, &planned.socket);
            door.watch(listener, lane.id());
            opened.push(door);
        }
        for before in self.0.replace(opened) {
            if !self.0.borrow().iter().any(|opened| Rc::ptr_eq(opened, &before)) {
                let goes_on = plan.doors.iter().any(|planned| before.is_on(&planned.socket));
                before.retire(if goes_on { Leaving::Others } else { Leaving::Nobody });
            }
        }
        lane.wake_listeners();
    }

    /// Watches the sockets of a lane that is stuck, too.
    pub(crate) fn adopt(&self, sockets: &[(Address, Arc<Socket>)], from: usize) {
        for (address, socket) in sockets {
            let opened = self.0.borrow().iter().find(|opened| opened.door.local == *address).cloned();
            if let Some(opened) = opened
                && let Ok(listener) = Listener::new(socket)
            {
                opened.unwatch(from);
                opened.watch(listener, from);
            }
        }
    }

    /// The lane whose sockets were adopted watches them itself again.
    pub(crate) fn give_up(&self, lane: &Lane, from: usize) {
        self.0.borrow().iter().for_each(|opened| opened.unwatch(from));
        lane.wake_listeners();
    }

    /// The lane ends, or drains: nothing of it is found any more.
    pub(crate) fn clear(&self) {
        self.0.take();
    }

    fn on(&self, socket: &Arc<Socket>) -> Option<Rc<Opened>> {
        self.0.borrow().iter().find(|opened| opened.is_on(socket)).cloned()
    }
}
