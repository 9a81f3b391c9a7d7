//! What an encoder adds to its table, and what it never does.

/// What becomes of a field in tables, here and at the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Indexing {
    /// As its name suggests, by these rules; the first that fits holds:
    ///
    /// 1. `authorization`, `proxy-authorization` and `set-cookie` are secrets, and so is a `cookie` that is shorter
    ///    than [`Policy::cookie_bytes_min`]: [`Never`](Self::Never).
    /// 2. What is in a table is referred to.
    /// 3. What would take more than half of the table is not added to it.
    /// 4. `:path`, `content-length`, `date`, `etag`, `location` and others that mostly differ from message to message
    ///    are added when the same value comes for the second time in a short while: entries leave the table in the
    ///    order in which they came, so each that is of no use takes the place of one that is.
    /// 5. If eight values of the name are in the table and this is none of them, it is not added.
    /// 6. All others are added.
    #[default]
    ByName,
    /// It is added to the table, unless it is there.
    Incremental,
    /// It is not added to the table; an entry that is there is referred to.
    Without,
    /// It is not in a table, neither at the peer nor at any further hop (RFC 7541 §6.2.3, §7.1.3). For secrets, and for
    /// what came so: [`Field::never_indexed`](super::Field::never_indexed).
    Never,
}

/// How an encoder goes about its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What is used of the table that the peer offers, in bytes. Default 4 KiB: at most 128 entries, which are searched
    /// in a moment.
    pub table_bytes_max: usize,
    /// Cookies that are shorter could be guessed from the sizes of messages, and are never indexed (RFC 7541 §7.1.3).
    /// Default 20 bytes.
    pub cookie_bytes_min: usize,
    /// Which strings are Huffman-coded. Default [`Huffman::Shorter`].
    pub huffman: Huffman,
}

/// Which strings are Huffman-coded (RFC 7541 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Huffman {
    /// None: for a peer that is near, where bytes are cheaper than instructions.
    Never,
    /// Those that become shorter.
    #[default]
    Shorter,
    /// Those that become no longer, as in the examples of RFC 7541 Appendix C.
    NotLonger,
}

impl Default for Policy {
    fn default() -> Self {
        Self { table_bytes_max: super::TABLE_BYTES_DEFAULT, cookie_bytes_min: 20, huffman: Huffman::Shorter }
    }
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Its values come again.
    Repeats,
    /// Its values mostly differ.
    Changes,
    /// Its values are secrets.
    Secret,
    /// Its values are secrets if they are short.
    Cookie,
}

impl Habit {
    /// Of a name of the static table; all others are taken to repeat.
    pub(super) const fn of(name: &str) -> Self {
        match name.as_bytes() {
            b"authorization" | b"proxy-authorization" | b"set-cookie" => Self::Secret,
            b"cookie" => Self::Cookie,
            b":path"
            | b"age"
            | b"content-length"
            | b"content-location"
            | b"content-range"
            | b"date"
            | b"etag"
            | b"expires"
            | b"if-match"
            | b"if-modified-since"
            | b"if-none-match"
            | b"if-range"
            | b"if-unmodified-since"
            | b"last-modified"
            | b"location"
            | b"range" => Self::Changes,
            _ => Self::Repeats,
        }
    }
}

/// Values that came lately and were not added: which of them come again?
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Parts of hashes, the last four of each set; a set is found by other parts.
    sets: [[u16; 4]; 16],
}

impl Recent {
    /// Whether this has come lately. Two that are taken for one cost a place in the table, no more.
    pub(super) fn has(&mut self, hash: u32) -> bool {
        let Some(set) = self.sets.get_mut((hash & 15) as usize) else { return false };
        let tag = (hash >> 16) as u16;
        if set.contains(&tag) {
            return true;
        }
        set.rotate_right(1);
        set[0] = tag;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_lately_is_known() {
        let mut recent = Recent::default();
        for set in 0..16 {
            for tag in 1..=4_u32 {
                assert!(!recent.has(tag << 16 | set));
            }
            assert!((1..=4_u32).all(|tag| recent.has(tag << 16 | set)));
        }
        // A fifth takes the place of the first.
        assert!(!recent.has(5 << 16));
        assert!(!recent.has(1 << 16) && !recent.has(2 << 16) && recent.has(1 << 16));
    }
}
