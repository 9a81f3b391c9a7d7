//! RFC 7541 §6: what a field is represented as, and which of it an encoder chooses.

mod hpack;

use Indexing::{ByName, Incremental, Never, Without};
use corelane_codec::hpack::{Decoder, Encoder, Error, Indexing, ListLimits, Policy};
use hpack::{Said, Script, decode, encode, error, fields, plain_encoder, said};

#[test]
fn s6_1_an_indexed_field_is_an_entry_of_either_table() {
    assert_eq!(fields(b"\x82\xbd"), [said(":method", "GET"), said("www-authenticate", "")]);
    assert_eq!(fields(b"\x40\x01a\x011\xbe"), vec![said("a", "1"); 2]);
}

/// "The index value of 0 is not used. It MUST be treated as a decoding error if found in an indexed header field
/// representation."
#[test]
fn s6_1_h2_08_the_index_0_must_be_an_error() {
    assert_eq!(error(b"\x80"), Some(Error::IndexZero));
    assert_eq!(error(b"\x82\x40\x01a\x011\x80"), Some(Error::IndexZero));
}

/// Each kind of literal, with a name from either table and with a new one: what is in the table afterwards?
#[test]
fn s6_2_literals_differ_in_what_becomes_of_them() {
    for (first, newest, adds, never_indexed) in [
        (0x40, &b"\x7e"[..], true, false),
        (0x00, b"\x0f\x2f", false, false),
        (0x10, b"\x1f\x2f", false, true),
    ] {
        // A new name; `:path`; the newest entry of the dynamic table, 62.
        let seed = b"\x40\x04seed\x01s";
        let dynamic = [&seed[..], newest, b"\x01v"].concat();
        for (block, name, before) in [
            ([&[first][..], b"\x01n\x01v"].concat(), "n", 0),
            ([&[first | 4][..], b"\x01v"].concat(), ":path", 0),
            (dynamic, "seed", 37),
        ] {
            let transcript = Script::new().block(block).last();
            let size = if adds { name.len() + 1 + 32 } else { 0 };
            assert_eq!(transcript.table_bytes, before + size, "{first:x} {name}");
            let last = transcript.all().pop();
            assert_eq!(last, Some(Said { never_indexed, ..said(name, "v") }), "{first:x}");
        }
    }
}

/// "When a header field is represented as a literal header field never indexed, it MUST always be encoded with this
/// specific literal representation. In particular, when a peer sends a header field that it received represented as a
/// literal header field never indexed, it MUST use the same representation to forward this header field."
#[test]
fn s6_2_3_what_came_never_indexed_must_be_passed_on_so() {
    let came = fields(b"\x10\x08password\x06secret");
    assert_eq!(came, [Said { never_indexed: true, ..said("password", "secret") }]);
    let mut encoder = plain_encoder();
    // Even if it is in the table, and again and again.
    encode(&mut encoder, &[("password", "secret", Incremental)]);
    for _ in 0..3 {
        let block = encode(&mut encoder, &[("password", "secret", Never)]);
        assert_eq!(block, b"\x1f\x2f\x06secret");
        assert_eq!(encode(&mut encoder, &[(":method", "GET", Never)]), b"\x12\x03GET");
        assert_eq!(
            encode(&mut plain_encoder(), &[("password", "secret", Never)]),
            b"\x10\x08password\x06secret"
        );
    }
}

/// "The new maximum size MUST be lower than or equal to the limit determined by the protocol using HPACK. A value that
/// exceeds this limit MUST be treated as a decoding error."
#[test]
fn s6_3_h2_08_a_size_update_beyond_the_limit_must_be_an_error() {
    // 4,096 and 4,097; the limit is what we allow now, not what we allowed.
    assert_eq!(error(b"\x3f\xe1\x1f"), None);
    assert_eq!(error(b"\x3f\xe2\x1f"), Some(Error::SizeUpdateBeyondLimit));
    assert_eq!(Script::table(4097).block(b"\x3f\xe2\x1f").last().error, None);
    assert_eq!(Script::new().table_bytes_max(4097).block(b"\x3f\xe2\x1f").last().error, None);
    let lowered = Script::new().table_bytes_max(100).block(b"\x3f\xe1\x1f").last();
    assert_eq!(lowered.error, Some(Error::SizeUpdateBeyondLimit));
    // Within a block: down is allowed, and up again to the limit.
    assert_eq!(error(b"\x20\x3f\xe1\x1f\x20\x3e\x82"), None);
}

#[test]
fn an_encoder_refers_to_what_is_in_a_table() {
    let mut encoder = plain_encoder();
    let request = [
        (":method", "GET", ByName),
        (":scheme", "https", ByName),
        (":authority", "example.com", ByName),
        (":path", "/", ByName),
        ("accept-encoding", "gzip, deflate", ByName),
        ("accept", "", ByName),
        ("x-mine", "1", ByName),
    ];
    assert_eq!(encode(&mut encoder, &request), b"\x82\x87\x41\x0bexample.com\x84\x90\x93\x40\x06x-mine\x011");
    assert_eq!(encode(&mut encoder, &request), b"\x82\x87\xbf\x84\x90\x93\xbe");
    // Names of entries, of the static table where it has them.
    assert_eq!(
        encode(&mut encoder, &[("x-mine", "2", Without), (":authority", "b", Without)]),
        b"\x0f\x2f\x012\x01\x01b"
    );
    assert_eq!(encode(&mut encoder, &[("x-mine", "1", Without)]), b"\xbe");
}

#[test]
fn an_encoder_never_indexes_secrets() {
    let mut encoder = plain_encoder();
    for _ in 0..3 {
        for (name, value, first) in [
            ("authorization", "Basic dTpw", &b"\x1f\x08"[..]),
            ("authorization", "", b"\x1f\x08"),
            ("proxy-authorization", "Basic dTpw", b"\x1f\x22"),
            ("set-cookie", "session=0af7651916cd43dd8448eb211c80319c", b"\x1f\x28"),
            ("cookie", "a=0123456789abcdefg", b"\x1f\x11"),
        ] {
            let block = encode(&mut encoder, &[(name, value, ByName)]);
            assert_eq!(block, [first, &[value.len() as u8], value.as_bytes()].concat(), "{name}");
        }
    }
    assert_eq!(encoder.table_bytes(), 0);
    // A cookie of 20 bytes can't be guessed.
    assert_eq!(encode(&mut encoder, &[("cookie", "a=0123456789abcdefgh", ByName)])[0], 0x60);
    assert_eq!(encode(&mut encoder, &[("cookie", "a=0123456789abcdefgh", ByName)]), b"\xbe");
    let mut strict = Encoder::new(Policy { cookie_bytes_min: 21, ..Policy::default() });
    assert_eq!(encode(&mut strict, &[("cookie", "a=0123456789abcdefgh", ByName)])[0], 0x1f);
}

#[test]
fn what_changes_is_indexed_when_it_comes_again() {
    let mut encoder = plain_encoder();
    for (name, value) in [
        (":path", "/a?b"),
        ("content-length", "128"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("etag", "\"1\""),
        ("location", "/b"),
        ("last-modified", "Mon, 21 Oct 2013 20:13:21 GMT"),
    ] {
        let before = encoder.table_bytes();
        assert!(encode(&mut encoder, &[(name, value, ByName)])[0] < 0x10);
        assert!(encode(&mut encoder, &[(name, "other", ByName)])[0] < 0x10);
        assert_eq!(encoder.table_bytes(), before);
        assert!(encode(&mut encoder, &[(name, value, ByName)])[0] & 0xc0 == 0x40, "{name}");
        assert_eq!(encode(&mut encoder, &[(name, value, ByName)]), b"\xbe");
    }
}

#[test]
fn what_has_many_values_or_is_large_is_not_indexed() {
    let mut encoder = plain_encoder();
    for at in 0..8 {
        assert_eq!(encode(&mut encoder, &[("x-id", &at.to_string(), ByName)])[0] & 0xc0, 0x40);
    }
    let size = encoder.table_bytes();
    for at in 8..20 {
        assert!(encode(&mut encoder, &[("x-id", &at.to_string(), ByName)])[0] < 0x10);
    }
    assert_eq!(
        encode(&mut encoder, &[("x-id", "3", ByName), ("x-other", &"v".repeat(2100), ByName)])[0],
        0xc2
    );
    assert_eq!(encoder.table_bytes(), size);
}

#[test]
fn many_names_with_one_hash_cost_bytes_and_nothing_else() {
    // Whatever names there are: none is found that is not there.
    let (mut encoder, mut decoder) = (plain_encoder(), Decoder::new(4096));
    for at in 0..5000_u32 {
        let (name, value) = (format!("x-{}", at % 97), (at % 5).to_string());
        let block = encode(&mut encoder, &[(&name, &value, ByName)]);
        assert_eq!(decode(&mut decoder, ListLimits::default(), &[&block]).all(), [said(&name, &value)]);
        assert_eq!(encoder.table_bytes(), decoder.table_bytes());
    }
}
