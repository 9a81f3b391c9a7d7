//! Feeds header blocks to a decoder in every way in which they can be cut, and compares what it says.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(dead_code, reason = "every test binary uses its own part of this")]
#![allow(unreachable_pub, missing_docs, reason = "a module of tests")]

pub mod naive;
pub mod promises;

use corelane_codec::hpack::{Charged, Decoder, Encoder, Error, Huffman, Indexing, ListLimits, Policy};

/// A field as a decoder gave it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub name: Vec<u8>,
    pub value: Vec<u8>,
    pub never_indexed: bool,
}

/// A field that may be indexed.
pub fn said(name: &str, value: &str) -> Said {
    Said { name: name.into(), value: value.into(), never_indexed: false }
}

/// All that a decoder said of one block.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    pub fields: Vec<Said>,
    pub error: Option<Error>,
    pub charged: Charged,
    /// The table afterwards.
    pub table_bytes: usize,
}

impl Transcript {
    /// The fields, of a block without an error or an overrun.
    #[track_caller]
    pub fn all(self) -> Vec<Said> {
        assert_eq!((self.error, self.charged.overrun), (None, None), "{:?}", self.fields);
        self.fields
    }
}

/// What happens to a decoder, in order.
#[derive(Debug, Clone)]
pub enum Step {
    /// A block comes.
    Block(Vec<u8>),
    /// Our SETTINGS were acknowledged.
    TableBytesMax(usize),
}

/// A decoder that starts over for each way of cutting.
#[derive(Debug, Clone)]
pub struct Script {
    pub table_bytes_max: usize,
    pub limits: ListLimits,
    pub steps: Vec<Step>,
}

impl Default for Script {
    fn default() -> Self {
        Self { table_bytes_max: 4096, limits: ListLimits::default(), steps: Vec::new() }
    }
}

impl Script {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn table(table_bytes_max: usize) -> Self {
        Self { table_bytes_max, ..Self::default() }
    }

    pub fn limits(mut self, bytes_max: usize, fields_max: usize) -> Self {
        self.limits = ListLimits { bytes_max, fields_max };
        self
    }

    pub fn block(mut self, block: impl Into<Vec<u8>>) -> Self {
        self.steps.push(Step::Block(block.into()));
        self
    }

    pub fn table_bytes_max(mut self, bytes: usize) -> Self {
        self.steps.push(Step::TableBytesMax(bytes));
        self
    }

    /// What is said of each block, however they are cut.
    #[track_caller]
    pub fn run(&self) -> Vec<Transcript> {
        let whole = self.run_cut(&|block| vec![block]);
        let longest = self.steps.iter().map(Step::len).max().unwrap_or_default();
        for at in 1..longest {
            let cut = self.run_cut(&|block| {
                let (a, b) = block.split_at(at.min(block.len()));
                vec![a, b]
            });
            assert_eq!(cut, whole, "cut at {at}: {self:?}");
        }
        for size in [1, 2, 3, 7] {
            assert_eq!(self.run_cut(&|block| block.chunks(size).collect()), whole, "cut by {size}: {self:?}");
        }
        // Empty fragments, at either end and between.
        let cut = self.run_cut(&|block| {
            let (a, b) = block.split_at(block.len() / 2);
            vec![&[], a, &[], &[], b, &[]]
        });
        assert_eq!(cut, whole, "with empty fragments: {self:?}");
        whole
    }

    /// What is said of the last block.
    #[track_caller]
    pub fn last(&self) -> Transcript {
        self.run().pop().expect("there is a block")
    }

    fn run_cut(&self, cut: &dyn for<'a> Fn(&'a [u8]) -> Vec<&'a [u8]>) -> Vec<Transcript> {
        let mut decoder = Decoder::new(self.table_bytes_max);
        let mut transcripts = Vec::new();
        for step in &self.steps {
            match step {
                Step::TableBytesMax(bytes) => decoder.set_table_bytes_max(*bytes),
                Step::Block(block) => {
                    transcripts.push(decode(&mut decoder, self.limits, &cut(block)));
                }
            }
        }
        transcripts
    }
}

impl Step {
    fn len(&self) -> usize {
        if let Self::Block(block) = self { block.len() } else { 0 }
    }
}

/// One block, in fragments; the last of them ends it.
pub fn decode(decoder: &mut Decoder, limits: ListLimits, fragments: &[&[u8]]) -> Transcript {
    let mut fields = Vec::new();
    decoder.begin(limits);
    let mut error = None;
    let empty: &[&[u8]] = &[&[]];
    let fragments = if fragments.is_empty() { empty } else { fragments };
    for (at, fragment) in fragments.iter().enumerate() {
        let result = decoder.decode(fragment, at + 1 == fragments.len(), |field| {
            let (name, value) = (field.name.to_vec(), field.value.to_vec());
            fields.push(Said { name, value, never_indexed: field.never_indexed });
        });
        if let Err(e) = result {
            assert_eq!(
                decoder.decode(b"\x82", true, |_| panic!("after an error")),
                Err(e),
                "an error is final"
            );
            error = Some(e);
            break;
        }
    }
    let charged = decoder.charged();
    // How far a block was charged before its error depends on nothing but its octets.
    Transcript { fields, error, charged, table_bytes: decoder.table_bytes() }
}

/// A block alone, cut in every way: its fields.
#[track_caller]
pub fn fields(block: impl Into<Vec<u8>>) -> Vec<Said> {
    Script::new().block(block).last().all()
}

/// A block alone, cut in every way: its error.
#[track_caller]
pub fn error(block: impl Into<Vec<u8>>) -> Option<Error> {
    Script::new().block(block).last().error
}

/// What an encoder makes of some fields.
pub fn encode(encoder: &mut Encoder, fields: &[(&str, &str, Indexing)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = encoder.begin(&mut out);
    for (name, value, indexing) in fields {
        block.field(name.as_bytes(), value.as_bytes(), *indexing);
    }
    out
}

/// An encoder that never uses Huffman codes, so that its output can be read.
pub fn plain_encoder() -> Encoder {
    Encoder::new(Policy { huffman: Huffman::Never, ..Policy::default() })
}

/// Bytes from hexadecimal digits, white space between them.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let nibble = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    digits.chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}
