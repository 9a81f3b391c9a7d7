//! The names that a proxy works with, as one byte.

macro_rules! known {
    ($($name:ident = $text:literal,)*) => {
        /// A field name that has a meaning here, in any case; every other name is [`Known::Other`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub(crate) enum Known { $($name,)* Other }

        #[cfg(test)]
        pub(crate) const NAMES: &[(Known, &str)] = &[$((Known::$name, $text),)*];

        impl Known {
            /// As it is written.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* Self::Other => "" }
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
        for candidate in Self::candidates(name) {
            let text = candidate.as_str().as_bytes();
            // Most come as they are written here, and comparing that is many times cheaper.
            if text == name || text.eq_ignore_ascii_case(name) {
                return *candidate;
            }
        }
        Self::Other
    }

    /// The few names with this length, and where these are many, with this first letter.
    fn candidates(name: &[u8]) -> &'static [Self] {
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        match (name.len(), first) {
            (2, _) => &[Self::Te],
            (3, b'a') => &[Self::Age],
            (3, _) => &[Self::Via],
            (4, b'h') => &[Self::Host],
            (4, b'd') => &[Self::Date],
            (4, b'v') => &[Self::Vary],
            (4, b'e') => &[Self::Etag],
            (5, _) => &[Self::Range],
            (6, b'a') => &[Self::Accept],
            (6, b'c') => &[Self::Cookie],
            (6, b'e') => &[Self::Expect],
            (6, b's') => &[Self::Server],
            (6, b'p') => &[Self::Pragma],
            (7, b'u') => &[Self::Upgrade],
            (7, b't') => &[Self::Trailer],
            (7, b'e') => &[Self::Expires],
            (7, b'w') => &[Self::Warning],
            (8, b'i') => &[Self::IfMatch, Self::IfRange],
            (8, b'l') => &[Self::Location],
            (9, b'f') => &[Self::Forwarded],
            (9, b'x') => &[Self::XRealIp],
            (10, b'u') => &[Self::UserAgent],
            (10, b'c') => &[Self::Connection],
            (10, b's') => &[Self::SetCookie],
            (10, b'k') => &[Self::KeepAlive],
            (11, b'r') => &[Self::RetryAfter],
            (12, b'c') => &[Self::ContentType],
            (12, b'x') => &[Self::XRequestId],
            (12, b'm') => &[Self::MaxForwards],
            (13, b'a') => &[Self::Authorization],
            (13, b'c') => &[Self::CacheControl, Self::ContentRange],
            (13, b'i') => &[Self::IfNoneMatch],
            (14, b'c') => &[Self::ContentLength],
            (14, b'h') => &[Self::Http2Settings],
            (15, b'x') => &[Self::XForwardedFor],
            (16, b'p') => &[Self::ProxyConnection],
            (16, b'c') => &[Self::ContentEncoding, Self::ContentLanguage, Self::ContentLocation],
            (16, b'x') => &[Self::XForwardedHost],
            (16, b'w') => &[Self::WwwAuthenticate],
            (17, b't') => &[Self::TransferEncoding],
            (17, b'x') => &[Self::XForwardedProto],
            (17, b'i') => &[Self::IfModifiedSince],
            (18, b'p') => &[Self::ProxyAuthenticate],
            (19, b'c') => &[Self::ContentDisposition],
            (19, b'a') => &[Self::AuthenticationInfo],
            (19, b'p') => &[Self::ProxyAuthorization],
            (19, b'i') => &[Self::IfUnmodifiedSince],
            (25, b'p') => &[Self::ProxyAuthenticationInfo],
            _ => &[],
        }
    }
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
