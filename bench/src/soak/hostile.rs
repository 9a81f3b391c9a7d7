//! Clients that mean harm, or know no better. Each knows what it must get: a promise that is not kept is said.

use super::world::{BETWEEN_BYTES, CLIENT_HEAD};
use crate::clock::{monotonic, pause};
use rand::{RngExt, rngs::SmallRng};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

/// How long a client waits for what it must get, behind the deadline that ends it: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(100);

/// A client's doings, and its name.
pub(super) struct Kind {
    pub(super) name: &'static str,
    act: fn(&mut Client) -> Result<(), String>,
}

/// Every kind there is.
pub(super) const KINDS: [Kind; 14] = [
    Kind { name: "head by drops", act: slow_head },
    Kind { name: "content by drops", act: slow_content },
    Kind { name: "silence", act: silence },
    Kind { name: "reads nothing", act: reads_nothing },
    Kind { name: "noise", act: noise },
    Kind { name: "smuggling", act: smuggling },
    Kind { name: "bad chunks", act: bad_chunks },
    Kind { name: "huge head", act: huge_head },
    Kind { name: "pipelining flood", act: flood },
    Kind { name: "half-close after a request", act: half_close },
    Kind { name: "half-close in a head", act: half_head },
    Kind { name: "reset in an upload", act: reset_upload },
    Kind { name: "reset in a download", act: reset_download },
    Kind { name: "reset in a tunnel", act: reset_tunnel },
];

/// One client.
struct Client {
    stream: TcpStream,
    rng: SmallRng,
}

/// Has a client do one thing to the proxy on this port; what promise was broken, if one was.
pub(super) fn act(kind: &Kind, port: u16) -> Result<(), String> {
    let stream =
        TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("no connection: {error}"))?;
    let set = stream.set_read_timeout(Some(LOOK)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    set.map_err(|error| format!("no timeouts: {error}"))?;
    (kind.act)(&mut Client { stream, rng: rand::make_rng() })
}

/// What came until the connection ended.
struct Heard {
    statuses: Vec<u16>,
    /// It has not ended in time.
    open: bool,
    /// It has ended by this.
    broken: Option<ErrorKind>,
}

impl Heard {
    fn of(statuses: Vec<u16>, open: bool) -> Self {
        Self { statuses, open, broken: None }
    }

    /// What came later on the same connection.
    fn and(&mut self, more: Self) {
        self.statuses.extend(more.statuses);
        (self.open, self.broken) = (more.open, more.broken);
    }
}

impl Client {
    /// Sends what the proxy takes; it may have closed.
    fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Reads until the connection ends.
    fn hear(&mut self) -> Heard {
        self.hear_until(monotonic() + PATIENCE, |_| false)
    }

    /// Reads until the connection ends, or `enough` has come.
    fn hear_until(&mut self, until: Duration, enough: impl Fn(&[u16]) -> bool) -> Heard {
        hear(&mut self.stream, until, enough)
    }

    /// Has the close be a reset.
    fn reset(&self) {
        let _ = set_socket_linger(&self.stream, Some(Duration::ZERO));
    }
}

/// What comes of a stream until it ends, or `enough` has come.
fn hear(stream: &mut impl Read, until: Duration, enough: impl Fn(&[u16]) -> bool) -> Heard {
    let (mut statuses, mut tail, mut piece) = (Vec::new(), Vec::new(), [0; 16 << 10]);
    while monotonic() < until {
        match stream.read(&mut piece) {
            Ok(0) => return Heard::of(statuses, false),
            Ok(count) => {
                tail.extend_from_slice(&piece[..count]);
                find_statuses(&mut tail, &mut statuses);
                if enough(&statuses) {
                    break;
                }
            }
            Err(error) => match error.kind() {
                // The kernel does not take up again a read that has a timeout (signal(7)).
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                kind => return Heard { statuses, open: false, broken: Some(kind) },
            },
        }
    }
    Heard::of(statuses, true)
}

/// Takes status lines out of what has come, and leaves what may be the beginning of one.
fn find_statuses(tail: &mut Vec<u8>, statuses: &mut Vec<u16>) {
    const LINE: &[u8] = b"HTTP/1.1 ";
    let whole = LINE.len() + 3;
    let mut at = 0;
    while at + whole <= tail.len() {
        if &tail[at..at + LINE.len()] == LINE {
            let digits = std::str::from_utf8(&tail[at + LINE.len()..at + whole]);
            statuses.extend(digits.ok().and_then(|digits| digits.parse::<u16>().ok()));
            at += whole;
        } else {
            at += 1;
        }
    }
    tail.drain(..at);
}

/// One refusal with one of these statuses, and the end.
fn refused(heard: &Heard, with: &[u16]) -> Result<(), String> {
    match heard.statuses[..] {
        [status] if with.contains(&status) && !heard.open => Ok(()),
        _ => Err(format!("one of {with:?} and the end, but {}", says(heard))),
    }
}

/// At most a refusal, and the end.
fn let_go(heard: &Heard) -> Result<(), String> {
    match heard.statuses[..] {
        [] | [400..=599] if !heard.open => Ok(()),
        _ => Err(format!("a refusal and the end, but {}", says(heard))),
    }
}

fn says(heard: &Heard) -> String {
    let end = match heard.broken {
        Some(kind) => &format!("the end ({kind})"),
        None if heard.open => "no end",
        None => "the end",
    };
    match heard.statuses.len() {
        0..=8 => format!("{:?} and {end}", heard.statuses),
        many => format!("{many} answers and {end}"),
    }
}

fn slow_head(client: &mut Client) -> Result<(), String> {
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    let until = monotonic() + CLIENT_HEAD + PATIENCE;
    let mut heard = Heard::of(Vec::new(), true);
    while heard.open && monotonic() < until {
        client.send("x");
        heard.and(client.hear_until(monotonic() + 5 * LOOK, |_| false));
    }
    refused(&heard, &[408])
}

fn slow_content(client: &mut Client) -> Result<(), String> {
    // The origin keeps its answer back: once one has begun, the client may be as slow as it likes.
    client.send("POST /echo?delay=1m HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    let until = monotonic() + Duration::from_secs(5) + PATIENCE;
    let mut heard = Heard::of(Vec::new(), true);
    while heard.open && monotonic() < until {
        client.send("x");
        heard.and(client.hear_until(monotonic() + 5 * LOOK, |_| false));
    }
    refused(&heard, &[408])
}

fn silence(client: &mut Client) -> Result<(), String> {
    let heard = client.hear();
    if heard.statuses.is_empty() && !heard.open { Ok(()) } else { Err(says(&heard)) }
}

fn reads_nothing(client: &mut Client) -> Result<(), String> {
    let _ = set_socket_recv_buffer_size(&client.stream, 4096);
    client.send("GET /?size=16m HTTP/1.1\r\nHost: a\r\n\r\n");
    pause(BETWEEN_BYTES + Duration::from_secs(2));
    // By now the proxy has let it go; that shows in what the proxy holds in the end. Here it does not: what is in the
    // buffers of the kernel comes first.
    Ok(())
}

fn noise(client: &mut Client) -> Result<(), String> {
    let count = client.rng.random_range(1..4096);
    let noise: Vec<u8> = (0..count).map(|_| client.rng.random()).collect();
    client.send(noise);
    let _ = client.stream.shutdown(Shutdown::Write);
    let_go(&client.hear())
}

fn smuggling(client: &mut Client) -> Result<(), String> {
    const HEADS: [&str; 10] = [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nGET ",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: +5\r\n\r\nhello",
        "X: a\r\n Content-Length: 5\r\n\r\nhello",
    ];
    let head = HEADS[client.rng.random_range(0..HEADS.len())];
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}GET /canary HTTP/1.1\r\nHost: a\r\n\r\n"));
    refused(&client.hear(), &[400, 501])
}

fn bad_chunks(client: &mut Client) -> Result<(), String> {
    const CHUNKS: [&str; 6] =
        ["0x5\r\nhello\r\n", "5\r\nhelloXX", "ffffffffffffffffff\r\n", "5;\nhello\r\n", "-1\r\n", "\r\n\r\n"];
    let chunks = CHUNKS[client.rng.random_range(0..CHUNKS.len())];
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
    client.send("GET /canary HTTP/1.1\r\nHost: a\r\n\r\n");
    let heard = client.hear();
    // The origin answers before it has read the content, so that may come, but no second one.
    let one = heard.statuses.len() <= 1 && !heard.open;
    if one { Ok(()) } else { Err(format!("one answer at most and the end, but {}", says(&heard))) }
}

fn huge_head(client: &mut Client) -> Result<(), String> {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    for _ in 0..100 {
        if !client.send(format!("X-Filler: {}\r\n", "x".repeat(1000))) {
            break;
        }
    }
    let_go(&client.hear())
}

fn flood(client: &mut Client) -> Result<(), String> {
    const REQUESTS: usize = 300;
    let request = "GET /?size=10 HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(
        request.repeat(REQUESTS - 1) + "GET /?size=10 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    let heard = client.hear_until(monotonic() + PATIENCE, |statuses| statuses.len() > REQUESTS);
    let all = heard.statuses.len() == REQUESTS && heard.statuses.iter().all(|status| *status == 200);
    if all && !heard.open { Ok(()) } else { Err(format!("{REQUESTS} answers, but {}", says(&heard))) }
}

fn half_close(client: &mut Client) -> Result<(), String> {
    client.send("GET /?size=100 HTTP/1.1\r\nHost: a\r\n\r\n");
    let _ = client.stream.shutdown(Shutdown::Write);
    let heard = client.hear();
    if heard.statuses == [200] && !heard.open { Ok(()) } else { Err(says(&heard)) }
}

fn half_head(client: &mut Client) -> Result<(), String> {
    client.send("GET / HTTP/1.1\r\nHost:");
    let _ = client.stream.shutdown(Shutdown::Write);
    let_go(&client.hear())
}

fn reset_upload(client: &mut Client) -> Result<(), String> {
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    let count = client.rng.random_range(0..100_000);
    client.send(vec![b'x'; count]);
    client.reset();
    Ok(())
}

fn reset_download(client: &mut Client) -> Result<(), String> {
    client.send("GET /?size=4m HTTP/1.1\r\nHost: a\r\n\r\n");
    let _ = client.hear_until(monotonic() + PATIENCE, |statuses| !statuses.is_empty());
    client.reset();
    Ok(())
}

fn reset_tunnel(client: &mut Client) -> Result<(), String> {
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let heard = client.hear_until(monotonic() + PATIENCE, |statuses| !statuses.is_empty());
    client.reset();
    if heard.statuses == [101] { Ok(()) } else { Err(format!("101, but {}", says(&heard))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_found_however_they_are_cut() {
        let whole = b"HTTP/1.1 200 OK\r\nX: HTTP/1.1\r\n\r\nxxHTTP/1.1 404 Not Found\r\n\r\n";
        for cut in 0..whole.len() {
            let (mut tail, mut statuses) = (Vec::new(), Vec::new());
            for part in [&whole[..cut], &whole[cut..]] {
                tail.extend_from_slice(part);
                find_statuses(&mut tail, &mut statuses);
            }
            assert_eq!(statuses, [200, 404], "{cut}");
        }
    }

    /// Each read gives what comes next.
    struct Script(Vec<Result<&'static [u8], ErrorKind>>);

    impl Read for Script {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let mut next = self.0.remove(0)?;
            next.read(into)
        }
    }

    #[test]
    fn a_read_that_is_interrupted_is_no_end_and_one_that_fails_is_named() {
        let hear = |script: &[_]| hear(&mut Script(script.to_vec()), monotonic() + PATIENCE, |_| false);
        let begun = [Err(ErrorKind::WouldBlock), Err(ErrorKind::Interrupted), Ok(&b"HTTP/1.1 408 x\r\n"[..])];
        let ended = hear(&[&begun[..], &[Ok(b"")]].concat());
        assert!(refused(&ended, &[408]).is_ok(), "{}", says(&ended));
        let reset = hear(&[&begun[..], &[Err(ErrorKind::ConnectionReset)]].concat());
        assert_eq!(says(&reset), "[408] and the end (connection reset)");
    }

    #[test]
    fn a_promise_that_is_not_kept_is_told() {
        let heard = |statuses: &[u16], open| Heard::of(statuses.to_vec(), open);
        assert!(refused(&heard(&[400], false), &[400]).is_ok());
        for broken in
            [heard(&[200], false), heard(&[400, 200], false), heard(&[400], true), heard(&[], false)]
        {
            assert!(refused(&broken, &[400]).is_err());
        }
        assert!(let_go(&heard(&[], false)).is_ok() && let_go(&heard(&[200], false)).is_err());
    }
}
