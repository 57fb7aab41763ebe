//! What deadpool asks for: how connections are made, and which of them may be used again.

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Instant;

use deadpool::managed::{Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio_postgres::Client;

use super::backends::Place;
use super::connect::Connector;
use super::failure::ConnectError;
use super::lifetime::Lifetime;
use super::verification::Verification;

/// A connection of the pool, lent to one session.
pub(super) type Object = deadpool::managed::Object<Manager>;

/// An open connection. The task that drives it ends after this is dropped.
#[derive(Debug)]
pub(super) struct ServerConnection {
    pub(super) client: ClientWrapper,
    pub(super) born: Instant,
    /// The thread that made the connection. In a runtime of one thread the task that drives it runs there.
    #[expect(dead_code, reason = "for queries that are sent on the thread of their connection")]
    pub(super) home: ThreadId,
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
        Self { client, born: Instant::now(), home: thread::current().id(), place, is_settled, _interest: interest }
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

/// Makes and checks the connections of one pool.
#[derive(Debug)]
pub(super) struct Manager {
    pub(super) connector: Connector,
    pub(super) lifetime: Lifetime,
    pub(super) verification: Verification,
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
        Ok(self.verification.verify(connection, metrics).await?)
    }
}
