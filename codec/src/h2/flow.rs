//! Flow control (RFC 9113 §5.2, §6.9): what we may send, and what we have said that we take.

use super::frame::STREAM_MAX;

/// The window of streams and of the connection before anything is said of it (RFC 9113 §6.9.2).
pub(crate) const WINDOW_DEFAULT: u32 = 65_535;
/// The largest window.
pub(crate) const WINDOW_MAX: u32 = STREAM_MAX;

/// A window would be larger than [`WINDOW_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

/// More came than there was room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded;

/// What may be sent. Less than nothing after the peer has made its initial window smaller (RFC 9113 §6.9.2): never
/// less than -2^31, as no more than a whole window was ever sent on credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SendWindow(i32);

impl SendWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self(i32::try_from(size).unwrap_or(i32::MAX))
    }

    /// Octets that may be sent now.
    pub(crate) fn available(self) -> u32 {
        u32::try_from(self.0).unwrap_or(0)
    }

    /// `len` octets were sent, of those that were available.
    pub(crate) fn take(&mut self, len: u32) {
        self.0 = self.0.saturating_sub(i32::try_from(len).unwrap_or(i32::MAX));
    }

    /// The peer takes so many more.
    pub(crate) fn add(&mut self, increment: u32) -> Result<(), Overflow> {
        self.shift(i64::from(increment))
    }

    /// The initial window changed by so much.
    pub(crate) fn shift(&mut self, difference: i64) -> Result<(), Overflow> {
        let size = i64::from(self.0).saturating_add(difference);
        self.0 = i32::try_from(size.max(i64::from(i32::MIN))).map_err(|_| Overflow)?;
        Ok(())
    }
}

/// What may come, and what has come and was not given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceiveWindow {
    /// What the peer may still send. Less than nothing while it has not heard that its window is smaller.
    left: i32,
    /// Octets that have come and that the application holds.
    held: u32,
    /// Octets that may be given back to the peer, and are so few that they wait for more.
    credit: u32,
    /// The whole window.
    size: u32,
}

impl ReceiveWindow {
    /// A window of `size`, of which the peer at first believes that it has `left`.
    pub(crate) fn new(size: u32, left: u32) -> Self {
        Self { left: i32::try_from(left).unwrap_or(i32::MAX), held: 0, credit: 0, size }
    }

    /// So many octets came.
    pub(crate) fn receive(&mut self, len: u32) -> Result<(), Exceeded> {
        let left = i64::from(self.left).saturating_sub(i64::from(len));
        if left < 0 {
            return Err(Exceeded);
        }
        self.left = i32::try_from(left).map_err(|_| Exceeded)?;
        self.held = self.held.saturating_add(len);
        Ok(())
    }

    /// The application is done with so many octets. What to give back to the peer, once that is half of the window:
    /// many small updates would cost both sides (RFC 9113 §6.9.1).
    pub(crate) fn release(&mut self, len: u32) -> Option<u32> {
        let len = len.min(self.held);
        self.held = self.held.saturating_sub(len);
        self.credit = self.credit.saturating_add(len);
        if self.credit == 0 || self.credit < self.size.div_ceil(2) {
            return None;
        }
        let credit = std::mem::take(&mut self.credit);
        self.left = self.left.saturating_add(i32::try_from(credit).unwrap_or(i32::MAX));
        Some(credit)
    }

    /// The peer has heard of another size than the one that it believed in.
    pub(crate) fn shift(&mut self, difference: i32) {
        self.left = self.left.saturating_add(difference);
    }

    /// Octets that the application holds.
    pub(crate) fn held(&self) -> u32 {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_be_negative_and_recovers() {
        let mut window = SendWindow::new(60_000);
        window.take(60_000);
        window.shift(16_384 - 60_000).unwrap();
        assert_eq!((window.available(), window.0), (0, -43_616));
        window.add(43_616).unwrap();
        assert_eq!(window.available(), 0);
        window.add(1).unwrap();
        assert_eq!(window.available(), 1);
    }

    #[test]
    fn a_window_has_a_maximum() {
        let mut window = SendWindow::new(WINDOW_MAX);
        assert_eq!(window.available(), WINDOW_MAX);
        assert_eq!(window.add(1), Err(Overflow));
        window.take(1);
        assert_eq!(window.add(1), Ok(()));
        assert_eq!(window.add(WINDOW_MAX), Err(Overflow));
        let mut low = SendWindow::new(0);
        low.shift(-i64::from(WINDOW_MAX)).unwrap();
        low.add(WINDOW_MAX).unwrap();
        assert_eq!(low.available(), 0);
    }

    #[test]
    fn credit_goes_back_in_halves() {
        let mut window = ReceiveWindow::new(100, 100);
        assert_eq!(window.receive(101), Err(Exceeded));
        window.receive(100).unwrap();
        assert_eq!(window.receive(1), Err(Exceeded));
        assert_eq!(window.release(49), None);
        assert_eq!(window.release(1), Some(50));
        assert_eq!(window.release(1000), Some(50), "no more than was held");
        assert_eq!(window.release(1), None);
        window.receive(100).unwrap();
        assert_eq!(window.receive(1), Err(Exceeded));
    }
}
