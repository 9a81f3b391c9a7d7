//! Two of our connections with each other, over a link that delays everything, under a clock of its own.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "h2/link.rs"]
mod link;

use corelane_codec::h2::Config;
use link::{Dice, run};

#[test]
fn random_exchanges_come_as_they_were_sent() {
    let mut sum = (0, 0, 0);
    for seed in 0..60 {
        let outcome = run(&Config::default(), 100, &mut Dice::Seed(seed));
        assert_eq!(outcome.opened, 100, "seed {seed}");
        sum.0 += outcome.responses;
        sum.1 += outcome.resets;
        sum.2 += outcome.pongs;
    }
    // It is about something: most come through, some are given up.
    assert!(sum.0 > 4_000 && sum.1 > 200 && sum.2 > 100, "{sum:?}");
}

#[test]
fn with_windows_and_limits_of_every_size() {
    for seed in 0..40 {
        let mut dice = Dice::Seed(seed);
        let mut config = Config::default();
        config.streams_max = 1 + dice.below(20) as u32;
        config.stream_window_bytes = [0x4000, 65_535, 100, 1 << 20][dice.below(4)];
        config.connection_window_bytes = [65_535, 1 << 20][dice.below(2)];
        config.frame_bytes_max = [16_384, 1 << 20][dice.below(2)];
        config.table_bytes_max = [0, 100, 4_096, 65_536][dice.below(4)];
        config.heap_bytes_max = 4 << 20;
        let outcome = run(&config, 40, &mut dice);
        assert_eq!(outcome.opened, 40, "seed {seed}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let one = run(&Config::default(), 50, &mut Dice::Seed(7));
    assert_eq!(run(&Config::default(), 50, &mut Dice::Seed(7)), one);
}

#[test]
fn choices_may_come_from_bytes() {
    let bytes: Vec<u8> = (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert_eq!(run(&Config::default(), 20, &mut Dice::Bytes(&bytes)).opened, 20);
    assert_eq!(run(&Config::default(), 5, &mut Dice::Bytes(b"")).opened, 5);
}
