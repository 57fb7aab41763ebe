//! Appends decision records to a table.
//!
//! This is the only connection that writes; all other sessions are read only. One thread uses it, and it writes whole batches.
//! A batch can be written twice without harm: each row has an id, and a row whose id exists is skipped.

use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connect::Connector;
use super::connection::ServerConnection;
use super::failure::of_query;
use super::sqlstate::keeps_session;
use crate::config::DomainConfig;
use crate::flow::QueryErrorKind;
use crate::pool::{Connect, ConnectError};

/// A row to append.
#[derive(Debug, Clone)]
pub struct AppendedRow {
    /// Identifies the row.
    pub id: uuid::Uuid,
    /// The time of the decision, in RFC 3339.
    pub at: String,
    /// The flow of the decision.
    pub flow: String,
    /// The record as JSON.
    pub json: String,
}

/// Why rows were not appended.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct AppendError {
    why: String,
    /// Whether the same batch may succeed on a retry.
    pub is_transient: bool,
}

/// Appends rows to one table.
pub struct Appender {
    connector: Connector,
    statement: String,
    open: Option<ServerConnection>,
}

impl Appender {
    /// Appends to `table` in the database of `config`. The name becomes part of the SQL text unchanged.
    pub fn new(config: &DomainConfig, table: &str) -> Self {
        let statement = format!(
            "INSERT INTO {table} (id, at, flow, record) SELECT i::uuid, a::timestamptz, f, r::json \
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS _ (i, a, f, r) ON CONFLICT (id) DO NOTHING"
        );
        Self { connector: Connector::new(config), statement, open: None }
    }

    /// Appends `rows` in one transaction: all of them, or none.
    ///
    /// # Errors
    /// [`AppendError`]. After a lost connection it is unknown whether the rows were appended.
    pub async fn append(&mut self, rows: &[AppendedRow]) -> Result<(), AppendError> {
        let connection = match self.open.take() {
            Some(open) if !open.is_closed() => open,
            _ => self.connect().await?,
        };
        let outcome = insert(&mut self.open.insert(connection).client, &self.statement, rows).await;
        if outcome.as_ref().is_err_and(|error| !keeps_session(error)) {
            self.open = None;
        }
        outcome.map_err(|error| {
            let kind = of_query(&error);
            let is_transient = matches!(kind, QueryErrorKind::ConnectionLost { .. } | QueryErrorKind::Aborted { .. });
            let why = error.as_db_error().map_or_else(|| kind.to_string(), |answer| answer.message().to_owned());
            let is_missing = error.code() == Some(&SqlState::UNDEFINED_TABLE);
            let help = if is_missing { "; `tributary schema records` prints the table" } else { "" };
            AppendError { why: format!("{why}{help}"), is_transient }
        })
    }

    async fn connect(&self) -> Result<ServerConnection, AppendError> {
        let limit = self.connector.longest_connect();
        let made = timeout(limit, self.connector.connect()).await;
        made.unwrap_or_else(|_| Err(ConnectError::timed_out(limit)))
            .map_err(|error| AppendError { why: error.to_string(), is_transient: true })
    }
}

async fn insert(client: &mut Client, statement: &str, rows: &[AppendedRow]) -> Result<(), tokio_postgres::Error> {
    let texts = |text: fn(&AppendedRow) -> String| rows.iter().map(text).collect::<Vec<String>>();
    let transaction = client.build_transaction().read_only(false).start().await?;
    let (ids, moments) = (texts(|row| row.id.to_string()), texts(|row| row.at.clone()));
    let (flows, documents) = (texts(|row| row.flow.clone()), texts(|row| row.json.clone()));
    transaction.execute(statement, &[&ids, &moments, &flows, &documents]).await?;
    transaction.commit().await
}
