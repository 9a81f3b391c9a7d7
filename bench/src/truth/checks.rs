//! What is measured, and what arithmetic says of it.

use super::{
    child::{Bench, Latency, Measured},
    table::{Prediction, Table},
};
use crate::{failure::Failure, print};

/// The standard normal distribution's 99th percentile.
const Z99: f64 = 2.326_347_874;

/// How much is measured.
pub(super) struct Extent {
    /// Of each run on an origin that stalls; whole seconds, as the stalls'.
    stall_seconds: u32,
    /// Divides the requests of a distribution.
    requests_divisor: u32,
    /// Multiplies tolerances where chance plays a part.
    tolerance: f64,
    /// Rounds of the service times.
    rounds: usize,
}

impl Extent {
    pub(super) const FULL: Self = Self { stall_seconds: 20, requests_divisor: 1, tolerance: 1.0, rounds: 21 };
    pub(super) const QUICK: Self = Self { stall_seconds: 5, requests_divisor: 4, tolerance: 2.0, rounds: 7 };
}

/// How far off the percentiles of a stall may be.
const STALL_TOLERANCE: f64 = 0.05;
/// Requests per second on an origin that stalls: 200 are due in each stall.
const STALL_RATE: &str = "2000";

/// An origin that answers nobody for 100 ms in every second. Of requests that are due at a constant rate a tenth is due in a
/// stall and waits for its end, for anything up to 100 ms alike: 1 % waits for 90 ms or more, and 0.1 % for 99 ms or more.
/// A closed loop sends nothing while its connections wait: each is hit by a stall once, whatever it would have sent.
pub(super) fn stalls(bench: &Bench, extent: &Extent, table: &mut Table) -> Result<(), Failure> {
    let origin = bench.origin(&["--stall", "100ms/1s"])?;
    let duration = format!("{}s", extent.stall_seconds);
    let run = |more: &[&str]| bench.load(&origin.url, &[&["--duration", &duration], more].concat());
    let near = |millis: f64| Prediction::Near(millis * 1e3, STALL_TOLERANCE);
    let unseen = Prediction::Below(9e3);

    let name = "stall, open loop";
    let open = run(&["--rate", STALL_RATE])?;
    table.warn(name, &open.warnings);
    print(&table.check(&format!("{name}: p99"), near(90.0), open.latency_us.p99))?;
    print(&table.check(&format!("{name}: p99.9"), near(99.0), open.latency_us.p99_9))?;

    // That all are busy in a stall is the point: what it warns of is what is predicted.
    let name = "stall, open loop on 8 connections, since due";
    let few = run(&["--rate", STALL_RATE, "--connections", "8"])?;
    print(&table.check(&format!("{name}: p99"), near(90.0), few.latency_us.p99))?;
    print(&table.check(&format!("{name}: p99.9"), near(99.0), few.latency_us.p99_9))?;
    print(&table.check("the same, since sent: p99 (hidden)", unseen, few.uncorrected_latency_us.p99))?;

    let closed = run(&["--connections", "64"])?;
    print(&table.check("stall, closed loop, 64 connections: p99 (hidden)", unseen, closed.latency_us.p99))
}

/// A distribution of delays.
struct Distribution {
    name: &'static str,
    /// As `origin` reads it.
    delay: &'static str,
    /// Its median and its 99th percentile, in microseconds.
    quantiles: [f64; 2],
    /// So many that chance moves the 99th percentile by 0.5 % at most (one standard deviation, √(p(1-p)/n)/f).
    requests: u32,
}

/// How far off the percentiles of a distribution may be.
const DELAY_TOLERANCE: f64 = 0.02;
const DELAY_RATE: &str = "8000";
const MEDIAN_MICROS: f64 = 40_000.0;

fn distributions() -> [Distribution; 4] {
    let of = |name, delay, quantiles: [f64; 2], requests| Distribution {
        name,
        delay,
        quantiles: quantiles.map(|factor| factor * MEDIAN_MICROS),
        requests,
    };
    [
        of("fixed, 40 ms", "40ms", [1.0, 1.0], 24_000),
        of("normal, 40 ms ± 4 ms", "normal:40ms,4ms", [1.0, 1.0 + 0.1 * Z99], 24_000),
        of("long tail, 40 ms, sigma 0.5", "longtail:40ms,0.5", [1.0, (0.5 * Z99).exp()], 140_000),
        of("exponential, 40 ms", "exponential:40ms", [2f64.ln(), 100f64.ln()], 190_000),
    ]
}

/// Delays whose distribution is known, over the round trip without one: its median, measured just before at the same rate,
/// is added to what is predicted. It is a few thousandths of that. What a busy machine adds beyond it is not known, and not
/// taken off: it is what this is to find.
pub(super) fn delays(bench: &Bench, extent: &Extent, table: &mut Table) -> Result<(), Failure> {
    let origin = bench.origin(&[])?;
    let run = |query: &str, requests: u32| -> Result<Measured, Failure> {
        let requests = (requests / extent.requests_divisor).to_string();
        let more = ["--rate", DELAY_RATE, "--warmup", "1s", "--requests", &requests];
        bench.load(&format!("{}/?{query}", origin.url), &more)
    };
    let round_trip = run("", 24_000)?.latency_us.p50;
    let tolerance = DELAY_TOLERANCE * extent.tolerance;
    for Distribution { name, delay, quantiles: [median, high], requests } in distributions() {
        let Measured { latency_us: Latency { p50, p99, .. }, warnings, .. } =
            run(&format!("delay={delay}"), requests)?;
        table.warn(name, &warnings);
        let near = |micros: f64| Prediction::Near(micros, tolerance);
        print(&table.check(&format!("{name}: p50"), near(median + round_trip), p50))?;
        print(&table.check(&format!("{name}: p99"), near(high + round_trip), p99))?;
    }
    Ok(())
}

/// How far off the difference of two medians may be where both have waited for a timer, and where only one has: then the
/// wake-up is in it.
const STEP_TOLERANCE: f64 = 0.25;
const FIRST_STEP_TOLERANCE: f64 = 0.6;

/// Service times of 50 and 100 µs beside none, round by round: what is coarser than they are, at either end, would show
/// them as nothing, or as a step of its own.
pub(super) fn service_times(bench: &Bench, extent: &Extent, table: &mut Table) -> Result<(), Failure> {
    let origin = bench.origin(&[])?;
    let median_of = |delay: &str| -> Result<f64, Failure> {
        let query = format!("{}/?{delay}", origin.url);
        let more = ["--rate", "1000", "--warmup", "100ms", "--duration", "300ms", "--connections", "4"];
        Ok(bench.load(&query, &more)?.latency_us.p50)
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        let [none, short, long] = [median_of("")?, median_of("delay=50us")?, median_of("delay=100us")?];
        first.push(short - none);
        second.push(long - short);
    }
    let first_step = Prediction::Near(50.0, FIRST_STEP_TOLERANCE);
    print(&table.check("service time of 50 µs, less none: p50", first_step, median(first)))?;
    let step = Prediction::Near(50.0, STEP_TOLERANCE);
    print(&table.check("service time of 100 µs, less 50 µs: p50", step, median(second)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_moves_a_percentile_by_half_a_percent() {
        // The density at the 99th percentile, by the percentile: of a normal, a long tail, an exponential.
        let bell = (-Z99 * Z99 / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let density = |distribution: &Distribution| {
            let p99 = distribution.quantiles[1] / MEDIAN_MICROS;
            match distribution.delay.split(':').next() {
                Some("normal") => Some(bell / 0.1 * p99),
                Some("longtail") => Some(bell / 0.5),
                Some("exponential") => Some(0.01 * p99),
                _ => None,
            }
        };
        for distribution in distributions() {
            let Some(density) = density(&distribution) else { continue };
            let deviation = (0.99 * 0.01 / f64::from(distribution.requests)).sqrt() / density;
            assert!(deviation <= 0.00502, "{}: {deviation}", distribution.name);
        }
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }
}
