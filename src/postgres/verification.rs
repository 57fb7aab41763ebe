//! Whether an idle connection is still one: open on both sides, with somebody at the other end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::Metrics;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::failure::ConnectError;
use super::sqlstate::leaves_session;
use crate::config::Timeouts;

/// A connection unused for so many probe intervals is verified before it is used.
const UNVERIFIED_INTERVALS: u32 = 5;

/// Verifies the connections of one pool.
#[derive(Debug)]
pub(super) struct Verification {
    after: Duration,
    limit: Duration,
    silent: AtomicUsize,
}

impl Verification {
    pub(super) fn new(timeouts: &Timeouts) -> Self {
        let after = timeouts.probe_interval.saturating_mul(UNVERIFIED_INTERVALS);
        Self { after, limit: timeouts.probe, silent: AtomicUsize::new(0) }
    }

    /// Whether a connection of these metrics has to be verified before it is used.
    pub(super) fn is_due(&self, metrics: &Metrics) -> bool {
        metrics.last_used() > self.after
    }

    /// How many connections did not answer so far.
    pub(super) fn silent(&self) -> usize {
        self.silent.load(Ordering::Relaxed)
    }

    /// Asks the other end for a sign of life, where that is due.
    pub(super) async fn verify(&self, client: &Client, metrics: &Metrics) -> Result<(), ConnectError> {
        if !self.is_due(metrics) {
            return Ok(());
        }
        match timeout(self.limit, client.check_connection()).await {
            Ok(answered) => answered.map_err(|error| ConnectError::of(&error)),
            Err(_) => {
                self.silent.fetch_add(1, Ordering::Relaxed);
                Err(ConnectError::late(self.limit))
            }
        }
    }
}

/// Asks over `client`. An answer with severity ERROR is one, too: the database is there.
pub(super) async fn ask(client: &Client, limit: Duration) -> Result<Duration, ConnectError> {
    let asked = Instant::now();
    match timeout(limit, client.batch_execute("SELECT 1")).await {
        Ok(Ok(())) => Ok(asked.elapsed()),
        Ok(Err(error)) if leaves_session(&error) => Ok(asked.elapsed()),
        Ok(Err(error)) => Err(ConnectError::of(&error)),
        Err(_) => Err(ConnectError::late(limit)),
    }
}
