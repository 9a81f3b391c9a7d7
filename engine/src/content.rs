//! Content as it comes: received into a buffer, decoded in the same one, one piece for each receive.

use crate::io::{Buffer, Buffers};
use crate::simulate::{Bug, has};
use corelane_codec::{
    Error,
    h1::{Event, Received},
};

/// What the next step of receiving content gives.
#[derive(Debug)]
pub(crate) enum Pull<P = Buffer> {
    /// A piece of content.
    Piece(P),
    /// The message is complete.
    End,
}

/// What a buffer held.
pub(crate) struct Pulled {
    /// A piece of content, or the end; nothing if more must be received first.
    pub(crate) pull: Option<Pull>,
    /// What has not been looked at yet.
    pub(crate) rest: Option<Buffer>,
}

/// Decodes all that `buffer` holds, up to the end of the message, and makes one piece of it: what framing had torn
/// apart is moved together in place. That is the only copy, and content that came in one piece has none.
pub(crate) fn pull(
    mut buffer: Buffer,
    buffers: &Buffers,
    mut receive: impl FnMut(&[u8]) -> Result<Received, Error>,
) -> Result<Pulled, Error> {
    let (mut at, mut piece, mut end) = (0, 0..0, false);
    loop {
        let received = match receive(&buffer.as_slice()[at..]) {
            Ok(received) => received,
            Err(error) => {
                buffers.give(buffer);
                return Err(error);
            }
        };
        match received.event {
            Event::Data(range) => {
                let range = at + range.start..at + range.end;
                if piece.is_empty() {
                    piece = range;
                } else {
                    let to = piece.end;
                    piece.end += range.len();
                    buffer.move_down(range, to);
                }
                at += received.consumed;
            }
            Event::End => {
                at += received.consumed;
                end = true;
                break;
            }
            _ => {
                at += received.consumed;
                break;
            }
        }
    }
    let rest = (at < buffer.len() && !has(Bug::RestForgotten)).then(|| {
        let mut rest = buffers.take();
        rest.append(&buffer.as_slice()[at..]);
        rest
    });
    if piece.is_empty() {
        // Nothing but framing: the buffer itself may be the rest.
        buffers.give(buffer);
        return Ok(Pulled { pull: end.then_some(Pull::End), rest });
    }
    buffer.keep(piece);
    Ok(Pulled { pull: Some(Pull::Piece(buffer)), rest })
}
