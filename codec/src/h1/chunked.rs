//! The chunked transfer coding, read (RFC 9112 §7.1).
//!
//! ```text
//!   Start ─► Size ─► (extensions) ─► SizeLf ─┬─► Data ─► DataCr ─► DataLf ─► Start
//!                                            └─(size 0)─► Trailers ─► Done
//! ```

use super::parse::{self, Side};
use super::scan::{Bounds, Scan};
use crate::grammar::is_token_byte;
use crate::{Fields, Kind, Limits};
use std::ops::Range;

/// Digits of a chunk size, leading zeros included. A size is below 2^63.
const SIZE_DIGITS_MAX: u8 = 16;

/// Reads one content in the chunked coding. Extensions are checked and dropped.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    state: State,
    digits: u8,
    /// Of the chunk's data; while its size is being read, the size so far.
    left: u64,
    /// Bytes of extensions that may still come.
    extension_bytes_left: u64,
    trailers: Scan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Size,
    Extension(Extension),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )` (RFC 9112 §7.1.1), by what may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    /// After whitespace behind a size or a value: `;`.
    Semicolon,
    /// After `;`.
    NameStart,
    Name,
    /// After whitespace behind a name: `=` or `;`.
    Equals,
    /// After `=`.
    ValueStart,
    Token,
    Quoted,
    QuotedPair,
    /// After the closing quote.
    QuotedEnd,
}

/// What [`Decoder::receive`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    NeedMore,
    Data(Range<usize>),
    End,
}

impl Decoder {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            state: State::Start,
            digits: 0,
            left: 0,
            extension_bytes_left: limits.chunk_extension_bytes_max,
            trailers: Scan::default(),
        }
    }

    /// Reads up to the next data or the end. Gives how many bytes were used, data included. `trailers` is filled
    /// before the end if there are any.
    pub(crate) fn receive(
        &mut self,
        limits: &Limits,
        input: &[u8],
        side: Side,
        trailers: &mut Option<Box<Fields>>,
    ) -> Result<(usize, Step), Kind> {
        let mut at: usize = 0;
        loop {
            match self.state {
                State::Data => {
                    let rest = input.len().saturating_sub(at);
                    let len = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
                    if len == 0 {
                        return Ok((at, Step::NeedMore));
                    }
                    self.left = self.left.saturating_sub(len as u64);
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    let end = at.saturating_add(len);
                    return Ok((end, Step::Data(at..end)));
                }
                State::Trailers => {
                    let section = input.get(at..).unwrap_or_default();
                    let used = self.receive_trailers(limits, section, side, trailers)?;
                    let step = if self.state == State::Done { Step::End } else { Step::NeedMore };
                    return Ok((at.saturating_add(used), step));
                }
                State::Done => return Ok((at, Step::End)),
                _ => {}
            }
            let Some(byte) = input.get(at) else { return Ok((at, Step::NeedMore)) };
            self.state = self.framing(*byte, limits)?;
            at = at.saturating_add(1);
        }
    }

    /// One byte between pieces of data.
    fn framing(&mut self, byte: u8, limits: &Limits) -> Result<State, Kind> {
        match (self.state, byte) {
            (State::Start, _) => {
                (self.left, self.digits) = (0, 0);
                self.extension_bytes_left =
                    self.extension_bytes_left.saturating_add(limits.chunk_extension_bytes_per_chunk);
                self.size_digit(byte)
            }
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.size_digit(byte),
            (State::Size, b'\r') => Ok(State::SizeLf),
            (State::Size, b';' | b' ' | b'\t') => self.extension(Extension::Semicolon, byte),
            (State::Size, _) => Err(Kind::ChunkSize),
            (State::Extension(extension), _) => self.extension(extension, byte),
            (State::SizeLf, b'\n') if self.left == 0 => Ok(State::Trailers),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::SizeLf, _) => Err(Kind::ChunkSize),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Start),
            (State::DataCr | State::DataLf, _) => Err(Kind::ChunkEnd),
            (state @ (State::Data | State::Trailers | State::Done), _) => Ok(state),
        }
    }

    fn size_digit(&mut self, byte: u8) -> Result<State, Kind> {
        let digit = char::from(byte).to_digit(16).ok_or(Kind::ChunkSize)?;
        self.digits = self.digits.saturating_add(1);
        self.left = self.left.checked_mul(16).ok_or(Kind::ChunkSize)?.saturating_add(u64::from(digit));
        if self.digits > SIZE_DIGITS_MAX || self.left > i64::MAX.unsigned_abs() {
            return Err(Kind::ChunkSize);
        }
        Ok(State::Size)
    }

    fn extension(&mut self, state: Extension, byte: u8) -> Result<State, Kind> {
        use Extension::*;
        let quoted = |byte| matches!(byte, b'\t' | b' '..=0x7e | 0x80..);
        let next = match (state, byte) {
            // An extension is over where a name, a token or a quoted string is.
            (Name | Token | QuotedEnd, b'\r') => return Ok(State::SizeLf),
            (Semicolon | Name | Equals | Token | QuotedEnd, b';') => NameStart,
            (Name | Equals, b'=') => ValueStart,
            (Semicolon | NameStart | Equals | ValueStart, b' ' | b'\t') => state,
            (Name, b' ' | b'\t') => Equals,
            (Token | QuotedEnd, b' ' | b'\t') => Semicolon,
            (NameStart | Name, _) if is_token_byte(byte) => Name,
            (ValueStart | Token, _) if is_token_byte(byte) => Token,
            (ValueStart, b'"') => Quoted,
            (Quoted, b'"') => QuotedEnd,
            (Quoted, b'\\') => QuotedPair,
            (Quoted | QuotedPair, _) if quoted(byte) => Quoted,
            // Whitespace behind a size and nothing behind it: it is the size that is wrong.
            (Semicolon, _) => return Err(Kind::ChunkSize),
            _ => return Err(Kind::ChunkExtension),
        };
        self.extension_bytes_left =
            self.extension_bytes_left.checked_sub(1).ok_or(Kind::ChunkExtensionsTooLarge)?;
        Ok(State::Extension(next))
    }

    /// The trailer section is looked at in the input until it is complete.
    fn receive_trailers(
        &mut self,
        limits: &Limits,
        section: &[u8],
        side: Side,
        trailers: &mut Option<Box<Fields>>,
    ) -> Result<usize, Kind> {
        let bounds = Bounds {
            // The empty line that ends a section without trailers is no part of the limit.
            bytes_max: limits.trailer_bytes_max.saturating_add(2),
            too_large: Kind::TrailersTooLarge,
            lines_max: limits.trailer_fields_max,
            too_many: Kind::TrailersTooLarge,
        };
        let end = self.trailers.fields(section, &bounds).map_err(|kind| match kind {
            Kind::TrailersTooLarge => kind,
            _ => Kind::Trailer,
        })?;
        let Some(end) = end else { return Ok(0) };
        if self.trailers.lines() > 0 {
            let mut fields = Box::<Fields>::default();
            let section = section.get(..end).unwrap_or_default();
            parse::trailers(section, self.trailers.lines(), side, &mut fields)?;
            *trailers = (!fields.is_empty()).then_some(fields);
        }
        self.state = State::Done;
        Ok(end)
    }
}
