//! Whether each of our connections has a session of the server to itself.
//!
//! Behind a pooler that gives each transaction whatever session is free, a statement that was prepared on one session is
//! looked for on another: at best nothing of that name is there, at worst another service has prepared something else under
//! it, and the answer is one to another question. So where statements are prepared such a pooler is noticed, and nothing is
//! asked of it any more: where two of our connections stand before one session, where a session lacks the settings of its
//! first message, and where a statement is not there that was prepared (or is there that was not).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::{Client, SimpleQueryMessage};

/// What to do about a pooler that gives each transaction another session.
pub(super) const POOLED: &str = "a pooler gives each transaction another session, where prepared statements go astray: set \
                                 `pool: { statements: unprepared }` for the domain";
/// What to do about a pooler that leaves out the settings of our sessions.
pub(super) const UNSETTLED: &str = "the session is not read only as it was asked to be: a pooler leaves out its settings. Where it \
                                    gives each transaction another session, set `pool: { statements: unprepared }` for the \
                                    domain; where it does not, `ALTER ROLE ... SET default_transaction_read_only = on`";
/// The same where the pooler says so.
pub(super) const UNWANTED: &str = "the server refused the settings of a session, as PgBouncer does: set `pool: { statements: \
                                   unprepared }` for the domain, or in session mode `ignore_startup_parameters = options`";

/// The process of a session, and when its server began: processes of different servers may have one number.
const WHO: &str = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_postmaster_start_time()";

/// A connection whose session another one has just given up may not have heard of that yet.
const HEARSAY: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(20);

/// The sessions behind the connections of a domain.
#[derive(Debug, Default)]
pub(super) struct Backends {
    taken: Mutex<HashSet<String>>,
    pooled: AtomicBool,
}

/// A connection's place before its session, until it is given up.
#[derive(Debug, Default)]
pub(super) struct Place {
    backends: Arc<Backends>,
    held: Mutex<Option<String>>,
}

impl Backends {
    /// Whether a pooler was noticed.
    pub(super) fn are_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }

    /// A pooler was noticed.
    pub(super) fn note_pooler(&self) {
        if !self.pooled.swap(true, Ordering::Relaxed) {
            tracing::error!(why = POOLED, "postgres.pooler.noticed");
        }
    }

    /// Each connection has a session to itself again.
    pub(super) fn note_no_pooler(&self) {
        if self.pooled.swap(false, Ordering::Relaxed) {
            tracing::info!("postgres.pooler.gone");
        }
    }

    /// Whether `client` stands before a session that one of the connections took. Where it does not, a pooler has given it
    /// another. A server that cannot say who it is counts as known.
    ///
    /// # Errors
    /// Where the connection broke.
    pub(super) async fn know(&self, client: &Client) -> Result<bool, tokio_postgres::Error> {
        let Some(backend) = who(client).await? else { return Ok(true) };
        Ok(self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains(&backend))
    }

    fn take(&self, backend: &str) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(backend.to_owned())
    }

    fn give_back(&self, backend: &str) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(backend);
    }
}

impl Place {
    /// Before one of `backends`.
    pub(super) fn before(backends: &Arc<Backends>) -> Self {
        Self { backends: Arc::clone(backends), held: Mutex::default() }
    }

    /// Takes the session of `client`. `false` where another connection stands before it, and goes on to.
    ///
    /// # Errors
    /// Where the connection broke. A server that cannot say who it is is taken at its word.
    pub(super) async fn take(&self, client: &Client) -> Result<bool, tokio_postgres::Error> {
        let Some(backend) = who(client).await? else { return Ok(true) };
        let mut waited = Duration::ZERO;
        while !self.backends.take(&backend) {
            if waited >= HEARSAY {
                self.backends.note_pooler();
                return Ok(false);
            }
            sleep(PAUSE).await;
            waited += PAUSE;
        }
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(backend);
        Ok(true)
    }

    /// Gives the session up. Before the server hears of it, so that whoever is given that session next finds it free.
    pub(super) fn give_up(&self) {
        if let Some(backend) = self.held.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.backends.give_back(&backend);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// The session that `client` stands before at the moment; `None` where its server cannot say.
async fn who(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    match client.simple_query(WHO).await {
        Ok(answer) => Ok(answer.iter().find_map(name)),
        Err(error) if error.as_db_error().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether each of two connections keeps one session from transaction to transaction. While a transaction of one is open a
/// pooler has to give the other another session, and afterwards the one that was given up last, or the next in turn.
///
/// # Errors
/// Where a connection broke.
pub(super) async fn keep_their_sessions(pair: [&Client; 2]) -> Result<bool, tokio_postgres::Error> {
    let [first, second] = pair;
    let at_first = (who(first).await?, who(second).await?);
    for open in [first, second, first, second] {
        open.batch_execute("BEGIN").await?;
        let at = (who(first).await?, who(second).await?);
        open.batch_execute("COMMIT").await?;
        if at != at_first || (at.0.is_some() && at.0 == at.1) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn name(message: &SimpleQueryMessage) -> Option<String> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    let (process, began) = (row.get(0)?, row.get(1)?);
    // Engines that only speak the protocol may have no processes.
    let is_one = process.parse::<i64>().is_ok_and(|process| process > 0);
    is_one.then(|| format!("{process} of {began}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_one_connections_until_that_gives_it_up() {
        let backends = Arc::new(Backends::default());
        let (first, other) = (Place::before(&backends), Place::before(&backends));
        assert!(backends.take("7"));
        *first.held.lock().expect("no panic") = Some("7".to_owned());
        other.give_up();
        assert!(!backends.take("7"), "the other had none to give up");
        first.give_up();
        first.give_up();
        assert!(backends.take("7"));
        assert!(!backends.are_pooled());
    }
}
