//! Origins: they check what they get, and answer as the ledger says, well or badly.

use crate::{
    ledger::Ledger,
    spec::{Answer, Framing, GARBAGE, Manner, Request, dice},
    tunnel::Side,
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
    pub(crate) seed: u64,
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

/// What it is asked, and what it is to say.
struct Told {
    request: Request,
    answer: Answer,
    /// Which time it is that an origin is asked this.
    attempt: u32,
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
        let mut is_fresh = true;
        loop {
            let next = match reader.head().await {
                Ok(head) => {
                    let is_fresh = std::mem::replace(&mut is_fresh, false);
                    self.exchange(&socket, &mut reader, head, is_fresh).await
                }
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

    async fn exchange(&self, socket: &Rc<Socket>, reader: &mut Reader, head: Head, is_fresh: bool) -> Next {
        let Some((request, mut answer, attempt)) = self.ledger.arrived(&head, is_fresh, self.world.now())
        else {
            return self.answer_stranger(socket, reader, &head).await;
        };
        let mut rng = dice(self.seed, request.id ^ u64::from(attempt) << 48);
        if attempt > 1 {
            // Who is asked again is better than the first.
            answer.manner = Manner::Good;
        }
        let told = Told { request, answer, attempt };
        if head.all("expect") == ["100-continue"]
            && matches!(told.answer.manner, Manner::Good | Manner::Duplex)
        {
            // Not always: who knows no expectations says nothing.
            let asks = rng.below(4) > 0;
            if asks && !self.send(socket, &told, b"HTTP/1.1 100 Continue\r\n\r\n").await {
                return Next::Close;
            }
        }
        match told.answer.manner {
            Manner::Gone => return if rng.below(2) == 0 { Next::Close } else { Next::Reset },
            Manner::Curt => {
                let _ = self.say(socket, &mut rng, &told, usize::MAX).await;
                return Next::Close;
            }
            Manner::Early if !self.say(socket, &mut rng, &told, usize::MAX).await => return Next::Close,
            Manner::Duplex => return self.duplex(socket, reader, told, &head).await,
            _ => {}
        }
        if !self.read_content(reader, &told, &head).await {
            return Next::Close;
        }
        self.world.sleep(Duration::from_millis(told.answer.thinks_ms)).await;
        if told.answer.status == 101 && reader.has_more() {
            self.ledger
                .violate("tunnel early", format!("{:016x}: bytes came before the 101", told.request.id));
        }
        self.answer(socket, reader, &mut rng, told).await
    }

    async fn answer(&self, socket: &Rc<Socket>, reader: &mut Reader, rng: &mut Rng, told: Told) -> Next {
        let manner = told.answer.manner;
        let (at, after) = match manner {
            Manner::Early => (0, Next::Request),
            Manner::Breaks { at, by_reset: true } => (at, Next::Reset),
            Manner::Breaks { at, .. } => (at, Next::Close),
            Manner::Hangs { at } => (at, Next::Hang),
            Manner::Garbage(which) => {
                let _ = self.send(socket, &told, GARBAGE[which]).await;
                return Next::Hang;
            }
            _ => (usize::MAX, Next::Request),
        };
        if manner == Manner::Chatty && self.poison(socket, rng, &told).await {
            return Next::Hang;
        }
        if !self.say(socket, rng, &told, at).await {
            return Next::Close;
        }
        if told.answer.status == 101 && matches!(after, Next::Request) {
            self.tunnel(socket, reader, rng, &told).await;
            return Next::Close;
        }
        if told.answer.closes && matches!(after, Next::Request) { Next::Close } else { after }
    }

    /// Answers while the content comes.
    async fn duplex(&self, socket: &Rc<Socket>, reader: &mut Reader, told: Told, head: &Head) -> Next {
        let said: Rc<Cell<Option<bool>>> = Rc::default();
        let told = Rc::new(told);
        let saying = {
            let (origin, socket, said, told) = (self.clone(), socket.clone(), said.clone(), told.clone());
            async move {
                let mut rng = dice(origin.seed, told.request.id ^ 0xd0b1);
                said.set(Some(origin.say(&socket, &mut rng, &told, usize::MAX).await));
            }
        };
        self.world.spawn(saying);
        let has_read = self.read_content(reader, &told, head).await;
        while said.get().is_none() {
            if !has_read {
                return Next::Close;
            }
            self.world.sleep(Duration::from_millis(20)).await;
        }
        let goes_on = has_read && said.get() == Some(true) && !told.answer.closes;
        if goes_on { Next::Request } else { Next::Close }
    }

    /// Its end of a tunnel.
    async fn tunnel(&self, socket: &Rc<Socket>, reader: &mut Reader, rng: &mut Rng, told: &Told) {
        let Some(script) = told.request.switch else { return };
        let side = Side {
            world: self.world.clone(),
            ledger: self.ledger.clone(),
            socket: socket.clone(),
            id: told.request.id,
            way: told.request.way,
            script,
            is_client: false,
            is_calm: self.ledger.is_calm(told.request.id),
            moved: Rc::default(),
        };
        let (sending, mut rng) = (side.clone(), Rng::new(rng.next()));
        self.world.spawn(async move { sending.send(&mut rng).await });
        side.receive(reader).await;
    }

    /// Says more than it should, if it can be known to be more: it comes with the answer, all at once. What comes after the
    /// next request has been sent cannot be told from its answer (RFC 9112 §9.2), by nobody.
    async fn poison(&self, socket: &Socket, rng: &mut Rng, told: &Told) -> bool {
        let mut bytes = told.answer.bytes(rng, &told.request);
        // Behind content that only the close ends, it would be content.
        if !self.comes_whole || told.answer.framing == Framing::Close || bytes.len() > 8_000 {
            return false;
        }
        bytes.extend_from_slice(
            b"HTTP/1.1 200 OK\r\nX-Id: 00000000000000ff\r\nContent-Length: 6\r\n\r\npoison",
        );
        let _ = self.send(socket, told, &bytes).await;
        true
    }

    /// Sends a piece of an answer; whether that went well.
    async fn send(&self, socket: &Socket, told: &Told, bytes: &[u8]) -> bool {
        if !bytes.is_empty() {
            self.ledger.said(told.request.id, told.attempt);
        }
        socket.send(bytes).await.is_ok()
    }

    /// Whether it came whole.
    async fn read_content(&self, reader: &mut Reader, told: &Told, head: &Head) -> bool {
        let content = match framing(head, false, &head.start[0]) {
            Ok((framing, length)) => reader.content(framing, length).await,
            Err(broken) => Err(broken),
        };
        match content {
            Ok(content) => {
                self.ledger.uploaded(told.request.id, told.attempt, &content);
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
    async fn say(&self, socket: &Socket, rng: &mut Rng, told: &Told, at: usize) -> bool {
        let answer = &told.answer;
        let bytes = answer.bytes(rng, &told.request);
        let mut rest = &bytes[..at.min(bytes.len())];
        while !rest.is_empty() {
            let piece = if answer.pauses_ms > 0 {
                rest.len().min(1 + rng.below(20_000) as usize)
            } else {
                rest.len()
            };
            if !self.send(socket, told, &rest[..piece]).await {
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
