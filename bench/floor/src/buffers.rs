//! The pool of receive buffers, from which the kernel picks one for each piece that arrives.

use std::collections::VecDeque;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// Buffers in the pool; a power of two, as the ring's index is masked.
const BUFFERS: u16 = 512;
/// Size of one buffer.
const BUFFER_BYTES: usize = 32 * 1024;
/// The group id under which the pool is registered.
pub(crate) const GROUP: u16 = 0;

const _: () = assert!(BUFFERS.is_power_of_two() && BUFFER_BYTES <= u32::MAX as usize);

/// A buffer that the kernel gave to us. It is neither `Copy` nor `Clone`: it goes back exactly once.
#[derive(Debug)]
pub(crate) struct Buffer(u16);

/// Bytes received that are still to be sent.
#[derive(Debug)]
pub(crate) struct Piece {
    buffer: Buffer,
    received: u32,
    sent: u32,
}

impl Piece {
    pub(crate) fn new(buffer: Buffer, received: u32) -> Self {
        assert!(received as usize <= BUFFER_BYTES, "the kernel wrote within the buffer");
        Self { buffer, received, sent: 0 }
    }

    /// Notes that `bytes` more have been sent; true when nothing is left.
    pub(crate) fn advance(&mut self, bytes: u32) -> bool {
        self.sent += bytes;
        assert!(self.sent <= self.received, "the kernel sent what it was given");
        self.sent == self.received
    }

    pub(crate) fn into_buffer(self) -> Buffer {
        self.buffer
    }
}

/// The pool. Its memory is never unmapped, so an address given to the kernel is valid as long as the process.
pub(crate) struct Buffers {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    /// The ring's tail as we have written it, which the kernel sees after `publish`.
    tail: u16,
    /// Buffers that are ours: received into and not yet recycled.
    held: u16,
}

impl Buffers {
    /// Maps the memory, registers it with `ring` and gives every buffer to the kernel.
    pub(crate) fn register(ring: &IoUring) -> io::Result<Self> {
        let entries = map(BUFFERS as usize * size_of::<BufRingEntry>())?.cast::<BufRingEntry>();
        let memory = map(BUFFERS as usize * BUFFER_BYTES)?;
        // SAFETY: the entries are `BUFFERS` long, aligned to a page, and never unmapped.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(entries.as_ptr() as u64, BUFFERS, GROUP, 0)?;
        }
        let mut buffers = Self { entries, memory, tail: 0, held: BUFFERS };
        (0..BUFFERS).for_each(|index| buffers.recycle(Buffer(index)));
        buffers.publish();
        Ok(buffers)
    }

    /// The buffer that a completion's flags name, if there is one.
    pub(crate) fn take(&mut self, flags: u32) -> Option<Buffer> {
        let index = io_uring::cqueue::buffer_select(flags)?;
        assert!(index < BUFFERS && self.held < BUFFERS, "the kernel picks only what it was given");
        self.held += 1;
        Some(Buffer(index))
    }

    /// Puts a buffer back; the kernel may use it after the next `publish`.
    pub(crate) fn recycle(&mut self, buffer: Buffer) {
        let slot = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: `slot` is below `BUFFERS`, the length of the mapping, and the kernel doesn't read the slots
        // from the published tail on. The tail shares its bytes with a field of slot 0 that is not written here.
        let entry = unsafe { &mut *self.entries.as_ptr().add(slot) };
        entry.set_addr(self.address(buffer.0) as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer.0);
        self.tail = self.tail.wrapping_add(1);
        self.held -= 1;
    }

    /// Shows the kernel what was recycled.
    pub(crate) fn publish(&self) {
        // SAFETY: the pointer is that of slot 0, and zeroes are a valid entry.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail is two aligned bytes that live as long as the process; the kernel only reads them.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // Release: the slots below the tail are written before it is.
        tail.store(self.tail, Ordering::Release);
    }

    /// Whether the kernel has anything left to pick.
    pub(crate) fn any_free(&self) -> bool {
        self.held < BUFFERS
    }

    /// Where the unsent part of a piece begins, and its length.
    pub(crate) fn unsent(&self, piece: &Piece) -> (*const u8, u32) {
        let start = self.address(piece.buffer.0).wrapping_add(piece.sent as usize);
        (start, piece.received - piece.sent)
    }

    /// Recycles all that waits in `outbox`.
    pub(crate) fn recycle_all(&mut self, outbox: &mut VecDeque<Piece>) {
        outbox.drain(..).for_each(|piece| self.recycle(piece.into_buffer()));
    }

    fn address(&self, index: u16) -> *const u8 {
        self.memory.as_ptr().wrapping_add(usize::from(index) * BUFFER_BYTES)
    }
}

/// Zeroed pages that are never unmapped.
fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping touches no memory that exists.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(address.cast()).expect("the kernel maps nothing at address zero unless told to"))
}
