//! The dynamic table (RFC 7541 §2.3.2, §4), for either direction.
//!
//! Names and values lie behind each other in one buffer, oldest first. Entries are evicted by moving where it begins;
//! when its end is reached, what is alive is moved to the front. That costs at most four moved bytes for each byte that
//! was inserted, because at least a fifth of a buffer of full size is dead by then.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "sums of lengths of what is in memory, and of sizes that `set_capacity` keeps below 2^28"
)]

use super::integer::INTEGER_MAX;
use std::collections::VecDeque;

/// What an entry costs beside its name and its value (RFC 7541 §4.1).
pub(super) const ENTRY_OVERHEAD_BYTES: usize = 32;
/// The smallest buffer that is allocated: what the fields of a browser's first request take, mostly.
const BUFFER_BYTES_MIN: usize = 1024;
/// As many entries as are made room for at first.
pub(super) const ENTRIES_MIN: usize = 16;

#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// Where in `bytes` the oldest entry begins.
    start: usize,
    /// What all bytes that were moved out amount to, so that entries keep their places. Wraps.
    base: u32,
    /// The newest first, so that an index finds its entry.
    entries: VecDeque<Entry>,
    /// As RFC 7541 §4.1 counts it.
    size: usize,
    capacity: usize,
}

/// Where an entry's name begins, less `base`; its value follows.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: u32,
    name_len: u32,
    value_len: u32,
}

const _: () = assert!(
    size_of::<Entry>() * 2 <= ENTRY_OVERHEAD_BYTES,
    "a queue that has grown once too often, still within the size"
);

impl Table {
    /// An empty table, without memory.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.min(INTEGER_MAX as usize);
        Self { bytes: Vec::new(), start: 0, base: 0, entries: VecDeque::new(), size: 0, capacity }
    }

    /// Changes the maximum size and evicts what is beyond it (RFC 7541 §4.3); says how many entries went. Memory beyond
    /// the new maximum is given back.
    pub(super) fn set_capacity(&mut self, capacity: usize) -> usize {
        self.capacity = capacity.min(INTEGER_MAX as usize);
        let evicted = self.evict_to(self.capacity);
        if self.bytes.capacity() > self.buffer_bytes_max() {
            self.move_to_front();
            self.bytes.shrink_to(self.buffer_bytes_max());
        }
        self.entries.shrink_to((self.capacity / ENTRY_OVERHEAD_BYTES).next_power_of_two().max(ENTRIES_MIN));
        evicted
    }

    /// Adds an entry and evicts as many as it takes (RFC 7541 §4.4); says how many went. An entry that is larger than
    /// the whole table empties it, and is not added.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) -> usize {
        let size = name.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        let Some(others) = self.capacity.checked_sub(size) else { return self.evict_to(0) };
        let evicted = self.evict_to(others);
        self.make_room(name.len() + value.len());
        let at = self.base.wrapping_add(self.bytes.len() as u32);
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(ENTRIES_MIN);
        }
        self.entries.push_front(Entry { at, name_len: name.len() as u32, value_len: value.len() as u32 });
        self.size += size;
        evicted
    }

    /// Evicts everything.
    pub(super) fn clear(&mut self) {
        self.evict_to(0);
    }

    /// Name and value of an entry, counted from 0 for the newest.
    #[inline]
    pub(super) fn entry(&self, age: usize) -> Option<(&[u8], &[u8])> {
        let entry = self.entries.get(age)?;
        let at = entry.at.wrapping_sub(self.base) as usize;
        let both = self.bytes.get(at..at + (entry.name_len + entry.value_len) as usize)?;
        both.split_at_checked(entry.name_len as usize)
    }

    /// The size by RFC 7541 §4.1.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The maximum size.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// What the name and value of one entry may have together, if any may be there.
    pub(super) fn room(&self) -> Option<usize> {
        self.capacity.checked_sub(ENTRY_OVERHEAD_BYTES)
    }

    /// Whether an entry of these lengths can be there, alone if need be.
    pub(super) fn has_room_for(&self, name_len: usize, value_len: usize) -> bool {
        self.room().is_some_and(|room| name_len + value_len <= room)
    }

    /// The most that [`heap_bytes`](Self::heap_bytes) says: 2.25 times the capacity, and 1,280 bytes.
    pub(super) const fn heap_bytes_max(capacity: usize) -> usize {
        (capacity * 9 / 4).saturating_add(1280)
    }

    /// Memory that is held.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn evict_to(&mut self, size: usize) -> usize {
        let before = self.entries.len();
        while self.size > size {
            let Some(oldest) = self.entries.pop_back() else { break };
            let len = (oldest.name_len + oldest.value_len) as usize;
            self.start += len;
            self.size -= len + ENTRY_OVERHEAD_BYTES;
        }
        before - self.entries.len()
    }

    /// A quarter more than can be alive.
    fn buffer_bytes_max(&self) -> usize {
        (self.capacity + self.capacity / 4).max(BUFFER_BYTES_MIN)
    }

    /// Makes room for so many more bytes, which the table's size allows.
    fn make_room(&mut self, len: usize) {
        if self.bytes.capacity() - self.bytes.len() >= len {
            return;
        }
        let alive = self.bytes.len() - self.start;
        let enough_is_dead = self.start >= self.bytes.capacity() / 5;
        self.move_to_front();
        if enough_is_dead && self.bytes.capacity() - alive >= len {
            return;
        }
        let wanted = (2 * (alive + len)).clamp(BUFFER_BYTES_MIN, self.buffer_bytes_max());
        self.bytes.reserve_exact(wanted - alive);
    }

    fn move_to_front(&mut self) {
        self.bytes.drain(..self.start);
        self.base = self.base.wrapping_add(self.start as u32);
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What RFC 7541 §4 says, with a list.
    #[derive(Default)]
    struct Model {
        entries: Vec<(Vec<u8>, Vec<u8>)>,
        capacity: usize,
    }

    impl Model {
        fn size(&self) -> usize {
            self.entries.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
        }

        fn set_capacity(&mut self, capacity: usize) {
            self.capacity = capacity;
            while self.size() > capacity {
                self.entries.pop();
            }
        }

        fn insert(&mut self, name: &[u8], value: &[u8]) {
            self.entries.insert(0, (name.to_vec(), value.to_vec()));
            self.set_capacity(self.capacity);
        }
    }

    #[track_caller]
    fn assert_same(table: &Table, model: &Model) {
        assert_eq!((table.entries.len(), table.size()), (model.entries.len(), model.size()));
        for (age, (name, value)) in model.entries.iter().enumerate() {
            assert_eq!(table.entry(age), Some((&name[..], &value[..])));
        }
        assert_eq!(table.entry(model.entries.len()), None);
        let most = Table::heap_bytes_max(table.capacity());
        assert!(table.heap_bytes() <= most, "{} of {most}", table.heap_bytes());
    }

    proptest! {
        #[test]
        fn it_does_what_the_rfc_says(
            steps in proptest::collection::vec((0_usize..40, 0_usize..300, proptest::option::weighted(0.05, 0_usize..2000)), 1..200),
        ) {
            let (mut table, mut model) = (Table::new(700), Model { capacity: 700, ..Model::default() });
            for (at, (name_len, value_len, capacity)) in steps.into_iter().enumerate() {
                let before = model.entries.len();
                let (evicted, added) = if let Some(capacity) = capacity {
                    model.set_capacity(capacity);
                    (table.set_capacity(capacity), 0)
                } else {
                    let (name, value) = (vec![at as u8; name_len], vec![!at as u8; value_len]);
                    model.insert(&name, &value);
                    (table.insert(&name, &value), usize::from(name_len + value_len + 32 <= model.capacity))
                };
                prop_assert_eq!(before + added - evicted, model.entries.len());
                assert_same(&table, &model);
            }
        }
    }

    #[test]
    fn h2_09_churn_moves_few_bytes_and_takes_no_memory() {
        for len in [0, 10, 100, 1000, 1900, 2100, 4064] {
            let (mut table, value) = (Table::new(4096), vec![b'x'; len]);
            let (mut moved, mut inserted) = (0, 0);
            for _ in 0..20_000 {
                let base = table.base;
                table.insert(b"", &value);
                inserted += len;
                if table.base != base {
                    moved += table.bytes.len() - len;
                }
            }
            assert!(moved <= 4 * inserted, "{len}: {moved} of {inserted}");
            assert!(table.heap_bytes() <= Table::heap_bytes_max(4096), "{len}: {}", table.heap_bytes());
        }
    }
}
