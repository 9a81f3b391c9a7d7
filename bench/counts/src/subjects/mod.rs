//! What is counted: each subject is a piece of work that is done a few times to warm it up and then once for the
//! count. The work checks its own results, so that it can't count the instructions of a failure.

mod balancer;
mod codec;
mod h2;
mod hpack;
mod theirs;

use std::hint::black_box;

/// Runs before the one that counts: buffers have grown, and what is decided once is decided.
const WARM_UPS: usize = 3;
/// Of a thread of its own, whose stack begins on a page: on the main thread's stack, which begins after arguments
/// and environment, copies of the same bytes would be aligned otherwise in another directory.
const STACK_BYTES: usize = 1 << 20;
/// How valgrind finds the measured calls; see [`measured`].
pub(crate) const MEASURED: &str = "corelane_counts::subjects::measured";
/// The name of the work that is nothing, which is what a measurement itself costs.
pub(crate) const NOTHING: &str = "nothing";

/// Goes through the subjects, in their order.
#[derive(Debug, Default)]
pub(crate) struct Course {
    names: Vec<String>,
}

impl Course {
    /// Work that finds its state as it left it.
    fn subject(&mut self, name: impl Into<String>, mut work: impl FnMut()) {
        self.subject_of(name, &mut (), |()| {}, |()| work());
    }

    /// Work on a state that is prepared for each run, which doesn't count.
    fn subject_of<S>(
        &mut self,
        name: impl Into<String>,
        state: &mut S,
        mut prepare: impl FnMut(&mut S),
        mut work: impl FnMut(&mut S),
    ) {
        for _ in 0..WARM_UPS {
            prepare(state);
            work(state);
        }
        prepare(state);
        measured(&mut || work(state));
        self.names.push(name.into());
    }
}

/// Instructions count while this is on the stack, and no other time. Neither generic nor inlined, so that there is
/// one function of this name; and with something to do after the work, so that it doesn't leave by jumping there.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    black_box(work)();
    black_box(());
}

/// Runs everything. Gives the names, in order.
pub(crate) fn run() -> Vec<String> {
    let course = || {
        let mut course = Course::default();
        course.subject(NOTHING, || {});
        codec::subjects(&mut course);
        hpack::subjects(&mut course);
        h2::subjects(&mut course);
        theirs::subjects(&mut course);
        balancer::subjects(&mut course);
        course.names
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(course);
    thread.expect("a thread starts").join().expect("every subject does what it says")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_do_what_they_say_and_have_names_of_their_own() {
        let mut names = run();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.contains(&NOTHING.to_owned()) && all > 40, "{names:?}");
    }
}
