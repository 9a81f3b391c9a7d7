//! Whether a proxy does the work that all are to do, looked at from both sides before it is measured.
//!
//! It stands between a client and an origin of our own, with the configuration that it will be measured with. Three
//! requests, the third over another client connection, show what it adds, whether it asks the origin each time
//! (a cache would be cheap), and whether it keeps connections on both sides.

use super::{
    subject::Subject,
    wire::{Answer, Head, connect, get, receive_head},
};
use std::{
    io::{self, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

/// The requests of an inspection.
const REQUESTS: usize = 3;
/// What the client calls the site, which is neither the proxy's address nor the origin's.
const HOST: &str = "inspected.example:8080";
/// A client may claim to speak for somebody; it must not be believed.
const CLAIM: &str = "203.0.113.9";
const CLIENT: &str = "127.0.0.1";
/// A connection may be on its way back to the pool when the next request comes: that is no failure of the proxy.
const LOOKS_MAX: usize = 2;
/// A proxy that keeps a request to itself has not asked.
const ASKED_MAX: Duration = Duration::from_secs(1);

/// An origin that answers each request with its number, and says what it was asked.
#[derive(Debug)]
pub(super) struct Inspector {
    pub(super) port: u16,
    seen: Receiver<Seen>,
}

/// A request as it reached the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// Counted in the order in which they were opened.
    connection: usize,
    head: Head,
}

impl Inspector {
    /// Listens at a port of the kernel's choice. Its threads end with the proxy's connections, and with the tool.
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let (say, seen) = channel();
        thread::Builder::new().name("inspector".to_owned()).spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                let say = say.clone();
                let _ = thread::Builder::new().spawn(move || answer(stream, connection, &say));
            }
        })?;
        Ok(Self { port, seen })
    }

    /// Looks at a proxy that serves at `port`: in what it differs from the others, or why it must not be measured.
    pub(super) fn inspect(&self, subject: Subject, port: u16) -> Result<Vec<String>, String> {
        let mut looks = (0..LOOKS_MAX).map(|_| self.look(subject, port));
        looks.find(Result::is_ok).unwrap_or_else(|| self.look(subject, port))
    }

    fn look(&self, subject: Subject, port: u16) -> Result<Vec<String>, String> {
        // Whoever waited until it serves has been seen, too.
        while self.seen.try_recv().is_ok() {}
        let failed = |error: io::Error| format!("it does not answer as it should: {error}");
        let fields = format!("X-Forwarded-For: {CLAIM}\r\nX-Plain: kept\r\n");
        let mut first = connect(port).map_err(failed)?;
        let mut answers = Vec::new();
        for _ in 1..REQUESTS {
            answers.push(get(&mut first, HOST, &fields).map_err(failed)?);
        }
        drop(first);
        let mut second = connect(port).map_err(failed)?;
        answers.push(get(&mut second, HOST, &fields).map_err(failed)?);
        let mut seen = Vec::new();
        while seen.len() < REQUESTS {
            match self.seen.recv_timeout(ASKED_MAX) {
                Ok(request) => seen.push(request),
                Err(_) => return Err("it answers without asking the origin".to_owned()),
            }
        }
        judge(subject, &seen, &answers)
    }
}

/// Answers one connection's requests until it closes.
fn answer(mut stream: TcpStream, connection: usize, say: &Sender<Seen>) {
    let _ = stream.set_nodelay(true);
    while let Ok(Some((head, _))) = receive_head(&mut stream) {
        let content = content_for(&head);
        let length = content.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX-Plain: kept\r\n\r\n{content}");
        if say.send(Seen { connection, head }).is_err() || stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Content that no proxy can make up: it holds what the request was given on its way.
fn content_for(head: &Head) -> String {
    head.fields.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// What the two sides saw.
fn judge(subject: Subject, seen: &[Seen], answers: &[Answer]) -> Result<Vec<String>, String> {
    let mut differences = Vec::new();
    for (seen, answer) in seen.iter().zip(answers) {
        let content = content_for(&seen.head);
        if answer.status != 200 || answer.content != content.as_bytes() {
            return Err(format!(
                "its answer (status {}, {} bytes) is not the origin's (status 200, {} bytes)",
                answer.status,
                answer.content.len(),
                content.len()
            ));
        }
        if seen.head.field("host").as_deref() != Some(HOST) {
            return Err(format!("it changes Host into {:?}", seen.head.field("host")));
        }
        for (head, side) in [(&seen.head, "request"), (&answer.head, "response")] {
            if head.field("x-plain").as_deref() != Some("kept") {
                return Err(format!("it does not pass on the fields of a {side}"));
            }
        }
    }
    if subject.is_proxy() {
        let pooled =
            seen.iter().map(|seen| seen.connection).max() == seen.first().map(|seen| seen.connection);
        if !pooled {
            return Err("it does not keep its connections to the origin".to_owned());
        }
        for (seen, answer) in seen.iter().zip(answers) {
            judge_fields(subject, &seen.head, &answer.head)?;
        }
        let id = |seen: &Seen| seen.head.field("x-request-id");
        let known = seen.first().and_then(id);
        if known.is_some() && seen.iter().skip(1).any(|seen| id(seen) == known) {
            return Err("it gives one X-Request-Id to two requests".to_owned());
        }
        let claims =
            |seen: &Seen| seen.head.field("x-forwarded-for").is_some_and(|value| value.contains(CLAIM));
        if seen.iter().any(claims) {
            differences.push("passes on what the client claims in X-Forwarded-For".to_owned());
        }
        if !subject.lacks().is_empty() {
            differences.push(format!("does less: it does not add {}", subject.lacks().join(", ")));
        }
    }
    Ok(differences)
}

/// The fields that everybody adds, and the versions that everybody speaks.
fn judge_fields(subject: Subject, request: &Head, response: &Head) -> Result<(), String> {
    let holds = |head: &Head, name: &str, part: &str| {
        head.field(name).is_some_and(|value| value.to_ascii_lowercase().contains(part))
    };
    let wanted = [
        ("via", "1.1"),
        ("x-forwarded-for", CLIENT),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", HOST),
        ("forwarded", "for=127.0.0.1"),
        ("forwarded", "proto=http"),
        ("forwarded", HOST),
        ("x-request-id", ""),
    ];
    for (name, part) in wanted {
        if !subject.lacks().contains(&name) && !holds(request, name, part) {
            return Err(match request.field(name) {
                None => format!("it does less work: it adds no {name} to a request"),
                Some(value) => {
                    format!("it does other work: {name} of a request is {value:?}, without {part:?}")
                }
            });
        }
    }
    if !holds(response, "via", "1.1") {
        return Err("it does less work: it adds no via to a response".to_owned());
    }
    let closes = |head: &Head| holds(head, "connection", "close") || head.first.contains("HTTP/1.0");
    if closes(request) || closes(response) {
        return Err("it does not keep connections open".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Head {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Head { first: "GET / HTTP/1.1".to_owned(), fields: fields.collect() }
    }

    /// What an honest proxy's three requests and answers look like.
    fn honest() -> (Vec<Seen>, Vec<Answer>) {
        let seen: Vec<_> = (0..REQUESTS)
            .map(|number| Seen {
                connection: 4,
                head: head(&[
                    ("host", HOST),
                    ("x-plain", "kept"),
                    ("via", "1.1 p"),
                    ("x-forwarded-for", CLIENT),
                    ("x-forwarded-proto", "http"),
                    ("x-forwarded-host", HOST),
                    ("forwarded", "for=127.0.0.1;host=\"inspected.example:8080\";proto=http"),
                    ("x-request-id", &number.to_string()),
                ]),
            })
            .collect();
        let answers = seen
            .iter()
            .map(|seen| Answer {
                status: 200,
                head: head(&[("via", "1.1 p"), ("x-plain", "kept")]),
                content: content_for(&seen.head).into_bytes(),
            })
            .collect();
        (seen, answers)
    }

    #[track_caller]
    fn fails(change: impl Fn(&mut Vec<Seen>, &mut Vec<Answer>), expected: &str) {
        let (mut seen, mut answers) = honest();
        change(&mut seen, &mut answers);
        let says = judge(Subject::Nginx, &seen, &answers).unwrap_err();
        assert!(says.contains(expected), "{says}");
    }

    /// Changes a field of every request, and what the answers say of it.
    fn set(seen: &mut [Seen], answers: &mut [Answer], name: &str, value: Option<&str>) {
        for (seen, answer) in seen.iter_mut().zip(answers) {
            seen.head.fields.retain(|(found, _)| found != name);
            seen.head.fields.extend(value.map(|value| (name.to_owned(), value.to_owned())));
            answer.content = content_for(&seen.head).into_bytes();
        }
    }

    #[test]
    fn equal_work_passes() {
        let (seen, answers) = honest();
        assert_eq!(judge(Subject::Nginx, &seen, &answers), Ok(Vec::new()));
        assert_eq!(judge(Subject::Floor, &seen, &answers), Ok(Vec::new()));
    }

    #[test]
    fn less_work_and_other_work_do_not() {
        for name in
            ["via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-request-id"]
        {
            fails(|seen, answers| set(seen, answers, name, None), &format!("adds no {name} to a request"));
        }
        fails(|seen, answers| set(seen, answers, "x-forwarded-for", Some(CLAIM)), "without \"127.0.0.1\"");
        fails(|seen, answers| set(seen, answers, "x-request-id", Some("7")), "one X-Request-Id");
        fails(|seen, answers| set(seen, answers, "host", Some("127.0.0.1")), "changes Host");
        fails(|seen, answers| set(seen, answers, "x-plain", None), "fields of a request");
        fails(|seen, answers| set(seen, answers, "connection", Some("close")), "keep connections open");
        fails(|_, answers| answers[1].head.fields.clear(), "fields of a response");
        fails(|_, answers| answers[1].head = head(&[("x-plain", "kept")]), "no via to a response");
    }

    #[test]
    fn answers_of_its_own_do_not() {
        fails(|_, answers| answers[2].status = 500, "status 500");
        fails(|_, answers| answers[1].content = answers[0].content.clone(), "is not the origin's");
        fails(|_, answers| answers[1].content.truncate(5), "5 bytes");
        fails(|seen, _| seen[2].connection = 5, "does not keep its connections");
    }

    #[test]
    fn who_lacks_something_is_said_to() {
        let (mut seen, mut answers) = honest();
        for name in Subject::H2o.lacks() {
            set(&mut seen, &mut answers, name, None);
        }
        set(&mut seen, &mut answers, "x-forwarded-for", Some("203.0.113.9, 127.0.0.1"));
        let differences = judge(Subject::H2o, &seen, &answers).unwrap();
        assert!(differences[0].contains("claims in X-Forwarded-For"), "{differences:?}");
        assert!(differences[1].contains("does not add x-forwarded-host, forwarded"), "{differences:?}");
        assert!(judge(Subject::Nginx, &seen, &answers).is_err());
    }

    #[test]
    fn a_relay_is_inspected_over_real_sockets() {
        let inspector = Inspector::start().unwrap();
        // Talking to the inspector itself is what a relay of bytes looks like.
        assert_eq!(inspector.inspect(Subject::Floor, inspector.port), Ok(Vec::new()));
        let says = inspector.inspect(Subject::Nginx, inspector.port).unwrap_err();
        assert!(says.contains("keep its connections"), "{says}");
        let other = Inspector::start().unwrap();
        let says = inspector.inspect(Subject::Floor, other.port).unwrap_err();
        assert!(says.contains("without asking"), "{says}");
    }
}
