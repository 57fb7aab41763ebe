//! Events as requests to a webhook.

use std::time::Duration;

use super::delivery::{Delivery, Undelivered};
use crate::service::{PostError, Poster};

/// The header by which a receiver recognises a repeated event (IETF httpapi, Idempotency-Key).
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Posts an event and waits until the webhook has acknowledged it.
pub(super) async fn send(poster: &Poster, delivery: &Delivery<'_>, limit: Duration) -> Result<(), Undelivered> {
    let mut headers = Vec::from(delivery.headers());
    headers.push((IDEMPOTENCY_KEY, delivery.event.id.clone()));
    poster.post(&headers, delivery.event.payload.clone(), limit).await.map_err(|error| match error {
        PostError::Unreachable(why) => Undelivered::Unreachable(why),
        PostError::Failed { why, pause } => Undelivered::Failed(why, pause),
        PostError::Refused(why) => Undelivered::Refused(why),
    })
}
