//! A destination that cannot be reached: nothing is sent until a pause is over. The pauses of a destination are apart from those of
//! event keys, so that an outage delays no event key longer than others.

use std::cell::{Cell, RefCell};

use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;

/// Whether the destination can be reached.
#[derive(Debug, Default)]
pub(super) struct Outage {
    backoff: RefCell<Backoff>,
    until: Cell<Option<Instant>>,
}

impl Outage {
    /// Waits until the destination may be tried.
    pub(super) async fn over(&self) {
        while let Some(until) = self.until.get().filter(|until| *until > Instant::now()) {
            sleep_until(until).await;
        }
    }

    /// Notes that the destination cannot be reached, once for each pause.
    pub(super) fn begin(&self, why: &str) {
        if self.until.get().is_some_and(|until| until > Instant::now()) {
            return;
        }
        let pause = self.backoff.borrow_mut().next();
        self.until.set(Some(Instant::now() + pause));
        tracing::warn!(why, retry_ms = pause.as_millis(), "relay.destination.unreachable");
    }

    /// Notes that the destination answers.
    pub(super) fn end(&self) {
        if self.until.take().is_some() {
            *self.backoff.borrow_mut() = Backoff::default();
            tracing::info!("relay.destination.reached");
        }
    }
}
