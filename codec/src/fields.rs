//! [`Fields`]: an ordered list of header or trailer fields over one byte buffer.
//!
//! Order and case are kept as received. A look-up compares a one-byte tag for the names that a proxy works with,
//! and length and bytes for all others; there is no hashing. A received field section is copied once, as a whole,
//! and the entries are ranges of that copy.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "sums of lengths of slices that are in memory, kept below 4 GiB by `room_for`"
)]

mod known;

pub(crate) use known::{Known, LONGEST_NAME};

use crate::grammar::{is_token, is_value, trim};
use crate::growth::make_room;
use std::ops::Range;

/// Bytes that may be wasted by replaced and removed fields before the buffer is compacted, beside as many as are in
/// use.
const GARBAGE_BYTES_MAX: usize = 4 << 10;

/// An ordered list of fields.
///
/// A name is always a token and a value never has a control character (RFC 9110 §5.1, §5.5), so what is written
/// from here can't split a message.
#[derive(Default)]
pub struct Fields {
    /// Lines, each written as `name: value CRLF` unless [`CANONICAL`] says otherwise, in any order.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// A bit for each known name that stands here, or has stood here: most of those that are looked for do not.
    seen: u64,
}

/// A copy into fields that have been used before costs no allocation.
impl Clone for Fields {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), entries: self.entries.clone(), seen: self.seen }
    }

    fn clone_from(&mut self, source: &Self) {
        self.bytes.clone_from(&source.bytes);
        self.entries.clone_from(&source.entries);
        self.seen = source.seen;
    }
}

#[derive(Clone, Copy)]
struct Entry {
    name_start: u32,
    value_start: u32,
    value_len: u32,
    name_len: u16,
    known: Known,
    /// [`CANONICAL`] and [`NEVER_INDEXED`].
    flags: u8,
}

/// In `bytes`, exactly `": "` stands between name and value and CRLF after the value.
const CANONICAL: u8 = 1;
/// It came as a field that no table may hold, and goes on as one (RFC 7541 §6.2.3).
const NEVER_INDEXED: u8 = 2;

const _: () = assert!(size_of::<Entry>() == 16);

/// Why a field can't be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidField {
    /// The name is not a token (RFC 9110 §5.1), or is longer than 65,535 bytes.
    Name,
    /// The value has a CR, LF, NUL or another control character (RFC 9110 §5.5).
    Value,
    /// The list would be longer than 4 GiB.
    TooLarge,
}

impl std::fmt::Display for InvalidField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "a field name must be a token",
            Self::Value => "a field value must have no control characters",
            Self::TooLarge => "too many bytes of fields",
        })
    }
}

impl std::error::Error for InvalidField {}

/// A piece of a value that [`Fields::set_known`] puts together without a buffer of its own.
#[derive(Clone, Copy)]
pub(crate) enum Part<'a> {
    Bytes(&'a [u8]),
    /// Bytes that are our own and known to be legal.
    Fixed(&'a [u8]),
    /// The value of the first field with this name.
    First(Known),
    /// The values of all fields with this name and a comma after each.
    All(Known),
}

/// A field, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) known: Known,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) never_indexed: bool,
}

impl<'a> Line<'a> {
    /// One that came with HTTP/1, which says nothing of indexes.
    pub(crate) const fn received(known: Known, name: &'a [u8], value: &'a [u8]) -> Self {
        Self { known, name, value, never_indexed: false }
    }
}

impl Fields {
    /// No fields, and no memory.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), entries: Vec::new(), seen: 0 }
    }

    /// Removes all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.seen = 0;
    }

    /// Adds a field after all others. Whitespace around the value is left out.
    ///
    /// # Panics
    /// If the name is no token, or the value has a control character. Use [`try_append`](Self::try_append) for what
    /// comes from outside the program.
    #[track_caller]
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        if let Err(error) = self.try_append(name, value) {
            panic!("{name:?}: {error}");
        }
    }

    /// Adds a field after all others. Whitespace around the value is left out.
    pub fn try_append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidField> {
        self.append_line(Known::of(name.as_bytes()), Some(name), &[Part::Bytes(value.as_ref())])
    }

    /// As [`try_append`](Self::try_append), with a known name and a value made of pieces.
    pub(crate) fn append_known(&mut self, known: Known, value: &[Part<'_>]) -> Result<(), InvalidField> {
        self.append_line(known, None, value)
    }

    /// Replaces the value of the first field with this name and removes the others; adds the field if there is none.
    ///
    /// # Panics
    /// As [`append`](Self::append).
    #[track_caller]
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        if let Err(error) = self.try_set(name, value) {
            panic!("{name:?}: {error}");
        }
    }

    /// As [`set`](Self::set), for names and values from outside the program.
    pub fn try_set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidField> {
        self.set_line(Known::of(name.as_bytes()), Some(name), &[Part::Bytes(value.as_ref())])
    }

    /// As [`try_set`](Self::try_set), with a known name and a value made of pieces, which may be values of fields
    /// that stand here.
    pub(crate) fn set_known(&mut self, known: Known, value: &[Part<'_>]) -> Result<(), InvalidField> {
        self.set_line(known, None, value)
    }

    /// Removes every field with this name; says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let (known, before) = (Known::of(name.as_bytes()), self.entries.len());
        let bytes = &self.bytes;
        self.entries.retain(|e| !e.is(bytes, known, name));
        before != self.entries.len()
    }

    /// Keeps the fields of which `keep(name, value)` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        self.entries.retain(|e| keep(slice(bytes, e.name()), slice(bytes, e.value())));
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of the first field with this name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let known = Known::of(name.as_bytes());
        if !self.has_seen(known) {
            return None;
        }
        let entry = self.entries.iter().find(|e| e.is(&self.bytes, known, name))?;
        Some(slice(&self.bytes, entry.value()))
    }

    /// The values of all fields with this name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let known = Known::of(name.as_bytes());
        let named = self.entries.iter().filter(move |e| e.is(&self.bytes, known, name));
        named.map(|e| slice(&self.bytes, e.value()))
    }

    /// Whether there is a field with this name.
    pub fn contains(&self, name: &str) -> bool {
        let known = Known::of(name.as_bytes());
        self.has_seen(known) && self.entries.iter().any(|e| e.is(&self.bytes, known, name))
    }

    /// Names, as received, and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|e| (slice(&self.bytes, e.name()), slice(&self.bytes, e.value())))
    }

    /// Bytes on the heap, for budgets.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Appends `name: value CRLF` for each field.
    pub fn write_h1(&self, out: &mut Vec<u8>) {
        self.write_h1_if(out, |_| true);
    }

    /// As [`write_h1`](Self::write_h1), for the fields of which `wanted` is true. Lines that follow each other in
    /// the buffer are copied together: usually a whole head is one copy.
    pub(crate) fn write_h1_if(&self, out: &mut Vec<u8>, wanted: impl Fn(Known) -> bool) {
        out.reserve(self.bytes.len() + 2 * self.entries.len());
        let mut run = 0..0;
        for e in self.entries.iter().filter(|e| wanted(e.known)) {
            let line = e.name_start as usize..e.value().end + 2;
            if e.is_canonical() && run.end == line.start {
                run.end = line.end;
                continue;
            }
            out.extend_from_slice(slice(&self.bytes, run));
            run = line.end..line.end;
            if e.is_canonical() {
                run.start = line.start;
                continue;
            }
            run = 0..0;
            out.extend_from_slice(slice(&self.bytes, e.name()));
            out.extend_from_slice(b": ");
            out.extend_from_slice(slice(&self.bytes, e.value()));
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(slice(&self.bytes, run));
    }

    /// A map of the same fields. The order of different names is lost, and their case.
    ///
    /// # Panics
    /// If there are more than 24,576 fields, which is more than a map takes.
    pub fn to_header_map(&self) -> http::HeaderMap {
        self.try_into().expect("names are tokens and values have no control characters")
    }

    /// The value of the first field with a known name.
    pub(crate) fn known(&self, known: Known) -> Option<&[u8]> {
        if !self.has_seen(known) {
            return None;
        }
        self.entries.iter().find(|e| e.known == known).map(|e| slice(&self.bytes, e.value()))
    }

    /// The values of all fields with a known name.
    pub(crate) fn all_known(&self, known: Known) -> impl DoubleEndedIterator<Item = &[u8]> {
        let entries = if self.has_seen(known) { self.entries.as_slice() } else { &[] };
        entries.iter().filter(move |e| e.known == known).map(|e| slice(&self.bytes, e.value()))
    }

    /// Whether fields with any of these names may stand here.
    pub(crate) fn has_seen_any<const N: usize>(&self, known: [Known; N]) -> bool {
        self.seen & known.iter().fold(0, |bits, known| bits | known.bit()) != 0
    }

    /// Begins to add lines that are made of pieces which have been checked, with so many bytes around them; not if with them
    /// there would be so much that something may have to be compacted.
    pub(crate) fn begin_lines<const N: usize>(
        &mut self,
        pieces: [&[u8]; N],
        around: usize,
    ) -> Option<Lines<'_>> {
        let at = self.bytes.len();
        let end = pieces.iter().fold(at.saturating_add(around), |end, piece| end.saturating_add(piece.len()));
        if end > GARBAGE_BYTES_MAX {
            return None;
        }
        self.bytes.resize(end, 0);
        Some(Lines { fields: self, at })
    }

    /// Adds a field that came with HTTP/2: its name and its value have been checked.
    pub(crate) fn append_checked(&mut self, line: Line<'_>) {
        let name_start = self.bytes.len();
        self.bytes.reserve(line.name.len() + line.value.len() + ": \r\n".len());
        self.bytes.extend_from_slice(line.name);
        self.bytes.extend_from_slice(b": ");
        let value_start = self.bytes.len();
        self.bytes.extend_from_slice(line.value);
        self.bytes.extend_from_slice(b"\r\n");
        self.push(Entry {
            name_start: position(name_start),
            value_start: position(value_start),
            value_len: position(line.value.len()),
            name_len: u16::try_from(line.name.len()).expect("whoever checked it limits names"),
            known: line.known,
            flags: if line.never_indexed { CANONICAL | NEVER_INDEXED } else { CANONICAL },
        });
    }

    /// Makes room for so many bytes of lines more, of `bytes_max` in all.
    pub(crate) fn make_room(&mut self, more: usize, bytes_max: usize) {
        make_room(&mut self.bytes, more, bytes_max);
    }

    /// Makes one field of all cookies, at the place of the first (RFC 9113 §8.2.3). `spare` is memory for it, and has
    /// what was here afterwards.
    pub(crate) fn join_cookies(&mut self, spare: &mut Self) {
        let of_cookies = |line: &Line<'_>| line.known == Known::Cookie;
        spare.clear();
        spare.bytes.reserve_exact(self.bytes.len());
        spare.entries.reserve_exact(self.entries.len());
        let mut joined = false;
        for line in self.lines() {
            if !of_cookies(&line) {
                spare.append_checked(line);
            } else if !joined {
                joined = true;
                spare.append_checked(line);
                for crumb in self.lines().filter(of_cookies).skip(1) {
                    spare.extend_last(Known::Cookie, [b"; ", crumb.value], crumb.never_indexed);
                }
            }
        }
        std::mem::swap(self, spare);
    }

    /// Adds to the value of the last field, if it has this name; says whether it had. What is added has been checked.
    pub(crate) fn extend_last(&mut self, known: Known, more: [&[u8]; 2], never_indexed: bool) -> bool {
        let Some(last) = self.entries.last_mut().filter(|e| e.known == known && e.is_canonical()) else {
            return false;
        };
        let end = last.value().end;
        if end + "\r\n".len() != self.bytes.len() {
            return false;
        }
        self.bytes.truncate(end);
        more.iter().for_each(|more| self.bytes.extend_from_slice(more));
        last.value_len = position(self.bytes.len() - last.value_start as usize);
        last.flags |= if never_indexed { NEVER_INDEXED } else { 0 };
        self.bytes.extend_from_slice(b"\r\n");
        true
    }

    /// No less than what the list is to HTTP/2: names, values, and 32 for each field (RFC 9113 §6.5.2).
    pub(crate) fn list_bytes_most(&self) -> usize {
        self.bytes.len() + 32 * self.entries.len()
    }

    /// The fields as HTTP/2 writes them, in order.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.entries.iter().map(|e| Line {
            known: e.known,
            name: slice(&self.bytes, e.name()),
            value: slice(&self.bytes, e.value()),
            never_indexed: e.flags & NEVER_INDEXED != 0,
        })
    }

    /// Removes every field with a known name.
    pub(crate) fn remove_known(&mut self, known: Known) {
        if !self.has_seen(known) {
            return;
        }
        self.entries.retain(|e| e.known != known);
    }

    /// Whether a known name may stand here.
    fn has_seen(&self, known: Known) -> bool {
        self.seen & known.bit() != 0
    }

    fn push(&mut self, entry: Entry) {
        self.seen |= entry.known.bit();
        self.entries.push(entry);
    }

    /// Makes a field of a line of a received field section, which is then [`load`](Self::load)ed; there is nothing else in
    /// here. None if it is too long for one.
    #[inline]
    pub(crate) fn adopt(&mut self, line: Adopted<'_>) -> Option<()> {
        // Behind the value there is nothing of the line.
        let end = u32::try_from(line.value.0 + line.value.1.len()).ok()?;
        let value_start = line.value.0 as u32;
        self.push(Entry {
            name_start: line.name.0 as u32,
            value_start,
            value_len: end - value_start,
            name_len: u16::try_from(line.name.1.len()).ok()?,
            known: line.known,
            flags: if line.is_canonical { CANONICAL } else { 0 },
        });
        Some(())
    }

    /// The section whose lines were [`adopt`](Self::adopt)ed.
    pub(crate) fn load(&mut self, section: &[u8]) {
        debug_assert!(self.bytes.is_empty(), "its lines have other places there");
        self.bytes.extend_from_slice(section);
    }

    /// Without a `name` it is the known one, as that is written.
    fn append_line(
        &mut self,
        known: Known,
        name: Option<&str>,
        value: &[Part<'_>],
    ) -> Result<(), InvalidField> {
        let entry = self.write_line(known, name, value)?;
        self.push(entry);
        self.compact_if_wasteful();
        Ok(())
    }

    fn set_line(&mut self, known: Known, name: Option<&str>, value: &[Part<'_>]) -> Result<(), InvalidField> {
        if !self.has_seen(known) {
            return self.append_line(known, name, value);
        }
        let entry = self.write_line(known, name, value)?;
        let mut replaced = false;
        let bytes = &self.bytes;
        self.entries.retain_mut(|e| {
            if !e.is(bytes, known, name.unwrap_or_default()) {
                return true;
            }
            let first = !replaced;
            if first {
                *e = entry;
                replaced = true;
            }
            first
        });
        if !replaced {
            self.push(entry);
        }
        self.compact_if_wasteful();
        Ok(())
    }

    /// Appends a canonical line to the buffer.
    fn write_line(
        &mut self,
        known: Known,
        name: Option<&str>,
        value: &[Part<'_>],
    ) -> Result<Entry, InvalidField> {
        let start = self.bytes.len();
        let name_len = self.write_name(known, name)?;
        let result = self.write_value(value);
        let room = result.and_then(|value| match u32::try_from(self.bytes.len()) {
            Ok(_) => Ok(value),
            Err(_) => Err(InvalidField::TooLarge),
        });
        let value = match room {
            Ok(value) => value,
            Err(error) => {
                self.bytes.truncate(start);
                return Err(error);
            }
        };
        Ok(Entry {
            name_start: position(start),
            value_start: position(value.start),
            value_len: position(value.len()),
            name_len,
            known,
            flags: CANONICAL,
        })
    }

    /// With the colon; gives its length without.
    fn write_name(&mut self, known: Known, name: Option<&str>) -> Result<u16, InvalidField> {
        let Some(name) = name else {
            self.bytes.extend_from_slice(known.with_colon().as_bytes());
            return Ok(known.as_str().len() as u16);
        };
        if known == Known::Other && !is_token(name.as_bytes()) {
            return Err(InvalidField::Name);
        }
        let len = u16::try_from(name.len()).map_err(|_| InvalidField::Name)?;
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        Ok(len)
    }

    fn write_value(&mut self, value: &[Part<'_>]) -> Result<Range<usize>, InvalidField> {
        let start = self.bytes.len();
        if let [Part::Bytes(bytes)] = value {
            return self.write_one(start, bytes);
        }
        for part in value {
            match part {
                Part::Fixed(bytes) => self.bytes.extend_from_slice(bytes),
                Part::Bytes(bytes) if !is_value(bytes) => return Err(InvalidField::Value),
                Part::Bytes(bytes) => self.bytes.extend_from_slice(bytes),
                Part::First(known) => {
                    if let Some(e) = self.entries.iter().find(|e| e.known == *known) {
                        self.bytes.extend_from_within(e.value());
                    }
                }
                Part::All(known) => {
                    for e in self.entries.iter().filter(|e| e.known == *known && e.value_len > 0) {
                        self.bytes.extend_from_within(e.value());
                        self.bytes.extend_from_slice(b", ");
                    }
                }
            }
        }
        let value = start..self.bytes.len();
        self.bytes.extend_from_slice(b"\r\n");
        Ok(value)
    }

    /// A value that is one piece.
    fn write_one(&mut self, start: usize, value: &[u8]) -> Result<Range<usize>, InvalidField> {
        if !is_value(value) {
            return Err(InvalidField::Value);
        }
        // Whitespace around a value is no part of it (RFC 9112 §5).
        let value = trim(value);
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
        Ok(start..start + value.len())
    }

    /// Keeps the waste of replaced and removed fields below what is in use and [`GARBAGE_BYTES_MAX`].
    #[inline]
    fn compact_if_wasteful(&mut self) {
        if self.bytes.len() > GARBAGE_BYTES_MAX {
            self.compact();
        }
    }

    #[cold]
    fn compact(&mut self) {
        let used: usize = self.entries.iter().map(Entry::line_len).sum();
        if self.bytes.len() <= 2 * used + GARBAGE_BYTES_MAX {
            return;
        }
        let mut bytes = Vec::with_capacity(used);
        for e in &mut self.entries {
            let name_start = bytes.len();
            bytes.extend_from_slice(slice(&self.bytes, e.name()));
            bytes.extend_from_slice(b": ");
            let value_start = bytes.len();
            bytes.extend_from_slice(slice(&self.bytes, e.value()));
            bytes.extend_from_slice(b"\r\n");
            e.name_start = position(name_start);
            e.value_start = position(value_start);
            e.flags |= CANONICAL;
        }
        self.bytes = bytes;
    }
}

/// A line of a field section, which has been checked: its parts, and where they stand in it.
pub(crate) struct Adopted<'a> {
    pub(crate) known: Known,
    pub(crate) name: (usize, &'a [u8]),
    pub(crate) value: (usize, &'a [u8]),
    /// `": "` stands between name and value, and CRLF right behind the value.
    pub(crate) is_canonical: bool,
}

/// Lines that are added at once, for which there is room.
pub(crate) struct Lines<'a> {
    fields: &'a mut Fields,
    /// How far they have been written.
    at: usize,
}

impl Lines<'_> {
    /// Adds a field with a known name, which is given as it is written, and a value of pieces.
    #[inline]
    pub(crate) fn add<const L: usize, const N: usize>(
        &mut self,
        known: Known,
        with_colon: &[u8; L],
        pieces: [&[u8]; N],
    ) {
        debug_assert_eq!(with_colon, known.with_colon().as_bytes());
        let name_start = self.at;
        self.put(with_colon);
        let value_start = self.at;
        pieces.into_iter().for_each(|piece| self.put(piece));
        let value_len = self.at - value_start;
        self.put(b"\r\n");
        // None of these is beyond what there may be of all lines together.
        const { assert!(GARBAGE_BYTES_MAX <= u16::MAX as usize && L > 2) };
        self.fields.push(Entry {
            name_start: name_start as u32,
            value_start: value_start as u32,
            value_len: value_len as u32,
            name_len: (L - ": ".len()) as u16,
            known,
            flags: CANONICAL,
        });
    }

    #[inline]
    fn put(&mut self, piece: &[u8]) {
        let end = self.at + piece.len();
        let place = self.fields.bytes.get_mut(self.at..end).expect("there is room for all pieces");
        place.copy_from_slice(piece);
        self.at = end;
    }
}

/// What there was too much room for.
impl Drop for Lines<'_> {
    fn drop(&mut self) {
        self.fields.bytes.truncate(self.at);
    }
}

impl Entry {
    fn name(&self) -> Range<usize> {
        let start = self.name_start as usize;
        start..start + usize::from(self.name_len)
    }

    fn value(&self) -> Range<usize> {
        let start = self.value_start as usize;
        start..start + self.value_len as usize
    }

    fn is_canonical(&self) -> bool {
        self.flags & CANONICAL != 0
    }

    fn line_len(&self) -> usize {
        usize::from(self.name_len) + self.value_len as usize + ": \r\n".len()
    }

    fn is(&self, bytes: &[u8], known: Known, name: &str) -> bool {
        self.known == known
            && (known != Known::Other
                || (usize::from(self.name_len) == name.len()
                    && slice(bytes, self.name()).eq_ignore_ascii_case(name.as_bytes())))
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        f.debug_map().entries(self.iter().map(text)).finish()
    }
}

/// The same names, in the same case, with the same values, in the same order.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl From<&http::HeaderMap> for Fields {
    fn from(map: &http::HeaderMap) -> Self {
        let mut fields = Self::new();
        for (name, value) in map {
            // A map checks the same as we do, and takes no more than fits.
            fields.append(name.as_str(), value.as_bytes());
        }
        fields
    }
}

impl TryFrom<&Fields> for http::HeaderMap {
    type Error = http::Error;

    fn try_from(fields: &Fields) -> Result<Self, http::Error> {
        let mut map = Self::with_capacity(fields.len());
        for (name, value) in fields.iter() {
            let name = http::HeaderName::from_bytes(name)?;
            map.try_append(name, http::HeaderValue::from_bytes(value)?)?;
        }
        Ok(map)
    }
}

fn slice(bytes: &[u8], range: Range<usize>) -> &[u8] {
    bytes.get(range).unwrap_or_default()
}

fn position(at: usize) -> u32 {
    u32::try_from(at).expect("a list of fields is shorter than 4 GiB")
}
