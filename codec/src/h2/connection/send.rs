//! What the application says: heads, interim responses, trailers.

use super::super::error::{Cause, Error};
use super::super::frame::{HEAD_BYTES, PAYLOAD_BYTES_DEFAULT, STREAM_MAX, headers};
use super::super::headers::emit;
use super::super::stream::{Asked, Sending, Step, Stream};
use super::{Connection, Role, StreamId, block};
use crate::fields::Known;
use crate::grammar::{authority, is_target};
use crate::hpack::Block;
use crate::{Fields, Kind, Length, RequestHead, ResponseHead, Upgrade};
use http::{Method, StatusCode};

impl Connection {
    /// Sends a request's head; opens its stream, which is the application's until it [closes](Self::close) it. The
    /// `Host` among its fields becomes `:authority`. With content of length 0 or none, the request is ended with it;
    /// otherwise content follows, then [`send_end`](Self::send_end) or [`send_trailers`](Self::send_trailers).
    ///
    /// A request for a WebSocket (`upgrade`) becomes an extended CONNECT (RFC 8441); so does its response become a 101
    /// again, and content either way is the tunnel's.
    ///
    /// # Errors
    /// [`Cause::StreamsBusy`] and [`Cause::NoMoreStreams`] say that the request belongs on another connection;
    /// [`Cause::ConnectProtocol`], that the server takes no WebSocket; [`Cause::ListTooLong`], that it takes no head as
    /// [long](Self::peer_list_bytes_max); [`Cause::Message`], that nobody may send it. Nothing is written then.
    pub fn send_request(&mut self, head: &RequestHead, out: &mut Vec<u8>) -> Result<StreamId, Error> {
        self.check_open()?;
        check_request(head)?;
        let asked = block::asked(head);
        if asked == Asked::WebSocket && !self.peer.connect_protocol {
            return Err(Error::us(Cause::ConnectProtocol));
        }
        let scheme = self.config.scheme;
        let line_bytes = head.target.len().saturating_add(head.method.as_str().len());
        self.check_list(&head.fields, line_bytes, |list| emit::request(list, head, scheme, asked))?;
        let tunnel = matches!(asked, Asked::WebSocket | Asked::Connect);
        let ended = !tunnel && head.content.is_empty();
        let id = self.next_own;
        self.next_own = id.saturating_add(2);
        self.transmit(out);
        self.write_block(id, ended, out, |block| emit::request(block, head, scheme, asked));
        let length = if tunnel { Length::Chunked } else { head.content };
        let slot = self.open(Stream { sending: sending(length), asked, ..self.new_stream(id) });
        if ended {
            self.step(slot, Step::SendEnd);
        }
        Ok(StreamId(id))
    }

    /// Sends an interim response. `false`, and nothing is written, if the final head has been sent, the stream is
    /// closed, the status is not one of an interim response, or the client takes no head as
    /// [long](Self::peer_list_bytes_max).
    pub fn inform(
        &mut self,
        stream: StreamId,
        status: StatusCode,
        fields: &Fields,
        out: &mut Vec<u8>,
    ) -> bool {
        let interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        let asked = self.sendable(stream).is_ok_and(|(_, s)| s.sending == Sending::Head);
        let fits = self.check_list(fields, 0, |list| emit::interim(list, status, fields)).is_ok();
        if !interim || !asked || !fits || self.role == Role::Client {
            return false;
        }
        self.transmit(out);
        self.write_block(stream.0, false, out, |block| emit::interim(block, status, fields));
        true
    }

    /// Sends the final head of a response. Gives whether that was all of it: where there can be no content, or
    /// `head.content` says that there is none. Otherwise content follows, then [`send_end`](Self::send_end) or
    /// [`send_trailers`](Self::send_trailers).
    ///
    /// The answer to a request for a WebSocket is a 101 with the same `upgrade`, or any other response.
    ///
    /// # Errors
    /// If the stream is closed, the head may not follow what was sent, or the client takes no head as
    /// [long](Self::peer_list_bytes_max) ([`Cause::ListTooLong`]): another one may be sent. Nothing is written then.
    pub fn send_response(
        &mut self,
        stream: StreamId,
        head: &ResponseHead,
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let (slot, state) = self.sendable(stream)?;
        let asked = state.asked;
        let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
        if switches && (asked != Asked::WebSocket || head.upgrade != Some(Upgrade::WebSocket)) {
            return Err(Error::us(Cause::Message(Kind::SwitchingProtocols)));
        }
        let unheard_of = (head.status.is_informational() && !switches) || head.status.as_u16() >= 600;
        // A 2xx to an extended CONNECT would open a tunnel that nobody meant to open.
        let opens = asked == Asked::WebSocket && !switches && head.status.is_success();
        if self.role == Role::Client || state.sending != Sending::Head || unheard_of || opens {
            return Err(Error::us(Cause::Order));
        }
        self.check_list(&head.fields, 0, |list| emit::response(list, head, asked))?;
        let tunnel = switches || (asked == Asked::Connect && head.status.is_success());
        let without = asked == Asked::HeadOnly || crate::framing::has_no_content(head.status);
        let ended = !tunnel && (without || head.content.is_empty());
        self.transmit(out);
        self.write_block(stream.0, ended, out, |block| emit::response(block, head, asked));
        if let Some(state) = self.streams.get_mut(slot) {
            state.sending = sending(if tunnel { Length::Chunked } else { head.content });
        }
        if ended {
            self.step(slot, Step::SendEnd);
        }
        Ok(ended)
    }

    /// Ends a message with trailers: those fields that may stand in a trailer section (RFC 9110 §6.5.1). If none is
    /// left, or the client does not take them, it is ended without.
    ///
    /// # Errors
    /// As [`send_end`](Self::send_end); and [`Cause::ListTooLong`], if the peer takes no trailers as
    /// [long](Self::peer_list_bytes_max): nothing is written then, and the message may be ended without.
    pub fn send_trailers(
        &mut self,
        stream: StreamId,
        fields: &Fields,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let (slot, state) = self.sendable(stream)?;
        let tunnel = matches!(state.asked, Asked::Connect | Asked::WebSocket);
        if !state.takes_trailers || tunnel || !emit::has_trailers(fields) {
            return self.send_end(stream, out);
        }
        self.check_list(fields, 0, |list| emit::trailers(list, fields))?;
        self.check_complete(slot, out)?;
        self.transmit(out);
        self.write_block(stream.0, true, out, |block| emit::trailers(block, fields));
        self.step(slot, Step::SendEnd);
        Ok(())
    }

    /// Whether trailers of a response are sent: the client said `TE: trailers`. Those of a request always are.
    pub fn takes_trailers(&self, stream: StreamId) -> bool {
        self.stream(stream).is_some_and(|stream| stream.takes_trailers)
    }

    /// A stream that we may send on.
    pub(super) fn sendable(&self, stream: StreamId) -> Result<(usize, &Stream), Error> {
        let closed = Error::us(Cause::Closed);
        if self.failed.is_some() {
            return Err(closed);
        }
        let slot = self.streams.find(stream.0).ok_or(closed)?;
        let state = self.streams.get(slot).filter(|stream| stream.state.may_send()).ok_or(closed)?;
        Ok((slot, state))
    }

    /// Whether the peer takes a list of these fields and others, of so many bytes in all: `write` says what it is. It is
    /// asked before anything is encoded, so that both tables stay the same.
    fn check_list(
        &self,
        fields: &Fields,
        line_bytes: usize,
        write: impl FnOnce(&mut emit::ListBytes),
    ) -> Result<(), Error> {
        let bytes_max = u64::from(self.peer.list_bytes_max);
        let most = fields.list_bytes_most().saturating_add(line_bytes);
        if most.saturating_add(emit::BYTES_BESIDE_FIELDS) as u64 <= bytes_max {
            return Ok(());
        }
        let mut list = emit::ListBytes::default();
        write(&mut list);
        if list.0 > bytes_max { Err(Error::us(Cause::ListTooLong)) } else { Ok(()) }
    }

    /// Writes a field block, in as many frames as it takes.
    pub(super) fn write_block(
        &mut self,
        stream: u32,
        end_stream: bool,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Block<'_>),
    ) {
        let start = out.len();
        out.extend_from_slice(&[0; HEAD_BYTES]);
        write(&mut self.encoder.begin(out));
        headers::wrap(out, start, self.frame_bytes_max(), stream, end_stream);
    }

    /// The longest frame that we make: longer ones would keep others waiting, even where the peer takes them.
    pub(super) fn frame_bytes_max(&self) -> usize {
        self.peer.frame_bytes_max.min(PAYLOAD_BYTES_DEFAULT) as usize
    }

    /// Whether a stream may be opened now.
    fn check_open(&self) -> Result<(), Error> {
        if self.role == Role::Server || self.failed.is_some() || self.is_going_away() {
            return Err(Error::us(Cause::NoMoreStreams));
        }
        debug_assert!(self.next_own <= STREAM_MAX, "or it would be going away");
        if self.streams_available() == 0 { Err(Error::us(Cause::StreamsBusy)) } else { Ok(()) }
    }
}

fn sending(length: Length) -> Sending {
    match length {
        Length::Known(length) => Sending::Content(Some(length)),
        Length::None => Sending::Content(Some(0)),
        Length::Chunked | Length::UntilClose => Sending::Content(None),
    }
}

/// An application may have put anything into a head.
fn check_request(head: &RequestHead) -> Result<(), Error> {
    let suits = match head.target.as_slice() {
        _ if head.method == Method::CONNECT => matches!(authority(&head.target), Some(Some(_))),
        [b'/', ..] => true,
        b"*" => head.method == Method::OPTIONS,
        _ => false,
    };
    let fault = match () {
        () if !suits || !is_target(&head.target) => Kind::Target,
        () if head.fields.all_known(Known::Host).nth(1).is_some() => Kind::HostCount,
        () if head.method == Method::TRACE && !head.content.is_empty() => Kind::TraceWithContent,
        () if head.upgrade.is_some() && !head.content.is_empty() => Kind::UpgradeWithContent,
        // What an upgrade becomes has a method of its own, and is not another one's.
        () if head.upgrade.is_some() && head.method != Method::GET => Kind::Method,
        () => return Ok(()),
    };
    Err(Error::us(Cause::Message(fault)))
}
