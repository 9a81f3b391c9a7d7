//! What a handler may do, and what becomes of its client, of its record, and of everybody else.

mod support;

use corelane_engine::{
    Body, Driver, End, Engine, Error, Event, Fields, Lane, Metric, Request, Response, Result, StatusCode,
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};
use support::{
    clock::{now, timed},
    peer::{Over, Peer, ok},
    rig::{Fun, Rig, on_both},
};

/// Waits on the lane until the test says so.
async fn wait_for(lane: &Lane, gate: &AtomicBool) {
    while !gate.load(Ordering::SeqCst) {
        lane.sleep(Duration::from_millis(1)).await;
    }
}

/// Polls a future once, and drops it.
async fn once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Polls a future until it is ready or so much time has passed, and drops it.
async fn within<T>(lane: &Lane, time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut late) = (pin!(future), pin!(lane.sleep(time)));
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        late.as_mut().poll(cx).map(|()| None)
    })
    .await
}

fn text(words: impl Into<String>) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, words))
}

#[test]
fn a_panic_costs_its_own_client_a_500_and_nobody_else_anything() {
    on_both(|driver| {
        let gate = Arc::new(AtomicBool::new(false));
        let opened = Arc::clone(&gate);
        let rig = Rig::serve(driver, move |lane| {
            let (lane, gate) = (lane.clone(), Arc::clone(&gate));
            Ok(Fun(async move |request: Request| {
                match request.path() {
                    "/at-once" => panic!("at {}", "once"),
                    "/later" => {
                        lane.sleep(Duration::from_millis(5)).await;
                        std::panic::panic_any("later");
                    }
                    "/odd" => std::panic::panic_any(7),
                    "/waits" => wait_for(&lane, &gate).await,
                    _ => {}
                }
                text("fine\n")
            }))
        });
        let (mut idle, mut busy) = (Peer::connect(rig.address()), Peer::connect(rig.address()));
        assert_eq!(idle.get("/").status(), 200);
        rig.record();
        busy.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
        for (number, (path, words)) in
            [("/at-once", "at once"), ("/later", "later"), ("/odd", "no message")].into_iter().enumerate()
        {
            let mut client = Peer::connect(rig.address());
            let id = format!("panicking-{number}");
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n\r\n"));
            let answer = client.message();
            assert_eq!((answer.status(), answer.text().as_str()), (500, "500 Internal Server Error\n"));
            client.ends_after(&answer);
            let said = rig.event(|event| match event {
                Event::HandlerPanicked { lane, message, request_id } => {
                    Some((*lane, message.clone(), request_id.clone()))
                }
                _ => None,
            });
            assert_eq!(said, (0, words.to_owned(), id.clone()));
            assert_eq!(rig.value(Metric::Panics), number as u64 + 1);
            let record = rig.record();
            assert_eq!((record.end, record.status, record.request_id), (End::Panicked, 500, id));
            assert!(record.error.contains("panicked"), "{}", record.error);
            // Whoever was there before still is, on the same connection.
            assert_eq!(idle.get("/").status(), 200);
            assert_eq!(rig.record().end, End::Done);
        }
        opened.store(true, Ordering::SeqCst);
        assert_eq!(busy.message().status(), 200);
        assert_eq!(busy.get("/").status(), 200);
        assert_eq!(rig.value(Metric::EnginePanics), 0);
        assert_eq!(rig.value(Metric::RequestsOpen), 0);
    });
}

#[test]
fn a_panic_before_the_content_was_read_closes_and_one_in_content_too() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |mut request: Request| {
                if request.path() == "/read" {
                    request.body_mut().chunk().await?;
                }
                panic!("with content under way");
            }))
        });
        for path in ["/unread", "/read"] {
            let mut client = Peer::connect(rig.address());
            client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhel"));
            let answer = client.message();
            assert_eq!(answer.status(), 500, "{path}");
            client.ends_after(&answer);
            assert_eq!(rig.record().end, End::Panicked);
        }
    });
}

#[test]
fn errors_become_answers_and_stand_in_the_record() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| match request.path() {
                "/teapot" => Err(Error::status_of(StatusCode::IM_A_TEAPOT)),
                "/busy" => Err(Error::status_of(StatusCode::SERVICE_UNAVAILABLE)),
                "/own" => Err(Error::internal("the cupboard is bare")),
                "/io" => Err(std::io::Error::other("the disk is full").into()),
                _ => text("fine\n"),
            }))
        });
        let mut client = Peer::connect(rig.address());
        for (path, status, words) in [
            ("/teapot", 418, "418"),
            ("/busy", 503, "503"),
            ("/own", 500, "the cupboard is bare"),
            ("/io", 500, "the disk is full"),
        ] {
            let answer = client.get(path);
            assert_eq!(answer.status(), status, "{path}");
            assert!(answer.text().starts_with(&status.to_string()), "{answer:?}");
            assert!(!answer.text().contains("bare") && !answer.text().contains("disk"), "{answer:?}");
            assert_eq!(answer.field("retry-after").is_some(), status == 503, "{answer:?}");
            let record = rig.record();
            assert_eq!((record.end, record.status), (End::Handler, status));
            assert!(record.error.contains(words), "{}", record.error);
        }
        // The same connection all the time: the requests had been read to their end.
        assert_eq!(client.get("/").status(), 200);
        let record = rig.record();
        assert_eq!((record.end, record.error.as_str()), (End::Done, ""));
        assert_eq!(rig.value(Metric::Connections), 1);
        assert_eq!(rig.value(Metric::Responses5xx), 3);
    });
}

#[test]
fn notes_reach_the_record_within_their_limits() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| {
                match request.path() {
                    "/many" => (0..20).for_each(|number| request.note(format!("key-{number}"), "value")),
                    "/long" => {
                        request.note("ascii", "a".repeat(1000));
                        // 255 bytes and then one of two: cut in front of it.
                        request.note("umlauts", format!("{}{}", "a".repeat(255), "ä".repeat(10)));
                    }
                    "/twice" => {
                        request.note("key", "first");
                        request.note("key", "second");
                    }
                    "/panic" => {
                        request.note("before", "the panic");
                        panic!("noted");
                    }
                    _ => {
                        request.note("before", "the error");
                        return Err(Error::status_of(StatusCode::FORBIDDEN));
                    }
                }
                text("noted\n")
            }))
        });
        let notes = |path: &str| {
            Peer::connect(rig.address()).get(path);
            rig.record().notes
        };
        let many = notes("/many");
        assert_eq!(many.len(), 16);
        assert_eq!(many[15], ("key-15".to_owned(), "value".to_owned()));
        let long = notes("/long");
        assert_eq!(long[0].1, "a".repeat(256));
        assert_eq!(long[1].1, "a".repeat(255));
        assert_eq!(notes("/twice"), [("key".to_owned(), "second".to_owned())]);
        assert_eq!(notes("/panic"), [("before".to_owned(), "the panic".to_owned())]);
        assert_eq!(notes("/error"), [("before".to_owned(), "the error".to_owned())]);
        // A record is used again: nothing of one stands in the next.
        assert_eq!(notes("/twice").len(), 1);
    });
}

/// Content in which every byte says where it stands.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn chunks_that_are_raced_and_dropped_lose_no_byte() {
    const LEN: usize = 200_000;
    on_both(|driver| {
        let rig = Rig::serve(driver, |lane| {
            let lane = lane.clone();
            Ok(Fun(async move |mut request: Request| {
                let (mut all, mut dropped, mut turn) = (Vec::new(), 0, 0);
                loop {
                    turn += 1;
                    let chunk = match turn % 3 {
                        0 => once(request.body_mut().chunk()).await,
                        1 => within(&lane, Duration::from_millis(1), request.body_mut().chunk()).await,
                        _ => {
                            lane.yield_now().await;
                            once(request.body_mut().chunk()).await
                        }
                    };
                    match chunk {
                        None => dropped += 1,
                        Some(chunk) => match chunk? {
                            Some(chunk) => all.extend_from_slice(&chunk),
                            None => break,
                        },
                    }
                    if turn % 3 == 0 {
                        lane.sleep(Duration::ZERO).await;
                    }
                }
                // The end stays the end.
                assert!(request.body_mut().chunk().await?.is_none());
                let right = all == pattern(LEN);
                text(format!("{} {right} {}", all.len(), dropped > 0))
            }))
        });
        let content = pattern(LEN);
        for chunked in [false, true] {
            let mut client = Peer::connect(rig.address());
            client.send("POST / HTTP/1.1\r\nHost: a\r\n");
            client.send(match chunked {
                true => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
                false => format!("Content-Length: {LEN}\r\n\r\n"),
            });
            // Pieces of many sizes, with pauses in which the handler finds nothing.
            let (mut at, mut size) = (0, 1);
            while at < LEN {
                let piece = &content[at..LEN.min(at + size)];
                if chunked {
                    client.send(format!("{:x}\r\n", piece.len()));
                }
                client.send(piece);
                if chunked {
                    client.send("\r\n");
                }
                (at, size) = (at + piece.len(), size * 3 % 30_011 + 1);
                std::thread::park_timeout(Duration::from_millis(2));
            }
            if chunked {
                client.send("0\r\n\r\n");
            }
            assert_eq!(client.message().text(), format!("{LEN} true true"), "chunked: {chunked}");
            assert_eq!(rig.record().request_bytes, LEN as u64);
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            assert!(client.message().text().starts_with("0 "), "the connection is in order");
            rig.record();
        }
    });
}

#[test]
fn collect_over_its_limit_is_a_413() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |mut request: Request| {
                let content = request.body_mut().collect(10).await?;
                text(format!("{}", content.len()))
            }))
        });
        let post = |head: &str, content: &str| {
            let mut client = Peer::connect(rig.address());
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{content}"));
            let answer = client.message();
            (answer.status(), answer.text())
        };
        assert_eq!(post("Content-Length: 10", "0123456789"), (200, "10".to_owned()));
        assert_eq!(rig.record().end, End::Done);
        assert_eq!(post("Content-Length: 11", "0123456789a").0, 413);
        assert_eq!(rig.record().status, 413);
        assert_eq!(post("Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n"), (200, "10".to_owned()));
        assert_eq!(post("Transfer-Encoding: chunked", "b\r\n0123456789a\r\n0\r\n\r\n").0, 413);
    });
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked_by_a_handler_that_reads() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |mut request: Request| match request.path() {
                "/reads" => text(format!("{}", request.body_mut().collect(100).await?.len())),
                "/fails" => Err(Error::status_of(StatusCode::FORBIDDEN)),
                _ => text("not read\n"),
            }))
        });
        let head =
            |path| format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        let mut client = Peer::connect(rig.address());
        for _ in 0..2 {
            client.send(head("/reads"));
            assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
            client.send("hello");
            let answer = client.message();
            assert_eq!((answer.status(), answer.text().as_str()), (200, "5"));
        }
        // One that doesn't wait for it needs none, whether it comes with the head or a moment later.
        client.send(head("/reads") + "hello");
        let mut answer = client.message();
        if answer.status() == 100 {
            answer = client.message();
        }
        assert_eq!((answer.status(), answer.text().as_str()), (200, "5"));
        // HTTP/1.0 knows no interim responses (RFC 9110 §15.2).
        let mut old = Peer::connect(rig.address());
        old.send("POST /reads HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
        assert_eq!(old.message().text(), "5");
        // Nobody knows whether the content of these will come.
        for (path, status) in [("/ignores", 200), ("/fails", 403)] {
            let mut client = Peer::connect(rig.address());
            client.send(head(path));
            let answer = client.message();
            assert_eq!(answer.status(), status);
            client.ends_after(&answer);
        }
    });
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked_when_its_content_is_the_answer() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |mut request: Request| {
                let content = std::mem::take(request.body_mut());
                Ok(Response::new(StatusCode::OK).with_body(content))
            }))
        });
        let mut client = Peer::connect(rig.address());
        for framing in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
            assert_eq!(client.message().text(), "hello");
        }
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("hello");
        assert_eq!(client.message().text(), "hello");
    });
}

#[test]
fn content_over_the_engines_limit_is_a_413() {
    on_both(|driver| {
        let builder = Engine::builder().driver(driver).content_bytes_max(Some(10));
        let rig = Rig::start(builder.serve("127.0.0.1:0", |_| {
            Ok(Fun(async |mut request: Request| {
                if request.path() == "/collect" {
                    let content = request.body_mut().collect(1000).await?;
                    return text(format!("{}", content.len()));
                }
                text("called\n")
            }))
        }));
        let post = |path: &str, head: &str, content: &str| {
            let mut client = Peer::connect(rig.address());
            client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{content}"));
            let answer = client.message();
            if answer.status() == 413 {
                client.ends_after(&answer);
            }
            (answer.status(), answer.text())
        };
        assert_eq!(post("/collect", "Content-Length: 10", "0123456789"), (200, "10".to_owned()));
        // It is known beforehand, so the handler is never called and the content need not come.
        assert_eq!(post("/", "Content-Length: 11", "").0, 413);
        assert_eq!(
            post("/collect", "Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n"),
            (200, "10".to_owned())
        );
        let chunked = "5\r\n01234\r\n5\r\n56789\r\n1\r\na\r\n0\r\n\r\n";
        assert_eq!(post("/collect", "Transfer-Encoding: chunked", chunked).0, 413);
        let records: Vec<_> = (0..4).map(|_| rig.record().status).collect();
        assert_eq!(records, [200, 413, 200, 413]);
    });
}

#[test]
fn methods_that_nobody_asked_for_are_refused() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| Ok(Fun(async |_| text("called\n"))));
        for line in ["CONNECT a:443 HTTP/1.1", "TRACE / HTTP/1.1"] {
            let mut client = Peer::connect(rig.address());
            client.send(format!("{line}\r\nHost: a:443\r\n\r\n"));
            let answer = client.message();
            assert_eq!(answer.status(), 405, "{line}");
            let allow = answer.field("allow").expect("it says what there is");
            assert!(allow.contains("GET") && !allow.contains("TRACE") && !allow.contains("CONNECT"), "{allow}");
            assert!(answer.field("date").is_some(), "{answer:?}");
            client.ends_after(&answer);
            let record = rig.record();
            assert_eq!((record.end, record.status), (End::Done, 405));
        }
    });
}

#[test]
fn the_last_to_be_asked_for_options_is_us() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| Ok(Fun(async |_| text("called\n"))));
        let mut client = Peer::connect(rig.address());
        let mut options = |target: &str, forwards: &str| {
            client.send(format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\nMax-Forwards: {forwards}\r\n\r\n"));
            client.message()
        };
        for target in ["/", "*"] {
            let answer = options(target, "0");
            assert_eq!((answer.status(), answer.content.len()), (204, 0), "{answer:?}");
            assert!(answer.field("allow").is_some() && answer.field("date").is_some(), "{answer:?}");
            assert_eq!(answer.field("content-length"), None, "RFC 9110 §8.6");
        }
        assert_eq!(options("/", "1").text(), "called\n");
        assert_eq!(rig.value(Metric::Connections), 1);
    });
}

#[test]
fn local_answers_have_a_date_and_heads_no_content() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| {
                let mut response = Response::text(StatusCode::OK, "content\n");
                match request.path() {
                    "/own-date" => response.fields_mut().set("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                    "/empty" => response.set_body(Body::empty()),
                    "/large" => response.set_body(vec![b'x'; 300_000]),
                    "/no-content" => response.set_status(StatusCode::NO_CONTENT),
                    "/not-modified" => response.set_status(StatusCode::NOT_MODIFIED),
                    _ => {}
                }
                Ok(response)
            }))
        });
        let mut client = Peer::connect(rig.address());
        let date = |head: &Option<String>| head.as_deref().is_some_and(|date| date.ends_with(" GMT"));
        let answer = client.get("/");
        assert!(date(&answer.field("date").map(str::to_owned)), "{answer:?}");
        assert_eq!(answer.head.to_ascii_lowercase().matches("\r\ndate:").count(), 1);
        assert_eq!(client.get("/own-date").field("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(client.get("/empty").field("content-length"), Some("0"));
        assert_eq!(client.get("/large").content, [b'x'; 300_000]);
        for (path, length) in [("/", "8"), ("/large", "300000"), ("/empty", "0")] {
            client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let head = client.head();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            let said = head.to_ascii_lowercase().contains(&format!("content-length: {length}\r\n"));
            assert!(said || path == "/empty", "{head}");
            // Nothing follows: the next answer begins right behind it.
            assert_eq!(client.get("/").text(), "content\n");
        }
        for (path, status) in [("/no-content", 204), ("/not-modified", 304)] {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let head = client.head();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert_eq!(client.get("/").text(), "content\n");
        }
        assert_eq!(rig.value(Metric::Connections), 1);
    });
}

#[test]
fn content_that_a_handler_leaves_alone_is_read_past_or_ends_the_connection() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| Ok(Fun(async |_| text("not read\n"))));
        let mut client = Peer::connect(rig.address());
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(format!("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", smuggled.len()));
        client.send(smuggled);
        assert_eq!(client.message().status(), 200);
        assert_eq!(client.get("/second").status(), 200);
        assert_eq!([rig.record().target, rig.record().target], ["/first", "/second"]);
        // More than is worth reading: the answer comes all the same, and then the end.
        let mut client = Peer::connect(rig.address());
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
        assert_eq!(client.message().status(), 200);
        let piece = vec![b'x'; 100_000];
        let sent = (0..100).take_while(|_| client.try_send(&piece)).count();
        assert!(sent < 100, "it was read to its end");
    });
}

#[test]
fn a_handler_is_dropped_when_its_client_resets() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    on_both(|driver| {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        let rig = Rig::serve(driver, move |_| {
            let flag = Arc::clone(&flag);
            Ok(Fun(async move |_| {
                let _dropped = Dropped(Arc::clone(&flag));
                std::future::pending().await
            }))
        });
        let mut client = Peer::connect(rig.address());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        support::clock::until("it is handled", || rig.value(Metric::RequestsOpen) == 1);
        assert!(!seen.load(Ordering::SeqCst));
        let left = now();
        client.reset();
        let record = rig.record();
        assert!(now().duration_since(left) < Duration::from_secs(1));
        assert_eq!((record.end, record.status), (End::ClientClosed, 0));
        support::clock::until("it is dropped", || seen.load(Ordering::SeqCst));
        assert_eq!(rig.value(Metric::RequestsOpen), 0);
    });
}

#[test]
fn a_busy_handler_yields_to_the_others() {
    on_both(|driver: Driver| {
        let gate = Arc::new(AtomicBool::new(false));
        let opened = Arc::clone(&gate);
        let rig = Rig::serve(driver, move |lane| {
            let (lane, gate) = (lane.clone(), Arc::clone(&gate));
            Ok(Fun(async move |request: Request| {
                while request.path() == "/busy" && !gate.load(Ordering::SeqCst) {
                    lane.yield_now().await;
                }
                text("done\n")
            }))
        });
        let mut busy = Peer::connect(rig.address());
        busy.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut others = Peer::connect(rig.address());
        let (_, took) = timed(|| (0..20).for_each(|_| assert_eq!(others.get("/").status(), 200)));
        assert!(took < Duration::from_secs(2), "{took:?}");
        opened.store(true, Ordering::SeqCst);
        assert_eq!(busy.message().status(), 200);
    });
}

#[test]
fn an_answer_that_cannot_be_sent_breaks_nothing_else() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| {
                let status = match request.path() {
                    "/interim" => StatusCode::EARLY_HINTS,
                    "/switch" => StatusCode::SWITCHING_PROTOCOLS,
                    "/unheard-of" => StatusCode::from_u16(799).expect("three digits"),
                    _ => StatusCode::OK,
                };
                let mut fields = Fields::new();
                assert!(fields.try_append("x-broken", "a\r\nx-smuggled: b").is_err());
                Ok(Response::text(status, "text\n"))
            }))
        });
        for path in ["/interim", "/switch", "/unheard-of"] {
            let mut client = Peer::connect(rig.address());
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let (rest, over) = client.rest();
            let rest = String::from_utf8_lossy(&rest).into_owned();
            assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 500 "), "{path}: {rest}");
            assert!(over == Over::Closed || rest.is_empty(), "{path}");
            assert_eq!(rig.record().end, End::Handler, "{path}");
        }
        assert_eq!(rig.value(Metric::EnginePanics), 0);
        assert_eq!(Peer::connect(rig.address()).get("/").text(), "text\n");
        let _ = ok("");
    });
}
