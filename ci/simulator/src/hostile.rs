//! Clients that say what nobody may say. The numbers are those of docs/bad-inputs.md.

use crate::ledger::{Ledger, count};
use corelane_balancer::Rng;
use corelane_engine::simulate::World;
use std::{net::SocketAddr, rc::Rc, time::Duration};

/// What becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Refused by one of these; nobody hears of it.
    Refused(&'static [u16]),
    /// Nobody can say: what comes of it must only be no harm.
    Open,
}

use Outcome::Refused;

const R400: Outcome = Refused(&[400]);

/// `{c}` stands for a canary: a request that nobody may take for one.
const CASES: &[(&str, &str, Outcome)] = &[
    (
        "H1Q-01",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{c}",
        R400,
    ),
    (
        "H1Q-03",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{c}",
        R400,
    ),
    (
        "H1Q-04",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{c}",
        Refused(&[501]),
    ),
    (
        "H1Q-05",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n{c}",
        Refused(&[400, 501]),
    ),
    ("H1Q-06", "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{c}", R400),
    ("H1Q-07", "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{c}", R400),
    ("H1Q-11", "POST /h/ HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{c}", R400),
    ("H1Q-12", "POST /h/ HTTP/1.0\r\nHost: h\r\n\r\n{c}", Outcome::Open),
    ("H1Q-13", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 31\r\n\r\n{c}", R400),
    ("H1Q-15", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n{c}", R400),
    ("H1Q-17", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\n{c}", R400),
    ("H1Q-20", "GET /h/ HTTP/1.1\nHost: h\n\n{c}", R400),
    ("H1Q-21", "GET /h/ HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n{c}", R400),
    ("H1Q-22", "GET /h/ HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n{c}", R400),
    ("H1Q-23", "GET /h/ HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n{c}", R400),
    ("H1Q-24", "GET /h/ HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n{c}", R400),
    ("H1Q-36", "GET /h/ HTTP/1.1\r\nHost: h\r\n Content-Length: 40\r\n\r\n{c}", R400),
    (
        "H1Q-45",
        "GET /h/ HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 40\r\n\r\n{c}",
        Outcome::Open,
    ),
    ("H1Q-48", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n{c}", Refused(&[405])),
    ("H1Q-49", "GET /h/ HTTP/1.1\r\nHost: h\r\nConnection: Content-Length, Host\r\n\r\n{c}", R400),
    ("H1Q-51", "GET /h/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{c}", R400),
    ("H1Q-54", "GET  /h/ HTTP/1.1\r\nHost: h\r\n\r\n{c}", R400),
    ("H1Q-55", "GET /h/\\x HTTP/1.1\r\nHost: h\r\n\r\n{c}", R400),
    ("H1Q-58", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent_Length: 40\r\n\r\n{c}", R400),
    ("H1Q-61", "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03", R400),
    ("H1Q-63", "GET /h/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n{c}", Outcome::Open),
    (
        "H1Q-66",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\x00{c}",
        Outcome::Open,
    ),
    (
        "H1Q-25",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n{c}",
        Outcome::Open,
    ),
    (
        "H1Q-27",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n{c}",
        Outcome::Open,
    ),
    (
        "H1Q-28",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\n{c}",
        Outcome::Open,
    ),
    (
        "H1Q-33",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        Outcome::Open,
    ),
    ("SLO-01", "GET /h/ HTTP/1.1\r\nHost: h\r\nX-Slow: ", Outcome::Open),
    ("SLO-02", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\nx", Outcome::Open),
    ("SLO-04", "", Outcome::Open),
];

/// A hostile client.
pub(crate) struct Hostile {
    pub(crate) world: World,
    pub(crate) ledger: Rc<Ledger>,
    pub(crate) to: SocketAddr,
    pub(crate) number: u64,
    pub(crate) seed: u64,
    /// Nothing breaks but what it breaks.
    pub(crate) is_calm: bool,
}

impl Hostile {
    pub(crate) async fn run(self) {
        let mut rng = Rng::new(self.seed ^ self.number.wrapping_mul(0xd134_2543_de82_ef95));
        self.world.sleep(Duration::from_micros(rng.below(2_000_000))).await;
        count(&self.ledger.tally.hostile);
        let (id, text, outcome) = CASES[rng.below(CASES.len() as u64) as usize];
        let canary = format!("GET /canary/{:x} HTTP/1.1\r\nHost: h\r\n\r\n", self.number);
        let mut bytes = text.replace("{c}", &canary).into_bytes();
        // One in four is changed in some place: then nobody knows what it is, and it must only do no harm.
        let is_changed = rng.below(4) == 0 && !bytes.is_empty();
        if is_changed {
            bytes.truncate(
                bytes.len().saturating_sub(if text.contains("{c}") { canary.len() } else { 0 }).max(1),
            );
            for _ in 0..=rng.below(3) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = rng.next() as u8;
            }
        }
        let Ok(socket) = self.world.connect(self.to).await else { return };
        let is_torn = rng.below(3) == 0;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let piece = if is_torn { 1 + rng.below(rest.len().min(40) as u64) as usize } else { rest.len() };
            if socket.send(&rest[..piece]).await.is_err() {
                break;
            }
            rest = &rest[piece..];
            if is_torn {
                self.world.sleep(Duration::from_micros(rng.below(3_000))).await;
            }
        }
        let mut answer = Vec::new();
        let began = self.world.now();
        while socket.receive(&mut answer).await.is_ok_and(|count| count > 0) {}
        let waited = self.world.now().saturating_sub(began);
        if self.is_calm && waited > Duration::from_secs(300) {
            self.ledger.violate("stuck", format!("{id}: the connection was open for {waited:?}"));
        }
        if self.is_calm && !is_changed {
            self.judge(id, outcome, &answer);
        }
    }

    fn judge(&self, id: &str, outcome: Outcome, answer: &[u8]) {
        let Refused(statuses) = outcome else { return };
        let text = String::from_utf8_lossy(answer);
        let status = text.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()).unwrap_or(0);
        let is_one = text.matches("HTTP/1.1 ").count() == 1;
        if !statuses.contains(&status) || !is_one {
            self.ledger.violate("not refused", format!("{id} was answered {text:?}"));
        }
    }
}
