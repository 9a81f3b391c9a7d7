//! HTTP/2: what the tests of the codec promise, for any input.

#[path = "../../codec/tests/h2/link.rs"]
mod link;
#[path = "../../codec/tests/h2/promises.rs"]
mod promises;

use corelane_codec::h2::{Config, Role};
use link::Dice;

/// Bytes from a client.
pub fn server(input: &[u8]) {
    promises::bytes(Role::Server, input);
}

/// Bytes from a server.
pub fn client(input: &[u8]) {
    promises::bytes(Role::Client, input);
}

/// Frames of a peer and requests of an application, in an order that the input chooses, in the role that it chooses.
pub fn frames(input: &[u8]) {
    let (first, rest) = input.split_first().unwrap_or((&0, &[]));
    promises::steps(if first % 2 == 0 { Role::Server } else { Role::Client }, rest);
}

/// Two connections joined, whose applications do what the input chooses.
pub fn pair(input: &[u8]) {
    let mut dice = Dice::Bytes(input);
    let mut config = Config::default();
    config.streams_max = [100, 1, 5][dice.below(3)];
    config.stream_window_bytes = [65_535, 0x4000, 1 << 20][dice.below(3)];
    config.heap_bytes_max = 4 << 20;
    let requests = 1 + dice.below(8);
    link::run(&config, requests, &mut dice);
}
