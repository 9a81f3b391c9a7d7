//! What the origin answers.

use super::{
    SIZE_MAX,
    delay::{Delay, Stall},
};
use crate::{
    units,
    websocket::{self, Opcode},
};
use corelane_engine::{
    Body, Bytes, Chunk, Error, Fields, Handler, Lane, Length, Request, Response, Result, StatusCode, Tunnel,
};
use rand::{RngExt, rngs::SmallRng};
use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

/// Content is made of this: up to so much is sent as it is, and more in pieces of it.
const PIECE_BYTES: u64 = 1 << 20;
/// Pieces of content that is paced, or sent in chunks.
const CHUNK_BYTES: u64 = 16 << 10;
/// Of content that is paced, as much is sent at once as is due in such a time.
const PACE_STEP: Duration = Duration::from_millis(10);

/// How the origin is to behave.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    pub(crate) size: u64,
    pub(crate) delay: Option<Delay>,
    pub(crate) stall: Option<Stall>,
    pub(crate) fail: f64,
    pub(crate) fail_status: u16,
    pub(crate) reset: f64,
    pub(crate) chunked: bool,
    pub(crate) trailers: bool,
    pub(crate) echo: bool,
    pub(crate) pace: Option<u64>,
    pub(crate) requests_per_connection: Option<u64>,
}

/// What one request is to be answered.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wanted {
    size: u64,
    delay: Option<Delay>,
    status: StatusCode,
    chunked: bool,
    trailers: bool,
}

impl Wanted {
    /// As the behaviour is, but for what the query asks for.
    fn of(behaviour: &Behaviour, query: Option<&str>) -> Result<Self, String> {
        let mut wanted = Self {
            size: behaviour.size,
            delay: behaviour.delay,
            status: StatusCode::OK,
            chunked: behaviour.chunked,
            trailers: behaviour.trailers,
        };
        for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "size" => wanted.size = units::size(value)?,
                "delay" => wanted.delay = Some(value.parse()?),
                "status" => {
                    wanted.status = value
                        .parse()
                        .ok()
                        .filter(|status: &StatusCode| !status.is_informational())
                        .ok_or_else(|| format!("`{value}` is not a status"))?;
                }
                "chunked" => wanted.chunked = true,
                "trailers" => (wanted.chunked, wanted.trailers) = (true, true),
                _ => return Err(format!("`{name}` is not one of size, delay, status, chunked, trailers")),
            }
        }
        if wanted.size > SIZE_MAX {
            return Err("a size is at most 1024g".to_owned());
        }
        Ok(wanted)
    }
}

/// Answers on one lane.
pub(crate) struct Origin {
    lane: Lane,
    behaviour: Arc<Behaviour>,
    content: Bytes,
    rng: RefCell<SmallRng>,
}

/// Requests that a connection has carried.
#[derive(Default)]
struct Carried(Cell<u64>);

impl Handler for Origin {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let behaviour = &*self.behaviour;
        if let Some(most) = behaviour.requests_per_connection {
            let carried = request.connection_state::<Carried>();
            carried.0.set(carried.0.get() + 1);
            if carried.0.get() >= most {
                request.close_connection();
            }
        }
        if request.wants_upgrade().is_some() {
            return upgrade(&request);
        }
        let wanted = match Wanted::of(behaviour, request.query()) {
            Ok(wanted) => wanted,
            Err(error) => return Ok(Response::text(StatusCode::BAD_REQUEST, format!("{error}\n"))),
        };
        self.wait(&wanted).await;
        if self.happens(behaviour.reset) {
            return Err(Error::unanswered());
        }
        if self.happens(behaviour.fail) {
            let status =
                StatusCode::from_u16(behaviour.fail_status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            return Ok(Response::text(status, "failing, as asked to\n"));
        }
        if behaviour.echo || request.path() == "/echo" {
            return Ok(Response::new(wanted.status).with_body(std::mem::take(request.body_mut())));
        }
        if request.path() == "/head" {
            return Ok(Response::text(wanted.status, head(&request)));
        }
        let mut response = Response::new(wanted.status);
        response.fields_mut().append("content-type", "application/octet-stream");
        response.set_body(self.content(&wanted));
        Ok(response)
    }
}

impl Origin {
    pub(crate) fn new(lane: &Lane, behaviour: Arc<Behaviour>) -> Self {
        Self {
            lane: lane.clone(),
            behaviour,
            content: vec![b'x'; PIECE_BYTES as usize].into(),
            rng: RefCell::new(rand::make_rng()),
        }
    }

    fn happens(&self, part: f64) -> bool {
        part > 0.0 && self.rng.borrow_mut().random_bool(part)
    }

    /// Keeps the answer back for as long as it is to be.
    async fn wait(&self, wanted: &Wanted) {
        if wanted.delay.is_none() && self.behaviour.stall.is_none() {
            return;
        }
        let now = self.lane.now();
        let delay = wanted.delay.map(|delay| delay.draw(&mut self.rng.borrow_mut())).unwrap_or_default();
        let mut due = now + delay;
        if let Some(until) = self.behaviour.stall.and_then(|stall| stall.until(now)) {
            due = due.max(until);
        }
        if due > now {
            self.lane.sleep_until(due).await;
        }
    }

    fn content(&self, wanted: &Wanted) -> Body {
        let paced = self.behaviour.pace.is_some();
        if wanted.size <= PIECE_BYTES && !wanted.chunked && !paced {
            return self.content.slice(..wanted.size as usize).into();
        }
        let (mut sender, body) =
            if wanted.chunked { Body::channel() } else { Body::channel_with_length(wanted.size) };
        let piece = match (self.behaviour.pace, wanted.chunked) {
            (Some(pace), _) => ((pace as f64 * PACE_STEP.as_secs_f64()) as u64).clamp(1, CHUNK_BYTES),
            (None, true) => CHUNK_BYTES,
            (None, false) => PIECE_BYTES,
        };
        let (lane, content, pace) = (self.lane.clone(), self.content.clone(), self.behaviour.pace);
        let (size, trailers) = (wanted.size, wanted.trailers);
        self.lane.spawn(async move {
            let (mut sent, began) = (0, lane.now());
            while sent < size {
                let length = piece.min(size - sent);
                if sender.send(Chunk::from(content.slice(..length as usize))).await.is_err() {
                    return;
                }
                sent += length;
                if let Some(pace) = pace {
                    lane.sleep_until(began + Duration::from_secs_f64(sent as f64 / pace as f64)).await;
                }
            }
            if trailers {
                let mut fields = Fields::new();
                fields.append("x-content-length", size.to_string());
                sender.end_with(fields);
            } else {
                sender.end();
            }
        });
        body
    }
}

/// A request's head in words, for whoever wants to know what has become of it on its way.
fn head(request: &Request) -> String {
    let mut text = format!("{} {} {}\n", request.method(), request.path(), request.version().as_str());
    for (name, value) in request.fields().iter() {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        text.push_str(&format!("{name}: {value}\n"));
    }
    if let Length::Known(length) = request.head().content {
        text.push_str(&format!("content-length: {length}\n"));
    }
    text
}

/// Switches to WebSocket, and sends messages back.
fn upgrade(request: &Request) -> Result<Response> {
    let Some(key) = request.fields().get("sec-websocket-key").and_then(|key| std::str::from_utf8(key).ok())
    else {
        return Ok(Response::text(StatusCode::BAD_REQUEST, "no Sec-WebSocket-Key\n"));
    };
    let accept = websocket::accept(key);
    let mut response = request.upgrade(echo)?;
    response.fields_mut().set("sec-websocket-accept", accept);
    Ok(response)
}

async fn echo(mut tunnel: Tunnel) -> Result<()> {
    let (mut received, mut out) = (Vec::new(), Vec::new());
    while let Some(chunk) = tunnel.receive().await? {
        received.extend_from_slice(&chunk);
        let mut at = 0;
        let mut is_closed = false;
        while let Some(frame) = websocket::read(&received[at..])
            .map_err(|error| Error::internal(format!("a WebSocket frame that is wrong ({error:?})")))?
        {
            let content = &mut received[at + frame.content.start..at + frame.content.end];
            // RFC 6455 §5.1
            let key = frame.mask.ok_or_else(|| Error::internal("a client's frame without a mask"))?;
            websocket::mask(content, key);
            match frame.opcode {
                Opcode::Ping => websocket::write(Opcode::Pong, content, &mut out),
                Opcode::Pong => {}
                // In as many pieces as it came.
                opcode => websocket::write_frame(opcode, frame.last, content, &mut out),
            }
            is_closed |= frame.opcode == Opcode::Close;
            at += frame.content.end;
        }
        received.drain(..at);
        if !out.is_empty() {
            tunnel.send(std::mem::take(&mut out)).await?;
        }
        if is_closed {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behaviour() -> Behaviour {
        Behaviour {
            size: 128,
            delay: None,
            stall: None,
            fail: 0.0,
            fail_status: 503,
            reset: 0.0,
            chunked: false,
            trailers: false,
            echo: false,
            pace: None,
            requests_per_connection: None,
        }
    }

    #[test]
    fn a_query_asks_for_another_answer() {
        let wanted =
            Wanted::of(&behaviour(), Some("size=16k&delay=1ms&status=404&trailers")).expect("an answer");
        assert_eq!((wanted.size, wanted.status.as_u16()), (16 << 10, 404));
        assert_eq!(wanted.delay, Some(Delay::Fixed(Duration::from_millis(1))));
        assert!(wanted.chunked && wanted.trailers);
        assert_eq!(Wanted::of(&behaviour(), None), Wanted::of(&behaviour(), Some("")));
        for wrong in ["size", "size=x", "delay=5", "status=99", "status=101", "sise=1", "size=9999999g"] {
            assert!(Wanted::of(&behaviour(), Some(wrong)).is_err(), "{wrong}");
        }
    }
}
