//! Content in all its forms, either way: read, made, changed and copied.

use crate::support::{
    clock::until,
    peer::{Peer, Scripted},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Body, Bytes, Chunk, End, Engine, Error, Fields, Handler, Lane, Length, Method, Metric, Output, Request,
    Response, Result, Sender, StatusCode, Timeouts, Transform, Upstream,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::channel,
    },
    time::Duration,
};

fn text(words: impl Into<String>) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, words))
}

/// A handler with its lane and an upstream.
fn gateway<F>(driver: corelane_engine::Driver, origin: &Scripted, timeouts: Timeouts, handler: F) -> Rig
where
    F: AsyncFn(&Lane, &Upstream, Request) -> Result<Response> + Clone + Send + Sync + 'static,
{
    let cluster = origin.cluster();
    Rig::start(Engine::builder().driver(driver).timeouts(timeouts).serve(
        "127.0.0.1:0",
        move |lane: &Lane| {
            let (lane, upstream, handler) = (lane.clone(), lane.upstream(&cluster), handler.clone());
            Ok(Fun(async move |request| handler(&lane, &upstream, request).await))
        },
    ))
}

/// Sends what it gets as it gets it.
struct Louder;

impl Transform for Louder {
    fn chunk(&mut self, mut chunk: Chunk, out: &mut Output) -> Result<()> {
        chunk.make_ascii_uppercase();
        out.push(chunk);
        Ok(())
    }

    fn length(&self, length: u64) -> Option<u64> {
        Some(length)
    }
}

/// Says everything twice, and good-bye.
struct Twice;

impl Transform for Twice {
    fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()> {
        out.extend(&chunk);
        out.push(chunk);
        Ok(())
    }

    fn end(&mut self, trailers: &mut Fields, out: &mut Output) -> Result<()> {
        out.extend(b"bye");
        trailers.append("x-said", "twice");
        Ok(())
    }
}

#[test]
fn a_transform_changes_a_response_and_what_its_head_says_of_it() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            while let Some(request) = peer.try_message() {
                let fields = "ETag: \"a\"\r\nAccept-Ranges: bytes\r\nContent-MD5: x\r\nDigest: x\r\n\
                              Content-Digest: x\r\nRepr-Digest: x\r\nLast-Modified: then\r\n";
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{fields}\r\n"));
                if !request.head.starts_with("HEAD") {
                    peer.send("hello");
                }
            }
        });
        let rig =
            gateway(driver, &origin, Timeouts::default(), async |_: &Lane, origin: &Upstream, request| {
                let (twice, head) = (request.path() == "/twice", request.head().clone());
                let mut response = origin.send(request).await?;
                match twice {
                    true => response.body_mut().transform(Twice),
                    false => response.body_mut().transform(Louder),
                }
                assert_eq!(response.body_mut().length() == Length::Known(5), !twice && head.method == "GET");
                Ok(response)
            });
        let mut client = Peer::connect(rig.address());
        let plain = client.get("/");
        assert_eq!((plain.text().as_str(), plain.field("content-length")), ("HELLO", Some("5")));
        for gone in ["accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"] {
            assert_eq!(plain.field(gone), None, "{plain:?}");
        }
        assert_eq!((plain.field("etag"), plain.field("last-modified")), (Some("W/\"a\""), Some("then")));
        assert_eq!(rig.record().response_bytes, 5);

        client.send("GET /twice HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n");
        let twice = client.message();
        assert_eq!(
            (twice.field("transfer-encoding"), twice.field("content-length")),
            (Some("chunked"), None)
        );
        assert_eq!((twice.text().as_str(), twice.trailers.as_str()), ("hellohellobye", "x-said: twice\n"));
        assert_eq!(rig.record().response_bytes, 13);

        // What has no content stays so, and does not say how long another's would be.
        for (path, length) in [("/", Some("5")), ("/twice", None)] {
            client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let head = client.head();
            assert_eq!(head.contains("Content-Length: 5"), length.is_some(), "{head}");
            assert!(head.contains("W/\"a\"") && !head.contains("Content-Length: 0"), "{head}");
            assert_eq!(rig.record().response_bytes, 0);
        }
        assert_eq!(client.get("/").text(), "HELLO");
        assert_eq!(origin.connections(), 1, "everything was read to its end");
    });
}

#[test]
fn a_transform_changes_a_request_on_its_way_up() {
    on_both(|driver| {
        let (says, said) = channel();
        let origin = Scripted::start(move |peer| {
            while let Some(request) = peer.try_message() {
                says.send(request).expect("the test listens");
                peer.send("HTTP/1.1 204 No Content\r\n\r\n");
            }
        });
        let rig = gateway(
            driver,
            &origin,
            Timeouts::default(),
            async |_: &Lane, origin: &Upstream, mut request: Request| {
                match request.path() {
                    "/twice" => request.body_mut().transform(Twice),
                    _ => request.body_mut().transform(Louder),
                }
                origin.send(request).await
            },
        );
        let mut client = Peer::connect(rig.address());
        for (path, framing, content) in [
            ("/", "Content-Length: 10\r\nContent-MD5: x", "helloworld"),
            ("/", "Transfer-Encoding: chunked\r\nDigest: x", "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"),
            ("/twice", "Content-Length: 10\r\nRepr-Digest: x", "helloworld"),
            ("/twice", "Transfer-Encoding: chunked", "a\r\nhelloworld\r\n0\r\nX-A: b\r\n\r\n"),
        ] {
            client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{content}"));
            assert_eq!(client.message().status(), 204);
            let request = said.recv().expect("a request");
            for gone in ["content-md5", "digest", "repr-digest"] {
                assert_eq!(request.field(gone), None, "{request:?}");
            }
            let is_long = path == "/" && framing.starts_with("Content");
            assert_eq!(request.field("content-length"), Some("10").filter(|_| is_long));
            match path {
                "/" => assert_eq!(request.text(), "HELLOWORLD"),
                _ => assert!(request.text().ends_with("bye") && request.content.len() == 23, "{request:?}"),
            }
            assert_eq!(request.trailers.contains("x-said: twice"), path == "/twice", "{request:?}");
            assert_eq!(request.trailers.contains("X-A: b"), framing.ends_with("chunked") && path == "/twice");
        }
        // Without content there is nothing to change, and a GET does not become chunked.
        assert_eq!(client.get("/twice").status(), 204);
        let request = said.recv().expect("a request");
        assert_eq!((request.field("transfer-encoding"), request.content.len()), (None, 0), "{request:?}");
    });
}

/// Gives the number of bytes that came, when there are no more.
#[derive(Default)]
struct Count(usize);

impl Transform for Count {
    fn chunk(&mut self, chunk: Chunk, _: &mut Output) -> Result<()> {
        self.0 += chunk.len();
        Ok(())
    }
    fn end(&mut self, _: &mut Fields, out: &mut Output) -> Result<()> {
        out.push(self.0.to_string());
        Ok(())
    }
}

/// Makes a mebibyte of every byte, as a bomb would, but not all at once.
#[derive(Default)]
struct Bomb(usize);

impl Transform for Bomb {
    fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()> {
        self.0 += chunk.len() << 20;
        self.more(out)
    }
    fn more(&mut self, out: &mut Output) -> Result<()> {
        while self.0 > 0 && !out.is_full() {
            let count = self.0.min(4096);
            out.extend(&vec![b'x'; count]);
            self.0 -= count;
        }
        assert!(self.0 == 0 || out.is_full());
        if self.0 > 0 {
            out.call_again();
        }
        Ok(())
    }
}

#[test]
fn transforms_may_swallow_grow_and_fail() {
    on_both(|driver| {
        const BYTES: usize = 8 << 20;
        let origin = Scripted::start(|peer| {
            while let Some(request) = peer.try_message() {
                let content =
                    if request.head.contains("/count") { vec![b'x'; BYTES] } else { b"hello".to_vec() };
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len()));
                if !peer.try_send(content) {
                    return;
                }
            }
        });
        let rig =
            gateway(driver, &origin, Timeouts::default(), async |_: &Lane, origin: &Upstream, request| {
                let path = request.path().to_owned();
                let mut response = origin.send(request).await?;
                match path.as_str() {
                    "/count" => response.body_mut().transform(Count::default()),
                    "/bomb" => response.body_mut().transform(Bomb::default()),
                    "/both" => {
                        response.body_mut().transform(Bomb::default());
                        response.body_mut().transform(Count::default());
                    }
                    "/read" => {
                        response.body_mut().transform(Twice);
                        let content = response.body_mut().collect(100).await?;
                        assert_eq!(response.body_mut().trailers().get("x-said"), Some(&b"twice"[..]));
                        response.set_body(content);
                    }
                    _ => response.body_mut().transform(|_: Chunk, _: &mut Output| Err(Error::internal("no"))),
                }
                Ok(response)
            });
        let mut client = Peer::connect(rig.address());
        assert_eq!(client.get("/count").text(), BYTES.to_string());
        assert_eq!(client.get("/bomb").content.len(), 5 << 20);
        assert_eq!(client.get("/both").text(), (5 << 20).to_string());
        assert_eq!(client.get("/read").text(), "hellohellobye");
        for _ in 0..4 {
            assert_eq!(rig.record().end, End::Done);
        }
        client.send("GET /fails HTTP/1.1\r\nHost: a\r\n\r\n");
        let (answer, _) = client.rest();
        assert!(!answer.ends_with(b"0\r\n\r\n"), "the client can tell: {answer:?}");
        let record = rig.record();
        assert_eq!((record.end, record.error.as_str()), (End::Handler, "no"));
    });
}

/// Wants to be called again, always.
struct Restless;

impl Transform for Restless {
    fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()> {
        assert!(chunk.len() <= 32 << 10, "however much there is, it comes in pieces");
        out.push(chunk);
        out.call_again();
        Ok(())
    }

    fn more(&mut self, out: &mut Output) -> Result<()> {
        out.call_again();
        Ok(())
    }
}

#[test]
fn a_transform_that_does_nothing_over_and_over_is_ended() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| {
                let mut body = Body::from(vec![b'x'; 1 << 20]);
                body.transform(Restless);
                if request.path() == "/read" {
                    return body.collect(1 << 20).await.map(|_| Response::new(StatusCode::OK));
                }
                Ok(Response::new(StatusCode::OK).with_body(body))
            }))
        });
        let mut client = Peer::connect(rig.address());
        assert_eq!(client.get("/read").status(), 500);
        assert_eq!(rig.record().end, End::Handler);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(!client.rest().0.ends_with(b"0\r\n\r\n"));
        let record = rig.record();
        assert!(record.end == End::Handler && record.error.contains("put nothing out"), "{record:?}");
    });
}

#[test]
fn a_transform_that_lies_about_its_length_breaks_off() {
    struct Liar(u64);
    impl Transform for Liar {
        fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()> {
            out.push(chunk);
            Ok(())
        }
        fn length(&self, length: u64) -> Option<u64> {
            Some(length + self.0 - 5)
        }
    }
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| {
                let mut response = Response::new(StatusCode::OK).with_body("hello");
                response.body_mut().transform(Liar(if request.path() == "/long" { 1 } else { 9 }));
                Ok(response)
            }))
        });
        for path in ["/long", "/short"] {
            let mut client = Peer::connect(rig.address());
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let (answer, _) = client.rest();
            let answer = String::from_utf8(answer).expect("text");
            // Never more than was announced, and never as if that were all.
            let length = if path == "/long" { 1 } else { 9 };
            assert!(
                answer.contains(&format!("Content-Length: {length}\r\n")) || answer.contains(" 500 "),
                "{answer}"
            );
            assert_eq!(rig.record().end, End::Handler);
        }
    });
}

/// Feeds a channel whenever the test opens the gate.
struct Feed(Lane, Arc<AtomicBool>, Arc<AtomicUsize>);

impl Handler for Feed {
    async fn handle(&self, request: Request) -> Result<Response> {
        let (sender, body) = match request.path() {
            "/known" => Body::channel_with_length(10),
            _ => Body::channel(),
        };
        let (lane, gate, sent) = (self.0.clone(), Arc::clone(&self.1), Arc::clone(&self.2));
        let path = request.path().to_owned();
        self.0.spawn(async move {
            let _ = feed(&path, lane, &gate, &sent, sender).await;
        });
        Ok(Response::new(StatusCode::OK).with_body(body))
    }
}

async fn feed(
    path: &str,
    lane: Lane,
    gate: &AtomicBool,
    sent: &AtomicUsize,
    mut sender: Sender,
) -> Result<()> {
    match path {
        "/endless" => loop {
            let result = sender.send(Bytes::from(vec![b'x'; 10_000])).await;
            if result.is_err() {
                sent.store(usize::MAX, Ordering::SeqCst);
                return result;
            }
            sent.fetch_add(10_000, Ordering::SeqCst);
        },
        "/silent" => {
            sender.send("hello").await?;
            sender.gone().await;
            sent.store(usize::MAX, Ordering::SeqCst);
        }
        "/dropped" => {
            sender.send("hello").await?;
        }
        _ => {
            sender.send("hello").await?;
            while !gate.load(Ordering::SeqCst) {
                lane.sleep(Duration::from_millis(1)).await;
            }
            sender.send("world").await?;
            let mut trailers = Fields::new();
            trailers.append("x-sum", "ten");
            sender.end_with(trailers);
        }
    }
    Ok(())
}

fn feeding(
    driver: corelane_engine::Driver,
    set: impl FnOnce(&mut Timeouts),
) -> (Rig, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (gate, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let (opened, counted) = (Arc::clone(&gate), Arc::clone(&sent));
    let mut timeouts = Timeouts::default();
    set(&mut timeouts);
    let builder = Engine::builder().driver(driver).timeouts(timeouts);
    let rig = Rig::start(builder.serve("127.0.0.1:0", move |lane: &Lane| {
        Ok(Feed(lane.clone(), Arc::clone(&opened), Arc::clone(&counted)))
    }));
    (rig, gate, sent)
}

#[test]
fn a_channel_streams_what_is_sent_into_it() {
    on_both(|driver| {
        let (rig, gate, _) = feeding(driver, |_| {});
        let mut client = Peer::connect(rig.address());
        client.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n");
        assert!(client.head().contains("Transfer-Encoding: chunked"));
        // The first piece does not wait for the second.
        assert_eq!((client.line().as_str(), client.bytes(7)), ("5", b"hello\r\n".to_vec()));
        gate.store(true, Ordering::SeqCst);
        assert_eq!(client.chunks(), (b"world".to_vec(), "x-sum: ten\n".to_owned()));
        // Without TE there are no trailers; with a length there is one, and no chunk.
        assert_eq!(client.get("/").text(), "helloworld");
        let known = client.get("/known");
        assert_eq!((known.text().as_str(), known.field("content-length")), ("helloworld", Some("10")));
        for _ in 0..3 {
            assert_eq!(rig.record().end, End::Done);
        }
    });
}

#[test]
fn a_sender_that_is_dropped_breaks_its_content_off() {
    on_both(|driver| {
        let (rig, ..) = feeding(driver, |_| {});
        for version in ["1.1", "1.0"] {
            let mut client = Peer::connect(rig.address());
            client.send(format!("GET /dropped HTTP/{version}\r\nHost: a\r\n\r\n"));
            let (answer, over) = client.rest();
            assert!(!answer.ends_with(b"0\r\n\r\n"), "{answer:?}");
            // Where the close is the end, this one is none.
            assert_eq!(over == crate::support::peer::Over::Reset, version == "1.0");
            let record = rig.record();
            assert_eq!(record.end, End::Handler, "{record:?}");
        }
    });
}

#[test]
fn a_channel_holds_a_bounded_amount_for_a_client_that_does_not_read() {
    on_both(|driver| {
        let (rig, _, sent) = feeding(driver, |_| {});
        let mut client = Peer::connect(rig.address());
        client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
        // What the sender got rid of stands in the channel, in one send, and in the kernel.
        let mut before = usize::MAX;
        until("it waits", || {
            std::thread::park_timeout(Duration::from_millis(50));
            let now = sent.load(Ordering::SeqCst);
            std::mem::replace(&mut before, now) == now && now > 0
        });
        assert!(before < 64 << 20, "{before}");
        // It goes on when the client does, and ends when it leaves.
        client.bytes(before);
        until("it goes on", || sent.load(Ordering::SeqCst) > before);
        client.reset();
        until("the sender is told", || sent.load(Ordering::SeqCst) == usize::MAX);
        assert_eq!(rig.record().end, End::ClientClosed);
    });
}

#[test]
fn a_sender_that_has_nothing_to_send_for_too_long_breaks_its_content_off() {
    on_both(|driver| {
        let (rig, _, sent) = feeding(driver, |timeouts| timeouts.between_bytes = Duration::from_millis(300));
        let mut client = Peer::connect(rig.address());
        client.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
        let (answer, _) = client.rest();
        assert!(answer.ends_with(b"5\r\nhello\r\n"), "{answer:?}");
        let record = rig.record();
        assert_eq!((record.end, record.error.as_str()), (End::Handler, "handler, moving content: timed out"));
        until("the sender is told", || sent.load(Ordering::SeqCst) == usize::MAX);
    });
}

/// Answers with what it is sent, or with its own, and a trailer.
fn echoing() -> Scripted {
    Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            let content =
                if request.content.is_empty() { b"from the origin".to_vec() } else { request.content };
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                content.len()
            ));
            peer.send(content);
            peer.send("\r\n0\r\nX-Origin: yes\r\n\r\n");
        }
    })
}

async fn crosswise(lane: &Lane, origin: &Upstream, mut request: Request) -> Result<Response> {
    match request.path() {
        // A response's content as a request's.
        "/down-up" => {
            let mut first = origin.send(Request::new(Method::GET, "/")).await?;
            request.set_body(std::mem::take(first.body_mut()));
            origin.send(request).await
        }
        // A request's as the answer.
        "/echo" => {
            let body = std::mem::take(request.body_mut());
            Ok(Response::new(StatusCode::OK).with_body(body))
        }
        // A channel's as a request's.
        "/made" => {
            let (mut sender, body) = Body::channel();
            lane.spawn(async move {
                let _ = sender.send("made ").await;
                let _ = sender.send("here").await;
                sender.end();
            });
            request.set_body(body);
            origin.send(request).await
        }
        _ => {
            let content = request.body_mut().collect(100).await?;
            let trailers = request.body_mut().trailers();
            text(format!("{} {:?}", content.len(), trailers))
        }
    }
}

#[test]
fn content_of_either_side_goes_either_way() {
    on_both(|driver| {
        let rig = gateway(driver, &echoing(), Timeouts::default(), crosswise);
        let mut client = Peer::connect(rig.address());
        let mut post = |path: &str, framing: &str, content: &str| {
            let te = "TE: trailers\r\nConnection: te";
            client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{te}\r\n{framing}\r\n\r\n{content}"));
            let answer = client.message();
            assert_eq!(rig.record().end, End::Done);
            (answer.text(), answer.trailers)
        };
        let chunked = "Transfer-Encoding: chunked";
        let origin = || "X-Origin: yes\n".to_owned();
        assert_eq!(post("/down-up", "Content-Length: 0", ""), ("from the origin".to_owned(), origin()));
        assert_eq!(post("/made", "Content-Length: 0", ""), ("made here".to_owned(), origin()));
        assert_eq!(
            post("/echo", chunked, "5\r\nhello\r\n0\r\nX-Client: yes\r\n\r\n"),
            ("hello".to_owned(), "X-Client: yes\n".to_owned())
        );
        assert_eq!(post("/read", chunked, "5\r\nhello\r\n0\r\nX-A: b\r\n\r\n").0, "5 {\"X-A\": \"b\"}");
        assert_eq!(rig.value(Metric::Connections), 1);
    });
}

#[test]
fn trailers_can_be_set_and_reach_who_takes_them() {
    on_both(|driver| {
        let (says, said) = channel();
        let origin = Scripted::start(move |peer| {
            while let Some(head) = peer.try_head() {
                if head.contains("chunked") {
                    says.send(peer.chunks()).expect("the test listens");
                }
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\nhello");
            }
        });
        let rig = gateway(
            driver,
            &origin,
            Timeouts::default(),
            async |_: &Lane, origin: &Upstream, mut request: Request| {
                let trailers = |value: &str| {
                    let mut trailers = Fields::new();
                    trailers.append("x-sum", value);
                    // What must not trail does not.
                    trailers.append("content-length", "1");
                    trailers
                };
                request.body_mut().set_trailers(trailers("up"));
                let mut response = origin.send(request).await?;
                response.body_mut().set_trailers(trailers("down"));
                Ok(response)
            },
        );
        let mut client = Peer::connect(rig.address());
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nContent-Length: 2\r\n\r\nhi",
        );
        let head = client.head();
        assert!(head.contains("ETag: \"a\""), "the content is the same: {head}");
        assert_eq!(client.chunks(), (b"hello".to_vec(), "x-sum: down\n".to_owned()));
        assert_eq!(said.recv().expect("a request"), (b"hi".to_vec(), "x-sum: up\n".to_owned()));
        // Without content there is nothing to trail, and who does not ask for trailers gets none.
        assert_eq!(client.get("/").text(), "hello");
        assert!(said.try_recv().is_err());
    });
}

#[test]
fn a_tee_copies_what_passes_and_holds_up_nobody() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            while let Some(request) = peer.try_message() {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", "0123456789");
                if request.head.contains("/breaks") {
                    peer.send(answer);
                    return;
                }
                peer.send(format!("{answer}0123456789"));
            }
        });
        let (says, said) = channel();
        let handler = async move |lane: &Lane, origin: &Upstream, mut request: Request| {
            let up = request.body_mut().tee(1 << 20);
            let bytes_max = if request.path() == "/cut" { 15 } else { 20 };
            let mut response = origin.send(&mut request).await?;
            let down = response.body_mut().tee(bytes_max);
            let says = says.clone();
            lane.spawn(async move {
                let (up, down) = (up.finish().await, down.finish().await);
                says.send((up, down)).expect("the test listens");
            });
            Ok(response)
        };
        let rig = gateway(driver, &origin, Timeouts::default(), handler);
        let mut client = Peer::connect(rig.address());
        let post = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        client.send(post("/"));
        assert_eq!(client.message().text(), "01234567890123456789");
        let (up, down) = said.recv().expect("copies");
        assert_eq!(
            (up.whole(), down.clone().whole()),
            (Some("hello".into()), Some("01234567890123456789".into()))
        );
        assert!(down.is_complete && !down.is_cut);
        client.send(post("/cut"));
        assert_eq!(client.message().content.len(), 20);
        let (_, down) = said.recv().expect("copies");
        assert_eq!((&*down.content, down.is_cut, down.is_complete), (&b"012345678901234"[..], true, true));
        // Content that is not there has passed.
        assert_eq!(client.get("/").content.len(), 20);
        assert_eq!(said.recv().expect("copies").0.whole(), Some(Bytes::new()));
        client.send(post("/breaks"));
        client.rest();
        let (_, down) = said.recv().expect("copies");
        assert_eq!((&*down.content, down.is_cut, down.is_complete), (&b"0123456789"[..], false, false));
    });
}

#[test]
fn an_upload_whose_content_breaks_off_here_is_no_complete_request() {
    on_both(|driver| {
        let (says, said) = channel();
        let origin = Scripted::start(move |peer| {
            while peer.try_head().is_some() {
                let (content, _) = peer.rest();
                says.send(content).expect("the test listens");
            }
        });
        let handler = async |lane: &Lane, origin: &Upstream, mut request: Request| {
            let (mut sender, body) = Body::channel();
            lane.spawn(async move {
                let _ = sender.send("hello").await;
            });
            request.set_body(body);
            origin.send(request).await
        };
        let rig = gateway(driver, &origin, Timeouts::default(), handler);
        let mut client = Peer::connect(rig.address());
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.message().status(), 500);
        let content = said.recv().expect("what came of it");
        assert!(!content.ends_with(b"0\r\n\r\n"), "{content:?}");
        let record = rig.record();
        assert_eq!((record.end, record.attempts.len()), (End::Handler, 1), "it is not tried again");
        assert_eq!(rig.value(Metric::UpstreamIdle), 0);
    });
}

/// A task beside the handler reads from the origin for as long as the client takes it, and polls last.
struct Pumped(Lane, Upstream);

impl Handler for Pumped {
    async fn handle(&self, request: Request) -> Result<Response> {
        let mut answer = self.1.send(request).await?;
        let mut from = std::mem::take(answer.body_mut());
        let (mut sender, body) = Body::channel();
        self.0.spawn(async move {
            while let Ok(Some(chunk)) = from.chunk().await {
                if sender.send(chunk.into_shared()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(StatusCode::OK).with_body(body))
    }
}

#[test]
fn a_client_that_does_not_read_is_let_go_whoever_else_waits_for_its_exchange() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            let Some(_) = peer.try_head() else { return };
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            while peer.try_send([b'x'; 10_000]) {}
        });
        let mut timeouts = Timeouts::default();
        timeouts.between_bytes = Duration::from_millis(500);
        let cluster = origin.cluster();
        let builder = Engine::builder().lanes(1).driver(driver).timeouts(timeouts);
        let rig = Rig::start(
            builder
                .serve("127.0.0.1:0", move |lane: &Lane| Ok(Pumped(lane.clone(), lane.upstream(&cluster)))),
        );
        let mut client = Peer::connect(rig.address());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.head();
        let record = rig.record();
        assert_eq!(record.end, End::ClientTimeout, "{record:?}");
    });
}
