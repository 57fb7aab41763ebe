//! What the tasks of a relay share.

use std::time::Duration;

use tokio::sync::watch;

use super::destination::Destination;
use super::outage::Outage;
use super::places::Places;
use super::tally::Tally;
use crate::config::RelayConfig;

/// What the tasks of a relay share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: RelayConfig,
    pub(super) destination: Destination,
    pub(super) outage: Outage,
    pub(super) places: Places,
    pub(super) tally: Tally,
    stop: watch::Receiver<bool>,
}

impl Shared {
    /// Those of a relay that ends once `stop` is true.
    pub(super) fn new(config: RelayConfig, destination: Destination, stop: watch::Receiver<bool>) -> Self {
        let places = Places::new(config.max_in_flight);
        Self { config, destination, outage: Outage::default(), places, tally: Tally::default(), stop }
    }

    /// Whether the relay is to stop.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Returns once the relay is to stop.
    pub(super) async fn stopping(&self) {
        // A relay that is gone stops as well.
        drop(self.stop.clone().wait_for(|stop| *stop).await);
    }

    /// Waits for `pause`, or until the relay is to stop.
    pub(super) async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stopping() => {}
        }
    }
}
