//! Transactions that write, on sessions of a write role.
//!
//! Statements that do not need each other's rows are sent together, BEGIN with the first and COMMIT with the last ones. PostgreSQL
//! runs them in order, and after an error it refuses the others and rolls back at COMMIT, so that nothing is committed in part. Where
//! BEGIN itself fails, it would commit each of the others by itself; but the session is read only without BEGIN, so they fail, too. A
//! session whose transaction is open when it is dropped is closed, which rolls back.

use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::future::{join, join_all, join3};

use super::coalesce::QueryState;
use super::connection::Prepared;
use super::session::{Session, StatementError};
use super::statements::Bound;
use crate::flow::QueryErrorKind;
use crate::graph::Query;
use crate::types::Value;

/// A statement with its parameters.
#[derive(Debug, Clone)]
pub struct Call {
    /// The statement.
    pub statement: Arc<Query>,
    /// `$1`, `$2`, ...
    pub params: Vec<Value>,
}

/// What a statement did.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The rows that it returned, as many as are taken.
    pub rows: Vec<Value>,
    /// How many rows it wrote or returned.
    pub count: u64,
}

/// Begins a transaction in a session that is read only.
const BEGIN: &str = "BEGIN READ WRITE";

/// A statement that only has to be sent.
struct BoundCall<'c> {
    call: &'c Call,
    prepared: Prepared,
    bound: Vec<Bound>,
}

/// The result of a statement.
pub type WriteResult = Result<Written, QueryErrorKind>;

/// An open transaction.
#[derive(Debug)]
pub struct Transaction(Session);

/// Why a transaction was not committed, or is not known to be.
#[derive(Debug)]
pub enum CommitError {
    /// Nothing was written. The error is that of the call at this position, or of COMMIT.
    Undone(Option<usize>, QueryErrorKind),
    /// The connection broke after COMMIT was sent.
    Unknown(QueryErrorKind),
}

impl Session {
    /// Runs one statement in a transaction of its own.
    ///
    /// # Errors
    /// [`QueryErrorKind`]. After `ConnectionLost` it is not known whether the statement was committed.
    pub async fn write(&self, call: &Call) -> WriteResult {
        let bound = self.bind(call).await?;
        self.set_committing(true);
        let sent = join3(self.command(BEGIN), self.send(bound), self.command("COMMIT"));
        let (begun, written, ended) = sent.await;
        // A broken connection does not say whether the server still commits.
        self.set_committing(self.has_ended());
        begun?;
        let written = written?;
        ended.map(|()| written)
    }

    /// Runs one statement that writes nothing, or belongs to a transaction.
    ///
    /// # Errors
    /// [`QueryErrorKind`].
    pub async fn call(&self, call: &Call) -> WriteResult {
        let bound = self.bind(call).await?;
        self.send(bound).await
    }

    /// Prepares the statement, and encodes its parameters.
    async fn bind<'c>(&self, call: &'c Call) -> Result<BoundCall<'c>, QueryErrorKind> {
        let bound = self.track(async || {
            let prepared = self.prepare(&QueryState::new(Arc::clone(&call.statement))).await?;
            prepared.plan.reader()?;
            let bound = prepared.plan.bind(&call.params)?;
            Ok(BoundCall { call, prepared, bound })
        });
        bound.await.inspect_err(|kind| self.forget_outdated(call, kind))
    }

    async fn bind_all<'c>(&self, calls: &'c [Call]) -> Result<Vec<BoundCall<'c>>, QueryErrorKind> {
        let mut bound = Vec::with_capacity(calls.len());
        for call in calls {
            bound.push(self.bind(call).await?);
        }
        Ok(bound)
    }

    /// Sends a statement, at the first poll, and reads its result.
    async fn send(&self, bound: BoundCall<'_>) -> WriteResult {
        let written = self.track(async || self.written(&bound).await).await;
        written.inspect_err(|kind| self.forget_outdated(bound.call, kind))
    }

    async fn written(&self, BoundCall { call, prepared, bound }: &BoundCall<'_>) -> Result<Written, StatementError> {
        let reader = prepared.plan.reader()?;
        let mut stream = std::pin::pin!(self.connection()?.query_raw(&prepared.statement, bound).await?);
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await? {
            if rows.len() < call.statement.max_rows() {
                rows.push(reader.read_from(&row, 0)?);
            }
        }
        Ok(Written { rows, count: stream.rows_affected().unwrap_or(0) })
    }

    /// Has the statement prepared again at its next use where its error may come from a change of the schema.
    fn forget_outdated(&self, call: &Call, kind: &QueryErrorKind) {
        if matches!(kind, QueryErrorKind::Sql { .. } | QueryErrorKind::Column { .. } | QueryErrorKind::Parameter { .. })
        {
            // It fails only where the connection is closed.
            drop(self.forget(&QueryState::new(Arc::clone(&call.statement))));
        }
    }

    /// Notifies the listeners of a channel. It has a transaction of its own, which ends with the message: NOTIFY holds a lock of the
    /// whole server while its transaction commits. That commit does not wait for the disk: a notification is lost in a crash, anyway.
    ///
    /// # Errors
    /// [`QueryErrorKind`].
    pub async fn notify(&self, channel: &str) -> Result<(), QueryErrorKind> {
        self.command(&format!("SET LOCAL synchronous_commit = off; NOTIFY {channel}")).await
    }

    async fn command(&self, text: &str) -> Result<(), QueryErrorKind> {
        self.track(async || Ok(self.connection()?.batch_execute(text).await?)).await
    }
}

impl Transaction {
    /// Begins a transaction and runs its first statements. The results are in the order of `calls`; after an error the others fail too.
    ///
    /// # Errors
    /// [`QueryErrorKind`] where the transaction did not begin.
    pub async fn begin(session: Session, calls: &[Call]) -> Result<(Self, Vec<WriteResult>), QueryErrorKind> {
        let bound = session.bind_all(calls).await?;
        session.set_in_transaction(true);
        let sent = join_all(bound.into_iter().map(|bound| session.send(bound)));
        let (begun, results) = join(session.command(BEGIN), sent).await;
        begun?;
        Ok((Self(session), results))
    }

    /// Runs one more statement.
    ///
    /// # Errors
    /// [`QueryErrorKind`]: the transaction can only be rolled back.
    pub async fn write(&self, call: &Call) -> WriteResult {
        self.0.call(call).await
    }

    /// Undoes all. The session can be used again.
    ///
    /// # Errors
    /// [`QueryErrorKind`] of a broken connection, which undoes all, too.
    pub async fn roll_back(self) -> Result<Session, QueryErrorKind> {
        self.0.command("ROLLBACK").await?;
        self.0.set_in_transaction(false);
        Ok(self.0)
    }

    /// Runs the last statements and commits.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit(self, calls: &[Call]) -> Result<(), CommitError> {
        let session = self.0;
        // Nothing may fail on this side once COMMIT is on its way.
        let bound = session.bind_all(calls).await.map_err(|kind| CommitError::Undone(None, kind))?;
        session.set_committing(true);
        let sent = join_all(bound.into_iter().map(|bound| session.send(bound)));
        let (results, ended) = join(sent, session.command("COMMIT")).await;
        let failed =
            results.into_iter().enumerate().find_map(|(position, result)| Some((Some(position), result.err()?)));
        match failed.or(ended.err().map(|kind| (None, kind))) {
            Some((_, kind)) if session.has_ended() => Err(CommitError::Unknown(kind)),
            // The server answered with an error, after which COMMIT rolls back.
            failed => {
                session.set_in_transaction(false);
                session.set_committing(false);
                failed.map_or(Ok(()), |(position, kind)| Err(CommitError::Undone(position, kind)))
            }
        }
    }
}
