//! Finds the end of a head, looking at each byte once however it comes in pieces.
//!
//! Everything that is decided here is decided at a position in the bytes and in the order of the positions, and
//! nothing beyond a limit is looked at. So the same bytes give the same result whether they come whole or one by
//! one.

use crate::Kind;

/// How far a head has been looked at. Positions count from the first byte of the head, which is the first byte of
/// the input in every call until the head is complete.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scan {
    at: u32,
    line_start: u32,
    lines: u32,
    /// How many bytes have been looked at, for tests of the work done.
    #[cfg(test)]
    examined: u64,
}

/// How much there may be of a field section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// From the start of the head to its last byte.
    pub(crate) bytes_max: usize,
    pub(crate) too_large: Kind,
    pub(crate) lines_max: usize,
    pub(crate) too_many: Kind,
}

impl Bounds {
    /// As much as may be looked at.
    pub(crate) fn window<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        input.get(..self.bytes_max).unwrap_or(input)
    }
}

impl Scan {
    /// Whether any byte has been looked at.
    pub(crate) const fn begun(&self) -> bool {
        self.at > 0
    }

    /// Where the line begins that is looked at.
    pub(crate) const fn line_start(&self) -> u32 {
        self.line_start
    }

    /// How many field lines there are.
    pub(crate) const fn lines(&self) -> usize {
        self.lines as usize
    }

    /// Looks for the end of the start line, of at most `bytes_max` bytes without its CRLF. Gives its length without
    /// the CRLF.
    pub(crate) fn start_line(
        &mut self,
        input: &[u8],
        bytes_max: usize,
        too_long: Kind,
    ) -> Result<Option<usize>, Kind> {
        match self.line(input, bytes_max.saturating_add(1))? {
            Some(end) => {
                self.line_start = self.at;
                Ok(Some(end))
            }
            None if self.at as usize > bytes_max => Err(too_long),
            None => Ok(None),
        }
    }

    /// Looks for the empty line that ends the field section. Gives the length of the head with that line.
    pub(crate) fn fields(&mut self, input: &[u8], bounds: &Bounds) -> Result<Option<usize>, Kind> {
        let window = bounds.window(input);
        while let Some(end) = self.line(window, bounds.bytes_max)? {
            if end == self.line_start as usize {
                return Ok(Some(self.at as usize));
            }
            self.lines = self.lines.saturating_add(1);
            self.line_start = self.at;
            if self.lines() > bounds.lines_max {
                return Err(bounds.too_many);
            }
        }
        if window.len() == bounds.bytes_max { Err(bounds.too_large) } else { Ok(None) }
    }

    /// Moves behind the next CRLF and gives the position of its CR, which is below `cr_max`; none if it has not
    /// come yet.
    fn line(&mut self, input: &[u8], cr_max: usize) -> Result<Option<usize>, Kind> {
        let from = self.at as usize;
        let to = cr_max.min(input.len());
        let found = memchr::memchr3(b'\r', b'\n', 0, input.get(from..to).unwrap_or_default());
        self.count(found.unwrap_or(to.saturating_sub(from)));
        let Some(offset) = found else {
            self.advance(to);
            return Ok(None);
        };
        let end = from.saturating_add(offset);
        match input.get(end..).unwrap_or_default() {
            [b'\r', b'\n', ..] => {
                self.advance(end.saturating_add(2));
                Ok(Some(end))
            }
            [b'\r'] => {
                // The CR is looked at again with what follows it.
                self.advance(end);
                Ok(None)
            }
            [b'\r', ..] => Err(Kind::BareCr),
            [b'\n', ..] => Err(Kind::BareLf),
            _ => Err(Kind::Nul),
        }
    }

    fn advance(&mut self, to: usize) {
        self.at = u32::try_from(to).unwrap_or(u32::MAX);
    }

    /// A search went over so many bytes and, if they were there, two more for a line end.
    #[cfg(test)]
    fn count(&mut self, bytes: usize) {
        self.examined += bytes as u64 + 2;
    }

    #[cfg(not(test))]
    fn count(&self, _bytes: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes_max: 64 << 10,
        too_large: Kind::HeadTooLarge,
        lines_max: 1 << 10,
        too_many: Kind::TooManyFields,
    };

    fn long_head() -> Vec<u8> {
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        while head.len() < 32 << 10 {
            head.extend_from_slice(b"a-field-of-some-length: and a value of some length as well\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Feeds the head in pieces, as a receiver that presents unconsumed bytes again does.
    fn examined(head: &[u8], piece: usize) -> u64 {
        let mut scan = Scan::default();
        let mut started = false;
        for end in (piece..head.len()).step_by(piece).chain([head.len()]) {
            let input = &head[..end];
            if !started {
                started = scan.start_line(input, 8 << 10, Kind::RequestLineTooLong).unwrap().is_some();
            }
            if started && let Some(length) = scan.fields(input, &BOUNDS).unwrap() {
                assert_eq!((length, end), (head.len(), head.len()));
                return scan.examined;
            }
        }
        panic!("no end found");
    }

    #[test]
    fn h1q_64_a_head_byte_by_byte_costs_at_most_three_times_the_work_in_one_piece() {
        let head = long_head();
        let whole = examined(&head, head.len());
        for piece in [1, 2, 3, 7, 64, 1500] {
            let work = examined(&head, piece);
            assert!(work <= 3 * whole, "{work} in pieces of {piece}, {whole} whole");
        }
    }

    #[test]
    fn the_limit_of_a_start_line_is_exact() {
        for (line, expected) in [("12345", Ok(Some(5))), ("123456", Err(Kind::RequestLineTooLong))] {
            let input = format!("{line}\r\n");
            assert_eq!(Scan::default().start_line(input.as_bytes(), 5, Kind::RequestLineTooLong), expected);
        }
    }

    #[test]
    fn the_limit_of_a_head_is_exact() {
        for (bytes_max, expected) in [(8, Ok(Some(8))), (7, Err(Kind::HeadTooLarge))] {
            let bounds = Bounds { bytes_max, ..BOUNDS };
            assert_eq!(Scan::default().fields(b"a: bc\r\n\r\n".get(1..).unwrap(), &bounds), expected);
        }
    }
}
