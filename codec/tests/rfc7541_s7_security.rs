//! RFC 7541 §7: what can be probed, what a decoder may be made to hold, and limits.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod hpack;

use corelane_codec::hpack::{
    Charged, Decoder, Encoder, Error, Indexing, ListLimits, Overrun, TABLE_BYTES_MAX,
};
use hpack::{Said, Script, decode, encode, fields, said};

/// §7.1.3: "An intermediary MUST NOT re-encode a value that uses the never-indexed literal representation with another
/// representation that would index it."
#[test]
fn s7_1_3_a_never_indexed_value_must_not_be_indexed_by_the_next_hop() {
    // What an intermediary does: each field goes on with the mark that it came with.
    let mut encoder = Encoder::default();
    let came = fields(b"\x10\x01k\x06secret\x00\x01l\x06public");
    for _ in 0..3 {
        let mut out = Vec::new();
        let mut block = encoder.begin(&mut out);
        for Said { name, value, never_indexed } in &came {
            block.field(name, value, if *never_indexed { Indexing::Never } else { Indexing::ByName });
        }
        assert_eq!(fields_after(&out), came);
        assert_eq!(encoder.table_bytes(), said_size("l", "public"));
    }
}

/// §7.1.3: what is a secret by its name is one although it came as another kind of field before, in the same place.
#[test]
fn s7_1_3_a_secret_is_none_because_it_comes_again() {
    for name in ["authorization", "cookie"] {
        let mut encoder = Encoder::default();
        let one = |encoder: &mut Encoder, indexing| {
            let mut out = Vec::new();
            let mut block = encoder.begin(&mut out);
            block.field(b":method", b"GET", Indexing::ByName);
            block.field(name.as_bytes(), b"abc", indexing);
            out
        };
        assert_eq!(one(&mut encoder, Indexing::Incremental)[1] & 0xc0, 0x40);
        for _ in 0..2 {
            assert_eq!(one(&mut encoder, Indexing::Incremental)[1], 0x80 | 62);
            assert_eq!(one(&mut encoder, Indexing::ByName)[1] & 0xf0, 0x10);
            assert_eq!(one(&mut encoder, Indexing::Never)[1] & 0xf0, 0x10);
        }
    }
}

fn said_size(name: &str, value: &str) -> usize {
    name.len() + value.len() + 32
}

/// Of a block whose one entry is `l: public`.
fn fields_after(block: &[u8]) -> Vec<Said> {
    let script = Script::new().block(b"\x40\x01l\x06public").block(block);
    script.last().all()
}

/// §7.3: the memory of a decoder is bounded by the size of its table, and of the fields that it gives out.
#[test]
fn s7_3_a_decoder_holds_no_more_than_it_says() {
    for (table_bytes_max, bytes_max) in [(4096, 32 << 10), (0, 1000), (65_536, 100)] {
        let limits = ListLimits { bytes_max, fields_max: 128 };
        let most = table_bytes_max * 9 / 4 + table_bytes_max.max(bytes_max) * 3 / 2 + 3072;
        for (first, text) in [(0x40, b"X"), (0x00, b"X"), (0x10, b"0")] {
            for coded in [0x00, 0x80] {
                let mut decoder = Decoder::new(table_bytes_max);
                // Names and values of 1 MiB, and of half of what is allowed.
                for len in [1 << 20, bytes_max / 2, table_bytes_max / 2] {
                    let mut string = length(coded, len);
                    // In a code of bytes of which each is a code.
                    string.extend(if coded == 0 { text.repeat(len) } else { b"\xf8".repeat(len) });
                    let block = [&[first], &string[..], &string].concat();
                    decoder.begin(limits);
                    for fragment in block.chunks(16 << 10) {
                        decoder.decode(fragment, false, |_| ()).unwrap();
                        assert!(decoder.heap_bytes() <= most, "{} of {most}", decoder.heap_bytes());
                    }
                    decoder.decode(b"", true, |_| ()).unwrap();
                }
                let held = decoder.heap_bytes();
                decoder.shrink();
                assert!(
                    decoder.heap_bytes() <= held && decoder.heap_bytes() <= table_bytes_max * 9 / 4 + 1280
                );
            }
        }
    }
}

/// The length of a string of less than 2^28 octets.
fn length(coded: u8, len: usize) -> Vec<u8> {
    if len < 127 {
        return vec![coded | len as u8];
    }
    let (mut out, mut rest) = (vec![coded | 127], len - 127);
    while rest >= 128 {
        out.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    out.push(rest as u8);
    out
}

/// §7.4: "An implementation has to set a limit for the values it accepts for integers, as well as for the encoded
/// length […]. In the same way, it has to set a limit to the length it accepts for string literals".
#[test]
fn s7_4_a_string_beyond_the_limit_is_skipped_and_what_follows_is_understood() {
    for coded in [0x00, 0x80] {
        let mut string = length(coded, 300);
        string.extend(if coded == 0 { b"x".repeat(300) } else { b"\xf8".repeat(300) });
        for (name, value) in [(&b"\x01n"[..], &string[..]), (&string, b"\x01v"), (&string, &string)] {
            for first in [0x00, 0x10, 0x40] {
                let block = [b"\x82", &[first][..], name, value, b"\x86"].concat();
                let transcripts =
                    Script::table(200).limits(150, 10).block(block).block(b"\x40\x01a\x011\xbe").run();
                let bytes = transcripts[0].charged.bytes;
                let long = 300 * if name.len() == value.len() { 2 } else { 1 }
                    + u64::from(name.len() != value.len());
                assert_eq!(bytes, 42 + 43 + 32 + long);
                assert_eq!(transcripts[0].fields, [said(":method", "GET")]);
                assert_eq!(
                    (transcripts[0].charged.overrun, transcripts[0].table_bytes),
                    (Some(Overrun::Bytes), 0)
                );
                assert_eq!(transcripts[1].clone().all(), vec![said("a", "1"); 2]);
            }
        }
    }
}

/// It is decoded in several pieces, of which the last alone would fit.
#[test]
fn s7_4_of_a_string_beyond_the_limit_no_piece_is_kept() {
    let value = [length(0x80, 1100), b"\xf8".repeat(1100)].concat();
    for name in [&b"\x01n"[..], b"\x81\x1f"] {
        let script = Script::table(1000).limits(100, 10).block([b"\x40", name, &value].concat());
        let transcript = script.last();
        assert_eq!((transcript.error, transcript.table_bytes, transcript.fields.len()), (None, 0, 0));
        assert_eq!(transcript.charged.bytes, 1133);
    }
}

#[test]
fn a_field_beyond_the_list_is_kept_for_the_table() {
    let value = "v".repeat(2000);
    let mut encoder = Encoder::default();
    let block = encode(&mut encoder, &[("name", &value, Indexing::Incremental)]);
    let script = Script::new().limits(100, 10).block(block);
    assert_eq!(script.last().fields, []);
    assert_eq!(
        script.last().charged,
        Charged { bytes: 2036, fields: 1, inserted_bytes: 2004, overrun: Some(Overrun::Bytes) }
    );
    let mut roomy = Decoder::new(4096);
    let block = encode(&mut Encoder::default(), &[("name", &value, Indexing::Incremental)]);
    decode(&mut roomy, ListLimits { bytes_max: 0, fields_max: 0 }, &[&block]);
    assert_eq!(decode(&mut roomy, ListLimits::default(), &[b"\xbe"]).all(), [said("name", &value)]);
}

/// Two octets that cost a copy of 4,000 bytes each time: a name of the table that is added to the table again. Whoever
/// drives a decoder can see it, and end it.
#[test]
fn h2_09_what_a_block_adds_to_the_table_is_counted() {
    let name = "n".repeat(4000);
    let seed = encode(&mut Encoder::default(), &[(&name, "", Indexing::Incremental)]);
    let script = Script::new().block(seed).block(b"\x7e\x00".repeat(1000)).block(b"\xbe");
    let charged: Vec<_> = script.run().iter().map(|transcript| transcript.charged.inserted_bytes).collect();
    assert_eq!(charged, [4000, 4_000_000, 0]);
    // What is larger than the table is not inserted, and counts for nothing.
    let block = [b"\x40\x01n\x7f\x80\x01", &[b'v'; 255][..]].concat().repeat(10);
    let transcript = Script::table(100).limits(100, 1).block(block).last();
    assert_eq!((transcript.error, transcript.table_bytes, transcript.charged.inserted_bytes), (None, 0, 0));
}

#[test]
fn an_error_is_final_and_names_its_cause() {
    let mut decoder = Decoder::new(4096);
    assert_eq!(decoder.decode(b"\x80", false, |_| ()), Err(Error::IndexZero));
    assert_eq!(decoder.decode(b"\x82", true, |_| panic!("the tables differ")), Err(Error::IndexZero));
    for (at, error) in Error::ALL.iter().enumerate() {
        assert!(!error.as_str().is_empty() && error.to_string() == error.as_str());
        assert!(Error::ALL[..at].iter().all(|other| other.as_str() != error.as_str()));
    }
}

#[test]
#[should_panic(expected = "a table of 268435456 bytes")]
fn a_table_is_at_most_of_what_an_integer_can_say() {
    drop(Decoder::new(TABLE_BYTES_MAX));
    drop(Decoder::new(TABLE_BYTES_MAX + 1));
}
