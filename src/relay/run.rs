//! The relay as a whole, from start to stop.

use std::rc::Rc;

use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use super::destination::{Destination, DestinationError};
use super::domain;
use super::shared::Shared;
use crate::config::{self, DomainConfig, RelayConfig};

/// Sends the events of several databases to one destination.
#[derive(Debug)]
pub struct Relay {
    domains: Vec<DomainConfig>,
    shared: Rc<Shared>,
    stop: watch::Sender<bool>,
}

impl Relay {
    /// Sends the events of these databases, whose roles may write, to `destination`. Nothing is sent until [`Self::run`].
    ///
    /// # Errors
    /// [`DestinationError`].
    pub fn new(
        domains: Vec<DomainConfig>,
        config: RelayConfig,
        destination: config::Destination,
    ) -> Result<Self, DestinationError> {
        let (stop, stopping) = watch::channel(false);
        let shared = Rc::new(Shared::new(config, Destination::new(destination)?, stopping));
        Ok(Self { domains, shared, stop })
    }

    /// Sends events until `stopped` returns. Then the events in flight are acknowledged and marked. A database or a destination that
    /// cannot be reached is tried again.
    pub async fn run(self, stopped: impl Future<Output = ()>) {
        let Self { domains, shared, stop } = self;
        let names: Vec<&str> = domains.iter().map(|domain| domain.name.as_str()).collect();
        tracing::info!(relay.to = shared.destination.name(), domains = names.join(" "), "relay.started");
        let tasks = LocalSet::new();
        let relaying = tasks.run_until(async {
            let mut running = JoinSet::new();
            for domain in domains {
                running.spawn_local(domain::relay(domain, Rc::clone(&shared)));
            }
            tokio::select! {
                () = stopped => {}
                () = shared.tally.log_each_minute() => {}
            }
            tracing::info!("relay.stopping: events in flight are finished");
            stop.send_replace(true);
            while running.join_next().await.is_some() {}
        });
        relaying.await;
        shared.tally.log();
        tracing::info!("relay.stopped");
    }
}
