//! The open form of a send: attempts one by one, with fields of their own, over several clusters.

use crate::support::{
    Balancer,
    clock::timed,
    peer::{Peer, Scripted, nobody, ok},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Attempt, AttemptOutcome, Body, Cluster, Driver, End, Engine, ErrorKind, Lane, Method, Metric, Request,
    Response, Result, RetryPolicy, Settings, Side, Stage, StatusCode, Upstream,
};
use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    time::Duration,
};

/// Answers everything with this status and, as content, what it was asked with in `X-Try` and sent.
fn answering(status: u16) -> Scripted {
    Scripted::start(move |peer| {
        while let Some(request) = peer.try_message() {
            let text = format!("{} {}", request.field("x-try").unwrap_or("-"), request.text());
            peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
        }
    })
}

fn cluster(addresses: &[SocketAddr]) -> Cluster {
    Cluster::round_robin(addresses.iter().map(SocketAddr::to_string)).resolve().expect("addresses")
}

/// A handler that has one upstream for each cluster.
fn gateway<F>(driver: Driver, clusters: &[Cluster], retry: RetryPolicy, handler: F) -> Rig
where
    F: AsyncFn(&[Upstream], Request) -> Result<Response> + Clone + Send + Sync + 'static,
{
    let clusters = clusters.to_vec();
    let builder = Engine::builder().driver(driver).retry(retry);
    Rig::start(builder.serve("127.0.0.1:0", move |lane: &Lane| {
        let upstreams: Vec<_> = clusters.iter().map(|cluster| lane.upstream(cluster)).collect();
        let handler = handler.clone();
        Ok(Fun(async move |request| handler(&upstreams, request).await))
    }))
}

fn on_status() -> RetryPolicy {
    RetryPolicy { attempts_max: 4, on_fresh_connection: true, on_status_or_timeout: true }
}

/// The loop of the documentation.
async fn open_form(origin: &Upstream, request: &mut Request) -> Result<Response> {
    let mut attempts = origin.attempts(request);
    loop {
        let mut attempt = attempts.next().await?;
        let number = attempt.number().to_string();
        attempt.fields_mut().set("x-try", number);
        match attempt.send().await {
            Ok(response) if !attempts.worth_retrying(&response) => return Ok(response),
            Ok(_) | Err(_) if attempts.may_retry() => {}
            outcome => return outcome,
        }
    }
}

#[test]
fn the_open_form_is_what_send_does() {
    on_both(|driver| {
        let (bad, good) = (answering(503), answering(200));
        let handler = async |origins: &[Upstream], mut request: Request| match request.path() {
            "/open" => open_form(&origins[0], &mut request).await,
            _ => origins[0].send(request).await,
        };
        let both = cluster(&[bad.address, good.address, nobody()]);
        let rig = gateway(driver, &[both], on_status(), handler);
        let mut client = Peer::connect(rig.address());
        for round in 0..12 {
            let path = if round % 2 == 0 { "/open" } else { "/send" };
            client.send(format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
            let answer = client.message();
            assert_eq!(answer.status(), 200, "{answer:?}");
            let record = rig.record();
            let number = record.attempts.len();
            let said = if path == "/open" { format!("{number} hello") } else { "- hello".to_owned() };
            assert_eq!(answer.text(), said);
            let last = record.attempts.last().expect("one");
            assert_eq!((last.outcome, record.end), (AttemptOutcome::Status(200), End::Done));
            assert_eq!(record.error, "", "what was overcome is forgotten");
        }
    });
}

#[test]
fn an_answer_that_nobody_else_betters_is_given() {
    on_both(|driver| {
        let bad = answering(503);
        let handler = async |origins: &[Upstream], request| origins[0].send(request).await;
        let rig = gateway(driver, &[cluster(&[bad.address])], on_status(), handler);
        let mut client = Peer::connect(rig.address());
        let answer = client.get("/");
        assert_eq!((answer.status(), answer.text().as_str()), (503, "- "));
        let record = rig.record();
        assert_eq!((record.attempts.len(), record.end), (4, End::Done), "four attempts reached it");
        // Without the policy, and for what is not idempotent, one is enough.
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(client.message().text(), "- hi");
        assert_eq!(rig.record().attempts.len(), 1);
    });
}

#[test]
fn what_an_attempt_changes_is_gone_with_it() {
    on_both(|driver| {
        let (says, said) = channel();
        let origin = Scripted::start(move |peer| {
            while let Some(request) = peer.try_message() {
                says.send(request).expect("the test listens");
                peer.send(ok("hello"));
            }
        });
        let handler = async |origins: &[Upstream], mut request: Request| {
            request.fields_mut().set("x-all", "yes");
            let mut attempts = origins[0].attempts(&mut request);
            for _ in 0..3 {
                let mut attempt = attempts.next().await?;
                assert_eq!(attempt.fields().get("x-all"), Some(&b"yes"[..]));
                assert!(!attempt.fields().contains("x-one") && attempt.fields().contains("via"));
                if attempt.number() != 2 {
                    attempt.fields_mut().set("x-one", "yes");
                    attempt.fields_mut().remove("x-all");
                    attempt.head_mut().target = b"/other".to_vec();
                }
                let response = attempt.send().await?;
                assert_eq!(response.status(), 200);
            }
            assert!(!attempts.may_retry(), "the budget is spent");
            attempts.next().await.map(|_| Response::new(StatusCode::OK))
        };
        let retry = RetryPolicy { attempts_max: 3, ..on_status() };
        let rig = gateway(driver, &[cluster(&[origin.address])], retry, handler);
        let mut client = Peer::connect(rig.address());
        assert_eq!(client.get("/").status(), 200, "as the last one answered");
        for number in 1..=3 {
            let request = said.recv().expect("a request");
            let (line, own) = if number == 2 { ("GET / ", false) } else { ("GET /other ", true) };
            assert!(request.head.starts_with(line), "{request:?}");
            assert_eq!((request.field("x-one").is_some(), request.field("x-all").is_some()), (own, !own));
            assert_eq!(request.head.matches("\r\nVia: ").count(), 1, "{request:?}");
            assert_eq!(request.head.matches("\r\nX-Forwarded-For: 127.0.0.1\r\n").count(), 1, "{request:?}");
        }
    });
}

#[test]
fn a_loop_that_only_goes_on_ends_and_does_nothing_twice() {
    on_both(|driver| {
        let count = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&count);
        // Takes a request, and dies.
        let origin = Scripted::start(move |peer| {
            if peer.try_message().is_some() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        let handler = async |origins: &[Upstream], mut request: Request| {
            let mut attempts = origins[0].attempts(&mut request);
            if attempts.request().path() == "/asserted" {
                attempts.assume_idempotent();
            }
            loop {
                if let Ok(response) = attempts.next().await?.send().await {
                    return Ok(response);
                }
            }
        };
        let rig = gateway(driver, &[cluster(&[origin.address])], on_status(), handler);
        let mut client = Peer::connect(rig.address());
        for (method, path, times) in [("GET", "/", 4), ("POST", "/", 1), ("POST", "/asserted", 4)] {
            count.store(0, Ordering::SeqCst);
            client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
            assert_eq!(client.message().status(), 502);
            assert_eq!(count.load(Ordering::SeqCst), times, "{method} {path}");
            assert_eq!(rig.record().end, End::UpstreamClosed);
        }
    });
}

#[test]
fn an_error_has_every_reason() {
    on_both(|driver| {
        let dies = Scripted::start(|peer| drop(peer.try_message()));
        let handler = async |origins: &[Upstream], request: Request| {
            let error = origins[0].send(request).await.expect_err("nobody answers");
            let attempts: Vec<String> = error
                .attempts()
                .iter()
                .map(|attempt| format!("{}: {}", attempt.endpoint, attempt.outcome))
                .collect();
            assert_eq!(error.side(), Side::Upstream);
            assert!(matches!(error.kind(), ErrorKind::Io(_) | ErrorKind::Closed), "{error}");
            // A page, made by whoever wants to hide what happened.
            Ok(Response::text(StatusCode::OK, attempts.join("\n")))
        };
        let (one, two) = (nobody(), nobody());
        let retry = RetryPolicy { on_fresh_connection: true, ..RetryPolicy::default() };
        let rig = gateway(driver, &[cluster(&[one, two, dies.address])], retry, handler);
        let mut client = Peer::connect(rig.address());
        let mut kinds = 0;
        for _ in 0..3 {
            let answer = client.get("/").text();
            let record = rig.record();
            assert_eq!(answer.lines().count(), record.attempts.len());
            // Even so the record has it all.
            assert!(matches!(record.end, End::UpstreamClosed | End::UpstreamConnect), "{record:?}");
            for (line, attempt) in answer.lines().zip(&record.attempts) {
                let endpoint = attempt.endpoint.to_string();
                assert!(line.starts_with(&endpoint), "{line}");
                let words = if record.attempts.len() > 1 { line } else { &endpoint };
                assert!(record.error.contains(words), "{words} is not in {}", record.error);
                kinds |= if line.ends_with("connecting: connection refused") { 1 } else { 2 };
            }
        }
        assert_eq!(kinds, 3, "both kinds were seen");
    });
}

#[test]
fn a_request_can_be_sent_to_another_cluster() {
    on_both(|driver| {
        let dies = Scripted::start(|peer| drop(peer.try_message()));
        let good = answering(200);
        let handler = async |origins: &[Upstream], mut request: Request| {
            request.fields_mut().set("x-try", "first");
            match origins[0].send(&mut request).await {
                Err(error) if request.may_resend() => {
                    request.note("failed", error.to_string());
                    request.fields_mut().set("x-try", "second");
                    origins[1].send(request).await
                }
                outcome => outcome,
            }
        };
        for first in [nobody(), dies.address] {
            let clusters = [cluster(&[first]), cluster(&[good.address])];
            let rig = gateway(driver, &clusters, RetryPolicy::default(), handler);
            let mut client = Peer::connect(rig.address());
            let sent = first == dies.address;
            for (method, framing, content, wanted) in [
                ("GET", "Content-Length: 0", "", "second "),
                ("PUT", "Content-Length: 5", "hello", "second hello"),
                ("PUT", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", "second hello"),
                ("POST", "Content-Length: 5", "hello", "second hello"),
            ] {
                client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{content}"));
                let answer = client.message();
                let record = rig.record();
                if method == "POST" && sent {
                    assert_eq!(
                        (answer.status(), record.end),
                        (502, End::UpstreamClosed),
                        "it may have been done"
                    );
                    continue;
                }
                assert_eq!((answer.status(), answer.text().as_str()), (200, wanted), "{method} {framing}");
                assert_eq!((record.end, record.error.as_str(), record.attempts.len()), (End::Done, "", 2));
                assert_eq!(record.notes.len(), 1);
            }
            // More than is kept cannot be sent again, and is never sent as if a part were all.
            let content = "x".repeat(200_000);
            client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", content.len()));
            client.try_send(&content);
            let answer = client.message();
            match sent {
                true => assert_eq!(answer.status(), 502),
                false => assert_eq!(answer.text(), format!("second {content}")),
            }
        }
    });
}

#[test]
fn content_that_is_gone_is_an_error_for_whoever_wants_it_again() {
    on_both(|driver| {
        let dies = Scripted::start(|peer| {
            peer.try_head();
            peer.bytes(100_000);
        });
        let good = answering(200);
        let handler = async |origins: &[Upstream], mut request: Request| {
            let first = origins[0].send(&mut request).await.expect_err("it dies");
            assert!(!request.may_resend(), "{first}");
            let second = match request.path() {
                "/read" => request.body_mut().chunk().await.err(),
                _ => origins[1].send(&mut request).await.err(),
            };
            let second = second.expect("the content has gone");
            assert_eq!((second.side(), second.kind()), (Side::Internal, ErrorKind::NotReplayable));
            Err(first)
        };
        let clusters = [cluster(&[dies.address]), cluster(&[good.address])];
        let rig = gateway(driver, &clusters, RetryPolicy::default(), handler);
        for path in ["/read", "/send"] {
            let mut client = Peer::connect(rig.address());
            client.send(format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"));
            client.try_send("x".repeat(200_000));
            assert_eq!(client.message().status(), 502);
        }
    });
}

#[test]
fn a_send_that_was_given_up_leaves_the_request_whole() {
    on_both(|driver| {
        let silent = Scripted::start(|peer| while peer.try_message().is_some() {});
        let good = answering(200);
        let clusters = [cluster(&[silent.address]), cluster(&[good.address])];
        let all = clusters.clone();
        let rig = Rig::serve(driver, move |lane| {
            let (lane, origins) =
                (lane.clone(), all.iter().map(|cluster| lane.upstream(cluster)).collect::<Vec<_>>());
            Ok(Fun(async move |mut request: Request| {
                let late = lane.timeout(Duration::from_millis(100), origins[0].send(&mut request)).await;
                assert!(late.is_none());
                match request.path() {
                    "/read" => {
                        let content = request.body_mut().collect(100).await?;
                        Ok(Response::new(StatusCode::OK).with_body(content))
                    }
                    _ => origins[1].send(&mut request).await,
                }
            }))
        });
        let mut client = Peer::connect(rig.address());
        for (path, text) in [("/read", "hello"), ("/send", "- hello")] {
            client.send(format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
            assert_eq!(client.message().text(), text);
        }
    });
}

#[test]
fn attempts_have_a_time_of_their_own_and_say_how_long_they_took() {
    on_both(|driver| {
        let silent = Scripted::start(|peer| while peer.try_message().is_some() {});
        let good = Scripted::start(|peer| {
            while peer.try_message().is_some() {
                std::thread::park_timeout(Duration::from_millis(50));
                peer.send(ok("hello"));
            }
        });
        let handler = async |origins: &[Upstream], mut request: Request| {
            let mut attempts = origins[0].attempts(&mut request);
            let mut attempt = attempts.next().await?;
            attempt.set_timeout(Duration::from_millis(300));
            let error = attempt.send().await.expect_err("it is silent");
            assert_eq!((error.stage(), error.kind()), (Stage::Wait, ErrorKind::Timeout));
            let response = origins[1].send(&mut request).await?;
            let info = response.upstream().expect("it was asked").clone();
            assert!(info.wait >= Duration::from_millis(50), "{info:?}");
            assert_eq!(info.connect.is_zero(), info.reused, "{info:?}");
            Ok(response)
        };
        let clusters = [cluster(&[silent.address]), cluster(&[good.address])];
        let rig = gateway(driver, &clusters, RetryPolicy::default(), handler);
        let mut client = Peer::connect(rig.address());
        for _ in 0..2 {
            assert_eq!(client.get("/").text(), "hello");
            let record = rig.record();
            let [first, second] = &record.attempts[..] else { panic!("{record:?}") };
            assert_eq!(first.outcome, AttemptOutcome::Failed(Stage::Wait, ErrorKind::Timeout));
            assert!(first.wait >= Duration::from_millis(300) && !first.connect.is_zero(), "{first:?}");
            assert!(second.wait >= Duration::from_millis(50) && second.wait < first.wait, "{second:?}");
            assert_eq!(second.connect.is_zero(), second.reused, "{second:?}");
            let sum = |part: fn(&Attempt) -> Duration| record.attempts.iter().map(part).sum::<Duration>();
            assert_eq!(record.phases.wait, sum(|attempt| attempt.wait));
            assert_eq!(record.phases.connect, sum(|attempt| attempt.connect));
        }
    });
}

#[test]
fn requests_of_our_own_are_no_clients() {
    on_both(|driver| {
        let (says, said) = channel();
        let origin = Scripted::start(move |peer| {
            while let Some(request) = peer.try_message() {
                says.send(request).expect("the test listens");
                peer.send(ok("yes"));
            }
        });
        let handler = async |origins: &[Upstream], request: Request| {
            let mut own = Request::new(Method::POST, "/check?x").with_body("token");
            own.fields_mut().set("authorization", "secret");
            own.set_settings(&Rc::new(Settings::default()))?;
            assert!(!own.inform(StatusCode::EARLY_HINTS, request.fields()).await?);
            own.note("nobody", "hears");
            let mut answer = origins[0].send(&mut own).await?;
            assert_eq!(
                (&*answer.body_mut().collect(10).await?, answer.fields().contains("via")),
                (&b"yes"[..], false)
            );
            assert!(!own.may_resend(), "it was done");
            let second = Request::new(Method::GET, "/second");
            drop(origins[0].send(second).await?);
            Ok(Response::text(StatusCode::OK, "checked"))
        };
        let rig = gateway(driver, &[cluster(&[origin.address])], RetryPolicy::default(), handler);
        let mut client = Peer::connect(rig.address());
        assert_eq!(client.get("/").text(), "checked");
        let record = rig.record();
        assert_eq!((record.attempts.len(), record.notes.len(), record.end), (0, 0, End::Done));
        let first = said.recv().expect("a request");
        assert!(first.head.starts_with("POST /check?x HTTP/1.1\r\n"), "{first:?}");
        assert_eq!(first.field("host"), Some(origin.address.to_string().as_str()));
        assert_eq!((first.field("authorization"), first.text().as_str()), (Some("secret"), "token"));
        for foreign in ["via", "x-forwarded-for", "forwarded", "x-request-id"] {
            assert_eq!(first.field(foreign), None, "{first:?}");
        }
        assert!(said.recv().expect("another").head.starts_with("GET /second "));
        let snapshot = rig.snapshot();
        assert_eq!((snapshot.value(Metric::Requests), snapshot.value(Metric::RequestsOpen)), (1, 0));
        assert_eq!(snapshot.value(Metric::UpstreamRequests), 2);
    });
}

#[test]
fn b_13_a_request_without_a_host_is_for_the_endpoint() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            while let Some(request) = peer.try_message() {
                peer.send(ok(request.field("host").unwrap_or("-")));
            }
        });
        let handler = async |origins: &[Upstream], request: Request| {
            assert_eq!(request.authority(), "", "it is the attempt's");
            origins[0].send(request).await
        };
        let rig = gateway(driver, &[cluster(&[origin.address])], RetryPolicy::default(), handler);
        let mut client = Peer::connect(rig.address());
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.message().text(), origin.address.to_string());
    });
}

#[test]
fn content_that_was_never_asked_for_is_not_taken_for_a_request_when_a_page_hides_the_failure() {
    on_both(|driver| {
        let dies = Scripted::start(|peer| drop(peer.try_head()));
        let handler = async |origins: &[Upstream], request: Request| {
            Ok(origins[0].send(request).await.unwrap_or_else(|_| Response::text(StatusCode::OK, "sorry\n")))
        };
        let rig = gateway(driver, &[cluster(&[dies.address])], RetryPolicy::default(), handler);
        let mut client = Peer::connect(rig.address());
        client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 34\r\n\r\n");
        let answer = client.message();
        assert_eq!(answer.text(), "sorry\n");
        client.try_send("GET /victim HTTP/1.1\r\nHost: a\r\nX: GET /behind HTTP/1.1\r\nHost: b\r\n\r\n");
        client.ends_after(&answer);
        assert_eq!(rig.value(Metric::Requests), 1);
        let record = rig.record();
        assert_eq!((record.end, record.status), (End::UpstreamClosed, 200), "the record is not fooled");
    });
}

#[test]
fn an_emptied_body_is_sent_as_none() {
    on_both(|driver| {
        let good = answering(200);
        let handler = async |origins: &[Upstream], mut request: Request| {
            request.set_body(Body::empty());
            origins[0].send(request).await
        };
        let rig = gateway(driver, &[cluster(&[good.address])], RetryPolicy::default(), handler);
        let mut client = Peer::connect(rig.address());
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.message().text(), "- ");
        assert_eq!(client.get("/").text(), "- ");
    });
}

#[test]
fn up_16_an_origin_that_fails_every_other_request_is_asked_hardly_more_often() {
    on_both(|driver| {
        const REQUESTS: usize = 600;
        let asked = Arc::<AtomicUsize>::default();
        let count = asked.clone();
        let origin = Scripted::start(move |peer| {
            while peer.try_message().is_some() {
                if count.fetch_add(1, Ordering::SeqCst) % 2 == 0 {
                    return;
                }
                peer.send(ok("fine"));
            }
        });
        let retry = RetryPolicy { attempts_max: 4, on_fresh_connection: true, ..RetryPolicy::default() };
        let cluster = origin.cluster();
        let builder = Engine::builder().driver(driver).lanes(1).retry(retry);
        let rig = Rig::start(builder.serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))));
        let mut client = Peer::connect(rig.address());
        let (failed, took) = timed(|| (0..REQUESTS).filter(|_| client.get("/").status() != 200).count());
        let asked = asked.load(Ordering::SeqCst);
        let most = REQUESTS * 12 / 10 + 10 + took.as_secs() as usize + 1;
        assert!(asked <= most, "{asked} attempts at {REQUESTS} requests");
        assert!(asked >= REQUESTS * 115 / 100, "{asked} attempts: the budget is used");
        assert_eq!(rig.value(Metric::Retries) as usize, asked - REQUESTS);
        assert_eq!(rig.value(Metric::RetriesRefused) as usize, failed, "of {REQUESTS}");
    });
}
