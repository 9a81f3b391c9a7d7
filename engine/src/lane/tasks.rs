//! A lane's own tasks, which end when it does.

use super::Lane;
use crate::{io, metrics::Metric, sink::Event};
use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::Poll,
};

impl Lane {
    /// Runs `task` beside the requests, until it ends or the lane does. A panic in it ends it alone.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn_again_if(task, false, || std::future::ready(()));
    }

    /// Runs a task of the lane's own, which never ends: after a panic it begins again.
    pub(crate) fn spawn_forever<T: Future<Output = ()> + 'static>(&self, task: impl Fn() -> T + 'static) {
        self.spawn_again_if(task(), true, task);
    }

    fn spawn_again_if<T: Future<Output = ()>>(
        &self,
        first: impl Future<Output = ()> + 'static,
        again: bool,
        next: impl Fn() -> T + 'static,
    ) {
        let lane = self.clone();
        io::spawn(async move {
            let mut ended = lane.until_cut(pin!(first)).await;
            while let Some(Err(message)) = ended {
                lane.0.metrics.count(Metric::EnginePanics);
                lane.event(&Event::LanePanicked { lane: lane.id(), message });
                if !again {
                    return;
                }
                ended = lane.until_cut(pin!(next())).await;
            }
        });
    }

    /// Polls `task` until it ends or panics, or leaves it when the lane ends: the runtime itself would keep it for ever.
    async fn until_cut<T>(&self, task: Pin<&mut impl Future<Output = T>>) -> Option<Result<T, String>> {
        let place = Place::take(self);
        let mut task = pin!(caught(task));
        poll_fn(|cx| {
            if self.is_cut() {
                return Poll::Ready(None);
            }
            place.waits(cx);
            self.begin_poll();
            task.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

/// A task's place in the lane's list of those that it runs.
struct Place<'a> {
    lane: &'a Lane,
    index: usize,
}

impl<'a> Place<'a> {
    fn take(lane: &'a Lane) -> Self {
        let mut tasks = lane.0.tasks.borrow_mut();
        let index = tasks.iter().position(Option::is_none).unwrap_or(tasks.len());
        if index == tasks.len() {
            tasks.push(None);
        }
        tasks[index] = Some(None);
        Self { lane, index }
    }

    fn waits(&self, cx: &std::task::Context<'_>) {
        let place = &mut self.lane.0.tasks.borrow_mut()[self.index];
        if !place
            .as_ref()
            .is_some_and(|waker| waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())))
        {
            *place = Some(Some(cx.waker().clone()));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lane.0.tasks.borrow_mut()[self.index] = None;
    }
}

/// Polls `task`; a panic in it becomes its words. It is never polled again after that, only dropped. It stays where it is:
/// what is given to an `async fn` by value is moved once more, and futures are large.
pub(crate) async fn caught<T>(mut task: Pin<&mut impl Future<Output = T>>) -> Result<T, String> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => Poll::Ready(Err(panic_message(&*payload))),
    })
    .await
}

pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let message = payload.downcast_ref::<&str>().copied();
    message
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}
