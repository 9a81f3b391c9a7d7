//! SETTINGS (RFC 9113 §6.5).

use super::{ACK, Error, Head, WRONG_SIZE, kind};

/// Octets of one setting.
pub(crate) const SETTING_BYTES: u32 = 6;

/// Identifiers of settings.
pub(crate) mod id {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 0x01;
    pub(crate) const ENABLE_PUSH: u16 = 0x02;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x03;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x04;
    pub(crate) const MAX_FRAME_SIZE: u16 = 0x05;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 0x06;
    /// RFC 8441 §3.
    pub(crate) const ENABLE_CONNECT_PROTOCOL: u16 = 0x08;
    /// RFC 9218 §2.1.
    pub(crate) const NO_RFC7540_PRIORITIES: u16 = 0x09;
}

/// One setting, of which nothing is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) id: u16,
    pub(crate) value: u32,
}

impl Setting {
    pub(crate) fn parse(bytes: [u8; SETTING_BYTES as usize]) -> Self {
        let [i1, i0, v3, v2, v1, v0] = bytes;
        Self { id: u16::from_be_bytes([i1, i0]), value: u32::from_be_bytes([v3, v2, v1, v0]) }
    }
}

/// The header of a SETTINGS frame fits: the number of settings, or none for an acknowledgement.
pub(crate) fn check(head: Head) -> Result<Option<u32>, Error> {
    head.on_connection()?;
    match head.has(ACK) {
        true => head.of_len(0).map(|_| None),
        false if head.len.is_multiple_of(SETTING_BYTES) => Ok(head.len.checked_div(SETTING_BYTES)),
        false => Err(WRONG_SIZE),
    }
}

/// A frame with these settings.
pub(crate) fn write(settings: &[Setting], out: &mut Vec<u8>) {
    let len = u32::try_from(settings.len()).unwrap_or(0).saturating_mul(SETTING_BYTES);
    out.extend_from_slice(&Head::new(len, kind::SETTINGS, 0, 0).to_bytes());
    for setting in settings {
        out.extend_from_slice(&setting.id.to_be_bytes());
        out.extend_from_slice(&setting.value.to_be_bytes());
    }
}

pub(crate) fn write_ack(out: &mut Vec<u8>) {
    out.extend_from_slice(&Head::new(0, kind::SETTINGS, ACK, 0).to_bytes());
}
