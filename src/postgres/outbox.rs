//! The outbox of one database, as a relay reads it: waiting events by event key, and the locks that keep two relays from sending
//! those of one event key at the same time.
//!
//! One connection does everything. Its session holds the locks, so a lost connection gives them up. Statements of several event keys
//! are pipelined on it. A writer commits the events of an event key in the order of `position`, because it holds a lock until it
//! commits. So what is read in this order has no gap that is filled later.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::connect::Connector;
use super::connection::ServerConnection;
use super::effects::EVENT_CHANNEL;
use super::failure::of_query;
use super::sqlstate::keeps_session;
use crate::config::DomainConfig;
use crate::flow::QueryErrorKind;
use crate::pool::{Connect, ConnectError};

/// How much longer than the server's `statement_timeout` an answer may take before the connection counts as lost.
const GRACE: Duration = Duration::from_secs(1);

const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended($1::text || ' ' || $2::text, 2))";
const UNLOCK: &str = "SELECT pg_advisory_unlock(hashtextextended($1::text || ' ' || $2::text, 2))";
/// The lock of the rows is a write. So its commit waits until the synchronous standbys have the events, which may be visible before: where
/// the COMMIT of an event was interrupted, or the server has crashed in it. What they do not have is gone after a failover.
const READ: &str = "\
    SELECT id::text, type, payload::text, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
    FROM tributary_outbox WHERE sent_at IS NULL AND aggregatetype = $1 AND aggregateid = $2 ORDER BY position LIMIT $3 \
    FOR KEY SHARE";
const MARK: &str = "UPDATE tributary_outbox SET sent_at = clock_timestamp() WHERE id = ANY ($1::text[]::uuid[])";
const DELETE: &str = "DELETE FROM tributary_outbox WHERE id = ANY ($1::text[]::uuid[])";
const EXPIRE: &str = "\
    DELETE FROM tributary_outbox WHERE id IN (SELECT id FROM tributary_outbox \
    WHERE sent_at < now() - make_interval(secs => $1) ORDER BY sent_at LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// What the events that must stay in order have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventKey {
    /// `aggregatetype`.
    pub aggregate_type: String,
    /// `aggregateid`.
    pub aggregate_id: String,
}

/// An event of an event key.
#[derive(Debug, Clone)]
pub struct OutboxEvent {
    /// Identifies the event, also where it is sent more than once.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// JSON.
    pub payload: String,
    /// When it was written, in RFC 3339.
    pub created_at: String,
}

/// Why the outbox could not be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{why}")]
pub struct OutboxError {
    why: String,
    /// Whether the connection, and with it every lock, is lost.
    pub is_lost: bool,
}

impl OutboxError {
    /// The connection cannot be used further, for a reason of the relay.
    pub fn broken() -> Self {
        Self { why: "a task of the relay broke; the log has the cause".to_owned(), is_lost: true }
    }
}

/// The outbox of one database.
pub struct Outbox {
    connector: Connector,
    connection: ServerConnection,
    limit: Duration,
    first_keys: Statement,
    next_keys: Statement,
    lock: Statement,
    unlock: Statement,
    read: Statement,
    mark: Statement,
    expire: Statement,
    keep_sent: Duration,
}

impl Outbox {
    /// Connects to the database of `config` and listens for notifications. Sent events are kept for `keep_sent`.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn open(config: &DomainConfig, keep_sent: Duration) -> Result<Self, OutboxError> {
        let connector = Connector::new(config);
        let limit = connector.longest_connect();
        let made = timeout(limit, connector.connect()).await;
        let connection = made
            .unwrap_or_else(|_| Err(ConnectError::timed_out(limit)))
            .map_err(|error| OutboxError { why: error.to_string(), is_lost: true })?;
        let limit = config.timeouts.query + GRACE;
        let prepared = async {
            // Each statement is a transaction of its own, which may write.
            let setup = format!("SET default_transaction_read_only = off; LISTEN {EVENT_CHANNEL}");
            connection.batch_execute(&setup).await?;
            let mark = if keep_sent.is_zero() { DELETE } else { MARK };
            let (first_keys, next_keys) =
                (waiting_keys(""), waiting_keys("AND (aggregatetype, aggregateid) > ($2, $3)"));
            let texts = [&*first_keys, &*next_keys, LOCK, UNLOCK, READ, mark, EXPIRE];
            futures_util::future::try_join_all(texts.map(|text| connection.client.prepare(text))).await
        };
        let prepared = in_time(limit, prepared).await?;
        let Ok([first_keys, next_keys, lock, unlock, read, mark, expire]) = <[Statement; 7]>::try_from(prepared) else {
            return Err(OutboxError { why: "the statements were not prepared".to_owned(), is_lost: true });
        };
        Ok(Self { connector, connection, limit, first_keys, next_keys, lock, unlock, read, mark, expire, keep_sent })
    }

    /// Returns once a writer has notified, or has done so since the last call.
    pub async fn notified(&self) {
        self.connector.notified().await;
    }

    /// At most `most` event keys with waiting events, in their order, behind `after`.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn waiting_keys(&self, after: Option<&EventKey>, most: i64) -> Result<Vec<EventKey>, OutboxError> {
        let rows = match after {
            None => self.query(&self.first_keys, &[&most]).await?,
            Some(key) => self.query(&self.next_keys, &[&most, &key.aggregate_type, &key.aggregate_id]).await?,
        };
        let key = |row: &Row| Ok(EventKey { aggregate_type: row.try_get(0)?, aggregate_id: row.try_get(1)? });
        rows.iter().map(key).collect::<Result<_, tokio_postgres::Error>>().map_err(|error| failure(&error))
    }

    /// Locks an event key. `false` where another relay has it.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn lock(&self, key: &EventKey) -> Result<bool, OutboxError> {
        let rows = self.query(&self.lock, &[&key.aggregate_type, &key.aggregate_id]).await?;
        Ok(rows.first().is_some_and(|row| row.try_get(0).unwrap_or(false)))
    }

    /// Unlocks an event key.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn unlock(&self, key: &EventKey) -> Result<(), OutboxError> {
        self.query(&self.unlock, &[&key.aggregate_type, &key.aggregate_id]).await.map(drop)
    }

    /// The first `most` waiting events of an event key, which must be locked.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn read(&self, key: &EventKey, most: i64) -> Result<Vec<OutboxEvent>, OutboxError> {
        let rows = self.query(&self.read, &[&key.aggregate_type, &key.aggregate_id, &most]).await?;
        let event = |row: &Row| {
            let payload: Option<String> = row.try_get(2)?;
            Ok(OutboxEvent {
                id: row.try_get(0)?,
                kind: row.try_get(1)?,
                payload: payload.unwrap_or_else(|| "null".to_owned()),
                created_at: row.try_get(3)?,
            })
        };
        rows.iter().map(event).collect::<Result<_, tokio_postgres::Error>>().map_err(|error| failure(&error))
    }

    /// Marks events as sent, or deletes them if sent events are not kept.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn mark_sent(&self, ids: &[String]) -> Result<(), OutboxError> {
        self.query(&self.mark, &[&ids]).await.map(drop)
    }

    /// Deletes at most `most` events that have been kept long enough. Returns their number.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn expire(&self, most: i64) -> Result<u64, OutboxError> {
        if self.keep_sent.is_zero() {
            return Ok(0);
        }
        let seconds = self.keep_sent.as_secs_f64();
        in_time(self.limit, self.connection.execute(&self.expire, &[&seconds, &most])).await
    }

    async fn query(&self, statement: &Statement, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, OutboxError> {
        in_time(self.limit, self.connection.query(statement, parameters)).await
    }
}

/// The query of event keys with waiting events: each step finds the next one in the index of waiting events.
fn waiting_keys(after: &str) -> String {
    format!(
        "WITH RECURSIVE waiting AS (\
           (SELECT aggregatetype, aggregateid FROM tributary_outbox WHERE sent_at IS NULL {after} \
            ORDER BY aggregatetype, aggregateid LIMIT 1) \
           UNION ALL SELECT next.* FROM waiting, LATERAL (\
            SELECT aggregatetype, aggregateid FROM tributary_outbox WHERE sent_at IS NULL \
            AND (aggregatetype, aggregateid) > (waiting.aggregatetype, waiting.aggregateid) \
            ORDER BY aggregatetype, aggregateid LIMIT 1) AS next) \
         SELECT aggregatetype, aggregateid FROM waiting LIMIT $1"
    )
}

async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, OutboxError> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|error| failure(&error)),
        Err(_) => Err(OutboxError { why: format!("no answer within {} ms", limit.as_millis()), is_lost: true }),
    }
}

fn failure(error: &tokio_postgres::Error) -> OutboxError {
    let kind = of_query(error);
    let why = match &kind {
        QueryErrorKind::ConnectionLost { detail, .. } => detail.clone(),
        _ => error.as_db_error().map_or_else(|| kind.to_string(), |answer| answer.message().to_owned()),
    };
    let help = match error.code() {
        Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN) => {
            "; `tributary schema effects` prints the table"
        }
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => "; the relay needs SELECT, UPDATE and DELETE on tributary_outbox",
        _ => "",
    };
    OutboxError { why: format!("{why}{help}"), is_lost: !keeps_session(error) }
}
