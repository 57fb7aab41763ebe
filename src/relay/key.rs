//! The events of one event key: lock it, read it, send its events in order, mark them as sent, unlock it.

use std::time::{Duration, Instant};

use super::backoff::{Backoff, LONGEST};
use super::context::Context;
use super::delivery::{Delivery, Undelivered};
use crate::postgres::{EventKey, OutboxError};

/// Sent events are marked at the latest after this time, so that few are sent again after a crash.
const MARK_AFTER: Duration = Duration::from_millis(500);

/// How an attempt ended.
enum Outcome {
    /// No event waits, another relay sends them, or the relay is to stop.
    Done,
    /// More events may wait, or the destination cannot be reached.
    Again,
    /// An event was not acknowledged. The next attempt is made after a pause.
    Pause(Duration),
}

/// Relays the events of an event key until none waits, or another relay sends them.
///
/// # Errors
/// The connection is lost.
pub(super) async fn relay(context: &Context, key: &EventKey) -> Result<(), OutboxError> {
    let shared = &context.shared;
    let mut backoff = Backoff::default();
    while !shared.is_stopping() {
        let at_work = context.begin_work();
        let place = async {
            shared.outage.over().await;
            shared.places.take(backoff.has_failed()).await
        };
        let place = tokio::select! {
            place = place => place,
            () = shared.stopping() => return Ok(()),
        };
        let outcome = match attempt(context, key, &mut backoff).await {
            Err(error) if !error.is_lost => {
                let pause = backoff.next();
                let (domain, retry_ms) = (&context.domain, pause.as_millis());
                tracing::warn!(%domain, why = %error, retry_ms, "relay.outbox.failed");
                Outcome::Pause(pause)
            }
            outcome => outcome?,
        };
        drop((place, at_work));
        match outcome {
            Outcome::Done => return Ok(()),
            Outcome::Again => {}
            Outcome::Pause(pause) => shared.pause(pause).await,
        }
    }
    Ok(())
}

/// Sends at most one batch of events under the lock of the event key.
async fn attempt(context: &Context, key: &EventKey, backoff: &mut Backoff) -> Result<Outcome, OutboxError> {
    if !context.outbox.lock(key).await? {
        return Ok(Outcome::Done);
    }
    let outcome = send_batch(context, key, backoff).await;
    if outcome.as_ref().is_err_and(|error| error.is_lost) {
        return outcome;
    }
    context.outbox.unlock(key).await?;
    outcome
}

/// Reads the waiting events, which may be others than those that were seen without the lock, and sends them until one fails.
async fn send_batch(context: &Context, key: &EventKey, backoff: &mut Backoff) -> Result<Outcome, OutboxError> {
    let (shared, domain) = (&context.shared, &context.domain);
    let batch = shared.config.batch;
    let events = context.outbox.read(key, i64::try_from(batch).unwrap_or(i64::MAX)).await?;
    let mut sent = Vec::new();
    let mut marked = Instant::now();
    let mut outcome = if events.len() < batch { Outcome::Done } else { Outcome::Again };
    for event in &events {
        if shared.is_stopping() {
            outcome = Outcome::Done;
            break;
        }
        let delivery = Delivery { domain, key, event };
        if let Err(undelivered) = shared.destination.send(&delivery, shared.config.timeout).await {
            if !sent.is_empty() {
                *backoff = Backoff::default();
            }
            outcome = failed(context, &delivery, undelivered, backoff);
            break;
        }
        shared.outage.end();
        shared.tally.sent();
        *backoff = Backoff::default();
        sent.push(event.id.clone());
        if marked.elapsed() >= MARK_AFTER {
            context.outbox.mark_sent(&sent).await?;
            sent.clear();
            marked = Instant::now();
        }
    }
    if !sent.is_empty() {
        context.outbox.mark_sent(&sent).await?;
    }
    Ok(outcome)
}

/// Logs that an event was not acknowledged, and finds the pause.
fn failed(context: &Context, delivery: &Delivery<'_>, undelivered: Undelivered, backoff: &mut Backoff) -> Outcome {
    let shared = &context.shared;
    let (domain, kind, id) = (delivery.domain, &delivery.event.kind, &delivery.event.id);
    let (why, asked) = match undelivered {
        Undelivered::Unreachable(why) => {
            shared.outage.begin(&why);
            return Outcome::Again;
        }
        Undelivered::Failed(why, asked) => (why, asked),
        Undelivered::Refused(why) => {
            // Later events of the event key wait for it: to skip it would break their order.
            shared.outage.end();
            shared.tally.failed();
            let (pause, retry_ms) = (LONGEST, LONGEST.as_millis());
            tracing::error!(%domain, event.r#type = kind, event.id = id, why, retry_ms, "relay.event.refused");
            backoff.next();
            return Outcome::Pause(pause);
        }
    };
    shared.outage.end();
    shared.tally.failed();
    let pause = backoff.next().max(asked.unwrap_or_default().min(LONGEST));
    let retry_ms = pause.as_millis();
    tracing::warn!(%domain, event.r#type = kind, event.id = id, why, retry_ms, "relay.event.failed");
    Outcome::Pause(pause)
}
