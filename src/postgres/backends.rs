//! Detects poolers that do not give each connection a session of its own.
//!
//! Behind a pooler in transaction mode, a statement that was prepared on one session may be executed on another. There it does not
//! exist, or is another statement of the same name, and the answer belongs to another query. Where statements are prepared,
//! such a pooler is therefore detected, and no more queries are sent. It shows in three ways: two connections have
//! the same session, a session lacks the settings of the startup packet, or a prepared statement is missing or unexpected.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The error for a pooler that gives each transaction another session.
pub(super) const POOLED: &str = "a pooler gives each transaction another session, which has no prepared statements: set \
                                 `pool: { statements: unprepared }` for the domain";
/// The error for a pooler that does not pass on the settings of the startup packet.
pub(super) const SETTINGS_IGNORED: &str = "the session is not read only, because a pooler ignores its settings: in transaction mode set \
                                           `pool: { statements: unprepared }` for the domain, in session mode `ALTER ROLE ... SET \
                                           default_transaction_read_only = on`";
/// The error for a pooler that rejects these settings.
pub(super) const SETTINGS_REFUSED: &str = "the server rejected the settings of a session, as PgBouncer does: set `pool: { statements: \
                                   unprepared }` for the domain, or in session mode `ignore_startup_parameters = options`";

/// The process of a session and the start time of its server: processes of different servers may have the same number.
const BACKEND_ID: &str = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_postmaster_start_time()";

/// How long a connection may take to release a session that the server has already ended.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(500);
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The sessions (backend processes) behind the connections of a domain.
#[derive(Debug, Default)]
pub(super) struct Backends {
    claimed: Mutex<HashSet<String>>,
    is_pooled: AtomicBool,
}

/// The session that one connection has claimed, until it is released.
#[derive(Debug, Default)]
pub(super) struct BackendClaim {
    backends: Arc<Backends>,
    backend: Mutex<Option<String>>,
}

impl Backends {
    /// Whether a pooler was detected.
    pub(super) fn is_pooled(&self) -> bool {
        self.is_pooled.load(Ordering::Relaxed)
    }

    /// Sets and logs whether a pooler was detected.
    pub(super) fn set_pooled(&self, is_pooled: bool) {
        match (self.is_pooled.swap(is_pooled, Ordering::Relaxed), is_pooled) {
            (false, true) => tracing::error!(why = POOLED, "postgres.pooler.noticed"),
            (true, false) => tracing::info!("postgres.pooler.gone"),
            _ => {}
        }
    }

    /// Whether the session of `client` is one that a connection has claimed. Otherwise a pooler has given it another session.
    /// `true` where the server has no backend ids.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn contains_backend_of(&self, client: &Client) -> Result<bool, tokio_postgres::Error> {
        let Some(backend) = backend_id(client).await? else { return Ok(true) };
        Ok(self.claimed.lock().unwrap_or_else(PoisonError::into_inner).contains(&backend))
    }

    fn claim(&self, backend: &str) -> bool {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(backend.to_owned())
    }
}

impl BackendClaim {
    /// Claims nothing yet.
    pub(super) fn new(backends: &Arc<Backends>) -> Self {
        Self { backends: Arc::clone(backends), backend: Mutex::default() }
    }

    /// Claims the session of `client`. `false` where another connection has it and keeps it. `true` where the server has no
    /// backend ids.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn claim(&self, client: &Client) -> Result<bool, tokio_postgres::Error> {
        let Some(backend) = backend_id(client).await? else { return Ok(true) };
        let mut waited = Duration::ZERO;
        while !self.backends.claim(&backend) {
            if waited >= RELEASE_TIMEOUT {
                self.backends.set_pooled(true);
                return Ok(false);
            }
            sleep(RETRY_INTERVAL).await;
            waited += RETRY_INTERVAL;
        }
        *self.backend.lock().unwrap_or_else(PoisonError::into_inner) = Some(backend);
        Ok(true)
    }

    /// Releases the session. Call this before the session ends on the server, so that the next connection that gets it can claim it.
    pub(super) fn release(&self) {
        if let Some(backend) = self.backend.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.backends.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&backend);
        }
    }
}

impl Drop for BackendClaim {
    fn drop(&mut self) {
        self.release();
    }
}

/// The id of the session that `client` has now. `None` where the server has no such ids.
async fn backend_id(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    match client.simple_query(BACKEND_ID).await {
        Ok(answer) => Ok(answer.iter().find_map(id_in)),
        Err(error) if error.as_db_error().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether two connections keep their sessions from transaction to transaction. While one has a transaction open, a pooler
/// has to give the other another session, and afterwards gives out the last one returned, or the next in turn.
///
/// # Errors
/// A connection broke.
pub(super) async fn keep_their_sessions([first, second]: [&Client; 2]) -> Result<bool, tokio_postgres::Error> {
    let initial = (backend_id(first).await?, backend_id(second).await?);
    for open in [first, second, first, second] {
        open.batch_execute("BEGIN").await?;
        let now = (backend_id(first).await?, backend_id(second).await?);
        open.batch_execute("COMMIT").await?;
        if now != initial || (now.0.is_some() && now.0 == now.1) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn id_in(message: &SimpleQueryMessage) -> Option<String> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    let (process, started) = (row.get(0)?, row.get(1)?);
    // Other servers that speak the protocol may have no processes.
    let is_process = process.parse::<i64>().is_ok_and(|process| process > 0);
    is_process.then(|| format!("{process} of {started}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_claimed_by_one_connection_until_it_is_released() {
        let backends = Arc::new(Backends::default());
        let (first, other) = (BackendClaim::new(&backends), BackendClaim::new(&backends));
        assert!(backends.claim("7"));
        *first.backend.lock().expect("no panic") = Some("7".to_owned());
        other.release();
        assert!(!backends.claim("7"), "the other has no claim to release");
        first.release();
        first.release();
        assert!(backends.claim("7"));
        assert!(!backends.is_pooled());
    }
}
