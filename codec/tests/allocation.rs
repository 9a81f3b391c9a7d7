//! A warm connection allocates nothing for a head that fits.
#![allow(clippy::unwrap_used, reason = "a test may")]

use corelane_codec::forward::{self, Hop};
use corelane_codec::h1::{Client, Event, Server};
use corelane_codec::{Limits, RequestHead, ResponseHead, trail};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promises are the ones that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const REQUEST: &[u8] = b"POST /path?query HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\
    Connection: keep-alive, X-Mine\r\nX-Mine: gone\r\nX-Forwarded-For: 6.6.6.6\r\nTransfer-Encoding: chunked\r\n\r\n\
    5;ext=1\r\nhello\r\n0\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nServer: test\r\n\
    Date: today\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
const HOP: Hop<'_> = Hop {
    peer: Some(std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)),
    scheme: "http",
    via: "corelane",
    request_id: "0af7651916cd43dd8448eb211c80319c",
    trusted: Some(forward::Trusted { trail: trail::Trail::XForwardedFor, client: None }),
};

/// Everything that the codec does for one request, with memory that is used again.
#[derive(Default)]
struct Proxy {
    limits: Limits,
    request: RequestHead,
    response: ResponseHead,
    out: Vec<u8>,
}

impl Proxy {
    fn exchange(&mut self, server: &mut Server, client: &mut Client) {
        self.out.clear();
        let mut at = 0;
        loop {
            let received = server.receive(&self.limits, &REQUEST[at..], &mut self.request).unwrap();
            at += received.consumed;
            match received.event {
                Event::Head => {
                    forward::request(&mut self.request, &HOP).unwrap();
                    client.send_head(&self.request, &mut self.out).unwrap();
                }
                Event::Data(range) => {
                    let wrap = client.send_data(range.len()).unwrap();
                    self.out.extend_from_slice(wrap.before());
                }
                Event::End => break,
                event => panic!("{event:?}"),
            }
        }
        client.send_end(None, &mut self.out).unwrap();
        let mut at = 0;
        loop {
            let received = client.receive(&self.limits, &RESPONSE[at..], &mut self.response).unwrap();
            at += received.consumed;
            match received.event {
                Event::Interim => {
                    let status = self.response.status;
                    assert!(server.send_interim(status, &self.response.fields, &mut self.out));
                }
                Event::Head => {
                    forward::response(&mut self.response, "corelane");
                    server.send_head(&self.response, &mut self.out).unwrap();
                }
                Event::Data(range) => {
                    server.send_data(range.len()).unwrap();
                }
                Event::End => break,
                Event::NeedMore => panic!("the response is complete"),
            }
        }
        server.send_end(None, &mut self.out).unwrap();
        client.next_exchange();
        server.next_exchange();
    }
}

#[test]
fn a_warm_exchange_allocates_nothing() {
    let mut proxy = Proxy::default();
    let (mut server, mut client) = (Server::new(&proxy.limits), Client::new());
    for _ in 0..3 {
        proxy.exchange(&mut server, &mut client);
    }
    let before = ALLOCATIONS.get();
    for _ in 0..1000 {
        proxy.exchange(&mut server, &mut client);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
