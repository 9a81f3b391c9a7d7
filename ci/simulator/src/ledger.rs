//! What was said to whom, and the judge: every request has its own answer, or a break that can be seen; every request
//! reaches an origin as the table of retries allows, as a naive proxy would have sent it; nobody gets anything of anybody
//! else's.

use crate::{
    gateway::LOCAL_BYTES,
    retry::{Reached, Table},
    spec::{Answer, Framing, Id, Manner, Request, content},
    way::{Way, rewrite},
    wire::{Content, Head},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

/// What is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// In one word, the same however it came about: two runs with the same one have the same fault, as far as that can be
    /// told.
    pub(crate) kind: &'static str,
    pub(crate) what: String,
}

/// One request and what became of it.
struct Entry {
    request: Request,
    answer: Answer,
    /// Nothing goes wrong for it but by its own origin's manner.
    is_calm: bool,
    /// The whole request has been sent.
    is_sent: bool,
    /// Whole heads of it that origins have received.
    reached: Vec<Reached>,
    is_answered: bool,
}

/// All requests of a run.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: RefCell<BTreeMap<Id, Entry>>,
    table: Table,
    violations: RefCell<Vec<Violation>>,
    pub(crate) tally: Tally,
}

/// How much of what there was: a run that tests nothing shows.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) requests: Cell<u64>,
    pub(crate) exact: Cell<u64>,
    pub(crate) cut: Cell<u64>,
    pub(crate) refused: Cell<u64>,
    pub(crate) retried: Cell<u64>,
    pub(crate) hostile: Cell<u64>,
    pub(crate) tunnels: Cell<u64>,
}

pub(crate) fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// Statuses that the engine may answer by itself to a request that is as it should be.
const OWN_STATUSES: [u16; 5] = [408, 500, 502, 503, 504];
/// What the engine adds to a request.
const ADDED_TO_REQUESTS: [&str; 10] = [
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "x-request-id",
    "content-length",
    "transfer-encoding",
    "expect",
    "connection",
];
/// And to a response.
const ADDED_TO_RESPONSES: [&str; 6] =
    ["via", "date", "connection", "content-length", "transfer-encoding", "trailer"];

impl Ledger {
    /// An empty one, for a run in which requests are repeated as `table` allows.
    pub(crate) fn new(table: Table) -> Self {
        Self { table, ..Self::default() }
    }

    pub(crate) fn violate(&self, kind: &'static str, what: String) {
        self.violations.borrow_mut().push(Violation { kind, what });
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.violations.borrow().clone()
    }

    /// A request is going to be sent.
    pub(crate) fn open(&self, request: &Request, answer: &Answer, is_calm: bool) {
        count(&self.tally.requests);
        let entry = Entry {
            request: request.clone(),
            answer: answer.clone(),
            is_calm,
            is_sent: false,
            reached: Vec::new(),
            is_answered: false,
        };
        self.entries.borrow_mut().insert(request.id, entry);
    }

    /// Its last byte is on its way.
    pub(crate) fn sent(&self, id: Id) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(&id) {
            entry.is_sent = true;
        }
    }

    /// A head has come to an origin; what it is to be answered. None if it is nobody's.
    pub(crate) fn arrived(
        &self,
        head: &Head,
        is_fresh: bool,
        now: Duration,
    ) -> Option<(Request, Answer, u32)> {
        let [method, target, version] = &head.start;
        if target.starts_with("/canary") {
            self.violate("smuggled", format!("content was taken for a request: {method} {target}"));
            return None;
        }
        let mut entries = self.entries.borrow_mut();
        let id = head.id().filter(|_| target.starts_with("/r/"))?;
        let entry = entries.get_mut(&id)?;
        if !entry.reached.is_empty() {
            count(&self.tally.retried);
            if let Some(why) = self.table.forbids((&entry.request, &entry.answer), &entry.reached, now) {
                let what = format!("{} {id:016x} reached an origin again: {why}", entry.request.method);
                self.violate("repeated", what);
            }
        }
        entry.reached.push(Reached { at: now, is_fresh, has_said: false, content_bytes: 0 });
        if entry.request.way.is_local() {
            self.violate("forwarded", format!("{id:016x} is not for an origin"));
        }
        if version != "HTTP/1.1" {
            self.violate("forwarded", format!("{id:016x} came as {version}"));
        }
        if entry.is_answered && entry.is_calm {
            self.violate("late", format!("{id:016x} reached an origin after its answer had gone out"));
        }
        if let Some(what) = differs_from_reference(&entry.request, head) {
            self.violate("forwarded", format!("{id:016x}: {what}"));
        }
        Some((entry.request.clone(), entry.answer.clone(), entry.reached.len() as u32))
    }

    /// Nothing goes wrong for it but by its own origin's manner.
    pub(crate) fn is_calm(&self, id: Id) -> bool {
        self.entries.borrow().get(&id).is_some_and(|entry| entry.is_calm)
    }

    /// An origin begins to say something to the attempt with this number.
    pub(crate) fn said(&self, id: Id, attempt: u32) {
        self.with_attempt(id, attempt, |reached| reached.has_said = true);
    }

    fn with_attempt(&self, id: Id, attempt: u32, change: impl FnOnce(&mut Reached)) {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id).expect("origins only answer what is in the ledger");
        entry.reached.get_mut(attempt as usize - 1).map(change);
    }

    /// The content of a request has come to an origin, or a part of it.
    pub(crate) fn uploaded(&self, id: Id, attempt: u32, received: &Content) {
        self.with_attempt(id, attempt, |reached| reached.content_bytes = received.bytes.len());
        let entries = self.entries.borrow();
        let Some(entry) = entries.get(&id) else { return };
        let mut expected = content(id, false, entry.request.content_bytes);
        if entry.request.way.rewrites() {
            rewrite(&mut expected);
        }
        if !expected.starts_with(&received.bytes) {
            self.violate("upload differs", format!("{id:016x}: {}", difference(&expected, &received.bytes)));
        } else if received.is_whole && received.bytes.len() < expected.len() {
            let (got, of) = (received.bytes.len(), expected.len());
            self.violate("upload cut", format!("{id:016x}: {got} of {of} bytes, and then its end"));
        } else if received.is_whole
            && entry.request.has_trailers
            && !entry.request.way.keeps_content()
            && received.trailers.is_empty()
        {
            self.violate("upload differs", format!("{id:016x}: its trailers are lost"));
        } else if entry.is_calm
            && !received.is_whole
            && !entry.request.expects
            && !entry.request.way.ends_upload()
        {
            // Whoever is not asked for its content need not send it; nobody else has a reason to stop.
            let (got, of) = (received.bytes.len(), expected.len());
            self.violate("upload lost", format!("{id:016x}: {got} of {of} bytes came"));
        }
    }

    /// A client has received a final head and content.
    pub(crate) fn answered(&self, id: Id, interim: &[u16], head: &Head, received: &Content) {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id).expect("clients only ask what is in the ledger");
        if std::mem::replace(&mut entry.is_answered, true) {
            self.violate("answered twice", format!("{id:016x}"));
        }
        let status: u16 = head.start[1].parse().unwrap_or(0);
        match head.id() {
            Some(other) if other != id => {
                self.violate("foreign answer", format!("{id:016x} got the answer of {other:016x}"));
            }
            Some(_) => {
                let broken = judge(entry, interim, head, received);
                let (kind, what) = match broken {
                    None if received.is_whole => return count(&self.tally.exact),
                    None if entry.is_calm => ("calm cut", "was cut although nothing was wrong".to_owned()),
                    None => return count(&self.tally.cut),
                    Some(broken) => broken,
                };
                self.violate(kind, format!("{id:016x}: {what}"));
            }
            None if !head.all("x-local").is_empty() => {
                let broken = judge_local(entry, interim, head, received);
                match broken {
                    None if received.is_whole => count(&self.tally.exact),
                    None if entry.is_calm => {
                        self.violate("calm cut", format!("{id:016x}: the handler's answer"))
                    }
                    None => count(&self.tally.cut),
                    Some((kind, what)) => self.violate(kind, format!("{id:016x}: {what}")),
                }
            }
            None => self.refused(entry, status, received),
        }
    }

    /// The engine has answered by itself.
    fn refused(&self, entry: &Entry, status: u16, received: &Content) {
        let id = entry.request.id;
        count(&self.tally.refused);
        // What is wrong with an answer may show only in its content, when the head has gone out.
        let is_unseen = !received.is_whole || entry.request.method == "HEAD";
        let is_garbage = matches!(entry.answer.manner, Manner::Garbage(_)) && is_unseen;
        if is_garbage || entry.request.way.panics() && status == 500 {
            return;
        }
        if !OWN_STATUSES.contains(&status) {
            self.violate("own answer", format!("{id:016x} was answered {status} by the engine"));
        } else if entry.is_calm {
            let what = format!("{id:016x} was answered {status} although nothing was wrong");
            self.violate("calm refused", what);
        }
    }

    /// A client has been told that its connection is a tunnel now.
    pub(crate) fn switched(&self, id: Id, interim: &[u16], head: &Head) {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id).expect("clients only ask what is in the ledger");
        if std::mem::replace(&mut entry.is_answered, true) {
            self.violate("answered twice", format!("{id:016x}"));
        }
        let nothing = Content { bytes: Vec::new(), trailers: Vec::new(), is_whole: true };
        let broken = if entry.request.switch.is_none() || head.all("upgrade") != ["websocket"] {
            Some(("tunnel unasked", format!("{:?}", head.start)))
        } else if entry.request.way == Way::Echo {
            head.all("x-local").is_empty().then(|| ("answer differs", "it is not the handler's".to_owned()))
        } else if head.id() != Some(id) {
            Some(("foreign answer", format!("the 101 of {:?}", head.id())))
        } else {
            judge(entry, interim, head, &nothing)
        };
        match broken {
            None => {
                count(&self.tally.exact);
                count(&self.tally.tunnels);
            }
            Some((kind, what)) => self.violate(kind, format!("{id:016x}: {what}")),
        }
    }

    /// A request has no answer, and its connection has ended.
    pub(crate) fn unanswered(&self, id: Id, why: &str) {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&id).expect("clients only ask what is in the ledger");
        if entry.is_calm && !entry.is_answered {
            self.violate("calm lost", format!("{id:016x} has no answer: {why}"));
        }
        entry.is_answered = true;
        count(&self.tally.cut);
    }

    /// Something came that is no message of HTTP.
    pub(crate) fn garbled(&self, who: &str, what: &str) {
        self.violate("garbled", format!("{who} got {what}"));
    }
}

/// What is wrong with an answer that an origin has given.
fn judge(entry: &Entry, interim: &[u16], head: &Head, received: &Content) -> Option<(&'static str, String)> {
    let Entry { request, answer, reached, .. } = entry;
    if head.start[1] != answer.status.to_string() {
        return Some(("answer differs", format!("{} instead of {}", head.start[1], answer.status)));
    }
    if request.way.panics() {
        return Some(("answer differs", "its handler panics".to_owned()));
    }
    let theirs = response_fields(&head.fields, answer.status == 101, request.way);
    let expected = response_fields(&answer.fields, answer.status == 101, request.way);
    if theirs != expected {
        return Some(("answer differs", format!("fields {theirs:?} instead of {expected:?}")));
    }
    let interim: Vec<u16> = interim.iter().copied().filter(|status| *status != 100).collect();
    // Those of an answer that was not taken have been passed on already.
    let mut said = answer.interim.repeat(reached.len().max(1));
    if request.way == Way::Hint {
        said.insert(0, 103);
    }
    if !said.starts_with(&interim) {
        return Some(("answer differs", format!("interim {interim:?} instead of {said:?}")));
    }
    if matches!(answer.manner, Manner::Garbage(_)) && reached.len() < 2 {
        return Some(("garbage passed", format!("{:?}", head.start)));
    }
    let length = if request.method == "HEAD" { 0 } else { answer.content_bytes };
    let mut expected = content(request.id, true, length);
    if request.way.rewrites() {
        rewrite(&mut expected);
    }
    if !expected.starts_with(&received.bytes) {
        return Some(("answer differs", difference(&expected, &received.bytes)));
    }
    let is_complete = received.bytes.len() == expected.len();
    let what = format!("{} of {} bytes, and then its end", received.bytes.len(), expected.len());
    // An origin that ends by a close in the middle cannot be told from one that is done; a reset can.
    let ends_early = matches!(answer.manner, Manner::Breaks { by_reset: false, .. });
    if received.is_whole && !is_complete && !(ends_early && answer.framing == Framing::Close) {
        return Some(("answer cut", what));
    }
    if received.is_whole && answer.has_trailers && length > 0 && head.all("transfer-encoding") == ["chunked"]
    {
        // Trailers pass to those who said that they take them; our clients do not.
        if !received.trailers.is_empty() {
            return Some(("answer differs", "trailers nobody asked for".to_owned()));
        }
    }
    None
}

/// What of a response's fields the engine has no part in.
fn response_fields(fields: &[(String, String)], is_switch: bool, way: Way) -> Vec<(String, String)> {
    let ours = |name: &str| {
        ADDED_TO_RESPONSES.iter().any(|added| name.eq_ignore_ascii_case(added))
            || is_switch && name.eq_ignore_ascii_case("upgrade")
            // What is another content is not what its origin has vouched for.
            || way.rewrites() && name.eq_ignore_ascii_case("etag")
    };
    fields.iter().filter(|(name, _)| !ours(name)).cloned().collect()
}

/// What is wrong with an answer that the handler has given.
fn judge_local(
    Entry { request, .. }: &Entry,
    interim: &[u16],
    head: &Head,
    received: &Content,
) -> Option<(&'static str, String)> {
    if !matches!(request.way, Way::Local | Way::Read) || head.start[1] != "200" {
        return Some(("answer differs", format!("{:?} is of another's handler", head.start)));
    }
    if interim.iter().any(|status| *status != 100) {
        return Some(("answer differs", format!("interim {interim:?}")));
    }
    let length = if request.method == "HEAD" { 0 } else { LOCAL_BYTES };
    let expected = content(request.id, true, length);
    let is_complete = received.bytes.len() == expected.len();
    if !expected.starts_with(&received.bytes) || received.is_whole && !is_complete {
        return Some(("answer differs", difference(&expected, &received.bytes)));
    }
    None
}

/// What an origin must be sent: what the client sent, less what was for the next hop.
fn differs_from_reference(request: &Request, head: &Head) -> Option<String> {
    let [method, target, _] = &head.start;
    if method != request.method || *target != request.path() {
        return Some(format!("{method} {target} instead of {} {}", request.method, request.path()));
    }
    if head.all("host") != ["sim.example"] {
        return Some(format!("Host {:?}", head.all("host")));
    }
    let ours = |name: &str| ADDED_TO_REQUESTS.iter().any(|added| name.eq_ignore_ascii_case(added));
    let upgrade: &[&str] = if request.switch.is_some() { &["websocket"] } else { &[] };
    if head.all("upgrade") != upgrade {
        return Some(format!("Upgrade {:?}", head.all("upgrade")));
    }
    let is_tried = |name: &str| request.way == Way::Loop && name.eq_ignore_ascii_case("x-try");
    let theirs: Vec<_> = head
        .fields
        .iter()
        .filter(|(name, _)| {
            !ours(name)
                && !is_tried(name)
                && !["host", "upgrade"].iter().any(|it| name.eq_ignore_ascii_case(it))
        })
        .cloned()
        .collect();
    if theirs != request.fields {
        return Some(format!("fields {theirs:?} instead of {:?}", request.fields));
    }
    let lengths = head.all("content-length");
    // To say that there is nothing is needed only where something is expected (RFC 9110 §8.6).
    let may_be_silent = request.content_bytes == 0 && !matches!(request.method, "POST" | "PUT");
    if request.framing == Framing::Length
        && request.way != Way::Reframe
        && !(may_be_silent && lengths.is_empty())
        && lengths != [request.content_bytes.to_string()]
    {
        return Some(format!("Content-Length {lengths:?} instead of {}", request.content_bytes));
    }
    for once in ["via", "x-forwarded-for", "x-request-id"] {
        if head.all(once).len() != 1 {
            return Some(format!("{once} {:?}", head.all(once)));
        }
    }
    None
}

/// Where two contents part.
fn difference(expected: &[u8], received: &[u8]) -> String {
    let at =
        expected.iter().zip(received).position(|(a, b)| a != b).unwrap_or(expected.len().min(received.len()));
    let around = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[at.saturating_sub(10).min(bytes.len())..(at + 40).min(bytes.len())])
            .into_owned()
    };
    format!("at byte {at}: {:?} instead of {:?}", around(received), around(expected))
}
