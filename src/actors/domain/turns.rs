//! How many queries of batches one domain is asked at once.
//!
//! A batch has more queries than a pool has connections. They wait here and not in the pool, where single requests would wait
//! behind them and where a wait has a limit. The share is half of what the domain admits. A query takes as much of it as its
//! kind needs: where only two of a kind can run at once each takes half of the share, while queries that go together in one
//! statement take the least.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The turns of one domain.
#[derive(Debug)]
pub(super) struct Turns {
    share: Semaphore,
    size: u32,
}

impl Turns {
    /// Turns where `capacity` queries are admitted, running or waiting.
    pub(super) fn of(capacity: u32) -> Self {
        let size = (capacity / 2).clamp(1, 1 << 20);
        Self { share: Semaphore::new(usize::try_from(size).unwrap_or(1)), size }
    }

    /// Takes a turn, once it has come. `room` says how many queries of this kind can run at once: that is asked again when
    /// the turn has come, since the first answers show how quick a query is. `None` never happens: turns are not closed.
    pub(super) async fn take(&self, room: impl Fn() -> usize) -> Option<SemaphorePermit<'_>> {
        loop {
            let cost = self.cost(room());
            let mut permit = self.share.acquire_many(cost).await.ok()?;
            let now = self.cost(room());
            if now <= cost {
                drop(permit.split(usize::try_from(cost - now).ok()?));
                return Some(permit);
            }
        }
    }

    fn cost(&self, room: usize) -> u32 {
        (self.size / u32::try_from(room).unwrap_or(u32::MAX).max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::FutureExt;

    use super::*;

    fn taken(turns: &Turns, room: usize) -> usize {
        let all: Vec<_> = std::iter::from_fn(|| turns.take(|| room).now_or_never().flatten()).collect();
        all.len()
    }

    #[test]
    fn no_more_are_asked_than_can_run() {
        for (capacity, room, most) in
            [(1_026, 1, 1), (1_026, 2, 2), (1_044, 15, 15), (1_044, usize::MAX, 522), (2, usize::MAX, 1), (1, 1, 1)]
        {
            assert_eq!(taken(&Turns::of(capacity), room), most, "{capacity} {room}");
        }
    }

    #[test]
    fn a_query_that_has_turned_out_to_be_quick_makes_room_for_others() {
        let (turns, room) = (Turns::of(100), Cell::new(1));
        let first = turns.take(|| room.get()).now_or_never().flatten();
        let mut second = Box::pin(turns.take(|| room.get()));
        assert!(first.is_some() && (&mut second).now_or_never().is_none());
        room.set(usize::MAX);
        drop(first);
        let _second = second.now_or_never().flatten().expect("its turn");
        assert_eq!(taken(&turns, usize::MAX), 49);
    }

    #[test]
    fn a_query_that_has_turned_out_to_be_slow_waits_for_more_room() {
        let (turns, room) = (Turns::of(100), Cell::new(usize::MAX));
        let others: Vec<_> = (0..50).filter_map(|_| turns.take(|| usize::MAX).now_or_never().flatten()).collect();
        let mut waits = Box::pin(turns.take(|| room.get()));
        assert!((&mut waits).now_or_never().is_none());
        room.set(1);
        let mut others = others;
        others.truncate(1);
        assert!((&mut waits).now_or_never().is_none());
        others.clear();
        assert!(waits.now_or_never().flatten().is_some());
    }
}
