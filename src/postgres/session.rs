//! One connection, borrowed from its pool for one piece of work.
//!
//! A session whose work was not finished (its deadline passed, its future was dropped, the protocol broke) never goes
//! back: the server is asked to cancel, the place in the pool stays taken until the server has stopped or a second has
//! passed, and the connection is closed. A cancel can arrive late and would hit whatever runs then, so not even a
//! session that has been cancelled cleanly is used again. (A shared session, whose statements are quick, is first given a
//! moment to come to its end without a cancel.)
//!
//! A query is read only as far as its node takes rows, and one row further. The rest is left unread, as if nobody waited for it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use tokio_postgres::{CancelToken, Client, SimpleQueryMessage, Statement};

use super::coalesce::QueryState;
use super::connect::{Connector, pooled};
use super::failure::of_query;
use super::manager::{Object, Prepared};
use super::pool::{Pool, Shared};
use super::sqlstate::{is_cancelled, is_farewell, is_misplaced, is_stale_statement};
use super::statements::{Bound, Plan, Reader};
use super::words;
use crate::flow::QueryErrorKind;
use crate::graph::{Description, Query};
use crate::types::{Deadline, Value};

/// How long an abandoned session is given to stop.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);
/// How long a shared session is given to answer what nobody waits for any more.
const SETTLING: Duration = Duration::from_millis(100);

/// A connection that is held by one thread.
#[derive(Debug)]
pub struct Session {
    connection: Option<Object>,
    pool: Arc<Shared>,
    epoch: u64,
    /// When the connection is too old for further queries.
    ends: std::time::Instant,
    /// What was asked and has not been answered to its end.
    unanswered: Cell<usize>,
    /// Nothing more may be asked: rows were left unread, because the node does not take so many, the server ends the session, or
    /// the protocol broke.
    is_spent: Cell<bool>,
    /// The session's own limit of time is not in force.
    is_altered: Cell<bool>,
}

/// Whether a description has PostgreSQL plan the query as well, which asks for permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planning {
    Tried,
    Untried,
}

/// Why a statement did not run: the driver's word, or our own.
pub(super) enum Fault {
    Driver(tokio_postgres::Error),
    Ours(QueryErrorKind),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<QueryErrorKind> for Fault {
    fn from(kind: QueryErrorKind) -> Self {
        Self::Ours(kind)
    }
}

impl Session {
    pub(super) fn new(connection: Object, pool: Arc<Shared>) -> Self {
        let (epoch, ends) = (pool.epoch(), pool.lifetime.end(connection.born));
        let (unanswered, is_spent, is_altered) = (Cell::new(0), Cell::new(false), Cell::new(false));
        Self { connection: Some(connection), epoch, ends, pool, unanswered, is_spent, is_altered }
    }

    /// Whether further queries may be sent at `now`: the connection is open, not too old, and has not been given up.
    pub fn is_usable(&self, now: std::time::Instant) -> bool {
        let is_open = self.connection.as_ref().is_some_and(|connection| !connection.is_closed());
        is_open && !self.is_spent.get() && self.epoch == self.pool.epoch() && now < self.ends
    }

    /// Asks the server for a sign of life.
    ///
    /// # Errors
    /// [`QueryErrorKind::Timeout`] without an answer within the probe timeout.
    pub async fn verify(&self) -> Result<(), QueryErrorKind> {
        let limit = self.pool.limits.probe;
        let asked = self.ask(async || Ok(self.connection()?.check_connection().await?));
        timeout(limit, asked).await.unwrap_or(Err(QueryErrorKind::Timeout { after: limit }))
    }

    /// Runs the query of `state`, which may take `limit`, beside others on this connection. Reads its rows, each a map from
    /// column to value: as many as the node takes, and one more.
    ///
    /// # Errors
    /// [`QueryErrorKind`]. That `limit` has passed is for the caller to see.
    pub async fn query(
        &self,
        state: &QueryState,
        params: &[Value],
        limit: Duration,
    ) -> Result<Vec<Value>, QueryErrorKind> {
        // The node asks for more time than the session allows.
        let is_longer = limit > self.pool.limits.query && self.pool.prepares();
        self.ask(async || {
            if !is_longer {
                return self.run(state, params).await;
            }
            self.is_altered.set(true);
            self.limit_statements(limit).await?;
            let rows = self.run(state, params).await;
            // Behind rows that nobody reads this would wait: the session is closed instead.
            if self.is_spent.get() {
                return rows;
            }
            let restored = self.limit_statements(self.pool.limits.query).await;
            self.is_altered.set(restored.is_err());
            // An error of the query says more than one that follows from it.
            rows.and_then(|rows| restored.map(|()| rows))
        })
        .await
    }

    /// Does `work`. Where it does not come to its end, the session counts as unanswered.
    pub(super) async fn ask<T>(&self, work: impl AsyncFnOnce() -> Result<T, Fault>) -> Result<T, QueryErrorKind> {
        if self.connection()?.is_closed() {
            return Err(ended_before_it_was_asked());
        }
        let farewells = self.pool.connector.farewells();
        self.unanswered.update(|count| count + 1);
        let outcome = work().await;
        self.unanswered.update(|count| count - 1);
        if matches!(&outcome, Err(Fault::Driver(error)) if error.is_closed()) {
            // The statement before this one learns why.
            yield_now().await;
        }
        outcome.map_err(|fault| self.explain(fault, farewells))
    }

    /// What PREPARE says of `query`, which is planned as well: only then PostgreSQL asks for permissions.
    ///
    /// # Errors
    /// [`QueryErrorKind`]: `Sql` where the database refuses it or the role may not run it, `Column` for two columns of one name.
    pub async fn describe(&self, query: &Query, deadline: Deadline) -> Result<Description, QueryErrorKind> {
        let limit = deadline.remaining();
        let described = self.ask(async || {
            if !self.pool.prepares() {
                let statement = self.described_in_one_transaction(query, Planning::Tried).await?;
                return Ok(Plan::of(&statement, None).description()?);
            }
            let statement = self.connection()?.prepare(query.text()).await?;
            let description = Plan::of(&statement, None).description()?;
            self.plan(query, description.params.len()).await?;
            Ok(description)
        });
        timeout(limit, described).await.unwrap_or(Err(QueryErrorKind::Timeout { after: limit }))
    }

    /// What `fault` means to whoever asked. After an error of the server the session is as before; after a broken protocol
    /// there is nothing to keep.
    fn explain(&self, fault: Fault, farewells: u64) -> QueryErrorKind {
        match fault {
            Fault::Ours(kind) => kind,
            Fault::Driver(error) => {
                let ends_session = is_farewell(&error);
                if ends_session {
                    // The statements behind this one learn only that the session has ended.
                    self.pool.connector.note_farewell();
                }
                if ends_session || error.as_db_error().is_none() {
                    self.is_spent.set(true);
                }
                let undone = error.is_closed() && self.pool.connector.farewells() != farewells;
                if undone { ended_before_it_was_asked() } else { of_query(&error) }
            }
        }
    }

    async fn run(&self, state: &QueryState, params: &[Value]) -> Result<Vec<Value>, Fault> {
        let began = Instant::now();
        let outcome = if self.pool.prepares() {
            self.run_prepared(state, params).await
        } else {
            self.run_unprepared(state, params).await
        };
        match outcome {
            Err(Fault::Driver(error)) if is_cancelled(&error) => {
                let ran = began.elapsed();
                let timed_out = self.statement_timeout().await.is_some_and(|limit| ran >= limit);
                // The server's own limit may be the shorter one: then the query had all the time there is.
                let after = ran.max(self.pool.limits.query);
                Err(if timed_out { QueryErrorKind::Timeout { after }.into() } else { error.into() })
            }
            outcome => outcome,
        }
    }

    /// Runs the query as it was prepared before, or, where the schema may have changed since, as it is prepared again.
    async fn run_prepared(&self, state: &QueryState, params: &[Value]) -> Result<Vec<Value>, Fault> {
        let prepared = self.prepare(state).await?;
        match self.execute(state, &prepared, params).await {
            Err(Fault::Driver(error)) if is_stale_statement(&error) => self.refuse_pooler(&error).await?,
            Err(Fault::Ours(kind)) if self.is_current(state, &prepared).await? => return Err(kind.into()),
            Err(Fault::Ours(_)) => {}
            outcome => return outcome,
        }
        self.forget(state)?;
        let prepared = self.prepare(state).await?;
        self.execute(state, &prepared, params).await
    }

    /// Fails where `error` shows that a pooler has given this connection the session of another: nothing more may be asked then.
    pub(super) async fn refuse_pooler(&self, error: &tokio_postgres::Error) -> Result<(), Fault> {
        if is_misplaced(error) && !self.pool.connector.knows_session_of(self.connection()?).await? {
            return Err(self.pool.connector.note_pooler().into());
        }
        Ok(())
    }

    /// Whether PREPARE still says what the plan was made of. The server tells of a change only when a statement is
    /// executed, and a value that does not fit the plan is never sent.
    pub(super) async fn is_current(&self, state: &QueryState, prepared: &Prepared) -> Result<bool, Fault> {
        Ok(prepared.plan.fits(&self.connection()?.prepare(state.query().text()).await?))
    }

    /// Runs the query as it was described before, or else as it is described now: its parameters may have other types since.
    async fn run_unprepared(&self, state: &QueryState, params: &[Value]) -> Result<Vec<Value>, Fault> {
        if let Some(plan) = state.plan() {
            match self.run_typed(state, &plan, params).await {
                Err(Fault::Driver(error)) if is_stale_statement(&error) => state.forget_plan(),
                outcome => return outcome,
            }
        }
        let statement = self.described_in_one_transaction(state.query(), Planning::Untried).await?;
        self.run_typed(state, &state.prepared(&statement), params).await
    }

    /// Runs `query` under no name, in one message: a pooler hands that to one session as a whole.
    async fn run_typed(&self, state: &QueryState, plan: &Plan, params: &[Value]) -> Result<Vec<Value>, Fault> {
        let (reader, bound) = (plan.reader()?, plan.bind(params)?);
        let query = state.query();
        let typed = bound.iter().zip(plan.param_types().cloned());
        let mut stream = std::pin::pin!(self.connection()?.query_typed_raw(query.text(), typed).await?);
        let (mut rows, mut refused, mut pace) = (Vec::new(), None, Pace::default());
        while let Some(row) = stream.try_next().await? {
            pace.row().await;
            if rows.is_empty() && refused.is_none() && !plan.fits_row(&row) {
                state.forget_plan();
                let detail = "the tables have changed since the query was described".to_owned();
                refused = Some(QueryErrorKind::Aborted { sqlstate: "0A000".to_owned(), detail });
            }
            if refused.is_none() {
                reader.read_from(&row, 0).map_or_else(|kind| refused = Some(kind), |row| rows.push(row));
            }
            if pace.is_over(query) {
                self.is_spent.set(true);
                break;
            }
        }
        refused.map_or(Ok(rows), |kind| Err(kind.into()))
    }

    /// Describes `query` on one session of a pooler, which a transaction keeps, and leaves no name there.
    async fn described_in_one_transaction(&self, query: &Query, planning: Planning) -> Result<Statement, Fault> {
        let connection = self.connection()?;
        connection.batch_execute("BEGIN READ ONLY").await?;
        let described = async {
            let statement = connection.prepare(query.text()).await?;
            if planning == Planning::Tried {
                self.plan(query, statement.params().len()).await?;
            }
            Ok::<_, Fault>(statement)
        };
        let described = described.await;
        connection.batch_execute("ROLLBACK; DEALLOCATE ALL").await?;
        described
    }

    /// What is prepared for the query on this connection.
    pub(super) async fn prepare(&self, state: &QueryState) -> Result<Prepared, Fault> {
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

    /// Keeps what is prepared for the query, and drops what is prepared for queries that no flow has any more.
    pub(super) fn remember(&self, state: &QueryState, prepared: Prepared) -> Result<(), QueryErrorKind> {
        let mut known = self.connection()?.prepared.borrow_mut();
        if !known.contains_key(&state.key()) {
            known.retain(|_, known| known.query.strong_count() > 0);
        }
        known.insert(state.key(), prepared);
        Ok(())
    }

    async fn execute(&self, state: &QueryState, prepared: &Prepared, params: &[Value]) -> Result<Vec<Value>, Fault> {
        let (reader, bound) = (prepared.plan.reader()?, prepared.plan.bind(params)?);
        Ok(self.read(state.query(), &prepared.statement, &reader, &bound).await??)
    }

    /// Runs `statement` and reads the rows that `query` takes and one more, or says which column cannot be read.
    pub(super) async fn read(
        &self,
        query: &Query,
        statement: &Statement,
        reader: &Reader<'_>,
        bound: &[Bound],
    ) -> Result<Result<Vec<Value>, QueryErrorKind>, Fault> {
        let mut stream = std::pin::pin!(self.connection()?.query_raw(statement, bound).await?);
        let (mut rows, mut unreadable, mut pace) = (Vec::new(), None, Pace::default());
        // To the end even after a row that cannot be read, so that the session is free again.
        while let Some(row) = stream.try_next().await? {
            pace.row().await;
            if unreadable.is_none() {
                reader.read_from(&row, 0).map_or_else(|kind| unreadable = Some(kind), |row| rows.push(row));
            }
            if pace.is_over(query) {
                self.is_spent.set(true);
                break;
            }
        }
        Ok(unreadable.map_or(Ok(rows), Err))
    }

    /// Has PostgreSQL plan an execution with nulls for parameters. Nothing is executed.
    async fn plan(&self, query: &Query, params: usize) -> Result<(), Fault> {
        let connection = self.connection()?;
        let (text, nulls) = (words::open_ended(query.text()), words::nulls(params));
        connection.batch_execute(&format!("PREPARE tributary_check AS {text}\n")).await?;
        let planned = connection.batch_execute(&format!("EXPLAIN EXECUTE tributary_check{nulls}")).await;
        connection.batch_execute("DEALLOCATE tributary_check").await?;
        Ok(planned?)
    }

    async fn limit_statements(&self, limit: Duration) -> Result<(), Fault> {
        let milliseconds = limit.as_millis().max(1);
        Ok(self.connection()?.batch_execute(&format!("SET statement_timeout = {milliseconds}")).await?)
    }

    /// The limit that the server itself sets to statements of this session; `None` without one. It is asked for: behind a
    /// pooler the setting is the role's, and the server's message about a cancelled statement is in any language.
    async fn statement_timeout(&self) -> Option<Duration> {
        const LIMIT: &str = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'";
        let answer = self.connection().ok()?.simple_query(LIMIT).await.ok()?;
        let setting = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        setting.filter(|milliseconds| *milliseconds > 0).map(Duration::from_millis)
    }

    /// Drops the statements that this connection has prepared for the query, plain and wrapped, and the names of types.
    pub(super) fn forget(&self, state: &QueryState) -> Result<(), QueryErrorKind> {
        let connection = self.connection()?;
        connection.prepared.borrow_mut().remove(&state.key());
        connection.clear_type_cache();
        Ok(())
    }

    /// Leaves the rest of an answer unread.
    pub(super) fn leave_unread(&self) {
        self.is_spent.set(true);
    }

    /// The connection, which is there until the session is dropped; none where it may be another's in the next moment.
    pub(super) fn connection(&self) -> Result<&Object, QueryErrorKind> {
        if self.pool.connector.is_pooled() {
            return Err(pooled());
        }
        let gone = || QueryErrorKind::ConnectionLost { sent: false, detail: "it was given back".to_owned() };
        self.connection.as_ref().ok_or_else(gone)
    }
}

/// Rows that are decoded before other work of the thread gets its turn: less than a millisecond's.
const ROWS_IN_A_TURN: usize = 256;

/// Counts rows, so that a long result does not keep the thread for itself.
#[derive(Debug, Default)]
pub(super) struct Pace(usize);

impl Pace {
    /// One more row has come.
    pub(super) async fn row(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(ROWS_IN_A_TURN) {
            yield_now().await;
        }
    }

    /// Whether there are more rows than the node of `query` takes.
    fn is_over(&self, query: &Query) -> bool {
        self.0 > query.max_rows()
    }
}

/// The server had already ended the session when the query came to be sent.
fn ended_before_it_was_asked() -> QueryErrorKind {
    QueryErrorKind::ConnectionLost { sent: false, detail: "the server ended the session".to_owned() }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let is_outdated = self.epoch != self.pool.epoch();
        let is_busy = self.unanswered.get() > 0 || self.is_spent.get();
        if is_outdated || connection.is_closed() {
            let token = connection.cancel_token();
            Pool::discard(connection);
            if is_busy {
                let connector = self.pool.connector.clone();
                in_background(async move { stop(&connector, &token).await });
            }
        } else if self.is_altered.get() {
            in_background(abandon(connection, self.pool.connector.clone()));
        } else if is_busy {
            in_background(settle(connection, Arc::clone(&self.pool), self.epoch));
        } else if std::time::Instant::now() >= self.ends {
            Pool::discard(connection);
        }
    }
}

/// Lets what was left unanswered or unread come to its end, which for quick statements is soon: then the connection is as good as
/// before. Otherwise it is abandoned.
async fn settle(connection: Object, pool: Arc<Shared>, epoch: u64) {
    let client: &Client = &connection;
    match timeout(SETTLING, client.check_connection()).await {
        Ok(Ok(())) if pool.epoch() == epoch => drop(connection),
        Ok(Ok(())) => Pool::discard(connection),
        Ok(Err(_)) | Err(_) => abandon(connection, pool.connector.clone()).await,
    }
}

/// Without a runtime the process is ending, and with it whatever there would be to do.
fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

/// Stops what the connection's session runs, and closes it. Its place in the pool is free again when the server has
/// stopped, so that there are never more sessions on the server than there may be.
async fn abandon(connection: Object, connector: Connector) {
    let client: &Client = &connection;
    let token = client.cancel_token();
    let stopped = async {
        stop(&connector, &token).await;
        client.check_connection().await
    };
    match timeout(CANCEL_PATIENCE, stopped).await {
        Ok(_) => tracing::debug!("postgres.query.cancelled"),
        Err(_) => tracing::debug!("postgres.cancel.unanswered"),
    }
    Pool::discard(connection);
}

/// Asks the server to stop what the session of `token` runs.
async fn stop(connector: &Connector, token: &CancelToken) {
    match timeout(CANCEL_PATIENCE, connector.cancel(token)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = &error as &dyn std::error::Error, "postgres.cancel.failed"),
        Err(_) => tracing::debug!("postgres.cancel.unanswered"),
    }
}
