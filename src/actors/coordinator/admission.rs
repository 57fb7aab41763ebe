//! How many decisions are under way at once, and what part of them belongs to batches.
//!
//! A request by itself is refused at once where there is no room. The decisions of batches wait for theirs, and have at most
//! half of it together, so that any number of batches leaves the other half to single requests. Those that wait are served
//! before a request that comes later, so that single requests leave the batches their half, too.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room for decisions of the whole service. Cheap to clone; all clones share it.
#[derive(Debug, Clone)]
pub struct Admission {
    all: Arc<Semaphore>,
    batches: Arc<Semaphore>,
}

/// The right of one decision to be under way. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _one_of_all: OwnedSemaphorePermit,
    _one_of_batches: Option<OwnedSemaphorePermit>,
}

impl Admission {
    /// Room for `most` decisions, at most half of them of batches (and for at least one).
    pub fn new(most: usize) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { all: semaphore(most), batches: semaphore((most / 2).max(1)) }
    }

    /// How many more decisions may begin now.
    pub(super) fn room(&self) -> usize {
        self.all.available_permits()
    }

    /// Room for a single request, where there is some now.
    pub(super) fn single(&self) -> Option<Permit> {
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Permit { _one_of_all: all, _one_of_batches: None })
    }

    /// Room for a decision of a batch, where there is some now.
    pub(super) fn of_batch(&self) -> Option<Permit> {
        let batch = Arc::clone(&self.batches).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Permit { _one_of_all: all, _one_of_batches: Some(batch) })
    }

    /// Room for a decision of a batch, once there is some. `None` never happens: the room is not closed.
    pub(super) async fn of_batch_in_turn(&self) -> Option<Permit> {
        let batch = Arc::clone(&self.batches).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Permit { _one_of_all: all, _one_of_batches: Some(batch) })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn batches_leave_half_of_the_room_to_single_requests() {
        let admission = Admission::new(4);
        let batches: Vec<_> = std::iter::from_fn(|| admission.of_batch()).collect();
        let singles: Vec<_> = std::iter::from_fn(|| admission.single()).collect();
        assert_eq!((batches.len(), singles.len(), admission.room()), (2, 2, 0));
    }

    #[test]
    fn single_requests_leave_batches_their_half() {
        let admission = Admission::new(4);
        let mut singles: Vec<_> = std::iter::from_fn(|| admission.single()).collect();
        assert_eq!(singles.len(), 4);
        let mut first = Box::pin(admission.of_batch_in_turn());
        let mut second = Box::pin(admission.of_batch_in_turn());
        let mut third = Box::pin(admission.of_batch_in_turn());
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        singles.truncate(2);
        assert!(admission.single().is_none(), "what is given back belongs to those that wait");
        let _permits = [first.now_or_never(), second.now_or_never()].map(|permit| permit.flatten().expect("its turn"));
        singles.clear();
        assert!(third.now_or_never().is_none(), "batches have half at most");
    }

    #[test]
    fn there_is_room_for_one_decision_of_a_batch_at_least() {
        assert!(Admission::new(1).of_batch().is_some());
    }
}
