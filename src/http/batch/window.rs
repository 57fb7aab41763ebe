//! A window of work in flight, which is filled in groups.
//!
//! Decisions that begin at the same moment ask their databases together, and a statement for a hundred keys costs little more
//! than one for ten. So the window is not topped up for each decision that has been given out, but when half of it is free: one
//! half is with the databases while the other is decided. A client that sends inputs one by one does not wait for more: what has
//! arrived begins.

use std::pin::Pin;

use futures_util::future::poll_immediate;
use futures_util::stream::{self, Fuse, FuturesOrdered, Stream, StreamExt};

struct Window<S: Stream<Item: Future>> {
    work: Pin<Box<Fuse<S>>>,
    in_flight: FuturesOrdered<S::Item>,
    size: usize,
}

/// The results of `work` in order. At most `size` are in flight at once.
pub(super) fn in_groups<S>(work: S, size: usize) -> impl Stream<Item = <S::Item as Future>::Output>
where
    S: Stream<Item: Future>,
{
    let window = Window { work: Box::pin(work.fuse()), in_flight: FuturesOrdered::new(), size: size.max(1) };
    stream::unfold(window, async |mut window| Some((window.next().await?, window)))
}

impl<S: Stream<Item: Future>> Window<S> {
    async fn next(&mut self) -> Option<<S::Item as Future>::Output> {
        loop {
            if self.has_room() {
                self.fill().await;
            }
            if self.in_flight.is_empty() {
                let work = self.work.next().await?;
                self.in_flight.push_back(work);
            } else if self.work.is_done() || !self.has_room() {
                return self.in_flight.next().await;
            } else {
                tokio::select! {
                    biased;
                    output = self.in_flight.next() => return output,
                    work = self.work.next() => self.in_flight.extend(work),
                }
            }
        }
    }

    /// Half of the window is free.
    fn has_room(&self) -> bool {
        self.in_flight.len() <= self.size / 2
    }

    /// Begins what can be begun at once.
    async fn fill(&mut self) {
        while self.in_flight.len() < self.size {
            let Some(Some(work)) = poll_immediate(self.work.next()).await else { break };
            self.in_flight.push_back(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures_util::future::{FutureExt, ready};
    use tokio::sync::mpsc;

    use super::*;

    fn numbers(receiver: mpsc::UnboundedReceiver<u32>) -> impl Stream<Item = u32> {
        stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
    }

    #[tokio::test]
    async fn order_is_kept_and_no_more_are_in_flight_than_the_window_has_room_for() {
        for size in [0, 1, 2, 3, 8, 1_000] {
            let (in_flight, most) = (Cell::new(0), Cell::new(0));
            let work = stream::iter(0..100_u32).map(|number| {
                let (in_flight, most) = (&in_flight, &most);
                async move {
                    in_flight.set(in_flight.get() + 1);
                    most.set(most.get().max(in_flight.get()));
                    for _ in 0..number % 5 {
                        tokio::task::yield_now().await;
                    }
                    in_flight.set(in_flight.get() - 1);
                    number
                }
            });
            let given: Vec<u32> = in_groups(work, size).collect().await;
            assert_eq!(given, (0..100).collect::<Vec<_>>(), "{size}");
            assert!(most.get() <= size.max(1), "{} of {size}", most.get());
        }
    }

    #[tokio::test]
    async fn work_begins_in_groups_where_there_is_enough_of_it() {
        let begun = RefCell::new(Vec::new());
        let work = stream::iter(0..40_u32).map(|number| {
            begun.borrow_mut().push(number);
            ready(number)
        });
        let mut given = std::pin::pin!(in_groups(work, 8));
        let mut groups = Vec::new();
        let mut seen = 0;
        while given.next().await.is_some() {
            let now = begun.borrow().len();
            if now > seen {
                groups.push(now - seen);
            }
            seen = now;
        }
        assert_eq!(groups, [8, 4, 4, 4, 4, 4, 4, 4, 4]);
    }

    #[tokio::test]
    async fn what_comes_alone_waits_for_nobody() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut given = std::pin::pin!(in_groups(numbers(receiver).map(ready), 8));
        for number in 0..20 {
            sender.send(number).expect("somebody listens");
            assert_eq!(given.next().now_or_never(), Some(Some(number)));
        }
        assert_eq!(given.next().now_or_never(), None);
        drop(sender);
        assert_eq!(given.next().await, None);
    }

    #[tokio::test]
    async fn what_comes_while_others_are_in_flight_begins_at_once() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let begun = Cell::new(0);
        let work = numbers(receiver).map(|number| {
            begun.set(begun.get() + 1);
            // The first takes for ever.
            async move { if number == 0 { std::future::pending().await } else { number } }
        });
        let mut given = std::pin::pin!(in_groups(work, 8));
        for number in 0..4 {
            sender.send(number).expect("somebody listens");
            assert_eq!(given.next().now_or_never(), None);
            assert_eq!(begun.get(), number + 1);
        }
    }
}
