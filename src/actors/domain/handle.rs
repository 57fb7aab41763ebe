//! The handle of a domain. It stays valid when the actor of the domain is replaced.
//!
//! A query goes to the worker of this thread. It is retried within its deadline where the worker or the actor ends before it answers,
//! or the database aborted it. That is safe because all sessions are read only. While the database is down a query fails at once.
//! While connections are being made it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::Addr;
use tokio::sync::watch;
use tokio::time::{sleep, timeout_at};

use super::actor::{Domain, Panic, Probe};
use super::core::{Notice, unavailable};
use super::health::Health;
use super::state::State;
use super::worker::Question;
use super::workers::Workers;
use super::writer::Writer;
use crate::actors::backoff::Backoff;
use crate::config::{DomainConfig, Protocol};
use crate::flow::{QueryAnswer, QueryError, QueryErrorKind};
use crate::graph::{Description, Query};
use crate::metrics::{Tally, Totals};
use crate::types::{Deadline, DomainName, Value};

/// After this a query that found no free connection may succeed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A timed-out query that had less than this part of its time limit at the database fails as overloaded: it waited too long before.
const FULL_TIME: f32 = 0.9;
/// The most attempts of a query.
const MAX_ATTEMPTS: u32 = 6;

/// A query with its parameters and time limits.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// The query.
    pub query: Arc<Query>,
    /// `$1`, `$2`, ...
    pub params: Vec<Value>,
    /// The deadline of the request.
    pub deadline: Deadline,
    /// The node's own `timeout_ms`; `None` for the domain's query timeout.
    pub timeout: Option<Duration>,
    /// The time limit of a query of a batch, both for a connection and for the answer. Queries of single requests come first.
    pub in_bulk: Option<Duration>,
    /// The trace that it belongs to (W3C `traceparent`), for a domain that is a service.
    pub traceparent: Option<Arc<str>>,
}

/// A fault that tests inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The domain's actor panics.
    PanicInActor,
    /// Its workers panic.
    PanicInWorkers,
}

/// One generation of a domain's actor.
#[derive(Debug, Clone)]
pub(in crate::actors) struct Instance {
    pub(in crate::actors) generation: u64,
    pub(in crate::actors) address: Addr<Domain>,
    pub(in crate::actors) workers: Arc<Workers>,
}

/// The actor that serves a domain.
#[derive(Debug, Clone)]
pub(in crate::actors) struct Publication {
    /// The newest generation.
    pub(in crate::actors) instance: Instance,
    /// Whether the domain has been taken out of service.
    pub(in crate::actors) retired: bool,
}

/// The handle of one domain. Cheap to clone, and usable on every thread.
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
    ) -> Self {
        Self { name, publication, restarts, tally: Arc::default() }
    }

    /// The domain's name.
    pub fn name(&self) -> &DomainName {
        &self.name
    }

    /// Reads the configuration of its current actor.
    pub(in crate::actors) fn config<T>(&self, read: impl FnOnce(&DomainConfig) -> T) -> T {
        read(self.publication.borrow().instance.workers.core().config())
    }

    /// Starts the domain's worker on this thread, so that its connections are made before the first query.
    pub(in crate::actors) fn join(&self) {
        self.publication.borrow().instance.workers.join();
    }

    /// Runs a query and reads its rows.
    ///
    /// # Errors
    /// [`QueryError`] with domain and node, about at the deadline at the latest.
    pub async fn query(&self, request: QueryRequest) -> Result<QueryAnswer, QueryError> {
        let QueryRequest { query, params, deadline: due, timeout, in_bulk, traceparent } = request;
        let now = Instant::now();
        let workers = Arc::clone(&self.publication.borrow().instance.workers);
        let timeouts = workers.core().config().timeouts;
        let most = in_bulk.unwrap_or(Duration::MAX);
        let limit = timeout.unwrap_or(timeouts.query).min(most);
        let given = due.instant().saturating_duration_since(now);
        // Waiting for a connection does not reduce the time of the database.
        let wait = in_bulk.unwrap_or(timeouts.acquire);
        let deadline = due.instant().min(now + wait + limit);
        let (params, work, in_bulk) = (params.into(), limit.min(given), in_bulk.is_some());
        let question = Question { query, params, wait, deadline, work, in_bulk, traceparent };
        self.tally.begin();
        let ask = async |workers: &Workers, asked| {
            let outcome = workers.ask(question.clone(), asked).await;
            // Where the worker ended, it is not known whether it had asked.
            if outcome.is_none() && !question.query.is_idempotent() { Some(Err(actor_failed())) } else { outcome }
        };
        let first = if workers.core().serves() { ask(&workers, now).await } else { None };
        let outcome = match first {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(kind)) if !kind.is_retryable() => Err(kind),
            // Rare path; boxed to keep the future small.
            _ => {
                let again = async |instance: &Instance| ask(&instance.workers, Instant::now()).await;
                Box::pin(self.retry(Deadline::at(deadline), again)).await
            }
        };
        let outcome = outcome.map_err(|kind| match kind {
            QueryErrorKind::Timeout { after } if after < limit.mul_f32(FULL_TIME) && !due.has_passed() => {
                QueryErrorKind::Overloaded { retry_after: RETRY_AFTER }
            }
            QueryErrorKind::Timeout { .. } => QueryErrorKind::Timeout { after: limit.min(given) },
            kind => kind,
        });
        self.tally.end(now.elapsed(), outcome.is_ok());
        outcome.map_err(|kind| self.error(&question.query, kind))
    }

    /// The durations and outcomes of its queries since the domain was first started.
    pub fn tally(&self) -> Totals {
        self.tally.totals()
    }

    /// Describes `query` by PREPARE.
    ///
    /// # Errors
    /// [`QueryError`] with domain and node.
    pub async fn describe(&self, query: &Arc<Query>, deadline: Deadline) -> Result<Description, QueryError> {
        let describe = async |instance: &Instance| Some(instance.workers.core().describe(query, deadline).await);
        self.retry(deadline, describe).await.map_err(|kind| self.error(query, kind))
    }

    /// Whether it is a service, and not a database.
    pub(in crate::actors) fn is_service(&self) -> bool {
        self.config(|config| config.connection.protocol != Protocol::Postgres)
    }

    /// The connections of its current actor that write effects. `None` where the domain has no write role.
    pub fn writer(&self) -> Option<Writer> {
        Writer::of(self.publication.borrow().instance.workers.core())
    }

    /// The health of the domain. Sends nothing to the database.
    pub fn health(&self) -> Health {
        Health::of(self.publication.borrow().instance.workers.core(), self.restarts.load(Ordering::Relaxed))
    }

    /// Whether the domain serves queries now.
    ///
    /// # Errors
    /// `Unavailable` with the reason.
    pub fn available(&self) -> Result<(), QueryError> {
        self.publication.borrow().instance.workers.core().available()
    }

    /// Waits until the domain serves queries.
    ///
    /// # Errors
    /// `Unavailable` with the reason, where the deadline has passed or the domain was taken out of service.
    pub async fn wait_ready(&self, deadline: Deadline) -> Result<(), QueryError> {
        let ready = serving(&mut self.publication.clone(), WhileDown::Wait, deadline).await;
        ready.map(drop).map_err(|kind| QueryError { domain: self.name.clone(), node: None, kind })
    }

    /// Probes the database now, and returns the health of the domain afterwards.
    pub async fn probe(&self, deadline: Deadline) -> Health {
        let address = self.publication.borrow().instance.address.clone();
        // The result of the probe is part of the health.
        drop(timeout_at(deadline.instant().into(), address.send(Probe)).await);
        self.health()
    }

    /// Closes every connection, those in use once they are free. Later queries use new connections.
    pub fn recycle(&self) {
        let workers = Arc::clone(&self.publication.borrow().instance.workers);
        workers.core().recycle();
        workers.core().request_probe();
    }

    /// Injects a fault, for tests.
    #[doc(hidden)]
    pub fn inject(&self, fault: Fault) {
        let instance = self.publication.borrow().instance.clone();
        match fault {
            Fault::PanicInActor => instance.address.do_send(Panic),
            Fault::PanicInWorkers => instance.workers.core().notify(Notice::Panic),
        }
    }

    /// Asks until there is an answer, an error that is not retryable, or the last attempt has failed. `ask` returns `None` where
    /// the actor or worker ended before it answered.
    async fn retry<T>(
        &self,
        deadline: Deadline,
        ask: impl AsyncFn(&Instance) -> Option<Result<T, QueryErrorKind>>,
    ) -> Result<T, QueryErrorKind> {
        let mut publication = self.publication.clone();
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(200));
        let mut attempts = 0;
        loop {
            let instance = serving(&mut publication, WhileDown::Fail, deadline).await?;
            attempts += 1;
            let failure = match ask(&instance).await {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(kind)) if !kind.is_retryable() => return Err(kind),
                Some(Err(kind)) => kind,
                None => actor_failed(),
            };
            let pause = backoff.next();
            let is_replaced = !instance.address.connected() || !instance.workers.core().serves();
            if !is_replaced && (attempts >= MAX_ATTEMPTS || pause >= deadline.remaining()) {
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

fn actor_failed() -> QueryErrorKind {
    QueryErrorKind::ConnectionLost { sent: true, detail: "the domain's actor failed".to_owned() }
}

/// What to do while the domain is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhileDown {
    Fail,
    Wait,
}

/// Waits for an actor that serves.
async fn serving(
    publication: &mut watch::Receiver<Publication>,
    while_down: WhileDown,
    deadline: Deadline,
) -> Result<Instance, QueryErrorKind> {
    loop {
        let Publication { instance, retired } = publication.borrow_and_update().clone();
        let state = instance.workers.core().state();
        match state {
            _ if retired => return Err(unavailable(&State::Stopped)),
            _ if state.serves() && instance.address.connected() => return Ok(instance),
            State::Down { .. } if while_down == WhileDown::Fail => return Err(unavailable(&state)),
            _ => wait_for_change(publication, &state, deadline).await?,
        }
    }
}

/// Waits until the actor is replaced, or its state differs from `seen`.
async fn wait_for_change(
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
        // The supervisor has ended.
        Ok(Err(_)) => Err(unavailable(&State::Stopped)),
        Err(_) => Err(unavailable(seen)),
    }
}
