//! Header compression for HTTP/2 (RFC 7541), both ways.
//!
//! | module | what it holds |
//! |---|---|
//! | `decoder` | [`Decoder`]: header blocks in, in fragments that are cut anywhere; fields out |
//! | `literal`, `scratch` | the literal field that is being read, and where its strings are put together |
//! | `list` | what the list of a block may have ([`ListLimits`]), and what it has had ([`Charged`]) |
//! | `encoder` | [`Encoder`]: fields in, header blocks out |
//! | `policy` | what an encoder adds to its table, and what it never does ([`Indexing`], [`Policy`]) |
//! | `lookup`, `order` | find a field in the tables: by its name, and by what it came behind last time |
//! | `table`, `statics` | the two tables that an index points into |
//! | `integer`, `huffman` | the two primitive types |
//! | `error` | what can be wrong with a block |
//!
//! # What it holds
//!
//! A decoder and an encoder are of a few hundred bytes each, and have no heap until there is an entry. After the first
//! request of a browser each holds one buffer of 1 KiB and 16 entries or 32; at most, what their `heap_bytes` say, which
//! follows from the table's size and, for the decoder, from what a list may have. Neither allocates once it is warm.

mod decoder;
mod encoder;
mod error;
mod huffman;
mod integer;
mod list;
mod literal;
mod lookup;
mod order;
mod policy;
mod scratch;
mod statics;
mod table;

pub use decoder::{Decoder, Field};
pub use encoder::{Block, Encoder};
pub use error::Error;
pub use list::{Charged, ListLimits, Overrun};
pub use policy::{Huffman, Indexing, Policy};

/// The largest dynamic table that a decoder lets a peer have, 256 MiB less one byte: what an integer of five octets can
/// say, whatever its prefix.
pub const TABLE_BYTES_MAX: usize = integer::INTEGER_MAX as usize;

/// The dynamic table of either side before SETTINGS say otherwise, in bytes (RFC 9113 §6.5.2).
pub const TABLE_BYTES_DEFAULT: usize = 4 << 10;

const _: () = assert!(size_of::<Decoder>() <= 320 && size_of::<Encoder>() <= 512);
