//! One exchange, from the head of a request to the record of its end: **the** function of the engine.
//!
//! Steps return values; they do not call each other. Whatever happens, the record is closed exactly once.

use crate::{
    context::Exchange,
    downstream::{Downstream, is_too_large},
    error::{Error, ErrorKind, Result, Side, Stage},
    handler::Handler,
    kept::Kept,
    lane::caught,
    message::{Request, Response},
    metrics::Metric,
    overload::Shedding,
    record::End,
    relay, settle,
    tunnel::{self, Rest},
};
use corelane_codec::{RequestHead, forward};
use http::{Method, StatusCode};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
};

/// What is to be done with a connection when an exchange is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Another request may come.
    Next,
    /// It is over.
    Close,
}

/// Serves one request, or refuses what was none.
pub(crate) async fn serve<H: Handler>(
    connection: Rc<Downstream>,
    received: Result<Kept<RequestHead>>,
    handler: Rc<H>,
) -> After {
    let exchange = Exchange::open(&connection);
    let shedding = connection.lane.shedding();
    if connection.lane.is_draining() || connection.door.is_retired() || shedding >= Shedding::NoKeepAlive {
        connection.close_after();
    }
    let answer = match received.and_then(|head| admit(head, &exchange)) {
        Ok(Admitted::Request(head)) => {
            let answer = handle(&exchange, head, &*handler).await;
            exchange.mark_responded();
            answer
        }
        Ok(Admitted::Answer(response)) => Ok(response),
        Err(error) => Err(error),
    };
    let is_unanswered = matches!(&answer, Err(error) if error.kind() == ErrorKind::Unanswered);
    let response = match answer {
        Ok(response) => {
            if let Some(error) = response.error() {
                exchange.failed(error);
            }
            Some(response)
        }
        Err(error) => refuse(&exchange, &error),
    };
    let sent = match response {
        // Pinned where it is made: what is awaited as it is is copied once more.
        Some(response) => match pin!(relay::send(&exchange, response)).await {
            // What the handler answered cannot be sent, such as a status of 1xx, and nothing has been.
            Err(error) if error.side() == Side::Internal && !connection.response_begun() => {
                match refuse(&exchange, &error) {
                    Some(refusal) => pin!(relay::send(&exchange, refusal)).await,
                    None => Err(error),
                }
            }
            sent => sent,
        },
        None if is_unanswered => Err(Error::unanswered()),
        None => Err(Error::new(Side::Downstream, Stage::Wait, ErrorKind::Closed)),
    };
    let ended = match sent {
        Ok(Rest::Nothing) => Ended::Whole,
        Ok(Rest::Origin(transfer)) => match tunnel::run(&exchange, &transfer).await {
            Ok(()) => Ended::Tunnel,
            Err(error) => Ended::Broken(error),
        },
        Ok(Rest::Handler(serve)) => match tunnel::serve(&exchange, serve).await {
            Ok(()) => Ended::Whole,
            Err(error) => Ended::Broken(error),
        },
        Err(error) => Ended::Broken(error),
    };
    if let Ended::Broken(error) = &ended {
        exchange.failed(error);
        cut_short(&exchange, error).await;
    }
    exchange.delivered();
    Exchange::finish(exchange);
    if !matches!(ended, Ended::Whole) {
        return After::Close;
    }
    settle::settle(&connection).await
}

/// How an exchange has ended, as far as its connection is concerned.
enum Ended {
    /// By the book.
    Whole,
    /// With a tunnel of which both sides have seen the end.
    Tunnel,
    /// In the middle of something.
    Broken(Error),
}

enum Admitted {
    Request(Kept<RequestHead>),
    Answer(Response),
}

/// What concerns every request, whoever handles it.
fn admit(head: Kept<RequestHead>, exchange: &Rc<Exchange>) -> Result<Admitted> {
    let lane = exchange.lane();
    exchange.set_expects(head.expects_continue);
    exchange.find_client(&head.fields);
    exchange.record(|record| {
        if lane.has_sink() {
            record.of(&head);
        } else if lane.has_flight_recorder() {
            record.of_start_line(&head);
        }
        match forward::request_id(&head) {
            Some(id) => record.request_id.extend_from_slice(id),
            None => record.request_id.extend_from_slice(&lane.request_id()),
        }
    });
    if lane.shedding() >= Shedding::Refuse {
        lane.0.metrics.count(Metric::RequestsShed);
        return Err(Error::new(Side::Internal, Stage::Route, ErrorKind::Overloaded));
    }
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        // A proxy that digs tunnels, or echoes credentials, does so because somebody asked for it.
        exchange.connection().close_after();
        return Ok(Admitted::Answer(allowing(StatusCode::METHOD_NOT_ALLOWED)));
    }
    if is_too_large(head.content, exchange.settings().content_bytes_max) {
        exchange.connection().close_after();
        return Err(crate::downstream::content_too_large());
    }
    if head.method == Method::OPTIONS && forward::max_forwards(&head)? == Some(0) {
        // The last to be asked is us (RFC 9110 §7.6.2).
        return Ok(Admitted::Answer(allowing(StatusCode::NO_CONTENT)));
    }
    Ok(Admitted::Request(head))
}

fn allowing(status: StatusCode) -> Response {
    let mut response = Response::new(status);
    response.fields_mut().append("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response
}

/// The handler's answer. Its future is dropped when the client has gone, and its panic kills nothing else.
async fn handle<H: Handler>(
    exchange: &Rc<Exchange>,
    head: Kept<RequestHead>,
    handler: &H,
) -> Result<Response> {
    let connection = exchange.connection();
    let request = Request::of_client(head, exchange);
    let handling = pin!(handler.handle(request));
    let mut handling = pin!(caught(handling));
    // What the end of a client's half means is for the handler's settings to say, once it has begun.
    let mut begun = false;
    poll_fn(|cx| {
        exchange.begin_wait(cx);
        if let Poll::Ready(error) = connection.watch(cx, begun && exchange.settings().abort_on_half_close) {
            return Poll::Ready(Err(error));
        }
        match handling.as_mut().poll(cx) {
            Poll::Ready(Ok(result)) => {
                // The handler may have been at work since the last look.
                exchange.lane().look();
                return Poll::Ready(result);
            }
            Poll::Ready(Err(message)) => return Poll::Ready(Err(panicked(exchange, message))),
            Poll::Pending => {}
        }
        if !std::mem::replace(&mut begun, true)
            && exchange.settings().abort_on_half_close
            && let Poll::Ready(error) = connection.watch(cx, true)
        {
            return Poll::Ready(Err(error));
        }
        if exchange.is_overdue() {
            return Poll::Ready(Err(Error::new(Side::Upstream, Stage::Wait, ErrorKind::Timeout)));
        }
        Poll::Pending
    })
    .await
}

/// A handler has panicked: a bug, and the end of its exchange.
pub(crate) fn panicked(exchange: &Exchange, message: String) -> Error {
    exchange.read(|record| exchange.lane().handler_panicked(message, &record.request_id));
    exchange.connection().close_after();
    Error::new(Side::Internal, Stage::Route, ErrorKind::Panicked)
}

/// The answer to a request that failed; `None` when nobody is there to read one.
fn refuse(exchange: &Exchange, error: &Error) -> Option<Response> {
    let connection = exchange.connection();
    exchange.failed(error);
    let gone = error.side() == Side::Downstream
        && (matches!(error.kind(), ErrorKind::Closed | ErrorKind::Io(_))
            || End::from(error) == End::ClientClosed);
    if connection.response_begun() || gone || error.kind() == ErrorKind::Unanswered {
        return None;
    }
    if error.side() == Side::Downstream || !connection.request_ended() {
        // What the client sent is not understood, or not read: nothing after it can be, either.
        connection.close_after();
    }
    Some(Response::of_error(error))
}

/// The response cannot be completed. What was sent of it goes out, and then the client can tell.
async fn cut_short(exchange: &Exchange, error: &Error) {
    let connection = exchange.connection();
    if error.kind() == ErrorKind::Unanswered {
        connection.io.abort();
        return;
    }
    if error.side() == Side::Downstream {
        // The client does not take what it is sent, or has gone.
        connection.cut_short();
        return;
    }
    let due = exchange.lane().after(exchange.settings().timeouts.linger);
    poll_fn(|cx| {
        exchange.begin_wait(cx);
        let sent = connection.io.poll_sent(cx).is_ready();
        if sent || exchange.expired(due) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    connection.cut_short();
}
