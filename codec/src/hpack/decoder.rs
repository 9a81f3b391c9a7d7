//! [`Decoder`]: header blocks in, fields out (RFC 7541 §3, §6).
//!
//! A block comes in fragments that are cut anywhere. The decoder is a state machine over octets, so it never holds
//! more of a block than the field that it is in, and costs the same however small the fragments are.

use super::integer::Integer;
use super::list::{Charged, List, ListLimits};
use super::literal::{Form, Literal};
use super::table::Table;
use super::{Error, TABLE_BYTES_MAX, statics};

/// A field of a header block, borrowed from the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it was sent. HTTP/2 wants it in lower case (RFC 9113 §8.2.1), which is not checked here.
    pub name: &'a [u8],
    /// The value as it was sent: any bytes.
    pub value: &'a [u8],
    /// Whoever passes the field on must encode it so too: as [`Indexing::Never`](super::Indexing::Never)
    /// (RFC 7541 §6.2.3).
    pub never_indexed: bool,
}

/// Decodes the header blocks of one direction of a connection.
///
/// An error is final: the tables of both sides no longer agree, and every later call gives the same error.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What the peer may set its table to.
    table_bytes_max: usize,
    /// The next block must begin with a size update to this or less.
    update_due: Option<usize>,
    state: State,
    /// A field of this block has begun: no size update may come any more.
    fields_begun: bool,
    literal: Literal,
    list: List,
    error: Option<Error>,
}

/// Where in a block the next octet stands.
#[derive(Debug, Clone, Copy)]
enum State {
    /// It begins a representation.
    Representation,
    /// It goes on with the integer at the beginning of one.
    Integer(Kind, Integer),
    /// It begins a string of a literal.
    String,
    /// It goes on with the length of one.
    Length(Integer),
    /// It is one of so many of one.
    Octets(u32),
}

/// What a representation is (RFC 7541 §6).
#[derive(Debug, Clone, Copy)]
enum Kind {
    Indexed,
    Literal(Form),
    SizeUpdate,
}

impl Decoder {
    /// What [`field_bytes`](Self::field_bytes) may be beyond the longest field that is kept.
    pub(crate) const BYTES_BESIDE_FIELD: usize = super::scratch::SPARE_BYTES;

    /// A decoder with an empty table, which the peer may fill up to `table_bytes_max`: what our
    /// SETTINGS_HEADER_TABLE_SIZE says, or 4,096 before we said anything (RFC 9113 §6.5.2).
    ///
    /// # Panics
    /// If that is more than [`TABLE_BYTES_MAX`].
    pub fn new(table_bytes_max: usize) -> Self {
        assert!(table_bytes_max <= TABLE_BYTES_MAX, "a table of {table_bytes_max} bytes");
        Self {
            table: Table::new(table_bytes_max),
            table_bytes_max,
            update_due: None,
            state: State::Representation,
            fields_begun: false,
            literal: Literal::default(),
            list: List::default(),
            error: None,
        }
    }

    /// Changes what the peer may set its table to: between two blocks, once it has acknowledged our SETTINGS. If that
    /// is less than its table has, the next block must begin with a size update (RFC 7541 §4.2).
    ///
    /// # Panics
    /// If it is more than [`TABLE_BYTES_MAX`].
    pub fn set_table_bytes_max(&mut self, bytes: usize) {
        assert!(bytes <= TABLE_BYTES_MAX, "a table of {bytes} bytes");
        self.table_bytes_max = bytes;
        if bytes < self.update_due.unwrap_or(self.table.capacity()) {
            self.update_due = Some(bytes);
        }
    }

    /// Begins a block: what its list may have. Without it, a block is charged to the account of the one before.
    pub fn begin(&mut self, limits: ListLimits) {
        self.list = List::new(limits);
    }

    /// Decodes a fragment; `is_last` ends the block. `field` is called for each field that is complete and within the
    /// limits, in order. Beyond a limit the block is decoded all the same, so that the table stays as the peer has it,
    /// but nothing is given out any more: [`charged`](Self::charged) says so.
    ///
    /// # Errors
    /// The connection must end with COMPRESSION_ERROR.
    pub fn decode(
        &mut self,
        fragment: &[u8],
        is_last: bool,
        mut field: impl FnMut(Field<'_>),
    ) -> Result<(), Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut result = self.octets(fragment, &mut field);
        if is_last && result.is_ok() {
            result = self.end();
        }
        self.error = result.err();
        result
    }

    /// What the list of the block has cost so far; after its last fragment, until the next [`begin`](Self::begin), what
    /// it has cost in all.
    pub fn charged(&self) -> Charged {
        self.list.charged()
    }

    /// The size of the table as RFC 7541 §4.1 counts it, in bytes.
    pub fn table_bytes(&self) -> usize {
        self.table.size()
    }

    /// Gives back the memory of the longest field so far. For a connection that falls idle.
    pub fn shrink(&mut self) {
        if matches!(self.state, State::Representation) {
            self.literal.shrink();
        }
    }

    /// The memory that is held, in bytes: at most 2.25 times the table, the larger of table and list limit, and 3 KiB.
    /// While it grows, it takes half of the larger of table and list limit besides.
    pub fn heap_bytes(&self) -> usize {
        self.table.heap_bytes().saturating_add(self.literal.heap_bytes())
    }

    /// What of it is the table's at most, if that may have so many bytes.
    pub(crate) const fn table_heap_bytes_max(table_bytes_max: usize) -> usize {
        Table::heap_bytes_max(table_bytes_max)
    }

    /// What of it holds the longest field so far.
    pub(crate) fn field_bytes(&self) -> usize {
        self.literal.heap_bytes()
    }

    fn octets(&mut self, mut input: &[u8], field: &mut impl FnMut(Field<'_>)) -> Result<(), Error> {
        while let Some((first, rest)) = input.split_first() {
            match &mut self.state {
                State::Representation => {
                    input = rest;
                    let (kind, prefix) = Kind::of(*first);
                    match Integer::begin(*first, prefix) {
                        Ok(value) => self.representation(kind, value, field)?,
                        Err(integer) => self.state = State::Integer(kind, integer),
                    }
                }
                State::Integer(kind, integer) => {
                    input = rest;
                    let kind = *kind;
                    if let Some(value) = integer.push(*first)? {
                        self.state = State::Representation;
                        self.representation(kind, value, field)?;
                    }
                }
                State::String => {
                    self.literal.begin_string(*first & 0x80 != 0);
                    match Integer::begin(*first, 7) {
                        Ok(len) => input = self.string(len, rest, field)?,
                        Err(integer) => (self.state, input) = (State::Length(integer), rest),
                    }
                }
                State::Length(integer) => {
                    input = match integer.push(*first)? {
                        Some(len) => self.string(len, rest, field)?,
                        None => rest,
                    };
                }
                State::Octets(left) => {
                    let left = *left;
                    input = self.string(left, input, field)?;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        if !matches!(self.state, State::Representation) {
            return Err(Error::Truncated);
        }
        self.begin_fields()?;
        self.fields_begun = false;
        Ok(())
    }

    /// A representation whose first integer is complete.
    #[inline]
    fn representation(
        &mut self,
        kind: Kind,
        value: u32,
        field: &mut impl FnMut(Field<'_>),
    ) -> Result<(), Error> {
        match kind {
            Kind::SizeUpdate => return self.size_update(value as usize),
            Kind::Indexed => {
                self.begin_fields()?;
                let (name, value) = entry(&self.table, value)?;
                if self.list.charge(name.len(), value.len()) {
                    field(Field { name, value, never_indexed: false });
                }
            }
            Kind::Literal(form) => {
                self.begin_fields()?;
                // For whoever wants the field, and for the table.
                let rooms = (self.list.room(), self.table.room());
                self.literal
                    .begin(form, if form == Form::Incremental { rooms.0.max(rooms.1) } else { rooms.0 });
                match value {
                    0 => {}
                    1..=statics::COUNT => {
                        let len = entry(&self.table, value)?.0.len();
                        self.literal.set_static_name(value as u8, len);
                    }
                    _ => self.literal.set_name(entry(&self.table, value)?.0),
                }
                self.state = State::String;
            }
        }
        Ok(())
    }

    /// `left` octets of a string are to come: takes those that are there, and gives what is behind them. If they are
    /// all there, the string is complete, and its literal with it if it was the value.
    #[inline]
    fn string<'a>(
        &mut self,
        left: u32,
        input: &'a [u8],
        field: &mut impl FnMut(Field<'_>),
    ) -> Result<&'a [u8], Error> {
        let (octets, rest) = input.split_at_checked(left as usize).unwrap_or((input, &[]));
        self.literal.push(octets)?;
        let left = left.saturating_sub(octets.len() as u32);
        if left > 0 {
            self.state = State::Octets(left);
            return Ok(rest);
        }
        self.state = State::String;
        let Some(literal) = self.literal.end_string()? else { return Ok(rest) };
        self.state = State::Representation;
        let shown = self.list.charge(literal.name_len, literal.value_len);
        if let (true, Some((name, value))) = (shown, literal.text) {
            field(Field { name, value, never_indexed: literal.form == Form::Never });
        }
        if literal.form == Form::Incremental {
            match literal.text {
                Some((name, value)) if self.table.has_room_for(name.len(), value.len()) => {
                    self.list.inserted(name.len(), value.len());
                    self.table.insert(name, value);
                }
                // One that is larger than the table empties it (RFC 7541 §4.4), and may not have been kept.
                _ => self.table.clear(),
            }
        }
        Ok(rest)
    }

    fn size_update(&mut self, bytes: usize) -> Result<(), Error> {
        if self.fields_begun {
            return Err(Error::SizeUpdateAfterField);
        }
        if bytes > self.table_bytes_max {
            return Err(Error::SizeUpdateBeyondLimit);
        }
        if self.update_due.is_some_and(|due| bytes <= due) {
            self.update_due = None;
        }
        self.table.set_capacity(bytes);
        Ok(())
    }

    /// From here on, the table's size stays what it is.
    #[inline]
    fn begin_fields(&mut self) -> Result<(), Error> {
        self.fields_begun = true;
        if self.update_due.is_some() { Err(Error::SizeUpdateMissing) } else { Ok(()) }
    }
}

impl Kind {
    /// By the first octet, and how many of its bits are of the integer.
    #[inline]
    fn of(first: u8) -> (Self, u32) {
        match first {
            0x80.. => (Self::Indexed, 7),
            0x40.. => (Self::Literal(Form::Incremental), 6),
            0x20.. => (Self::SizeUpdate, 5),
            0x10.. => (Self::Literal(Form::Never), 4),
            _ => (Self::Literal(Form::Without), 4),
        }
    }
}

/// Name and value of either table's entry (RFC 7541 §2.3.3).
#[inline]
fn entry(table: &Table, index: u32) -> Result<(&[u8], &[u8]), Error> {
    if index == 0 {
        return Err(Error::IndexZero);
    }
    let found = match index.checked_sub(statics::COUNT + 1) {
        None => statics::entry(index),
        Some(age) => table.entry(age as usize),
    };
    found.ok_or(Error::IndexBeyondTable)
}
