//! Content that may be sent more than once.

use super::{Chunk, Source};
use crate::simulate::{Bug, has};
use crate::{
    content::Pull,
    error::{Error, ErrorKind, Result, Side, Stage},
};
use bytes::Bytes;
use corelane_codec::Length;
use std::task::{Context, Poll, ready};

/// Content on its way to an origin. What has been taken from its source is kept for another attempt, within limits.
pub(crate) struct Replay {
    source: Source,
    length: Length,
    kept: Kept,
    /// How much of what is kept this attempt has sent.
    replayed: usize,
    taken_bytes: u64,
    bytes_max: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At its beginning, whatever has been taken before.
    Fresh,
    /// An attempt is at it, or was when it was given up.
    Sending,
    /// A part has been sent, and is not kept.
    Lost,
}

enum Kept {
    /// All that has been taken.
    Copy(Vec<u8>),
    /// The whole, which was there from the beginning.
    Whole(Bytes),
    /// What has been taken is gone.
    Nothing,
}

impl Kept {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Copy(bytes) => bytes,
            Self::Whole(bytes) => bytes,
            Self::Nothing => &[],
        }
    }
}

impl Replay {
    /// `bytes_max` of it are kept.
    pub(crate) fn new(source: Source, bytes_max: usize) -> Self {
        let length = source.length();
        let (source, kept) = match source {
            Source::Bytes(bytes) => (Source::Empty, Kept::Whole(bytes)),
            source => (source, Kept::Copy(Vec::new())),
        };
        Self { source, length, kept, replayed: 0, taken_bytes: 0, bytes_max, state: State::Fresh }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn source_mut(&mut self) -> &mut Source {
        &mut self.source
    }

    pub(crate) fn length(&self) -> Length {
        self.length
    }

    /// Gives it to whoever sends the rest; what is left here cannot be sent again.
    pub(crate) fn hand_over(&mut self) -> Box<Self> {
        let lost = Self {
            source: Source::Empty,
            length: self.length,
            kept: Kept::Nothing,
            replayed: 0,
            taken_bytes: self.taken_bytes,
            bytes_max: 0,
            state: State::Lost,
        };
        Box::new(std::mem::replace(self, lost))
    }

    /// It will not be sent again: what is kept need not be.
    pub(crate) fn forget(&mut self) {
        if let Kept::Copy(bytes) = &self.kept
            && self.replayed == bytes.len()
        {
            (self.kept, self.replayed) = (Kept::Nothing, 0);
        }
    }

    /// Whether all of it can be sent again.
    pub(crate) fn can_rewind(&self) -> bool {
        self.state != State::Lost && (self.taken_bytes == 0 || !matches!(self.kept, Kept::Nothing))
    }

    /// Makes it ready for another attempt, or for whoever wants to read it after one. What cannot be sent again is an
    /// error from now on, and never a shorter content.
    pub(crate) fn rewind(&mut self) {
        self.state = if self.can_rewind() { State::Fresh } else { State::Lost };
        self.replayed = usize::from(has(Bug::ReplayForgets) && !self.kept.bytes().is_empty());
    }

    /// Whatever attempt was at it is over.
    pub(crate) fn settle(&mut self) {
        if self.state == State::Sending {
            self.rewind();
        }
    }

    /// An attempt begins.
    pub(crate) fn begin(&mut self) {
        self.rewind();
        if self.state == State::Fresh {
            self.state = State::Sending;
        }
    }

    pub(crate) fn poll_pull(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<Result<Pull<Chunk>>> {
        if let Some(piece) = self.again(bytes_max)? {
            return Poll::Ready(Ok(Pull::Piece(piece)));
        }
        let pull = ready!(self.source.poll_pull(cx, bytes_max))?;
        self.keep(&pull);
        Poll::Ready(Ok(pull))
    }

    pub(crate) fn in_hand(&mut self, bytes_max: usize) -> Result<Option<Pull<Chunk>>> {
        if let Some(piece) = self.again(bytes_max)? {
            return Ok(Some(Pull::Piece(piece)));
        }
        let pull = self.source.in_hand(bytes_max)?;
        if let Some(pull) = &pull {
            self.keep(pull);
        }
        Ok(pull)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.replayed == self.kept.bytes().len() && self.source.has_ended()
    }

    /// A piece of what is kept and this attempt has not sent.
    fn again(&mut self, bytes_max: usize) -> Result<Option<Chunk>> {
        if self.state == State::Lost {
            return Err(Error::new(Side::Internal, Stage::Send, ErrorKind::NotReplayable));
        }
        let left = self.kept.bytes().len() - self.replayed;
        if left == 0 {
            return Ok(None);
        }
        let piece = self.replayed..self.replayed + left.min(bytes_max);
        self.replayed = piece.end;
        Ok(Some(match &self.kept {
            Kept::Whole(bytes) => bytes.slice(piece).into(),
            Kept::Copy(bytes) => Bytes::copy_from_slice(&bytes[piece]).into(),
            Kept::Nothing => Chunk::default(),
        }))
    }

    fn keep(&mut self, pull: &Pull<Chunk>) {
        let Pull::Piece(piece) = pull else { return };
        self.taken_bytes += piece.len() as u64;
        let Kept::Copy(kept) = &mut self.kept else { return };
        if kept.len() + piece.len() > self.bytes_max {
            (self.kept, self.replayed) = (Kept::Nothing, 0);
        } else {
            kept.extend_from_slice(piece);
            self.replayed = kept.len();
        }
    }
}
