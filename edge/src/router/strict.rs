//! Whether a path can be read in one way only. Routes are chosen by the bytes that are forwarded, so a rule on `/admin`
//! is worth nothing if an origin takes `/x/../admin`, `//admin` or `/%61dmin` for the same.

/// Whether no origin could take the path for another one: no segment is empty, `.` or `..` (`/` at the end is fine),
/// nothing is encoded that need not be, or in more bytes than it needs, there is no backslash or encoded slash, and no
/// `;` that an origin could cut a segment at.
pub(crate) fn is_plain(path: &[u8]) -> bool {
    let Some(segments) = path.strip_prefix(b"/") else { return path == b"*" };
    let mut segments = segments.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let is_empty = segment.is_empty() && !is_last;
        if is_empty || segment == b"." || segment == b".." || !is_plain_segment(segment) {
            return false;
        }
    }
    true
}

fn is_plain_segment(segment: &[u8]) -> bool {
    let (mut rest, mut before) = (segment, 0);
    while let [first, after @ ..] = rest {
        let byte;
        (byte, rest) = match (first, after) {
            (b'\\' | b';', _) => return false,
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) if !is_ambiguous(high << 4 | low) => (high << 4 | low, after),
                _ => return false,
            },
            (b'%', _) => return false,
            (byte, after) => (*byte, after),
        };
        if is_overlong(before, byte) {
            return false;
        }
        before = byte;
    }
    true
}

/// Whether a byte shows that a character is written in more bytes than it needs, which is no UTF-8 (RFC 3629 §3); some
/// decoders take it for that character all the same.
fn is_overlong(before: u8, byte: u8) -> bool {
    matches!((before, byte), (_, 0xc0 | 0xc1) | (0xe0, 0x80..=0x9f) | (0xf0, 0x80..=0x8f))
}

/// Bytes that mean the same unencoded (RFC 3986 §2.3), and those that an origin may take for a border or an end.
fn is_ambiguous(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/\\;%".contains(&byte) || byte.is_ascii_control()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
