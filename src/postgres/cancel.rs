//! The end of sessions with unfinished work: cancel requests, and closing the connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{CancelToken, Client};

use super::connect::Connector;
use crate::pool::{Object, Shared, discard};

/// How long an abandoned session may take to stop after a cancel request.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a session may take to finish statements whose answers are not needed, before they are cancelled.
const FINISH_TIMEOUT: Duration = Duration::from_millis(100);

/// Waits until pending statements and unread rows have come to their end, and returns the connection to the pool. Abandons it where
/// that takes too long.
pub(super) async fn finish_or_abandon(connection: Object<Connector>, pool: Arc<Shared<Connector>>, epoch: u64) {
    let client: &Client = &connection;
    match timeout(FINISH_TIMEOUT, client.check_connection()).await {
        Ok(Ok(())) if pool.epoch() == epoch => drop(connection),
        Ok(Ok(())) => discard(connection),
        Ok(Err(_)) | Err(_) => abandon(connection, pool.connector.clone()).await,
    }
}

/// Spawns `work`. Without a runtime the process is ending, and `work` is not needed.
pub(super) fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

/// Cancels the statement of the connection's session and closes the connection. It counts towards the size of the pool until the
/// server has stopped, so that the server never has more sessions than the pool may have.
pub(super) async fn abandon(connection: Object<Connector>, connector: Connector) {
    let client: &Client = &connection;
    let token = client.cancel_token();
    let stopped = async {
        cancel(&connector, &token).await;
        client.check_connection().await
    };
    match timeout(CANCEL_TIMEOUT, stopped).await {
        Ok(_) => tracing::debug!("postgres.query.cancelled"),
        Err(_) => tracing::debug!("postgres.cancel.unanswered"),
    }
    discard(connection);
}

/// Requests that the server cancel the statement of the session of `token`.
pub(super) async fn cancel(connector: &Connector, token: &CancelToken) {
    match timeout(CANCEL_TIMEOUT, connector.cancel(token)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = &error as &dyn std::error::Error, "postgres.cancel.failed"),
        Err(_) => tracing::debug!("postgres.cancel.unanswered"),
    }
}
