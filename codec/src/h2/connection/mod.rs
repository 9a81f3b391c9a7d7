//! [`Connection`]: drives what the other files of the module know, for either role.
//!
//! | file | what of a connection it holds |
//! |---|---|
//! | `mod` | the value, how it is made, what can be asked of it |
//! | `receive` | bytes to frames to events |
//! | `block` | HEADERS and CONTINUATION: which stream, and what becomes of the section |
//! | `control` | every other frame |
//! | `send` | heads, interim responses, trailers |
//! | `content` | content: windows, whose turn it is |
//! | `memory` | what it holds, and what it may come to hold |
//! | `end` | the end of streams and of the connection |
//! | `time` | what happens because nothing happened |

mod block;
mod content;
mod control;
mod end;
mod memory;
mod receive;
mod send;
mod time;

pub use content::Grant;

use super::budget::Account;
use super::config::Config;
use super::error::Error;
use super::flow::{ReceiveWindow, SendWindow, WINDOW_DEFAULT};
use super::frame::{Reader, control as frames};
use super::headers::Section;
use super::schedule::{Priority, Schedule};
use super::settings::{OwnSettings, PeerSettings};
use super::stream::{Step, Stream};
use super::streams::Streams;
use crate::hpack::{Decoder, Encoder, Policy};
use crate::{Fields, RequestHead, ResponseHead};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// The octets that a client begins with (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which side of a connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It opens streams and sends requests.
    Client,
    /// It answers them.
    Server,
}

/// The identifier of a stream, 1 to 2^31-1 (RFC 9113 §5.1.1). It is never used again on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u32);

impl StreamId {
    /// The stream with this number, if there can be one.
    pub const fn new(number: u32) -> Option<Self> {
        if 0 < number && number <= super::frame::STREAM_MAX { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// What `receive` found, and how much of its input is done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// This many bytes must not be presented again, [`Event::Data`] among them.
    pub consumed: usize,
    /// What they meant.
    pub event: Event,
}

/// What a connection has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing, until more bytes have come.
    NeedMore,
    /// A request, to a server: its head is [`Connection::request_mut`]. With `ended` it has no content. The stream
    /// is the application's from here on, until it [closes](Connection::close) it.
    Request {
        /// The stream.
        stream: StreamId,
        /// Nothing follows.
        ended: bool,
    },
    /// An interim response, to a client: its head is [`Connection::response_mut`]. Another head follows.
    Interim {
        /// The stream.
        stream: StreamId,
    },
    /// The final response, to a client: its head is [`Connection::response_mut`].
    Response {
        /// The stream.
        stream: StreamId,
        /// Nothing follows.
        ended: bool,
    },
    /// Content, as a range of this call's input; empty only with `ended`. What it takes of the windows is given back
    /// by [`Connection::release`].
    Data {
        /// The stream.
        stream: StreamId,
        /// Where the content stands.
        range: Range<usize>,
        /// It was the last, and there are no trailers.
        ended: bool,
    },
    /// The message has ended, with trailers: [`Connection::trailers_mut`].
    Trailers {
        /// The stream.
        stream: StreamId,
    },
    /// The stream is over before both messages came to their ends. It is still to be [closed](Connection::close).
    Reset {
        /// The stream.
        stream: StreamId,
        /// Who did it and why. [`Error::is_unprocessed`] tells whether the request may be sent again.
        error: Error,
    },
    /// A request was refused or malformed; the application need do nothing, unless it counts.
    Refused {
        /// The stream, which the application never saw.
        stream: StreamId,
        /// Why.
        error: Error,
    },
    /// The peer goes away: no stream can be opened any more. Those that it does not look at are reset, each with an
    /// event of its own.
    GoAway {
        /// What the peer says why. `NO_ERROR` for a graceful end.
        code: super::Code,
    },
    /// The answer to a [`Connection::ping`].
    Pong {
        /// Its data.
        data: [u8; 8],
    },
}

/// How far the end of the connection has come, as we have announced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    /// It has not been announced.
    No,
    /// A server has said that it will take no more streams; those under way are taken until the peer must have heard.
    Announced { due: Duration },
    /// Streams above this one are ignored.
    Final { last: u32 },
}

/// A connection of HTTP/2, either side of it: see [the module](super) for how it is driven.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    config: Rc<Config>,
    reader: Reader,
    /// Octets of the preface that a server has not seen.
    preface_left: usize,
    streams: Streams,
    schedule: Schedule,
    /// What the peer takes of content on all streams.
    send_window: SendWindow,
    /// What we take.
    receive_window: ReceiveWindow,
    peer: PeerSettings,
    /// The initial window that the windows of streams are based on.
    initial_window: u32,
    own: OwnSettings,
    decoder: Decoder,
    encoder: Encoder,
    section: Section,
    /// The field block that has begun.
    block: Option<block::Block>,
    /// Where the content of the DATA frame that has begun goes.
    sink: receive::Sink,
    account: Account,
    /// Frames that wait to be sent.
    output: Vec<u8>,
    /// Acknowledgements of SETTINGS among them.
    settings_pending: u32,
    events: VecDeque<Event>,
    /// The highest stream that the peer has opened.
    last_peer: u32,
    /// The next stream that we open; beyond 2^31-1 there is none.
    next_own: u32,
    /// Streams that are open or half closed.
    open: u32,
    /// Those of them that the peer may send content on.
    receiving: u32,
    /// What the connection takes whatever streams there are, at the most.
    own_bytes: usize,
    /// What the heads cost that the application holds.
    held_head_bytes: usize,
    going: Going,
    /// The peer goes away: the last stream that it looks at.
    peer_last: Option<u32>,
    failed: Option<Error>,
    /// Until when the preface and the first SETTINGS must have come.
    preface_due: Option<Duration>,
    /// When to look which streams have had no room to send.
    stall_check: Option<Duration>,
    /// The connection's window has no room.
    stalled: Option<super::stream::Stall>,
    /// PING frames of ours that were not answered.
    pings: u32,
    /// A priority that came before its stream (RFC 9218 §7.1).
    early_priority: Option<(u32, Priority)>,
}

impl Connection {
    /// A connection to a server, at a time `now`. Preface and settings wait to be [transmitted](Self::transmit);
    /// requests may be sent at once.
    ///
    /// # Panics
    /// If the configuration has a number that the protocol does not have.
    pub fn client(config: Rc<Config>, now: Duration) -> Self {
        Self::new(Role::Client, config, now)
    }

    /// A connection from a client, at a time `now`. The settings wait to be [transmitted](Self::transmit).
    ///
    /// # Panics
    /// As [`client`](Self::client).
    pub fn server(config: Rc<Config>, now: Duration) -> Self {
        Self::new(Role::Server, config, now)
    }

    fn new(role: Role, config: Rc<Config>, now: Duration) -> Self {
        config.check();
        let mut output = Vec::new();
        if role == Role::Client {
            output.extend_from_slice(PREFACE);
        }
        OwnSettings::write(&config, role, &mut output);
        let more = config.connection_window_bytes.saturating_sub(WINDOW_DEFAULT);
        if more > 0 {
            frames::window_update(0, more, &mut output);
        }
        Self {
            role,
            reader: Reader::new(config.frame_bytes_max),
            preface_left: if role == Role::Server { PREFACE.len() } else { 0 },
            streams: Streams::new(config.resets_remembered()),
            schedule: Schedule::default(),
            send_window: SendWindow::new(WINDOW_DEFAULT),
            receive_window: ReceiveWindow::new(
                config.connection_window_bytes,
                config.connection_window_bytes,
            ),
            peer: PeerSettings::new(),
            initial_window: WINDOW_DEFAULT,
            own: OwnSettings { due: Some(now.saturating_add(config.timeouts.settings)) },
            // A smaller table holds once the peer has acknowledged it.
            decoder: Decoder::new(config.table_bytes_at_first()),
            encoder: Encoder::new(Policy::default()),
            section: Section::new(),
            block: None,
            sink: receive::Sink::Nowhere,
            account: Account::new(&config.budgets, now),
            output,
            settings_pending: 0,
            events: VecDeque::new(),
            last_peer: 0,
            next_own: 1,
            open: 0,
            receiving: 0,
            own_bytes: config.own_bytes(),
            held_head_bytes: 0,
            going: Going::No,
            peer_last: None,
            failed: None,
            preface_due: Some(now.saturating_add(config.timeouts.preface)),
            stall_check: None,
            stalled: None,
            pings: 0,
            early_priority: None,
            config,
        }
    }

    /// The next event that no bytes led to: streams that timed out, or that ended with others. [`Event::NeedMore`]
    /// never comes here. To be called after every method that takes a time; `receive` gives the same events first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends the frames that wait to be sent: settings, acknowledgements, window updates, resets, the end. To be
    /// called after `receive`, after `handle_timeout` and before content; methods that write a head do it themselves.
    pub fn transmit(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.output);
        self.output.clear();
        self.settings_pending = 0;
    }

    /// The head of the last [`Event::Request`], until the next call of `receive`. To be taken by exchanging it with
    /// another one, whose memory is then used again.
    pub fn request_mut(&mut self) -> &mut RequestHead {
        &mut self.section.request
    }

    /// The head of the last [`Event::Response`] or [`Event::Interim`]; as [`request_mut`](Self::request_mut).
    pub fn response_mut(&mut self) -> &mut ResponseHead {
        &mut self.section.response
    }

    /// The trailers of the last [`Event::Trailers`]; as [`request_mut`](Self::request_mut).
    pub fn trailers_mut(&mut self) -> &mut Fields {
        &mut self.section.trailers
    }

    /// Gives back memory that only a busy connection needs.
    pub fn rest(&mut self) {
        if self.block.is_none() {
            self.decoder.shrink();
            self.section.shrink();
        }
        self.output.shrink_to_fit();
        self.events.shrink_to_fit();
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Why the connection is over, if it is. What waits to be transmitted should still be sent.
    pub fn error(&self) -> Option<Error> {
        self.failed
    }

    /// Whether something waits to be [transmitted](Self::transmit).
    pub fn wants_transmit(&self) -> bool {
        !self.output.is_empty()
    }

    /// Streams that the application has not [closed](Self::close).
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// How many requests a client may send now.
    pub fn streams_available(&self) -> u32 {
        let may_open = self.role == Role::Client
            && self.failed.is_none()
            && self.going == Going::No
            && self.peer_last.is_none()
            && self.next_own <= super::frame::STREAM_MAX;
        if !may_open {
            return 0;
        }
        let held = u32::try_from(self.streams.len()).unwrap_or(u32::MAX);
        let ours = self.config.streams_max.saturating_sub(held);
        self.peer.streams_max.saturating_sub(self.open).min(ours)
    }

    /// Whether the other side goes away or this one does: no new stream should be expected or opened.
    pub fn is_going_away(&self) -> bool {
        self.going != Going::No || self.peer_last.is_some() || self.next_own > super::frame::STREAM_MAX
    }

    /// Whether the connection has been announced to end and nothing is left to do on it: it can be closed.
    pub fn is_drained(&self) -> bool {
        let final_word = match self.role {
            Role::Server => matches!(self.going, Going::Final { .. }) || self.peer_last.is_some(),
            Role::Client => self.is_going_away(),
        };
        self.failed.is_some() || (final_word && self.streams.len() == 0)
    }

    /// Whether the peer's settings have come, and the peer takes extended CONNECT (RFC 8441 §3).
    pub fn peer_takes_websocket(&self) -> bool {
        self.peer.connect_protocol
    }

    /// What the list of fields of a head or of trailers may have, as the peer says: names, values, and 32 for each field
    /// (RFC 9113 §6.5.2). What is longer is not sent. 2^32-1 as long as it has said nothing.
    pub fn peer_list_bytes_max(&self) -> u32 {
        self.peer.list_bytes_max
    }

    /// How urgent a stream is (RFC 9218): what the request said, or a PRIORITY_UPDATE.
    pub fn priority(&self, stream: StreamId) -> Option<Priority> {
        Some(self.stream(stream)?.priority)
    }

    /// Whether our message on a stream has been sent to its end, or can't be any more.
    pub fn sending_ended(&self, stream: StreamId) -> bool {
        self.stream(stream).is_none_or(|stream| !stream.state.may_send())
    }

    /// Whether the peer's message on a stream has come to its end, or can't any more.
    pub fn receiving_ended(&self, stream: StreamId) -> bool {
        self.stream(stream).is_none_or(|stream| !stream.state.may_receive())
    }

    /// Memory of the connection, in bytes: the value itself and what it holds on the heap. What the application was
    /// given is not in it.
    pub fn heap_bytes(&self) -> usize {
        let events = self.events.capacity().saturating_mul(size_of::<Event>());
        [
            size_of::<Self>(),
            self.streams.heap_bytes(),
            self.schedule.heap_bytes(),
            self.decoder.heap_bytes(),
            self.encoder.heap_bytes(),
            self.section.heap_bytes(),
            self.output.capacity(),
            events,
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    fn stream(&self, stream: StreamId) -> Option<&Stream> {
        self.streams.get(self.streams.find(stream.0)?)
    }

    /// Whether an identifier is one of those that we open.
    fn is_own(&self, id: u32) -> bool {
        (id & 1 == 1) == (self.role == Role::Client)
    }

    /// Whether nobody has opened a stream.
    fn is_idle(&self, id: u32) -> bool {
        if self.is_own(id) { id >= self.next_own || self.role == Role::Server } else { id > self.last_peer }
    }

    /// Takes a stream in.
    fn open(&mut self, stream: Stream) -> usize {
        self.open = self.open.saturating_add(1);
        self.receiving = self.receiving.saturating_add(1);
        self.streams.insert(stream)
    }

    /// Moves a stream from one state to another, and keeps account of it.
    fn step(&mut self, slot: usize, step: Step) {
        let Some(stream) = self.streams.get_mut(slot) else { return };
        let before = stream.state;
        stream.state = before.after(step);
        let after = stream.state;
        if !after.may_send() {
            (stream.offered, stream.stalled) = (0, None);
            self.schedule.remove(slot);
        }
        if before.may_receive() && !after.may_receive() {
            self.receiving = self.receiving.saturating_sub(1);
        }
        if !before.is_closed() && after.is_closed() {
            self.open = self.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_19_identifiers_are_used_up() {
        let mut client = Connection::client(Rc::new(Config::default()), Duration::ZERO);
        client.next_own = super::super::frame::STREAM_MAX;
        let mut head = RequestHead::new();
        head.target.push(b'/');
        let mut out = Vec::new();
        assert!(!client.is_going_away());
        let stream = client.send_request(&head, &mut out).unwrap();
        assert_eq!(stream.number(), 0x7fff_ffff);
        assert_eq!(client.streams_available(), 0);
        assert!(client.is_going_away() && !client.is_drained());
        let error = client.send_request(&head, &mut out).unwrap_err();
        assert_eq!(error.cause, super::super::Cause::NoMoreStreams);
        client.close(stream);
        assert!(client.is_drained());
    }

    /// The figures that the docs of the module give.
    #[test]
    fn h2_39_an_idle_connection_and_an_idle_stream_are_small() {
        let config = Rc::new(Config::default());
        let mut server = Connection::server(config, Duration::ZERO);
        let mut out = Vec::new();
        server.transmit(&mut out);
        server.rest();
        assert!(size_of::<Connection>() <= 2128, "{}", size_of::<Connection>());
        assert!(server.heap_bytes() <= 2560, "{}", server.heap_bytes());
        assert!(size_of::<Option<Stream>>() <= 136, "{}", size_of::<Option<Stream>>());
    }
}
