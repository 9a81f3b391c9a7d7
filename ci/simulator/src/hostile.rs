//! Clients that say what nobody may say. The numbers are those of docs/bad-inputs.md.

use crate::{
    cases::{CASES, Outcome, SCRAPS},
    ledger::{Ledger, count},
    spec::dice,
};
use corelane_balancer::Rng;
use corelane_engine::simulate::World;
use std::{net::SocketAddr, rc::Rc, time::Duration};

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
        let mut rng = dice(self.seed, self.number);
        self.world.sleep(Duration::from_micros(rng.below(2_000_000))).await;
        count(&self.ledger.tally.hostile);
        let (id, text, outcome) = CASES[rng.below(CASES.len() as u64) as usize];
        let canary = format!("GET /canary/{:x} HTTP/1.1\r\nHost: h\r\n\r\n", self.number);
        let mut bytes = text.replace("{c}", &canary).into_bytes();
        // One in four is changed in some place: then nobody knows what it is, and it must only do no harm.
        let is_changed = rng.below(4) == 0 && !bytes.is_empty();
        if is_changed {
            // Without its canaries: what is changed may be a request, and then they are, too.
            bytes.truncate(text.find("{c}").unwrap_or(bytes.len()).max(1));
            for _ in 0..=rng.below(3) {
                change(&mut rng, &mut bytes);
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
        let Outcome::Refused(statuses) = outcome else { return };
        let text = String::from_utf8_lossy(answer);
        let status = text.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()).unwrap_or(0);
        let is_one = text.matches("HTTP/1.1 ").count() == 1;
        if !statuses.contains(&status) || !is_one {
            self.ledger.violate("not refused", format!("{id} was answered {text:?}"));
        }
    }
}

/// Changes what is said in one place.
fn change(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.below(bytes.len() as u64) as usize;
    let end = (at + 1 + rng.below(30) as usize).min(bytes.len());
    match rng.below(5) {
        0 if bytes.len() > end - at => drop(bytes.drain(at..end)),
        1 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        2 | 3 => {
            let scrap = SCRAPS[rng.below(SCRAPS.len() as u64) as usize];
            bytes.splice(at..at, scrap.bytes());
        }
        _ => bytes[at] = rng.next() as u8,
    }
}
