//! Bounds the number of decisions in progress, and the part of them that belongs to batches.
//!
//! A single request is rejected at once where no permit is available. Decisions of batches wait for permits, and hold at most half of
//! them, so that batches leave the other half to single requests. Waiting decisions get permits before later requests, so that single
//! requests leave the batches their half, too.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits for decisions of the whole service. Cheap to clone; clones share the permits.
#[derive(Debug, Clone)]
pub struct Admission {
    all: Arc<Semaphore>,
    batches: Arc<Semaphore>,
}

/// The permit of one decision. Released when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _one_of_all: OwnedSemaphorePermit,
    _one_of_batches: Option<OwnedSemaphorePermit>,
}

impl Admission {
    /// Admits `max` decisions, at most half of them (and at least one) of batches.
    pub fn new(max: usize) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { all: semaphore(max), batches: semaphore((max / 2).max(1)) }
    }

    /// The number of decisions that can start now.
    pub(super) fn room(&self) -> usize {
        self.all.available_permits()
    }

    /// A permit for a single request, if one is available.
    pub(super) fn single(&self) -> Option<Permit> {
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Permit { _one_of_all: all, _one_of_batches: None })
    }

    /// A permit for a decision of a batch, if one is available.
    pub(super) fn of_batch(&self) -> Option<Permit> {
        self.wait_of_batch().now_or_never().flatten()
    }

    /// Waits for a permit for a decision of a batch. Never `None`, because the semaphores are not closed.
    pub(super) async fn wait_of_batch(&self) -> Option<Permit> {
        let batch = Arc::clone(&self.batches).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Permit { _one_of_all: all, _one_of_batches: Some(batch) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_leave_half_of_the_permits_to_single_requests() {
        let admission = Admission::new(4);
        let batches: Vec<_> = std::iter::from_fn(|| admission.of_batch()).collect();
        let singles: Vec<_> = std::iter::from_fn(|| admission.single()).collect();
        assert_eq!((batches.len(), singles.len(), admission.room()), (2, 2, 0));
    }

    #[test]
    fn single_requests_leave_half_of_the_permits_to_batches() {
        let admission = Admission::new(4);
        let mut singles: Vec<_> = std::iter::from_fn(|| admission.single()).collect();
        assert_eq!(singles.len(), 4);
        let mut first = Box::pin(admission.wait_of_batch());
        let mut second = Box::pin(admission.wait_of_batch());
        let mut third = Box::pin(admission.wait_of_batch());
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        singles.truncate(2);
        assert!(admission.single().is_none(), "released permits go to the waiting decisions");
        let _permits = [first.now_or_never(), second.now_or_never()].map(|permit| permit.flatten().expect("a permit"));
        singles.clear();
        assert!(third.now_or_never().is_none(), "batches hold at most half");
    }

    #[test]
    fn a_batch_gets_at_least_one_permit() {
        assert!(Admission::new(1).of_batch().is_some());
    }
}
