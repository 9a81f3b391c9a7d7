//! On both drivers: what the loop promises to those who wait.

use super::*;
use std::{
    future::poll_fn,
    io::{Read, Write},
    os::unix::net::UnixStream,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Wake, Waker},
    thread,
};

fn on_both(test: impl Fn(&Runtime)) {
    test(&Runtime::on_epoll().expect("there always is epoll"));
    match Runtime::on_ring() {
        Ok(runtime) => test(&runtime),
        Err(error) => eprintln!("skipped: {error}"),
    }
}

/// A descriptor to wait for, and the other end of it.
fn pair() -> (Watched, UnixStream) {
    let (here, there) = UnixStream::pair().expect("a pair");
    here.set_nonblocking(true).expect("it is possible");
    (Watched::new(here.into()), there)
}

async fn ready(watched: &Watched, direction: Direction) {
    poll_fn(|cx| watched.poll(direction, cx)).await.expect("it can be waited for");
}

async fn once(watched: &Watched, direction: Direction) {
    poll_fn(|cx| watched.poll_once(direction, cx)).await.expect("it can be waited for");
}

/// Receives what there is, as a connection does.
fn receive(watched: &Watched) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    let _ = crate::sys::receive_now(watched.as_raw_fd(), &mut bytes, 64);
    watched.exhausted(Direction::In);
    bytes
}

/// Ready only after the loop has looked at the kernel so often.
async fn looks(count: usize) {
    let (mut here, mut there) = UnixStream::pair().expect("a pair");
    there.set_nonblocking(true).expect("it is possible");
    let watched = Watched::new(there.try_clone().expect("another").into());
    for _ in 0..count {
        here.write_all(b".").expect("it is taken");
        once(&watched, Direction::In).await;
        there.read_exact(&mut [0]).expect("it is there");
    }
}

#[test]
fn what_comes_again_and_again_is_seen_each_time() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (watched, mut there) = pair();
            for round in 0..5u8 {
                there.write_all(&[round]).expect("it is taken");
                ready(&watched, Direction::In).await;
                assert_eq!(receive(&watched), [round]);
            }
        });
    });
}

#[test]
fn what_came_before_a_wait_that_stays_is_seen() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (watched, mut there) = pair();
            there.write_all(b"a").expect("it is taken");
            ready(&watched, Direction::In).await;
            assert_eq!(receive(&watched), b"a");
            // The next wait is the one that stays, and what it waits for is there.
            there.write_all(b"b").expect("it is taken");
            ready(&watched, Direction::In).await;
            assert_eq!(receive(&watched), b"b");
        });
    });
}

#[test]
fn what_is_left_needs_no_second_word() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (watched, mut there) = pair();
            for _ in 0..3 {
                there.write_all(b"ab").expect("it is taken");
                ready(&watched, Direction::In).await;
                let mut bytes = Vec::with_capacity(1);
                crate::sys::receive_now(watched.as_raw_fd(), &mut bytes, 1).expect("one byte");
                // Nobody said that there was no more.
                ready(&watched, Direction::In).await;
                assert_eq!(receive(&watched), b"b");
            }
        });
    });
}

#[test]
fn an_end_behind_what_was_received_is_seen() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (watched, mut there) = pair();
            for _ in 0..2 {
                there.write_all(b"a").expect("it is taken");
                ready(&watched, Direction::In).await;
                assert_eq!(receive(&watched), b"a");
            }
            there.write_all(b"last").expect("it is taken");
            drop(there);
            // Both have come before the loop looks once.
            ready(&watched, Direction::In).await;
            assert_eq!(receive(&watched), b"last");
            ready(&watched, Direction::In).await;
            assert_eq!(receive(&watched), b"");
            ready(&watched, Direction::In).await;
        });
    });
}

#[test]
fn room_is_seen_when_there_is_room_again() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (watched, mut there) = pair();
            there.set_nonblocking(true).expect("it is possible");
            for _ in 0..3 {
                while crate::sys::send_now(watched.as_raw_fd(), &[0; 4096]).is_ok() {}
                watched.exhausted(Direction::Out);
                let is_full = poll_fn(|cx| Poll::Ready(watched.poll(Direction::Out, cx).is_pending())).await;
                assert!(is_full);
                let mut sink = [0; 65536];
                while there.read(&mut sink).is_ok() {}
                ready(&watched, Direction::Out).await;
                crate::sys::send_now(watched.as_raw_fd(), b"a").expect("there is room");
            }
        });
    });
}

#[test]
fn a_place_that_is_used_again_hears_nothing_of_who_had_it_before() {
    on_both(|runtime| {
        runtime.block_on(async {
            for _ in 0..4 {
                let (watched, mut there) = pair();
                // Armed, for once or to stay, and closed with it.
                for _ in 0..2 {
                    there.write_all(b"a").expect("it is taken");
                    ready(&watched, Direction::In).await;
                    receive(&watched);
                }
                let armed = poll_fn(|cx| Poll::Ready(watched.poll(Direction::In, cx).is_pending())).await;
                assert!(armed);
                there.write_all(b"late").expect("it is taken");
                drop(watched);
                let (watched, _there) = pair();
                let waits = poll_fn(|cx| Poll::Ready(watched.poll(Direction::In, cx).is_pending())).await;
                assert!(waits);
                looks(3).await;
                let waits = poll_fn(|cx| Poll::Ready(watched.poll(Direction::In, cx).is_pending())).await;
                assert!(waits, "nothing has come for it");
            }
        });
    });
}

#[test]
fn a_place_that_has_gone_and_come_again_hears_nothing_of_who_had_it_before() {
    const CROWD: usize = 200;
    on_both(|runtime| {
        runtime.block_on(async {
            let (first, _there) = pair();
            let mut crowd: Vec<_> = (0..CROWD).map(|_| pair()).collect();
            for (watched, _) in &crowd {
                let waits = poll_fn(|cx| Poll::Ready(watched.poll(Direction::In, cx).is_pending())).await;
                assert!(waits);
            }
            // They are armed; then the kernel has something to tell that the loop does not see.
            looks(1).await;
            crowd.iter_mut().for_each(|(_, there)| there.write_all(b"late").expect("it is taken"));
            drop(crowd);
            assert!(has_spare());
            shrink();
            assert!(!has_spare());
            let again: Vec<_> = (0..CROWD).map(|_| pair()).collect();
            for (watched, _) in &again {
                let waits = poll_fn(|cx| Poll::Ready(watched.poll(Direction::In, cx).is_pending())).await;
                assert!(waits);
            }
            looks(3).await;
            for (watched, _) in &again {
                let waits = poll_fn(|cx| Poll::Ready(watched.poll(Direction::In, cx).is_pending())).await;
                assert!(waits, "nothing has come for it");
            }
            drop(first);
        });
    });
}

#[test]
fn a_task_whose_place_has_gone_is_woken_for_nothing() {
    on_both(|runtime| {
        runtime.block_on(async {
            let wakers = Rc::new(RefCell::new(Vec::new()));
            for _ in 0..200 {
                let wakers = wakers.clone();
                spawn(poll_fn(move |cx| {
                    wakers.borrow_mut().push(cx.waker().clone());
                    Poll::Ready(())
                }));
            }
            looks(1).await;
            // Some are in the queue when their places go.
            wakers.borrow().iter().for_each(Waker::wake_by_ref);
            shrink();
            wakers.borrow().iter().for_each(Waker::wake_by_ref);
            looks(1).await;
            let done = Rc::new(Cell::new(0));
            for _ in 0..200 {
                let done = done.clone();
                spawn(async move { done.set(done.get() + 1) });
            }
            looks(1).await;
            assert_eq!(done.get(), 200);
        });
    });
}

#[test]
fn closing_is_seen_although_something_came_that_the_loop_has_not_seen() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (watched, mut there) = pair();
            for _ in 0..2 {
                there.write_all(b"a").expect("it is taken");
                ready(&watched, Direction::In).await;
                receive(&watched);
            }
            let waits = poll_fn(|cx| Poll::Ready(watched.poll(Direction::In, cx).is_pending())).await;
            assert!(waits);
            // The kernel has begun to tell the loop when the wait is taken back.
            there.write_all(b"late").expect("it is taken");
            drop(watched);
            looks(2).await;
            there.set_nonblocking(true).expect("it is possible");
            let error = there.write_all(b"more").expect_err("nobody is there any more");
            assert_ne!(error.kind(), io::ErrorKind::WouldBlock);
        });
    });
}

#[test]
fn closing_is_seen_at_the_other_end_although_the_loop_still_waited() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (watched, mut there) = pair();
            for _ in 0..2 {
                there.write_all(b"a").expect("it is taken");
                ready(&watched, Direction::In).await;
                receive(&watched);
            }
            let waits = poll_fn(|cx| Poll::Ready(watched.poll(Direction::In, cx).is_pending())).await;
            assert!(waits);
            drop(watched);
            looks(2).await;
            there.set_nonblocking(true).expect("it is possible");
            assert_eq!(there.read(&mut [0; 8]).expect("the end"), 0);
        });
    });
}

#[test]
fn a_wait_for_once_asks_the_system_each_time() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (watched, mut there) = pair();
            there.write_all(b"a").expect("it is taken");
            // It was not received, so it is there still.
            once(&watched, Direction::In).await;
            once(&watched, Direction::In).await;
            once(&watched, Direction::Out).await;
        });
    });
}

#[test]
fn a_task_is_woken_for_itself_and_a_waker_of_its_own_for_that() {
    struct Noted(AtomicBool);
    impl Wake for Noted {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    on_both(|runtime| {
        let ((mine, mut to_me), (theirs, mut to_them)) = runtime.block_on(async { (pair(), pair()) });
        let noted = Arc::new(Noted(false.into()));
        let is_noted = {
            let noted = noted.clone();
            move || noted.0.load(Ordering::Relaxed)
        };
        let (done, is_done) = mpsc::channel();
        runtime.block_on(async {
            spawn(async move {
                let waker = Waker::from(noted);
                for direction in [Direction::In; 2] {
                    // As whoever polls parts of itself does: one part by a waker that tells it which.
                    assert!(theirs.poll(direction, &Context::from_waker(&waker)).is_pending());
                    ready(&mine, direction).await;
                    assert_eq!(receive(&mine), b"x");
                }
                done.send(()).expect("somebody waits for it");
            });
            looks(2).await;
            to_me.write_all(b"x").expect("it is taken");
            looks(2).await;
            assert!(!is_noted(), "nothing has come there");
            to_them.write_all(b"y").expect("it is taken");
            looks(2).await;
            assert!(is_noted());
            assert!(is_done.try_recv().is_err(), "the task waits for something else");
            to_me.write_all(b"x").expect("it is taken");
            looks(2).await;
            is_done.try_recv().expect("it has been woken");
        });
    });
}

#[test]
fn who_waited_last_is_woken_be_it_by_a_waker_or_by_a_place() {
    on_both(|runtime| {
        let (watched, mut there) = runtime.block_on(async { pair() });
        let watched = Rc::new(watched);
        let (done, came) = mpsc::channel();
        runtime.block_on(async {
            for name in ["first", "second"] {
                let (watched, done) = (watched.clone(), done.clone());
                spawn(async move {
                    ready(&watched, Direction::In).await;
                    assert_eq!(receive(&watched), b"x");
                    done.send(name).expect("somebody waits for it");
                });
                looks(2).await;
            }
            there.write_all(b"x").expect("it is taken");
            looks(2).await;
            assert_eq!(came.try_recv(), Ok("second"));
            assert!(came.try_recv().is_err());
            // The main future has no place.
            let waits = poll_fn(|cx| watched.poll(Direction::In, cx));
            let mut waits = pin!(waits);
            let at_once = poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_ready())).await;
            assert!(!at_once);
            there.write_all(b"x").expect("it is taken");
            waits.await.expect("it can be waited for");
        });
    });
}

#[test]
fn a_task_is_woken_from_another_thread() {
    on_both(|runtime| {
        let (tell, told) = mpsc::channel::<Waker>();
        let answered = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let answers = answered.clone();
        let other = thread::spawn(move || {
            for waker in told {
                answers.fetch_add(1, Ordering::SeqCst);
                waker.wake();
            }
        });
        runtime.block_on(async {
            for round in 1..=20 {
                let mut asked = false;
                poll_fn(|cx| {
                    if !std::mem::replace(&mut asked, true) {
                        tell.send(cx.waker().clone()).expect("it listens");
                    }
                    let seen = answered.load(Ordering::SeqCst);
                    if seen >= round { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        });
        drop(tell);
        other.join().expect("it ends");
    });
}

#[test]
fn a_waker_outlives_its_loop() {
    let runtime = Runtime::on_epoll().expect("there always is epoll");
    let waker = runtime.block_on(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
    drop(runtime);
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().expect("nobody panics");
}

#[test]
fn a_task_that_panics_is_gone_and_the_loop_goes_on() {
    on_both(|runtime| {
        let dropped = Rc::new(Cell::new(0));
        struct Counts(Rc<Cell<u32>>);
        impl Drop for Counts {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let counts = Counts(dropped.clone());
        let lived = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                spawn(async move {
                    let _held = counts;
                    panic!("on purpose");
                });
                looks(1).await;
            });
        }));
        assert!(lived.is_err());
        assert_eq!(dropped.get(), 1, "what it held is let go of");
        // Its place is free, and the loop goes on.
        let counts = Counts(dropped.clone());
        runtime.block_on(async {
            spawn(async move { drop(counts) });
            looks(1).await;
        });
        assert_eq!(dropped.get(), 2);
    });
}

#[test]
fn tasks_that_wake_themselves_leave_the_others_their_turn() {
    on_both(|runtime| {
        let polls = Rc::new(Cell::new(0u64));
        let counted = polls.clone();
        runtime.block_on(async {
            spawn(poll_fn(move |cx| {
                counted.set(counted.get() + 1);
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            }));
            let (watched, mut there) = pair();
            there.write_all(b"a").expect("it is taken");
            ready(&watched, Direction::In).await;
        });
        assert!(polls.get() > 0);
    });
}

#[test]
fn what_is_left_when_a_loop_ends_is_dropped_with_it() {
    let held = Rc::new(());
    let runtime = Runtime::on_epoll().expect("there always is epoll");
    let holds = held.clone();
    runtime.block_on(async {
        let (watched, there) = pair();
        spawn(async move {
            let _holds = (holds, there);
            ready(&watched, Direction::In).await;
        });
        looks(1).await;
    });
    assert_eq!(Rc::strong_count(&held), 2);
    drop(runtime);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
#[should_panic(expected = "this thread runs a lane already")]
fn there_is_one_loop_for_a_thread() {
    let runtime = Runtime::on_epoll().expect("there always is epoll");
    let other = Runtime::on_epoll().expect("there always is epoll");
    runtime.block_on(async { other.block_on(async {}) });
}
