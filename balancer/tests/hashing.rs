//! What stays together under `Policy::Hash`, and what moves.

use std::collections::BTreeMap;
use std::time::Duration;

use corelane_balancer::{EndpointId, Picker, Policy, Rng, Tried, hash_bytes};
use proptest::prelude::*;

const NOW: Duration = Duration::from_secs(5);

/// A cluster as it may be configured: names with weights, in some order.
type Cluster = Vec<(String, u32)>;

fn picker(cluster: &[(String, u32)], seed: u64) -> Picker {
    let endpoints: Vec<_> =
        cluster.iter().map(|(name, weight)| (*weight, hash_bytes(name.as_bytes()))).collect();
    Picker::with_identities(Policy::Hash, &endpoints, seed).expect("weights of use")
}

fn index_for(picker: &mut Picker, key: u64, tried: &Tried) -> Option<usize> {
    picker.pick(key, NOW, &mut Rng::new(key), tried).map(EndpointId::index)
}

/// The name that each key is sent to.
fn map(cluster: &[(String, u32)], keys: impl Iterator<Item = u64>) -> BTreeMap<u64, String> {
    let mut picker = picker(cluster, 0);
    let mut name =
        |key| cluster[index_for(&mut picker, key, &Tried::default()).expect("some endpoint")].0.clone();
    keys.map(|key| (key, name(key))).collect()
}

/// Every endpoint in the order in which a key would be sent to them.
fn order(cluster: &[(String, u32)], key: u64) -> Vec<String> {
    let mut picker = picker(cluster, 0);
    let mut tried = Tried::default();
    let mut order = Vec::new();
    while let Some(index) = index_for(&mut picker, key, &tried) {
        tried.insert(EndpointId::new(index as u32));
        order.push(cluster[index].0.clone());
    }
    order
}

fn equal(count: usize) -> Cluster {
    (0..count).map(|index| (format!("10.0.0.{index}:80"), 1)).collect()
}

fn cluster() -> impl Strategy<Value = Cluster> {
    prop::collection::btree_map("[a-z]{1,4}:[0-9]{2}", 1..20_u32, 2..10)
        .prop_map(|map| map.into_iter().collect())
}

/// Asserts that shares are within five standard deviations of the weights.
#[track_caller]
fn assert_shares(cluster: &[(String, u32)], map: &BTreeMap<u64, String>) {
    let sum: u32 = cluster.iter().map(|(_, weight)| weight).sum();
    for (name, weight) in cluster {
        let (count, p) = (map.len() as f64, f64::from(*weight) / f64::from(sum));
        let share = map.values().filter(|of_key| *of_key == name).count() as f64;
        let allowed = 5.0 * (count * p * (1.0 - p)).sqrt();
        assert!((share - count * p).abs() <= allowed, "{name} has {share} of {count}, weight {weight}");
    }
}

proptest! {
    #[test]
    fn neither_order_nor_seed_matters(
        (cluster, shuffled) in cluster().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
        key in any::<u64>(),
        seeds in any::<[u64; 2]>(),
    ) {
        prop_assert_eq!(order(&cluster, key), order(&shuffled, key));
        let name = |cluster: &Cluster, seed| {
            cluster[index_for(&mut picker(cluster, seed), key, &Tried::default()).unwrap()].0.clone()
        };
        prop_assert_eq!(name(&cluster, seeds[0]), name(&shuffled, seeds[1]));
    }

    #[test]
    fn one_that_goes_leaves_the_order_of_the_others(cluster in cluster(), gone in any::<usize>(), key in any::<u64>()) {
        let mut rest = cluster.clone();
        let (gone, _) = rest.remove(gone % cluster.len());
        let mut expected = order(&cluster, key);
        expected.retain(|name| *name != gone);
        prop_assert_eq!(order(&rest, key), expected);
    }

    #[test]
    fn a_greater_weight_only_attracts(
        cluster in cluster(),
        heavier in any::<usize>(),
        by in 1..50_u32,
        keys in prop::collection::vec(any::<u64>(), 50),
    ) {
        let mut after = cluster.clone();
        let heavier = heavier % cluster.len();
        after[heavier].1 += by;
        let (before, after) = (map(&cluster, keys.iter().copied()), map(&after, keys.iter().copied()));
        for key in keys {
            prop_assert!(after[&key] == before[&key] || after[&key] == cluster[heavier].0);
        }
    }

    #[test]
    fn suspects_are_passed_over_like_those_tried(cluster in cluster(), key in any::<u64>()) {
        let order = order(&cluster, key);
        let mut picker = picker(&cluster, 0);
        let best = index_for(&mut picker, key, &Tried::default()).unwrap();
        picker.suspect(EndpointId::new(best as u32), NOW);
        let next = index_for(&mut picker, key, &Tried::default()).unwrap();
        prop_assert_eq!([&cluster[best].0, &cluster[next].0], [&order[0], &order[1]]);
        for index in 0..cluster.len() as u32 {
            picker.suspect(EndpointId::new(index), NOW);
        }
        prop_assert_eq!(index_for(&mut picker, key, &Tried::default()), Some(best), "all are suspect");
    }
}

#[test]
fn keys_are_spread_by_weight_whatever_they_look_like() {
    let weighted: Cluster =
        [("a", 1), ("b", 0), ("c", 2), ("d", 30), ("e", 7)].map(|(n, w)| (n.to_owned(), w)).into();
    for cluster in [equal(7), weighted] {
        let mut rng = Rng::new(3);
        assert_shares(&cluster, &map(&cluster, 0..40_000));
        assert_shares(&cluster, &map(&cluster, (0..40_000).map(|key| key << 40)));
        assert_shares(&cluster, &map(&cluster, (0..40_000).map(|_| rng.next())));
        let sessions = (0..40_000).map(|index| hash_bytes(format!("session-{index}").as_bytes()));
        assert_shares(&cluster, &map(&cluster, sessions));
    }
}

#[test]
fn what_one_leaves_behind_is_spread_by_weight_too() {
    let cluster: Cluster = [("a", 5), ("b", 1), ("c", 2), ("d", 3)].map(|(n, w)| (n.to_owned(), w)).into();
    let before = map(&cluster, 0..80_000);
    let rest: Cluster = cluster[1..].to_vec();
    let after = map(&rest, before.iter().filter(|(_, name)| *name == "a").map(|(key, _)| *key));
    assert_shares(&rest, &after);
}

#[test]
fn one_that_comes_takes_its_share_and_no_more() {
    let (before, after) = (map(&equal(9), 0..50_000), map(&equal(10), 0..50_000));
    let moved = before.iter().filter(|(key, name)| after[key] != **name).count();
    // A tenth: the standard deviation is 67.
    assert!((moved as i64 - 5_000).abs() < 335, "{moved}");
}

#[test]
fn one_that_is_listed_twice_counts_twice_in_any_order() {
    let one = |name: &str, weight| (name.to_owned(), weight);
    let cluster = [one("a", 1), one("b", 2), one("a", 3)];
    let map_of = |cluster: &[(String, u32)]| map(cluster, 0..20_000);
    let merged = [one("a", 4), one("b", 2)];
    let mapped = map_of(&cluster);
    assert_shares(&merged, &mapped);
    assert_eq!(map_of(&[one("a", 3), one("a", 1), one("b", 2)]), mapped);
}

#[test]
fn without_identities_places_are_what_counts() {
    let mut picker = Picker::new(Policy::Hash, &[1; 4], 0).unwrap();
    let mut rng = Rng::new(0);
    let mut counts = [0_i32; 4];
    for key in 0..40_000 {
        counts[picker.pick(key, NOW, &mut rng, &Tried::default()).unwrap().index()] += 1;
    }
    assert!(counts.iter().all(|count| (count - 10_000).abs() < 433), "{counts:?}");
}

/// Should this fail, an upgrade would send every session elsewhere.
#[test]
fn the_mapping_is_the_same_in_every_version() {
    let map = map(&equal(5), (0..12).map(|key: u64| hash_bytes(&key.to_le_bytes())));
    let last_digits: String = map.values().map(|name| &name[7..8]).collect();
    assert_eq!(last_digits, "032140324301");
}
