//! Requests that no client sent, peers that nobody knew, work that is done elsewhere, and handlers without a socket.

use crate::support::{
    clock::{timed, until},
    peer::{Peer as Person, Scripted, nobody, ok},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Address, Client, Driver, End, Error, ErrorKind, Handler, Lane, Method, Metric, Output, Peer, Request,
    Response, Result, Side, StatusCode, Tunnel, Upstream, test,
};
use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

// ---- peers decided per request ----

#[test]
fn a_peer_is_decided_for_each_request_and_its_connection_is_found_again() {
    on_both(|driver| {
        let origins: Vec<_> = (0..3).map(|_| Scripted::echo()).collect();
        let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
        let rig = Rig::serve(driver, move |lane| {
            let (lane, addresses) = (lane.clone(), addresses.clone());
            Ok(Fun(async move |request: Request| {
                let number: usize = request.path()[1..].parse().map_err(Error::internal)?;
                let response = lane.connect_to(Peer::http(addresses[number])).send(request).await?;
                let info = response.upstream().expect("it was asked");
                assert_eq!(info.address, Address::Ip(addresses[number]));
                Ok(response)
            }))
        });
        let mut client = Person::connect(rig.address());
        for round in 0..3 {
            for number in 0..3 {
                assert_eq!(client.get(&format!("/{number}")).text(), format!("GET /{number} HTTP/1.1"));
                assert_eq!(rig.record().attempts[0].reused, round > 0);
            }
        }
        assert!(origins.iter().all(|origin| origin.connections() == 1));
        assert!(rig.snapshot().clusters.is_empty(), "metrics are not flooded with peers");
    });
}

#[test]
fn a_peer_that_cannot_be_reached_is_a_502_and_others_do_not_care() {
    on_both(|driver| {
        let origin = Scripted::echo();
        let (bad, good) = (nobody(), origin.address);
        let rig = Rig::serve(driver, move |lane| {
            let lane = lane.clone();
            Ok(Fun(async move |request: Request| {
                let address = if request.path() == "/bad" { bad } else { good };
                lane.connect_to(Peer::http(address)).send(request).await
            }))
        });
        let mut client = Person::connect(rig.address());
        assert_eq!((client.get("/bad").status(), rig.record().end), (502, End::UpstreamConnect));
        assert_eq!((client.get("/good").status(), rig.record().end), (200, End::Done));
    });
}

// ---- a client ----

/// Answers `GET /to` with a redirect to `/there`, and everything else with what was sent.
fn origin() -> Scripted {
    Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            let host = request.field("host").expect("a host").to_owned();
            let line = request.head.lines().next().expect("a line");
            peer.send(ok(&format!("{line}, {host}: {}", request.text())));
        }
    })
}

#[test]
fn a_stand_alone_client_gets_and_puts() {
    let origin = origin();
    let port = origin.address.port();
    let answers = Client::run(async |client: Client| {
        let mut answers = Vec::new();
        for url in ["http://127.0.0.1:PORT", "http://127.0.0.1:PORT/a?b", "http://localhost:PORT?c"] {
            let mut response = client.get(&url.replace("PORT", &port.to_string())).await?;
            answers.push(response.body_mut().collect(1000).await?);
        }
        let put = Request::new(Method::PUT, format!("http://127.0.0.1:{port}/x")).with_body("hello");
        let mut response = client.send(put).await?;
        assert!(response.upstream().is_some_and(|info| info.reused));
        answers.push(response.body_mut().collect(1000).await?);
        Ok::<_, Error>(answers)
    });
    let answers = answers.expect("a lane").expect("answers");
    let text: Vec<_> = answers.iter().map(|answer| String::from_utf8_lossy(answer)).collect();
    assert_eq!(text[0], format!("GET / HTTP/1.1, 127.0.0.1:{port}: "));
    assert_eq!(text[1], format!("GET /a?b HTTP/1.1, 127.0.0.1:{port}: "));
    assert_eq!(text[2], format!("GET /?c HTTP/1.1, localhost:{port}: "));
    assert_eq!(text[3], format!("PUT /x HTTP/1.1, 127.0.0.1:{port}: hello"));
}

#[test]
fn a_client_says_what_it_cannot_do() {
    let errors = Client::run(async |client: Client| {
        let mut errors = Vec::new();
        for url in [
            format!("http://{}/", nobody()),
            "http://no.such.host.invalid/".to_owned(),
            "https://example.com/".to_owned(),
            "ftp://example.com/".to_owned(),
            "http://user@example.com/".to_owned(),
            "/path".to_owned(),
            "http://127.0.0.1:1/a b".to_owned(),
        ] {
            errors.push(client.get(&url).await.expect_err(&url));
        }
        errors
    })
    .expect("a lane");
    let kinds: Vec<_> = errors.iter().map(|error| (error.side(), error.status().as_u16())).collect();
    assert_eq!(kinds[0], (Side::Upstream, 502), "{errors:?}");
    assert_eq!((kinds[1], errors[1].kind()), ((Side::Upstream, 503), ErrorKind::NoEndpoint), "{errors:?}");
    assert!(errors[1].to_string().ends_with("no.such.host.invalid cannot be found"), "{errors:?}");
    assert!(kinds[2..].iter().all(|kind| kind.0 == Side::Internal || kind.1 == 502), "{errors:?}");
    assert_eq!(errors[2].to_string(), "https is not spoken yet");
}

#[test]
fn a_handler_asks_somebody_else_before_it_answers() {
    on_both(|driver| {
        let (judge, origin) = (
            Scripted::start(|peer| {
                while let Some(request) = peer.try_message() {
                    let status = if request.field("authorization") == Some("yes") { 204 } else { 403 };
                    peer.send(format!("HTTP/1.1 {status} X\r\nX-User: alice\r\nContent-Length: 0\r\n\r\n"));
                }
            }),
            Scripted::echo(),
        );
        let (url, cluster) = (format!("http://{}/check", judge.address), origin.cluster());
        let rig = Rig::serve(driver, move |lane| {
            let (client, origin, url) = (lane.client(), lane.upstream(&cluster), url.clone());
            Ok(Fun(async move |request: Request| {
                let mut check = Request::new(Method::GET, url.as_str());
                if let Some(word) = request.fields().get("authorization") {
                    check.fields_mut().set("authorization", word);
                }
                let verdict = client.send(check).await?;
                if verdict.status() != StatusCode::NO_CONTENT {
                    return Ok(Response::new(verdict.status()));
                }
                request.note(
                    "user",
                    String::from_utf8_lossy(verdict.fields().get("x-user").unwrap_or_default()),
                );
                drop(verdict);
                origin.send(request).await
            }))
        });
        let mut client = Person::connect(rig.address());
        for round in 0..3 {
            assert_eq!(client.get("/").status(), 403);
            assert_eq!(rig.record().attempts.len(), 0, "that was no attempt to answer");
            client.send("GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: yes\r\n\r\n");
            assert_eq!(client.message().text(), "GET /x HTTP/1.1");
            let record = rig.record();
            assert_eq!((record.attempts.len(), record.notes[0].1.as_str()), (1, "alice"), "round {round}");
        }
        assert_eq!((judge.connections(), origin.connections()), (1, 1));
        assert_eq!(rig.value(Metric::Requests), 6);
    });
}

// ---- work that is done elsewhere ----

#[test]
fn offloaded_work_does_not_hold_up_the_lane() {
    on_both(|driver| {
        let gate = Arc::<AtomicBool>::default();
        let opened = Arc::clone(&gate);
        let rig = Rig::serve(driver, move |lane| {
            let (lane, gate) = (lane.clone(), Arc::clone(&gate));
            Ok(Fun(async move |request: Request| {
                let gate = Arc::clone(&gate);
                match request.path() {
                    "/blocks" => {
                        let word = lane
                            .offload(move || {
                                until("the test says so", || gate.load(Ordering::SeqCst));
                                "unblocked"
                            })
                            .await?;
                        Ok(Response::text(StatusCode::OK, word))
                    }
                    "/panics" => {
                        lane.offload(|| assert!(std::hint::black_box(false), "elsewhere")).await?;
                        Ok(Response::new(StatusCode::OK))
                    }
                    _ => Ok(Response::text(StatusCode::OK, "at once")),
                }
            }))
        });
        let mut blocked = Person::connect(rig.address());
        blocked.send("GET /blocks HTTP/1.1\r\nHost: a\r\n\r\n");
        until("it is handled", || rig.value(Metric::RequestsOpen) == 1);
        let mut client = Person::connect(rig.address());
        let ((), took) = timed(|| assert_eq!(client.get("/").text(), "at once"));
        assert!(took < Duration::from_secs(2), "{took:?}");
        rig.record();
        assert_eq!(client.get("/panics").status(), 500);
        let record = rig.record();
        assert_eq!((record.end, record.error.contains("elsewhere")), (End::Panicked, true), "{record:?}");
        opened.store(true, Ordering::SeqCst);
        assert_eq!(blocked.message().text(), "unblocked");
        // Whoever leaves does not wait, and the thread is there for others.
        let mut leaving = Person::connect(rig.address());
        leaving.send("GET /blocks HTTP/1.1\r\nHost: a\r\n\r\n");
        leaving.reset();
        assert_eq!(client.get("/blocks").text(), "unblocked");
    });
}

#[test]
fn work_beyond_what_may_wait_is_refused() {
    const PIECES: usize = 300;
    let gate = Arc::<AtomicBool>::default();
    let done = Arc::<AtomicUsize>::default();
    let (refused, fine) = Lane::run(async |lane: Lane| {
        let counts = Rc::<RefCell<(usize, usize)>>::default();
        for _ in 0..PIECES {
            let (gate, done, counts, task) =
                (Arc::clone(&gate), Arc::clone(&done), counts.clone(), lane.clone());
            lane.spawn(async move {
                let work = task.offload(move || {
                    until("the test says so", || gate.load(Ordering::SeqCst));
                    done.fetch_add(1, Ordering::SeqCst);
                });
                match work.await {
                    Ok(()) => counts.borrow_mut().1 += 1,
                    Err(error) => {
                        assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::Exhausted, 503));
                        counts.borrow_mut().0 += 1;
                    }
                }
            });
        }
        while counts.borrow().0 == 0 {
            lane.sleep(Duration::from_millis(1)).await;
        }
        gate.store(true, Ordering::SeqCst);
        while counts.borrow().0 + counts.borrow().1 < PIECES {
            lane.sleep(Duration::from_millis(1)).await;
        }
        counts.take()
    })
    .expect("a lane");
    // 256 wait, and a few are being done.
    assert!((20..=PIECES - 256).contains(&refused), "{refused} refused");
    assert_eq!((fine, done.load(Ordering::SeqCst)), (PIECES - refused, PIECES - refused));
}

// ---- handlers without a socket ----

struct Gateway(Upstream);

impl Handler for Gateway {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        request.note("seen", request.path());
        match request.path() {
            "/refused" => Err(Error::status_of(StatusCode::FORBIDDEN)),
            "/page" => Ok(Error::status_of(StatusCode::FORBIDDEN).into()),
            "/switch" => request.upgrade(async |_: Tunnel| Ok(())),
            "/breaks" => {
                let (sender, body) = corelane_engine::Body::channel();
                drop(sender);
                Ok(Response::new(StatusCode::OK).with_body(body))
            }
            "/loud" => {
                let mut response = Response::text(StatusCode::OK, "hello");
                response.fields_mut().set("etag", "\"a\"");
                response.body_mut().transform(|mut chunk: corelane_engine::Chunk, out: &mut Output| {
                    chunk.make_ascii_uppercase();
                    out.push(chunk);
                    Ok(())
                });
                Ok(response)
            }
            "/content" => {
                let content = request.body_mut().collect(3).await?;
                Ok(Response::new(StatusCode::OK).with_body(content))
            }
            _ => self.0.send(request).await,
        }
    }
}

#[test]
fn a_handler_is_tested_without_a_socket() {
    let origin = Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            peer.send(ok(&request.head));
        }
    });
    let cluster = origin.cluster();
    test::run(async |lane: Lane| {
        let gateway = Gateway(lane.upstream(&cluster));
        let get = |path: &str| test::call(&gateway, Request::new(Method::GET, path));
        let refused = get("/refused").await;
        assert_eq!((refused.status, refused.text().as_str()), (StatusCode::FORBIDDEN, "403 Forbidden\n"));
        assert_eq!(refused.error.map(|error| error.kind()), Some(ErrorKind::Status(StatusCode::FORBIDDEN)));
        assert!(get("/page").await.error.is_some(), "the page keeps its error");
        assert_eq!(get("/switch").await.status, StatusCode::BAD_REQUEST);
        let broken = get("/breaks").await;
        assert_eq!(
            (broken.status, broken.error.map(|error| error.kind())),
            (StatusCode::OK, Some(ErrorKind::Closed))
        );
        let loud = get("/loud").await;
        assert_eq!((loud.text().as_str(), loud.fields.get("etag")), ("HELLO", Some(&b"W/\"a\""[..])));
        let long = Request::new(Method::POST, "/content").with_body("four");
        assert_eq!(
            test::call(&gateway, long).await.error.map(|error| error.kind()),
            Some(ErrorKind::TooLarge)
        );

        let ended = Rc::<RefCell<Option<(u16, End, String)>>>::default();
        let request = Request::new(Method::GET, "http://example.com/forwarded");
        let forwarded = test::call(&OnEnd(&gateway, ended.clone()).owned(), request).await;
        let head = forwarded.text();
        assert!(
            head.contains("X-Forwarded-For: 127.0.0.1\r\n") && head.contains("host: example.com\r\n"),
            "{head}"
        );
        assert!(head.contains("X-Request-Id: ") && head.contains("Via: 1.1 "), "{head}");
        assert_eq!(*ended.borrow(), Some((200, End::Done, "/forwarded".to_owned())));
    });
}

/// Has a hook called when the request is over.
struct OnEnd<H>(H, Rc<RefCell<Option<(u16, End, String)>>>);

impl OnEnd<&Gateway> {
    fn owned(self) -> OnEnd<Gateway> {
        OnEnd(Gateway(self.0.0.clone()), self.1)
    }
}

impl Handler for OnEnd<Gateway> {
    async fn handle(&self, request: Request) -> Result<Response> {
        assert_eq!((request.client_ip(), request.id().len()), (Some([127, 0, 0, 1].into()), 32));
        let seen = self.1.clone();
        request.on_end(move |record| {
            let target = String::from_utf8_lossy(&record.target).into_owned();
            *seen.borrow_mut() = Some((record.status, record.end, target));
        });
        self.0.handle(request).await
    }
}

#[test]
fn a_test_that_fails_leaves_the_thread_in_order() {
    let failed = std::panic::catch_unwind(|| test::run(async |_: Lane| panic!("the test fails")));
    assert!(failed.is_err());
    let driver = test::run(async |lane: Lane| format!("{lane:?}"));
    assert!(driver.contains("Uring") || driver.contains("Epoll"), "{driver} {:?}", Driver::Auto);
}
