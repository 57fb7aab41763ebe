//! The only way to reach a domain: its handle outlives every actor the domain ever has.
//!
//! A query goes to the worker of this thread. Where the worker or the actor ends under it, or the database undid it, it is asked
//! again, within its deadline: all sessions are read only. While the database is down a query fails at once; while it is being
//! connected to the query waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::Addr;
use tokio::sync::watch;
use tokio::time::{sleep, timeout_at};

use super::actor::{Describe, Domain, Panic, Probe, Recycle};
use super::core::{Notice, unavailable};
use super::health::Health;
use super::state::State;
use super::worker::Question;
use super::workers::Workers;
use crate::actors::backoff::Backoff;
use crate::config::DomainConfig;
use crate::flow::{QueryAnswer, QueryError, QueryErrorKind};
use crate::graph::{Description, Query};
use crate::metrics::{Tally, Totals};
use crate::types::{Deadline, DomainName, Value};

/// When trying again may help where no connection was free.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);
/// A query that was given less than this part of its time limit did not fail by its database: it waited for too long before.
const FULL: f32 = 0.9;
/// A request that has failed so often fails.
const MOST_ATTEMPTS: u32 = 6;

/// A query and the limits it has.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// The query.
    pub query: Arc<Query>,
    /// `$1`, `$2`, ...
    pub params: Vec<Value>,
    /// The instant by which the request that asks it must be answered.
    pub deadline: Deadline,
    /// The node's own `timeout_ms`; `None` for the domain's query timeout.
    pub timeout: Option<Duration>,
    /// For a query of a batch, how long it may wait for a connection and how long it may take. Single requests come first.
    pub in_bulk: Option<Duration>,
}

/// A way for an actor to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The domain's actor panics.
    PanicInActor,
    /// Its workers panic.
    PanicInWorkers,
}

/// One of a domain's actors.
#[derive(Debug, Clone)]
pub(in crate::actors) struct Instance {
    pub(in crate::actors) generation: u64,
    pub(in crate::actors) address: Addr<Domain>,
    pub(in crate::actors) workers: Arc<Workers>,
}

/// Who serves a domain.
#[derive(Debug, Clone)]
pub(in crate::actors) struct Publication {
    /// The newest of the domain's actors.
    pub(in crate::actors) instance: Instance,
    /// Whether the domain itself has been taken out of service.
    pub(in crate::actors) retired: bool,
}

/// Reaches one domain. Cheap to clone, and good on every thread.
#[derive(Debug, Clone)]
pub struct DomainHandle {
    name: DomainName,
    publication: watch::Receiver<Publication>,
    restarts: Arc<AtomicU64>,
    tally: Arc<Tally>,
}

impl DomainHandle {
    pub(in crate::actors) fn new(
        name: DomainName,
        publication: watch::Receiver<Publication>,
        restarts: Arc<AtomicU64>,
        tally: Arc<Tally>,
    ) -> Self {
        Self { name, publication, restarts, tally }
    }

    /// The domain's name.
    pub fn name(&self) -> &DomainName {
        &self.name
    }

    /// Shows what its present actor was started with.
    pub(in crate::actors) fn config<T>(&self, show: impl FnOnce(&DomainConfig) -> T) -> T {
        show(self.publication.borrow().instance.workers.core().config())
    }

    /// Starts the domain's worker on this thread, so that its connections are made before the first query.
    pub(in crate::actors) fn join(&self) {
        self.publication.borrow().instance.workers.join();
    }

    /// Runs a query and reads its rows.
    ///
    /// # Errors
    /// [`QueryError`], naming domain and node. Never later than the deadline, give or take a moment.
    pub async fn query(&self, request: QueryRequest) -> Result<QueryAnswer, QueryError> {
        let QueryRequest { query, params, deadline: due, timeout, in_bulk } = request;
        let now = Instant::now();
        let workers = Arc::clone(&self.publication.borrow().instance.workers);
        let timeouts = workers.core().config().timeouts;
        let most = in_bulk.unwrap_or(Duration::MAX);
        let limit = timeout.unwrap_or(timeouts.query).min(most);
        let given = due.instant().saturating_duration_since(now);
        // The service's own queue takes nothing from the time that the database has.
        let wait = in_bulk.unwrap_or(timeouts.acquire);
        let deadline = due.instant().min(now + wait + limit);
        let (params, work, in_bulk) = (params.into(), limit.min(given), in_bulk.is_some());
        let question = Question { query, params, wait, deadline, work, in_bulk };
        self.tally.begin();
        let first = if workers.core().serves() { workers.ask(question.clone(), now).await } else { None };
        let outcome = match first {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(kind)) if !kind.is_retryable() => Err(kind),
            // Rare path; boxed to keep the future small.
            _ => {
                Box::pin(self.retry(Deadline::at(deadline), async |instance| {
                    instance.workers.ask(question.clone(), Instant::now()).await
                }))
                .await
            }
        };
        let outcome = outcome.map_err(|kind| match kind {
            QueryErrorKind::Timeout { after } if after < limit.mul_f32(FULL) && !due.has_passed() => {
                QueryErrorKind::Overloaded { retry_after: OVERLOAD_PAUSE }
            }
            QueryErrorKind::Timeout { .. } => QueryErrorKind::Timeout { after: limit.min(given) },
            kind => kind,
        });
        self.tally.end(now.elapsed(), outcome.is_ok());
        outcome.map_err(|kind| self.error(&question.query, kind))
    }

    /// What its queries took and how they ended, since the domain was first started.
    pub fn tally(&self) -> Totals {
        self.tally.totals()
    }

    /// Says what PREPARE says of `query`.
    ///
    /// # Errors
    /// [`QueryError`], naming domain and node.
    pub async fn describe(&self, query: &Arc<Query>, deadline: Deadline) -> Result<Description, QueryError> {
        let describe = async |instance: &Instance| {
            instance.address.send(Describe { query: Arc::clone(query), deadline }).await.ok()
        };
        self.retry(deadline, describe).await.map_err(|kind| self.error(query, kind))
    }

    /// How the domain is. Costs the database nothing.
    pub fn health(&self) -> Health {
        Health::of(self.publication.borrow().instance.workers.core(), self.restarts.load(Ordering::Relaxed))
    }

    /// Waits until the domain serves queries.
    ///
    /// # Errors
    /// `Unavailable` with what is wrong, once the deadline has passed or the domain was taken out of service.
    pub async fn wait_ready(&self, deadline: Deadline) -> Result<(), QueryError> {
        let mut publication = self.publication.clone();
        loop {
            let Publication { instance, retired } = publication.borrow_and_update().clone();
            let state = instance.workers.core().state();
            let outcome = match state {
                _ if retired => Err(unavailable(&State::Stopped)),
                _ if state.serves() && instance.address.connected() => return Ok(()),
                _ => something_changes(&mut publication, &state, deadline).await,
            };
            outcome.map_err(|kind| QueryError { domain: self.name.clone(), node: None, kind })?;
        }
    }

    /// Probes the database now, and says how the domain is afterwards.
    pub async fn probe(&self, deadline: Deadline) -> Health {
        let address = self.publication.borrow().instance.address.clone();
        // No answer says as much as one: the health that follows tells.
        drop(timeout_at(deadline.instant().into(), address.send(Probe)).await);
        self.health()
    }

    /// Closes every connection, those in use once they are free, so that the next queries connect anew.
    pub async fn recycle(&self) {
        let address = self.publication.borrow().instance.address.clone();
        // An actor that is gone has no connections.
        address.send(Recycle).await.unwrap_or_default();
    }

    /// Makes an actor go wrong, for tests.
    #[doc(hidden)]
    pub fn inject(&self, fault: Fault) {
        let instance = self.publication.borrow().instance.clone();
        match fault {
            Fault::PanicInActor => instance.address.do_send(Panic),
            Fault::PanicInWorkers => instance.workers.core().notify(Notice::Panic),
        }
    }

    /// Asks until there is an answer, or an error that is not retryable, or it has failed too often. `ask` returns `None` where
    /// an actor ended under the question.
    async fn retry<T>(
        &self,
        deadline: Deadline,
        ask: impl AsyncFn(&Instance) -> Option<Result<T, QueryErrorKind>>,
    ) -> Result<T, QueryErrorKind> {
        let mut publication = self.publication.clone();
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(200));
        let mut attempts = 0;
        loop {
            let instance = serving(&mut publication, deadline).await?;
            attempts += 1;
            let failure = match ask(&instance).await {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(kind)) if !kind.is_retryable() => return Err(kind),
                Some(Err(kind)) => kind,
                None => QueryErrorKind::ConnectionLost { sent: true, detail: "the domain's actor failed".to_owned() },
            };
            let pause = backoff.next();
            let is_replaced = !instance.address.connected() || !instance.workers.core().serves();
            if !is_replaced && (attempts >= MOST_ATTEMPTS || pause >= deadline.remaining()) {
                return Err(failure);
            }
            if !is_replaced {
                sleep(pause).await;
            }
        }
    }

    fn error(&self, query: &Query, kind: QueryErrorKind) -> QueryError {
        QueryError { domain: self.name.clone(), node: Some(query.node().clone()), kind }
    }
}

/// The actor to ask, once there is one that serves.
async fn serving(
    publication: &mut watch::Receiver<Publication>,
    deadline: Deadline,
) -> Result<Instance, QueryErrorKind> {
    loop {
        let Publication { instance, retired } = publication.borrow_and_update().clone();
        let state = instance.workers.core().state();
        match state {
            _ if retired => return Err(unavailable(&State::Stopped)),
            _ if state.serves() && instance.address.connected() => return Ok(instance),
            State::Down { .. } => return Err(unavailable(&state)),
            _ => something_changes(publication, &state, deadline).await?,
        }
    }
}

/// Waits until there is another actor than the one last seen, or that one is in another state than `seen`.
async fn something_changes(
    publication: &mut watch::Receiver<Publication>,
    seen: &State,
    deadline: Deadline,
) -> Result<(), QueryErrorKind> {
    let core = Arc::clone(publication.borrow().instance.workers.core());
    let mut status = core.status();
    let changed = async {
        tokio::select! {
            replaced = publication.changed() => replaced,
            changed = status.wait_for(|now| now.state != *seen) => changed.map(|_| ()),
        }
    };
    match timeout_at(deadline.instant().into(), changed).await {
        Ok(Ok(())) => Ok(()),
        // Nobody supervises the domain any more.
        Ok(Err(_)) => Err(unavailable(&State::Stopped)),
        Err(_) => Err(unavailable(seen)),
    }
}
