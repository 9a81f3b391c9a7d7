//! Clients that say what they may say, in every way in which it can be said.

use crate::{
    ledger::{Ledger, count},
    spec::{self, Answer, Framing, Id, Request, dice},
    tunnel::Side,
    way::Way,
    wire::{Broken, Content, Head, Reader, framing},
};
use corelane_balancer::Rng;
use corelane_engine::simulate::{Socket, World};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

/// How long nothing may come or go before a client says that it is stuck: longer than any wait of the engine's, and than a
/// handler takes to collect what comes in crumbs.
const PATIENCE: Duration = Duration::from_secs(4_000);
/// Requests of a rush: more than a lane answers in one turn.
const RUSH: u64 = 17;
/// How long its answers may take when nothing is wrong. Whoever has been forgotten is woken by the lane's heartbeat, within a
/// second of it.
const PROMPT: Duration = Duration::from_millis(10);
/// What a rush is drawn from, so that the rest of the run is the same without it.
const RUSH_DICE: u64 = 0x2054;

/// A client: one connection, and some requests on it.
pub(crate) struct Client {
    pub(crate) world: World,
    pub(crate) ledger: Rc<Ledger>,
    pub(crate) to: SocketAddr,
    /// Its number, which no other client of the run has.
    pub(crate) number: u64,
    pub(crate) seed: u64,
    pub(crate) requests_max: u64,
    /// It may begin with many small requests at once.
    pub(crate) may_rush: bool,
    /// Nothing goes wrong but what its origins do, and they do nothing.
    pub(crate) is_calm: bool,
}

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Plain,
    /// What it sends comes in pieces.
    Slow,
    /// It reads in small pieces, with pauses.
    Lazy,
    /// It ends its half behind its last request, as it may.
    Ends,
    /// It goes away after so many bytes: by a reset, a close, or by ending its half.
    Leaves {
        after: usize,
        how: Leaving,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    Reset,
    Close,
    Half,
}

/// What its two halves tell each other.
#[derive(Default)]
struct Talk {
    /// Answers that have come.
    answered: Cell<usize>,
    /// The server wants the content of this request.
    wanted: Cell<usize>,
    is_over: Cell<bool>,
    /// The connection is a tunnel now.
    is_switched: Cell<bool>,
    /// When something last went through it.
    moved: Rc<Cell<Duration>>,
    waiting: RefCell<Vec<Waker>>,
}

impl Talk {
    fn tell(&self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    async fn wait(&self, until: impl Fn(&Self) -> bool) {
        poll_fn(|cx| {
            if until(self) {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn end(&self) {
        self.is_over.set(true);
        self.tell();
    }
}

impl Client {
    /// Does all that it does.
    pub(crate) async fn run(self) {
        let mut rng = dice(self.seed, self.number);
        self.world.sleep(Duration::from_micros(rng.below(2_000_000))).await;
        let from = IpAddr::V4(Ipv4Addr::new(10, 2, (self.number >> 8) as u8, self.number as u8));
        let socket = match self.world.connect_from(self.to, Some(from)).await {
            Ok(socket) => Rc::new(socket),
            Err(error) => {
                if self.is_calm {
                    self.ledger
                        .violate("calm lost", format!("client {} cannot connect: {error}", self.number));
                }
                return;
            }
        };
        let manner = if self.is_calm { Self::draw_calm(&mut rng) } else { Self::draw_manner(&mut rng) };
        let requests = 1 + rng.below(self.requests_max);
        let is_pipelining = rng.below(3) == 0;
        let said: Rc<RefCell<Vec<Request>>> = Rc::default();
        let talk = Rc::new(Talk::default());
        let client = Rc::new(self);
        let writing = {
            let (client, socket, talk, said) = (client.clone(), socket.clone(), talk.clone(), said.clone());
            async move {
                let budget = match manner {
                    Manner::Leaves { after, .. } => after,
                    _ => usize::MAX,
                };
                let mut pen = Pen { client: client.clone(), socket: socket.clone(), manner, budget };
                if !pen.rush(&talk, &said).await {
                    return talk.end();
                }
                for n in 0..requests {
                    let habits = Habits { manner, is_pipelining, is_last: n + 1 == requests };
                    let (request, switches) = client.draw(&mut rng, n, habits);
                    said.borrow_mut().push(request.clone());
                    talk.tell();
                    let closes = request.closes;
                    let number = said.borrow().len();
                    if !pen.say(&mut rng, &talk, &request, number).await {
                        return talk.end();
                    }
                    // Behind a switch that is refused, what follows is a request; behind one that is not, there is none.
                    if !is_pipelining || switches {
                        talk.wait(|talk| {
                            talk.is_over.get() || talk.is_switched.get() || talk.answered.get() >= number
                        })
                        .await;
                    }
                    if talk.is_switched.get() {
                        client.side(&socket, &talk, &request).send(&mut rng).await;
                    }
                    if closes || switches || talk.is_over.get() {
                        break;
                    }
                }
                if manner == Manner::Ends && !talk.is_switched.get() {
                    pen.socket.end();
                }
                // Whoever reads knows by this that no more comes.
                talk.wanted.set(usize::MAX);
                talk.tell();
            }
        };
        client.world.spawn(writing);
        client.read(socket, manner, &talk, &said).await;
    }

    /// The next request, and whether its origin agrees to switch protocols.
    fn draw(&self, rng: &mut Rng, n: u64, habits: Habits) -> (Request, bool) {
        let id: Id = self.number << 16 | n;
        let mut request = Request::draw(rng, id);
        request.closes |= habits.is_last && request.switch.is_none() && rng.below(2) == 0;
        if self.is_calm && request.way.closes() && !habits.gets_an_early_answer(&request) {
            request.way = Way::Pass;
        }
        let answer = Answer::draw(rng, &request, !self.is_calm);
        let is_early = matches!(answer.manner, spec::Manner::Early | spec::Manner::Duplex);
        if self.is_calm && is_early && request.way.ends_upload() {
            // What is left of its content may be more than is thrown away, and then the connection ends.
            request.way = Way::Pass;
        }
        let switches = answer.status == 101;
        if let Some(script) = &mut request.switch
            && !switches
        {
            // Whoever knows that it will be refused says nothing that would be taken for a request.
            script.eager_bytes = 0;
        }
        self.ledger.open(&request, &answer, self.is_calm);
        (request, switches)
    }

    /// Its end of a tunnel.
    fn side(&self, socket: &Rc<Socket>, talk: &Talk, request: &Request) -> Side {
        Side {
            world: self.world.clone(),
            ledger: self.ledger.clone(),
            socket: socket.clone(),
            id: request.id,
            way: request.way,
            script: request.switch.expect("nobody else gets a tunnel"),
            is_client: true,
            is_calm: self.is_calm,
            moved: talk.moved.clone(),
        }
    }

    fn draw_calm(rng: &mut Rng) -> Manner {
        [Manner::Plain, Manner::Plain, Manner::Slow, Manner::Lazy, Manner::Ends][rng.below(5) as usize]
    }

    fn draw_manner(rng: &mut Rng) -> Manner {
        let after = match rng.below(2) {
            0 => rng.below(600) as usize,
            _ => rng.below(60_000) as usize,
        };
        match rng.below(10) {
            0..=4 => Manner::Plain,
            5 => Manner::Slow,
            6 => Manner::Lazy,
            7 => Manner::Leaves { after, how: Leaving::Reset },
            8 => Manner::Leaves { after, how: Leaving::Close },
            _ => Manner::Leaves { after, how: Leaving::Half },
        }
    }

    /// Reads the answers, in the order of the requests.
    async fn read(
        &self,
        socket: Rc<Socket>,
        manner: Manner,
        talk: &Rc<Talk>,
        said: &Rc<RefCell<Vec<Request>>>,
    ) {
        let is_done = Rc::new(Cell::new(false));
        self.watch(socket.clone(), is_done.clone());
        let mut reader = Reader::new(socket.clone());
        let mut rng = dice(self.seed, !self.number);
        let mut n = 0;
        let why = loop {
            talk.wait(|talk| {
                said.borrow().len() > n || talk.wanted.get() == usize::MAX || talk.is_over.get()
            })
            .await;
            let Some(request) = said.borrow().get(n).cloned() else { break "no more was asked" };
            if manner == Manner::Lazy {
                self.world.sleep(Duration::from_millis(rng.below(800))).await;
            }
            match self.read_one((&socket, &mut reader), talk, &request, n).await {
                Ok(true) => {}
                Ok(false) => {
                    // What was asked behind it is to be asked again elsewhere.
                    n = usize::MAX - 1;
                    break "the server closes";
                }
                Err(Broken::Ended { .. }) => break "the connection has ended",
                Err(Broken::Garbled(what)) => {
                    self.ledger.garbled("a client", &what);
                    break "it is garbled";
                }
            }
            n += 1;
            talk.answered.set(n);
            talk.tell();
        };
        talk.end();
        let without: Vec<Request> = said.borrow().iter().skip(n).cloned().collect();
        for request in without {
            self.ledger.unanswered(request.id, why);
        }
        if why == "no more was asked" && reader.has_more() && self.is_calm {
            self.ledger
                .violate("answered twice", format!("client {} got more than it has asked for", self.number));
        }
        is_done.set(true);
    }

    /// Whether another request may follow on this connection.
    async fn read_one(
        &self,
        (socket, reader): (&Rc<Socket>, &mut Reader),
        talk: &Talk,
        request: &Request,
        n: usize,
    ) -> Result<bool, Broken> {
        let mut interim = Vec::new();
        let head = loop {
            let head = reader.head().await?;
            let status = head.start[1].parse().unwrap_or(0);
            if head.start[0] != "HTTP/1.1" {
                return Err(Broken::Garbled(format!("{:?}", head.start)));
            }
            if status == 101 {
                self.ledger.switched(request.id, &interim, &head);
                if request.switch.is_some() {
                    talk.is_switched.set(true);
                    talk.tell();
                    self.side(socket, talk, request).receive(reader).await;
                }
                return Ok(false);
            }
            if status / 100 != 1 {
                break head;
            }
            if request.is_1_0 {
                self.ledger.violate(
                    "answer differs",
                    format!("{:016x} got {status} and knows no interim", request.id),
                );
            }
            if status == 100 {
                talk.wanted.set(talk.wanted.get().max(n + 1));
                talk.tell();
            }
            interim.push(status);
        };
        // Who waits for leave to send its content gets none any more, and need not.
        talk.wanted.set(talk.wanted.get().max(n + 1));
        talk.tell();
        let (framing, length) = framing(&head, true, request.method)?;
        let content: Content = reader.content(framing, length).await?;
        let goes_on = content.is_whole && !closes(&head) && framing != Framing::Close && !request.closes;
        self.ledger.answered(request.id, &interim, &head, &content);
        Ok(goes_on)
    }

    /// Says so if it takes too long.
    fn watch(&self, socket: Rc<Socket>, is_done: Rc<Cell<bool>>) {
        let (world, ledger, number) = (self.world.clone(), self.ledger.clone(), self.number);
        self.world.spawn(async move {
            let began = world.awake();
            while !is_done.get() {
                world.sleep(PATIENCE / 40).await;
                let waited = world.awake().saturating_sub(began.max(socket.moved()));
                if is_done.get() || waited < PATIENCE {
                    continue;
                }
                if !socket.has_vanished() {
                    ledger.violate("stuck", format!("client {number} has waited for {PATIENCE:?}"));
                }
                return socket.reset();
            }
        });
    }
}

/// Whether the server says that it closes.
fn closes(head: &Head) -> bool {
    head.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
}

/// What of a client's manner matters for what it can ask.
#[derive(Clone, Copy)]
struct Habits {
    manner: Manner,
    is_pipelining: bool,
    is_last: bool,
}

impl Habits {
    /// Whether an answer reaches it behind which the connection is closed, maybe before all that it says has been read:
    /// what nobody reads is thrown away for a while, and for so many bytes; then it is reset, and that may take the answer.
    fn gets_an_early_answer(self, request: &Request) -> bool {
        const DRAINED_BYTES: usize = 40_000;
        let is_small = request.content_bytes < DRAINED_BYTES && self.manner != Manner::Slow;
        !self.is_pipelining && (request.content_bytes == 0 || is_small)
    }
}

/// What writes requests.
struct Pen {
    client: Rc<Client>,
    socket: Rc<Socket>,
    manner: Manner,
    /// Bytes until it leaves.
    budget: usize,
}

impl Pen {
    /// Says many small requests at once, if it is one of those who do; whether the connection goes on.
    async fn rush(&mut self, talk: &Talk, said: &RefCell<Vec<Request>>) -> bool {
        let client = self.client.clone();
        let mut rng = dice(client.seed, client.number ^ RUSH_DICE << 32);
        // One that takes its time to read would see its tunnel late behind so many answers.
        if !client.may_rush || self.manner == Manner::Lazy || rng.below(2) == 0 {
            return true;
        }
        let mut heads = Vec::new();
        for n in 0..RUSH + rng.below(RUSH) {
            let request = Request::draw_small(&mut rng, client.number << 16 | 1 << 12 | n);
            client.ledger.open(&request, &Answer::draw(&mut rng, &request, false), client.is_calm);
            heads.extend_from_slice(&request.head());
            said.borrow_mut().push(request);
        }
        talk.tell();
        let number = said.borrow().len();
        if !self.write(&mut rng, talk, &heads).await {
            return false;
        }
        said.borrow().iter().for_each(|request| client.ledger.sent(request.id));
        let began = client.world.now();
        talk.wait(|talk| talk.is_over.get() || talk.answered.get() >= number).await;
        let waited = client.world.now().saturating_sub(began);
        if client.is_calm && waited > PROMPT {
            let what = format!("client {} has waited {waited:?} for what takes no time", client.number);
            client.ledger.violate("late", what);
        }
        !talk.is_over.get()
    }

    /// Whether the connection goes on.
    async fn say(&mut self, rng: &mut Rng, talk: &Talk, request: &Request, number: usize) -> bool {
        let mut head = request.head();
        let mut body = request.body(rng);
        if let Some(script) = request.switch {
            let bytes = script.bytes(request.id, request.way, true);
            body = bytes[..script.eager_bytes.min(bytes.len())].to_vec();
        }
        if !request.expects {
            head.extend_from_slice(&body);
        }
        if !self.write(rng, talk, &head).await {
            return false;
        }
        if request.expects {
            // Who is not answered within a second goes on all the same (RFC 9110 §10.1.1).
            let (world, is_late) = (self.client.world.clone(), Rc::new(Cell::new(false)));
            let late = is_late.clone();
            let waits = talk.wait(|talk| talk.wanted.get() >= number || talk.is_over.get() || is_late.get());
            let mut waits = std::pin::pin!(waits);
            let mut sleep = std::pin::pin!(world.sleep(Duration::from_secs(1)));
            poll_fn(|cx| {
                if sleep.as_mut().poll(cx).is_ready() {
                    late.set(true);
                }
                waits.as_mut().poll(cx)
            })
            .await;
            if talk.answered.get() >= number || talk.is_over.get() {
                // It has been answered without: the content would be taken for a request.
                return false;
            }
            if !self.write(rng, talk, &body).await {
                return false;
            }
        }
        self.client.ledger.sent(request.id);
        true
    }

    async fn write(&mut self, rng: &mut Rng, talk: &Talk, bytes: &[u8]) -> bool {
        let mut rest = &bytes[..bytes.len().min(self.budget)];
        let leaves = rest.len() < bytes.len();
        self.budget -= rest.len();
        while !rest.is_empty() {
            let piece = match self.manner {
                Manner::Slow => rest.len().min(1 + rng.below(1 + bytes.len() as u64 / 8) as usize),
                _ => rest.len(),
            };
            // Who is patient says all that it has begun to say, although its answer has come.
            let stops = talk.is_over.get() && !self.client.is_calm;
            if stops || self.socket.send(&rest[..piece]).await.is_err() {
                return false;
            }
            rest = &rest[piece..];
            if self.manner == Manner::Slow {
                self.client.world.sleep(Duration::from_millis(rng.below(120))).await;
            }
        }
        if !leaves {
            return true;
        }
        if let Manner::Leaves { how, .. } = self.manner {
            self.client.world.sleep(Duration::from_millis(rng.below(50))).await;
            match how {
                Leaving::Reset => self.socket.reset(),
                Leaving::Close | Leaving::Half => self.socket.end(),
            }
            if how == Leaving::Close {
                talk.end();
            }
            count(&self.client.ledger.tally.cut);
        }
        false
    }
}
