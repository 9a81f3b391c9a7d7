//! Origins: they check what they get, and answer as the ledger says, well or badly.

use crate::{
    ledger::Ledger,
    spec::{Answer, Framing, GARBAGE, Manner, Request},
    wire::{Broken, Head, Reader, framing},
};
use corelane_balancer::Rng;
use corelane_engine::simulate::{Acceptor, Socket, World};
use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

/// What all connections of an origin have in common.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) world: World,
    pub(crate) ledger: Rc<Ledger>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What is sent at once comes at once.
    pub(crate) comes_whole: bool,
    /// It is down: who connects is refused.
    pub(crate) is_down: Rc<Cell<bool>>,
}

/// What becomes of a connection.
enum Next {
    Request,
    Close,
    Reset,
    /// It is kept, and nothing more is said.
    Hang,
}

impl Origin {
    /// Listens until it is told to be down, and again afterwards.
    pub(crate) fn run(self) {
        let origin = self.clone();
        self.world.spawn(async move {
            loop {
                let Ok(listener) = origin.world.listen(origin.address) else { return };
                origin.listen(&listener).await;
                drop(listener);
                while origin.is_down.get() {
                    origin.world.sleep(Duration::from_millis(100)).await;
                }
            }
        });
    }

    async fn listen(&self, listener: &Acceptor) {
        while let Ok(socket) = listener.accept().await {
            if self.is_down.get() {
                return;
            }
            let origin = self.clone();
            self.world.spawn(async move { origin.serve(Rc::new(socket)).await });
        }
    }

    async fn serve(self, socket: Rc<Socket>) {
        let mut reader = Reader::new(socket.clone());
        loop {
            let next = match reader.head().await {
                Ok(head) => self.exchange(&socket, &mut reader, head).await,
                Err(Broken::Ended { .. }) => return,
                Err(Broken::Garbled(what)) => {
                    self.ledger.garbled("an origin", &what);
                    return;
                }
            };
            match next {
                Next::Request => {}
                Next::Close => return,
                Next::Reset => return socket.reset(),
                Next::Hang => {
                    let mut more = Vec::new();
                    while socket.receive(&mut more).await.is_ok_and(|count| count > 0) {
                        more.clear();
                    }
                    return;
                }
            }
        }
    }

    async fn exchange(&self, socket: &Socket, reader: &mut Reader, head: Head) -> Next {
        let Some((request, answer, attempt)) = self.ledger.arrived(&head) else {
            return self.answer_stranger(socket, reader, &head).await;
        };
        let mut rng = Rng::new(request.id ^ u64::from(attempt) << 48);
        // Who is asked again is better than the first.
        let manner = if attempt > 1 { Manner::Good } else { answer.manner };
        if head.all("expect") == ["100-continue"] && matches!(manner, Manner::Good) {
            // Not always: who knows no expectations says nothing.
            if rng.below(4) > 0 && socket.send(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
                return Next::Close;
            }
        }
        match manner {
            Manner::Gone => return if rng.below(2) == 0 { Next::Close } else { Next::Reset },
            Manner::Curt => {
                let _ = self.say(socket, &mut rng, (&request, &answer), usize::MAX).await;
                return Next::Close;
            }
            Manner::Early if !self.say(socket, &mut rng, (&request, &answer), usize::MAX).await => {
                return Next::Close;
            }
            _ => {}
        }
        if !self.read_content(reader, &request, &head).await {
            return Next::Close;
        }
        self.world.sleep(Duration::from_millis(answer.thinks_ms)).await;
        let (at, after) = match manner {
            Manner::Early => (0, Next::Request),
            Manner::Breaks { at, by_reset: true } => (at, Next::Reset),
            Manner::Breaks { at, .. } => (at, Next::Close),
            Manner::Hangs { at } => (at, Next::Hang),
            Manner::Garbage(which) => {
                let _ = socket.send(GARBAGE[which]).await;
                return Next::Hang;
            }
            _ => (usize::MAX, Next::Request),
        };
        if manner == Manner::Chatty && self.poison(socket, &mut rng, &request, &answer).await {
            return Next::Hang;
        }
        if !self.say(socket, &mut rng, (&request, &answer), at).await {
            return Next::Close;
        }
        if answer.closes && matches!(after, Next::Request) { Next::Close } else { after }
    }

    /// Says more than it should, if it can be known to be more: it comes with the answer, all at once. What comes after the
    /// next request has been sent cannot be told from its answer (RFC 9112 §9.2), by nobody.
    async fn poison(&self, socket: &Socket, rng: &mut Rng, request: &Request, answer: &Answer) -> bool {
        let mut bytes = answer.bytes(rng, request);
        // Behind content that only the close ends, it would be content.
        if !self.comes_whole || answer.framing == Framing::Close || bytes.len() > 8_000 {
            return false;
        }
        bytes.extend_from_slice(
            b"HTTP/1.1 200 OK\r\nX-Id: 00000000000000ff\r\nContent-Length: 6\r\n\r\npoison",
        );
        let _ = socket.send(&bytes).await;
        true
    }

    /// Whether it came whole.
    async fn read_content(&self, reader: &mut Reader, request: &Request, head: &Head) -> bool {
        let content = match framing(head, false, &head.start[0]) {
            Ok((framing, length)) => reader.content(framing, length).await,
            Err(broken) => Err(broken),
        };
        match content {
            Ok(content) => {
                self.ledger.uploaded(request.id, &content);
                content.is_whole
            }
            Err(Broken::Garbled(what)) => {
                self.ledger.garbled("an origin", &what);
                false
            }
            Err(Broken::Ended { .. }) => false,
        }
    }

    /// Sends the answer up to a byte of it; whether that went well.
    async fn say(
        &self,
        socket: &Socket,
        rng: &mut Rng,
        (request, answer): (&Request, &Answer),
        at: usize,
    ) -> bool {
        let bytes = answer.bytes(rng, request);
        let mut rest = &bytes[..at.min(bytes.len())];
        while !rest.is_empty() {
            let piece = if answer.pauses_ms > 0 {
                rest.len().min(1 + rng.below(20_000) as usize)
            } else {
                rest.len()
            };
            if socket.send(&rest[..piece]).await.is_err() {
                return false;
            }
            rest = &rest[piece..];
            if answer.pauses_ms > 0 {
                self.world.sleep(Duration::from_millis(rng.below(answer.pauses_ms))).await;
            }
        }
        true
    }

    /// Somebody whom nobody knows: what hostile clients have got through.
    async fn answer_stranger(&self, socket: &Socket, reader: &mut Reader, head: &Head) -> Next {
        if head.start[1].starts_with("/r/") {
            self.ledger.violate("forwarded", format!("an origin got {:?} for nobody", head.start));
        }
        let read = match framing(head, false, &head.start[0]) {
            Ok((framing, length)) => reader.content(framing, length).await,
            Err(broken) => Err(broken),
        };
        match read {
            Ok(content) if content.is_whole => {}
            Ok(_) | Err(Broken::Ended { .. }) => return Next::Close,
            Err(Broken::Garbled(what)) => {
                self.ledger.garbled("an origin", &what);
                return Next::Close;
            }
        }
        let answer: &[u8] = b"HTTP/1.1 200 OK\r\nX-Hostile: yes\r\nContent-Length: 2\r\n\r\nok";
        if socket.send(answer).await.is_ok() { Next::Request } else { Next::Close }
    }
}
