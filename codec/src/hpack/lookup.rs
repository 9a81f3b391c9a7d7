//! Finds a field in the tables, for the encoder.
//!
//! Hashes have no seed, so a peer can make many names that share one. That costs nobody anything: what is looked at is
//! bounded, and what is not found is only encoded at greater length.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tables indexed by as many bits as they have entries for; counts of at most 16"
)]

use super::policy::Habit;
use super::statics;
use super::table::{ENTRIES_MIN, Table};
use std::collections::VecDeque;

/// Entries that are looked at for one field.
const STEPS_MAX: usize = 16;
/// As many values of one name may be in the table before more of them are taken to be of no use.
const VALUES_PER_NAME_MAX: usize = 8;
const BUCKETS: usize = 64;
const SLOTS: usize = 256;

/// A name, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) hash: u32,
    pub(super) habit: Habit,
    /// The first entry of the static table with this name; 0 if there is none.
    pub(super) index: u8,
    /// How many entries there have this name.
    entries: u8,
}

/// Where a field stands in the tables, as an index (RFC 7541 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// With this value.
    Field(usize),
    /// Its name does; 0 if not even that. `is_crowded` if many other values of it are in the dynamic table.
    Name { index: usize, is_crowded: bool },
}

/// The dynamic table's entries by the hash of their name.
///
/// An entry is known by the number of its insertion, modulo 2^16. Numbers of entries that are gone stay where they are:
/// they are too old, or, once the numbers have come round, of an entry that turns out to be another.
#[derive(Debug)]
pub(super) struct Lookup {
    /// The newest entry of each bucket.
    buckets: [u16; BUCKETS],
    /// Of each entry of the table, the newest first.
    links: VecDeque<Link>,
    newest: u16,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    hash: u32,
    /// The next older entry in the same bucket.
    older: u16,
    index: u8,
}

impl<'a> Name<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let hash = hash(bytes, 0);
        let mut at = first_slot(hash);
        loop {
            let slot = &STATIC_NAMES[at];
            if slot.name.as_bytes() == bytes || slot.index == 0 {
                return Self { bytes, hash, habit: slot.habit, index: slot.index, entries: slot.entries };
            }
            at = (at + 1) % SLOTS;
        }
    }

    /// The entry of the static table with this name and this value.
    #[inline]
    fn find(&self, value: &[u8]) -> Option<usize> {
        let first = usize::from(self.index);
        let last = first + usize::from(self.entries);
        (first..last).find(|index| statics::TABLE[index - 1].1.as_bytes() == value)
    }
}

impl Lookup {
    pub(super) fn new() -> Self {
        Self { buckets: [0; BUCKETS], links: VecDeque::new(), newest: 0 }
    }

    /// An entry was added to the table.
    pub(super) fn added(&mut self, name: &Name<'_>) {
        self.newest = self.newest.wrapping_add(1);
        let bucket = &mut self.buckets[name.hash as usize % BUCKETS];
        let older = std::mem::replace(bucket, self.newest);
        if self.links.capacity() == 0 {
            self.links.reserve_exact(ENTRIES_MIN);
        }
        self.links.push_front(Link { hash: name.hash, older, index: name.index });
    }

    /// So many of the oldest entries were evicted.
    pub(super) fn evicted(&mut self, count: usize) {
        self.links.truncate(self.links.len().saturating_sub(count));
    }

    /// Gives back memory for more entries than that.
    pub(super) fn shrink_to(&mut self, entries: usize) {
        self.links.shrink_to(entries.next_power_of_two().max(ENTRIES_MIN));
    }

    /// As many entries have been added, modulo 2^16.
    pub(super) fn added_count(&self) -> u16 {
        self.newest
    }

    /// Where a field stands, the static table first; if it is among the newest entries with its hash.
    pub(super) fn find(&self, table: &Table, name: &Name<'_>, value: &[u8]) -> Found {
        if let Some(found) = name.find(value) {
            return Found::Field(found);
        }
        let mut index = usize::from(name.index);
        let (mut number, mut values) = (self.buckets[name.hash as usize % BUCKETS], 0);
        for _ in 0..STEPS_MAX {
            let age = usize::from(self.newest.wrapping_sub(number));
            let Some(link) = self.links.get(age) else { break };
            number = link.older;
            if link.hash != name.hash || link.index != name.index {
                continue;
            }
            let Some((other_name, other_value)) = table.entry(age) else { break };
            if name.index == 0 && other_name != name.bytes {
                continue;
            }
            if other_value == value {
                return Found::Field(statics::FIRST_DYNAMIC + age);
            }
            values += 1;
            if index == 0 {
                index = statics::FIRST_DYNAMIC + age;
            }
        }
        Found::Name { index, is_crowded: values >= VALUES_PER_NAME_MAX }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
    }
}

/// A hash of `bytes` on top of another. Names are short: eight bytes at a time, the last of them twice if need be.
pub(super) const fn hash(bytes: &[u8], seed: u32) -> u32 {
    let mut hash = mix(seed as u64, bytes.len() as u64);
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        hash = mix(hash, u64::from_le_bytes(*eight));
        rest = behind;
    }
    if let Some(eight) = bytes.last_chunk::<8>() {
        hash = mix(hash, u64::from_le_bytes(*eight));
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        hash = mix(hash, (u32::from_le_bytes(*first) as u64) << 32 | u32::from_le_bytes(*last) as u64);
    } else if let ([first, ..], [.., last]) = (bytes, bytes) {
        let middle = bytes[bytes.len() / 2];
        hash = mix(hash, (*first as u64) << 16 | (middle as u64) << 8 | *last as u64);
    }
    (hash >> 32) as u32
}

const fn mix(hash: u64, more: u64) -> u64 {
    (hash.rotate_left(23) ^ more).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

const fn first_slot(hash: u32) -> usize {
    (hash >> 24) as usize
}

/// A name of the static table, with its first index and how many entries have it.
#[derive(Clone, Copy)]
struct Slot {
    name: &'static str,
    index: u8,
    entries: u8,
    habit: Habit,
}

/// Names of the static table, each at its first slot or one of those behind it.
static STATIC_NAMES: [Slot; SLOTS] = {
    let nobody = Slot { name: "", index: 0, entries: 0, habit: Habit::Repeats };
    let (mut slots, mut at) = ([nobody; SLOTS], 0);
    while at < statics::TABLE.len() {
        let name = statics::TABLE[at].0;
        let mut entries = 1;
        while at + entries < statics::TABLE.len()
            && is_same(name.as_bytes(), statics::TABLE[at + entries].0.as_bytes())
        {
            entries += 1;
        }
        let mut slot = first_slot(hash(name.as_bytes(), 0));
        while slots[slot].index != 0 {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = Slot { name, index: at as u8 + 1, entries: entries as u8, habit: Habit::of(name) };
        at += entries;
    }
    slots
};

const fn is_same(mut one: &[u8], mut other: &[u8]) -> bool {
    while let ([a, rest_of_one @ ..], [b, rest_of_other @ ..]) = (one, other) {
        if *a != *b {
            return false;
        }
        (one, other) = (rest_of_one, rest_of_other);
    }
    one.is_empty() && other.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_static_table_is_found() {
        let (lookup, table) = (Lookup::new(), Table::new(0));
        for (at, (name, value)) in statics::TABLE.iter().enumerate() {
            let name = Name::new(name.as_bytes());
            assert_eq!(lookup.find(&table, &name, value.as_bytes()), Found::Field(at + 1));
            let first = statics::TABLE.iter().position(|entry| entry.0.as_bytes() == name.bytes).unwrap() + 1;
            let other = lookup.find(&table, &name, b"another");
            assert_eq!(other, Found::Name { index: first, is_crowded: false });
        }
        let name = Name::new(b"x-other");
        assert_eq!((name.index, name.habit), (0, Habit::Repeats));
    }

    #[test]
    fn what_has_a_habit_is_in_the_static_table() {
        let habits =
            |habit| STATIC_NAMES.iter().filter(|slot| slot.index != 0 && slot.habit == habit).count();
        let all = [Habit::Repeats, Habit::Changes, Habit::Secret, Habit::Cookie].map(habits);
        assert_eq!(all, [52 - 16 - 3 - 1, 16, 3, 1]);
    }

    #[test]
    fn a_number_that_has_come_round_finds_nothing_wrong() {
        let (mut lookup, mut table) = (Lookup::new(), Table::new(4096));
        let name = Name::new(b"name");
        for at in 0_u32..200_000 {
            let value = at.to_le_bytes();
            // Most go to other buckets, so that this one's numbers become very old.
            let text = (at / 1000 * 1000).to_string();
            let others = Name::new(text.as_bytes());
            let name = if at % 70_000 == 0 { &name } else { &others };
            let evicted = table.insert(name.bytes, &value);
            lookup.evicted(evicted);
            lookup.added(name);
            assert_eq!(lookup.find(&table, name, &value), Found::Field(62));
            for age in [0, 1, 15, 60, lookup.links.len() - 1] {
                if let Some((old_name, old_value)) = table.entry(age) {
                    let (old_name, old_value) = (old_name.to_vec(), old_value.to_vec());
                    let found = lookup.find(&table, &Name::new(&old_name), &old_value);
                    // It may be too far down its bucket to be found, but is never taken for another.
                    assert!(
                        found == Found::Field(62 + age) || (age > 0 && matches!(found, Found::Name { .. }))
                    );
                }
            }
        }
    }
}
