//! What a run leaves behind.

use crate::support::{Directory, OK, Origin, Server, counts, load, load_at_rate, load_json};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};
use std::time::Duration;

#[test]
fn json_has_the_fields_that_others_read() {
    let origin = Origin::start(&["--size", "1000"]);
    let json = load_json(0, &[&origin.url("/"), "--requests", "200", "--connections", "2"]);
    let names = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    let mut errors = names(&json["errors"]);
    errors.sort();
    assert_eq!(errors, ["body", "connect", "reset", "status", "timeout"]);
    for latency in ["latency_us", "uncorrected_latency_us"] {
        let mut fields = names(&json[latency]);
        fields.sort();
        assert_eq!(fields, ["max", "mean", "p50", "p90", "p99", "p99_9", "p99_99"]);
        let at = |name: &str| json[latency][name].as_f64().expect("a number");
        let values = ["p50", "p90", "p99", "p99_9", "p99_99", "max"].map(at);
        assert!(values.is_sorted() && values[0] > 0.0 && at("mean") <= at("max"), "{json}");
    }
    assert_eq!(json["requests"], 200);
    assert_eq!(json["intended_rate"], serde_json::Value::Null);
    assert_eq!(json["connections"], 2);
    assert!(json["bytes"].as_u64() > Some(200 * 1000));
    assert!(json["rate"].as_f64() > Some(0.0) && json["duration_s"].as_f64() > Some(0.0));
    assert!(json["cpu_s"]["user"].is_f64() && json["cpu_s"]["system"].is_f64());
    assert!((0.0..=1.0).contains(&json["busy"].as_f64().expect("a number")));
    assert!(json["warnings"].is_array());
    let json = load_at_rate(&[&origin.url("/"), "--requests", "200", "--rate", "1000"]);
    assert_eq!(json["intended_rate"], 1000.0);
}

#[test]
fn json_on_standard_output_is_alone_there() {
    let origin = Origin::start(&[]);
    let directory = Directory::new("alone");
    let html = directory.file("page.html");
    let outcome = load(&[&origin.url("/"), "--requests", "20", "--json", "-", "--html", &html]);
    assert_eq!((outcome.code(), outcome.stderr.as_str()), (0, ""));
    assert!(outcome.stdout.starts_with('{') && outcome.stdout.ends_with("}\n"), "{outcome:?}");
    assert_eq!(counts(&outcome.json()).0, 20);
}

#[test]
fn files_have_what_was_measured() {
    let server = Server::answering(|_, number| match number % 4 {
        0 => b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => OK.to_vec(),
    });
    let directory = Directory::new("files");
    let [json, html, hdr] = ["a.json", "b.html", "c.hdr"].map(|name| directory.file(name));
    let url = server.url("/?<script>&\"'");
    let outcome =
        load(&[&url, "--rate", "2000", "--requests", "400", "--json", &json, "--html", &html, "--hdr", &hdr]);
    assert_eq!(outcome.code(), if outcome.stderr.contains("not a URL") { 2 } else { 1 }, "{outcome:?}");
    let url = server.url("/?script");
    let more = ["--rate", "2000", "--requests", "400", "--json", &json, "--html", &html, "--hdr", &hdr];
    let outcome = load(&[&[url.as_str()], &more[..]].concat());
    assert_eq!(outcome.code(), 1, "{outcome:?}");
    assert!(outcome.stdout.contains("latency"), "{outcome:?}");
    let read = |path: &str| std::fs::read_to_string(path).expect("it is there");
    let json: serde_json::Value = serde_json::from_str(&read(&json)).expect("JSON");
    let (requests, errors) = counts(&json);
    assert_eq!((requests, errors), (300, vec![("status".to_owned(), 100)]));
    let html = read(&html);
    assert!(html.contains("<svg") && html.contains("p99.99") && !html.contains("NaN"), "{html}");
    let histogram = read_hdr(&read(&hdr));
    assert_eq!(histogram.len(), 300);
    let p99 = histogram.value_at_quantile(0.99) as f64 / 1e3;
    assert!((json["latency_us"]["p99"].as_f64().expect("a number") / p99 - 1.0).abs() < 0.01);
}

/// The histogram in a log that has one.
fn read_hdr(log: &str) -> Histogram<u64> {
    let histograms =
        IntervalLogIterator::new(log.as_bytes()).filter_map(|entry| match entry.expect("an entry") {
            LogEntry::Interval(interval) => {
                assert!(interval.duration() > Duration::ZERO);
                let bytes = BASE64_STANDARD.decode(interval.encoded_histogram()).expect("Base64");
                Some(Deserializer::new().deserialize(&mut bytes.as_slice()).expect("a histogram"))
            }
            _ => None,
        });
    let mut histograms: Vec<Histogram<u64>> = histograms.collect();
    assert_eq!(histograms.len(), 1);
    histograms.remove(0)
}

#[test]
fn a_closed_loop_has_one_kind_of_latency() {
    let origin = Origin::start(&[]);
    let outcome = load(&[&origin.url("/"), "--requests", "100"]);
    assert!(outcome.stdout.contains("since sent") && !outcome.stdout.contains("since due"), "{outcome:?}");
    let outcome = load(&[&origin.url("/"), "--requests", "100", "--rate", "1000"]);
    for word in ["since sent", "since due", "sent late", "of 1000/s"] {
        assert!(outcome.stdout.contains(word), "{word}: {outcome:?}");
    }
}

#[test]
fn a_stall_is_seen_by_an_open_loop() {
    // The origin answers nobody in the first half of each period of 400 ms: half of the requests wait, 100 ms on average.
    let origin = Origin::start(&["--stall", "200ms/400ms"]);
    let json = load_at_rate(&[&origin.url("/"), "--rate", "500", "--requests", "1000"]);
    let at =
        |json: &serde_json::Value, kind: &str, name: &str| json[kind][name].as_f64().expect("a number") / 1e3;
    // A tenth of the requests is due in the first 40 ms of a stall, and 2 % in the first 8 ms.
    let (p90, p99) = (at(&json, "latency_us", "p90"), at(&json, "latency_us", "p99"));
    assert!(p90 >= 155.0 && p99 >= 190.0, "{json}");
    // Four connections hide it from whoever counts from when a request was sent.
    let json = load_at_rate(&[&origin.url("/"), "--rate", "500", "--requests", "1000", "--connections", "4"]);
    let (since_due, since_sent) =
        (at(&json, "latency_us", "p90"), at(&json, "uncorrected_latency_us", "p90"));
    assert!(since_due >= 155.0 && since_sent < since_due / 2.0, "{json}");
}
