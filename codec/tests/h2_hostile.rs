//! A peer that sends anything in any order, cut anywhere, against a second account of what RFC 9113 says of it.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "h2/counting.rs"]
mod counting;
mod h2;
#[path = "h2/link.rs"]
mod link;
#[path = "h2/model.rs"]
mod model;

use corelane_codec::h2::{Allowance, Budgets, Config, Role};
use link::Dice;
use model::{Model, Outcome};

/// Budgets that end nothing, so that runs are long.
fn generous() -> Budgets {
    let mut budgets = Budgets::default();
    let much = Allowance { burst: u32::MAX, per_s: 0 };
    for allowance in [
        &mut budgets.empty_frames,
        &mut budgets.settings,
        &mut budgets.pings,
        &mut budgets.ignored_frames,
        &mut budgets.window_updates,
        &mut budgets.late_frames,
        &mut budgets.refused_streams,
        &mut budgets.dribbles,
    ] {
        *allowance = much;
    }
    budgets.resets_per_s_max = u32::MAX;
    budgets
}

fn run(role: Role, seed: u64, strict: bool) -> Outcome {
    let mut dice = Dice::Seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut config = Config::default();
    if !strict {
        config.budgets = generous();
        config.heap_bytes_max = 1 << 20;
    }
    config.streams_max = [3, 10, 100][dice.below(3)];
    config.stream_window_bytes = [65_535, 20_000, 100_000][dice.below(3)];
    config.connection_window_bytes = [65_535, 128 << 10][dice.below(2)];
    let mut model = Model::new(role, config, strict, &mut dice);
    model.run(400);
    model.outcome
}

fn all(seeds: std::ops::Range<u64>, strict: bool) {
    for role in [Role::Server, Role::Client] {
        let mut sum = Outcome::default();
        let mut ends = 0;
        for seed in seeds.clone() {
            let outcome = std::panic::catch_unwind(|| run(role, seed, strict))
                .unwrap_or_else(|_| panic!("{role:?}, seed {seed}"));
            sum.frames += outcome.frames;
            sum.stream_errors += outcome.stream_errors;
            sum.messages += outcome.messages;
            sum.content += outcome.content;
            ends += usize::from(outcome.connection_error);
        }
        println!("{role:?}: {sum:?}, {ends} connections ended");
        // It is about something of each kind.
        let seeds = seeds.clone().count();
        assert!(sum.frames > 20 * seeds && sum.stream_errors > seeds && sum.messages > seeds / 2, "{sum:?}");
        assert!(ends > seeds / 4 && sum.content > 5_000 * seeds);
    }
}

#[test]
fn h2_40_whatever_a_peer_sends_the_connection_does_what_the_rfc_says() {
    all(0..400, false);
}

#[test]
fn h2_40_so_it_does_within_the_budgets() {
    all(10_000..10_200, true);
}
