//! The probe loop of a domain.
//!
//! It probes at each interval, and at once when a query lost its connection or timed out. A failed probe is repeated at once over a new
//! connection. Two consecutive failures make the domain down. It is then probed with growing pauses of at most 0.3 s, so that it
//! recovers soon after the server. After an answered probe the connections are maintained. Queries never change the state.
//! Where the domain limits the age of rows, the primary is sampled beside it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::core::Core;
use super::state::{Event, State};
use super::workers::Workers;
use crate::actors::backoff::Backoff;

/// The pause between a failed probe and the one that confirms it.
const RETRY_DELAY: Duration = Duration::from_millis(20);
/// The shortest time between probes that queries request.
const MIN_PROBE_SPACING: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(300);

/// Probes the database and maintains the connections until the domain drains.
pub(super) async fn run(workers: Arc<Workers>) {
    tokio::select! {
        () = probe_loop(&workers) => {}
        () = workers.core().pool().watch_primary() => {}
        () = workers.core().leaving() => {}
    }
    workers.core().pool().forget_primary().await;
}

async fn probe_loop(workers: &Workers) {
    let core = workers.core();
    let mut probe = core.pool().probe();
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        match probe.run().await {
            Ok(None) => {
                core.record(Event::Busy);
                // Returns idle connections to the pool, for the next probe.
                workers.maintain().await.unwrap_or_default();
            }
            Ok(Some(latency)) => {
                backoff.reset();
                core.record(Event::Answered { latency });
                let maintained = workers.maintain().await;
                core.record(Event::Maintained(maintained.map_err(|error| error.to_string().into())));
            }
            Err(error) => {
                let pause = backoff.next();
                core.record(Event::Unanswered { why: error.to_string().into(), pause });
            }
        }
        wait_for_next_probe(core).await;
    }
}

/// Waits until the next probe is due.
async fn wait_for_next_probe(core: &Core) {
    let state = core.state();
    match state {
        State::Down { next, .. } => {
            // All connections belong to a server that no longer answers.
            core.recycle();
            sleep_until(Instant::from_std(next).max(Instant::now() + RETRY_DELAY)).await;
        }
        State::Degraded { .. } if core.status().borrow().failures > 0 => sleep(RETRY_DELAY).await,
        _ => {
            let soonest = Instant::now() + MIN_PROBE_SPACING;
            tokio::select! {
                () = sleep(core.config().timeouts.probe_interval) => {}
                () = core.wait_probe_request() => sleep_until(soonest).await,
            }
        }
    }
}
