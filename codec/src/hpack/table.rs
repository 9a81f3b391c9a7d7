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
/// The smallest buffer that is allocated.
const BUFFER_BYTES_MIN: usize = 256;

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
        self.entries.shrink_to((self.capacity / ENTRY_OVERHEAD_BYTES).next_power_of_two());
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

    /// Memory: at most 2.25 times the capacity, beside [`BUFFER_BYTES_MIN`].
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
