//! Pseudo-fields (RFC 9113 §8.3), and CONNECT in both its forms (§8.5, RFC 8441 §4).

use super::{Asked, Scheme, Section, Wanted, is_same_entity};
use crate::fields::{Known, Line};
use crate::grammar::{authority, is_target, is_token};
use crate::hpack::Field;
use crate::{Kind, Limits, Upgrade, Version};
use http::{Method, StatusCode};

/// The pseudo-fields that have come. Method, path and status stand in the head itself, the authority is its `Host`.
#[derive(Debug, Default)]
pub(super) struct Pseudo {
    method: bool,
    path: bool,
    authority: bool,
    status: bool,
    scheme: Option<Scheme>,
    protocol: Option<Protocol>,
}

/// What an extended CONNECT asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    WebSocket,
    Other,
}

impl Section {
    pub(super) fn pseudo_field(
        &mut self,
        name: &[u8],
        field: Field<'_>,
        limits: &Limits,
    ) -> Result<(), Kind> {
        let value = field.value;
        match (self.wanted, name) {
            (Wanted::Request { .. }, b"method") => self.method(value, limits),
            (Wanted::Request { .. }, b"scheme") => self.scheme(value),
            (Wanted::Request { .. }, b"path") => self.path(value, limits),
            (Wanted::Request { .. }, b"authority") => self.authority(field, limits),
            (Wanted::Request { connect_protocol: true }, b"protocol") => self.protocol(value),
            // Without the setting it is a pseudo-field like any that is not known (RFC 8441 §4).
            (Wanted::Response(_), b"status") => self.status(value),
            _ => Err(Kind::PseudoField),
        }
    }

    /// Whether the pseudo-fields of a request suit each other.
    pub(super) fn finish_request_pseudo(&mut self) -> Result<(), Kind> {
        let pseudo = &self.pseudo;
        let head = &mut self.request;
        head.version = Version::Http2;
        if !pseudo.method {
            return Err(Kind::PseudoField);
        }
        if head.method == Method::CONNECT && pseudo.protocol.is_none() {
            // The authority is what to connect to; there is nothing else (RFC 9113 §8.5).
            if pseudo.scheme.is_some() || pseudo.path || !pseudo.authority {
                return Err(Kind::PseudoField);
            }
            let target = head.fields.known(Known::Host).unwrap_or_default();
            if !matches!(authority(target), Some(Some(_))) {
                return Err(Kind::Target);
            }
            head.target.extend_from_slice(target);
            self.asked = Asked::Connect;
            return Ok(());
        }
        if pseudo.scheme.is_none() || !pseudo.path {
            return Err(Kind::PseudoField);
        }
        if !pseudo.authority && !self.has_host {
            return Err(Kind::HostCount);
        }
        match head.target.as_slice() {
            [b'/', ..] => {}
            b"*" if head.method == Method::OPTIONS => {}
            _ => return Err(Kind::Target),
        }
        self.asked = match pseudo.protocol {
            None if head.method == Method::HEAD => Asked::HeadOnly,
            None => Asked::Message,
            Some(_) if head.method != Method::CONNECT || !pseudo.authority => return Err(Kind::PseudoField),
            Some(Protocol::Other) => return Err(Kind::Protocol),
            Some(Protocol::WebSocket) => {
                // The same as the upgrade of HTTP/1.1, whatever carried it.
                head.method = Method::GET;
                head.upgrade = Some(Upgrade::WebSocket);
                Asked::WebSocket
            }
        };
        Ok(())
    }

    /// Whether the status of a response is one that may answer the request.
    pub(super) fn finish_response_pseudo(&mut self, asked: Asked) -> Result<(), Kind> {
        let head = &mut self.response;
        head.version = Version::Http2;
        if !self.pseudo.status {
            return Err(Kind::PseudoField);
        }
        // There is no other protocol to switch to (RFC 9113 §8.6).
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Kind::SwitchingProtocols);
        }
        if asked == Asked::WebSocket && head.status.is_success() {
            head.status = StatusCode::SWITCHING_PROTOCOLS;
            head.upgrade = Some(Upgrade::WebSocket);
        }
        Ok(())
    }

    /// `Host` where there is an `:authority`: it must say the same, and goes no further. Otherwise it is a field.
    pub(super) fn host(&mut self, value: &[u8]) -> Result<bool, Kind> {
        if self.has_host {
            return Err(Kind::HostCount);
        }
        self.has_host = true;
        if authority(value).is_none() {
            return Err(Kind::Host);
        }
        if !self.pseudo.authority {
            return Ok(true);
        }
        let authority = self.request.fields.known(Known::Host).unwrap_or_default();
        let same = is_same_entity(authority, value, self.pseudo.scheme);
        if same { Ok(false) } else { Err(Kind::HostMismatch) }
    }

    fn method(&mut self, value: &[u8], limits: &Limits) -> Result<(), Kind> {
        once(&mut self.pseudo.method)?;
        if value.len() > limits.method_bytes_max || !is_token(value) {
            return Err(Kind::Method);
        }
        self.request.method = Method::from_bytes(value).map_err(|_| Kind::Method)?;
        Ok(())
    }

    fn scheme(&mut self, value: &[u8]) -> Result<(), Kind> {
        if self.pseudo.scheme.is_some() {
            return Err(Kind::PseudoField);
        }
        let known = [Scheme::Http, Scheme::Https];
        let scheme = known.into_iter().find(|scheme| value.eq_ignore_ascii_case(scheme.as_str().as_bytes()));
        self.pseudo.scheme = Some(scheme.ok_or(Kind::Scheme)?);
        Ok(())
    }

    fn path(&mut self, value: &[u8], limits: &Limits) -> Result<(), Kind> {
        once(&mut self.pseudo.path)?;
        if value.len() > limits.request_line_bytes_max {
            return Err(Kind::RequestLineTooLong);
        }
        if value.is_empty() || !is_target(value) {
            return Err(Kind::Target);
        }
        let target = &mut self.request.target;
        if target.capacity() < value.len() {
            // A larger one, not both of them.
            *target = Vec::new();
        }
        target.extend_from_slice(value);
        Ok(())
    }

    /// Without userinfo (RFC 9113 §8.3.1), which is no host. It may become a target.
    fn authority(&mut self, field: Field<'_>, limits: &Limits) -> Result<(), Kind> {
        once(&mut self.pseudo.authority)?;
        if field.value.len() > limits.request_line_bytes_max {
            return Err(Kind::RequestLineTooLong);
        }
        if authority(field.value).is_none() {
            return Err(Kind::Host);
        }
        self.append(Line {
            known: Known::Host,
            name: b"host",
            value: field.value,
            never_indexed: field.never_indexed,
        });
        Ok(())
    }

    fn protocol(&mut self, value: &[u8]) -> Result<(), Kind> {
        if self.pseudo.protocol.is_some() || !is_token(value) {
            return Err(Kind::PseudoField);
        }
        let websocket = value == Upgrade::WebSocket.as_str().as_bytes();
        self.pseudo.protocol = Some(if websocket { Protocol::WebSocket } else { Protocol::Other });
        Ok(())
    }

    fn status(&mut self, value: &[u8]) -> Result<(), Kind> {
        once(&mut self.pseudo.status)?;
        let status = StatusCode::from_bytes(value).map_err(|_| Kind::StatusLine)?;
        if status.as_u16() >= 600 {
            return Err(Kind::StatusLine);
        }
        self.response.status = status;
        Ok(())
    }
}

fn once(seen: &mut bool) -> Result<(), Kind> {
    if std::mem::replace(seen, true) { Err(Kind::PseudoField) } else { Ok(()) }
}
