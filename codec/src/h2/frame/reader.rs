//! Frames out of bytes, however they are cut.

use super::{Cause, Code, Error, Frame, HEAD_BYTES, Head, control, data, headers, kind, priority, settings};

/// Where the reader stands between two calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reader {
    state: State,
    /// The longest payload that we take.
    payload_bytes_max: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A header comes next.
    Head,
    /// So many octets of payload are read as one; then the rest is what the variant says.
    Prefix { head: Head, prefix_len: u32 },
    /// Content of a DATA frame, then padding.
    Content { left: u32, padding: u32 },
    /// A fragment of a field block, then padding.
    Fragment { left: u32, padding: u32 },
    /// So many settings.
    Settings { left: u32 },
    /// Octets that mean nothing.
    Skip { left: u32 },
}

impl Reader {
    pub(crate) fn new(payload_bytes_max: u32) -> Self {
        Self { state: State::Head, payload_bytes_max }
    }

    /// Reads one frame, or one piece of one, of `input` from `at` on, which moves. `None` if more must come first.
    pub(crate) fn read(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Frame>, Error> {
        loop {
            let rest = input.get(*at..).unwrap_or_default();
            match self.state {
                State::Head => {
                    let Some(bytes) = rest.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
                    *at = at.saturating_add(HEAD_BYTES);
                    if let Some(frame) = self.begin(Head::parse(*bytes))? {
                        return Ok(Some(frame));
                    }
                }
                State::Prefix { head, prefix_len } => {
                    let Some(prefix) = rest.get(..prefix_len as usize) else { return Ok(None) };
                    *at = at.saturating_add(prefix.len());
                    return self.finish(head, prefix).map(Some);
                }
                State::Content { left, padding } => {
                    let Some((len, last)) = self.piece(rest, left, padding) else { return Ok(None) };
                    let range = *at..at.saturating_add(len);
                    *at = range.end;
                    return Ok(Some(Frame::Content { range, last }));
                }
                State::Fragment { left, padding } => {
                    let Some((len, last)) = self.piece(rest, left, padding) else { return Ok(None) };
                    let range = *at..at.saturating_add(len);
                    *at = range.end;
                    return Ok(Some(Frame::Fragment { range, last }));
                }
                State::Settings { left: 0 } => {
                    self.state = State::Head;
                    return Ok(Some(Frame::SettingsEnd));
                }
                State::Settings { left } => {
                    let Some(bytes) = rest.first_chunk() else { return Ok(None) };
                    *at = at.saturating_add(bytes.len());
                    self.state = State::Settings { left: left.saturating_sub(1) };
                    return Ok(Some(Frame::Setting(settings::Setting::parse(*bytes))));
                }
                State::Skip { left: 0 } => self.state = State::Head,
                State::Skip { .. } if rest.is_empty() => return Ok(None),
                State::Skip { left } => {
                    let len = rest.len().min(left as usize);
                    *at = at.saturating_add(len);
                    self.state = State::Skip { left: left.saturating_sub(len as u32) };
                }
            }
        }
    }

    /// What a header announces. A frame without a payload that matters is complete with it.
    fn begin(&mut self, head: Head) -> Result<Option<Frame>, Error> {
        if head.len > self.payload_bytes_max {
            return Err(Error::connection(Code::FRAME_SIZE_ERROR, Cause::FrameTooLong));
        }
        let prefix_len = match head.kind {
            kind::DATA => data::Data::prefix_len(head)?,
            kind::HEADERS => headers::Headers::prefix_len(head)?,
            kind::CONTINUATION => {
                let frame = headers::Continuation::parse(head)?;
                self.state = State::Fragment { left: frame.fragment_len, padding: 0 };
                return Ok(Some(Frame::Continuation(frame)));
            }
            kind::PRIORITY => {
                let valid = priority::check(head)?;
                self.state = State::Skip { left: head.len };
                return Ok(Some(Frame::Priority { stream: head.stream, valid }));
            }
            kind::RST_STREAM => control::check_reset(head).map(|()| head.len)?,
            kind::SETTINGS => {
                let count = settings::check(head)?;
                self.state = count.map_or(State::Head, |left| State::Settings { left });
                return Ok(Some(count.map_or(Frame::SettingsAck, |count| Frame::Settings { count })));
            }
            kind::PUSH_PROMISE => {
                self.state = State::Skip { left: head.len };
                return Ok(Some(Frame::PushPromise));
            }
            kind::PING => control::check_ping(head).map(|()| head.len)?,
            kind::GOAWAY => control::check_go_away(head).map(|()| control::GOAWAY_PREFIX)?,
            kind::WINDOW_UPDATE => control::check_window_update(head).map(|()| head.len)?,
            kind::PRIORITY_UPDATE => priority::check_update(head)?,
            _ => {
                self.state = State::Skip { left: head.len };
                return Ok(Some(Frame::Ignored));
            }
        };
        self.state = State::Prefix { head, prefix_len };
        Ok(None)
    }

    /// The octets that are read as one have come.
    fn finish(&mut self, head: Head, prefix: &[u8]) -> Result<Frame, Error> {
        let prefix_len = u32::try_from(prefix.len()).unwrap_or(u32::MAX);
        self.state = State::Skip { left: head.len.saturating_sub(prefix_len) };
        Ok(match head.kind {
            kind::DATA => {
                let frame = data::Data::parse(head, prefix)?;
                self.state = State::Content { left: frame.content_len, padding: frame.padding_len };
                Frame::Data(frame)
            }
            kind::HEADERS => {
                let frame = headers::Headers::parse(head, prefix)?;
                self.state = State::Fragment { left: frame.fragment_len, padding: frame.padding_len };
                Frame::Headers(frame)
            }
            kind::RST_STREAM => control::parse_reset(head, prefix),
            kind::PING => control::parse_ping(head, prefix),
            kind::GOAWAY => control::parse_go_away(prefix),
            kind::WINDOW_UPDATE => control::parse_window_update(head, prefix),
            kind::PRIORITY_UPDATE => priority::parse_update(prefix),
            _ => Frame::Ignored,
        })
    }

    /// How much of a long payload has come, and whether it is the last of it. The last piece does not wait for the
    /// padding, which is skipped.
    fn piece(&mut self, rest: &[u8], left: u32, padding: u32) -> Option<(usize, bool)> {
        if left > 0 && rest.is_empty() {
            return None;
        }
        let len = rest.len().min(left as usize);
        let left = left.saturating_sub(len as u32);
        self.state = match (left, self.state) {
            (0, _) => State::Skip { left: padding },
            (left, State::Content { .. }) => State::Content { left, padding },
            (left, _) => State::Fragment { left, padding },
        };
        Some((len, left == 0))
    }
}
