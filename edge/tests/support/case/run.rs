//! Runs a case: one script for both ends, in the order of the file.

use super::compare::{Expected, content_differs};
use super::file::{Act, Answer, Block, Case, Check, Status, Step, Upstream, status_of};
use crate::wire::message::{Message, Role, read, values};
use crate::wire::net::{End, Peer, Side, Wire};
use crate::wire::proxy::Proxy;
use crate::wire::text::{Names, expand, show};

/// How the bytes of a script are cut into writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Whole,
    /// One by one, each when the proxy is done with the last; what is long, in pieces of 61.
    Bytes,
    /// In two, of which the second follows when the proxy is done with the first.
    Split(usize),
}

/// Beyond so many bytes a text is not sent one by one.
const SINGLE_BYTES_MAX: usize = 2 << 10;
/// The length of the pieces that it is sent in instead: primes, so that no boundary is always hit.
const PIECE_BYTES: usize = 61;
const LONG_PIECE_BYTES: usize = 1021;
/// Beyond so many bytes the pieces are the long ones.
const PIECES_BYTES_MAX: usize = 64 << 10;
/// A case that sends more is not run split in two.
const SPLIT_BYTES_MAX: usize = 700;

/// A proxy before a scripted origin, for one case after the other.
pub(crate) struct Runner {
    proxy: Proxy,
    wire: Wire,
    flags: Vec<String>,
    /// The proxy's name in `Via`.
    via: String,
    canaries: usize,
}

/// A step that did not go as it must.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Runner {
    pub(crate) fn start(flags: &[String]) -> Self {
        let wire = Wire::new();
        let proxy = start(&wire, flags);
        let mut runner = Self { proxy, wire, flags: flags.to_vec(), via: String::new(), canaries: 0 };
        runner.learn_via();
        runner
    }

    /// The name in `Via` is drawn when a process starts: a first request tells.
    fn learn_via(&mut self) {
        let client = self.wire.connect(self.proxy.address);
        self.wire.peer_mut(client).send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let head = self.wire.wait(|wire| wire.peers.iter().find_map(request_of).map(|(_, message)| message));
        let head = head.expect("a plain request is forwarded");
        let via = head.values("via").next().expect("it has a Via");
        self.via =
            String::from_utf8_lossy(via.strip_prefix(b"1.1 ").expect("it came as HTTP/1.1")).into_owned();
        assert!(self.via.starts_with("corelane-"), "{}", self.via);
        self.wire.clear();
        self.wire.forget();
        self.settle().expect("a canary passes");
    }

    /// Runs a case in all modes that suit it; the first that fails is the result.
    pub(crate) fn run(&mut self, case: &Case) -> Result<(), (Mode, Failure)> {
        let mut modes = vec![Mode::Whole];
        if !case.only_whole {
            modes.push(Mode::Bytes);
            if !case.no_splits && case.bytes_sent() <= SPLIT_BYTES_MAX {
                modes.extend((0..3).map(Mode::Split));
            }
        }
        modes.into_iter().try_for_each(|mode| self.run_once(case, mode).map_err(|failure| (mode, failure)))
    }

    fn run_once(&mut self, case: &Case, mode: Mode) -> Result<(), Failure> {
        let mut names = case.names.clone();
        names.push(("via".to_owned(), self.via.clone()));
        let mut script = Script {
            runner: self,
            mode,
            names,
            client: None,
            origin: None,
            so_far: [None; 2],
            role: Role::Response,
        };
        let result = script.steps(&case.steps);
        let left_over = script.left_over();
        let last = case.steps.last().map_or(case.line, |step| step.line);
        let at_end = |what: String| Failure { line: last, what: format!("at the end: {what}") };
        let result = result.and_then(|()| left_over.map_err(at_end));
        self.wire.forget();
        match self.settle() {
            Ok(()) => result,
            Err(what) => {
                self.proxy = start(&self.wire, &self.flags);
                self.learn_via();
                result.and(Err(at_end(what)))
            }
        }
    }

    /// Leaves nothing behind for the next case: the proxy has seen that all connections are gone once a request
    /// that came later is answered, and that one's connection is not kept.
    fn settle(&mut self) -> Result<(), String> {
        self.proxy.check()?;
        self.wire.canaries_close = true;
        let result = self.canary().map(drop);
        self.wire.canaries_close = false;
        self.wire.clear();
        self.wire.forget();
        result.and_then(|()| self.proxy.check())
    }

    /// A request of another client, which must get its own answer. Gives the origin's connection that it came on.
    fn canary(&mut self) -> Result<usize, String> {
        let client = self.wire.connect(self.proxy.address);
        self.canary_on(client)
    }

    fn canary_on(&mut self, client: usize) -> Result<usize, String> {
        self.canaries += 1;
        let target = format!("/canary/{}", self.canaries);
        let request = format!("GET {target} HTTP/1.1\r\nHost: canary\r\n\r\n");
        self.wire.peer_mut(client).send(request.as_bytes());
        let answer = self.wire.wait(|wire| complete(wire.peer_mut(client), Role::Response)).transpose()?;
        let Some(answer) = answer else {
            let got = show(&self.wire.peer(client).unread);
            return Err(format!("the canary {target} got no answer, but `{got}`; {}", self.origin_got()));
        };
        if answer.status() != Some(200) || answer.content != target.as_bytes() {
            let (start, content) = (show(&answer.start), show(&answer.content));
            return Err(format!("the canary {target} got `{start}` with `{content}`"));
        }
        let mut ours = self.wire.canaries.iter().filter(|canary| canary.target == target.as_bytes());
        match (ours.next(), ours.next()) {
            (Some(canary), None) => Ok(canary.peer),
            _ => Err(format!("the canary {target} did not reach the origin once")),
        }
    }

    /// What the origin has and no step has taken.
    fn origin_got(&self) -> String {
        let unread =
            self.wire.peers.iter().filter(|peer| peer.side == Side::Origin && !peer.unread.is_empty());
        let texts =
            unread.map(|peer| format!("`{}` ({:?})", show(&peer.unread), peer.end)).collect::<Vec<_>>();
        if texts.is_empty() {
            "the origin has nothing".to_owned()
        } else {
            format!("the origin has {}", texts.join(" and "))
        }
    }
}

fn start(wire: &Wire, flags: &[String]) -> Proxy {
    let flags = flags.iter().map(String::as_str).collect::<Vec<_>>();
    Proxy::start(&wire.origin.to_string(), &flags)
}

/// One run of one case.
struct Script<'a> {
    runner: &'a mut Runner,
    mode: Mode,
    names: Names,
    client: Option<usize>,
    /// The connection that the last request came on.
    origin: Option<usize>,
    /// How much content a `<~` has seen on either side, until `<+` sees the rest.
    so_far: [Option<usize>; 2],
    role: Role,
}

impl Script<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), Failure> {
        for Step { line, act } in steps {
            self.step(act).map_err(|what| Failure { line: *line, what })?;
        }
        match steps.last() {
            Some(Step { act: Act::Canary(_), .. }) => Ok(()),
            // Whatever came before, the next client gets its own answer.
            last => {
                let line = last.map_or(0, |step| step.line);
                self.canary(Upstream::Any).map_err(|what| Failure { line, what })
            }
        }
    }

    fn step(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::Send(side, block) => {
                let (id, bytes) = (self.peer_of(*side)?, block.bytes(&self.names)?);
                self.send(id, &bytes);
                Ok(())
            }
            Act::Request(block) => self.request(block, true),
            Act::RequestSoFar(block) => self.request(block, false),
            Act::Response(answer) => self.response(answer),
            Act::ResponseSoFar(answer) => self.response_so_far(answer),
            Act::Rest(side, block) => self.rest(*side, block),
            Act::Raw(side, block) => self.raw(*side, block),
            Act::Ok(Side::Origin) => {
                let id = self.peer_of(Side::Origin)?;
                self.send(id, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                Ok(())
            }
            Act::Ok(Side::Client) => {
                let status = Status::Is("200".to_owned());
                let checks = vec![Check::Content("ok".to_owned())];
                self.response(&Answer { status, checks })
            }
            Act::Fin(side) => {
                let id = self.peer_of(*side)?;
                self.runner.wire.peer(id).fin();
                Ok(())
            }
            Act::Reset(side) => {
                let id = self.peer_of(*side)?;
                let peer = self.runner.wire.peer_mut(id);
                peer.reset();
                // Nobody looks at what had come before.
                peer.unread.clear();
                Ok(())
            }
            Act::Closed(side) => self.closed(*side),
            Act::Cut(side) => self.cut(*side),
            Act::Ends => self.ends(),
            Act::Open => self.open(),
            Act::Nothing => Ok(()),
            Act::Incomplete => self.incomplete(),
            Act::Canary(upstream) => self.canary(*upstream),
        }
    }

    fn peer_of(&mut self, side: Side) -> Result<usize, String> {
        match side {
            Side::Client => {
                Ok(*self.client.get_or_insert_with(|| self.runner.wire.connect(self.runner.proxy.address)))
            }
            Side::Origin => self.origin.ok_or_else(|| "no request has come yet".to_owned()),
        }
    }

    fn send(&mut self, id: usize, bytes: &[u8]) {
        let pieces = match self.mode {
            Mode::Whole => vec![bytes],
            Mode::Bytes if bytes.len() <= SINGLE_BYTES_MAX => bytes.chunks(1).collect(),
            Mode::Bytes if bytes.len() <= PIECES_BYTES_MAX => bytes.chunks(PIECE_BYTES).collect(),
            Mode::Bytes => bytes.chunks(LONG_PIECE_BYTES).collect(),
            Mode::Split(number) => {
                let cuts = [bytes.len() / 3, bytes.len() * 2 / 3, bytes.len().saturating_sub(1)];
                let (first, second) = bytes.split_at(cuts[number]);
                vec![first, second]
            }
        };
        for (number, piece) in pieces.into_iter().enumerate() {
            if number > 0 {
                self.runner.proxy.wait_until_idle();
            }
            self.runner.wire.peer_mut(id).send(piece);
        }
    }

    /// `origin<` and `origin<~`.
    fn request(&mut self, block: &Block, whole: bool) -> Result<(), String> {
        let expected = Expected::of(&block.bytes(&self.names)?)?;
        let found = self.runner.wire.wait(|wire| {
            let (id, message) = wire.peers.iter().find_map(request_of)?;
            let enough = message.complete || (!whole && message.content.len() >= expected.content.len());
            enough.then_some((id, message))
        });
        let Some((id, message)) = found else {
            let client = self.client_got();
            return Err(format!("no such request came: {}; {client}", self.runner.origin_got()));
        };
        self.origin = Some(id);
        expected.differs(&message, &self.runner.via)?;
        if whole {
            self.runner.wire.peer_mut(id).unread.drain(..message.len);
        } else if message.complete {
            return Err("the request is complete, and must not be yet".to_owned());
        } else {
            self.so_far[Side::Origin as usize] = Some(message.content.len());
        }
        Ok(())
    }

    fn response(&mut self, answer: &Answer) -> Result<(), String> {
        let times = answer.checks.iter().find_map(|check| match check {
            Check::Times(times) => Some(*times),
            _ => None,
        });
        for number in 0..times.unwrap_or(1) {
            self.names.retain(|(name, _)| name != "#");
            self.names.push(("#".to_owned(), number.to_string()));
            self.one_response(answer)?;
        }
        Ok(())
    }

    fn one_response(&mut self, answer: &Answer) -> Result<(), String> {
        let (id, role) = (self.peer_of(Side::Client)?, answer.role());
        let may_be_cut = answer.status == Status::Failed;
        let found = self.runner.wire.wait(|wire| {
            let peer = wire.peer_mut(id);
            let cut = may_be_cut && peer.end.is_some();
            complete(peer, role).map(|result| result.map(Some)).or_else(|| cut.then_some(Ok(None)))
        });
        let message = match found.transpose()? {
            Some(Some(message)) => message,
            Some(None) => return self.cut(Side::Client),
            None => return Err(format!("no complete response came: {}", self.client_got())),
        };
        let status = match &answer.status {
            Status::Is(status) => status_of(status, &self.names)?,
            Status::Refused(status) => *status,
            Status::Failed => 502,
        };
        self.differs(&message, status, answer)?;
        let closes = message.values("connection").any(|value| value.eq_ignore_ascii_case(b"close"));
        match answer.status {
            Status::Is(_) => Ok(()),
            _ if closes => self.closed(Side::Client),
            // It is not the client that is to blame: its connection may go on, and then it must.
            _ if (502..=504).contains(&status) => self.open(),
            _ => Err(format!("a {status} without `Connection: close`")),
        }
    }

    fn response_so_far(&mut self, answer: &Answer) -> Result<(), String> {
        let (id, role) = (self.peer_of(Side::Client)?, answer.role());
        let wanted = answer.content(&self.names)?.map_or(0, |content| content.len());
        let found = self.runner.wire.wait(|wire| match read(&wire.peer(id).unread, role, false) {
            Ok(Some(message)) if message.content.len() < wanted && !message.complete => None,
            other => other.transpose(),
        });
        let message =
            found.transpose()?.ok_or_else(|| format!("no response began: {}", self.client_got()))?;
        let Status::Is(status) = &answer.status else {
            return Err("`client<~` wants a plain status".to_owned());
        };
        let status = status_of(status, &self.names)?;
        self.differs(&message, status, answer)?;
        if message.complete {
            return Err("the response is complete, and must not be yet".to_owned());
        }
        self.so_far[Side::Client as usize] = Some(message.content.len());
        self.role = role;
        Ok(())
    }

    fn differs(&self, message: &Message, status: u16, answer: &Answer) -> Result<(), String> {
        if message.status() != Some(status) {
            let (start, content) = (show(&message.start), show(&message.content));
            return Err(format!(
                "expected {status}, received `{start}` with `{content}`; {}",
                self.runner.origin_got()
            ));
        }
        answer.checks.iter().try_for_each(|check| {
            let text = |text: &String| expand(text, &self.names);
            match check {
                Check::Field(name, value) => has(&message.fields, name, &text(value)?),
                Check::Trailer(name, value) => has(&message.trailers, name, &text(value)?),
                Check::NoField(name) => match message.values(name).next() {
                    Some(value) => Err(format!("expected no `{name}`, received `{}`", show(value))),
                    None => Ok(()),
                },
                Check::Trailers(count) if *count == message.trailers.len() => Ok(()),
                Check::Trailers(count) => Err(format!("expected {count} trailers: {:?}", message.trailers)),
                Check::Content(content) => content_differs(&text(content)?, &message.content),
                Check::Head | Check::Times(_) => Ok(()),
            }
        })
    }

    fn rest(&mut self, side: Side, block: &Block) -> Result<(), String> {
        let (id, expected) = (self.peer_of(side)?, block.bytes(&self.names)?);
        let so_far = self.so_far[side as usize].take().ok_or("`<+` goes on after `<~`")?;
        let role = if side == Side::Client { self.role } else { Role::Request };
        let message = self.runner.wire.wait(|wire| complete(wire.peer_mut(id), role)).transpose()?;
        let message = message
            .ok_or_else(|| format!("it does not end: `{}`", show(&self.runner.wire.peer(id).unread)))?;
        content_differs(&expected, &message.content[so_far..])
    }

    fn raw(&mut self, side: Side, block: &Block) -> Result<(), String> {
        let (id, expected) = (self.peer_of(side)?, block.bytes(&self.names)?);
        let came = self.runner.wire.wait(|wire| (wire.peer(id).unread.len() >= expected.len()).then_some(()));
        let unread = &mut self.runner.wire.peer_mut(id).unread;
        if came.is_none() || !unread.starts_with(&expected) {
            return Err(format!("expected `{}`, received `{}`", show(&expected), show(unread)));
        }
        unread.drain(..expected.len());
        Ok(())
    }

    fn wait_for_end(&mut self, id: usize) -> Result<End, String> {
        let end = self.runner.wire.wait(|wire| wire.peer(id).end);
        end.ok_or_else(|| {
            let peer = self.runner.wire.peer(id);
            format!("the {:?}'s connection stays open; it has `{}`", peer.side, show(&peer.unread))
        })
    }

    fn closed(&mut self, side: Side) -> Result<(), String> {
        let id = self.peer_of(side)?;
        let end = self.wait_for_end(id)?;
        let unread = &self.runner.wire.peer(id).unread;
        if !unread.is_empty() {
            return Err(format!("nobody expected `{}` before the end", show(unread)));
        }
        // To an origin that we give up, an RST is as good.
        if end == End::Reset && side == Side::Client {
            return Err("the connection was reset; a FIN was due".to_owned());
        }
        Ok(())
    }

    fn cut(&mut self, side: Side) -> Result<(), String> {
        if side == Side::Origin && self.origin.is_none() {
            self.origin =
                self.runner.wire.wait(|wire| wire.peers.iter().find_map(request_of).map(|(id, _)| id));
        }
        let id = self.peer_of(side)?;
        self.wait_for_end(id)?;
        let role = if side == Side::Client { self.role } else { Role::Request };
        let peer = self.runner.wire.peer_mut(id);
        match read(&peer.unread, role, peer.end == Some(End::Fin))? {
            Some(message) if message.complete => {
                Err(format!("a complete message where it had to be cut short: `{}`", show(&peer.unread)))
            }
            _ => {
                peer.unread.clear();
                self.so_far[side as usize] = None;
                Ok(())
            }
        }
    }

    fn ends(&mut self) -> Result<(), String> {
        let id = self.peer_of(Side::Client)?;
        self.wait_for_end(id)?;
        let peer = self.runner.wire.peer_mut(id);
        if let Some(message) = read(&peer.unread, Role::Response, true)?
            && message.len < peer.unread.len()
        {
            return Err(format!("more than one answer: `{}`", show(&peer.unread)));
        }
        peer.unread.clear();
        Ok(())
    }

    fn open(&mut self) -> Result<(), String> {
        let id = self.peer_of(Side::Client)?;
        let unread = &self.runner.wire.peer(id).unread;
        if !unread.is_empty() {
            return Err(format!("nobody expected `{}`", show(unread)));
        }
        self.runner.canary_on(id).map(drop)
    }

    /// When a later request has been answered, all that the origin can have got of earlier ones is there.
    fn incomplete(&mut self) -> Result<(), String> {
        let later = self.runner.canary()?;
        let others = |wire: &Wire| {
            let others = wire.peers.iter().filter(|peer| peer.side == Side::Origin && peer.id != later);
            others.map(|peer| peer.id).collect::<Vec<_>>()
        };
        for id in others(&self.runner.wire) {
            self.origin = Some(id);
            self.cut(Side::Origin)?;
        }
        Ok(())
    }

    fn canary(&mut self, upstream: Upstream) -> Result<(), String> {
        let peer = self.runner.canary()?;
        match upstream {
            Upstream::Fresh if Some(peer) == self.origin => {
                Err("the next request came on the connection that had to be given up".to_owned())
            }
            Upstream::Reused if Some(peer) != self.origin => {
                Err("the next request came on another connection; the old one was fine".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Closes all connections; an error if one had something that no step has taken.
    fn left_over(&mut self) -> Result<(), String> {
        self.runner.wire.clear();
        match self.runner.wire.peers.iter().find(|peer| !peer.unread.is_empty()) {
            Some(peer) => Err(format!("the {:?} has received `{}` besides", peer.side, show(&peer.unread))),
            None => Ok(()),
        }
    }

    fn client_got(&self) -> String {
        match self.client.map(|id| self.runner.wire.peer(id)) {
            Some(peer) => format!("the client has `{}` ({:?})", show(&peer.unread), peer.end),
            None => "there is no client".to_owned(),
        }
    }
}

impl Answer {
    fn role(&self) -> Role {
        if self.checks.contains(&Check::Head) { Role::ResponseToHead } else { Role::Response }
    }

    fn content(&self, names: &Names) -> Result<Option<Vec<u8>>, String> {
        let content = self.checks.iter().find_map(|check| match check {
            Check::Content(text) => Some(expand(text, names)),
            _ => None,
        });
        content.transpose()
    }
}

/// Takes the message that has come on a connection, once it is complete.
fn complete(peer: &mut Peer, role: Role) -> Option<Result<Message, String>> {
    match read(&peer.unread, role, peer.end == Some(End::Fin)) {
        Ok(Some(message)) if message.complete => {
            peer.unread.drain(..message.len);
            Some(Ok(message))
        }
        Ok(_) => None,
        Err(error) => Some(Err(format!("{error}; of `{}`", show(&peer.unread)))),
    }
}

/// The request that the origin has on a connection, as far as it has come.
fn request_of(peer: &Peer) -> Option<(usize, Message)> {
    let message = read(&peer.unread, Role::Request, false).ok().flatten();
    message.filter(|_| peer.side == Side::Origin).map(|message| (peer.id, message))
}

fn has(fields: &[crate::wire::message::Field], name: &str, value: &[u8]) -> Result<(), String> {
    let received = values(fields, name).collect::<Vec<_>>();
    if received.contains(&value) {
        return Ok(());
    }
    let received = received.into_iter().map(show).collect::<Vec<_>>();
    Err(format!("expected `{name}: {}`, received {received:?}", show(value)))
}
