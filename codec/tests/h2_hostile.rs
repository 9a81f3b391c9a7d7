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
        assert!(sum.frames > 20 * seeds && sum.stream_errors > seeds && sum.messages > seeds / 4, "{sum:?}");
        assert!(ends > seeds / 4 && sum.content > 3_000 * seeds);
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

/// How often each of some floods may come again, and what it costs: ten times as much input costs no more than ten times
/// as much time, whatever has come before. Time is of this thread's own use of a CPU, and the best of some runs.
#[test]
fn i7_what_comes_costs_what_it_is_long() {
    for (name, flood) in floods() {
        let cost = |times: usize| {
            let best = (0..5).map(|_| {
                let mut config = Config::default();
                config.budgets = generous();
                config.streams_max = 1 << 20;
                config.heap_bytes_max = 1 << 30;
                let mut side = h2::Side::server_with(config, h2::Cut::Whole);
                let all: Vec<Vec<u8>> = (0..times as u32).map(&flood).collect();
                let before = cpu_time();
                for bytes in &all {
                    side.feed(bytes);
                    side.out.clear();
                    side.said.clear();
                }
                side.assert_alive();
                cpu_time() - before
            });
            best.min().unwrap()
        };
        let (one, ten) = (cost(400), cost(4_000));
        assert!(ten < one * 25, "{name}: {one:?}, then {ten:?}");
    }
}

type Flood = Box<dyn Fn(u32) -> Vec<u8>>;

/// What is sent again and again, by its number.
fn floods() -> Vec<(&'static str, Flood)> {
    use h2::*;
    vec![
        ("streams that stay", Box::new(|n| headers(2 * n + 1, POST, 0))),
        ("streams that are reset", {
            let cancel = corelane_codec::h2::Code::CANCEL;
            Box::new(move |n| [headers(2 * n + 1, GET, END_STREAM), reset(2 * n + 1, cancel)].concat())
        }),
        ("malformed requests", Box::new(|n| headers(2 * n + 1, &[(":path", "")], END_STREAM))),
        ("identifiers that meet in one place", Box::new(|n| headers((n << 12) | 1, POST, 0))),
        (
            "late frames",
            Box::new(|n| {
                let old = headers(2 * n + 1, &[(":path", "")], 0);
                [old, data(2 * (n / 2) + 1, b"x", 0)].concat()
            }),
        ),
        (
            "window updates",
            Box::new(|n| {
                [headers(2 * n + 1, GET, END_STREAM), window_update(1, 1), window_update(2 * n + 1, 1)]
                    .concat()
            }),
        ),
        (
            "priorities",
            Box::new(|n| {
                let value = [&(2 * (n / 2) + 1).to_be_bytes()[..], b"u=1"].concat();
                [headers(2 * n + 1, GET, END_STREAM), frame(PRIORITY_UPDATE, 0, 0, &value)].concat()
            }),
        ),
        ("crumbs", Box::new(|n| headers(2 * n + 1, &[GET, &[("cookie", "a"); 100]].concat(), END_STREAM))),
    ]
}

fn cpu_time() -> std::time::Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes to what it is given.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0);
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
