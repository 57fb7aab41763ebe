//! What was sent, for a log line each minute.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{Instant, interval_at};

/// The time between two log lines.
const MINUTE: Duration = Duration::from_secs(60);

/// What was sent since the last log line.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: Cell<u64>,
    failed: Cell<u64>,
}

impl Tally {
    pub(super) fn sent(&self) {
        self.sent.set(self.sent.get().saturating_add(1));
    }

    pub(super) fn failed(&self) {
        self.failed.set(self.failed.get().saturating_add(1));
    }

    /// Logs what was sent, if anything was.
    pub(super) fn log(&self) {
        let (sent, failed) = (self.sent.take(), self.failed.take());
        if sent > 0 || failed > 0 {
            tracing::info!(relay.sent = sent, relay.failed = failed, "relay.minute");
        }
    }

    /// Logs each minute, without end.
    pub(super) async fn log_each_minute(&self) {
        let mut minutes = interval_at(Instant::now() + MINUTE, MINUTE);
        loop {
            minutes.tick().await;
            self.log();
        }
    }
}
