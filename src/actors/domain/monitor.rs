//! The loop that knows how a domain is.
//!
//! It probes at each interval, and at once when a query lost its connection or got no answer. A failed probe is repeated
//! right away over a new connection; two in a row make the domain down, and it is then probed with growing pauses of at
//! most 0.3 s, so that recovery begins soon after the server's return. An answered probe is followed by care for
//! the pool. User traffic never decides anything here.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::core::Core;
use super::state::{Event, State};
use super::workers::Workers;
use crate::actors::backoff::Backoff;
use crate::postgres::Probe;

/// Between a failed probe and the one that decides.
const RETRY_DELAY: Duration = Duration::from_millis(20);
/// Probes that queries ask for come no closer together than this.
const MIN_PROBE_SPACING: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(300);

/// Probes the database and maintains the connections until the domain leaves.
pub(super) async fn watch_over(workers: Arc<Workers>) {
    tokio::select! {
        () = probe_for_ever(&workers) => {}
        () = workers.core().leaving() => {}
    }
}

async fn probe_for_ever(workers: &Workers) {
    let core = workers.core();
    let mut probe = Probe::new(core.pool().clone());
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        match probe.run().await {
            Ok(None) => {
                core.record(Event::Busy);
                // Should the probe need one of the connections that are idle, they are given back.
                workers.maintain().await.unwrap_or_default();
            }
            Ok(Some(latency)) => {
                backoff.reset();
                core.record(Event::Answered { latency });
                let kept = workers.maintain().await;
                core.record(Event::Maintained(kept.map_err(|error| error.to_string().into())));
            }
            Err(error) => {
                let pause = backoff.next();
                core.record(Event::Unanswered { why: error.to_string().into(), pause });
            }
        }
        rest(core).await;
    }
}

/// Waits until it is time for the next probe.
async fn rest(core: &Core) {
    let state = core.state();
    match state {
        State::Down { next, .. } => {
            // Whatever there is was made to a server that is gone.
            core.recycle();
            sleep_until(Instant::from_std(next).max(Instant::now() + RETRY_DELAY)).await;
        }
        State::Degraded { .. } if core.status().borrow().failures > 0 => sleep(RETRY_DELAY).await,
        _ => {
            let soonest = Instant::now() + MIN_PROBE_SPACING;
            tokio::select! {
                () = sleep(core.config().timeouts.probe_interval) => {}
                () = core.probe_requested() => sleep_until(soonest).await,
            }
        }
    }
}
