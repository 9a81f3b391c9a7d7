//! Header blocks of HTTP/2, as `corelane-codec` reads and writes them: of the first message on a connection, where
//! nearly all fields are literals, and of one of the same kind behind it, where few are.

use super::Course;
use corelane_codec::hpack::{Decoder, Encoder, Indexing, ListLimits, TABLE_BYTES_DEFAULT};
use std::hint::black_box;

/// 18 fields.
const BROWSER: &[(&str, &str)] = &[
    (":method", "GET"),
    (":authority", "shop.example.com"),
    (":scheme", "https"),
    (":path", "/products/4711/reviews?page=2&sort=newest"),
    ("cache-control", "max-age=0"),
    ("sec-ch-ua", "\"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("upgrade-insecure-requests", "1"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("referer", "https://shop.example.com/products/4711"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
    ("cookie", "session=0af7651916cd43dd8448eb211c80319c; theme=dark; consent=necessary"),
    ("priority", "u=0, i"),
];
const RESPONSE: &[(&str, &str)] = &[
    (":status", "200"),
    ("server", "nginx/1.22.1"),
    ("date", "Mon, 06 Jul 2026 10:00:00 GMT"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-length", "128"),
    ("last-modified", "Fri, 03 Jul 2026 08:00:00 GMT"),
    ("etag", "\"64a2f6b0-80\""),
    ("cache-control", "public, max-age=60"),
    ("accept-ranges", "bytes"),
    ("via", "2 corelane"),
];

pub(super) fn subjects(course: &mut Course) {
    for (name, fields) in [("a request head of a browser", BROWSER), ("a response head", RESPONSE)] {
        encode(course, name, fields);
        decode(course, name, fields);
    }
}

fn encoded(encoder: &mut Encoder, fields: &[(&str, &str)], out: &mut Vec<u8>) {
    let mut block = encoder.begin(out);
    for (name, value) in fields {
        block.field(name.as_bytes(), value.as_bytes(), Indexing::ByName);
    }
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> usize {
    let mut bytes = 0;
    decoder.begin(ListLimits::default());
    let result = decoder.decode(block, true, |field| {
        bytes += black_box(field).name.len() + field.value.len();
    });
    result.expect("the block is valid");
    bytes
}

fn encode(course: &mut Course, name: &str, fields: &[(&str, &str)]) {
    let mut state = (Encoder::default(), Vec::with_capacity(1 << 10));
    let first = |(encoder, out): &mut (Encoder, Vec<u8>)| {
        *encoder = Encoder::default();
        out.clear();
    };
    course.subject_of(format!("hpack: encode {name}, the first"), &mut state, first, |(encoder, out)| {
        encoded(encoder, black_box(fields), out);
        assert!(out.len() > 100);
    });
    let next = |(_, out): &mut (Encoder, Vec<u8>)| out.clear();
    course.subject_of(format!("hpack: encode {name}, the next"), &mut state, next, |(encoder, out)| {
        encoded(encoder, black_box(fields), out);
        assert!(out.len() < 150);
    });
}

fn decode(course: &mut Course, name: &str, fields: &[(&str, &str)]) {
    let (mut encoder, mut first, mut second, mut next) = (Encoder::default(), vec![], vec![], vec![]);
    encoded(&mut encoder, fields, &mut first);
    encoded(&mut encoder, fields, &mut second);
    encoded(&mut encoder, fields, &mut next);
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    let mut decoder = Decoder::new(TABLE_BYTES_DEFAULT);
    let fresh = |decoder: &mut Decoder| *decoder = Decoder::new(TABLE_BYTES_DEFAULT);
    course.subject_of(format!("hpack: decode {name}, the first"), &mut decoder, fresh, |decoder| {
        assert_eq!(decoded(decoder, black_box(&first)), bytes);
    });
    let mut decoder = Decoder::new(TABLE_BYTES_DEFAULT);
    assert_eq!((decoded(&mut decoder, &first), decoded(&mut decoder, &second)), (bytes, bytes));
    course.subject(format!("hpack: decode {name}, the next"), || {
        assert_eq!(decoded(&mut decoder, black_box(&next)), bytes);
    });
}
