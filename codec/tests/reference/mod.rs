//! hyper over memory: what another implementation makes of the same bytes.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unreachable_pub, missing_docs, reason = "a module of tests")]

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What is read is given beforehand; what is written is thrown away.
struct Memory {
    input: Vec<u8>,
    at: usize,
    /// Nothing is read before something was written: a response that comes before its request is an error.
    answers: bool,
    written: bool,
    shutdown: Rc<Cell<bool>>,
}

impl Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.answers && !self.written {
            return Poll::Pending;
        }
        let len = buffer.remaining().min(self.input.len() - self.at);
        buffer.put_slice(&self.input[self.at..self.at + len]);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.written = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.shutdown.set(true);
        Poll::Ready(Ok(()))
    }
}

fn memory(input: &[u8], answers: bool) -> Memory {
    Memory { input: input.to_vec(), at: 0, answers, written: false, shutdown: Rc::default() }
}

/// Nothing here ever waits for anything but a few turns of another part.
const TURNS_MAX: usize = 10_000;

#[derive(Debug, Clone, PartialEq)]
pub struct SeenRequest {
    pub method: Method,
    pub uri: Uri,
    pub fields: HeaderMap,
    pub content: Vec<u8>,
}

/// The requests that came complete, in order.
pub fn requests(input: &[u8]) -> Vec<SeenRequest> {
    let seen: Rc<RefCell<Vec<SeenRequest>>> = Rc::default();
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            if let Ok(content) = body.collect().await {
                let content = content.to_bytes().to_vec();
                seen.borrow_mut().push(SeenRequest {
                    method: head.method,
                    uri: head.uri,
                    fields: head.headers,
                    content,
                });
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.half_close(true).max_headers(160).header_read_timeout(None);
    let mut connection = std::pin::pin!(builder.serve_connection(memory(input, false), service));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..TURNS_MAX {
        if connection.as_mut().poll(&mut context).is_ready() {
            break;
        }
    }
    seen.take()
}

#[derive(Debug, Clone, PartialEq)]
pub struct SeenResponse {
    pub status: StatusCode,
    pub fields: HeaderMap,
    /// `None` if it did not come to its end.
    pub content: Option<Vec<u8>>,
}

/// The final response to a request with this method, if its head came.
pub fn response(method: Method, input: &[u8]) -> Option<SeenResponse> {
    let mut context = Context::from_waker(Waker::noop());
    let mut handshake = std::pin::pin!(
        hyper::client::conn::http1::Builder::new().max_headers(300).handshake(memory(input, true))
    );
    let Poll::Ready(Ok((mut sender, connection))) = handshake.as_mut().poll(&mut context) else {
        return None;
    };
    let request =
        Request::builder().method(method).uri("/").header("host", "a").body(Empty::<Bytes>::new()).unwrap();
    let sent = sender.send_request(request);
    let mut answer = std::pin::pin!(async {
        let (head, body) = sent.await.ok()?.into_parts();
        let content = body.collect().await.ok().map(|content| content.to_bytes().to_vec());
        Some(SeenResponse { status: head.status, fields: head.headers, content })
    });
    let mut connection = std::pin::pin!(connection);
    let mut over = false;
    for _ in 0..TURNS_MAX {
        over = over || connection.as_mut().poll(&mut context).is_ready();
        if let Poll::Ready(seen) = answer.as_mut().poll(&mut context) {
            return seen;
        }
    }
    panic!("hyper waits forever (connection over: {over})");
}
