//! The names that a proxy works with, as one byte.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tables that the compiler fills; sums of small numbers and a length of what is in memory"
)]

use crate::grammar::is_named;

macro_rules! known {
    ($($name:ident = $text:literal,)*) => {
        /// A field name that has a meaning here, in any case; every other name is [`Known::Other`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub(crate) enum Known { $($name,)* Other }

        const NAMES: &[(Known, &str)] = &[$((Known::$name, $text),)*];

        impl Known {
            /// As it is written.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* Self::Other => "" }
            }

            /// As it is written, with what stands between a name and a value.
            pub(crate) const fn with_colon(self) -> &'static str {
                match self { $(Self::$name => concat!($text, ": "),)* Self::Other => "" }
            }
        }
    };
}

known! {
    // Of one connection: what stands before `Host` is never among the fields that go end to end.
    Connection = "Connection",
    ContentLength = "Content-Length",
    TransferEncoding = "Transfer-Encoding",
    KeepAlive = "Keep-Alive",
    ProxyConnection = "Proxy-Connection",
    Te = "TE",
    Trailer = "Trailer",
    Upgrade = "Upgrade",
    Expect = "Expect",
    Http2Settings = "HTTP2-Settings",
    // End to end. What stands up to `Range` is not taken from a trailer section.
    Host = "Host",
    Via = "Via",
    XForwardedFor = "X-Forwarded-For",
    XForwardedProto = "X-Forwarded-Proto",
    XForwardedHost = "X-Forwarded-Host",
    Forwarded = "Forwarded",
    XRequestId = "X-Request-Id",
    MaxForwards = "Max-Forwards",
    Authorization = "Authorization",
    AuthenticationInfo = "Authentication-Info",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthenticationInfo = "Proxy-Authentication-Info",
    WwwAuthenticate = "WWW-Authenticate",
    Cookie = "Cookie",
    SetCookie = "Set-Cookie",
    IfMatch = "If-Match",
    IfNoneMatch = "If-None-Match",
    IfModifiedSince = "If-Modified-Since",
    IfUnmodifiedSince = "If-Unmodified-Since",
    IfRange = "If-Range",
    CacheControl = "Cache-Control",
    Pragma = "Pragma",
    Age = "Age",
    Expires = "Expires",
    Date = "Date",
    Location = "Location",
    RetryAfter = "Retry-After",
    Vary = "Vary",
    Warning = "Warning",
    ContentType = "Content-Type",
    ContentEncoding = "Content-Encoding",
    ContentRange = "Content-Range",
    ContentLanguage = "Content-Language",
    ContentLocation = "Content-Location",
    ContentDisposition = "Content-Disposition",
    XRealIp = "X-Real-IP",
    Range = "Range",
    Server = "Server",
    Accept = "Accept",
    UserAgent = "User-Agent",
    Etag = "ETag",
}

const _: () = assert!((Known::Other as u32) < u64::BITS);

/// No name that is known has more bytes.
pub(crate) const LONGEST_NAME: usize = 32;

impl Known {
    /// Whether it concerns one connection only, or the framing of one message, and is written anew for the next.
    pub(crate) fn is_of_connection(self) -> bool {
        self < Self::Host
    }

    /// Whether it may stand in a trailer section (RFC 9110 §6.5.1): not if it frames, routes, authenticates, makes
    /// conditional, controls, or says how the content is to be read.
    pub(crate) fn may_trail(self) -> bool {
        self > Self::Range
    }

    /// Whether [`crate::forward`] writes it.
    pub(crate) fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Via
                | Self::XForwardedFor
                | Self::XForwardedProto
                | Self::XForwardedHost
                | Self::Forwarded
                | Self::XRequestId
        )
    }

    /// A bit of its own; names that are not known have one in common.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u32
    }

    /// The name as one byte.
    pub(crate) fn of(name: &[u8]) -> Self {
        match BY_SLOT.get(slot(name)) {
            Some((known, text)) if is_named(name, text.as_bytes()) => *known,
            _ => Self::Other,
        }
    }
}

const SLOTS: usize = 128;

/// The one name that can be in each slot. It does not compile if there are two: then other factors are needed, which a
/// search over small ones finds in a moment.
static BY_SLOT: [(Known, &str); SLOTS] = {
    let (mut slots, mut at) = ([(Known::Other, ""); SLOTS], 0);
    while at < NAMES.len() {
        let (known, text) = NAMES[at];
        let slot = slot(text.as_bytes());
        assert!(matches!(slots[slot].0, Known::Other), "two names have one slot");
        slots[slot] = (known, text);
        at += 1;
    }
    slots
};

/// By the first letter, the last, and the length, whatever the case.
const fn slot(name: &[u8]) -> usize {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return 0 };
    let (first, last) = ((*first | 0x20) as usize, (*last | 0x20) as usize);
    (first * 104 + last * 56 + name.len()) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_every_case() {
        for (known, text) in NAMES {
            assert!(text.len() <= LONGEST_NAME && !text.contains('_'), "{text}");
            assert_eq!(Known::of(text.as_bytes()), *known, "{text}");
            assert_eq!(Known::of(text.to_ascii_lowercase().as_bytes()), *known, "{text}");
            assert_eq!(Known::of(text.to_ascii_uppercase().as_bytes()), *known, "{text}");
        }
    }

    #[test]
    fn other_names_are_other() {
        for text in ["", "x", "hosts", "c0okie", "x-forwarded-fox", "content_length", "h\u{f6}st"] {
            assert_eq!(Known::of(text.as_bytes()), Known::Other, "{text}");
        }
    }

    #[test]
    fn only_what_concerns_one_connection_stands_before_host() {
        assert!(Known::Http2Settings.is_of_connection());
        assert!(!Known::Host.is_of_connection());
        assert!(!Known::Range.may_trail());
        assert!(Known::Server.may_trail() && Known::Other.may_trail());
    }
}
