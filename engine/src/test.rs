//! Testing a handler without a socket.
//!
//! ```
//! use corelane_engine::{Handler, Lane, Method, Request, Response, Result, StatusCode, test};
//!
//! struct Doorkeeper;
//!
//! impl Handler for Doorkeeper {
//!     async fn handle(&self, mut request: Request) -> Result<Response> {
//!         if request.fields().get("authorization") != Some(b"Bearer open") {
//!             return Ok(Response::text(StatusCode::UNAUTHORIZED, "who are you?\n"));
//!         }
//!         let content = request.body_mut().collect(100).await?;
//!         Ok(Response::new(StatusCode::OK).with_body(content))
//!     }
//! }
//!
//! test::run(async |_lane: Lane| {
//!     let request = Request::new(Method::GET, "/");
//!     assert_eq!(test::call(&Doorkeeper, request).await.status, StatusCode::UNAUTHORIZED);
//!
//!     let mut request = Request::new(Method::POST, "/").with_body("hello");
//!     request.fields_mut().set("authorization", "Bearer open");
//!     let answer = test::call(&Doorkeeper, request).await;
//!     assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "hello"));
//! });
//! ```

use crate::{
    context::Exchange,
    error::Error,
    handler::Handler,
    lane::Lane,
    message::{Request, Response, unvouch},
};
use bytes::Bytes;
use corelane_codec::Fields;
use http::StatusCode;
use std::cell::RefCell;

/// Content of an answer that is collected, in bytes; more is an error of the answer's.
const CONTENT_BYTES_MAX: usize = 64 << 20;

thread_local! {
    /// The lane of the test that runs on this thread.
    static LANE: RefCell<Option<Lane>> = const { RefCell::new(None) };
}

/// Forgets the test's lane, be it that the test has failed.
struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        // A thread that ends may have none any more.
        let _ = LANE.try_with(RefCell::take);
    }
}

/// Runs a test on a lane of its own, on the calling thread: with `lane`, handlers can be made that need one.
///
/// # Panics
/// If the lane cannot be set up; and as `test` does.
pub fn run<T>(test: impl AsyncFnOnce(Lane) -> T) -> T {
    let result = Lane::run(async |lane: Lane| {
        LANE.set(Some(lane.clone()));
        let _forget = Forget;
        test(lane).await
    });
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// What a client would get.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields that go end to end.
    pub fields: Fields,
    /// The content, as far as it came.
    pub content: Bytes,
    /// What followed it.
    pub trailers: Fields,
    /// The error that the handler returned, or that broke the content off.
    pub error: Option<Error>,
}

impl Answer {
    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// Calls a handler as if a client at 127.0.0.1 had sent the request, and collects its answer. Interim responses go
/// nowhere, and a tunnel is not entered.
///
/// # Panics
/// Outside of [`run`]; and as the handler does.
pub async fn call(handler: &impl Handler, request: Request) -> Answer {
    let lane = LANE.with_borrow(Clone::clone).expect("test::call is for what test::run runs");
    let exchange = Exchange::on_trial(&lane);
    let result = handler.handle(request.on_trial(&exchange)).await;
    let (mut response, mut error) = match result {
        Ok(mut response) => {
            let error = response.0.error.take().map(|error| *error);
            (response, error)
        }
        Err(error) => (Response::of_error(&error), Some(error)),
    };
    let (mut head, mut body) = (response.take_head(), std::mem::take(response.body_mut()));
    if body.0.is_altered() {
        unvouch(&mut head.fields);
    }
    let mut content = Bytes::new();
    match body.collect(CONTENT_BYTES_MAX).await {
        Ok(all) => content = all,
        Err(broken) => error = error.or(Some(broken)),
    }
    exchange.record(|record| {
        (record.status, record.response_bytes) = (head.status.as_u16(), content.len() as u64);
    });
    match &error {
        Some(error) => exchange.failed(error),
        None => exchange.delivered(),
    }
    let trailers = body.trailers();
    drop(body);
    Exchange::finish(exchange);
    let fields = std::mem::take(&mut head.fields);
    Answer { status: head.status, fields, content, trailers, error }
}
