//! What goes through a tunnel, and those at its ends.

use crate::{
    ledger::Ledger,
    spec::{Id, content},
    way::Way,
    wire::Reader,
};
use corelane_balancer::Rng;
use corelane_engine::simulate::{Socket, World};
use std::{cell::Cell, rc::Rc, time::Duration};

/// How long a tunnel may be silent, as the engine is told.
pub(crate) const IDLE: Duration = Duration::from_secs(30);
/// What its deadline may be late by.
const LATE: Duration = Duration::from_secs(1);
/// What it may seem to be early by: to a client that takes its time to read that it has a tunnel.
const EARLY: Duration = Duration::from_secs(5);
/// Half the longest pause between two pieces: an end that has heard the other's waits a moment for its own, and no longer.
const PAUSE_MS: u64 = 400;

/// How a tunnel ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client ends its half when it has sent everything; the origin does when it has heard that.
    Client,
    /// The other way round.
    Origin,
    /// Nobody does: it is silent until its time is up.
    Nobody,
    /// The client resets it, when it has sent everything.
    ClientResets,
    OriginResets,
}

/// What goes through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) up_bytes: usize,
    pub(crate) down_bytes: usize,
    /// Bytes that the client sends right behind its head.
    pub(crate) eager_bytes: usize,
    /// Bytes that the origin sends right behind its own.
    pub(crate) prompt_bytes: usize,
    pub(crate) pauses: bool,
    pub(crate) ending: Ending,
}

impl Script {
    /// One for a request that is dealt with in this way.
    pub(crate) fn draw(rng: &mut Rng, way: Way) -> Self {
        const ENDINGS: [Ending; 8] = [
            Ending::Client,
            Ending::Client,
            Ending::Origin,
            Ending::Origin,
            Ending::Nobody,
            Ending::Nobody,
            Ending::ClientResets,
            Ending::OriginResets,
        ];
        let bytes = |rng: &mut Rng| match rng.below(4) {
            0 => 0,
            1 | 2 => rng.below(2_000) as usize,
            _ => rng.below(150_000) as usize,
        };
        let up_bytes = bytes(rng);
        let down_bytes = if way == Way::Echo { up_bytes } else { bytes(rng) };
        let ending = match ENDINGS[rng.below(ENDINGS.len() as u64) as usize] {
            Ending::Origin if way == Way::Echo => Ending::Client,
            Ending::OriginResets if way == Way::Echo => Ending::ClientResets,
            ending => ending,
        };
        let part =
            |rng: &mut Rng, of: usize| if rng.below(3) == 0 { rng.below(1 + of as u64) as usize } else { 0 };
        Self {
            up_bytes,
            down_bytes,
            eager_bytes: part(rng, up_bytes.min(8_000)),
            prompt_bytes: part(rng, down_bytes.min(8_000)),
            pauses: rng.below(3) == 0,
            ending,
        }
    }

    /// What one side sends. It is no request: who sends it behind a switch that is refused must not have asked for more.
    pub(crate) fn bytes(&self, id: Id, way: Way, is_up: bool) -> Vec<u8> {
        // What is echoed is what was sent.
        let is_answer = !is_up && way != Way::Echo;
        let mut bytes = content(id, is_answer, if is_up { self.up_bytes } else { self.down_bytes });
        bytes.iter_mut().filter(|byte| **byte == b'G').for_each(|byte| *byte = 0x82);
        bytes
    }
}

/// One end of a tunnel.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) world: World,
    pub(crate) ledger: Rc<Ledger>,
    pub(crate) socket: Rc<Socket>,
    pub(crate) id: Id,
    pub(crate) way: Way,
    pub(crate) script: Script,
    pub(crate) is_client: bool,
    /// Nothing goes wrong but what the script says.
    pub(crate) is_calm: bool,
    /// When something last went through this end.
    pub(crate) moved: Rc<Cell<Duration>>,
}

impl Side {
    /// Sends what is to be sent, but for what has been sent with the head; then ends it, if it is the one who does.
    pub(crate) async fn send(&self, rng: &mut Rng) {
        let bytes = self.script.bytes(self.id, self.way, self.is_client);
        let sent = if self.is_client { self.script.eager_bytes } else { self.script.prompt_bytes };
        let mut rest = &bytes[sent.min(bytes.len())..];
        while !rest.is_empty() {
            let piece = rest.len().min(1 + rng.below(1 + bytes.len() as u64 / 4) as usize);
            if self.socket.send(&rest[..piece]).await.is_err() {
                return;
            }
            self.moved.set(self.world.now());
            rest = &rest[piece..];
            if self.script.pauses {
                self.world.sleep(Duration::from_millis(rng.below(PAUSE_MS))).await;
            }
        }
        match (self.script.ending, self.is_client) {
            (Ending::Client, true) => self.socket.end(),
            (Ending::Origin, false) => {
                // Who reads late that it has a tunnel is to say what it has to say: behind an end there is only a moment.
                self.world.sleep(EARLY).await;
                self.socket.end();
            }
            (Ending::ClientResets, true) | (Ending::OriginResets, false) => {
                // A reset may overtake what was sent, but the 101 is not to be lost by it.
                self.world.sleep(Duration::from_millis(PAUSE_MS)).await;
                self.socket.reset();
            }
            _ => {}
        }
    }

    /// Reads until the other side has ended, and says what it was.
    pub(crate) async fn receive(&self, reader: &mut Reader) {
        let expected = self.script.bytes(self.id, self.way, !self.is_client);
        let (mut received, mut is_whole) = (Vec::new(), false);
        self.moved.set(self.world.now());
        // More than there can be is looked at no further.
        while received.len() <= expected.len() {
            match reader.raw(&mut received).await {
                Ok(0) => {
                    is_whole = true;
                    break;
                }
                Ok(_) => self.moved.set(self.world.now()),
                Err(_) => break,
            }
        }
        self.judge(&expected, &received, is_whole);
        if self.is_client && self.is_calm && self.script.ending == Ending::Nobody {
            let silent = self.world.now().saturating_sub(self.moved.get());
            if silent < IDLE - EARLY || silent > IDLE + LATE {
                let what = format!("{:016x}: nothing went through the tunnel for {silent:?}", self.id);
                self.ledger.violate("tunnel idle", what);
            }
        }
    }

    fn judge(&self, expected: &[u8], received: &[u8], has_ended: bool) {
        let (id, got, of) = (self.id, received.len(), expected.len());
        let whom = if self.is_client { "client" } else { "origin" };
        if !expected.starts_with(received) {
            let what = format!("{id:016x}: the {whom} got {got} of {of} bytes, which are others");
            return self.ledger.violate("tunnel differs", what);
        }
        let is_cut = matches!(self.script.ending, Ending::ClientResets | Ending::OriginResets);
        if self.is_calm && !is_cut && !(has_ended && got == of) {
            let what = format!("{id:016x}: the {whom} got {got} of {of} bytes");
            self.ledger.violate("tunnel cut", what);
        }
    }
}
