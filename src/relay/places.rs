//! How many events are in flight at once. Event keys whose last attempt failed have places of their own, so that those that always
//! fail or time out do not keep others waiting.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The places of events in flight.
#[derive(Debug)]
pub(super) struct Places {
    regular: Semaphore,
    failed: Semaphore,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { regular: Semaphore::new(most), failed: Semaphore::new(most) }
    }

    /// A place, in the order of asking. `None` only if the places were closed, which they never are.
    pub(super) async fn take(&self, has_failed: bool) -> Option<SemaphorePermit<'_>> {
        let places = if has_failed { &self.failed } else { &self.regular };
        places.acquire().await.ok()
    }
}
