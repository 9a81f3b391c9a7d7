//! A warm decoder and a warm encoder allocate nothing, and no block makes a decoder hold more than it says.
#![allow(clippy::unwrap_used, reason = "a test may")]

use corelane_codec::hpack::{Decoder, Encoder, Indexing, ListLimits, Policy};
use proptest::collection::vec;
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes that are held, and the most that were.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn held(change: isize) {
    HELD.with(|held| {
        let now = held.get().0 + change;
        held.set((now, held.get().1.max(now)));
    });
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        held(layout.size().cast_signed());
        // SAFETY: the caller's promises are the ones that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        held(-layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // While it grows, the old and the new may be there at the same time.
        held(size.cast_signed());
        held(-layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const FIELDS: [(&str, &str); 10] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "shop.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("authorization", "Basic dXNlcjpwYXNzd29yZA=="),
    ("cookie", "session=0af7651916cd43dd8448eb211c80319c; theme=dark; consent=necessary"),
    ("referer", "https://shop.example.com/products/4711"),
    ("x-mine", "yes"),
];

#[test]
fn a_warm_decoder_and_encoder_allocate_nothing_and_evict_all_the_time() {
    let (mut encoder, mut decoder, mut out) = (Encoder::default(), Decoder::new(4096), Vec::new());
    let mut before = 0;
    let mut fields = 0_u64;
    for number in 0..5000 {
        if number == 1000 {
            before = ALLOCATIONS.get();
        }
        request(number, &mut encoder, &mut out);
        decoder.begin(ListLimits::default());
        let (a, b) = out.split_at(number as usize % (out.len() + 1));
        for (fragment, is_last) in [(a, false), (b, true)] {
            decoder.decode(fragment, is_last, |field| fields += u64::from(!field.name.is_empty())).unwrap();
        }
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(fields, 5000 * 12);
    assert_eq!(encoder.table_bytes(), decoder.table_bytes());
}

/// A request of which some fields are new each time, and one fills the table.
fn request(number: u32, encoder: &mut Encoder, out: &mut Vec<u8>) {
    out.clear();
    let mut block = encoder.begin(out);
    for (name, value) in FIELDS {
        block.field(name.as_bytes(), value.as_bytes(), Indexing::ByName);
    }
    let digits =
        [b'0' + (number / 100 % 10) as u8, b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
    block.field(b":path", &digits, Indexing::ByName);
    block.field(b"x-request-id", &digits, Indexing::Incremental);
}

/// What a decoder says that it holds, and so much more while something grows.
fn most_bytes(table_bytes_max: usize, list_bytes_max: usize) -> isize {
    let scratch = table_bytes_max.max(list_bytes_max) * 3 / 2 + 3072;
    (table_bytes_max * 9 / 4 + scratch * 2).cast_signed()
}

/// What hostile blocks are made of: anything, and representations with any index and any length.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let length = (any::<u8>(), vec(any::<u8>(), 0..5)).prop_map(|(first, more)| {
        let mut octets = vec![first | 0x7f];
        octets.extend(more.iter().map(|octet| octet | 0x80));
        octets.push(more.len() as u8);
        octets
    });
    let filler = (any::<u8>(), 0_usize..20_000).prop_map(|(octet, len)| vec![octet; len]);
    let literal = (any::<u8>(), 0_u8..127, any::<u8>()).prop_map(|(first, len, octet)| {
        [&[first & 0x70, len][..], &vec![octet; usize::from(len)], &[len], &vec![!octet; usize::from(len)]]
            .concat()
    });
    let piece = prop_oneof![vec(any::<u8>(), 0..40), length, filler, literal];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// However it is cut, and whatever is allowed: it ends, and holds no more than it says, nor does it say less than
    /// it holds.
    #[test]
    fn any_octets_are_decoded_within_bounds(
        blocks in vec(octets(), 1..4), by in 1_usize..3000, table_bytes_max in 0_usize..10_000, bytes_max in 0_usize..40_000,
    ) {
        let limits = ListLimits { bytes_max, fields_max: 50 };
        let (before, _) = HELD.get();
        let mut decoder = Decoder::new(table_bytes_max);
        HELD.set((before, before));
        let (mut given, mut result) = (0, Ok(()));
        for block in &blocks {
            decoder.begin(limits);
            let mut bytes = 0;
            for fragment in block.chunks(by) {
                result = decoder.decode(fragment, false, |field| {
                    bytes += field.name.len() + field.value.len() + 32;
                    given += 1;
                });
            }
            result = result.and_then(|()| decoder.decode(b"", true, |_| ()));
            let held = HELD.get().0 - before;
            if result.is_ok() {
                assert!(bytes <= bytes_max && given <= 50 * blocks.len());
            }
            assert_eq!(held, decoder.heap_bytes().cast_signed());
        }
        let most = HELD.get().1 - before;
        assert!(most <= most_bytes(table_bytes_max, bytes_max), "{most}");
        drop(decoder);
        assert_eq!(HELD.get().0, before);
    }

    /// An encoder holds no more than it says, whatever it is given.
    #[test]
    fn any_fields_are_encoded_within_bounds(
        fields in vec((vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..300)), 0..200), table_bytes_max in 0_usize..10_000,
    ) {
        let mut out = Vec::with_capacity(200 * 400);
        let (before, _) = HELD.get();
        let mut encoder = Encoder::new(Policy { table_bytes_max, ..Policy::default() });
        encoder.set_peer_table_bytes(table_bytes_max);
        for (name, value) in &fields {
            encoder.begin(&mut out).field(name, value, Indexing::ByName);
            let held = HELD.get().0 - before;
            assert_eq!(held, encoder.heap_bytes().cast_signed());
            assert!(encoder.heap_bytes() <= table_bytes_max.max(4096) * 11 / 4 + 1536);
        }
    }
}
