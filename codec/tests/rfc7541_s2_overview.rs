//! RFC 7541 §2 and §3: tables, indices, the order of fields, and what a decoder does with a block.

mod hpack;

use corelane_codec::hpack::{Decoder, Encoder, Error, Indexing, ListLimits, Overrun};
use hpack::{Said, Script, decode, encode, error, fields, plain_encoder, said};

/// A literal of a new name that is added to the table; strings are not coded, and shorter than 127.
fn incremental(name: &str, value: &str) -> Vec<u8> {
    [&[0x40, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

#[test]
fn s2_1_the_order_of_fields_is_kept() {
    let block = [&incremental("b", "1")[..], &incremental("a", "2"), b"\x82\xbe\xbf\x82"].concat();
    let expected = [
        said("b", "1"),
        said("a", "2"),
        said(":method", "GET"),
        said("a", "2"),
        said("b", "1"),
        said(":method", "GET"),
    ];
    assert_eq!(fields(block), expected);
}

#[test]
fn s2_2_each_direction_has_a_table_of_its_own() {
    let mut encoder = plain_encoder();
    let block = encode(&mut encoder, &[("a", "1", Indexing::Incremental)]);
    let mut decoder = Decoder::new(4096);
    assert_eq!(decode(&mut decoder, ListLimits::default(), &[&block]).all(), [said("a", "1")]);
    let (before, size) = (encoder.table_bytes(), decoder.table_bytes());
    assert_eq!((before, size), (34, 34));
    // What is received changes nothing of what is sent.
    decode(&mut decoder, ListLimits::default(), &[&incremental("b", "2")]);
    assert_eq!((encoder.table_bytes(), decoder.table_bytes()), (34, 68));
    assert_eq!(encode(&mut encoder, &[("a", "1", Indexing::Incremental)]), b"\xbe");
}

#[test]
fn s2_3_1_the_static_table_has_61_entries() {
    for index in 1..=61 {
        assert_eq!(fields([0x80 | index]).len(), 1, "{index}");
    }
    assert_eq!(
        fields(b"\x81\x82\xbd"),
        [said(":authority", ""), said(":method", "GET"), said("www-authenticate", "")]
    );
    assert_eq!(error(b"\xbe"), Some(Error::IndexBeyondTable));
}

/// "The dynamic table can contain duplicate entries […]. Therefore, duplicate entries MUST NOT be treated as an error by
/// a decoder."
#[test]
fn s2_3_2_duplicate_entries_must_not_be_an_error() {
    let block = [&incremental("a", "1")[..], &incremental("a", "1"), b"\xbe\xbf"].concat();
    assert_eq!(fields(block), vec![said("a", "1"); 4]);
}

/// "Indices strictly greater than the sum of the lengths of both tables MUST be treated as a decoding error."
#[test]
fn s2_3_3_h2_08_an_index_beyond_both_tables_must_be_an_error() {
    let two = [incremental("a", "1"), incremental("b", "2")].concat();
    for (index, known) in [(62, true), (63, true), (64, false), (127 + 61, false), (1 << 27, false)] {
        let mut forms: Vec<Vec<u8>> = Vec::new();
        for (first, prefix) in [(0x80, 7), (0x40, 6), (0x10, 4), (0x00, 4)] {
            forms.push([&two[..], &integer(first, prefix, index), b"\x00"].concat());
        }
        // An indexed field has no value.
        forms[0].pop();
        for form in forms {
            let expected = if known { None } else { Some(Error::IndexBeyondTable) };
            assert_eq!(error(form), expected, "{index}");
        }
    }
}

/// A prefixed integer, written by the algorithm of RFC 7541 §5.1 as it stands there.
fn integer(first: u8, prefix: u32, value: usize) -> Vec<u8> {
    let full = (1 << prefix) - 1;
    if value < full {
        return vec![first | value as u8];
    }
    let (mut out, mut rest) = (vec![first | full as u8], value - full);
    while rest >= 128 {
        out.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    out.push(rest as u8);
    out
}

#[test]
fn s2_3_3_the_newest_entry_has_the_lowest_index_of_the_dynamic_table() {
    let block = [&incremental("a", "1")[..], &incremental("b", "2"), &incremental("c", "3"), b"\xbe\xbf\xc0"]
        .concat();
    assert_eq!(fields(block)[3..], [said("c", "3"), said("b", "2"), said("a", "1")]);
}

#[test]
fn s2_4_a_literal_may_have_any_name_and_any_value() {
    let all: Vec<u8> = (0..=126).collect();
    let rest: Vec<u8> = (129..=255).collect();
    let block = [b"\x00\x7f\x00", &all[..], b"\x7f\x00", &rest].concat();
    let field = Said { name: all.clone(), value: rest.clone(), never_indexed: false };
    assert_eq!(fields(block), [field]);
    assert_eq!(fields(b"\x00\x00\x00"), [said("", "")]);
}

/// "Once a header field is decoded and added to the reconstructed header list, the header field cannot be removed."
/// And an error later in the block takes back none of them, but the connection ends.
#[test]
fn s3_1_fields_are_given_out_as_they_are_decoded() {
    let transcript = Script::new().block(b"\x82\x86\x80").last();
    assert_eq!(transcript.error, Some(Error::IndexZero));
    assert_eq!(transcript.fields, [said(":method", "GET"), said(":scheme", "http")]);
}

#[test]
fn s3_1_an_empty_block_is_an_empty_list() {
    assert_eq!(fields(b""), []);
    let transcripts = Script::new().block(b"").block(b"\x82").block(b"").run();
    assert!(transcripts.iter().all(|transcript| transcript.error.is_none()));
}

#[test]
fn s3_1_a_block_that_ends_within_a_representation_is_an_error() {
    let block = [&incremental("name", "value")[..], b"\xff\x00"].concat();
    for end in 1..block.len() {
        let expected = if end == 12 { None } else { Some(Error::Truncated) };
        assert_eq!(error(&block[..end]), expected, "{end}");
    }
}

/// §3.2: "The processing of a header block always starts with the dynamic table as it was left"
#[test]
fn s3_2_the_table_outlives_the_block() {
    let transcripts = Script::new()
        .block(incremental("a", "1"))
        .block(b"\xbe")
        .block([&incremental("b", "2")[..], b"\xbf"].concat())
        .run();
    let lists: Vec<_> = transcripts.into_iter().map(hpack::Transcript::all).collect();
    assert_eq!(lists, [vec![said("a", "1")], vec![said("a", "1")], vec![said("b", "2"), said("a", "1")]]);
}

#[test]
fn h2_04_one_small_entry_and_16_k_references_to_it_stop_at_the_list_limit() {
    let block = [&incremental("a", "1")[..], &[0xbe; 16 << 10]].concat();
    let mut decoder = Decoder::new(4096);
    let transcript = decode(&mut decoder, ListLimits::default(), &[&block]);
    assert_eq!(transcript.error, None);
    assert_eq!(transcript.charged.overrun, Some(Overrun::Fields));
    assert_eq!(transcript.fields, vec![said("a", "1"); 128]);
    assert_eq!((transcript.charged.fields, transcript.charged.bytes), (16_385, 16_385 * 34));
    // In sync: the next block refers to the same entry.
    assert_eq!(decode(&mut decoder, ListLimits::default(), &[b"\xbe"]).all(), [said("a", "1")]);
}

#[test]
fn h2_05_each_crumb_of_a_cookie_is_a_field() {
    // `cookie: a` 10,000 times, without indexing.
    let block = b"\x0f\x11\x01a".repeat(10_000);
    let transcript = decode(&mut Decoder::new(4096), ListLimits::default(), &[&block]);
    assert_eq!((transcript.error, transcript.fields.len()), (None, 128));
    assert_eq!((transcript.charged.fields, transcript.charged.bytes), (10_000, 10_000 * 39));
    assert_eq!(transcript.charged.overrun, Some(Overrun::Fields));
}

#[test]
fn h2_06_a_large_host_that_is_referred_to_again_and_again_is_charged_each_time() {
    let host = "h".repeat(3000);
    let mut encoder = plain_encoder();
    let seed = encode(&mut encoder, &[("host", &host, Indexing::Incremental)]);
    let block = [&seed[..], &[0xbe; 100]].concat();
    let transcript = Script::new().limits(32 << 10, 1000).block(block).block(b"\xbe").run();
    assert_eq!(transcript[0].fields.len(), (32 << 10) / 3036);
    assert_eq!(transcript[0].charged.overrun, Some(Overrun::Bytes));
    assert_eq!(transcript[0].charged.bytes, 101 * 3036);
    assert_eq!(transcript[1].clone().all(), [said("host", &host)]);
}

#[test]
fn h2_07_a_full_table_referred_to_16_k_times_stops_at_the_list_limit() {
    let value = "v".repeat(4096 - 32 - 1);
    let mut encoder = Encoder::default();
    let seed = encode(&mut encoder, &[("a", &value, Indexing::Incremental)]);
    let mut decoder = Decoder::new(4096);
    let limits = ListLimits::default();
    assert_eq!(decode(&mut decoder, limits, &[&seed]).all(), [said("a", &value)]);
    let transcript = decode(&mut decoder, limits, &[&[0xbe; 16 << 10]]);
    assert_eq!((transcript.error, transcript.fields.len()), (None, 8));
    assert_eq!(transcript.charged.overrun, Some(Overrun::Bytes));
    assert_eq!(transcript.charged.bytes, (16 << 10) * 4096);
    assert!(decoder.heap_bytes() <= 20 << 10, "{}", decoder.heap_bytes());
}

#[test]
fn each_limit_is_tested_at_it_and_one_beyond() {
    // Two fields of 34 bytes and 42.
    let block = [b"\x00\x01a\x011", &incremental(":method", "GET")[..]].concat();
    for (bytes_max, fields_max, given, overrun) in [
        (76, 2, 2, None),
        (75, 2, 1, Some(Overrun::Bytes)),
        (34, 2, 1, Some(Overrun::Bytes)),
        (33, 2, 0, Some(Overrun::Bytes)),
        (76, 1, 1, Some(Overrun::Fields)),
        (76, 0, 0, Some(Overrun::Fields)),
        (0, 0, 0, Some(Overrun::Bytes)),
    ] {
        let script = Script::new().limits(bytes_max, fields_max).block(block.clone()).block(b"\xbe");
        let transcript = &script.run()[0];
        assert_eq!((transcript.fields.len(), transcript.charged.overrun), (given, overrun));
        assert_eq!((transcript.charged.bytes, transcript.charged.fields, transcript.error), (76, 2, None));
        // Whatever was given out, the table has the second one.
        assert_eq!(transcript.table_bytes, 42);
    }
}
