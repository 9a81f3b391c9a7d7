//! [`Encoder`]: fields in, header blocks out (RFC 7541 §2.4, §6).

use super::lookup::{Found, Lookup, Name, hash};
use super::order::{Order, Place};
use super::policy::{Habit, Huffman, Indexing, Policy, Recent};
use super::statics;
use super::table::{ENTRY_OVERHEAD_BYTES, Table};
use super::{TABLE_BYTES_DEFAULT, TABLE_BYTES_MAX, huffman, integer};

/// Encodes the header blocks of one direction of a connection.
///
/// What has been encoded must be sent, whole and in order: the peer's table follows from it.
#[derive(Debug)]
pub struct Encoder {
    policy: Policy,
    table: Table,
    lookup: Lookup,
    order: Order,
    recent: Recent,
    /// What the table's maximum has to become with the next block.
    resize: Option<Resize>,
}

/// A change of the table's maximum size (RFC 7541 §4.2).
#[derive(Debug, Clone, Copy)]
struct Resize {
    /// The smallest that it was to be since the last block, in bytes.
    least: usize,
    /// The one that it is to be.
    last: usize,
}

/// A block that is being encoded.
#[derive(Debug)]
pub struct Block<'a> {
    encoder: &'a mut Encoder,
    out: &'a mut Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

impl Encoder {
    /// An encoder with an empty table, of 4,096 bytes or of what the policy allows if that is less.
    pub fn new(policy: Policy) -> Self {
        let mut encoder = Self {
            policy,
            table: Table::new(TABLE_BYTES_DEFAULT),
            lookup: Lookup::new(),
            order: Order::new(),
            recent: Recent::default(),
            resize: None,
        };
        encoder.set_peer_table_bytes(TABLE_BYTES_DEFAULT);
        encoder
    }

    /// What the peer's SETTINGS_HEADER_TABLE_SIZE says, in bytes. The next block begins with what the peer has to know
    /// of it.
    pub fn set_peer_table_bytes(&mut self, bytes: usize) {
        let last = bytes.min(self.policy.table_bytes_max).min(TABLE_BYTES_MAX);
        let least = self.resize.map_or(self.table.capacity(), |resize| resize.least).min(last);
        self.resize = Some(Resize { least, last });
    }

    /// Begins a block behind what `out` has. It has no end of its own: whoever frames it knows where it is.
    pub fn begin<'a>(&'a mut self, out: &'a mut Vec<u8>) -> Block<'a> {
        if let Some(Resize { least, last }) = self.resize.take() {
            self.resize_to(least, out);
            self.resize_to(last, out);
        }
        self.order.begin();
        Block { encoder: self, out }
    }

    /// The size of the table as RFC 7541 §4.1 counts it, in bytes.
    pub fn table_bytes(&self) -> usize {
        self.table.size()
    }

    /// The most that [`heap_bytes`](Self::heap_bytes) says of an encoder with this policy.
    pub(crate) const fn heap_bytes_max(policy: &Policy) -> usize {
        (policy.table_bytes_max.saturating_mul(11) / 4).saturating_add(1536)
    }

    /// The memory that is held, in bytes: at most 2.75 times the table, and 1.5 KiB.
    pub fn heap_bytes(&self) -> usize {
        self.table.heap_bytes().saturating_add(self.lookup.heap_bytes())
    }

    fn resize_to(&mut self, bytes: usize, out: &mut Vec<u8>) {
        if bytes != self.table.capacity() {
            integer::write(out, 0x20, 5, bytes);
            let evicted = self.table.set_capacity(bytes);
            self.lookup.evicted(evicted);
            self.lookup.shrink_to(bytes / ENTRY_OVERHEAD_BYTES);
        }
    }

    fn field(&mut self, name: &[u8], value: &[u8], indexing: Indexing, out: &mut Vec<u8>) {
        if indexing != Indexing::Never
            && let Some(index) = self.expected(name, value)
        {
            return integer::write(out, 0x80, 7, index);
        }
        self.unexpected(name, value, indexing, out);
    }

    /// The index of this field if it comes behind the last one as it did before.
    #[inline]
    fn expected(&mut self, name: &[u8], value: &[u8]) -> Option<usize> {
        let place = self.order.next();
        let index = place.index(self.lookup.added_count())?;
        let is_it = match index.checked_sub(statics::FIRST_DYNAMIC) {
            Some(age) => self.table.entry(age)? == (name, value),
            None => {
                let entry = statics::entry(index as u32)?;
                (entry.0, entry.1) == (name, value)
            }
        };
        if !is_it {
            return None;
        }
        self.order.goes_on(place);
        Some(index)
    }

    fn unexpected(&mut self, name: &[u8], value: &[u8], indexing: Indexing, out: &mut Vec<u8>) {
        let name = Name::new(name);
        let found = self.lookup.find(&self.table, &name, value);
        let is_secret = self.is_secret(&name, value);
        let indexing = if indexing == Indexing::ByName && is_secret { Indexing::Never } else { indexing };
        let name_index = match (found, indexing) {
            (Found::Field(index), Indexing::Never) => index,
            (Found::Field(index), _) => {
                let place = Place::of(index, self.lookup.added_count());
                self.order.turns(if is_secret { Place::NOWHERE } else { place }, name.hash);
                return integer::write(out, 0x80, 7, index);
            }
            (Found::Name { index, .. }, _) => index,
        };
        let mut place = Place::NOWHERE;
        match indexing {
            Indexing::Never => integer::write(out, 0x10, 4, name_index),
            Indexing::Without => integer::write(out, 0x00, 4, name_index),
            Indexing::ByName if !self.is_worth_it(&name, value, found) => {
                integer::write(out, 0x00, 4, name_index);
            }
            Indexing::ByName | Indexing::Incremental => {
                integer::write(out, 0x40, 6, name_index);
                self.add(&name, value);
                if !is_secret {
                    place = Place::of(statics::FIRST_DYNAMIC, self.lookup.added_count());
                }
            }
        }
        self.order.turns(place, name.hash);
        if name_index == 0 {
            self.string(name.bytes, out);
        }
        self.string(value, out);
    }

    fn is_secret(&self, name: &Name<'_>, value: &[u8]) -> bool {
        match name.habit {
            Habit::Secret => true,
            Habit::Cookie => value.len() < self.policy.cookie_bytes_min,
            Habit::Repeats | Habit::Changes => false,
        }
    }

    /// Whether a field that is in no table is to be added: see [`Indexing::ByName`].
    fn is_worth_it(&mut self, name: &Name<'_>, value: &[u8], found: Found) -> bool {
        let size = name.bytes.len().saturating_add(value.len()).saturating_add(ENTRY_OVERHEAD_BYTES);
        if size > self.table.capacity() / 2 {
            return false;
        }
        match name.habit {
            Habit::Changes => self.recent.has(hash(value, name.hash)),
            Habit::Repeats | Habit::Cookie | Habit::Secret => {
                !matches!(found, Found::Name { is_crowded: true, .. })
            }
        }
    }

    fn add(&mut self, name: &Name<'_>, value: &[u8]) {
        let evicted = self.table.insert(name.bytes, value);
        self.lookup.evicted(evicted);
        if self.table.size() > 0 {
            self.lookup.added(name);
        }
    }

    fn string(&self, text: &[u8], out: &mut Vec<u8>) {
        let code_bytes_max = match self.policy.huffman {
            Huffman::Never => None,
            Huffman::Shorter => text.len().checked_sub(1),
            Huffman::NotLonger => Some(text.len()),
        };
        let start = out.len();
        if let Some(bytes_max) = code_bytes_max {
            // The length comes before the code, and mostly fits in one octet.
            out.push(0);
            if huffman::write(text, bytes_max, out) {
                return integer::write_before(out, start, 0x80, 7);
            }
            out.truncate(start);
        }
        integer::write(out, 0x00, 7, text.len());
        out.extend_from_slice(text);
    }
}

impl Block<'_> {
    /// Encodes a field. The name is sent as it is: HTTP/2 wants it in lower case (RFC 9113 §8.2.1), and only so is it
    /// known for what it is.
    pub fn field(&mut self, name: &[u8], value: &[u8], indexing: Indexing) {
        self.encoder.field(name, value, indexing, self.out);
    }
}
