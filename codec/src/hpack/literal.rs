//! A literal field that is being read (RFC 7541 §6.2).
#![allow(clippy::arithmetic_side_effects, reason = "lengths of what has come, each below 2^29")]

use super::Error;
use super::huffman::Reader;
use super::scratch::Scratch;
use super::statics;

/// How a literal field is represented: what may become of it in tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It becomes an entry (RFC 7541 §6.2.1).
    Incremental,
    /// It does not (RFC 7541 §6.2.2).
    Without,
    /// It does not, nor may it on any further hop (RFC 7541 §6.2.3).
    Never,
}

/// Its name and its value, as far as they have come and may be kept.
#[derive(Debug)]
pub(super) struct Literal {
    form: Form,
    /// The name's entry in the static table, or 0: then it is not copied.
    static_name: u8,
    /// What is here may have so many bytes together; it is not kept if it has more.
    room: usize,
    /// The name, unless it is static, and behind it the value, if they are kept.
    text: Scratch,
    kept: bool,
    /// Of the name, and of the value as far as it has come, kept or not.
    name_len: usize,
    value_len: usize,
    /// The string that comes is the value.
    in_value: bool,
    is_huffman: bool,
    huffman: Reader,
}

/// A literal field that is complete.
pub(super) struct Complete<'a> {
    pub(super) form: Form,
    pub(super) name_len: usize,
    pub(super) value_len: usize,
    /// Name and value, unless they were more than there was room for.
    pub(super) text: Option<(&'a [u8], &'a [u8])>,
}

impl Default for Literal {
    fn default() -> Self {
        Self {
            form: Form::Without,
            static_name: 0,
            room: 0,
            text: Scratch::default(),
            kept: false,
            name_len: 0,
            value_len: 0,
            in_value: false,
            is_huffman: false,
            huffman: Reader::default(),
        }
    }
}

impl Literal {
    /// A literal of which name and value may have so many bytes together, or will be of no use to anybody.
    #[inline]
    pub(super) fn begin(&mut self, form: Form, room: Option<usize>) {
        (self.form, self.static_name) = (form, 0);
        (self.kept, self.room) = (room.is_some(), room.unwrap_or_default());
        self.text.begin(self.room);
        (self.name_len, self.value_len, self.in_value) = (0, 0, false);
    }

    /// The name is an entry's.
    #[inline]
    pub(super) fn set_name(&mut self, name: &[u8]) {
        self.keep(name);
        self.name_len = name.len();
        self.in_value = true;
    }

    /// The name is that of this entry of the static table, which has so many bytes.
    #[inline]
    pub(super) fn set_static_name(&mut self, index: u8, len: usize) {
        self.static_name = index;
        match self.room.checked_sub(len) {
            Some(room) => self.room = room,
            None => self.kept = false,
        }
        self.name_len = len;
        self.in_value = true;
    }

    /// A string begins: the name, or after it the value.
    #[inline]
    pub(super) fn begin_string(&mut self, is_huffman: bool) {
        self.is_huffman = is_huffman;
    }

    /// Some octets of the string.
    #[inline]
    pub(super) fn push(&mut self, octets: &[u8]) -> Result<(), Error> {
        let len = if self.is_huffman {
            let bytes_max = if self.kept { self.room } else { 0 };
            let kept = self.text.push_decoded(&mut self.huffman, octets, bytes_max)?;
            self.kept = self.kept && kept.all;
            if !self.kept {
                self.text.clear();
            }
            kept.decoded
        } else {
            self.keep(octets);
            octets.len()
        };
        let so_far = if self.in_value { &mut self.value_len } else { &mut self.name_len };
        *so_far += len;
        Ok(())
    }

    /// The string is complete; so is the field, if that was the value.
    #[inline]
    pub(super) fn end_string(&mut self) -> Result<Option<Complete<'_>>, Error> {
        if self.is_huffman {
            self.huffman.finish()?;
        }
        if !self.in_value {
            self.in_value = true;
            return Ok(None);
        }
        let text = match statics::entry(u32::from(self.static_name)) {
            _ if !self.kept => None,
            Some((name, _)) => Some((name, self.text.bytes())),
            None => self.text.bytes().split_at_checked(self.name_len),
        };
        let (name_len, value_len) = (self.name_len, self.value_len);
        Ok(Some(Complete { form: self.form, name_len, value_len, text }))
    }

    pub(super) fn shrink(&mut self) {
        self.text.shrink();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.text.heap_bytes()
    }

    /// Keeps these bytes as they are, if there is room.
    #[inline]
    fn keep(&mut self, bytes: &[u8]) {
        self.kept = self.kept && self.text.bytes().len() + bytes.len() <= self.room;
        if self.kept {
            self.text.push(bytes);
        }
    }
}
