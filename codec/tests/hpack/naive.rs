//! A decoder that sees all of a block at once and is too simple to be wrong: no piece of it is written for speed.

use super::Said;
use corelane_codec::hpack::{Decoder, Error, ListLimits};
use std::collections::HashMap;
use std::sync::LazyLock;

type Entry = (Vec<u8>, Vec<u8>);

/// By code and length, which Appendix B has in words.
static SYMBOLS: LazyLock<HashMap<(u32, u32), usize>> = LazyLock::new(|| {
    let symbol = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let (code, len) = (u32::from_str_radix(words[1], 16).unwrap(), words[2].parse().unwrap());
        ((code, len), words[0].parse().unwrap())
    };
    include_str!("../../src/hpack/appendix_b.txt").lines().skip(1).map(symbol).collect()
});

/// Both tables, and what is known of their sizes.
pub struct Naive {
    fixed: Vec<Entry>,
    /// The newest first.
    dynamic: Vec<Entry>,
    table_bytes: usize,
    table_bytes_max: usize,
    due: Option<usize>,
    /// What the last block added to the table.
    pub inserted_bytes: usize,
}

/// A block, and how far it has been read.
struct Input<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn next(&mut self) -> Result<u8, Error> {
        self.at += 1;
        self.octets.get(self.at - 1).copied().ok_or(Error::Truncated)
    }

    fn integer(&mut self, first: u8, prefix: u32) -> Result<usize, Error> {
        let full = (1_u64 << prefix) - 1;
        let mut value = u64::from(first) & full;
        if value < full {
            return Ok(value as usize);
        }
        for at in 0..4 {
            let octet = self.next()?;
            value += u64::from(octet & 0x7f) << (7 * at);
            if octet < 0x80 {
                return if value < 1 << 28 { Ok(value as usize) } else { Err(Error::IntegerOverflow) };
            }
        }
        // A fifth is too many, whatever it is.
        self.next()?;
        Err(Error::IntegerOverflow)
    }
}

impl Naive {
    pub fn new(table_bytes_max: usize) -> Self {
        let mut fixed = Vec::new();
        let all: Vec<u8> = (1..=61).map(|index| 0x80 | index).collect();
        let mut decoder = Decoder::new(0);
        decoder.begin(ListLimits::default());
        decoder.decode(&all, true, |field| fixed.push((field.name.to_vec(), field.value.to_vec()))).unwrap();
        Self {
            fixed,
            dynamic: Vec::new(),
            table_bytes: table_bytes_max,
            table_bytes_max,
            due: None,
            inserted_bytes: 0,
        }
    }

    pub fn set_table_bytes_max(&mut self, bytes: usize) {
        self.table_bytes_max = bytes;
        if bytes < self.table_bytes {
            self.due = Some(self.due.map_or(bytes, |due| due.min(bytes)));
        }
    }

    pub fn size(&self) -> usize {
        self.dynamic.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
    }

    /// The fields up to the first error, and the error.
    pub fn decode(&mut self, block: &[u8]) -> (Vec<Said>, Option<Error>) {
        let mut fields = Vec::new();
        let error = self.block(&mut Input { octets: block, at: 0 }, &mut fields).err();
        (fields, error)
    }

    fn block(&mut self, input: &mut Input<'_>, fields: &mut Vec<Said>) -> Result<(), Error> {
        let mut begun = false;
        self.inserted_bytes = 0;
        while input.at < input.octets.len() {
            let first = input.next()?;
            if first & 0xe0 == 0x20 {
                let bytes = input.integer(first, 5)?;
                self.size_update(bytes, begun)?;
                continue;
            }
            begun = true;
            let prefix = if first & 0x80 != 0 {
                7
            } else if first & 0x40 != 0 {
                6
            } else {
                4
            };
            let index = input.integer(first, prefix)?;
            if self.due.is_some() {
                return Err(Error::SizeUpdateMissing);
            }
            if first & 0x80 != 0 {
                let (name, value) = self.entry(index)?;
                fields.push(Said { name, value, never_indexed: false });
                continue;
            }
            let name = if index == 0 { Self::string(input)? } else { self.entry(index)?.0 };
            let value = Self::string(input)?;
            let never_indexed = first & 0xf0 == 0x10;
            fields.push(Said { name: name.clone(), value: value.clone(), never_indexed });
            if first & 0x40 != 0 {
                if name.len() + value.len() + 32 <= self.table_bytes {
                    self.inserted_bytes += name.len() + value.len();
                }
                self.dynamic.insert(0, (name, value));
                self.evict();
            }
        }
        if self.due.is_some() { Err(Error::SizeUpdateMissing) } else { Ok(()) }
    }

    fn size_update(&mut self, bytes: usize, begun: bool) -> Result<(), Error> {
        if begun {
            return Err(Error::SizeUpdateAfterField);
        }
        if bytes > self.table_bytes_max {
            return Err(Error::SizeUpdateBeyondLimit);
        }
        if self.due.is_some_and(|due| bytes <= due) {
            self.due = None;
        }
        self.table_bytes = bytes;
        self.evict();
        Ok(())
    }

    fn evict(&mut self) {
        while self.size() > self.table_bytes {
            self.dynamic.pop();
        }
    }

    fn entry(&self, index: usize) -> Result<Entry, Error> {
        let at = index.checked_sub(1).ok_or(Error::IndexZero)?;
        self.fixed.iter().chain(&self.dynamic).nth(at).cloned().ok_or(Error::IndexBeyondTable)
    }

    fn string(input: &mut Input<'_>) -> Result<Vec<u8>, Error> {
        let first = input.next()?;
        let len = input.integer(first, 7)?;
        let rest = &input.octets[input.at..];
        // What is there of it may be wrong already, in a code that nothing can follow.
        let octets = &rest[..len.min(rest.len())];
        let text = if first & 0x80 == 0 { Ok(octets.to_vec()) } else { Self::text(octets) };
        if len > rest.len() {
            return Err(if text == Err(Error::HuffmanEos) { Error::HuffmanEos } else { Error::Truncated });
        }
        input.at += len;
        text
    }

    fn text(octets: &[u8]) -> Result<Vec<u8>, Error> {
        let (mut text, mut code, mut len) = (Vec::new(), 0_u32, 0);
        for bit in octets.iter().flat_map(|octet| (0..8).rev().map(move |at| octet >> at & 1)) {
            (code, len) = (code << 1 | u32::from(bit), len + 1);
            if let Some(symbol) = SYMBOLS.get(&(code, len)) {
                text.push(u8::try_from(*symbol).map_err(|_| Error::HuffmanEos)?);
                (code, len) = (0, 0);
            }
        }
        if code.count_ones() < len {
            return Err(Error::HuffmanPaddingNotOnes);
        }
        if len > 7 { Err(Error::HuffmanPaddingTooLong) } else { Ok(text) }
    }
}
