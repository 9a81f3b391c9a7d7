//! The admin server. A client of it can make it slow for other admin clients and for nobody else.

use super::{
    Outcome,
    address::Listener,
    view::{Gathered, View},
};
use crate::{profile, prometheus, stats};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::spawn_blocking,
    time::{Sleep, sleep},
};

/// Clients at a time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// A connection is cut after so long, whatever it is doing: nobody can hold a place for ever.
const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(60);
/// How long accepting pauses when it fails (no descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const INDEX: &str = "\
corelane admin

/livez         200 while the process lives
/readyz        200 while it takes requests, 503 from the moment a drain begins
/metrics       for Prometheus
/stats.json    the same numbers as JSON, and percentiles
/profile.json  how long each phase of requests takes, for corelane-bench profile
/slow.json     the last slow requests of each lane, with their phases
/upstreams     each upstream with its endpoints, as JSON
/config        the configuration in force, every value with its origin

On a unix socket only:

POST /reload   serve the changed configuration; the answer says how that went
POST /drain    finish what is in flight, and end
";

/// Of an answer that refuses to change anything.
const UNIX_ONLY: &str = "\
nothing is changed over TCP, which every program of this machine can reach; use a unix socket (admin.listen), or a signal
";

/// Serves on the runtime of the calling thread, until that ends.
pub(crate) fn start(listener: Listener, view: Arc<View>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    match listener {
        Listener::Tcp(listener) => {
            let listener = Limited { listener: TcpListener::from_std(listener)?, places };
            tokio::spawn(axum::serve(listener, reading(view.clone()).merge(refusing(view))).into_future());
        }
        Listener::Unix(listener) => {
            let listener = Limited { listener: UnixListener::from_std(listener)?, places };
            tokio::spawn(axum::serve(listener, reading(view.clone()).merge(changing(view))).into_future());
        }
    }
    Ok(())
}

/// What shows something.
fn reading(view: Arc<View>) -> Router {
    Router::new()
        .route("/", get(INDEX))
        .route("/livez", get("alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/stats.json", get(stats_json))
        .route("/profile.json", get(profile_json))
        .route("/slow.json", get(slow_json))
        .route("/upstreams", get(upstreams))
        .route("/config", get(config))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found; / lists what there is\n") })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "not with this method\n") })
        .with_state(view)
}

/// What changes something.
fn changing(view: Arc<View>) -> Router {
    Router::new().route("/reload", post(reload)).route("/drain", post(drain)).with_state(view)
}

/// The same where that cannot be.
fn refusing(view: Arc<View>) -> Router {
    let refuse = || async { (StatusCode::FORBIDDEN, UNIX_ONLY) };
    Router::new().route("/reload", post(refuse)).route("/drain", post(refuse)).with_state(view)
}

async fn readyz(State(view): State<Arc<View>>) -> (StatusCode, &'static str) {
    if view.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn metrics(State(view): State<Arc<View>>) -> Response {
    show(view, prometheus::CONTENT_TYPE, prometheus::exposition).await
}

async fn stats_json(State(view): State<Arc<View>>) -> Response {
    show(view, "application/json", stats::json).await
}

async fn profile_json(State(view): State<Arc<View>>) -> Response {
    show(view, "application/json", profile::json).await
}

async fn slow_json(State(view): State<Arc<View>>) -> Response {
    let write = |view: &View| {
        let (recorder, lanes) = view.slow();
        profile::slow(recorder, &lanes)
    };
    ask(view, "application/json", write).await
}

async fn upstreams(State(view): State<Arc<View>>) -> Response {
    show(view, "application/json", stats::upstreams).await
}

async fn config(State(view): State<Arc<View>>) -> Response {
    match view.operator() {
        Some(operator) => operator.config().into_response(),
        None => {
            (StatusCode::NOT_FOUND, "there is no configuration file: see the command line\n").into_response()
        }
    }
}

async fn reload(State(view): State<Arc<View>>) -> (StatusCode, String) {
    let Some(operator) = view.operator() else {
        return (StatusCode::CONFLICT, "there is no configuration file to reload\n".to_owned());
    };
    let (tell, told) = oneshot::channel();
    operator.reload(Box::new(move |outcome| {
        // Whoever asked may have left.
        let _ = tell.send(outcome);
    }));
    match told.await {
        Ok(Outcome::Done(says)) => (StatusCode::OK, says),
        Ok(Outcome::Bad(says)) => (StatusCode::UNPROCESSABLE_ENTITY, says),
        Ok(Outcome::Failed(says)) => (StatusCode::INTERNAL_SERVER_ERROR, says),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the program is ending\n".to_owned()),
    }
}

async fn drain(State(view): State<Arc<View>>) -> &'static str {
    view.drain();
    "draining\n"
}

/// Shows something of the lanes' numbers.
async fn show(
    view: Arc<View>,
    content_type: &'static str,
    write: impl FnOnce(&Gathered) -> String + Send + 'static,
) -> Response {
    ask(view, content_type, move |view| write(&view.gather())).await
}

/// Asks the lanes on a thread that may block.
async fn ask(
    view: Arc<View>,
    content_type: &'static str,
    write: impl FnOnce(&View) -> String + Send + 'static,
) -> Response {
    match spawn_blocking(move || write(&view)).await {
        Ok(text) => ([(CONTENT_TYPE, content_type)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the numbers could not be gathered\n").into_response(),
    }
}

/// A listener with a number of places.
struct Limited<L> {
    listener: L,
    places: Arc<Semaphore>,
}

impl<L> Limited<L> {
    async fn place(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed")
    }
}

impl axum::serve::Listener for Limited<TcpListener> {
    type Io = Timed<TcpStream>;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, ()) {
        let place = self.place().await;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (Timed::new(stream, place), ()),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

impl axum::serve::Listener for Limited<UnixListener> {
    type Io = Timed<UnixStream>;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, ()) {
        let place = self.place().await;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (Timed::new(stream, place), ()),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection whose reads and writes fail once its time is over.
struct Timed<S> {
    stream: S,
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl<S: Unpin> Timed<S> {
    fn new(stream: S, place: OwnedSemaphorePermit) -> Self {
        Self { stream, end: Box::pin(sleep(CONNECTION_LIFE_MAX)), _place: place }
    }

    /// The stream, while there is time; and a wake-up when there is none any more.
    fn stream(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut S>> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream(cx)?.poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream(cx)?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream(cx)?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream(cx)?.poll_shutdown(cx)
    }
}
