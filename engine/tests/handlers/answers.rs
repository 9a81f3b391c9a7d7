//! What clients get from a handler, and from the engine itself when it answers in a handler's place.

use crate::support::{
    peer::{Over, Peer},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{Body, End, Engine, Error, Metric, Request, Response, Result, StatusCode};
use std::time::Duration;

fn text(words: impl Into<String>) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, words))
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
        assert_eq!(
            post("Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n"),
            (200, "10".to_owned())
        );
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
        let head = |path| {
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        };
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
        for framing in
            ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
        {
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
        let builder = Engine::builder().lanes(1).driver(driver).content_bytes_max(Some(10));
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
        let chunked = "5\r\n01234\r\n5\r\n56789\r\n1\r\na\r\n";
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
            assert!(
                allow.contains("GET") && !allow.contains("TRACE") && !allow.contains("CONNECT"),
                "{allow}"
            );
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
                Ok(Response::text(status, "text\n"))
            }))
        });
        for path in ["/interim", "/switch", "/unheard-of"] {
            let mut client = Peer::connect(rig.address());
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
            let (rest, over) = client.rest();
            let rest = String::from_utf8_lossy(&rest).into_owned();
            assert!(rest.starts_with("HTTP/1.1 500 "), "{path}: {rest}");
            assert_eq!(over, Over::Closed, "{path}");
            assert_eq!(rig.record().end, End::Handler, "{path}");
        }
        assert_eq!(rig.value(Metric::EnginePanics), 0);
        assert_eq!(Peer::connect(rig.address()).get("/").text(), "text\n");
    });
}

#[test]
fn a_handler_may_give_no_answer_at_all() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| match request.path() {
                "/flood" => Err(Error::unanswered()),
                _ => text("hello\n"),
            }))
        });
        let mut client = Peer::connect(rig.address());
        assert_eq!(client.get("/").text(), "hello\n");
        assert_eq!(rig.record().end, End::Done);
        client.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.more(Duration::from_secs(5)), Err(Over::Reset));
        let record = rig.record();
        assert_eq!((record.end, record.status), (End::Handler, 0));
        assert!(record.error.contains("no answer"), "{}", record.error);
    });
}

#[test]
fn a_handler_may_end_the_connection_with_its_answer() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| {
                if request.path() == "/last" {
                    request.close_connection();
                }
                text("hello\n")
            }))
        });
        let mut client = Peer::connect(rig.address());
        assert_eq!(client.get("/").field("connection"), None);
        client.send("GET /last HTTP/1.1\r\nHost: a\r\n\r\nGET /unanswered HTTP/1.1\r\nHost: a\r\n\r\n");
        let last = client.message();
        assert_eq!((last.text().as_str(), last.field("connection")), ("hello\n", Some("close")));
        assert_eq!(client.more(Duration::from_secs(5)), Err(Over::Closed));
    });
}
