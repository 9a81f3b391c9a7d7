//! The access log of one lane: records become lines in a buffer of the lane's own.

use super::{
    Format, combined, json,
    line::Line,
    writer::{Batch, Queue},
};
use arc_swap::{ArcSwap, Cache};
use corelane_engine::{Record, Sink};
use std::{fmt, sync::Arc};

/// A lane hands its lines on when it has collected this many bytes, or when it is told to flush.
const COLLECT_BYTES_MAX: usize = 32 << 10;

/// Collects a lane's lines and hands them to a [`Writer`](super::Writer). It never blocks and, once warm, allocates
/// nothing for a line: full buffers are exchanged for empty ones that the writer is done with.
pub struct AccessLog {
    /// It may become another one while lanes run.
    format: Cache<Arc<ArcSwap<Format>>, Arc<Format>>,
    lines: Batch,
    queue: Queue,
}

impl AccessLog {
    pub(crate) fn new(format: Arc<ArcSwap<Format>>, queue: Queue) -> Self {
        Self { format: Cache::new(format), lines: Batch { bytes: queue.buffer(), lines: 0 }, queue }
    }

    fn write(&mut self, line: &Line<'_>) {
        match &**self.format.load() {
            Format::Json(fields) => json::write(&mut self.lines.bytes, fields, line),
            Format::Combined => combined::write(&mut self.lines.bytes, line),
            Format::Template(template) => template.write(&mut self.lines.bytes, line),
            Format::Nothing => return,
        }
        self.lines.lines += 1;
        if self.lines.bytes.len() >= COLLECT_BYTES_MAX {
            self.hand_on_or_drop();
        }
    }

    /// Empties the buffer whether or not the writer keeps up.
    fn hand_on_or_drop(&mut self) {
        self.flush();
        if self.lines.lines > 0 {
            self.queue.drop_lines(&mut self.lines);
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl Sink for AccessLog {
    fn record(&mut self, record: &Record) {
        self.write(&Line::from(record));
    }

    /// What the writer has no room for stays here until the buffer is full.
    fn flush(&mut self) {
        if self.lines.lines > 0 {
            self.queue.hand_on(&mut self.lines, || self.queue.buffer());
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.hand_on_or_drop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::line::tests::sample;

    #[test]
    fn res_09_a_lane_keeps_what_fits_and_drops_the_rest() {
        let (queue, lines) = Queue::without_writer(1);
        let mut log = AccessLog::new(in_form(Format::Combined), queue.clone());
        log.write(&sample());
        log.flush();
        assert_eq!(lines.len(), 1, "the first batch is queued");
        log.write(&sample());
        log.flush();
        assert_eq!((log.lines.lines, queue.counts().dropped()), (1, 0), "no room yet: the line is kept");
        while queue.counts().dropped() == 0 {
            log.write(&sample());
        }
        assert_eq!(log.lines.lines, 0);
        assert!(queue.counts().dropped() > 100, "a whole buffer is dropped at once");
        assert!(log.lines.bytes.capacity() < 2 * COLLECT_BYTES_MAX, "the lane's memory is bounded");
    }

    fn in_form(format: Format) -> Arc<ArcSwap<Format>> {
        Arc::new(ArcSwap::from_pointee(format))
    }

    #[test]
    fn the_form_of_lines_may_change() {
        let (queue, lines) = Queue::without_writer(1);
        let format = in_form(Format::Nothing);
        let mut log = AccessLog::new(Arc::clone(&format), queue);
        log.write(&sample());
        assert_eq!(log.lines.lines, 0);
        format.store(Arc::new(Format::Template("x".parse().unwrap())));
        log.write(&sample());
        drop(log);
        assert_eq!(lines.try_recv().unwrap().bytes, b"x\n");
    }

    #[test]
    fn a_lane_that_ends_hands_on_what_it_has() {
        let (queue, lines) = Queue::without_writer(1);
        let mut log = AccessLog::new(in_form(Format::default()), queue);
        log.write(&sample());
        drop(log);
        assert_eq!(lines.try_recv().unwrap().lines, 1);
    }

    #[test]
    fn a_warm_buffer_is_used_again() {
        let (queue, lines) = Queue::without_writer(2);
        let mut log = AccessLog::new(in_form(Format::default()), queue.clone());
        log.write(&sample());
        let memory = log.lines.bytes.as_ptr();
        log.flush();
        queue.recycle(lines.try_recv().unwrap().bytes);
        log.write(&sample());
        log.flush();
        assert_eq!(log.lines.bytes.as_ptr(), memory, "the first buffer is back");
    }
}
