//! Why a header block cannot be decoded.

/// What was wrong with a header block. Each is a connection error of HTTP/2's type COMPRESSION_ERROR (RFC 9113 §4.3):
/// both sides' tables no longer agree, and nothing that follows on the connection can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// An integer of more than five octets: nothing that fits in memory needs it (RFC 7541 §5.1).
    IntegerOverflow,
    /// An indexed field with the index 0 (RFC 7541 §6.1).
    IndexZero,
    /// An index beyond both tables (RFC 7541 §2.3.3).
    IndexBeyondTable,
    /// The code of EOS in a Huffman-coded string (RFC 7541 §5.2).
    HuffmanEos,
    /// A Huffman-coded string ends with more than 7 bits of padding (RFC 7541 §5.2).
    HuffmanPaddingTooLong,
    /// A Huffman-coded string ends within a code, or with padding that is not the beginning of EOS (RFC 7541 §5.2).
    HuffmanPaddingNotOnes,
    /// A size update beyond what we allow (RFC 7541 §6.3).
    SizeUpdateBeyondLimit,
    /// A size update that is not at the beginning of its block (RFC 7541 §4.2).
    SizeUpdateAfterField,
    /// We allow less than the peer's table has, and the next block did not begin with a size update (RFC 7541 §4.2).
    SizeUpdateMissing,
    /// The block ended within a representation.
    Truncated,
}

impl Error {
    /// Every error, for tables of counters.
    pub const ALL: &'static [Self] = &[
        Self::IntegerOverflow,
        Self::IndexZero,
        Self::IndexBeyondTable,
        Self::HuffmanEos,
        Self::HuffmanPaddingTooLong,
        Self::HuffmanPaddingNotOnes,
        Self::SizeUpdateBeyondLimit,
        Self::SizeUpdateAfterField,
        Self::SizeUpdateMissing,
        Self::Truncated,
    ];

    /// One line for people: what was wrong.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IntegerOverflow => "HPACK integer too long",
            Self::IndexZero => "HPACK index 0",
            Self::IndexBeyondTable => "HPACK index beyond the table",
            Self::HuffmanEos => "EOS in an HPACK string",
            Self::HuffmanPaddingTooLong => "HPACK string with more than 7 bits of padding",
            Self::HuffmanPaddingNotOnes => "HPACK string ends within a code",
            Self::SizeUpdateBeyondLimit => "HPACK table size beyond what was allowed",
            Self::SizeUpdateAfterField => "HPACK table size update after a field",
            Self::SizeUpdateMissing => "no HPACK table size update where one was due",
            Self::Truncated => "header block ends within a field",
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Error {}
