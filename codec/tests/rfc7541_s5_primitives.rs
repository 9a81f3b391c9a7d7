//! RFC 7541 §5: integers and strings.

mod hpack;

use corelane_codec::hpack::{Decoder, Encoder, Error, Huffman, Indexing, ListLimits, Policy};
use hpack::{Said, Script, encode, error, fields, hex, said};

/// The value of a literal without indexing whose name is `a`.
fn value(octets: &[u8]) -> Vec<u8> {
    [b"\x00\x01a", octets].concat()
}

/// The examples of §5.1 (C.1): 10 and 1337 with a prefix of 5 bits, and 42 with one of 8, which nothing here has.
#[test]
fn s5_1_integers_have_a_prefix_and_what_is_left() {
    // Size updates have 5 bits.
    for (octets, bytes) in
        [("2a", 10), ("3f9a0a", 1337), ("3e", 30), ("3f00", 31), ("3f01", 32), ("3f8001", 159)]
    {
        let exact = Script::table(bytes).block(hex(octets)).last();
        assert_eq!(exact.error, None, "{octets}");
        if bytes > 0 {
            let beyond = Script::table(bytes - 1).block(hex(octets)).last();
            assert_eq!(beyond.error, Some(Error::SizeUpdateBeyondLimit), "{octets}");
        }
    }
    // What is longer than it must be is no error.
    assert_eq!(Script::table(1337).block(hex("3f9a8a8000")).last().error, None);
}

/// "Integer encodings that exceed implementation limits -- in value or octet length -- MUST be treated as decoding
/// errors."
#[test]
fn s5_1_h2_08_an_integer_beyond_the_limits_must_be_an_error() {
    // Every representation, and the length of a string.
    for first in ["ff", "7f", "1f", "0f", "3f", "00ff", "007f", "0001617f"] {
        for rest in ["ffffffffffffffffffff", "8080808000", "ffffffff0f", "808080808000"] {
            let block = hex(&format!("{first}{rest}"));
            assert_eq!(error(block), Some(Error::IntegerOverflow), "{first} {rest}");
        }
        // One octet fewer is not too many.
        let block = hex(&format!("{first}80808000"));
        assert_ne!(error(block), Some(Error::IntegerOverflow), "{first}");
    }
}

#[test]
fn s5_1_h2_08_no_string_is_of_2_31_bytes_and_none_allocates_what_it_declares() {
    // 2^31 takes a fifth octet after the first.
    assert_eq!(error(hex("0001617f 81ffffff07")), Some(Error::IntegerOverflow));
    // The longest that may be declared, as a name and as a value, of both codes, of a field that is to be indexed.
    for block in ["0001617f ffffff7e", "000161ff ffffff7e", "407fffffff7e", "40ffffffff7e"] {
        let (block, mut decoder) = (hex(block), Decoder::new(4096));
        decoder.begin(ListLimits::default());
        decoder.decode(&block, false, |_| panic!("nothing is complete")).unwrap();
        assert!(decoder.heap_bytes() <= 512, "{}", decoder.heap_bytes());
        // As much of it as anybody cares to send: 4 MiB of `0`, or of `X` where it is not coded.
        for _ in 0..256 {
            decoder.decode(&[b'X'; 16 << 10], false, |_| panic!("nothing is complete")).unwrap();
            assert!(decoder.heap_bytes() <= 64 << 10, "{}", decoder.heap_bytes());
        }
        assert_eq!(decoder.decode(b"", true, |_| ()), Err(Error::Truncated));
    }
}

/// The value of a literal, coded: these bits, which are whole octets.
fn coded(bits: &str) -> Vec<u8> {
    let bits: Vec<u8> = bits.bytes().filter(|byte| *byte != b' ').map(|byte| byte - b'0').collect();
    let octets: Vec<u8> =
        bits.chunks(8).map(|octet| octet.iter().fold(0, |all, bit| all << 1 | bit)).collect();
    assert!(bits.len().is_multiple_of(8) && octets.len() < 127);
    value(&[&[0x80 | octets.len() as u8], &octets[..]].concat())
}

#[test]
fn s5_2_a_string_is_coded_or_as_it_is() {
    assert_eq!(fields(value(b"\x03xyz")), [said("a", "xyz")]);
    assert_eq!(fields(value(b"\x83\xf3\xeb\xdf")), [said("a", "xyz")]);
    assert_eq!(fields(coded("1111001 1111010 1111011 111")), [said("a", "xyz")]);
    // A name too, and the length may be longer than it must be.
    assert_eq!(fields(b"\x00\x81\x1f\x01x"), [said("a", "x")]);
    let long = [b"\x7f\x81\x00", &[b'x'; 128][..]].concat();
    assert_eq!(fields(value(&long)), [said("a", &"x".repeat(128))]);
    // Both may be empty.
    assert_eq!(fields(b"\x00\x80\x80"), [said("", "")]);
}

#[test]
fn s5_2_padding_is_up_to_7_ones() {
    // Codes of 5 bits leave 3, of 6 leave 2, of 8 none, of 10 leave 6, of 13 leave 3, and of 89 in all leave 7.
    assert_eq!(fields(coded("00011 111")), [said("a", "a")]);
    assert_eq!(fields(coded("010100 11")), [said("a", " ")]);
    assert_eq!(fields(coded("11111000")), [said("a", "&")]);
    assert_eq!(fields(coded("1111111000 111111")), [said("a", "!")]);
    assert_eq!(fields(value(&hex("8cf1e3c2e5f23a6ba0ab90f4ff"))), [said("a", "www.example.com")]);
}

/// "a padding strictly longer than 7 bits MUST be treated as a decoding error"
#[test]
fn s5_2_h2_08_padding_of_8_bits_must_be_an_error() {
    for bits in ["11111111", "00011 111 11111111", "11111000 11111111", "11111000 11111111 11111111 11111111"]
    {
        assert_eq!(error(coded(bits)), Some(Error::HuffmanPaddingTooLong), "{bits}");
    }
}

/// "A padding not corresponding to the most significant bits of the code for the EOS symbol MUST be treated as a
/// decoding error."
#[test]
fn s5_2_h2_08_padding_that_is_not_of_ones_must_be_an_error() {
    for bits in ["00011 000", "00011 110", "00011 011", "010100 10", "010100 00", "1111111000 111110"] {
        assert_eq!(error(coded(bits)), Some(Error::HuffmanPaddingNotOnes), "{bits}");
    }
    // The string ends within a code.
    for bits in ["11111110", "11111111 11111110", "11111111 11111111 11111111 11110000"] {
        assert_eq!(error(coded(bits)), Some(Error::HuffmanPaddingNotOnes), "{bits}");
    }
}

/// "A Huffman-encoded string literal containing the EOS symbol MUST be treated as a decoding error."
#[test]
fn s5_2_h2_08_eos_must_be_an_error() {
    let eos = "1".repeat(30);
    for bits in [format!("{eos} 11"), format!("00011 {eos} 00011"), format!("11111100 {eos} 11")] {
        assert_eq!(error(coded(&bits)), Some(Error::HuffmanEos), "{bits}");
    }
    // The longest codes beside it are of LF, CR and 0x16.
    for (last, byte) in [("00", 0x0a), ("01", 0x0d), ("10", 0x16)] {
        let bits = format!("{}{last} 11", "1".repeat(28));
        assert_eq!(fields(coded(&bits)), [Said { value: vec![byte], ..said("a", "") }]);
    }
}

#[test]
fn s5_2_errors_are_the_same_in_a_string_that_nobody_keeps() {
    for (bits, expected) in [
        ("11111111", Error::HuffmanPaddingTooLong),
        ("00011 000", Error::HuffmanPaddingNotOnes),
        ("11111111 11111111 11111111 11111111", Error::HuffmanEos),
    ] {
        let script = Script::table(0).limits(0, 0).block(coded(bits));
        assert_eq!(script.last().error, Some(expected));
    }
}

#[test]
fn s5_2_a_string_is_coded_where_that_is_shorter() {
    let one = |huffman, text| {
        let mut encoder = Encoder::new(Policy { huffman, ..Policy::default() });
        encode(&mut encoder, &[(":path", text, Indexing::Without)])
    };
    // Shorter; as long; longer; nothing.
    for (text, shorter, not_longer) in [
        ("www.example.com", "048cf1e3c2e5f23a6ba0ab90f4ff", "048cf1e3c2e5f23a6ba0ab90f4ff"),
        ("307", "0403333037", "0483640eff"),
        ("!!", "04022121", "04022121"),
        ("", "0400", "0480"),
    ] {
        assert_eq!(one(Huffman::Shorter, text), hex(shorter));
        assert_eq!(one(Huffman::NotLonger, text), hex(not_longer));
        assert_eq!(one(Huffman::Never, text), [&[4, text.len() as u8], text.as_bytes()].concat());
    }
}
