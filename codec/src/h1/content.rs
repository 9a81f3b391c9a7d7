//! The content of a message, either direction: how much is left, and how its end is found or made.

use super::chunked::{Decoder, Step};
use super::emit;
use super::parse::Side;
use super::{Event, Received, Wrap};
use crate::{Error, Fields, Kind, Length, Limits};

/// Content that is being received.
#[derive(Debug, Clone)]
pub(crate) enum Incoming {
    /// So many bytes are left.
    Known(u64),
    Chunked(Decoder),
    UntilClose,
    /// All has come; the end has not been reported yet.
    End,
    /// The end has been reported.
    Done,
}

impl Incoming {
    pub(crate) fn new(length: Length, limits: &Limits) -> Self {
        match length {
            Length::None | Length::Known(0) => Self::End,
            Length::Known(length) => Self::Known(length),
            Length::Chunked => Self::Chunked(Decoder::new(limits)),
            Length::UntilClose => Self::UntilClose,
        }
    }

    pub(crate) fn ended(&self) -> bool {
        matches!(self, Self::End | Self::Done)
    }

    pub(crate) fn receive(
        &mut self,
        limits: &Limits,
        input: &[u8],
        side: Side,
        trailers: &mut Option<Box<Fields>>,
    ) -> Result<Received, Kind> {
        match self {
            Self::Known(_) | Self::UntilClose if input.is_empty() => Ok(Received::NEED_MORE),
            Self::Known(left) => {
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left = left.saturating_sub(len as u64);
                if *left == 0 {
                    *self = Self::End;
                }
                Ok(Received { consumed: len, event: Event::Data(0..len) })
            }
            Self::UntilClose => Ok(Received { consumed: input.len(), event: Event::Data(0..input.len()) }),
            Self::Chunked(decoder) => {
                let (consumed, step) = decoder.receive(limits, input, side, trailers)?;
                let event = match step {
                    Step::NeedMore => Event::NeedMore,
                    Step::Data(range) => Event::Data(range),
                    Step::End => {
                        *self = Self::Done;
                        Event::End
                    }
                };
                Ok(Received { consumed, event })
            }
            Self::End => {
                *self = Self::Done;
                Ok(Received { consumed: 0, event: Event::End })
            }
            Self::Done => Ok(Received::NEED_MORE),
        }
    }
}

/// A message that is being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Outgoing {
    /// The head has not been sent.
    #[default]
    Head,
    /// No content can follow, whatever the head says.
    None,
    /// So many bytes are left.
    Known(u64),
    Chunked,
    UntilClose,
    Ended,
    /// Something else was sent than was said: the other side can't find the end any more.
    Broken,
}

impl Outgoing {
    pub(crate) fn begun(self) -> bool {
        self != Self::Head
    }

    pub(crate) fn ended(self) -> bool {
        self == Self::Ended
    }

    /// The framing around `len` bytes of content.
    pub(crate) fn data(&mut self, len: usize) -> Result<Wrap, Error> {
        match *self {
            Self::Known(left) => match left.checked_sub(len as u64) {
                Some(left) => *self = Self::Known(left),
                None => return Err(self.broken(Kind::Length)),
            },
            // A chunk of no bytes would be the last.
            Self::Chunked if len > 0 => return Ok(Wrap::chunk(len)),
            Self::Chunked | Self::UntilClose => {}
            Self::None if len == 0 => {}
            Self::None => return Err(self.broken(Kind::Length)),
            Self::Head | Self::Ended | Self::Broken => return Err(self.broken(Kind::Order)),
        }
        Ok(Wrap::NOTHING)
    }

    /// Ends the message. Trailers are written where they can be.
    pub(crate) fn end(&mut self, trailers: Option<&Fields>, out: &mut Vec<u8>) -> Result<(), Error> {
        match *self {
            Self::Known(1..) => return Err(self.broken(Kind::Length)),
            Self::Head | Self::Ended | Self::Broken => return Err(self.broken(Kind::Order)),
            Self::Chunked => emit::last_chunk(trailers, out),
            Self::Known(0) | Self::None | Self::UntilClose => {}
        }
        *self = Self::Ended;
        Ok(())
    }

    fn broken(&mut self, kind: Kind) -> Error {
        *self = Self::Broken;
        Error::us(kind)
    }
}
