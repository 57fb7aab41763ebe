//! What the futures of one domain's actor share. The actor's handlers clone this and return; the work is done here, in
//! plain async functions that the death of the actor does not interrupt.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::timeout;

use super::state::{Event, Moment, Standing, State};
use super::turns::Turns;
use crate::config::DomainConfig;
use crate::postgres::{Answer, Description, Lanes, Manner, Pool, PoolSetupError, Query, QueryErrorKind};
use crate::types::{Deadline, Value};

/// How long closed connections may take to be gone after everything else is.
const FAREWELL: Duration = Duration::from_secs(2);

/// The parts of one domain's actor.
#[derive(Debug)]
pub(in crate::actors) struct Core {
    config: DomainConfig,
    lanes: Lanes,
    standing: watch::Sender<Standing>,
    admission: Arc<Semaphore>,
    capacity: u32,
    turns: Turns,
    alarm: Notify,
}

/// The right of one request to be with the actor. Given back when it is dropped.
#[derive(Debug)]
pub(in crate::actors) struct Ticket {
    _permit: OwnedSemaphorePermit,
    asker: oneshot::Receiver<Infallible>,
}

/// Held by whoever waits for the answer: once it is dropped the request counts as abandoned.
#[derive(Debug)]
pub(in crate::actors) struct Asker {
    _until_dropped: oneshot::Sender<Infallible>,
}

impl Ticket {
    /// Completes once nobody waits for the answer any more.
    async fn abandoned(&mut self) {
        // The sender sends nothing; it can only go.
        let Err(_gone) = (&mut self.asker).await;
    }
}

impl Core {
    /// The parts of a domain that has yet to connect.
    pub(in crate::actors) fn new(config: DomainConfig) -> Result<Self, PoolSetupError> {
        let capacity = u32::try_from(config.pool.max.saturating_add(config.pool.max_waiting)).unwrap_or(u32::MAX);
        let permits = usize::try_from(capacity).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            lanes: Lanes::new(Pool::new(&config)?),
            config,
            standing: watch::Sender::new(Standing::starting(Moment::now())),
            admission: Arc::new(Semaphore::new(permits)),
            capacity,
            turns: Turns::of(capacity),
            alarm: Notify::new(),
        })
    }

    /// The configuration this actor was started with.
    pub(in crate::actors) fn config(&self) -> &DomainConfig {
        &self.config
    }

    /// The connections.
    pub(super) fn pool(&self) -> &Pool {
        self.lanes.pool()
    }

    /// How queries share them.
    pub(super) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// The turns of batches.
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// The domain's standing, and its changes.
    pub(in crate::actors) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// The domain's state at this moment.
    pub(in crate::actors) fn state(&self) -> State {
        self.standing.borrow().state.clone()
    }

    /// Requests that are with the actor: running, or waiting for a connection.
    pub(super) fn in_flight(&self) -> usize {
        usize::try_from(self.capacity).unwrap_or(usize::MAX).saturating_sub(self.admission.available_permits())
    }

    /// Takes note of `event`, and tells of it in the log where the state changed.
    pub(in crate::actors) fn record(&self, event: Event) {
        let mut before = "";
        self.standing.send_modify(|standing| {
            before = standing.state.name();
            standing.apply(event, Moment::now());
        });
        let now = self.standing.borrow();
        if now.state.name() == before {
            return;
        }
        let (domain, state) = (&self.config.name, now.state.name());
        if matches!(now.state, State::Down { .. }) {
            self.lanes.give_back();
        }
        match &now.state {
            State::Degraded { why } | State::Down { why, .. } => {
                tracing::warn!(%domain, domain.state = state, domain.was = before, why = &**why, "domain.state");
            }
            _ => tracing::info!(%domain, domain.state = state, domain.was = before, "domain.state"),
        }
    }

    /// Room for one more request; `None` where the queue is full or the domain has been drained.
    pub(in crate::actors) fn admit(&self) -> Option<(Asker, Ticket)> {
        let permit = self.permit()?;
        let (sender, asker) = oneshot::channel();
        Some((Asker { _until_dropped: sender }, Ticket { _permit: permit, asker }))
    }

    /// Room for one more request that says itself when nobody waits for its answer.
    pub(super) fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.admission).try_acquire_owned().ok()
    }

    /// Whether queries are taken.
    pub(super) fn serves(&self) -> bool {
        self.standing.borrow().state.serves()
    }

    /// Asks for a probe at once.
    pub(super) fn alarm(&self) {
        self.alarm.notify_one();
    }

    /// Asks for a probe at once where a query has failed as it does when the database is gone.
    pub(super) fn alarm_for(&self, kind: &QueryErrorKind) {
        if matches!(kind, QueryErrorKind::ConnectionLost { .. } | QueryErrorKind::Timeout { .. }) {
            self.alarm();
        }
    }

    /// Waits until a probe is asked for.
    pub(super) async fn alarmed(&self) {
        self.alarm.notified().await;
    }

    /// Answers a query.
    pub(super) async fn answer(
        &self,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
        manner: Manner,
        ticket: Ticket,
    ) -> Result<Answer, QueryErrorKind> {
        self.unless_abandoned(pin!(self.lanes.query(query, params, deadline, manner)), ticket).await
    }

    /// Says what PREPARE says.
    pub(super) async fn describe(
        &self,
        query: &Query,
        deadline: Deadline,
        ticket: Ticket,
    ) -> Result<Description, QueryErrorKind> {
        let work = async { self.pool().acquire(deadline).await?.describe(query, deadline).await };
        self.unless_abandoned(pin!(work), ticket).await
    }

    /// Does `work` unless nobody waits for it any more, or the domain goes down under it. It is taken by reference: a future
    /// that is handed on by value lies in memory twice.
    async fn unless_abandoned<T>(
        &self,
        work: Pin<&mut impl Future<Output = Result<T, QueryErrorKind>>>,
        mut ticket: Ticket,
    ) -> Result<T, QueryErrorKind> {
        let begun = Instant::now();
        let mut standing = self.standing();
        let outcome = tokio::select! {
            biased;
            outcome = work => outcome,
            () = ticket.abandoned() => return Err(QueryErrorKind::Timeout { after: begun.elapsed() }),
            down = standing.wait_for(|standing| matches!(standing.state, State::Down { .. })) => {
                return Err(down.map_or_else(|_| unavailable(&State::Stopped), |standing| unavailable(&standing.state)));
            }
        };
        if let Err(kind) = &outcome {
            self.alarm_for(kind);
        }
        outcome
    }

    /// Waits until the domain leaves.
    pub(super) async fn leaving(&self) {
        // The sender is in `self`, so waiting cannot fail.
        drop(self.standing().wait_for(|standing| standing.state.is_leaving()).await);
    }

    /// Finishes what is in flight, for at most `limit`, and closes every connection.
    pub(super) async fn drain(&self, limit: Duration) {
        self.record(Event::Drain);
        if timeout(limit, self.admission.acquire_many(self.capacity)).await.is_err() {
            tracing::warn!(domain = %self.config.name, in_flight = self.in_flight(), "domain.drain.unfinished");
        }
        self.admission.close();
        self.pool().close();
        if timeout(FAREWELL, self.pool().connector().closed()).await.is_err() {
            let open = self.pool().connector().open();
            tracing::warn!(domain = %self.config.name, connections.open = open, "domain.drain.unfinished");
        }
        self.record(Event::Stop);
    }
}

/// What a query is told in a state that does not serve it.
pub(in crate::actors) fn unavailable(state: &State) -> QueryErrorKind {
    let (why, retry_after) = match state {
        State::Down { why, next } => (why.to_string(), next.saturating_duration_since(Instant::now())),
        State::Starting => ("its connections are still being made".to_owned(), Duration::from_secs(1)),
        _ => ("it has been stopped".to_owned(), Duration::from_secs(1)),
    };
    QueryErrorKind::Unavailable { why, retry_after }
}
