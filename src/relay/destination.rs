//! Where events are sent.

use std::time::Duration;

use super::delivery::{Delivery, Undelivered};
use super::nats::Nats;
use super::webhook;
use crate::config;
use crate::pool::PoolSetupError;
use crate::service::Poster;

/// The destination cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the relay has no destination: {0}")]
pub struct DestinationError(#[from] PoolSetupError);

/// Where events are sent.
#[derive(Debug)]
pub(super) enum Destination {
    Webhook(Poster),
    Nats(Box<Nats>),
}

impl Destination {
    pub(super) fn new(destination: config::Destination) -> Result<Self, DestinationError> {
        Ok(match destination {
            config::Destination::Webhook(domain, target) => Self::Webhook(Poster::new(&domain, target)?),
            config::Destination::Nats(nats) => Self::Nats(Box::new(Nats::new(*nats))),
        })
    }

    /// Sends an event, and waits at most `limit` for the acknowledgement.
    pub(super) async fn send(&self, delivery: &Delivery<'_>, limit: Duration) -> Result<(), Undelivered> {
        match self {
            Self::Webhook(poster) => webhook::send(poster, delivery, limit).await,
            Self::Nats(nats) => nats.send(delivery, limit).await,
        }
    }

    /// Its name in log lines.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Nats(_) => "nats",
        }
    }
}
