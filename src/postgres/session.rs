//! One connection of a pool while a thread uses it.
//!
//! A session with unfinished work (its deadline passed, its future was dropped, or the protocol broke) does not return to the pool:
//! the statement is cancelled, and the connection is closed once the server has stopped or a second has passed. It counts
//! towards the size of the pool until then. A session is not used again even after a successful cancel, because a cancel request can
//! arrive late and stop the next statement. (A session whose statements are quick first gets a moment to finish without a cancel, and one
//! that commits gets none.)
//!
//! Of each result, only as many rows are read as the node takes, and one more.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use tokio_postgres::{Row, RowStream, SimpleQueryMessage, Statement};

use super::cancel::{abandon, cancel, finish_or_abandon, in_background};
use super::coalesce::QueryState;
use super::connect::Connector;
use super::connection::Prepared;
use super::failure::{of_attempt, of_query, pooled};
use super::sql;
use super::sqlstate::{is_cancelled, is_shutdown_notice, is_stale_statement, is_statement_mismatch};
use super::staleness::Proof;
use super::statements::{Bound, Plan, Reader};
use crate::flow::QueryErrorKind;
use crate::graph::{Description, Query};
use crate::pool::{Connected, Lease, Object, Shared, discard};
use crate::types::{Deadline, Value};

/// A connection that one thread uses.
#[derive(Debug)]
pub struct Session {
    connection: Option<Object<Connector>>,
    pool: Arc<Shared<Connector>>,
    epoch: u64,
    /// When the connection becomes too old for further queries.
    expiry: std::time::Instant,
    /// The number of requests without a complete answer.
    pending: Cell<usize>,
    /// No more queries may be sent: rows were left unread, the server has ended the session, or the protocol broke.
    must_close: Cell<bool>,
    /// `statement_timeout` is not that of the pool, or a transaction is open. The session is not used again if it is dropped so.
    is_altered: Cell<bool>,
    /// A COMMIT was sent and is not answered. It is not cancelled: one that waits for a replica would succeed without it.
    is_committing: Cell<bool>,
}

/// Whether a query is also planned when it is described. Only planning checks permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planning {
    Included,
    Omitted,
}

/// Why a statement failed: an error of the driver, or of the conversion of its values.
pub(super) enum StatementError {
    Driver(tokio_postgres::Error),
    Query(QueryErrorKind),
}

impl From<tokio_postgres::Error> for StatementError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<QueryErrorKind> for StatementError {
    fn from(kind: QueryErrorKind) -> Self {
        Self::Query(kind)
    }
}

impl From<Lease<Connector>> for Session {
    fn from(Lease { connection, pool }: Lease<Connector>) -> Self {
        let (epoch, expiry) = (pool.epoch(), pool.lifetime.expiry(connection.birth().at));
        let [must_close, is_altered, is_committing] = [false; 3].map(Cell::new);
        Self {
            connection: Some(connection),
            epoch,
            expiry,
            pool,
            pending: Cell::new(0),
            must_close,
            is_altered,
            is_committing,
        }
    }
}

impl Session {
    /// Whether further queries may be sent at `now`: the connection is open, not too old, and of the current epoch.
    pub fn is_usable(&self, now: std::time::Instant) -> bool {
        let is_open = self.connection.as_ref().is_some_and(|connection| !connection.is_closed());
        is_open && !self.must_close.get() && self.epoch == self.pool.epoch() && now < self.expiry
    }

    /// Checks by a round trip that the server answers.
    ///
    /// # Errors
    /// [`QueryErrorKind::Timeout`] without an answer within the probe timeout.
    pub async fn verify(&self) -> Result<(), QueryErrorKind> {
        let limit = self.pool.limits.probe;
        let checked = self.track(async || Ok(self.connection()?.check_connection().await?));
        timeout(limit, checked).await.unwrap_or(Err(QueryErrorKind::Timeout { after: limit }))
    }

    /// Runs the query of `state`, pipelined with others on this connection. Each row becomes a map from column to value. At most one
    /// row more is read than the node takes. A `limit` above that of the session is set on the server.
    ///
    /// # Errors
    /// [`QueryErrorKind`]. The caller has to enforce `limit`.
    pub async fn query(
        &self,
        state: &QueryState,
        params: &[Value],
        limit: Duration,
    ) -> Result<Vec<Value>, QueryErrorKind> {
        let is_longer = limit > self.pool.limits.query && self.pool.prepares();
        self.track(async || {
            if !is_longer {
                return self.run(state, params).await;
            }
            self.is_altered.set(true);
            self.limit_statements(limit).await?;
            let rows = self.run(state, params).await;
            // The session is closed, and a further statement would wait behind the unread rows.
            if self.must_close.get() {
                return rows;
            }
            let restored = self.limit_statements(self.pool.limits.query).await;
            self.is_altered.set(restored.is_err());
            // An error of the query is the cause of one that follows it.
            rows.and_then(|rows| restored.map(|()| rows))
        })
        .await
    }

    /// By how much the rows of a query that is sent now may be older than it. `None` where the domain does not limit that.
    ///
    /// # Errors
    /// `ConnectionLost` where they may be too old, or the server gave no answer. The session is closed.
    pub async fn staleness(&self) -> Result<Option<Duration>, QueryErrorKind> {
        let connector = &self.pool.connector;
        let Some(staleness) = connector.staleness() else { return Ok(None) };
        let connection = self.connection()?;
        if let Some(age) = staleness.known(connection.proof.get()) {
            return Ok(Some(age));
        }
        let proof = self.track(async || Ok(connector.prove(connection).await)).await?.map_err(|error| {
            self.must_close.set(true);
            QueryErrorKind::ConnectionLost { sent: false, detail: of_attempt(&*error).to_string() }
        })?;
        connection.proof.set(proof);
        Ok(proof.map(Proof::age))
    }

    /// Runs `work` and counts it as pending. It stays pending where this future is dropped before it ends.
    pub(super) async fn track<T>(
        &self,
        work: impl AsyncFnOnce() -> Result<T, StatementError>,
    ) -> Result<T, QueryErrorKind> {
        if self.connection()?.is_closed() {
            return Err(session_ended());
        }
        let notices_before = self.pool.connector.shutdown_notices();
        self.pending.update(|count| count + 1);
        let outcome = work().await;
        self.pending.update(|count| count - 1);
        if matches!(&outcome, Err(StatementError::Driver(error)) if error.is_closed()) {
            // The statement before this one receives the shutdown notice.
            yield_now().await;
        }
        outcome.map_err(|error| self.query_error(error, notices_before))
    }

    /// Describes `query` by PREPARE, and plans it, because only planning checks permissions.
    ///
    /// # Errors
    /// [`QueryErrorKind`]: `Sql` where the database rejects it or the role may not run it, `Column` for two columns of one name.
    pub async fn describe(&self, query: &Query, deadline: Deadline) -> Result<Description, QueryErrorKind> {
        let limit = deadline.remaining();
        let described = self.track(async || {
            if !self.pool.prepares() {
                let statement = self.described_in_one_transaction(query, Planning::Included).await?;
                return Ok(Plan::of(&statement, None).description()?);
            }
            let statement = self.connection()?.prepare(query.text()).await?;
            let description = Plan::of(&statement, None).description()?;
            self.plan(query, description.params.len()).await?;
            Ok(description)
        });
        timeout(limit, described).await.unwrap_or(Err(QueryErrorKind::Timeout { after: limit }))
    }

    /// The error for the caller. Errors of the server keep the session, except shutdown notices; a broken protocol does not.
    fn query_error(&self, error: StatementError, notices_before: u64) -> QueryErrorKind {
        match error {
            StatementError::Query(kind) => kind,
            StatementError::Driver(error) => {
                let ends_session = is_shutdown_notice(&error);
                if ends_session {
                    // Later statements receive only the end of the session.
                    self.pool.connector.count_shutdown_notice();
                }
                if ends_session || error.as_db_error().is_none() {
                    self.must_close.set(true);
                }
                let undone = error.is_closed() && self.pool.connector.shutdown_notices() != notices_before;
                if undone { session_ended() } else { of_query(&error) }
            }
        }
    }

    async fn run(&self, state: &QueryState, params: &[Value]) -> Result<Vec<Value>, StatementError> {
        let started = Instant::now();
        let outcome = if self.pool.prepares() {
            self.run_prepared(state, params).await
        } else {
            self.run_unprepared(state, params).await
        };
        match outcome {
            Err(StatementError::Driver(error)) if is_cancelled(&error) => {
                let ran = started.elapsed();
                let timed_out = self.statement_timeout().await.is_some_and(|limit| ran >= limit);
                // The server's limit may be shorter than that of the domain.
                let after = ran.max(self.pool.limits.query);
                Err(if timed_out { QueryErrorKind::Timeout { after }.into() } else { error.into() })
            }
            outcome => outcome,
        }
    }

    /// Runs the prepared query. Where the schema may have changed, prepares it again and retries.
    async fn run_prepared(&self, state: &QueryState, params: &[Value]) -> Result<Vec<Value>, StatementError> {
        let prepared = self.prepare(state).await?;
        match self.execute(state, &prepared, params).await {
            Err(StatementError::Driver(error)) if is_stale_statement(&error) => self.detect_pooler(&error).await?,
            Err(StatementError::Query(kind)) if self.is_current(state, &prepared).await? => return Err(kind.into()),
            Err(StatementError::Query(_)) => {}
            outcome => return outcome,
        }
        self.forget(state)?;
        let prepared = self.prepare(state).await?;
        self.execute(state, &prepared, params).await
    }

    /// Fails where `error` shows that a pooler has given this connection another session.
    pub(super) async fn detect_pooler(&self, error: &tokio_postgres::Error) -> Result<(), StatementError> {
        let backends = self.pool.connector.backends();
        if is_statement_mismatch(error) && !backends.contains_backend_of(self.connection()?).await? {
            backends.set_pooled(true);
            return Err(pooled().into_query_error().into());
        }
        Ok(())
    }

    /// Whether PREPARE still describes the query as the plan does. The server reports a change only when a statement is
    /// executed, and values that do not fit the plan are never sent.
    pub(super) async fn is_current(&self, state: &QueryState, prepared: &Prepared) -> Result<bool, StatementError> {
        Ok(prepared.plan.fits(&self.connection()?.prepare(state.query().text()).await?))
    }

    /// Runs the query by its last description, or by a new one where the types of its parameters have changed.
    async fn run_unprepared(&self, state: &QueryState, params: &[Value]) -> Result<Vec<Value>, StatementError> {
        if let Some(plan) = state.plan() {
            match self.run_typed(state, &plan, params).await {
                Err(StatementError::Driver(error)) if is_stale_statement(&error) => state.forget_plan(),
                outcome => return outcome,
            }
        }
        let statement = self.described_in_one_transaction(state.query(), Planning::Omitted).await?;
        self.run_typed(state, &state.prepared(&statement), params).await
    }

    /// Runs `query` as an unnamed statement in one message, which a pooler passes to one session.
    async fn run_typed(&self, state: &QueryState, plan: &Plan, params: &[Value]) -> Result<Vec<Value>, StatementError> {
        let (reader, bound) = (plan.reader()?, plan.bind(params)?);
        let query = state.query();
        let typed = bound.iter().zip(plan.param_types().cloned());
        let rows = self.connection()?.query_typed_raw(query.text(), typed).await?;
        let has_changed = |first: &Row| {
            let has_changed = !plan.fits_row(first);
            if has_changed {
                state.forget_plan();
            }
            has_changed
        };
        Ok(self.read_rows(query, &reader, rows, has_changed).await??)
    }

    /// Describes `query` within one transaction, which keeps the session of a pooler, and leaves no prepared statement behind.
    async fn described_in_one_transaction(
        &self,
        query: &Query,
        planning: Planning,
    ) -> Result<Statement, StatementError> {
        let connection = self.connection()?;
        connection.batch_execute("BEGIN READ ONLY").await?;
        let described = async {
            let statement = connection.prepare(query.text()).await?;
            if planning == Planning::Included {
                self.plan(query, statement.params().len()).await?;
            }
            Ok::<_, StatementError>(statement)
        };
        let described = described.await;
        connection.batch_execute("ROLLBACK; DEALLOCATE ALL").await?;
        described
    }

    /// What is prepared for the query on this connection. Prepares it at first use.
    pub(super) async fn prepare(&self, state: &QueryState) -> Result<Prepared, StatementError> {
        let connection = self.connection()?;
        if let Some(known) = connection.prepared.borrow().get(&state.key()) {
            return Ok(known.clone());
        }
        let statement = connection.prepare(state.query().text()).await?;
        let plan = state.prepared(&statement);
        let prepared = Prepared { query: Arc::downgrade(state.query()), statement, plan, wrapped: None };
        self.remember(state, prepared.clone())?;
        Ok(prepared)
    }

    /// Stores what is prepared for the query, and drops what is prepared for queries that no longer exist.
    pub(super) fn remember(&self, state: &QueryState, prepared: Prepared) -> Result<(), QueryErrorKind> {
        let mut known = self.connection()?.prepared.borrow_mut();
        if !known.contains_key(&state.key()) {
            known.retain(|_, known| known.query.strong_count() > 0);
        }
        known.insert(state.key(), prepared);
        Ok(())
    }

    async fn execute(
        &self,
        state: &QueryState,
        prepared: &Prepared,
        params: &[Value],
    ) -> Result<Vec<Value>, StatementError> {
        let (reader, bound) = (prepared.plan.reader()?, prepared.plan.bind(params)?);
        Ok(self.read(state.query(), &prepared.statement, &reader, &bound).await??)
    }

    /// Runs `statement` and reads its rows. The inner error is that of a column that cannot be read.
    pub(super) async fn read(
        &self,
        query: &Query,
        statement: &Statement,
        reader: &Reader<'_>,
        bound: &[Bound],
    ) -> Result<Result<Vec<Value>, QueryErrorKind>, StatementError> {
        let rows = self.connection()?.query_raw(statement, bound).await?;
        self.read_rows(query, reader, rows, |_| false).await
    }

    /// Reads the rows that `query` takes and one more. The inner error is that of the first row: `has_changed`, or a column that
    /// cannot be read. The remaining rows are consumed all the same, so that the session can be used again.
    async fn read_rows(
        &self,
        query: &Query,
        reader: &Reader<'_>,
        stream: RowStream,
        has_changed: impl Fn(&Row) -> bool,
    ) -> Result<Result<Vec<Value>, QueryErrorKind>, StatementError> {
        let mut stream = std::pin::pin!(stream);
        let (mut rows, mut counter) = (Ok(Vec::new()), RowCounter::default());
        while let Some(row) = stream.try_next().await? {
            counter.row().await;
            if let Ok(read) = &mut rows {
                if read.is_empty() && has_changed(&row) {
                    let detail = "the tables have changed since the query was described".to_owned();
                    rows = Err(QueryErrorKind::Aborted { sqlstate: "0A000".to_owned(), detail, is_final: false });
                } else {
                    match reader.read_from(&row, 0) {
                        Ok(row) => read.push(row),
                        Err(kind) => rows = Err(kind),
                    }
                }
            }
            if counter.is_above_limit(query) {
                self.leave_unread();
                break;
            }
        }
        Ok(rows)
    }

    /// Has PostgreSQL plan the query with nulls as parameters. Nothing is executed.
    async fn plan(&self, query: &Query, params: usize) -> Result<(), StatementError> {
        let connection = self.connection()?;
        let (text, nulls) = (sql::without_semicolon(query.text()), sql::null_arguments(params));
        connection.batch_execute(&format!("PREPARE tributary_check AS {text}\n")).await?;
        let planned = connection.batch_execute(&format!("EXPLAIN EXECUTE tributary_check{nulls}")).await;
        connection.batch_execute("DEALLOCATE tributary_check").await?;
        Ok(planned?)
    }

    async fn limit_statements(&self, limit: Duration) -> Result<(), StatementError> {
        let milliseconds = limit.as_millis().max(1);
        Ok(self.connection()?.batch_execute(&format!("SET statement_timeout = {milliseconds}")).await?)
    }

    /// The `statement_timeout` of this session. `None` without one. It is queried because behind a pooler it is the role's setting,
    /// and because the message of a cancelled statement is localised.
    async fn statement_timeout(&self) -> Option<Duration> {
        const LIMIT: &str = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'";
        let answer = self.connection().ok()?.simple_query(LIMIT).await.ok()?;
        let setting = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        setting.filter(|milliseconds| *milliseconds > 0).map(Duration::from_millis)
    }

    /// Whether a transaction is open, in which no other query may run.
    pub(super) fn set_in_transaction(&self, is_open: bool) {
        self.is_altered.set(is_open);
    }

    /// Whether a COMMIT is on its way.
    pub(super) fn set_committing(&self, is_sent: bool) {
        self.is_committing.set(is_sent);
    }

    /// Whether the server has ended the session, or its answers can no longer be read.
    pub(super) fn has_ended(&self) -> bool {
        self.must_close.get()
    }

    /// Drops what is prepared for the query on this connection, and the cache of type names.
    pub(super) fn forget(&self, state: &QueryState) -> Result<(), QueryErrorKind> {
        let connection = self.connection()?;
        connection.prepared.borrow_mut().remove(&state.key());
        connection.clear_type_cache();
        Ok(())
    }

    /// Leaves the remaining rows of a result unread. The session is closed when it is dropped.
    pub(super) fn leave_unread(&self) {
        self.must_close.set(true);
    }

    /// The connection. An error where a pooler was detected, which may give it another session at any time.
    pub(super) fn connection(&self) -> Result<&Object<Connector>, QueryErrorKind> {
        if self.pool.connector.backends().is_pooled() {
            return Err(pooled().into_query_error());
        }
        // Only `drop` takes the connection.
        self.connection.as_ref().ok_or_else(session_ended)
    }
}

/// Rows that are decoded before other tasks of the thread run. Decoding them takes less than a millisecond.
const ROWS_PER_YIELD: usize = 256;

/// Counts the rows of a result, and yields to other tasks at intervals.
#[derive(Debug, Default)]
pub(super) struct RowCounter(usize);

impl RowCounter {
    /// Counts a row.
    pub(super) async fn row(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(ROWS_PER_YIELD) {
            yield_now().await;
        }
    }

    /// Whether the result has more rows than the node of `query` takes.
    fn is_above_limit(&self, query: &Query) -> bool {
        self.0 > query.max_rows()
    }
}

/// The error of a query whose session ended before the query was sent.
fn session_ended() -> QueryErrorKind {
    QueryErrorKind::ConnectionLost { sent: false, detail: "the server ended the session".to_owned() }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let is_outdated = self.epoch != self.pool.epoch();
        let is_busy = self.pending.get() > 0 || self.must_close.get();
        if self.is_committing.get() {
            discard(connection);
        } else if is_outdated || connection.is_closed() {
            let token = connection.cancel_token();
            discard(connection);
            if is_busy {
                let connector = self.pool.connector.clone();
                in_background(async move { cancel(&connector, &token).await });
            }
        } else if self.is_altered.get() {
            in_background(abandon(connection, self.pool.connector.clone()));
        } else if is_busy {
            in_background(finish_or_abandon(connection, Arc::clone(&self.pool), self.epoch));
        } else if std::time::Instant::now() >= self.expiry {
            discard(connection);
        }
    }
}
