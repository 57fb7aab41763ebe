//! The events of one database: which event keys have waiting ones, and a task for each of these.
//!
//! The tasks share one connection. If it is lost, all of them end, and begin again over the next connection.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use super::backoff::Backoff;
use super::context::Context;
use super::key;
use super::shared::Shared;
use crate::config::DomainConfig;
use crate::postgres::{EventKey, Outbox, OutboxError};

/// Event keys that are looked for at once.
const PAGE: i64 = 500;
/// The most event keys at work at once, those that pause after a failure not counted.
const MOST_AT_WORK: usize = 1_000;
/// Between two deletions of expired events, and the most of them at once.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);
const MOST_EXPIRED: i64 = 5_000;

/// Relays the events of one database until the relay is to stop.
pub(super) async fn relay(config: DomainConfig, shared: Rc<Shared>) {
    let mut backoff = Backoff::default();
    while !shared.is_stopping() {
        let opened = Outbox::open(&config, Duration::from_secs(shared.config.keep_sent)).await;
        let ended = match opened {
            Ok(outbox) => {
                let context = Context::new(config.name.clone(), outbox, Rc::clone(&shared));
                let mut work = Work::new(Rc::new(context));
                let ended = work.run(&mut backoff).await;
                work.keys.shutdown().await;
                ended
            }
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            let pause = backoff.next();
            tracing::warn!(domain = %config.name, why = %error, retry_ms = pause.as_millis(), "relay.domain.unavailable");
            shared.pause(pause).await;
        }
    }
}

/// The event keys at work over one connection.
struct Work {
    context: Rc<Context>,
    keys: JoinSet<(EventKey, Result<(), OutboxError>)>,
    /// The event keys that have a task, and whether waiting events were seen since it began.
    busy: HashMap<EventKey, bool>,
    /// The last event key that was found, while others behind it are to be found.
    cursor: Option<EventKey>,
    /// Whether event keys are to be found from the first one on.
    is_due: bool,
}

impl Work {
    fn new(context: Rc<Context>) -> Self {
        Self { context, keys: JoinSet::new(), busy: HashMap::new(), cursor: None, is_due: true }
    }

    /// Runs until the relay is to stop, or an error ends the connection. Then event keys finish what is in flight.
    async fn run(&mut self, backoff: &mut Backoff) -> Result<(), OutboxError> {
        let context = Rc::clone(&self.context);
        let shared = &context.shared;
        let mut polls = interval(shared.config.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expiries = interval_at(Instant::now(), EXPIRY_INTERVAL);
        expiries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.may_find() {
                self.find().await?;
                if backoff.has_failed() {
                    tracing::info!(domain = %context.domain, "relay.domain.available");
                    *backoff = Backoff::default();
                }
            }
            tokio::select! {
                () = shared.stopping() => break,
                Some(ended) = self.keys.join_next() => self.ended(ended)?,
                () = context.outbox.notified() => self.is_due = true,
                _ = polls.tick() => self.is_due = true,
                _ = expiries.tick() => expire(&context).await?,
                () = std::future::ready(()), if self.may_find() => {}
            }
        }
        while let Some(ended) = self.keys.join_next().await {
            if let Ok((_, outcome)) = ended {
                outcome?;
            }
        }
        Ok(())
    }

    /// Whether there may be event keys to find, and there is room for them.
    fn may_find(&self) -> bool {
        (self.is_due || self.cursor.is_some()) && self.context.at_work() < MOST_AT_WORK
    }

    /// Finds event keys with waiting events, and starts those that have no task.
    async fn find(&mut self) -> Result<(), OutboxError> {
        if self.cursor.is_none() {
            self.is_due = false;
        }
        let found = self.context.outbox.waiting_keys(self.cursor.as_ref(), PAGE).await?;
        let is_full = i64::try_from(found.len()).is_ok_and(|found| found >= PAGE);
        self.cursor = if is_full { found.last().cloned() } else { None };
        for key in found {
            match self.busy.get_mut(&key) {
                Some(is_seen) => *is_seen = true,
                None => self.start(key),
            }
        }
        Ok(())
    }

    fn start(&mut self, key: EventKey) {
        self.busy.insert(key.clone(), false);
        let context = Rc::clone(&self.context);
        self.keys.spawn_local(async move {
            let outcome = key::relay(&context, &key).await;
            (key, outcome)
        });
    }

    /// The task of an event key has ended. It begins again if waiting events were seen meanwhile.
    fn ended(
        &mut self,
        ended: Result<(EventKey, Result<(), OutboxError>), tokio::task::JoinError>,
    ) -> Result<(), OutboxError> {
        // A task that panicked leaves its event key locked and busy: only a new connection helps.
        let Ok((key, outcome)) = ended else { return Err(OutboxError::broken()) };
        outcome?;
        if self.busy.remove(&key) == Some(true) {
            self.start(key);
        }
        Ok(())
    }
}

/// Deletes events that have been kept long enough.
async fn expire(context: &Context) -> Result<(), OutboxError> {
    match context.outbox.expire(MOST_EXPIRED).await {
        Err(error) if !error.is_lost => {
            tracing::warn!(domain = %context.domain, why = %error, "relay.expiry.failed");
            Ok(())
        }
        outcome => outcome.map(drop),
    }
}
