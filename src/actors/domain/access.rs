//! The server of a domain, whichever protocol it has: a PostgreSQL database, or a service.
//!
//! All other files of the domain see these types only. Each method does the same for both, unless it says otherwise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Coalescing, DomainConfig, Protocol};
use crate::flow::QueryErrorKind;
use crate::graph::{Description, Query};
use crate::pool::{Connect, ConnectError, Contention, OpenConnections, PoolSetupError, PoolStatus};
use crate::postgres::{self, BatchOutcome, Rows, StalenessHealth};
use crate::service;
use crate::types::{Deadline, Value};

/// Statements in flight on one connection of a database.
const PIPELINED: usize = 16;

/// Evaluates an expression over either kind.
macro_rules! either {
    ($kind:ident, $value:expr, $inner:pat => $of:expr) => {
        match $value {
            $kind::Database($inner) => $of,
            $kind::Service($inner) => $of,
        }
    };
}

/// The connections of a domain.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    Database(postgres::Pool),
    Service(service::Pool),
}

/// A connection while a thread uses it.
#[derive(Debug)]
pub(super) enum Session {
    Database(postgres::Session),
    Service(service::Session),
}

/// What one thread knows about a query.
#[derive(Debug)]
pub(super) enum QueryState {
    Database(postgres::QueryState),
    Service(Arc<Query>),
}

/// Checks whether the server answers.
#[derive(Debug)]
pub(super) enum Probe {
    Database(postgres::Probe),
    Service(service::Probe),
}

impl Pool {
    pub(super) fn new(config: &DomainConfig) -> Result<Self, PoolSetupError> {
        match config.connection.protocol {
            Protocol::Postgres => postgres::Pool::new(postgres::Connector::new(config), config).map(Self::Database),
            Protocol::Http { .. } => service::Pool::new(service::Connector::new(config), config).map(Self::Service),
        }
    }

    /// The pool of effects. `None` for a service, and without a write role.
    pub(super) fn for_writes(config: &DomainConfig) -> Result<Option<postgres::Pool>, PoolSetupError> {
        let pool = |config| postgres::Pool::new(postgres::Connector::new(&config), &config);
        config.for_writes().map(pool).transpose()
    }

    pub(super) fn probe(&self) -> Probe {
        match self {
            Self::Database(pool) => Probe::Database(postgres::Probe::new(pool.clone())),
            Self::Service(pool) => Probe::Service(service::Probe::new(pool.clone())),
        }
    }

    pub(super) fn state(&self, query: Arc<Query>) -> QueryState {
        match self {
            Self::Database(_) => QueryState::Database(postgres::QueryState::new(query)),
            Self::Service(_) => QueryState::Service(query),
        }
    }

    /// How many statements may be in flight on one connection.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Database(_) => PIPELINED,
            Self::Service(_) => 1,
        }
    }

    /// The host and port of a service.
    pub(super) fn service(&self) -> Option<String> {
        match self {
            Self::Database(_) => None,
            Self::Service(pool) => Some(pool.connector().authority()),
        }
    }

    /// The version of the database server.
    pub(super) fn server_version(&self) -> Option<Arc<String>> {
        match self {
            Self::Database(pool) => pool.connector().server_version(),
            Self::Service(_) => None,
        }
    }

    /// How old rows may be, where the domain bounds it. The rows of a service are as old as it says.
    pub(super) fn staleness_health(&self) -> Option<StalenessHealth> {
        match self {
            Self::Database(pool) => pool.connector().staleness_health(),
            Self::Service(_) => None,
        }
    }

    /// Watches the primary of replicas for as long as it is polled.
    pub(super) async fn watch_primary(&self) {
        match self {
            Self::Database(pool) => pool.connector().watch_primary().await,
            Self::Service(_) => std::future::pending().await,
        }
    }

    pub(super) async fn forget_primary(&self) {
        if let Self::Database(pool) = self {
            pool.connector().forget_primary().await;
        }
    }

    pub(super) async fn describe(&self, query: &Query, deadline: Deadline) -> Result<Description, QueryErrorKind> {
        match self {
            Self::Database(pool) => {
                postgres::Session::from(pool.acquire(deadline).await?).describe(query, deadline).await
            }
            Self::Service(pool) => {
                let session = service::Session::from(pool.acquire(deadline).await?);
                let limit = deadline.remaining();
                let described = tokio::time::timeout(limit, session.describe(query)).await;
                described.unwrap_or(Err(QueryErrorKind::Timeout { after: limit }))
            }
        }
    }

    pub(super) async fn lease(&self, deadline: Deadline) -> Result<Session, QueryErrorKind> {
        Ok(match self {
            Self::Database(pool) => Session::Database(pool.lease(deadline).await?.into()),
            Self::Service(pool) => Session::Service(pool.lease(deadline).await?.into()),
        })
    }

    pub(super) async fn fill(&self) -> Result<Option<Session>, ConnectError> {
        Ok(match self {
            Self::Database(pool) => pool.fill().await?.map(|lease| Session::Database(lease.into())),
            Self::Service(pool) => pool.fill().await?.map(|lease| Session::Service(lease.into())),
        })
    }

    pub(super) fn coalesces(&self) -> bool {
        either!(Self, self, pool => pool.coalesces())
    }

    pub(super) fn has_room(&self) -> bool {
        either!(Self, self, pool => pool.has_room())
    }

    pub(super) fn contend(&self) -> Contention {
        either!(Self, self, pool => pool.contend())
    }

    pub(super) fn is_contended(&self) -> bool {
        either!(Self, self, pool => pool.is_contended())
    }

    pub(super) fn capacity(&self) -> usize {
        either!(Self, self, pool => pool.capacity())
    }

    pub(super) fn minimum(&self) -> usize {
        either!(Self, self, pool => pool.minimum())
    }

    pub(super) fn acquire_timeout(&self) -> QueryErrorKind {
        either!(Self, self, pool => pool.acquire_timeout())
    }

    pub(super) fn status(&self) -> PoolStatus {
        either!(Self, self, pool => pool.status())
    }

    pub(super) fn shrink(&self) {
        either!(Self, self, pool => pool.shrink());
    }

    pub(super) fn verified_after(&self) -> Duration {
        either!(Self, self, pool => pool.verified_after())
    }

    pub(super) fn recycle(&self) {
        either!(Self, self, pool => pool.recycle());
    }

    pub(super) fn close(&self) {
        either!(Self, self, pool => pool.close());
    }

    pub(super) fn open(&self) -> &OpenConnections {
        either!(Self, self, pool => pool.connector().open())
    }

    pub(super) fn longest_connect(&self) -> Duration {
        either!(Self, self, pool => pool.connector().longest_connect())
    }
}

impl Session {
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        either!(Self, self, session => session.is_usable(now))
    }

    /// How old the rows of the next query may be.
    pub(super) async fn staleness(&self) -> Result<Option<Duration>, QueryErrorKind> {
        match self {
            Self::Database(session) => session.staleness().await,
            Self::Service(_) => Ok(None),
        }
    }

    pub(super) async fn verify(&self) -> Result<(), QueryErrorKind> {
        either!(Self, self, session => session.verify().await)
    }

    /// Runs one query. A service gets the trace that it belongs to.
    pub(super) async fn query(
        &self,
        state: &QueryState,
        params: &Arc<[Value]>,
        limit: Duration,
        traceparent: Option<Arc<str>>,
    ) -> Rows {
        match (self, state) {
            (Self::Database(session), QueryState::Database(state)) => session.query(state, params, limit).await,
            (Self::Service(session), QueryState::Service(query)) => {
                let rows = session.query(query, std::slice::from_ref(params), limit, traceparent).await?.pop();
                rows.unwrap_or_else(|| Err(mixed()))
            }
            _ => Err(mixed()),
        }
    }

    /// Runs several queries of one node together. A service gets the trace of the first of them.
    pub(super) async fn query_batch(
        &self,
        state: &QueryState,
        parameter_sets: &[Arc<[Value]>],
        limit: Duration,
        traceparent: Option<Arc<str>>,
    ) -> Result<BatchOutcome, QueryErrorKind> {
        match (self, state) {
            (Self::Database(session), QueryState::Database(state)) => session.query_batch(state, parameter_sets).await,
            (Self::Service(session), QueryState::Service(query)) => {
                session.query(query, parameter_sets, limit, traceparent).await.map(BatchOutcome::Answered)
            }
            _ => Err(mixed()),
        }
    }
}

/// Sessions and states of one worker are of the kind of its pool.
fn mixed() -> QueryErrorKind {
    QueryErrorKind::Request { why: "the session is of another kind than the query".to_owned() }
}

impl QueryState {
    /// Identifies the query for as long as its state is kept.
    pub(super) fn key(&self) -> usize {
        match self {
            Self::Database(state) => state.key(),
            Self::Service(query) => Arc::as_ptr(query).addr(),
        }
    }

    pub(super) fn is_coalescible(&self, now: Instant) -> bool {
        match self {
            Self::Database(state) => state.is_coalescible(now),
            Self::Service(query) => query.coalescing() == Coalescing::Auto,
        }
    }

    pub(super) fn is_paused(&self, now: Instant) -> bool {
        matches!(self, Self::Database(state) if state.is_paused(now))
    }

    pub(super) fn succeeded(&self) {
        if let Self::Database(state) = self {
            state.succeeded();
        }
    }

    pub(super) fn failed(&self, why: &str) {
        if let Self::Database(state) = self {
            state.failed(why);
        }
    }
}

impl Probe {
    /// The latency of the server's answer, or `None` where every connection is in use.
    pub(super) async fn run(&mut self) -> Result<Option<Duration>, ConnectError> {
        match self {
            Self::Database(probe) => probe.run().await,
            Self::Service(probe) => probe.run().await.map(Some),
        }
    }
}
