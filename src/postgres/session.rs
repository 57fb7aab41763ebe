//! One connection, borrowed from its pool for one piece of work.
//!
//! A session whose work was not finished (its deadline passed, its future was dropped, the protocol broke) never goes
//! back: the server is asked to cancel, the place in the pool stays taken until the server has stopped or a second has
//! passed, and the connection is closed. A cancel can arrive late and would hit whatever runs then, so not even a
//! session that has been cancelled cleanly is used again. (A shared session, whose statements are quick, is first given a
//! moment to come to its end without a cancel.)
//!
//! A query is read only as far as its node takes rows, and one row further. The rest is left unread, as if nobody waited for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::{CancelToken, SimpleQueryMessage, Statement};

use super::coalesce::Together;
use super::connect::{Connector, pooled};
use super::error::QueryErrorKind;
use super::failure::of_query;
use super::manager::Object;
use super::pool::{Pool, Shared};
use super::query::{Description, Query};
use super::sqlstate::{is_cancelled, is_farewell, is_misplaced, is_stale_statement};
use super::statements::{Bound, Plan, Reader};
use super::words;
use crate::types::{Deadline, Value};

/// How long an abandoned session is given to stop.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);
/// How long a shared session is given to answer what nobody waits for any more.
const SETTLING: Duration = Duration::from_millis(100);

/// A connection for one piece of work.
#[derive(Debug)]
pub struct Session {
    connection: Option<Object>,
    pool: Arc<Shared>,
    epoch: u64,
    /// When the connection is too old for further queries.
    ends: Instant,
    /// Something was asked that has not been answered to its end.
    busy: AtomicBool,
    /// Rows were left unread: the node does not take so many.
    unread: AtomicBool,
    shared: bool,
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
        let (epoch, ends) = (pool.epoch(), pool.lifetime.end(connection.born).into());
        Self {
            connection: Some(connection),
            epoch,
            ends,
            pool,
            busy: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            shared: false,
        }
    }

    /// The same for many queries at once, which the connection answers in the order they are sent.
    pub(super) fn into_shared(self) -> Self {
        let mut session = self;
        session.shared = true;
        session
    }

    /// Whether a query may be sent: the connection is open, not too old, and has not been given up.
    pub(super) fn is_usable(&self) -> bool {
        let is_open = self.connection.as_ref().is_some_and(|connection| !connection.is_closed());
        is_open && self.epoch == self.pool.epoch() && Instant::now() < self.ends
    }

    /// Takes note that somebody no longer waits for an answer which is still to come.
    pub(super) fn leave_unanswered(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// Whether rows were left unread: what is sent now waits until all of them have come.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Leaves the rest of an answer unread.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Runs `query` beside others on this session.
    ///
    /// # Errors
    /// As [`Self::query`], but never that the deadline has passed: that is the caller's to see.
    pub(super) async fn query_beside_others(
        &self,
        query: &Query,
        params: &[Value],
    ) -> Result<Vec<Value>, QueryErrorKind> {
        if self.connection()?.is_closed() {
            return Err(ended_before_it_was_asked());
        }
        let farewells = self.pool.connector.farewells();
        self.run(query, params).await.map_err(|fault| self.explain(fault, farewells))
    }

    /// Runs `query` with each of `asks`, beside others, as one statement where that is possible.
    ///
    /// # Errors
    /// As [`Self::query_beside_others`], and then for none of them more than for another.
    pub(super) async fn batch_beside_others(
        &self,
        query: &Query,
        asks: &[Arc<[Value]>],
    ) -> Result<Together, QueryErrorKind> {
        if self.connection()?.is_closed() {
            return Err(ended_before_it_was_asked());
        }
        let farewells = self.pool.connector.farewells();
        self.query_together(query, asks).await.map_err(|fault| self.explain(fault, farewells))
    }

    /// Runs `query` with `params` and reads all its rows, each a map from column to value.
    ///
    /// # Errors
    /// [`QueryErrorKind`]: `Timeout` once the deadline has passed.
    pub async fn query(
        &mut self,
        query: &Query,
        params: &[Value],
        deadline: Deadline,
    ) -> Result<Vec<Value>, QueryErrorKind> {
        let limit = deadline.remaining();
        // The node asks for more time than the session allows.
        let extends = limit > self.pool.limits.query && self.pool.prepares();
        self.within(deadline, async |session| {
            if !extends {
                return session.run(query, params).await;
            }
            session.limit_statements(limit).await?;
            let rows = session.run(query, params).await;
            // Behind rows that nobody reads this would wait: the session is closed instead.
            if session.has_unread() {
                return rows;
            }
            let restored = session.limit_statements(session.pool.limits.query).await;
            // An error of the query says more than one that follows from it.
            rows.and_then(|rows| restored.map(|()| rows))
        })
        .await
        .inspect(|_| {
            if extends && self.has_unread() {
                self.leave_unanswered();
            }
        })
    }

    /// What PREPARE says of `query`, which is planned as well: only then PostgreSQL asks for permissions.
    ///
    /// # Errors
    /// [`QueryErrorKind`]: `Sql` where the database refuses it or the role may not run it, `Column` for two columns of one name.
    pub async fn describe(&mut self, query: &Query, deadline: Deadline) -> Result<Description, QueryErrorKind> {
        self.within(deadline, async |session| {
            if !session.pool.prepares() {
                return Ok(session.described_in_one_transaction(query, Planning::Tried).await?.description()?);
            }
            // Afresh: a statement prepared earlier would not tell of tables that have changed.
            session.forget(query)?;
            let description = session.prepare(query).await?.1.description()?;
            session.plan(query, description.params.len()).await?;
            Ok(description)
        })
        .await
    }

    /// Does `work`, and leaves the session marked busy unless the work came to its end.
    async fn within<T>(
        &mut self,
        deadline: Deadline,
        work: impl AsyncFnOnce(&Self) -> Result<T, Fault>,
    ) -> Result<T, QueryErrorKind> {
        let limit = deadline.remaining();
        if self.connection()?.is_closed() {
            return Err(ended_before_it_was_asked());
        }
        let farewells = self.pool.connector.farewells();
        self.busy.store(true, Ordering::Relaxed);
        match timeout_at(Instant::from_std(deadline.instant()), work(self)).await {
            Ok(outcome) => {
                self.busy.store(false, Ordering::Relaxed);
                outcome.map_err(|fault| self.explain(fault, farewells))
            }
            Err(_) => Err(QueryErrorKind::Timeout { after: limit }),
        }
    }

    /// What `fault` means to whoever asked. After an error of the server the session is as before; after a broken protocol
    /// there is nothing to keep.
    fn explain(&self, fault: Fault, farewells: u64) -> QueryErrorKind {
        match fault {
            Fault::Ours(kind) => kind,
            Fault::Driver(error) => {
                if error.as_db_error().is_none() {
                    self.busy.store(true, Ordering::Relaxed);
                }
                if is_farewell(&error) {
                    // Whoever is behind this one learns only that the session has ended.
                    self.pool.connector.note_farewell();
                }
                let undone = error.is_closed() && self.pool.connector.farewells() != farewells;
                if undone { ended_before_it_was_asked() } else { of_query(&error) }
            }
        }
    }

    async fn run(&self, query: &Query, params: &[Value]) -> Result<Vec<Value>, Fault> {
        let began = Instant::now();
        let outcome = if self.pool.prepares() {
            self.run_prepared(query, params).await
        } else {
            self.run_unprepared(query, params).await
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

    /// Runs `query` as it was prepared before, or, where the schema may have changed since, as it is prepared again.
    async fn run_prepared(&self, query: &Query, params: &[Value]) -> Result<Vec<Value>, Fault> {
        let (statement, plan) = self.prepare(query).await?;
        match self.execute(query, &statement, &plan, params).await {
            Err(Fault::Driver(error)) if is_stale_statement(&error) => self.refuse_pooler(&error).await?,
            Err(Fault::Ours(kind)) if self.is_current(query, &plan).await? => return Err(kind.into()),
            Err(Fault::Ours(_)) => {}
            outcome => return outcome,
        }
        self.forget(query)?;
        let (statement, plan) = self.prepare(query).await?;
        self.execute(query, &statement, &plan, params).await
    }

    /// Fails where `error` shows that a pooler has given this connection the session of another: nothing more may be asked then.
    pub(super) async fn refuse_pooler(&self, error: &tokio_postgres::Error) -> Result<(), Fault> {
        if is_misplaced(error) && !self.pool.connector.knows_session_of(self.connection()?).await? {
            return Err(self.pool.connector.note_pooler().into());
        }
        Ok(())
    }

    /// Whether PREPARE still says of `query` what `plan` was made of. The server tells of a change only when a statement is
    /// executed, and a value that does not fit the plan is never sent.
    pub(super) async fn is_current(&self, query: &Query, plan: &Plan) -> Result<bool, Fault> {
        Ok(plan.fits(&self.connection()?.prepare(query.text()).await?))
    }

    /// Runs `query` as it was described before, or else as it is described now: its parameters may have other types since.
    async fn run_unprepared(&self, query: &Query, params: &[Value]) -> Result<Vec<Value>, Fault> {
        if let Some(plan) = self.pool.plans.known(query.id()) {
            match self.run_typed(query, &plan, params).await {
                Err(Fault::Driver(error)) if is_stale_statement(&error) => self.pool.plans.forget(query.id()),
                outcome => return outcome,
            }
        }
        let plan = self.described_in_one_transaction(query, Planning::Untried).await?;
        self.run_typed(query, &plan, params).await
    }

    /// Runs `query` under no name, in one message: a pooler hands that to one session as a whole.
    async fn run_typed(&self, query: &Query, plan: &Plan, params: &[Value]) -> Result<Vec<Value>, Fault> {
        let (reader, bound) = (plan.reader()?, plan.bind(params)?);
        let typed = bound.iter().zip(plan.param_types().cloned());
        let mut stream = std::pin::pin!(self.connection()?.query_typed_raw(query.text(), typed).await?);
        let (mut rows, mut refused, mut pace) = (Vec::new(), None, Pace::default());
        while let Some(row) = stream.try_next().await? {
            pace.row().await;
            if rows.is_empty() && refused.is_none() && !plan.fits_row(&row) {
                self.pool.plans.forget(query.id());
                let detail = "the tables have changed since the query was described".to_owned();
                refused = Some(QueryErrorKind::Aborted { sqlstate: "0A000".to_owned(), detail });
            }
            if refused.is_none() {
                reader.read_from(&row, 0).map_or_else(|kind| refused = Some(kind), |row| rows.push(row));
            }
            if pace.is_over(query) {
                self.leave_unread();
                break;
            }
        }
        refused.map_or(Ok(rows), |kind| Err(kind.into()))
    }

    /// Describes `query` on one session of a pooler, which a transaction keeps, and leaves no name there.
    async fn described_in_one_transaction(&self, query: &Query, planning: Planning) -> Result<Arc<Plan>, Fault> {
        let connection = self.connection()?;
        connection.batch_execute("BEGIN READ ONLY").await?;
        let described = async {
            let statement = connection.prepare(query.text()).await?;
            if planning == Planning::Tried {
                self.plan(query, statement.params().len()).await?;
            }
            Ok::<_, Fault>(self.pool.plans.plan(query.id(), &statement))
        };
        let described = described.await;
        connection.batch_execute("ROLLBACK; DEALLOCATE ALL").await?;
        described
    }

    pub(super) async fn prepare(&self, query: &Query) -> Result<(Statement, Arc<Plan>), Fault> {
        let statement = self.connection()?.prepare_cached(query.text()).await?;
        let plan = self.pool.plans.plan(query.id(), &statement);
        Ok((statement, plan))
    }

    async fn execute(
        &self,
        query: &Query,
        statement: &Statement,
        plan: &Plan,
        params: &[Value],
    ) -> Result<Vec<Value>, Fault> {
        let reader = plan.reader()?;
        let bound = plan.bind(params)?;
        Ok(self.read(query, statement, &reader, &bound).await??)
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
                self.leave_unread();
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

    /// Drops the statements that this connection has prepared for `query`, plain and wrapped, and the names of types.
    pub(super) fn forget(&self, query: &Query) -> Result<(), QueryErrorKind> {
        let connection = self.connection()?;
        drop(connection.statement_cache.remove(query.text(), &[]));
        if let Some(wrapped) = query.joining().wrapped_text() {
            drop(connection.statement_cache.remove(&wrapped, &[]));
        }
        connection.clear_type_cache();
        Ok(())
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
            tokio::task::yield_now().await;
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
        let outdated = self.epoch != self.pool.epoch();
        let (busy, unread) = (*self.busy.get_mut(), *self.unread.get_mut());
        if outdated || connection.is_closed() {
            let token = connection.cancel_token();
            Pool::discard(connection);
            if busy || unread {
                let connector = self.pool.connector.clone();
                in_background(async move { stop(&connector, &token).await });
            }
        } else if busy && !self.shared {
            in_background(abandon(connection, self.pool.connector.clone()));
        } else if busy || unread {
            in_background(settle(connection, Arc::clone(&self.pool), self.epoch));
        } else if Instant::now() >= self.ends {
            Pool::discard(connection);
        }
    }
}

/// Lets what was left unanswered on a shared session, or unread, come to its end, which for quick statements is soon: then the
/// connection is as good as before. Otherwise it is abandoned.
async fn settle(connection: Object, pool: Arc<Shared>, epoch: u64) {
    match timeout(SETTLING, connection.check_connection()).await {
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
    let token = connection.cancel_token();
    let stopped = async {
        stop(&connector, &token).await;
        connection.check_connection().await
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
