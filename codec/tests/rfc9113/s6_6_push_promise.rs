//! RFC 9113 §6.6 and §8.4: PUSH_PROMISE, which nobody may send here.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code, Config, Role};

/// §6.6: "An endpoint that has set this setting and has received acknowledgment MUST treat the receipt of a PUSH_PROMISE
/// frame as a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_6_h2_35_a_push_is_a_connection_error() {
    let promise = frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &block(GET)[..]].concat());
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(&promise);
        client.assert_connection_error(Code::PROTOCOL_ERROR);
        assert_eq!(client.ended().unwrap().1, Cause::Push);
        client
    });
    // Before the acknowledgement, too: nobody sends pushes that quickly and is well.
    every_split(|cut| {
        let mut client = Side::new(Role::Client, Config::default(), cut);
        client.ask("/");
        client.feed([settings(&[]), promise.clone()].concat());
        client.assert_connection_error(Code::PROTOCOL_ERROR);
        client
    });
}

/// §8.4: "A client cannot push. Thus, servers MUST treat the receipt of a PUSH_PROMISE frame as a connection error
/// (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s8_4_a_client_can_not_push() {
    for stream in [0, 1, 2, 3] {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(headers(1, POST, 0));
            let payload = [&[0, 0, 0, 2], &block(GET)[..]].concat();
            server.feed(frame(PUSH_PROMISE, END_HEADERS, stream, &payload));
            server.assert_connection_error(Code::PROTOCOL_ERROR);
            server
        });
    }
}
