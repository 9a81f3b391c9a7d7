//! What holds for any octets and any fields. The fuzzer calls this, and so do the property tests.

use super::naive::Naive;
use super::{Said, Transcript, decode};
use corelane_codec::hpack::{Decoder, Encoder, Huffman, Indexing, ListLimits, Overrun, Policy};

/// Two blocks from a peer, behind two bytes: what is allowed, and where the second block begins. However they are cut, a
/// decoder says the same, and what a decoder says that is too simple to be wrong; it holds no more memory than it may.
pub fn any_octets(input: &[u8]) {
    let [flavour, middle, octets @ ..] = input else { return };
    let table_bytes_max = [0, 64, 300, 4096][usize::from(flavour & 3)];
    let limits = match flavour >> 2 & 3 {
        0 => ListLimits { bytes_max: 100, fields_max: 3 },
        1 => ListLimits { bytes_max: 0, fields_max: 0 },
        _ => ListLimits::default(),
    };
    let later_bytes_max = [None, Some(0), Some(50), Some(5000)][usize::from(flavour >> 4 & 3)];
    let (first, second) = octets.split_at(octets.len() * usize::from(*middle) / 256);
    let run = |by: usize| {
        let mut decoder = Decoder::new(table_bytes_max);
        let block = |octets: &[u8], decoder: &mut Decoder| {
            let transcript = decode(decoder, limits, &octets.chunks(by).collect::<Vec<_>>());
            let table_bytes_max = table_bytes_max.max(later_bytes_max.unwrap_or_default());
            let most = table_bytes_max * 9 / 4 + table_bytes_max.max(limits.bytes_max) * 3 / 2 + 3072;
            assert!(decoder.heap_bytes() <= most);
            transcript
        };
        let one = block(first, &mut decoder);
        if let Some(bytes) = later_bytes_max {
            decoder.set_table_bytes_max(bytes);
        }
        let two = if one.error.is_none() { Some(block(second, &mut decoder)) } else { None };
        (one, two)
    };
    let whole = run(usize::MAX);
    for by in [1, 2, 3, 7, 50] {
        assert_eq!(run(by), whole, "by {by}");
    }
    let mut naive = Naive::new(table_bytes_max);
    agrees(&whole.0, limits, naive.decode(first), &naive);
    if let Some(two) = whole.1 {
        if let Some(bytes) = later_bytes_max {
            naive.set_table_bytes_max(bytes);
        }
        agrees(&two, limits, naive.decode(second), &naive);
    }
}

fn agrees(
    transcript: &Transcript,
    limits: ListLimits,
    (fields, error): (Vec<Said>, Option<corelane_codec::hpack::Error>),
    naive: &Naive,
) {
    assert_eq!(transcript.error, error);
    if error.is_none() {
        assert_eq!(transcript.table_bytes, naive.size());
    }
    // Fields are given out until a limit is reached.
    let (mut bytes, mut given, mut overrun) = (0, 0, None);
    for (at, field) in fields.iter().enumerate() {
        bytes += field.name.len() + field.value.len() + 32;
        if overrun.is_none() {
            overrun = match () {
                () if bytes > limits.bytes_max => Some(Overrun::Bytes),
                () if at + 1 > limits.fields_max => Some(Overrun::Fields),
                () => None,
            };
        }
        given += usize::from(overrun.is_none());
    }
    assert_eq!(transcript.fields, fields[..given]);
    let charged = transcript.charged;
    assert_eq!((charged.bytes, charged.fields), (bytes as u64, fields.len() as u64));
    assert_eq!((charged.overrun, charged.inserted_bytes), (overrun, naive.inserted_bytes as u64));
}

const NAMES: [&str; 16] = [
    ":method",
    ":path",
    ":status",
    ":authority",
    "accept-encoding",
    "authorization",
    "cookie",
    "set-cookie",
    "date",
    "content-length",
    "content-type",
    "user-agent",
    "x-a",
    "x-b",
    "x-request-id",
    "",
];

/// Blocks of fields, and changes of the table's size between them, read from any bytes. Decoders understand what was
/// encoded, the tables of both sides stay the same, and no secret is in a table.
pub fn any_fields(input: &[u8]) {
    let [flavour, steps @ ..] = input else { return };
    let policy = Policy {
        huffman: [Huffman::Shorter, Huffman::Never, Huffman::NotLonger][usize::from(flavour % 3)],
        table_bytes_max: [4096, 0, 100, 10_000][usize::from(flavour >> 2 & 3)],
        ..Policy::default()
    };
    let (mut encoder, mut decoder, mut naive) = (Encoder::new(policy), Decoder::new(4096), Naive::new(4096));
    let mut lines = Vec::new();
    let mut steps = steps.iter().copied();
    while let Some(step) = steps.next() {
        let (name, how) = (NAMES[usize::from(step & 15)], step >> 4);
        match how {
            // The end of a block.
            0 => block(&mut encoder, &mut decoder, &mut naive, std::mem::take(&mut lines)),
            1 => {
                let bytes =
                    usize::from(steps.next().unwrap_or_default()) * [1, 1, 16, 300][usize::from(step & 3)];
                block(&mut encoder, &mut decoder, &mut naive, std::mem::take(&mut lines));
                encoder.set_peer_table_bytes(bytes);
                decoder.set_table_bytes_max(bytes);
                naive.set_table_bytes_max(bytes);
            }
            _ => {
                let len = usize::from(steps.next().unwrap_or_default());
                let value: Vec<u8> = if how & 1 == 0 {
                    steps.by_ref().take(len & 63).collect()
                } else {
                    vec![b'0' + step % 40; len * 8]
                };
                let indexing = match how >> 1 & 3 {
                    0 => Indexing::Never,
                    1 => Indexing::Incremental,
                    2 => Indexing::Without,
                    _ => Indexing::ByName,
                };
                lines.push((name.as_bytes().to_vec(), value, indexing));
            }
        }
    }
    block(&mut encoder, &mut decoder, &mut naive, lines);
}

type Line = (Vec<u8>, Vec<u8>, Indexing);

fn block(encoder: &mut Encoder, decoder: &mut Decoder, naive: &mut Naive, lines: Vec<Line>) {
    let mut out = Vec::new();
    let mut writer = encoder.begin(&mut out);
    for (name, value, indexing) in &lines {
        writer.field(name, value, *indexing);
    }
    let expected: Vec<Said> = lines
        .into_iter()
        .map(|(name, value, indexing)| {
            let secret = match &name[..] {
                b"authorization" | b"set-cookie" => true,
                b"cookie" => value.len() < 20,
                _ => false,
            };
            let never_indexed = indexing == Indexing::Never || (indexing == Indexing::ByName && secret);
            Said { name, value, never_indexed }
        })
        .collect();
    let limits = ListLimits { bytes_max: usize::MAX, fields_max: usize::MAX };
    let by = 1 + out.len() / 3;
    let transcript = decode(decoder, limits, &out.chunks(by).collect::<Vec<_>>());
    assert_eq!((&transcript.fields, transcript.error), (&expected, None));
    assert_eq!(naive.decode(&out), (expected, None));
    assert_eq!(encoder.table_bytes(), decoder.table_bytes());
    assert_eq!(encoder.table_bytes(), naive.size());
}
