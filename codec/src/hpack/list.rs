//! What a header list may have, and what it has had so far.

use super::table::ENTRY_OVERHEAD_BYTES;

/// What the list of fields of one header block may have. A field is charged before it is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListLimits {
    /// Names, values and 32 bytes for each field, as SETTINGS_MAX_HEADER_LIST_SIZE counts them (RFC 9113 §6.5.2).
    /// Default 32 KiB.
    pub bytes_max: usize,
    /// Fields, pseudo-fields and crumbs of cookies among them. Default 128.
    pub fields_max: usize,
}

impl Default for ListLimits {
    fn default() -> Self {
        Self { bytes_max: 32 << 10, fields_max: 128 }
    }
}

/// Which limit a list went beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overrun {
    /// [`ListLimits::bytes_max`].
    Bytes,
    /// [`ListLimits::fields_max`].
    Fields,
}

/// What a header list has cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charged {
    /// Names, values and 32 for each field, those beyond a limit too.
    pub bytes: u64,
    /// Fields, those beyond a limit too.
    pub fields: u64,
    /// Names and values that were put into the table, those beyond a limit too: a literal may take its name from the
    /// table, so three octets can cost a copy of a whole table.
    pub inserted_bytes: u64,
    /// The limit that was reached first, if one was: the field that reached it and those after it were not given out.
    pub overrun: Option<Overrun>,
}

/// The account of one list.
#[derive(Debug, Default)]
pub(super) struct List {
    limits: ListLimits,
    charged: Charged,
}

impl List {
    pub(super) fn new(limits: ListLimits) -> Self {
        Self { limits, charged: Charged::default() }
    }

    pub(super) fn charged(&self) -> Charged {
        self.charged
    }

    /// Charges a field; says whether it is within the limits.
    #[inline]
    pub(super) fn charge(&mut self, name_len: usize, value_len: usize) -> bool {
        let cost = (name_len as u64).saturating_add(value_len as u64).saturating_add(OVERHEAD);
        self.charged.bytes = self.charged.bytes.saturating_add(cost);
        self.charged.fields = self.charged.fields.saturating_add(1);
        if self.charged.overrun.is_none() {
            if self.charged.bytes > self.limits.bytes_max as u64 {
                self.charged.overrun = Some(Overrun::Bytes);
            } else if self.charged.fields > self.limits.fields_max as u64 {
                self.charged.overrun = Some(Overrun::Fields);
            }
        }
        self.charged.overrun.is_none()
    }

    /// A field was put into the table.
    #[inline]
    pub(super) fn inserted(&mut self, name_len: usize, value_len: usize) {
        let inserted = (name_len as u64).saturating_add(value_len as u64);
        self.charged.inserted_bytes = self.charged.inserted_bytes.saturating_add(inserted);
    }

    /// What the next field may have for its name and its value, if it is to be within the limits.
    pub(super) fn room(&self) -> Option<usize> {
        if self.charged.overrun.is_some() || self.charged.fields >= self.limits.fields_max as u64 {
            return None;
        }
        let left = (self.limits.bytes_max as u64).checked_sub(self.charged.bytes)?;
        left.checked_sub(OVERHEAD).and_then(|left| usize::try_from(left).ok())
    }
}

const OVERHEAD: u64 = ENTRY_OVERHEAD_BYTES as u64;
