//! A proxy that rewrites what passes, both ways, and vouches for it with trailers: card numbers are masked on the way down;
//! on the way up, content whose checksum does not fit is not taken.

use crate::support::{
    peer::{Message, Peer, Scripted},
    rig::Rig,
};
use corelane_engine::{
    Builder, Chunk, Cluster, End, Engine, Error, Fields, Handler, Output, Request, Response, Result,
    StatusCode, Transform, Upstream,
};

/// Adler-32 (RFC 1950 §8.2).
#[derive(Clone, Copy)]
struct Checksum(u32, u32);

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 + u32::from(*byte)) % 65_521;
            self.1 = (self.1 + self.0) % 65_521;
        }
    }

    fn text(self) -> String {
        format!("{:08x}", self.1 << 16 | self.0)
    }
}

/// Makes stars of the digits of long numbers, but for the last four, however they are torn apart.
struct Masked {
    /// Digits whose number may go on.
    digits: Vec<u8>,
    checksum: Checksum,
}

impl Masked {
    fn put(&mut self, bytes: &[u8], out: &mut Output) {
        self.checksum.add(bytes);
        out.extend(bytes);
    }

    fn end_of_number(&mut self, out: &mut Output) {
        let mut digits = std::mem::take(&mut self.digits);
        if digits.len() > 12 {
            let hidden = digits.len() - 4;
            digits[..hidden].fill(b'*');
        }
        self.put(&digits, out);
    }
}

impl Transform for Masked {
    fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()> {
        for run in chunk.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
            if !run[0].is_ascii_digit() {
                self.end_of_number(out);
                self.put(run, out);
            } else if self.digits.len() + run.len() > 64 {
                return Err(Error::internal("a number without end"));
            } else {
                self.digits.extend_from_slice(run);
            }
        }
        Ok(())
    }

    fn end(&mut self, trailers: &mut Fields, out: &mut Output) -> Result<()> {
        self.end_of_number(out);
        trailers.set("x-adler32", self.checksum.text());
        Ok(())
    }
}

/// Lets content pass, and breaks it off at its end if the client's own checksum does not fit.
struct Checked(Checksum);

impl Transform for Checked {
    fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()> {
        self.0.add(&chunk);
        out.push(chunk);
        Ok(())
    }

    fn end(&mut self, trailers: &mut Fields, _: &mut Output) -> Result<()> {
        match trailers.get("x-adler32") {
            Some(said) if said != self.0.text().as_bytes() => Err(Error::status_of(StatusCode::BAD_REQUEST)),
            _ => Ok(()),
        }
    }
}

struct Proxy(Upstream);

impl Handler for Proxy {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        request.fields_mut().remove("accept-encoding");
        request.fields_mut().remove("range");
        request.body_mut().transform(Checked(Checksum(1, 0)));
        let mut response = self.0.send(request).await?;
        response.body_mut().transform(Masked { digits: Vec::new(), checksum: Checksum(1, 0) });
        Ok(response)
    }
}

fn proxy(listen: &str, origin: &str) -> Result<Builder> {
    let origin = Cluster::round_robin([origin]).resolve()?;
    Ok(Engine::builder().serve(listen, move |lane| Ok(Proxy(lane.upstream(&origin)))))
}

#[test]
fn it_masks_and_vouches() -> Result<()> {
    let origin = Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            // Byte by byte, so that numbers are torn apart.
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for byte in request.content {
                peer.send([b"1\r\n".as_slice(), &[byte], b"\r\n"].concat());
            }
            peer.send("0\r\n\r\n");
        }
    });
    let rig = Rig::start(proxy("127.0.0.1:0", &origin.address.to_string())?);
    let post = |content: &str, trailer: &str| {
        let mut client = Peer::connect(rig.address());
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{content}\r\n0\r\n{trailer}\r\n",
            content.len(),
        ));
        client.message()
    };
    let sum = |message: &Message| {
        let mut sum = Checksum(1, 0);
        sum.add(&message.content);
        format!("x-adler32: {}\n", sum.text())
    };
    let card = post("card 4111111111111111, pin 1234", "");
    assert_eq!(
        (card.text().as_str(), card.trailers.clone()),
        ("card ************1111, pin 1234", sum(&card))
    );
    assert_eq!(post("123456789012", "").text(), "123456789012");
    assert_eq!(post("ends with 1234567890123", "").text(), "ends with *********0123");
    assert_eq!(post("Wikipedia", "X-Adler32: 11e60398\r\n").text(), "Wikipedia");
    for _ in 0..4 {
        assert_eq!(rig.record().end, End::Done);
    }
    assert_eq!(post("Wikipedia", "X-Adler32: 11e60399\r\n").status(), 400);
    assert_eq!(rig.record().end, End::Handler);
    Ok(())
}
