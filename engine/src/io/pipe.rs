//! Pipes, through which content goes from one socket to another without passing by us (splice(2)).

use super::{Fd, system};
use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::{AsRawFd, RawFd},
    rc::Rc,
};

/// What a pipe is asked to hold. The kernel may give less.
const PIPE_BYTES: usize = 256 << 10;
/// Pipes that all lanes have at most, two descriptors each: half of what the engine keeps to itself. A pipe is held by
/// whoever has something in it, so only clients that read slowly keep one; who finds none copies.
const PIPES_MAX: usize = 32;

/// A lane's pipes.
#[derive(Clone)]
pub(crate) struct Pipes(Rc<Inner>);

struct Inner {
    /// How many there may be.
    most: usize,
    free: RefCell<Vec<Ends>>,
    made: Cell<usize>,
}

struct Ends {
    read: Fd,
    write: Fd,
}

impl Pipes {
    /// Its share of the pipes, of one of so many lanes.
    pub(crate) fn of_one_of(lanes: usize) -> Self {
        let most = (PIPES_MAX / lanes.max(1)).max(1);
        Self(Rc::new(Inner { most, free: RefCell::default(), made: Cell::new(0) }))
    }

    /// An empty pipe; `None` if all are held, or no descriptor is left.
    pub(crate) fn take(&self) -> Option<Pipe> {
        let free = self.0.free.borrow_mut().pop();
        let ends = match free {
            Some(ends) => ends,
            None if self.0.made.get() < self.0.most => {
                let (read, write) = system::pipe(PIPE_BYTES).ok()?;
                self.0.made.set(self.0.made.get() + 1);
                Ends { read, write }
            }
            None => return None,
        };
        Some(Pipe { ends: Some(ends), pipes: self.clone(), bytes: 0 })
    }
}

/// A pipe, and how much is in it. It goes back when it is dropped empty.
pub(crate) struct Pipe {
    /// Until it is dropped.
    ends: Option<Ends>,
    pipes: Pipes,
    bytes: usize,
}

impl Pipe {
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn ends(&self) -> &Ends {
        self.ends.as_ref().expect("it is there until it is dropped")
    }

    /// Takes up to `bytes_max` from a socket; 0 if that has ended.
    pub(crate) fn fill(&mut self, from: RawFd, bytes_max: u64) -> io::Result<usize> {
        let most = usize::try_from(bytes_max).unwrap_or(usize::MAX).min(PIPE_BYTES);
        let count = system::splice(from, self.ends().write.as_raw_fd(), most)?;
        self.bytes += count;
        Ok(count)
    }

    /// Gives what is in it to a socket, or what that takes of it.
    pub(crate) fn empty(&mut self, to: RawFd) -> io::Result<usize> {
        let count = system::splice(self.ends().read.as_raw_fd(), to, self.bytes)?;
        self.bytes -= count;
        Ok(count)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let pipes = &self.pipes.0;
        match self.ends.take() {
            Some(ends) if self.bytes == 0 => pipes.free.borrow_mut().push(ends),
            // What is in it is nobody's any more.
            _ => pipes.made.set(pipes.made.get() - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    #[test]
    fn content_goes_through_and_the_pipe_comes_back() {
        let (pipes, (mut from, filled)) = (Pipes::of_one_of(2), UnixStream::pair().expect("a pair"));
        let (emptied, mut to) = UnixStream::pair().expect("a pair");
        from.write_all(b"hello").expect("it is taken");
        let mut pipe = pipes.take().expect("a pipe");
        assert_eq!(pipe.fill(filled.as_raw_fd(), 4).expect("some"), 4);
        assert!(!pipe.is_empty());
        assert_eq!(pipe.empty(emptied.as_raw_fd()).expect("all"), 4);
        let mut received = [0; 4];
        to.read_exact(&mut received).expect("four bytes");
        assert_eq!((&received, pipe.is_empty()), (b"hell", true));
        drop(pipe);
        assert_eq!((pipes.0.free.borrow().len(), pipes.0.made.get()), (1, 1));
    }

    #[test]
    fn a_pipe_that_is_not_empty_is_closed_and_there_are_only_so_many() {
        let (pipes, (mut from, filled)) = (Pipes::of_one_of(2), UnixStream::pair().expect("a pair"));
        from.write_all(b"hello").expect("it is taken");
        let mut pipe = pipes.take().expect("a pipe");
        pipe.fill(filled.as_raw_fd(), 5).expect("all");
        drop(pipe);
        assert_eq!((pipes.0.free.borrow().len(), pipes.0.made.get()), (0, 0));
        let held: Vec<_> = (0..PIPES_MAX / 2).map(|_| pipes.take().expect("a pipe")).collect();
        assert!(pipes.take().is_none());
        drop(held);
        assert!(pipes.take().is_some());
        assert_eq!(Pipes::of_one_of(1000).0.most, 1, "one is better than none");
    }
}
