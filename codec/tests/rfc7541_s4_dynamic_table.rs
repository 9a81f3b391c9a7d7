//! RFC 7541 §4: the size of the dynamic table, and what is evicted from it.

mod hpack;

use Indexing::Incremental;
use corelane_codec::hpack::{Decoder, Encoder, Error, Indexing, ListLimits, Policy};
use hpack::{Script, Transcript, decode, encode, plain_encoder, said};

/// A literal that is added to the table: an entry of 34 bytes.
const A: &[u8] = b"\x40\x01a\x011";
const B: &[u8] = b"\x40\x01b\x012";

/// A size update.
fn update(bytes: usize) -> Vec<u8> {
    if bytes < 31 {
        return vec![0x20 | bytes as u8];
    }
    let (mut out, mut rest) = (vec![0x3f], bytes - 31);
    while rest >= 128 {
        out.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    out.push(rest as u8);
    out
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// "The size of an entry is the sum of its name's length in octets […], its value's length in octets, and 32" – without
/// Huffman coding.
#[test]
fn s4_1_an_entry_has_the_size_of_its_strings_and_32() {
    assert_eq!(Script::new().block(A).last().table_bytes, 34);
    // `a: 00000000`, coded in 5 octets.
    let transcript = Script::new().block(b"\x40\x01a\x85\x00\x00\x00\x00\x00").last();
    assert_eq!((transcript.table_bytes, transcript.all()), (41, vec![said("a", "00000000")]));
    let mut encoder = Encoder::default();
    encode(&mut encoder, &[("a", "00000000", Incremental)]);
    assert_eq!(encoder.table_bytes(), 41);
}

#[test]
fn s4_2_a_size_update_at_the_beginning_of_a_block_evicts() {
    let transcripts =
        Script::new().block(joined(&[A, B])).block(joined(&[&update(34), b"\xbe"])).block(b"\xbf").run();
    assert_eq!(transcripts[0].table_bytes, 68);
    assert_eq!((transcripts[1].table_bytes, &transcripts[1].fields[..]), (34, &[said("b", "2")][..]));
    assert_eq!(transcripts[2].error, Some(Error::IndexBeyondTable));
}

/// "This dynamic table size update MUST occur at the beginning of the first header block following the change to the
/// dynamic table size."
#[test]
fn s4_2_h2_08_a_size_update_after_a_field_must_be_an_error() {
    for field in [&b"\x82"[..], A, b"\x00\x01a\x011", b"\x10\x01a\x011"] {
        let transcript = Script::new().block(joined(&[field, &update(4096)])).last();
        assert_eq!(transcript.error, Some(Error::SizeUpdateAfterField));
    }
    // The next block may begin with one.
    let last = Script::new().block(A).block(joined(&[&update(100), b"\xbe"])).last();
    assert_eq!(last.all(), [said("a", "1")]);
}

/// The same for the size that we allow: once a smaller one is acknowledged, the next block must begin with an update.
#[test]
fn s4_2_h2_08_a_size_update_that_is_due_must_come() {
    for block in [&b"\xbe"[..], b"\x82", b"\x00\x01a\x011", b""] {
        let transcript = Script::new().block(A).table_bytes_max(100).block(block).last();
        assert_eq!(transcript.error, Some(Error::SizeUpdateMissing), "{block:?}");
    }
    // One that is too large is none.
    let script = Script::new().block(A).table_bytes_max(100);
    let late = script.clone().block(joined(&[&update(101), b"\xbe"])).last();
    assert_eq!(late.error, Some(Error::SizeUpdateBeyondLimit));
    let last = script.clone().block(joined(&[&update(100), b"\xbe"])).block(b"\xbe").last();
    assert_eq!(last.all(), [said("a", "1")]);
    let last = script.block(joined(&[&update(0), b"\x82"])).last();
    assert_eq!((last.table_bytes, last.all()), (0, vec![said(":method", "GET")]));
}

#[test]
fn s4_2_no_update_is_due_for_what_the_table_does_not_reach() {
    // The peer has chosen 50 already; 100 is no less.
    let script = Script::new().block(joined(&[&update(50), A])).table_bytes_max(100);
    assert_eq!(script.block(b"\xbe").last().all(), [said("a", "1")]);
    // Nor for one that grows; the peer may go on with the old size.
    assert_eq!(Script::new().block(A).table_bytes_max(8192).block(b"\xbe").last().all(), [said("a", "1")]);
}

/// "In the case that this size is changed more than once in this interval, the smallest maximum table size that occurs
/// in that interval MUST be signaled in a dynamic table size update. The final maximum size is always signaled"
#[test]
fn s4_2_h2_08_the_smallest_size_between_two_blocks_must_be_signaled() {
    let script = Script::new().block(A).table_bytes_max(10).table_bytes_max(4096);
    let one = script.clone().block(joined(&[&update(4096), b"\x82"])).last();
    assert_eq!(one.error, Some(Error::SizeUpdateMissing));
    let two = script.clone().block(joined(&[&update(10), &update(4096), A])).last();
    assert_eq!((two.table_bytes, two.error), (34, None));
    // It is enough to say once that the table is to be small, and stay there.
    assert_eq!(script.block(joined(&[&update(10), b"\x82"])).last().error, None);
}

#[test]
fn s4_2_an_encoder_signals_the_smallest_and_the_last_size() {
    let mut encoder = plain_encoder();
    let one = |encoder: &mut Encoder| encode(encoder, &[("a", "1", Incremental)]);
    assert_eq!(one(&mut encoder), A);
    assert_eq!(one(&mut encoder), b"\xbe");
    // The same again: nothing to say.
    encoder.set_peer_table_bytes(4096);
    encoder.set_peer_table_bytes(65_536);
    assert_eq!(one(&mut encoder), b"\xbe");
    for (sizes, said) in [
        (&[100][..], vec![update(100)]),
        (&[100, 100], vec![]),
        (&[4096], vec![update(4096)]),
        (&[0], vec![update(0)]),
        (&[4096], vec![update(4096)]),
        (&[10, 4096], vec![update(10), update(4096)]),
        (&[3000, 10, 2000, 20, 1000], vec![update(10), update(1000)]),
        (&[2000, 500], vec![update(500)]),
        (&[600, 700], vec![update(700)]),
        (&[1 << 40], vec![update(4096)]),
    ] {
        sizes.iter().for_each(|bytes| encoder.set_peer_table_bytes(*bytes));
        let (mut out, before) = (Vec::new(), encoder.table_bytes());
        encoder.begin(&mut out);
        assert_eq!(out, said.concat(), "{sizes:?}");
        assert!(encoder.table_bytes() <= before);
        one(&mut encoder);
    }
}

#[test]
fn s4_2_an_encoder_never_uses_more_than_its_policy_allows() {
    let mut encoder = Encoder::new(Policy { table_bytes_max: 100, ..Policy::default() });
    encoder.set_peer_table_bytes(1 << 20);
    let block = encode(&mut encoder, &[("a", "1", Incremental)]);
    assert_eq!(block, joined(&[&update(100), A]));
    for at in 0..100 {
        encode(&mut encoder, &[("a", &at.to_string(), Incremental)]);
        assert!(encoder.table_bytes() <= 100);
    }
    // And more than 4,096 only after the peer has offered it.
    let mut encoder = Encoder::new(Policy { table_bytes_max: 8192, ..Policy::default() });
    assert_eq!(encode(&mut encoder, &[]), b"");
    encoder.set_peer_table_bytes(16_384);
    assert_eq!(encode(&mut encoder, &[]), update(8192));
}

/// §4.3: "Whenever the maximum size for the dynamic table is reduced, entries are evicted from the end"
#[test]
fn s4_3_a_smaller_maximum_evicts_the_oldest_until_the_rest_fits() {
    for (bytes, left) in [(102, 102), (101, 68), (68, 68), (67, 34), (34, 34), (33, 0), (0, 0)] {
        let script = Script::new().block(joined(&[A, B, b"\x40\x01c\x013"]));
        let last = script.block(update(bytes)).block(b"").last();
        assert_eq!(last.table_bytes, left, "{bytes}");
    }
}

#[test]
fn s4_4_an_entry_evicts_the_oldest_until_it_fits() {
    let transcripts =
        Script::table(102).block(joined(&[A, B, b"\x40\x01c\x013"])).block(b"\x40\x01d\x02xy").run();
    assert_eq!(transcripts[0].table_bytes, 102);
    assert_eq!(transcripts[1].table_bytes, 69);
}

/// "It is not an error to attempt to add an entry that is larger than the maximum size; an attempt to add an entry
/// larger than the maximum size causes the table to be emptied of all existing entries and results in an empty table."
#[test]
fn s4_4_an_entry_larger_than_the_table_empties_it_and_is_no_error() {
    for len in [67, 68, 100, 126] {
        let large = joined(&[b"\x40\x01x", &[len], &[b'v'; 126][..usize::from(len)]]);
        let transcript = Script::table(100).block(joined(&[A, &large])).last();
        assert_eq!(transcript.table_bytes, if len == 67 { 100 } else { 0 });
        assert_eq!(transcript.all()[1], said("x", &"v".repeat(usize::from(len))));
    }
    // The same where it is too large for the list as well, and never kept.
    let large = joined(&[b"\x40\x01x\x7f\x80\x01", &[b'v'; 255]]);
    let script = Script::table(100).limits(70, 9).block(joined(&[A, &large])).block(b"\xbe");
    let transcripts = script.run();
    assert_eq!((transcripts[0].table_bytes, transcripts[0].charged.bytes), (0, 34 + 33 + 255));
    assert_eq!(transcripts[1].error, Some(Error::IndexBeyondTable));
    // An encoder does it too, if it is made to.
    let mut encoder = Encoder::new(Policy { table_bytes_max: 100, ..Policy::default() });
    encode(&mut encoder, &[("a", "1", Incremental), ("x", &"v".repeat(68), Incremental)]);
    assert_eq!(encoder.table_bytes(), 0);
}

/// "A new entry can reference the name of an entry in the dynamic table that will be evicted when adding this new entry
/// into the dynamic table."
#[test]
fn s4_4_a_name_may_be_of_an_entry_that_is_evicted_for_it() {
    let seed = joined(&[b"\x40\x0acustom-key\x01", b"1"]);
    let block = joined(&[&seed, b"\x7e\x28", &[b'v'; 40], b"\xbe"]);
    let transcript = Script::table(90).block(block).last();
    let new = said("custom-key", &"v".repeat(40));
    assert_eq!(
        (transcript.table_bytes, transcript.all()),
        (82, vec![said("custom-key", "1"), new.clone(), new])
    );
}

#[test]
fn h2_09_a_million_insertions_of_4_kib_stay_within_the_table() {
    let (mut decoder, mut encoder) = (Decoder::new(4096), plain_encoder());
    let limits = ListLimits::default();
    let mut block = Vec::new();
    for round in 0..1000_u32 {
        block.clear();
        let mut writer = encoder.begin(&mut block);
        for at in 0..10_u32 {
            let value = (round * 10 + at).to_le_bytes().repeat(1000);
            writer.field(b"name", &value, Incremental);
        }
        let mut left = 100;
        while left > 0 {
            // As many blocks as make a million.
            decoder.begin(limits);
            decoder.decode(&block, true, |_| {}).unwrap();
            left -= 1;
        }
        let heap = decoder.heap_bytes().max(encoder.heap_bytes());
        assert!(heap <= 16 << 10 && decoder.table_bytes() <= 4096, "{heap}");
    }
    assert_eq!(decoder.table_bytes(), encoder.table_bytes());
}

#[test]
fn a_table_of_no_bytes_is_no_error() {
    let Transcript { error, table_bytes, .. } = Script::table(0).block(joined(&[&update(0), A, B])).last();
    assert_eq!((error, table_bytes), (None, 0));
    let mut encoder = plain_encoder();
    encoder.set_peer_table_bytes(0);
    let block = encode(&mut encoder, &[("a", "1", Indexing::ByName), ("a", "1", Indexing::ByName)]);
    assert_eq!(decode(&mut Decoder::new(0), ListLimits::default(), &[&block]).all(), vec![said("a", "1"); 2]);
}
