//! The only way to reach a domain: its handle outlives every actor the domain ever has.
//!
//! A request goes to whichever actor is published at that moment. Where the actor dies under it, or the database undid
//! it, it is asked again, within its deadline: all sessions are read only. While the database is down the request fails
//! at once; while it is being connected to the request waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Addr, Handler, Message};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::actor::Domain;
use super::core::{Core, Ticket, unavailable};
use super::gatherer::Gatherer;
use super::health::Health;
use super::messages::{Describe, Fault, Join, Probe, Query, Recycle};
use super::state::State;
use super::tally::{Tally, Totals};
use crate::actors::backoff::Backoff;
use crate::config::DomainConfig;
use crate::postgres::{self, Answer, Ask, Description, Manner, QueryError, QueryErrorKind, Told};
use crate::types::{Deadline, DomainName, Value};

/// The actor answers at the deadline itself, and knows better why; only where even that does not come do we.
const GRACE: Duration = Duration::from_millis(50);
/// When trying again may help where the queue was full.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);
/// How long a query of a batch waits before it asks again for a connection.
const BETWEEN_TURNS: Duration = Duration::from_millis(20);
/// A query that was given less than this part of its time limit did not fail by its database: it waited for too long before.
const FULL: f32 = 0.9;
/// A request that has failed so often fails.
const MOST_ATTEMPTS: u32 = 6;

/// A query and the limits it has.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// The query.
    pub query: Arc<postgres::Query>,
    /// `$1`, `$2`, ...
    pub params: Vec<Value>,
    /// The instant by which the request that asks it must be answered.
    pub deadline: Deadline,
    /// The node's own `timeout_ms`; `None` for the domain's query timeout.
    pub timeout: Option<Duration>,
    /// The span of the node.
    pub span: tracing::Span,
}

/// One of a domain's actors.
#[derive(Debug, Clone)]
pub(in crate::actors) struct Instance {
    pub(in crate::actors) generation: u64,
    pub(in crate::actors) address: Addr<Domain>,
    pub(in crate::actors) core: Arc<Core>,
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
        show(self.publication.borrow().instance.core.config())
    }

    /// Runs a query and reads its rows.
    ///
    /// # Errors
    /// [`QueryError`], naming domain and node. Never later than the deadline, give or take a moment.
    pub async fn query(&self, request: QueryRequest) -> Result<Answer, QueryError> {
        self.counted(request, None).await
    }

    /// As [`Self::query`], on its way together with others of its kind that the same worker asks, where it can be.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn query_among(&self, gatherer: &Gatherer, request: QueryRequest) -> Result<Answer, QueryError> {
        self.counted(request, Some(gatherer)).await
    }

    /// As [`Self::query_among`], for one of many decisions of a batch: it waits for its turn without a limit, and from then on
    /// the query may take at most `limit`. While the service has no connection for it, it is asked again.
    ///
    /// # Errors
    /// As [`Self::query`]; `Overloaded` only where no connection was free for `limit` from its turn.
    pub async fn query_in_turn(
        &self,
        gatherer: &Gatherer,
        request: QueryRequest,
        limit: Duration,
    ) -> Result<Answer, QueryError> {
        let core = Arc::clone(&self.publication.borrow().instance.core);
        let timeout = request.timeout.unwrap_or(core.config().timeouts.query).min(limit);
        let _turn = core.turns().take(|| core.lanes().room_for(&request.query, timeout)).await;
        let patience = Deadline::after(limit);
        loop {
            let request = QueryRequest { timeout: Some(timeout), ..request.clone() };
            match self.query_among(gatherer, request).await {
                Err(QueryError { kind: QueryErrorKind::Overloaded { .. }, .. }) if !patience.has_passed() => {
                    sleep(BETWEEN_TURNS).await;
                }
                result => return result,
            }
        }
    }

    async fn counted(&self, request: QueryRequest, gatherer: Option<&Gatherer>) -> Result<Answer, QueryError> {
        let QueryRequest { query, params, deadline, timeout, span } = request;
        let timeouts = self.publication.borrow().instance.core.config().timeouts;
        // The service's own queue takes nothing from the time that the database has.
        let (due, given, limit) = (deadline, deadline.remaining(), timeout.unwrap_or(timeouts.query));
        let deadline = due.with_wait(timeouts.acquire, limit);
        let params: Arc<[Value]> = params.into();
        self.tally.begin();
        let begun = std::time::Instant::now();
        let told = match gatherer {
            Some(gatherer) => self.among(gatherer, &query, &params, deadline).await,
            None => Told::Again(Manner::Any),
        };
        let outcome = match told {
            Told::Answered(outcome) => outcome,
            // Seldom, and it would lie in the memory of every query.
            Told::Again(manner) => Box::pin(self.by_itself(&query, &params, deadline, manner, &span)).await,
        };
        let outcome = outcome.map_err(|kind| match kind {
            QueryErrorKind::Timeout { after } if after < limit.mul_f32(FULL) && !due.has_passed() => {
                QueryErrorKind::Overloaded { retry_after: OVERLOAD_PAUSE }
            }
            QueryErrorKind::Timeout { .. } => QueryErrorKind::Timeout { after: limit.min(given) },
            kind => kind,
        });
        self.tally.end(begun.elapsed(), outcome.is_ok());
        outcome.map_err(|kind| self.error(&query, kind))
    }

    async fn by_itself(
        &self,
        query: &Arc<postgres::Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
        manner: Manner,
        span: &tracing::Span,
    ) -> Result<Answer, QueryErrorKind> {
        let message = |ticket| Query {
            what: Arc::clone(query),
            params: Arc::clone(params),
            deadline,
            manner,
            span: span.clone(),
            ticket,
        };
        self.ask(deadline, message).await
    }

    /// Asks by way of `gatherer`, once. What fails without having been asked, and whatever else there is to it, is for
    /// [`Self::by_itself`].
    async fn among(
        &self,
        gatherer: &Gatherer,
        query: &Arc<postgres::Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
    ) -> Told {
        let limit = deadline.work();
        let Some(_permit) = self.admits_among_others(query, deadline) else { return Told::Again(Manner::Any) };
        let (reply, told) = oneshot::channel();
        let (params, asked) = (Arc::clone(params), std::time::Instant::now());
        gatherer.add(self, query, Ask { params, deadline, asked, reply });
        let told = match timeout_at(Instant::from_std(deadline.instant()) + GRACE, told).await {
            Err(_) => Told::Answered(Err(QueryErrorKind::Timeout { after: limit })),
            Ok(Ok(told)) => told,
            // Lost with the actor.
            Ok(Err(_)) => Told::Again(Manner::Any),
        };
        match told {
            Told::Answered(Err(kind)) => {
                self.publication.borrow().instance.core.alarm_for(&kind);
                if kind.is_retryable() { Told::Again(Manner::Any) } else { Told::Answered(Err(kind)) }
            }
            told => told,
        }
    }

    /// Room for a query that can go together with others, where the domain serves.
    fn admits_among_others(&self, query: &postgres::Query, deadline: Deadline) -> Option<OwnedSemaphorePermit> {
        let publication = self.publication.borrow();
        let Publication { instance: Instance { address, core, .. }, retired } = &*publication;
        let serves = !retired && core.serves() && address.connected();
        if serves && core.lanes().takes(query, deadline) { core.permit() } else { None }
    }

    /// Sends what was gathered. An actor that is gone drops it, and whoever asked asks again.
    pub(super) async fn join(&self, message: Join) {
        let address = self.publication.borrow().instance.address.clone();
        address.send(message).await.unwrap_or_default();
    }

    /// What its queries took and how they ended, since the domain was first started.
    pub fn tally(&self) -> Totals {
        self.tally.totals()
    }

    /// Says what PREPARE says of `query`.
    ///
    /// # Errors
    /// [`QueryError`], naming domain and node.
    pub async fn describe(&self, query: &Arc<postgres::Query>, deadline: Deadline) -> Result<Description, QueryError> {
        let message = |ticket| Describe { query: Arc::clone(query), deadline, ticket };
        self.ask(deadline, message).await.map_err(|kind| self.error(query, kind))
    }

    /// How the domain is. Costs the database nothing.
    pub fn health(&self) -> Health {
        Health::of(&self.publication.borrow().instance.core, self.restarts.load(Ordering::Relaxed))
    }

    /// Waits until the domain serves queries.
    ///
    /// # Errors
    /// `Unavailable` with what is wrong, once the deadline has passed or the domain was taken out of service.
    pub async fn wait_ready(&self, deadline: Deadline) -> Result<(), QueryError> {
        let mut publication = self.publication.clone();
        loop {
            let Publication { instance, retired } = publication.borrow_and_update().clone();
            let state = instance.core.state();
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
        drop(timeout_at(Instant::from_std(deadline.instant()), address.send(Probe)).await);
        self.health()
    }

    /// Closes every connection, those in use once they are free, so that the next queries connect anew.
    pub async fn recycle(&self) {
        let address = self.publication.borrow().instance.address.clone();
        // An actor that is gone has no connections.
        address.send(Recycle).await.unwrap_or_default();
    }

    /// Makes the actor go wrong, for tests.
    #[doc(hidden)]
    pub async fn inject(&self, fault: Fault) {
        let address = self.publication.borrow().instance.address.clone();
        address.send(fault).await.unwrap_or_default();
    }

    async fn ask<M, T>(&self, deadline: Deadline, message: impl Fn(Ticket) -> M) -> Result<T, QueryErrorKind>
    where
        M: Message<Result = Result<T, QueryErrorKind>> + Send + 'static,
        T: Send + 'static,
        Domain: Handler<M>,
        <Domain as actix::Actor>::Context: ToEnvelope<Domain, M>,
    {
        let limit = deadline.work();
        let latest = Instant::from_std(deadline.instant()) + GRACE;
        let mut publication = self.publication.clone();
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(200));
        let mut attempts = 0;
        loop {
            let instance = serving(&mut publication, deadline).await?;
            let Some((asker, ticket)) = instance.core.admit() else {
                if instance.core.state().is_leaving() {
                    continue;
                }
                return Err(QueryErrorKind::Overloaded { retry_after: OVERLOAD_PAUSE });
            };
            let reply = timeout_at(latest, instance.address.send(message(ticket))).await;
            drop(asker);
            attempts += 1;
            let failure = match reply {
                Ok(Ok(Ok(answer))) => return Ok(answer),
                Err(_) => return Err(QueryErrorKind::Timeout { after: limit }),
                Ok(Ok(Err(kind))) if !kind.is_retryable() => return Err(kind),
                Ok(Ok(Err(kind))) => kind,
                // The actor died, or this one reply did.
                Ok(Err(_)) => QueryErrorKind::ConnectionLost { sent: true, detail: "the domain's actor failed".into() },
            };
            let pause = backoff.next();
            let replaced = !instance.address.connected();
            if !replaced && (attempts >= MOST_ATTEMPTS || pause >= deadline.remaining()) {
                return Err(failure);
            }
            if !replaced {
                sleep(pause).await;
            }
        }
    }

    fn error(&self, query: &postgres::Query, kind: QueryErrorKind) -> QueryError {
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
        let state = instance.core.state();
        match state {
            _ if retired => return Err(unavailable(&State::Stopped)),
            _ if state.serves() && instance.address.connected() => return Ok(instance),
            State::Down { .. } => return Err(unavailable(&state)),
            // Seldom, and it would lie in the memory of every query.
            _ => Box::pin(something_changes(publication, &state, deadline)).await?,
        }
    }
}

/// Waits until there is another actor than the one last seen, or that one is in another state than `seen`.
async fn something_changes(
    publication: &mut watch::Receiver<Publication>,
    seen: &State,
    deadline: Deadline,
) -> Result<(), QueryErrorKind> {
    let core = Arc::clone(&publication.borrow().instance.core);
    let mut standing = core.standing();
    let changed = async {
        tokio::select! {
            replaced = publication.changed() => replaced,
            changed = standing.wait_for(|now| now.state != *seen) => changed.map(|_| ()),
        }
    };
    match timeout_at(Instant::from_std(deadline.instant()), changed).await {
        Ok(Ok(())) => Ok(()),
        // Nobody supervises the domain any more.
        Ok(Err(_)) => Err(unavailable(&State::Stopped)),
        Err(_) => Err(unavailable(seen)),
    }
}
