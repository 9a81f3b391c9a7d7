//! Field blocks: HEADERS and CONTINUATION, which stream they are for, and what becomes of the section.

use super::super::budget::{Charge, exceeded};
use super::super::error::{Cause, Code, Error};
use super::super::flow::{ReceiveWindow, SendWindow};
use super::super::frame::control as frames;
use super::super::frame::headers::{Continuation, Headers};
use super::super::headers::{Wanted, emit};
use super::super::stream::{Asked, How, Receiving, Sending, Step, Stream};
use super::receive::Met;
use super::{Connection, Event, Going, Role, StreamId};
use crate::hpack::{Decoder, ListLimits, Overrun};
use crate::{Fields, Kind};
use http::{Method, StatusCode};
use std::time::Duration;

/// A field block that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    stream: u32,
    target: Target,
    end_stream: bool,
    /// The frame that has begun is its last.
    end_headers: bool,
    continuations: u32,
    bytes: u64,
    /// The memory that was left for a head when it began. Since then no stream has joined and no content has come.
    memory_left: usize,
    /// Until when it must be complete.
    pub(super) due: Duration,
}

/// What a field block is. It names no slot: until the block is complete, the application may close the stream, and its
/// slot may be another one's.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// A request that opens a stream.
    Request,
    /// A request that is refused whatever it says.
    Refuse(Cause),
    /// A response.
    Response(Asked),
    /// Trailers.
    Trailers,
    /// It breaks its stream whatever it says.
    Break(Error),
    /// Nobody waits for it any more.
    Ignore,
}

impl Block {
    /// Whether a CONTINUATION on a stream belongs to it.
    pub(super) fn continues(&self, stream: u32) -> bool {
        self.stream == stream
    }
}

impl Connection {
    /// A HEADERS frame begins.
    pub(super) fn headers(&mut self, frame: Headers, now: Duration) -> Result<(), Error> {
        let target = self.target(&frame, now)?;
        if frame.fragment_len == 0 {
            self.account.charge(&self.config.budgets, Charge::EmptyFrames, now)?;
        }
        let (wanted, mut limits) = self.wanted(target);
        let memory_left = self.memory_left(frame.end_stream);
        if matches!(target, Target::Request | Target::Response(_)) {
            limits.bytes_max = self.list_bytes_left(memory_left, limits.bytes_max);
        }
        self.begin_section(wanted, limits);
        self.block = Some(Block {
            stream: frame.stream,
            target,
            end_stream: frame.end_stream,
            end_headers: frame.end_headers,
            continuations: 0,
            bytes: u64::from(frame.fragment_len),
            memory_left,
            due: now.saturating_add(self.config.timeouts.block),
        });
        self.check_block_bytes()
    }

    /// Begins to decode a section. What was kept of longer ones goes, where there is no memory for it now.
    fn begin_section(&mut self, wanted: Wanted, limits: ListLimits) {
        self.section.begin(wanted, limits.bytes_max);
        let field_bytes_max = limits.bytes_max.max(self.config.table_bytes_at_first());
        if self.decoder.field_bytes() > field_bytes_max.saturating_add(Decoder::BYTES_BESIDE_FIELD) {
            self.decoder.shrink();
        }
        self.decoder.begin(limits);
    }

    /// A CONTINUATION frame begins.
    pub(super) fn continuation(&mut self, frame: Continuation, now: Duration) -> Result<(), Error> {
        let nothing = Error::connection(Code::PROTOCOL_ERROR, Cause::Continuation);
        let block = self.block.as_mut().ok_or(nothing)?;
        block.continuations = block.continuations.saturating_add(1);
        block.bytes = block.bytes.saturating_add(u64::from(frame.fragment_len));
        block.end_headers = frame.end_headers;
        if block.continuations > self.config.budgets.continuations_max {
            return Err(exceeded(Charge::Continuations));
        }
        if frame.fragment_len == 0 {
            self.account.charge(&self.config.budgets, Charge::EmptyFrames, now)?;
        }
        self.check_block_bytes()
    }

    /// A piece of the block.
    pub(super) fn fragment(
        &mut self,
        piece: &[u8],
        last: bool,
        now: Duration,
    ) -> Result<Option<Event>, Error> {
        let Some(block) = self.block else { return Ok(None) };
        let is_last = last && block.end_headers;
        let (section, limits) = (&mut self.section, &self.config.limits);
        self.decoder
            .decode(piece, is_last, |field| section.field(field, limits))
            .map_err(|_| Error::connection(Code::COMPRESSION_ERROR, Cause::Compression))?;
        let churn_max = self.list_bytes_max().saturating_mul(u64::from(self.config.budgets.table_lists_max));
        if self.decoder.charged().inserted_bytes > churn_max {
            return Err(exceeded(Charge::TableBytes));
        }
        if !is_last {
            return Ok(None);
        }
        self.block = None;
        self.section_complete(block, now)
    }

    /// What a HEADERS frame is for, by the state of its stream.
    fn target(&mut self, frame: &Headers, now: Duration) -> Result<Target, Error> {
        let id = frame.stream;
        if self.role == Role::Server && !self.is_own(id) && self.is_idle(id) {
            return self.new_request(id, now);
        }
        if self.is_idle(id) || (self.role == Role::Client && !self.is_own(id)) {
            return Err(Error::connection(Code::PROTOCOL_ERROR, Cause::StreamId));
        }
        // One that was passed over, or is forgotten: nobody opens a stream below another (RFC 9113 §5.1.1).
        let known = self.streams.find(id).is_some() || self.streams.recall(id).is_some();
        if self.role == Role::Server && !known {
            return Err(Error::connection(Code::PROTOCOL_ERROR, Cause::StreamId));
        }
        let slot = match self.meet(id, now)? {
            Met::Stream(slot) => slot,
            Met::Late => return Ok(Target::Ignore),
        };
        let Some(stream) = self.streams.get(slot) else { return Ok(Target::Ignore) };
        if !stream.state.may_receive() {
            let error = Error::stream(Code::STREAM_CLOSED, Cause::HalfClosed);
            return Ok(Target::Break(error));
        }
        Ok(match stream.receiving {
            Receiving::Head => Target::Response(stream.asked),
            // A tunnel has no trailers (RFC 9113 §8.5).
            Receiving::Tunnel => Target::Break(Error::malformed(Kind::Trailer)),
            Receiving::Content(_) | Receiving::NoContent => Target::Trailers,
        })
    }

    /// A stream that the client opens.
    fn new_request(&mut self, id: u32, now: Duration) -> Result<Target, Error> {
        self.last_peer = id;
        if let Going::Final { last } = self.going
            && id > last
        {
            // It was on its way before the client could know (RFC 9113 §6.8).
            self.account.charge(&self.config.budgets, Charge::LateFrames, now)?;
            self.streams.remember(id, How::ResetByUs);
            return Ok(Target::Ignore);
        }
        if id > super::super::frame::STREAM_MAX.saturating_sub(2) {
            // There is no identifier after this one: the client needs another connection.
            self.go_away(now);
        }
        if self.streams.len() >= self.config.streams_max as usize {
            self.account.charge(&self.config.budgets, Charge::RefusedStreams, now)?;
            return Ok(Target::Refuse(Cause::Concurrency));
        }
        Ok(Target::Request)
    }

    /// What the section is to be, and what its list may have.
    fn wanted(&self, target: Target) -> (Wanted, ListLimits) {
        let limits = &self.config.limits;
        match target {
            Target::Request => {
                let (bytes_max, fields_max) = (limits.request_head_bytes_max, limits.request_fields_max);
                let wanted = Wanted::Request { connect_protocol: self.config.connect_protocol };
                (wanted, ListLimits { bytes_max, fields_max })
            }
            Target::Response(asked) => {
                let (bytes_max, fields_max) = (limits.response_head_bytes_max, limits.response_fields_max);
                (Wanted::Response(asked), ListLimits { bytes_max, fields_max })
            }
            Target::Trailers => {
                let (bytes_max, fields_max) = (limits.trailer_bytes_max, limits.trailer_fields_max);
                let wanted = match self.role {
                    Role::Server => Wanted::RequestTrailers,
                    Role::Client => Wanted::ResponseTrailers,
                };
                (wanted, ListLimits { bytes_max, fields_max })
            }
            Target::Refuse(_) | Target::Break(_) | Target::Ignore => {
                (Wanted::Nothing, ListLimits { bytes_max: 0, fields_max: 0 })
            }
        }
    }

    fn check_block_bytes(&self) -> Result<(), Error> {
        let bytes_max = self.list_bytes_max().saturating_mul(u64::from(self.config.budgets.block_lists_max));
        if self.block.is_some_and(|block| block.bytes > bytes_max) {
            return Err(exceeded(Charge::BlockBytes));
        }
        Ok(())
    }

    /// The limit of the decoded list of a head that comes.
    fn list_bytes_max(&self) -> u64 {
        let limits = &self.config.limits;
        let bytes_max = match self.role {
            Role::Server => limits.request_head_bytes_max,
            Role::Client => limits.response_head_bytes_max,
        };
        bytes_max as u64
    }

    /// All of a section has come.
    fn section_complete(&mut self, block: Block, now: Duration) -> Result<Option<Event>, Error> {
        match block.target {
            Target::Request => return self.request_complete(&block, now).map(Some),
            Target::Refuse(cause) => return Ok(Some(self.refuse(block.stream, cause))),
            Target::Response(_) | Target::Trailers | Target::Break(_) | Target::Ignore => {}
        }
        // The application may have given the stream up meanwhile.
        let Some(slot) = self.live(block.stream) else { return Ok(None) };
        let result = match block.target {
            Target::Response(asked) => {
                let result = self.response_complete(slot, asked, &block);
                if !matches!(result, Ok(Event::Interim { .. })) {
                    self.account.opened(&self.config.budgets, now);
                }
                result.map_err(Error::malformed)
            }
            Target::Trailers => self.trailers_complete(slot, &block).map_err(Error::malformed),
            Target::Break(error) => Err(error),
            Target::Request | Target::Refuse(_) | Target::Ignore => return Ok(None),
        };
        match result {
            Ok(event) => Ok(Some(event)),
            Err(error) => self.break_stream(slot, error, now).map(Some),
        }
    }

    fn request_complete(&mut self, block: &Block, now: Duration) -> Result<Event, Error> {
        self.account.opened(&self.config.budgets, now);
        let fault = match self.decoder.charged().overrun {
            Some(Overrun::Bytes) if self.is_for_want_of_memory() => {
                return self.refuse_for_memory(block.stream, now);
            }
            Some(overrun) => Err(too_large(overrun)),
            None => self.section.finish_request(block.end_stream),
        };
        if let Err(kind) = fault {
            return self.answer_malformed(block, kind, now);
        }
        // What the application will hold: as it was charged, or as it has grown, whichever is more.
        let head = &self.section.request;
        let held_bytes = head.fields.heap_bytes().saturating_add(head.target.capacity());
        let head_bytes = held_bytes.max(self.decoder.charged().bytes as usize);
        if !self.has_memory(block.memory_left, head_bytes) {
            return self.refuse_for_memory(block.stream, now);
        }
        let early = self.early_priority.take_if(|(stream, _)| *stream == block.stream);
        let asked = self.section.asked;
        let slot = self.open(Stream {
            receiving: match asked {
                Asked::Connect | Asked::WebSocket => Receiving::Tunnel,
                Asked::Message | Asked::HeadOnly => Receiving::Content(known(self.section.request.content)),
            },
            asked,
            takes_trailers: self.section.request.accepts_trailers,
            priority: early.map(|(_, said)| said).or(self.section.priority).unwrap_or_default(),
            head_bytes: u32::try_from(head_bytes).unwrap_or(u32::MAX),
            ..self.new_stream(block.stream)
        });
        self.held_head_bytes = self.held_head_bytes.saturating_add(head_bytes);
        if block.end_stream {
            self.step(slot, Step::ReceiveEnd);
        }
        Ok(Event::Request { stream: StreamId(block.stream), ended: block.end_stream })
    }

    /// A stream about which nothing is known yet.
    pub(super) fn new_stream(&self, id: u32) -> Stream {
        let window = self.config.stream_window_bytes;
        // Until the peer has acknowledged a smaller window it may believe in the default.
        let left = if self.own.due.is_some() { self.config.stream_window_at_first() } else { window };
        Stream {
            id,
            state: super::super::stream::State::Open,
            receiving: Receiving::Head,
            sending: Sending::Head,
            asked: Asked::Message,
            takes_trailers: true,
            interim: 0,
            send_window: SendWindow::new(self.initial_window),
            receive_window: ReceiveWindow::new(window, left),
            offered: 0,
            priority: Default::default(),
            head_bytes: 0,
            stalled: None,
        }
    }

    /// Whether a list that was too long is within its limit, so that the request may come again when others are done.
    fn is_for_want_of_memory(&self) -> bool {
        self.decoder.charged().bytes <= self.list_bytes_max() && self.streams.len() > 0
    }

    fn refuse_for_memory(&mut self, id: u32, now: Duration) -> Result<Event, Error> {
        self.account.charge(&self.config.budgets, Charge::RefusedStreams, now)?;
        Ok(self.refuse(id, Cause::Memory))
    }

    /// A stream that was not looked at: the client may send its request again (RFC 9113 §8.7).
    fn refuse(&mut self, id: u32, cause: Cause) -> Event {
        frames::reset(id, Code::REFUSED_STREAM, &mut self.output);
        self.streams.remember(id, How::ResetByUs);
        Event::Refused { stream: StreamId(id), error: Error::stream(Code::REFUSED_STREAM, cause) }
    }

    /// A request that the application never sees. Where a status says more than that it is malformed, it is answered;
    /// for what then is left of it, nobody waits.
    fn answer_malformed(&mut self, block: &Block, kind: Kind, now: Duration) -> Result<Event, Error> {
        let (id, status) = (block.stream, kind.status());
        let answered = matches!(
            status,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
                | StatusCode::URI_TOO_LONG
                | StatusCode::EXPECTATION_FAILED
        );
        if answered {
            let mut output = std::mem::take(&mut self.output);
            self.write_block(id, true, &mut output, |block| emit::interim(block, status, &Fields::new()));
            self.output = output;
        }
        match (answered, block.end_stream) {
            (true, true) => self.streams.remember(id, How::Ended),
            (true, false) => {
                frames::reset(id, Code::NO_ERROR, &mut self.output);
                self.streams.remember(id, How::ResetByUs);
            }
            (false, _) => {
                frames::reset(id, Code::PROTOCOL_ERROR, &mut self.output);
                self.streams.remember(id, How::ResetByUs);
            }
        }
        self.account.reset(&self.config.budgets, true, now)?;
        Ok(Event::Refused { stream: StreamId(id), error: Error::malformed(kind) })
    }

    fn response_complete(&mut self, slot: usize, asked: Asked, block: &Block) -> Result<Event, Kind> {
        let id = StreamId(block.stream);
        if let Some(overrun) = self.decoder.charged().overrun {
            return Err(too_large(overrun));
        }
        self.section.finish_response(block.end_stream, asked)?;
        let head = &self.section.response;
        let Some(stream) = self.streams.get_mut(slot) else { return Err(Kind::Order) };
        let tunnel = head.upgrade.is_some() || (asked == Asked::Connect && head.status.is_success());
        if head.status.is_informational() && !tunnel {
            // END_STREAM would leave the request without an answer (RFC 9113 §8.1).
            if block.end_stream {
                return Err(Kind::Truncated);
            }
            stream.interim = stream.interim.saturating_add(1);
            if stream.interim > self.config.limits.interim_responses_max {
                return Err(Kind::TooManyInterim);
            }
            return Ok(Event::Interim { stream: id });
        }
        stream.receiving = match () {
            () if tunnel => Receiving::Tunnel,
            () if asked == Asked::HeadOnly || crate::framing::has_no_content(head.status) => {
                Receiving::NoContent
            }
            () => Receiving::Content(known(head.content)),
        };
        if block.end_stream {
            self.step(slot, Step::ReceiveEnd);
        }
        Ok(Event::Response { stream: id, ended: block.end_stream })
    }

    fn trailers_complete(&mut self, slot: usize, block: &Block) -> Result<Event, Kind> {
        // What follows content must be the end (RFC 9113 §8.1).
        if !block.end_stream {
            return Err(Kind::Trailer);
        }
        if self.decoder.charged().overrun.is_some() {
            return Err(Kind::TrailersTooLarge);
        }
        self.section.finish_trailers()?;
        let left = self.streams.get(slot).map(|stream| stream.receiving);
        if matches!(left, Some(Receiving::Content(Some(1..)))) {
            return Err(Kind::ContentLengthMismatch);
        }
        self.step(slot, Step::ReceiveEnd);
        Ok(Event::Trailers { stream: StreamId(block.stream) })
    }
}

const fn too_large(overrun: Overrun) -> Kind {
    match overrun {
        Overrun::Bytes => Kind::HeadTooLarge,
        Overrun::Fields => Kind::TooManyFields,
    }
}

const fn known(length: crate::Length) -> Option<u64> {
    match length {
        crate::Length::Known(length) => Some(length),
        crate::Length::None | crate::Length::Chunked | crate::Length::UntilClose => None,
    }
}

/// What a request asks for, as far as its response depends on it.
pub(super) fn asked(head: &crate::RequestHead) -> Asked {
    match head.method {
        Method::HEAD => Asked::HeadOnly,
        Method::CONNECT => Asked::Connect,
        _ if head.upgrade.is_some() => Asked::WebSocket,
        _ => Asked::Message,
    }
}
