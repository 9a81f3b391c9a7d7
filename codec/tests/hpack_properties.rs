//! What holds for all octets and all fields, shown for many: see `hpack/promises.rs`, which the fuzzer runs too.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod hpack;

use corelane_codec::hpack::Indexing;
use hpack::promises::{any_fields, any_octets};
use hpack::{encode, plain_encoder};
use proptest::collection::vec;
use proptest::prelude::*;

/// Octets of blocks that are mostly in order, and then changed here and there.
fn nearly_in_order() -> impl Strategy<Value = Vec<u8>> {
    let literal = (any::<u8>(), "[ -~]{0,12}", "[ -~]{0,12}").prop_map(|(first, name, value)| {
        let form = [0x40, 0x00, 0x10, 0x40][usize::from(first & 3)];
        [&[form, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    });
    let coded = (any::<u8>(), vec(any::<u8>(), 0..20)).prop_map(|(first, octets)| {
        [&[0x40 | first & 0x3f, 0x80 | octets.len() as u8], &octets[..]].concat()
    });
    let indexed = (1_u8..80).prop_map(|index| vec![0x80 | index]);
    let update = (0x20_u8..0x3f).prop_map(|octet| vec![octet]);
    let piece = prop_oneof![4 => literal, 2 => coded, 3 => indexed, 1 => update, 1 => vec(any::<u8>(), 0..6)];
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (vec(piece, 0..12), changes, any::<[u8; 2]>()).prop_map(|(pieces, changes, [flavour, middle])| {
        let mut input = [&[flavour, middle][..], &pieces.concat()].concat();
        for (at, octet) in changes {
            *at.get_mut(&mut input) = octet;
        }
        input
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_octets_are_refused_or_mean_one_thing(input in vec(any::<u8>(), 0..100)) {
        any_octets(&input);
    }

    #[test]
    fn octets_nearly_in_order_are_refused_or_mean_one_thing(input in nearly_in_order()) {
        any_octets(&input);
    }

    #[test]
    fn any_fields_come_back(input in vec(any::<u8>(), 0..300)) {
        any_fields(&input);
    }
}

/// Hash tables are for speed: what the encoder finds is what a search of all entries finds, as long as it is near.
#[test]
fn the_last_sixteen_of_a_name_and_any_of_different_names_are_found() {
    let mut encoder = plain_encoder();
    let names: Vec<String> = (0..60).map(|at| format!("x-{at}")).collect();
    for name in &names {
        encode(&mut encoder, &[(name, "value", Indexing::ByName)]);
    }
    for name in &names {
        assert_eq!(encode(&mut encoder, &[(name, "value", Indexing::ByName)]).len(), 1, "{name}");
    }
}
