//! A WebSocket server (RFC 6455): echoes. The engine switches protocols and moves bytes; frames are for whoever needs
//! them, here in a few lines.
//!
//! `cargo run --example websocket_echo -- 127.0.0.1:8080`
use base64::{Engine as _, prelude::BASE64_STANDARD};
use corelane_engine::{Engine, Error, Handler, Request, Response, Result, Tunnel};
use sha1::{Digest, Sha1};

/// The first frame of `bytes` as a server sends it back: without a mask, and a ping as a pong. And how long it was.
fn turned(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (len, at) = match bytes.get(1)? & 127 {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        short => (short.into(), 2),
    };
    let (mask, end) = (bytes.get(at..at + 4)?, (at + 4).checked_add(usize::try_from(len).ok()?)?);
    let content = bytes.get(at + 4..end)?.iter().zip(mask.iter().cycle());
    let mut frame = bytes[..at].to_vec();
    frame[0] = if frame[0] & 15 == 9 { 0x8a } else { frame[0] };
    frame[1] &= 127;
    frame.extend(content.map(|(byte, mask)| byte ^ mask));
    Some((frame, end))
}

async fn echo(mut tunnel: Tunnel) -> Result<()> {
    let mut received = Vec::new();
    while let Some(chunk) = tunnel.receive().await? {
        received.extend_from_slice(&chunk);
        while let Some((frame, end)) = turned(&received) {
            received.drain(..end);
            let is_close = frame[0] & 15 == 8;
            tunnel.send(frame).await?; // waits for whoever reads slowly
            if is_close {
                return Ok(());
            }
        }
        if received.len() > 1 << 20 {
            return Err(Error::internal("a message that is too long"));
        }
    }
    Ok(())
}

struct Echo;

impl Handler for Echo {
    async fn handle(&self, request: Request) -> Result<Response> {
        let key = request.fields().get("sec-websocket-key").unwrap_or_default();
        let accept = Sha1::digest([key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat());
        let mut response = request.upgrade(echo)?;
        response.fields_mut().set("sec-websocket-accept", BASE64_STANDARD.encode(accept));
        Ok(response)
    }
}

fn main() -> Result<()> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    Engine::builder().serve(listen, |_lane| Ok(Echo)).on_event(|event| eprintln!("{event}")).run()?;
    Ok(())
}
