//! RFC 7541 Appendix C: the examples, byte for byte, in both directions.

mod hpack;

use Indexing::{Incremental, Never, Without};
use corelane_codec::hpack::{Encoder, Huffman, Indexing, Policy};
use hpack::{Script, encode, hex, said};

/// A field of an example, as it is represented there if it is not in a table.
type Line = (&'static str, &'static str, Indexing);

/// A block of an example: its octets, its fields, and the size of the table after it.
struct Example {
    octets: &'static str,
    fields: &'static [Line],
    table_bytes: usize,
}

#[track_caller]
fn both_ways(table_bytes: usize, huffman: Huffman, examples: &[Example]) {
    let mut encoder = Encoder::new(Policy { huffman, ..Policy::default() });
    encoder.set_peer_table_bytes(table_bytes);
    // An encoder says the size when it is not 4,096; the examples take it as agreed.
    let mut said_size = Vec::new();
    encoder.begin(&mut said_size);
    let mut script = Script::table(table_bytes);
    for example in examples {
        script = script.block(hex(example.octets));
        assert_eq!(encode(&mut encoder, example.fields), hex(example.octets), "{:?}", example.fields);
        assert_eq!(encoder.table_bytes(), example.table_bytes);
    }
    for (transcript, example) in script.run().into_iter().zip(examples) {
        assert_eq!(transcript.table_bytes, example.table_bytes);
        let mut expected: Vec<_> = example.fields.iter().map(|(name, value, _)| said(name, value)).collect();
        for (field, (_, _, indexing)) in expected.iter_mut().zip(example.fields) {
            field.never_indexed = *indexing == Never;
        }
        assert_eq!(transcript.all(), expected);
    }
}

#[test]
fn c_2_1_literal_field_with_indexing() {
    both_ways(
        4096,
        Huffman::Never,
        &[Example {
            octets: "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            fields: &[("custom-key", "custom-header", Incremental)],
            table_bytes: 55,
        }],
    );
}

#[test]
fn c_2_2_literal_field_without_indexing() {
    both_ways(
        4096,
        Huffman::Never,
        &[Example {
            octets: "040c 2f73 616d 706c 652f 7061 7468",
            fields: &[(":path", "/sample/path", Without)],
            table_bytes: 0,
        }],
    );
}

#[test]
fn c_2_3_literal_field_never_indexed() {
    both_ways(
        4096,
        Huffman::Never,
        &[Example {
            octets: "1008 7061 7373 776f 7264 0673 6563 7265 74",
            fields: &[("password", "secret", Never)],
            table_bytes: 0,
        }],
    );
}

#[test]
fn c_2_4_indexed_field() {
    both_ways(
        4096,
        Huffman::Never,
        &[Example { octets: "82", fields: &[(":method", "GET", Incremental)], table_bytes: 0 }],
    );
}

const FIRST_REQUEST: &[Line] = &[
    (":method", "GET", Incremental),
    (":scheme", "http", Incremental),
    (":path", "/", Incremental),
    (":authority", "www.example.com", Incremental),
];
const SECOND_REQUEST: &[Line] = &[
    (":method", "GET", Incremental),
    (":scheme", "http", Incremental),
    (":path", "/", Incremental),
    (":authority", "www.example.com", Incremental),
    ("cache-control", "no-cache", Incremental),
];
const THIRD_REQUEST: &[Line] = &[
    (":method", "GET", Incremental),
    (":scheme", "https", Incremental),
    (":path", "/index.html", Incremental),
    (":authority", "www.example.com", Incremental),
    ("custom-key", "custom-value", Incremental),
];

#[test]
fn c_3_requests_without_huffman_coding() {
    both_ways(
        4096,
        Huffman::Never,
        &[
            Example {
                octets: "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                fields: FIRST_REQUEST,
                table_bytes: 57,
            },
            Example {
                octets: "8286 84be 5808 6e6f 2d63 6163 6865",
                fields: SECOND_REQUEST,
                table_bytes: 110,
            },
            Example {
                octets: "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                fields: THIRD_REQUEST,
                table_bytes: 164,
            },
        ],
    );
}

#[test]
fn c_4_requests_with_huffman_coding() {
    both_ways(
        4096,
        Huffman::NotLonger,
        &[
            Example {
                octets: "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                fields: FIRST_REQUEST,
                table_bytes: 57,
            },
            Example { octets: "8286 84be 5886 a8eb 1064 9cbf", fields: SECOND_REQUEST, table_bytes: 110 },
            Example {
                octets: "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                fields: THIRD_REQUEST,
                table_bytes: 164,
            },
        ],
    );
}

const FIRST_RESPONSE: &[Line] = &[
    (":status", "302", Incremental),
    ("cache-control", "private", Incremental),
    ("date", "Mon, 21 Oct 2013 20:13:21 GMT", Incremental),
    ("location", "https://www.example.com", Incremental),
];
const SECOND_RESPONSE: &[Line] = &[
    (":status", "307", Incremental),
    ("cache-control", "private", Incremental),
    ("date", "Mon, 21 Oct 2013 20:13:21 GMT", Incremental),
    ("location", "https://www.example.com", Incremental),
];
const THIRD_RESPONSE: &[Line] = &[
    (":status", "200", Incremental),
    ("cache-control", "private", Incremental),
    ("date", "Mon, 21 Oct 2013 20:13:22 GMT", Incremental),
    ("location", "https://www.example.com", Incremental),
    ("content-encoding", "gzip", Incremental),
    ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1", Incremental),
];

#[test]
fn c_5_responses_without_huffman_coding() {
    both_ways(
        256,
        Huffman::Never,
        &[
            Example {
                octets: "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
                         2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
                         6c65 2e63 6f6d",
                fields: FIRST_RESPONSE,
                table_bytes: 222,
            },
            Example { octets: "4803 3330 37c1 c0bf", fields: SECOND_RESPONSE, table_bytes: 222 },
            Example {
                octets: "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
                         54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
                         5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
                         3d31",
                fields: THIRD_RESPONSE,
                table_bytes: 215,
            },
        ],
    );
}

#[test]
fn c_6_responses_with_huffman_coding() {
    both_ways(
        256,
        Huffman::NotLonger,
        &[
            Example {
                octets: "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
                         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                fields: FIRST_RESPONSE,
                table_bytes: 222,
            },
            Example { octets: "4883 640e ffc1 c0bf", fields: SECOND_RESPONSE, table_bytes: 222 },
            Example {
                octets: "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
                         77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
                         9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                fields: THIRD_RESPONSE,
                table_bytes: 215,
            },
        ],
    );
}
