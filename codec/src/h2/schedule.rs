//! Who sends next (RFC 9218): the most urgent first; among equals, those that said so one after the other, all others
//! in turn.
//!
//! A stream of whose priority nothing was said takes part in turns, as if it were incremental: most clients say
//! nothing, and one long response of theirs must not keep all others waiting.

/// How urgent a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    /// 0, the most urgent, to 7. Default 3.
    pub urgency: u8,
    /// It is useful in pieces, so it shares with others. Where nothing was said, `true`.
    pub incremental: bool,
}

impl Default for Priority {
    fn default() -> Self {
        Self { urgency: URGENCY_DEFAULT, incremental: true }
    }
}

const URGENCY_DEFAULT: u8 = 3;
const URGENCIES: usize = 8;
/// No slot.
const NONE: u32 = u32::MAX;

impl Priority {
    /// Reads a `Priority` field (RFC 9218 §4): a dictionary with `u` and `i`. What is not understood is as if it were
    /// not there.
    pub fn parse(value: &[u8]) -> Self {
        let mut priority = Self { urgency: URGENCY_DEFAULT, incremental: false };
        for member in value.split(|byte| *byte == b',') {
            let member = crate::grammar::trim(member);
            let member = member.split(|byte| *byte == b';').next().unwrap_or_default();
            match member {
                [b'u', b'=', digit @ b'0'..=b'7'] => priority.urgency = digit.wrapping_sub(b'0'),
                b"i" | b"i=?1" => priority.incremental = true,
                b"i=?0" => priority.incremental = false,
                _ => {}
            }
        }
        priority
    }

    /// The list that it waits in.
    fn list(self) -> usize {
        usize::from(self.urgency).saturating_mul(2).saturating_add(usize::from(self.incremental))
    }
}

/// Streams that have content and room for it, by slot.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// For each urgency, those that go one after the other, by identifier, and those that go in turn.
    lists: [List; 2 * URGENCIES],
    links: Vec<Link>,
    /// For each urgency, whose turn it is where both lists have streams.
    turns: [bool; URGENCIES],
}

#[derive(Debug, Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    id: u32,
    before: u32,
    behind: u32,
    /// The list that it stands in, or none.
    list: u8,
}

const NOWHERE: u8 = u8::MAX;
const UNLINKED: Link = Link { id: 0, before: NONE, behind: NONE, list: NOWHERE };

impl Default for Schedule {
    fn default() -> Self {
        Self {
            lists: [List { first: NONE, last: NONE }; 2 * URGENCIES],
            links: Vec::new(),
            turns: [false; URGENCIES],
        }
    }
}

impl Schedule {
    /// A stream may send. It keeps its place if it has one.
    pub(crate) fn insert(&mut self, slot: usize, id: u32, priority: Priority) {
        if self.links.len() <= slot {
            self.links.resize(slot.saturating_add(1), UNLINKED);
        }
        if self.holds(slot) {
            return;
        }
        let list = priority.list();
        let mut behind = self.list(list).last;
        // Those that go one after the other are ordered by identifier; new ones nearly always come last.
        while !priority.incremental && self.link(behind).is_some_and(|link| link.id > id) {
            behind = self.link(behind).map_or(NONE, |link| link.before);
        }
        self.link_in(slot, id, list, behind);
    }

    /// A stream may not send any more.
    pub(crate) fn remove(&mut self, slot: usize) {
        let Some(link) = self.links.get(slot).copied().filter(|link| link.list != NOWHERE) else { return };
        match self.links.get_mut(link.before as usize) {
            Some(before) => before.behind = link.behind,
            None => self.list_mut(link.list).first = link.behind,
        }
        match self.links.get_mut(link.behind as usize) {
            Some(behind) => behind.before = link.before,
            None => self.list_mut(link.list).last = link.before,
        }
        if let Some(link) = self.links.get_mut(slot) {
            *link = UNLINKED;
        }
    }

    /// A stream has had its turn.
    pub(crate) fn served(&mut self, slot: usize) {
        let Some(link) = self.links.get(slot).copied().filter(|link| link.list != NOWHERE) else { return };
        let incremental = link.list & 1 != 0;
        if let Some(turn) = self.turns.get_mut(usize::from(link.list >> 1)) {
            *turn = !incremental;
        }
        if incremental {
            self.remove(slot);
            self.link_in(slot, link.id, usize::from(link.list), self.list(usize::from(link.list)).last);
        }
    }

    /// The slot whose turn it is.
    pub(crate) fn next(&self) -> Option<usize> {
        for (pair, turn) in self.lists.as_chunks::<2>().0.iter().zip(self.turns) {
            let [one, shared] = pair.map(|list| list.first);
            let next = match (one, shared) {
                (NONE, NONE) => continue,
                (NONE, slot) | (slot, NONE) => slot,
                (_, shared) if turn => shared,
                (one, _) => one,
            };
            return Some(next as usize);
        }
        None
    }

    /// Whether a stream waits for its turn.
    pub(crate) fn holds(&self, slot: usize) -> bool {
        self.links.get(slot).is_some_and(|link| link.list != NOWHERE)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.links.capacity().saturating_mul(size_of::<Link>())
    }

    /// Puts a slot behind another, or first.
    fn link_in(&mut self, slot: usize, id: u32, list: usize, before: u32) {
        let own = u32::try_from(slot).unwrap_or(NONE);
        let number = u8::try_from(list).unwrap_or(NOWHERE);
        let behind = match self.links.get_mut(before as usize) {
            Some(link) => std::mem::replace(&mut link.behind, own),
            None => std::mem::replace(&mut self.list_mut(number).first, own),
        };
        match self.links.get_mut(behind as usize) {
            Some(link) => link.before = own,
            None => self.list_mut(number).last = own,
        }
        if let Some(link) = self.links.get_mut(slot) {
            *link = Link { id, before, behind, list: number };
        }
    }

    fn link(&self, slot: u32) -> Option<&Link> {
        self.links.get(slot as usize)
    }

    fn list(&self, list: usize) -> List {
        self.lists.get(list).copied().unwrap_or(List { first: NONE, last: NONE })
    }

    fn list_mut(&mut self, list: u8) -> &mut List {
        self.lists.get_mut(usize::from(list)).expect("an urgency is at most 7")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(schedule: &mut Schedule, turns: usize) -> Vec<usize> {
        (0..turns)
            .map_while(|_| {
                let slot = schedule.next()?;
                schedule.served(slot);
                Some(slot)
            })
            .collect()
    }

    #[test]
    fn priorities_are_read_as_rfc_9218_has_them() {
        let said = |urgency, incremental| Priority { urgency, incremental };
        for (value, priority) in [
            (&b""[..], said(3, false)),
            (b"u=0", said(0, false)),
            (b"u=7, i", said(7, true)),
            (b"i, u=2;x=1", said(2, true)),
            (b"i=?1,u=5", said(5, true)),
            (b"u=1, i=?0", said(1, false)),
            (b"u=8", said(3, false)),
            (b"u=-1", said(3, false)),
            (b"u=1.0, x=\"\xff", said(3, false)),
            (b"u=2, u=4", said(4, false)),
        ] {
            assert_eq!(Priority::parse(value), priority, "{value:?}");
        }
    }

    #[test]
    fn the_urgent_go_first() {
        let mut schedule = Schedule::default();
        for (slot, urgency) in [3, 0, 7, 3].into_iter().enumerate() {
            schedule.insert(slot, slot as u32 * 2 + 1, Priority { urgency, incremental: true });
        }
        assert_eq!(order(&mut schedule, 3), [1, 1, 1]);
        schedule.remove(1);
        assert_eq!(order(&mut schedule, 4), [0, 3, 0, 3]);
        schedule.remove(0);
        schedule.remove(3);
        assert_eq!(order(&mut schedule, 2), [2, 2]);
        schedule.remove(2);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn equals_are_served_in_turn_or_in_order() {
        let (mut schedule, one) = (Schedule::default(), Priority { urgency: 3, incremental: false });
        for (slot, id) in [(4, 9), (2, 5), (3, 7)] {
            schedule.insert(slot, id, one);
        }
        assert_eq!(order(&mut schedule, 3), [2, 2, 2]);
        for (slot, id) in [(0, 1), (1, 3)] {
            schedule.insert(slot, id, Priority::default());
        }
        assert_eq!(order(&mut schedule, 6), [0, 2, 1, 2, 0, 2]);
        schedule.remove(2);
        assert_eq!(order(&mut schedule, 4), [1, 3, 0, 3]);
    }

    #[test]
    fn any_order_of_insertions_and_removals_keeps_the_lists_whole() {
        let (mut schedule, mut held, mut seed) =
            (Schedule::default(), std::collections::BTreeSet::new(), 7_u64);
        for _ in 0..50_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (slot, dice) = ((seed >> 40) as usize % 40, (seed >> 33) as u8);
            if dice.is_multiple_of(2) {
                let priority = Priority { urgency: dice / 2 % 8, incremental: dice.is_multiple_of(3) };
                schedule.insert(slot, slot as u32 * 2 + 1, priority);
                held.insert(slot);
            } else if dice.is_multiple_of(3) {
                schedule.remove(slot);
                held.remove(&slot);
            } else if let Some(next) = schedule.next() {
                schedule.served(next);
            }
            assert_eq!(schedule.next().is_some(), !held.is_empty());
            assert!(held.iter().all(|slot| schedule.holds(*slot)));
        }
    }
}
