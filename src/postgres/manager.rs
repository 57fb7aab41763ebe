//! What deadpool asks for: how connections are made, and which of them may be used again.
//!
//! The task that drives a connection lives on the thread that made it. Queries that are sent from that thread wake no
//! other one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use deadpool::managed::{Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_postgres::{Client, Statement};

use super::backends::Place;
use super::coalesce::Wrapped;
use super::connect::Connector;
use super::failure::ConnectError;
use super::lifetime::Lifetime;
use super::statements::Plan;
use crate::config::Timeouts;
use crate::graph::Query;

/// A connection of the pool, lent to one session.
pub(super) type Object = deadpool::managed::Object<Manager>;

/// What is prepared on a connection for one query.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    /// Keeps the address from being another's. Nothing is left of it once no flow and no thread knows the query.
    pub(super) query: Weak<Query>,
    pub(super) statement: Statement,
    pub(super) plan: Arc<Plan>,
    /// The statement that stands for several queries.
    pub(super) wrapped: Option<(Arc<Wrapped>, Statement)>,
}

/// An open connection. The task that drives it ends after this is dropped.
#[derive(Debug)]
pub(super) struct ServerConnection {
    pub(super) client: ClientWrapper,
    pub(super) born: Instant,
    /// The thread of the task that drives it.
    home: ThreadId,
    /// By the address of a query: what is prepared for it.
    pub(super) prepared: RefCell<HashMap<usize, Prepared>>,
    pub(super) place: Arc<Place>,
    /// Whether the session is read only as it was asked to be, as far as its server says.
    pub(super) is_settled: bool,
    /// Closed when nobody is interested in the connection any more.
    _interest: oneshot::Sender<Infallible>,
}

impl ServerConnection {
    /// The connection of `client`, whose task ends soon after the other end of `interest` is closed.
    pub(super) fn new(
        client: Client,
        place: Arc<Place>,
        is_settled: bool,
        interest: oneshot::Sender<Infallible>,
    ) -> Self {
        // The wrapper aborts the task that it is given. An aborted task would close the socket without a goodbye.
        let client = ClientWrapper::new(client, tokio::spawn(std::future::ready(())));
        let home = std::thread::current().id();
        Self {
            client,
            born: Instant::now(),
            home,
            prepared: RefCell::default(),
            place,
            is_settled,
            _interest: interest,
        }
    }
}

impl ServerConnection {
    /// Whether the task that drives it lives on the current thread.
    pub(super) fn is_at_home(&self) -> bool {
        self.home == std::thread::current().id()
    }
}

impl Deref for ServerConnection {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

impl Drop for ServerConnection {
    fn drop(&mut self) {
        // The client is dropped after this, so the server hears of the end later.
        self.place.give_up();
    }
}

/// A connection unused for so many probe intervals is verified before it is used.
const UNVERIFIED_INTERVALS: u32 = 5;

/// For how long a connection may be unused before it is verified.
pub(super) fn verified_after(limits: &Timeouts) -> Duration {
    limits.probe_interval.saturating_mul(UNVERIFIED_INTERVALS)
}

/// Makes and checks the connections of one pool.
#[derive(Debug)]
pub(super) struct Manager {
    pub(super) connector: Connector,
    pub(super) lifetime: Lifetime,
    pub(super) limits: Timeouts,
}

impl deadpool::managed::Manager for Manager {
    type Type = ServerConnection;
    type Error = ConnectError;

    async fn create(&self) -> Result<ServerConnection, ConnectError> {
        self.connector.connect().await
    }

    async fn recycle(&self, connection: &mut ServerConnection, metrics: &Metrics) -> RecycleResult<ConnectError> {
        if self.lifetime.is_over(connection.born) {
            return Err(RecycleError::message("too old"));
        }
        // The runtime looks at its sockets and runs the tasks of connections that have news, so that a connection is known
        // to be closed which the server closed a moment ago.
        yield_now().await;
        if connection.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        if metrics.last_used() <= verified_after(&self.limits) {
            return Ok(());
        }
        let limit = self.limits.probe;
        let answered = timeout(limit, connection.check_connection()).await.map_err(|_| ConnectError::late(limit))?;
        Ok(answered.map_err(|error| ConnectError::of(&error))?)
    }
}
