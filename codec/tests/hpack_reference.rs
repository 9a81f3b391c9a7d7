//! Others understand what we encode, we understand what others encode, and we refuse what they refuse: with the crate
//! `loona-hpack`, and with nghttp2 where the system has its library (Debian: `libnghttp2-14`, which comes with curl).
#![allow(clippy::unwrap_used, reason = "a test may")]

mod hpack;
mod nghttp2;

use corelane_codec::hpack::{Decoder, Encoder, Huffman, Indexing, ListLimits, Policy};
use nghttp2::{Deflater, Inflater, Library, Line};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What happens on one direction of a connection.
#[derive(Debug, Clone)]
enum Step {
    Block(Vec<Line>),
    /// Whoever decodes allows so much, and whoever encodes knows it.
    TableBytes(usize),
}

fn line() -> impl Strategy<Value = Line> {
    let name = prop_oneof![
        4 => select(vec![
            ":method", ":path", ":status", ":authority", "accept", "authorization", "cookie", "content-length", "date", "etag",
            "set-cookie", "user-agent", "via", "x-a", "x-b", "x-request-id",
        ]).prop_map(|name| name.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..20),
    ];
    let value = prop_oneof![
        select(vec![
            "",
            "GET",
            "200",
            "/",
            "a",
            "gzip, deflate",
            "Mon, 21 Oct 2013 20:13:21 GMT",
            "0123456789abcdefghij"
        ])
        .prop_map(|value| value.as_bytes().to_vec()),
        "[ -~]{0,60}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..60),
        (any::<u8>(), 100_usize..5000).prop_map(|(byte, len)| vec![byte; len]),
    ];
    (name, value, proptest::bool::weighted(0.1))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![Just(0), Just(4096), 0_usize..200, 0_usize..6000, Just(65_536)];
    vec(
        prop_oneof![4 => vec(line(), 0..12).prop_map(Step::Block), 1 => bytes.prop_map(Step::TableBytes)],
        1..20,
    )
}

fn limits() -> ListLimits {
    ListLimits { bytes_max: usize::MAX, fields_max: usize::MAX }
}

fn policy() -> impl Strategy<Value = Policy> {
    let huffman = select(vec![Huffman::Never, Huffman::Shorter, Huffman::NotLonger]);
    (huffman, select(vec![0, 100, 4096, 10_000])).prop_map(|(huffman, table_bytes_max)| Policy {
        huffman,
        table_bytes_max,
        ..Policy::default()
    })
}

fn encode(encoder: &mut Encoder, lines: &[Line]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = encoder.begin(&mut out);
    for (name, value, secret) in lines {
        block.field(name, value, if *secret { Indexing::Never } else { Indexing::ByName });
    }
    out
}

fn decode(decoder: &mut Decoder, block: &[u8], by: usize) -> (Vec<Line>, bool) {
    let fragments: Vec<&[u8]> = block.chunks(by).collect();
    let transcript = hpack::decode(decoder, limits(), &fragments);
    let fields = transcript.fields.into_iter().map(|field| (field.name, field.value, field.never_indexed));
    (fields.collect(), transcript.error.is_none())
}

/// With the mark that an encoder sets by itself.
fn marked(lines: &[Line], policy: &Policy) -> Vec<Line> {
    let is_secret = |(name, value, secret): &Line| match &name[..] {
        b"authorization" | b"set-cookie" => true,
        b"cookie" => *secret || value.len() < policy.cookie_bytes_min,
        _ => *secret,
    };
    lines.iter().map(|line| (line.0.clone(), line.1.clone(), is_secret(line))).collect()
}

#[track_caller]
fn nghttp2() -> Option<Library> {
    let library = Library::open();
    if library.is_none() {
        eprintln!("skipped: no libnghttp2.so.14 (Debian: libnghttp2-14)");
    }
    library
}

#[test]
fn the_static_table_is_that_of_others() {
    let block: Vec<u8> = (1..=61).map(|index| 0x80 | index).collect();
    let (ours, _) = decode(&mut Decoder::new(4096), &block, 100);
    let theirs = loona_hpack::Decoder::new().decode(&block).unwrap();
    assert!(ours.iter().map(|line| (&line.0, &line.1)).eq(theirs.iter().map(|(name, value)| (name, value))));
    if let Some(library) = nghttp2() {
        assert_eq!(Inflater::new(library).decode(&block), (ours, true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn we_understand_ourselves(steps in steps(), policy in policy(), by in 1_usize..2000) {
        let (mut encoder, mut decoder) = (Encoder::new(policy), Decoder::new(4096));
        for step in &steps {
            match step {
                Step::TableBytes(bytes) => {
                    encoder.set_peer_table_bytes(*bytes);
                    decoder.set_table_bytes_max(*bytes);
                }
                Step::Block(lines) => {
                    let block = encode(&mut encoder, lines);
                    prop_assert_eq!(decode(&mut decoder, &block, by), (marked(lines, &policy), true));
                    prop_assert_eq!(encoder.table_bytes(), decoder.table_bytes());
                }
            }
        }
    }

    #[test]
    fn loona_understands_us(steps in steps(), policy in policy()) {
        let (mut encoder, mut decoder) = (Encoder::new(policy), loona_hpack::Decoder::new());
        decoder.set_max_allowed_table_size(4096);
        for step in &steps {
            match step {
                Step::TableBytes(bytes) => {
                    encoder.set_peer_table_bytes(*bytes);
                    decoder.set_max_allowed_table_size(*bytes);
                }
                // A block of size updates alone is refused there; it is legal, and nobody sends it.
                Step::Block(lines) if lines.is_empty() => {}
                Step::Block(lines) => {
                    let block = encode(&mut encoder, lines);
                    let expected: Vec<_> = lines.iter().map(|line| (line.0.clone(), line.1.clone())).collect();
                    prop_assert_eq!(decoder.decode(&block).unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn we_understand_loona(blocks in vec(vec(line(), 0..12), 1..20), by in 1_usize..2000) {
        let (mut encoder, mut decoder) = (loona_hpack::Encoder::new(), Decoder::new(4096));
        for lines in &blocks {
            let block = encoder.encode(lines.iter().map(|line| (&line.0[..], &line.1[..])));
            let expected = lines.iter().map(|line| (line.0.clone(), line.1.clone(), false)).collect();
            prop_assert_eq!(decode(&mut decoder, &block, by), (expected, true));
        }
    }

    #[test]
    fn nghttp2_understands_us(steps in steps(), policy in policy()) {
        let Some(library) = nghttp2() else { return Ok(()) };
        let (mut encoder, mut decoder) = (Encoder::new(policy), Inflater::new(library));
        for step in &steps {
            match step {
                Step::TableBytes(bytes) => {
                    encoder.set_peer_table_bytes(*bytes);
                    decoder.set_table_bytes_max(*bytes);
                }
                Step::Block(lines) => {
                    let block = encode(&mut encoder, lines);
                    prop_assert_eq!(decoder.decode(&block), (marked(lines, &policy), true));
                }
            }
        }
    }

    #[test]
    fn we_understand_nghttp2(steps in steps(), own in select(vec![0, 100, 4096, 10_000]), by in 1_usize..2000) {
        let Some(library) = nghttp2() else { return Ok(()) };
        let (mut encoder, mut decoder) = (Deflater::new(library, own), Decoder::new(4096));
        for step in &steps {
            match step {
                Step::TableBytes(bytes) => {
                    encoder.set_peer_table_bytes(*bytes);
                    decoder.set_table_bytes_max(*bytes);
                }
                Step::Block(lines) => {
                    let block = encoder.encode(lines);
                    let (fields, is_fine) = decode(&mut decoder, &block, by);
                    prop_assert!(is_fine);
                    prop_assert_eq!(fields.len(), lines.len());
                    for ((name, value, secret), line) in fields.iter().zip(lines) {
                        prop_assert_eq!((name, value), (&line.0, &line.1));
                        prop_assert!(*secret || !line.2);
                    }
                }
            }
        }
    }

    /// Blocks that are nearly in order: each is refused by both, or means the same to both.
    #[test]
    fn we_refuse_what_nghttp2_refuses(
        lines in vec(line(), 1..6), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), by in 1_usize..200,
        prefix in vec(any::<u8>(), 0..6),
    ) {
        let Some(library) = nghttp2() else { return Ok(()) };
        let mut block = Deflater::new(library, 4096).encode(&lines);
        for (at, octet) in changes {
            *at.get_mut(&mut block) = octet;
        }
        for block in [&block[..], &[&prefix[..], &block].concat(), &prefix] {
            same_as_nghttp2(library, block, by)?;
        }
    }

    #[test]
    fn we_take_any_octets_as_nghttp2_does(block in vec(any::<u8>(), 0..60), by in 1_usize..60) {
        let Some(library) = nghttp2() else { return Ok(()) };
        same_as_nghttp2(library, &block, by)?;
    }
}

fn same_as_nghttp2(library: Library, block: &[u8], by: usize) -> Result<(), TestCaseError> {
    let theirs = Inflater::new(library).decode(block);
    let ours = decode(&mut Decoder::new(4096), block, by);
    prop_assert_eq!(ours, theirs, "{:x?}", block);
    Ok(())
}
