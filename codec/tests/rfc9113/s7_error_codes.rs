//! RFC 9113 §7: error codes.

use crate::h2::*;
use corelane_codec::h2::Code;

#[test]
fn s7_codes_have_the_numbers_of_the_registry() {
    let codes = [
        (Code::NO_ERROR, 0x00, "NO_ERROR"),
        (Code::PROTOCOL_ERROR, 0x01, "PROTOCOL_ERROR"),
        (Code::INTERNAL_ERROR, 0x02, "INTERNAL_ERROR"),
        (Code::FLOW_CONTROL_ERROR, 0x03, "FLOW_CONTROL_ERROR"),
        (Code::SETTINGS_TIMEOUT, 0x04, "SETTINGS_TIMEOUT"),
        (Code::STREAM_CLOSED, 0x05, "STREAM_CLOSED"),
        (Code::FRAME_SIZE_ERROR, 0x06, "FRAME_SIZE_ERROR"),
        (Code::REFUSED_STREAM, 0x07, "REFUSED_STREAM"),
        (Code::CANCEL, 0x08, "CANCEL"),
        (Code::COMPRESSION_ERROR, 0x09, "COMPRESSION_ERROR"),
        (Code::CONNECT_ERROR, 0x0a, "CONNECT_ERROR"),
        (Code::ENHANCE_YOUR_CALM, 0x0b, "ENHANCE_YOUR_CALM"),
        (Code::INADEQUATE_SECURITY, 0x0c, "INADEQUATE_SECURITY"),
        (Code::HTTP_1_1_REQUIRED, 0x0d, "HTTP_1_1_REQUIRED"),
    ];
    for (code, number, name) in codes {
        assert_eq!((code.0, code.name()), (number, Some(name)));
    }
    assert_eq!(Code(0x0e).name(), None);
}

/// §7: "Unknown or unsupported error codes MUST NOT trigger any special behavior."
#[test]
fn s7_unknown_codes_do_nothing_special() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.sent();
            side.feed(reset(1, Code(0xfefe)));
            side.feed(go_away(0x7fff_ffff, Code(0xfefe)));
            side.assert_alive();
            assert_eq!(side.sent(), []);
            assert!(matches!(side.said[0], Said::Reset(1, error) if !error.is_unprocessed()));
        }
        server
    });
}
