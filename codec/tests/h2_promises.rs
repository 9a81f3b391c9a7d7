//! HTTP/2: what must hold for any bytes and any frames, with random ones. The same functions are what is fuzzed.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "h2/link.rs"]
mod link;
#[path = "h2/promises.rs"]
mod promises;

use corelane_codec::h2::Role;
use link::Dice;

/// Random bytes, of which many are small numbers, as they are in frames.
fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut dice = Dice::Seed(seed);
    (0..len).map(|_| if dice.below(2) == 0 { dice.below(256) } else { dice.below(10) } as u8).collect()
}

#[test]
fn any_bytes() {
    for seed in 0..3_000 {
        let input = random(seed, 10 + seed as usize % 300);
        promises::bytes(Role::Server, &input);
        promises::bytes(Role::Client, &input);
    }
}

#[test]
fn any_frames() {
    for seed in 0..3_000 {
        let input = random(seed, 500);
        promises::steps(Role::Server, &input);
        promises::steps(Role::Client, &input);
    }
}
