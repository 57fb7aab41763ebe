//! The pool itself. It never hands out a connection that the server has closed, and does not need a round trip at every checkout
//! for that.
//!
//! Workers hold their connections for as long as they need them, so most connections are counted by the pool but not idle in it. A
//! worker takes a connection of its own thread, or makes one. It takes a connection of another thread only while the pool
//! is contended ([`Pool::lease`]).
//!
//! The task of a connection detects that the server closed it, and runs before the connection is handed out. It cannot detect a
//! half-open connection (a firewall dropped its state, or the server's machine failed), so a connection that was unused
//! for some time is verified by a round trip. The least recently used connection is handed out first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{BuildError, Metrics, PoolError, TimeoutType, Timeouts};
use tokio::time::{sleep, timeout};

use super::error::{ConnectError, RETRY_AFTER};
use super::lifetime::Lifetime;
use super::manager::{Manager, Object, discard, verified_after};
use super::ports::{Connect, Connected};
use super::shared::{Lease, Shared};
use crate::config::{Coalescing, DomainConfig, Timeouts as Limits};
use crate::flow::QueryErrorKind;
use crate::types::Deadline;

/// A connection that is idle for this long is closed, unless it belongs to the configured minimum.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause before the next attempt where the server has no free slot.
const SLOT_RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// The attempts to make a connection of the minimum.
const FILL_ATTEMPTS: u32 = 10;
/// How long after the deadline of a query the pool still waits for the error of a connection attempt.
const CONNECT_GRACE: Duration = Duration::from_millis(10);

/// The connections of one domain. Cheap to clone; clones share the pool.
#[derive(Debug)]
pub struct Pool<C: Connect> {
    inner: deadpool::managed::Pool<Manager<C>>,
    shared: Arc<Shared<C>>,
}

impl<C: Connect> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared) }
    }
}

/// The state of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct PoolStatus {
    /// The most connections it may have, including the probe's.
    pub max: usize,
    /// The connections it has for queries.
    pub size: usize,
    /// The idle ones among them.
    pub idle: usize,
    /// Queries that wait for a connection.
    pub waiting: usize,
    /// Acquire timeouts so far.
    pub timeouts: u64,
}

/// The pool rejected its configuration.
#[derive(Debug, thiserror::Error)]
#[error("the connection pool rejected its configuration")]
pub struct PoolSetupError(#[from] BuildError);

impl<C: Connect> Pool<C> {
    /// A pool of the connections that `connector` makes for the domain of `config`. It has none yet.
    ///
    /// # Errors
    /// [`PoolSetupError`].
    pub fn new(connector: C, config: &DomainConfig) -> Result<Self, PoolSetupError> {
        let (lifetime, limits) = (Lifetime::new(config.pool.max_lifetime), config.timeouts);
        let manager = Manager { connector: connector.clone(), lifetime: lifetime.clone(), limits };
        let inner = deadpool::managed::Pool::builder(manager)
            .max_size(query_connections(config.pool.max))
            .runtime(Runtime::Tokio1)
            .build()?;
        let size = config.pool;
        let (contenders, epoch, timeouts) = (Arc::default(), AtomicU64::new(0), AtomicU64::new(0));
        let shared = Shared { connector, limits, size, epoch, contenders, timeouts, lifetime };
        Ok(Self { inner, shared: Arc::new(shared) })
    }

    /// Makes the pool's connections.
    pub fn connector(&self) -> &C {
        &self.shared.connector
    }

    /// Whether waiting queries may be coalesced.
    pub fn coalesces(&self) -> bool {
        self.shared.size.coalesce == Coalescing::Auto && self.shared.prepares()
    }

    /// The parts that its sessions use, too.
    pub fn shared(&self) -> &Shared<C> {
        &self.shared
    }

    /// The configured timeouts.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// A connection whose task runs on the current thread, idle or new, within the acquire timeout and the deadline. While the pool
    /// is contended it may be a connection of another thread.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn lease(&self, deadline: Deadline) -> Result<Lease<C>, QueryErrorKind> {
        loop {
            let connection = self.get(deadline).await?;
            if connection.birth().is_on_current_thread() || self.is_contended() {
                return Ok(self.lease_of(connection));
            }
            discard(connection);
        }
    }

    /// A connection, idle or new, within the acquire timeout and the deadline. Of the idle ones it prefers one whose task runs on the
    /// current thread, because what is sent over it wakes no other thread.
    ///
    /// # Errors
    /// `Overloaded` where none became free in time, `Unavailable` where the server rejects the login, `ConnectionLost` where the
    /// server cannot be reached.
    pub async fn acquire(&self, deadline: Deadline) -> Result<Lease<C>, QueryErrorKind> {
        let mut found = self.get(deadline).await?;
        // They are idle again when this returns.
        let mut others = Vec::new();
        while !found.birth().is_on_current_thread() && self.inner.status().available > 0 {
            let Ok(Ok(next)) = timeout(deadline.remaining(), self.get_available()).await else { break };
            others.push(std::mem::replace(&mut found, next));
        }
        Ok(self.lease_of(found))
    }

    fn lease_of(&self, connection: Object<C>) -> Lease<C> {
        Lease { connection, pool: Arc::clone(&self.shared) }
    }

    async fn get(&self, deadline: Deadline) -> Result<Object<C>, QueryErrorKind> {
        let waits_until = Instant::now() + self.shared.limits.acquire;
        loop {
            let remaining = deadline.remaining();
            let wait = waits_until.saturating_duration_since(Instant::now()).min(remaining);
            let create = self.shared.connector.longest_connect().min(remaining);
            let limits = Timeouts {
                wait: Some(wait.max(Duration::from_millis(1))),
                create: Some(create),
                recycle: Some(self.shared.limits.probe.min(remaining)),
            };
            // The wait for a free connection ends earlier, so this timeout means that the server did not answer.
            let error = match timeout(remaining + CONNECT_GRACE, self.inner.timeout_get(&limits)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => connect_error(error, create),
                Err(_) => Some(ConnectError::timed_out(remaining)),
            };
            match error {
                // Some of the server's slots may be used by this pool and become free.
                Some(ConnectError::Full) if wait > SLOT_RETRY_INTERVAL => sleep(SLOT_RETRY_INTERVAL).await,
                Some(ConnectError::Full) | None => return Err(self.acquire_timeout()),
                Some(error) => return Err(error.into_query_error()),
            }
        }
    }

    /// Whether a connection is idle, or can be made.
    pub fn has_room(&self) -> bool {
        let status = self.inner.status();
        status.available > 0 || status.size < status.max_size
    }

    /// Marks the pool as contended until the returned value is dropped: a worker waits for a connection, and all are in use.
    pub fn contend(&self) -> Contention {
        self.shared.contenders.fetch_add(1, Ordering::Relaxed);
        Contention(Arc::clone(&self.shared.contenders))
    }

    /// Whether a worker waits for a connection because all are in use.
    pub fn is_contended(&self) -> bool {
        self.shared.contenders.load(Ordering::Relaxed) > 0
    }

    /// The most connections that queries can have.
    pub fn capacity(&self) -> usize {
        self.inner.status().max_size
    }

    /// Counts an acquire timeout and returns its error.
    pub fn acquire_timeout(&self) -> QueryErrorKind {
        self.shared.timeouts.fetch_add(1, Ordering::Relaxed);
        QueryErrorKind::Overloaded { retry_after: RETRY_AFTER }
    }

    /// The state of the pool.
    pub fn status(&self) -> PoolStatus {
        let status = self.inner.status();
        PoolStatus {
            max: self.shared.size.max,
            size: status.size,
            idle: status.available,
            waiting: status.waiting,
            timeouts: self.shared.timeouts.load(Ordering::Relaxed),
        }
    }

    /// Closes connections that are too old or were idle for [`IDLE_TIMEOUT`].
    pub fn shrink(&self) {
        let is_kept = |connection: &C::Connection, metrics: Metrics| {
            !self.shared.lifetime.is_expired(connection.birth().at) && metrics.last_used() < IDLE_TIMEOUT
        };
        drop(self.inner.retain(is_kept));
    }

    /// How long a connection may be unused before it is verified.
    pub fn verified_after(&self) -> Duration {
        verified_after(&self.shared.limits)
    }

    /// The number of connections that stay open when they are idle.
    pub fn minimum(&self) -> usize {
        self.shared.size.min.min(self.capacity())
    }

    /// Makes a connection of the minimum on the current thread. `None` where the pool is full.
    ///
    /// # Errors
    /// [`ConnectError`] of the last attempt.
    pub async fn fill(&self) -> Result<Option<Lease<C>>, ConnectError> {
        for _ in 0..FILL_ATTEMPTS {
            match self.get_available().await {
                Ok(connection) if connection.birth().is_on_current_thread() => {
                    return Ok(Some(self.lease_of(connection)));
                }
                Ok(other) => discard(other),
                Err(error) => match connect_error(error, self.shared.connector.longest_connect()) {
                    None => return Ok(None),
                    // A session that was just closed keeps its slot until the server has ended it.
                    Some(ConnectError::Full) => sleep(SLOT_RETRY_INTERVAL).await,
                    Some(error) => return Err(error),
                },
            }
        }
        Err(ConnectError::Full)
    }

    /// Closes every connection: idle ones now, those in use when they are returned. Later queries use new connections.
    pub fn recycle(&self) {
        self.shared.epoch.fetch_add(1, Ordering::Relaxed);
        drop(self.inner.retain(|_, _| false));
    }

    /// Closes the pool and its idle connections. Connections in use are closed when they are returned.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Checks an idle connection of the pool by a round trip. Returns the latency, or `None` where all connections are in use.
    ///
    /// # Errors
    /// [`ConnectError`] where there was no answer.
    pub async fn probe_idle(&self) -> Result<Option<Duration>, ConnectError> {
        let mut connection = match self.get_available().await {
            Ok(connection) => connection,
            Err(error) => {
                let error = connect_error(error, self.shared.connector.longest_connect());
                return error.filter(|error| *error != ConnectError::Full).map_or(Ok(None), Err);
            }
        };
        let latency = connection.check(self.shared.limits.probe).await;
        if latency.is_err() {
            discard(connection);
        }
        latency.map(Some)
    }

    /// An idle or new connection, without waiting for one in use.
    async fn get_available(&self) -> Result<Object<C>, PoolError<ConnectError>> {
        let limits = Timeouts {
            wait: Some(Duration::ZERO),
            create: Some(self.shared.connector.longest_connect()),
            recycle: None,
        };
        self.inner.timeout_get(&limits).await
    }
}

/// See [`Pool::contend`].
#[derive(Debug)]
pub struct Contention(Arc<AtomicUsize>);

impl Drop for Contention {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The part of `max` connections that queries can use. One belongs to the probe.
fn query_connections(max: usize) -> usize {
    max.saturating_sub(1).max(1)
}

/// Why no connection was made. `None` where all are in use.
fn connect_error(error: PoolError<ConnectError>, limit: Duration) -> Option<ConnectError> {
    match error {
        PoolError::Backend(error) => Some(error),
        PoolError::Timeout(TimeoutType::Create) => Some(ConnectError::timed_out(limit)),
        PoolError::Closed => Some(ConnectError::Unreachable { why: "the domain is being stopped".to_owned() }),
        PoolError::PostCreateHook(_) | PoolError::NoRuntimeSpecified | PoolError::Timeout(_) => None,
    }
}
