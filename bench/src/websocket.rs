//! As much of WebSocket (RFC 6455) as echoing messages takes: the handshake's proof, and frames.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha1::{Digest, Sha1};
use std::ops::Range;

/// A message that is longer is refused, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// What a frame is (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const ALL: [(Self, u8); 6] = [
        (Self::Continuation, 0),
        (Self::Text, 1),
        (Self::Binary, 2),
        (Self::Close, 8),
        (Self::Ping, 9),
        (Self::Pong, 10),
    ];

    fn from_bits(bits: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, number)| *number == bits).map(|(opcode, _)| *opcode)
    }

    fn bits(self) -> u8 {
        Self::ALL.iter().find(|(opcode, _)| *opcode == self).map_or(0, |(_, number)| *number)
    }

    /// Whether it may come between the frames of a message.
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: Opcode,
    /// The message ends with it.
    pub(crate) last: bool,
    pub(crate) mask: Option<[u8; 4]>,
    /// Where its content stands in the input.
    pub(crate) content: Range<usize>,
}

/// Why no frame can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadFrame {
    /// Reserved bits, an unknown opcode, or a control frame that is long or in pieces.
    Malformed,
    /// Longer than [`MESSAGE_BYTES_MAX`].
    TooLong,
}

/// The frame at the front of `input`, once all of it is there; its content is still masked.
pub(crate) fn read(input: &[u8]) -> Result<Option<Frame>, BadFrame> {
    let [first, second, ..] = *input else { return Ok(None) };
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(BadFrame::Malformed)?;
    let (last, masked, short) = (first & 0x80 != 0, second & 0x80 != 0, second & 0x7f);
    if first & 0x70 != 0 || opcode.is_control() && (!last || short > 125) {
        return Err(BadFrame::Malformed);
    }
    let (length, mut at) = match short {
        126 => match input.get(2..4) {
            Some(bytes) => (u64::from(u16::from_be_bytes([bytes[0], bytes[1]])), 4),
            None => return Ok(None),
        },
        127 => match input.get(2..10).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => (u64::from_be_bytes(bytes), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= MESSAGE_BYTES_MAX);
    let length = length.ok_or(BadFrame::TooLong)?;
    let mut mask = None;
    if masked {
        let Some(key) = input.get(at..at + 4) else { return Ok(None) };
        mask = key.try_into().ok();
        at += 4;
    }
    let content = at..at + length;
    Ok((input.len() >= content.end).then_some(Frame { opcode, last, mask, content }))
}

/// Masks `content`, or takes the mask off again (RFC 6455 §5.3).
pub(crate) fn mask(content: &mut [u8], key: [u8; 4]) {
    for piece in content.chunks_mut(4) {
        piece.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    }
}

/// Writes a whole message as a server does.
pub(crate) fn write(opcode: Opcode, content: &[u8], out: &mut Vec<u8>) {
    write_frame(opcode, true, content, out);
}

/// Writes a frame as a server does; a message ends with its last one.
pub(crate) fn write_frame(opcode: Opcode, last: bool, content: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    write_head(opcode, content.len(), 0, out);
    if !last {
        out[at] &= 0x7f;
    }
    out.extend_from_slice(content);
}

/// Writes a whole message as a client does.
pub(crate) fn write_masked(opcode: Opcode, content: &[u8], out: &mut Vec<u8>) {
    let key: [u8; 4] = rand::random();
    write_head(opcode, content.len(), 0x80, out);
    out.extend_from_slice(&key);
    let at = out.len();
    out.extend_from_slice(content);
    mask(&mut out[at..], key);
}

fn write_head(opcode: Opcode, length: usize, masked: u8, out: &mut Vec<u8>) {
    out.push(0x80 | opcode.bits());
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.push(masked | short),
        (_, Ok(length)) => {
            out.push(masked | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// A client's proof that it means WebSocket: 16 random bytes (RFC 6455 §4.1).
pub(crate) fn key() -> String {
    BASE64_STANDARD.encode(rand::random::<[u8; 16]>())
}

/// What a server makes of the client's key (RFC 6455 §4.2.2).
pub(crate) fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_is_the_rfcs() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn frames_of_every_length_come_back() {
        for length in [0, 1, 125, 126, 65535, 65536, 100_000] {
            let content: Vec<u8> = (0..length).map(|at| at as u8).collect();
            for masked in [false, true] {
                let mut bytes = Vec::new();
                match masked {
                    true => write_masked(Opcode::Binary, &content, &mut bytes),
                    false => write(Opcode::Binary, &content, &mut bytes),
                }
                for cut in [0, 1, 2, 5, 9, bytes.len() - 1] {
                    assert_eq!(read(&bytes[..cut.min(bytes.len() - 1)]), Ok(None), "{length} {cut}");
                }
                bytes.extend_from_slice(b"next");
                let frame = read(&bytes).expect("a frame").expect("all of it");
                let mut content_read = bytes[frame.content.clone()].to_vec();
                assert_eq!((frame.opcode, frame.last, frame.mask.is_some()), (Opcode::Binary, true, masked));
                assert_eq!(&bytes[frame.content.end..], b"next");
                if let Some(key) = frame.mask {
                    mask(&mut content_read, key);
                }
                assert_eq!(content_read, content);
            }
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        assert_eq!(read(&[0xf0, 0]), Err(BadFrame::Malformed));
        assert_eq!(read(&[0x83, 0]), Err(BadFrame::Malformed));
        assert_eq!(read(&[0x09, 0]), Err(BadFrame::Malformed));
        assert_eq!(read(&[0x89, 126, 0, 200]), Err(BadFrame::Malformed));
        assert_eq!(read(&[0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]), Err(BadFrame::TooLong));
    }
}
