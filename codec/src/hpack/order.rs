//! Which field comes behind which. The blocks of a connection are much alike: what followed last time is compared before
//! anything is searched for.

use super::statics;

/// As many fields are remembered with what came behind them.
const FIELDS: u8 = 32;
/// Marks a number among the places.
const DYNAMIC: u16 = 1 << 15;

/// Where a field stands in the tables, in a way that stays true while the dynamic one grows: an index of the static table,
/// or the number of the insertion into the other, modulo 2^15; or nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place(u16);

impl Place {
    /// In none.
    pub(super) const NOWHERE: Self = Self(0);

    /// Of an index, while so many entries have been added.
    #[inline]
    pub(super) fn of(index: usize, added: u16) -> Self {
        match index.checked_sub(statics::FIRST_DYNAMIC) {
            Some(age) => Self(added.wrapping_sub(age as u16) | DYNAMIC),
            None => Self(index as u16),
        }
    }

    /// The index, while so many entries have been added; of an entry that may be gone, or be another.
    #[inline]
    pub(super) fn index(self, added: u16) -> Option<usize> {
        match self.0 {
            0 => None,
            place if place & DYNAMIC != 0 => {
                let age = added.wrapping_sub(place) & !DYNAMIC;
                Some(statics::FIRST_DYNAMIC.saturating_add(usize::from(age)))
            }
            place => Some(usize::from(place)),
        }
    }
}

/// What came behind each field lately. Fields may share a place here, so what is remembered may be of another.
#[derive(Debug)]
pub(super) struct Order {
    behind: [Place; FIELDS as usize],
    /// Of the field that was the last; that of none in particular when a block begins.
    last: u8,
}

impl Order {
    pub(super) fn new() -> Self {
        Self { behind: [Place::NOWHERE; FIELDS as usize], last: 0 }
    }

    /// A block begins.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.last = 0;
    }

    /// What came next when this had been the last.
    #[inline]
    pub(super) fn next(&self) -> Place {
        self.behind.get(usize::from(self.last)).copied().unwrap_or_default()
    }

    /// It has come again.
    #[inline]
    pub(super) fn goes_on(&mut self, place: Place) {
        // New entries have the lowest numbers, so fields of the static table are told from them by being counted down.
        let at = if place.0 & DYNAMIC == 0 { !place.0 } else { place.0 };
        self.last = at as u8 & (FIELDS - 1);
    }

    /// Something else has come: at this place, or at none and with a name of this hash.
    #[inline]
    pub(super) fn turns(&mut self, place: Place, hash: u32) {
        if let Some(behind) = self.behind.get_mut(usize::from(self.last)) {
            *behind = place;
        }
        if place == Place::NOWHERE {
            self.last = hash as u8 & (FIELDS - 1);
        } else {
            self.goes_on(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_stays_true_while_others_are_added() {
        for (index, added) in [(1, 0), (61, 9), (62, 1), (70, 9), (62, u16::MAX), (100, 3), (189, 200)] {
            let place = Place::of(index, added);
            for later in [0, 1, 5, 100, 30_000] {
                let moved = if index > 61 { usize::from(later) } else { 0 };
                if index < 100 || moved < 30_000 {
                    assert_eq!(
                        place.index(added.wrapping_add(later)),
                        Some(index + moved),
                        "{index} {added} {later}"
                    );
                }
            }
        }
        assert_eq!(Place::NOWHERE.index(7), None);
    }

    #[test]
    fn what_came_behind_a_field_is_expected_again() {
        let mut order = Order::new();
        let places = [2, 4, 62, 64, 61].map(|index| Place::of(index, 40));
        for round in 0..2 {
            order.begin();
            for (at, place) in places.into_iter().enumerate() {
                assert_eq!(order.next() == place, round == 1);
                order.turns(place, 0);
                // A literal in between.
                order.turns(Place::NOWHERE, 0x1234_5670 + at as u32);
            }
        }
    }
}
