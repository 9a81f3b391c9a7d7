//! The streams of a connection: slots that are used again, found by their identifier, and a memory of those that are
//! gone.

use super::stream::{How, Stream};

/// No slot.
const NONE: u32 = u32::MAX;
/// Streams that came to their end are remembered so that a frame behind the end is told from one on a stream that was
/// never opened.
const ENDED_MEMORY: u32 = 16;

/// All streams that the application has not closed.
#[derive(Debug)]
pub(crate) struct Streams {
    slots: Vec<Option<Stream>>,
    free: Vec<u32>,
    /// Open addressing: slots, at the place that the identifier says or the first free one behind it.
    table: Vec<u32>,
    reset: Memory,
    ended: Memory,
}

impl Streams {
    /// None. So many that we have reset are remembered for frames that were under way (RFC 9113 §5.1).
    pub(crate) fn new(resets: u32) -> Self {
        let (reset, ended) = (Memory::new(resets), Memory::new(ENDED_MEMORY));
        Self { slots: Vec::new(), free: Vec::new(), table: Vec::new(), reset, ended }
    }

    /// Takes a stream in; gives its slot.
    pub(crate) fn insert(&mut self, stream: Stream) -> usize {
        let id = stream.id;
        let slot = match self.free.pop() {
            Some(slot) => slot as usize,
            None => {
                self.slots.push(None);
                // So that giving slots back never allocates.
                self.free.reserve(self.slots.len().saturating_sub(self.free.len()));
                self.slots.len().saturating_sub(1)
            }
        };
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(stream);
        }
        if self.slots.len().saturating_mul(2) > self.table.len() {
            self.rebuild();
        } else {
            self.enter(id, slot);
        }
        slot
    }

    /// Forgets a stream, but for how it was closed.
    pub(crate) fn remove(&mut self, slot: usize) -> Option<Stream> {
        let stream = self.slots.get_mut(slot)?.take()?;
        self.free.push(u32::try_from(slot).unwrap_or(NONE));
        self.leave(stream.id);
        match stream.state {
            super::stream::State::Closed(How::ResetByUs) => self.reset.push(stream.id),
            _ => self.ended.push(stream.id),
        }
        Some(stream)
    }

    /// Remembers a stream that was refused and never had a slot.
    pub(crate) fn remember(&mut self, id: u32, how: How) {
        match how {
            How::ResetByUs => self.reset.push(id),
            How::Ended | How::ResetByPeer => self.ended.push(id),
        }
    }

    /// The slot of a stream.
    pub(crate) fn find(&self, id: u32) -> Option<usize> {
        let mut place = self.place_of(id)?;
        loop {
            let slot = *self.table.get(place)?;
            if slot == NONE {
                return None;
            }
            if self.slots.get(slot as usize)?.as_ref().is_some_and(|stream| stream.id == id) {
                return Some(slot as usize);
            }
            place = self.after(place);
        }
    }

    pub(crate) fn get(&self, slot: usize) -> Option<&Stream> {
        self.slots.get(slot)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut Stream> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Every stream with its slot, in no order that means anything.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Stream)> {
        self.slots.iter_mut().enumerate().filter_map(|(slot, stream)| Some((slot, stream.as_mut()?)))
    }

    /// Slots that are or have been in use.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// How a stream without a slot was closed, if that is remembered.
    pub(crate) fn recall(&self, id: u32) -> Option<How> {
        if self.reset.has(id) {
            return Some(How::ResetByUs);
        }
        self.ended.has(id).then_some(How::Ended)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let slots = self.slots.capacity().saturating_mul(size_of::<Option<Stream>>());
        let numbers = [&self.free, &self.table, &self.reset.ids, &self.ended.ids];
        let numbers: usize = numbers.iter().map(|ids| ids.capacity().saturating_mul(4)).sum();
        slots.saturating_add(numbers)
    }

    /// What taking in one more may take beside that, while vectors that are full move to larger ones.
    pub(crate) fn growth_bytes(&self) -> usize {
        let after = self.slots.len().saturating_add(1);
        let slots = if self.free.is_empty() && self.slots.len() == self.slots.capacity() {
            self.slots.capacity().saturating_mul(2).max(4).saturating_mul(size_of::<Option<Stream>>())
        } else {
            0
        };
        // Places, and slots that are free: a number each.
        slots.saturating_add(after.saturating_mul(10 * 4))
    }

    /// Where an identifier belongs: the high bits of a product, so that identifiers at equal distances, whatever these
    /// are, do not meet in one place.
    fn place_of(&self, id: u32) -> Option<usize> {
        let places = u64::try_from(self.table.len()).ok().filter(|places| *places > 0)?;
        let spread = u64::from((id >> 1).wrapping_mul(0x9e37_79b1));
        usize::try_from(spread.wrapping_mul(places) >> 32).ok()
    }

    fn after(&self, place: usize) -> usize {
        place.wrapping_add(1) & self.table.len().wrapping_sub(1)
    }

    fn enter(&mut self, id: u32, slot: usize) {
        let Some(mut place) = self.place_of(id) else { return };
        while self.table.get(place).is_some_and(|slot| *slot != NONE) {
            place = self.after(place);
        }
        if let Some(entry) = self.table.get_mut(place) {
            *entry = u32::try_from(slot).unwrap_or(NONE);
        }
    }

    /// Takes an identifier whose stream has gone out, and moves up what stood behind it, so that searches may end at
    /// the first gap.
    fn leave(&mut self, id: u32) {
        let Some(mut gap) = self.place_of(id) else { return };
        // The entry's stream is gone: it is the one whose slot is empty.
        while let Some(slot) = self.table.get(gap).filter(|slot| **slot != NONE) {
            if self.slots.get(*slot as usize).is_some_and(Option::is_none) {
                break;
            }
            gap = self.after(gap);
        }
        let mut place = gap;
        loop {
            place = self.after(place);
            let slot = self.table.get(place).copied().unwrap_or(NONE);
            let home = self.get(slot as usize).and_then(|stream| self.place_of(stream.id));
            let Some(home) = home else { break };
            let mask = self.table.len().wrapping_sub(1);
            let (from_home, from_gap) = (place.wrapping_sub(home) & mask, place.wrapping_sub(gap) & mask);
            if from_home >= from_gap {
                self.set(gap, slot);
                gap = place;
            }
        }
        self.set(gap, NONE);
    }

    fn set(&mut self, place: usize, slot: u32) {
        if let Some(entry) = self.table.get_mut(place) {
            *entry = slot;
        }
    }

    /// A table of twice as many places as there are slots, or more.
    fn rebuild(&mut self) {
        let places = self.slots.len().saturating_mul(4).next_power_of_two().max(8);
        self.table.clear();
        self.table.resize(places, NONE);
        for slot in 0..self.slots.len() {
            if let Some(id) = self.get(slot).map(|stream| stream.id) {
                self.enter(id, slot);
            }
        }
    }
}

/// The last identifiers of some kind. It takes no memory before the first.
#[derive(Debug)]
struct Memory {
    ids: Vec<u32>,
    next: u32,
    /// So many are kept.
    max: u32,
}

impl Memory {
    fn new(max: u32) -> Self {
        Self { ids: Vec::new(), next: 0, max }
    }

    fn push(&mut self, id: u32) {
        if self.ids.len() < self.max as usize {
            self.ids.push(id);
            return;
        }
        if let Some(place) = self.ids.get_mut(self.next as usize) {
            *place = id;
        }
        self.next = self.next.wrapping_add(1).checked_rem(self.max).unwrap_or(0);
    }

    fn has(&self, id: u32) -> bool {
        self.ids.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::flow::{ReceiveWindow, SendWindow};
    use super::super::schedule::Priority;
    use super::super::stream::{Asked, Receiving, Sending, State};
    use super::*;
    use std::collections::HashMap;

    fn stream(id: u32) -> Stream {
        Stream {
            id,
            state: State::Open,
            receiving: Receiving::Content(None),
            sending: Sending::Head,
            asked: Asked::Message,
            takes_trailers: false,
            interim: 0,
            send_window: SendWindow::new(0),
            receive_window: ReceiveWindow::new(0, 0),
            offered: 0,
            priority: Priority::default(),
            head_bytes: 0,
            stalled: None,
        }
    }

    #[test]
    fn streams_are_found_whatever_comes_and_goes() {
        let (mut streams, mut model, mut seed) = (Streams::new(8), HashMap::new(), 1_u64);
        let mut next_id = 1_u32;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let dice = (seed >> 33) as u32;
            if dice.is_multiple_of(2) && model.len() < 100 {
                // Steps that a peer may choose so that many fall on one place.
                next_id += if dice.is_multiple_of(6) { 2 } else { 1024 };
                model.insert(next_id, streams.insert(stream(next_id)));
            } else if let Some(id) = model.keys().nth(dice as usize % model.len().max(1)).copied() {
                let slot = model.remove(&id).unwrap();
                assert_eq!(streams.remove(slot).unwrap().id, id);
                assert_eq!(streams.find(id), None);
                assert_eq!(streams.recall(id), Some(How::Ended));
            }
            assert_eq!(streams.len(), model.len());
            for (id, slot) in &model {
                assert_eq!(streams.find(*id), Some(*slot));
            }
        }
        assert!(streams.slots() <= 100);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let mut streams = Streams::new(128);
        for id in 0..1000 {
            streams.remember(id, How::ResetByUs);
        }
        assert_eq!(streams.recall(999), Some(How::ResetByUs));
        assert_eq!(streams.recall(1000 - 128), Some(How::ResetByUs));
        assert_eq!(streams.recall(1000 - 129), None);
        assert!(streams.heap_bytes() <= 4 * 128);
    }
}
