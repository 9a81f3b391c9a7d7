//! The frames that the model's peer sends, each with what may become of it.

use super::{Attack, Expect, Model, Stream, WINDOW_MAX};
use crate::h2::*;
use corelane_codec::h2::{Code, Role};

impl Model<'_, '_> {
    /// A field block with these fields, one that refers to the last that was put into the table, and one more of those.
    fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = block(fields);
        if self.last.is_some() {
            bytes.push(0xbe);
        }
        (self.before_last, self.last) = (self.last, Some(self.count));
        let text = self.count.to_string();
        self.count += 1;
        bytes.extend([&[0x40, 1, b'n', text.len() as u8], text.as_bytes()].concat());
        bytes
    }

    /// HEADERS and CONTINUATION, padded or not.
    fn headers(&mut self, number: u32, fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
        let block = self.block(fields);
        let cut = if self.dice.below(3) == 0 { self.dice.below(block.len()) } else { block.len() };
        let end = if cut == block.len() { END_HEADERS } else { 0 };
        let mut bytes = match self.dice.below(3) {
            0 => frame(HEADERS, flags | end | PADDED, number, &padded(&block[..cut], 7)),
            1 => frame(HEADERS, flags | end | WITH_PRIORITY, number, &[&[0; 5], &block[..cut]].concat()),
            _ => frame(HEADERS, flags | end, number, &block[..cut]),
        };
        if cut < block.len() {
            bytes.extend(frame(CONTINUATION, END_HEADERS, number, &block[cut..]));
        }
        bytes
    }

    /// A stream's number: of one of the last that are open or that we have reset, unless the frame is a bold one.
    fn number(&mut self) -> u32 {
        if self.bold {
            return self.dice.below(self.highest as usize + 8) as u32;
        }
        let fine = |stream: &Stream| stream.own_reset || !stream.over();
        let known: Vec<u32> = self.streams.iter().rev().filter(|(_, s)| fine(s)).map(|(id, _)| *id).collect();
        let number = known.get(self.dice.below(12)).or(known.first());
        number.copied().unwrap_or(0)
    }

    /// What a frame that is no HEADERS meets on a stream, if it is not one that is open.
    fn meets(&self, number: u32) -> Option<Expect> {
        let own = number % 2 == 1;
        if number == 0 || !own || number > self.highest {
            return Some(Expect::Connection(vec![Code::PROTOCOL_ERROR]));
        }
        match self.streams.get(&number) {
            None => Some(Expect::Closed(number)),
            Some(stream) if stream.own_reset => Some(Expect::Fine),
            Some(stream) if stream.over() => Some(Expect::Closed(number)),
            Some(_) => None,
        }
    }

    /// The next frame.
    pub(super) fn any(&mut self) -> Attack {
        let number = self.number();
        let plain = |(bytes, expect)| (bytes, expect, None);
        let what = match self.dice.below(16) {
            _ if self.bold && self.dice.below(3) == 0 => 15,
            0..=10 | 14 if number == 0 && !self.bold => {
                if self.role == Role::Server {
                    4
                } else {
                    13
                }
            }
            4..=6 if self.role == Role::Client && !self.bold && self.streams[&number].head => 0,
            what => what,
        };
        match what {
            0..=3 => self.any_data(number),
            4..=6 if self.role == Role::Server => plain(self.any_request()),
            4..=6 => self.any_response(number),
            7 => self.any_trailers(number),
            8 => plain(self.any_reset(number)),
            9..=11 => plain(self.any_window_update(number)),
            12 => plain(self.any_settings()),
            13 => plain((ping(self.dice.below(2) as u8, [7; 8]), Expect::Fine)),
            14 => plain(self.any_priority(number)),
            _ if self.bold => plain(self.any_nonsense()),
            _ => plain((frame(0x55, 0xff, number, &[1; 30]), Expect::Fine)),
        }
    }

    fn any_data(&mut self, number: u32) -> Attack {
        let len = [0, 1, 100, 5_000, 16_000][self.dice.below(5)];
        let content: Vec<u8> = (0..len).map(|at| (at as u32 + self.count) as u8).collect();
        let end = self.dice.below(5) == 0;
        let flags = if end { END_STREAM } else { 0 };
        let (bytes, flow) = match self.dice.below(3) {
            0 => (frame(DATA, flags | PADDED, number, &padded(&content, 9)), len as i64 + 10),
            _ => (data(number, &content, flags), len as i64),
        };
        let flow_error = vec![Code::FLOW_CONTROL_ERROR];
        let meets = self.meets(number);
        if flow > self.room && !self.bold {
            return (frame(0x42, 0, 0, &[]), Expect::Fine, None);
        }
        if flow > self.room {
            let mut codes = flow_error;
            codes.extend([Code::PROTOCOL_ERROR, Code::STREAM_CLOSED]);
            return (bytes, Expect::Connection(codes), None);
        }
        self.room -= flow;
        if let Some(expect) = meets {
            return (bytes, expect, None);
        }
        let stream = self.streams.get_mut(&number).unwrap();
        let fits = stream.length.is_none_or(|all| {
            let sum = stream.sent.len() + len;
            if end { sum == all } else { sum <= all }
        });
        let mut codes = vec![];
        if stream.ended {
            codes.push(Code::STREAM_CLOSED);
        } else {
            if !stream.head || !fits {
                codes.push(Code::PROTOCOL_ERROR);
            }
            if flow > stream.room {
                codes.push(Code::FLOW_CONTROL_ERROR);
            }
        }
        if !codes.is_empty() {
            return (bytes, Expect::Stream(number, codes), None);
        }
        stream.sent.extend(content);
        stream.room -= flow;
        // Padding is given back at once.
        stream.unreleased += len as i64;
        let effect: fn(&mut Stream) = if end { |stream| stream.ended = true } else { |_| {} };
        (bytes, Expect::Fine, Some((number, effect)))
    }

    fn any_request(&mut self) -> (Vec<u8>, Expect) {
        let number = self.highest + 2 - (self.highest + 1) % 2 + 2 * self.dice.below(2) as u32;
        let end = self.dice.below(3) == 0;
        let (bad, fields, length): (bool, &[(&str, &str)], Option<usize>) = match self.dice.below(8) {
            0 => (true, &[("X-Upper", "1")], None),
            1 => (true, &[("connection", "close")], None),
            2 => (true, &[(":path", "/again")], None),
            3 => (end, &[("content-length", "6000")], Some(6_000)),
            _ => (false, &[], None),
        };
        let held = self.streams.values().filter(|stream| stream.held).count();
        let full = held >= self.config.streams_max as usize;
        let bytes = self.headers(number, &[POST, fields].concat(), if end { END_STREAM } else { 0 });
        self.highest = number;
        let (room, grant) = (i64::from(self.config.stream_window_bytes), self.initial);
        let stream = Stream { head: true, ended: end, length, room, grant, ..Stream::default() };
        self.streams.insert(number, stream);
        self.opening = Some(number);
        let expect = match () {
            () if full => Expect::Stream(number, vec![Code::REFUSED_STREAM]),
            () if bad => Expect::Stream(number, vec![Code::PROTOCOL_ERROR]),
            () => Expect::Fine,
        };
        (bytes, expect)
    }

    fn any_response(&mut self, number: u32) -> Attack {
        let end = self.dice.below(4) == 0;
        let (bad, interim, fields): (bool, bool, &[(&str, &str)]) = match self.dice.below(8) {
            0 => (true, false, &[(":status", "2x0")]),
            1 => (true, false, &[(":status", "200"), ("keep-alive", "1")]),
            2 => (end, true, &[(":status", "103")]),
            _ => (false, false, OK),
        };
        let bytes = self.headers(number, fields, if end { END_STREAM } else { 0 });
        if let Some(expect) = self.meets(number) {
            return (bytes, expect, None);
        }
        let stream = &self.streams[&number];
        if stream.ended {
            return (bytes, Expect::Stream(number, vec![Code::STREAM_CLOSED]), None);
        }
        // Behind a final head, it has a pseudo-field that trailers have not.
        if bad || stream.head {
            return (bytes, Expect::Stream(number, vec![Code::PROTOCOL_ERROR]), None);
        }
        let effect: fn(&mut Stream) = match (interim, end) {
            (true, _) => |_| {},
            (false, true) => |stream| (stream.head, stream.ended) = (true, true),
            (false, false) => |stream| stream.head = true,
        };
        (bytes, Expect::Fine, Some((number, effect)))
    }

    fn any_trailers(&mut self, number: u32) -> Attack {
        let end = self.dice.below(4) > 0;
        let bytes = self.headers(number, &[("x-trailer", "1")], if end { END_STREAM } else { 0 });
        // A server has no other use for HEADERS on a stream that it does not know than to open it.
        if self.role == Role::Server && (number > self.highest || !self.streams.contains_key(&number)) {
            if number.is_multiple_of(2) || number <= self.highest {
                return (bytes, Expect::Connection(vec![Code::PROTOCOL_ERROR]), None);
            }
            self.highest = number;
            self.streams.insert(number, Stream { ended: end, ..Stream::default() });
            self.opening = Some(number);
            let codes = vec![Code::PROTOCOL_ERROR, Code::REFUSED_STREAM];
            return (bytes, Expect::Stream(number, codes), None);
        }
        if let Some(expect) = self.meets(number) {
            return (bytes, expect, None);
        }
        let stream = &self.streams[&number];
        if stream.ended {
            return (bytes, Expect::Stream(number, vec![Code::STREAM_CLOSED]), None);
        }
        let short = stream.length.is_some_and(|all| stream.sent.len() != all);
        if !end || !stream.head || short {
            return (bytes, Expect::Stream(number, vec![Code::PROTOCOL_ERROR]), None);
        }
        (bytes, Expect::Fine, Some((number, |stream| stream.ended = true)))
    }

    fn any_reset(&mut self, number: u32) -> (Vec<u8>, Expect) {
        let bytes = reset(number, Code::CANCEL);
        let expect = match self.meets(number) {
            Some(Expect::Connection(codes)) => Expect::Connection(codes),
            Some(_) => Expect::Fine,
            None => {
                self.streams.get_mut(&number).unwrap().peer_reset = true;
                Expect::Fine
            }
        };
        (bytes, expect)
    }

    fn any_window_update(&mut self, number: u32) -> (Vec<u8>, Expect) {
        let increment = match self.dice.below(30) {
            0 if self.bold || number != 0 => 0,
            1 if self.bold || number != 0 => WINDOW_MAX as u32,
            _ => 1 + self.dice.below(30_000) as u32,
        };
        let add = i64::from(increment);
        if self.dice.below(2) == 0 && (self.bold || (add > 0 && add < 30_001)) {
            let expect = match () {
                () if add == 0 => Expect::Connection(vec![Code::PROTOCOL_ERROR]),
                () if self.grant + add > WINDOW_MAX => Expect::Connection(vec![Code::FLOW_CONTROL_ERROR]),
                () => Expect::Fine,
            };
            self.grant += add;
            return (window_update(0, increment), expect);
        }
        let bytes = window_update(number, increment);
        if number == 0 {
            self.grant += add;
            let code = if add == 0 { Code::PROTOCOL_ERROR } else { Code::FLOW_CONTROL_ERROR };
            let fine = add > 0 && self.grant <= WINDOW_MAX;
            return (bytes, if fine { Expect::Fine } else { Expect::Connection(vec![code]) });
        }
        match self.meets(number) {
            Some(Expect::Closed(_)) => return (bytes, Expect::Fine),
            Some(expect) => return (bytes, expect),
            None => {}
        }
        let stream = self.streams.get_mut(&number).unwrap();
        let expect = match () {
            () if add == 0 => Expect::Stream(number, vec![Code::PROTOCOL_ERROR]),
            // It has no window any more (RFC 9113 §6.9.2).
            () if stream.own_ended => Expect::Fine,
            () if stream.grant + add > WINDOW_MAX => Expect::Stream(number, vec![Code::FLOW_CONTROL_ERROR]),
            () => {
                stream.grant += add;
                Expect::Fine
            }
        };
        (bytes, expect)
    }

    fn any_settings(&mut self) -> (Vec<u8>, Expect) {
        let refuse = |code| Expect::Connection(vec![code]);
        match if self.bold { self.dice.below(5) } else { 5 + self.dice.below(35) } {
            0 => (settings(&[(4, 1 << 31)]), refuse(Code::FLOW_CONTROL_ERROR)),
            1 => (settings(&[(5, 1)]), refuse(Code::PROTOCOL_ERROR)),
            2 => (settings(&[(2, 2)]), refuse(Code::PROTOCOL_ERROR)),
            3 => (settings_ack(), refuse(Code::PROTOCOL_ERROR)),
            4 => (frame(SETTINGS, 0, 0, &[0; 7]), refuse(Code::FRAME_SIZE_ERROR)),
            5..=19 => {
                let window = [0, 1, 1_000, 65_535, 1 << 20][self.dice.below(5)];
                let mut expect = Expect::Fine;
                let sending = self.streams.values_mut().filter(|stream| !stream.over() && !stream.own_ended);
                for stream in sending {
                    stream.grant += window - self.initial;
                    if stream.grant > WINDOW_MAX {
                        expect = refuse(Code::FLOW_CONTROL_ERROR);
                    }
                }
                self.initial = window;
                (settings(&[(0xabc, 7), (4, window as u32)]), expect)
            }
            _ => {
                let list = [9, 300, 1_000, 70_000, 1 << 20, u32::MAX][self.dice.below(6)];
                (settings(&[(1, self.dice.below(5_000) as u32), (6, list)]), Expect::Fine)
            }
        }
    }

    fn any_priority(&mut self, number: u32) -> (Vec<u8>, Expect) {
        let number = number.max(1);
        if self.role == Role::Server && self.dice.below(2) == 0 {
            let value = [&number.to_be_bytes()[..], b"u=1, i"].concat();
            let own = number.is_multiple_of(2);
            let expect = if own { Expect::Connection(vec![Code::PROTOCOL_ERROR]) } else { Expect::Fine };
            return (frame(PRIORITY_UPDATE, 0, 0, &value), expect);
        }
        match self.dice.below(10) {
            0 => {
                let expect = match self.meets(number) {
                    Some(Expect::Connection(_)) => Expect::Connection(vec![Code::FRAME_SIZE_ERROR]),
                    Some(_) => Expect::Fine,
                    None => Expect::Stream(number, vec![Code::FRAME_SIZE_ERROR]),
                };
                (frame(PRIORITY, 0, number, &[0; 4]), expect)
            }
            _ => (frame(PRIORITY, 0, number, &[0, 0, 0, 0, 9]), Expect::Fine),
        }
    }

    /// Frames that are wrong whatever the state.
    fn any_nonsense(&mut self) -> (Vec<u8>, Expect) {
        let (size, protocol) = (vec![Code::FRAME_SIZE_ERROR], vec![Code::PROTOCOL_ERROR]);
        let (bytes, codes) = match self.dice.below(10) {
            0 => (frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x88]), protocol),
            1 => (frame(CONTINUATION, END_HEADERS, 1, &[0x88]), protocol),
            2 => (frame(0x77, 0, 0, &[])[..3].iter().map(|_| 0xff).chain([0; 6]).collect(), size),
            3 => (frame(RST_STREAM, 0, 1, &[0; 5]), size),
            4 => (frame(PING, 0, 0, &[0; 7]), size),
            5 => (frame(PING, 0, 1, &[0; 8]), protocol),
            6 => (frame(GOAWAY, 0, 0, &[0; 7]), size),
            7 => (frame(WINDOW_UPDATE, 0, 0, &[0; 3]), size),
            8 => (
                frame(HEADERS, END_HEADERS, self.highest + 2 - (self.highest + 1) % 2, &[0x80]),
                vec![Code::COMPRESSION_ERROR, Code::PROTOCOL_ERROR],
            ),
            _ => (frame(DATA, PADDED, 1, &[9, 0, 0]), protocol),
        };
        (bytes, Expect::Connection(codes))
    }
}
