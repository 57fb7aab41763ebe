//! What the driver reports, told apart by what may be done about it. The texts made here name no secret and no SQL:
//! PostgreSQL's own message goes into `detail` alone.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio_postgres::error::{DbError, Severity};

use super::backends::POOLED;
use super::sqlstate::{self, Cause, Refusal};
use super::tls;
use crate::flow::QueryErrorKind;

/// When trying again may help where no connection was free.
pub(super) const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

/// The cause of a connection that could not be made. The examination of a database looks into it; others read it with
/// [`ConnectError::of`].
pub(super) type DialError = Box<dyn Error + Send + Sync>;

/// Why there is no connection. `Display` is fit for a health page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answered, or not in the words of PostgreSQL.
    #[error("{why}")]
    Unreachable {
        /// What happened.
        why: String,
    },
    /// The server answers but takes no sessions now: it is starting up, shutting down or recovering.
    #[error("the server is not taking connections (SQLSTATE {sqlstate})")]
    NotAccepting {
        /// What it said.
        sqlstate: String,
    },
    /// All connection slots of the server, the database or the role are taken.
    #[error("the server has no free connection slots")]
    Full,
    /// A pooler stands in between that gives each transaction another session.
    #[error("{POOLED}")]
    Pooled,
    /// The server refuses this role or database: somebody has to change something.
    #[error("{why} (SQLSTATE {sqlstate})")]
    Refused {
        /// What it refuses.
        why: &'static str,
        /// What it said.
        sqlstate: String,
    },
}

impl ConnectError {
    /// No answer within `limit`.
    pub(super) fn late(limit: Duration) -> Self {
        Self::Unreachable { why: format!("no answer within {} ms", limit.as_millis()) }
    }

    /// Reads the cause of a connection that could not be made, the driver's or our own.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        if let Some(ours) = tls::found::<Self>(error) {
            return ours.clone();
        }
        match tls::found::<DbError>(error) {
            Some(answer) => Self::of_answer(answer),
            None => Self::Unreachable { why: tls::explain(error).unwrap_or_else(|| chain(error)) },
        }
    }

    fn of_answer(answer: &DbError) -> Self {
        let sqlstate = answer.code().code().to_owned();
        match sqlstate::refusal(answer) {
            Refusal::Full => Self::Full,
            Refusal::NotAccepting => Self::NotAccepting { sqlstate },
            Refusal::Refused(why) => Self::Refused { why, sqlstate },
        }
    }

    /// What a query that needed the connection is told.
    pub(super) fn into_query_error(self, retry_after: Duration) -> QueryErrorKind {
        match self {
            Self::Full => QueryErrorKind::Overloaded { retry_after },
            Self::Unreachable { why } => QueryErrorKind::ConnectionLost { sent: false, detail: why },
            Self::NotAccepting { .. } => QueryErrorKind::ConnectionLost { sent: false, detail: self.to_string() },
            Self::Refused { .. } | Self::Pooled => QueryErrorKind::Unavailable { why: self.to_string(), retry_after },
        }
    }
}

/// What `error` says, cause after cause. Without an answer of the server in it there is nothing secret in it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Reads the driver's error about a query that had been handed to a connection.
pub(super) fn of_query(error: &tokio_postgres::Error) -> QueryErrorKind {
    match error.as_db_error() {
        Some(answer) => of_answer(answer),
        None if is_broken(error) => QueryErrorKind::ConnectionLost { sent: true, detail: chain(error) },
        None => QueryErrorKind::Sql { sqlstate: "XX000".to_owned(), detail: chain(error) },
    }
}

fn of_answer(answer: &DbError) -> QueryErrorKind {
    let sqlstate = answer.code().code().to_owned();
    match sqlstate::cause(answer) {
        Cause::SessionEnded { undone } => {
            let detail = format!("{sqlstate}: {}", answer.message());
            QueryErrorKind::ConnectionLost { sent: !undone, detail }
        }
        Cause::Cancelled | Cause::Transient => QueryErrorKind::Aborted { sqlstate, detail: answer_in_full(answer) },
        Cause::Outdated | Cause::Misplaced | Cause::Failed => {
            QueryErrorKind::Sql { sqlstate, detail: answer_in_full(answer) }
        }
    }
}

fn answer_in_full(answer: &DbError) -> String {
    let mut text = answer.message().to_owned();
    for part in [answer.detail(), answer.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(part);
    }
    text
}

fn is_broken(error: &tokio_postgres::Error) -> bool {
    let io = error.source().is_some_and(|source| source.downcast_ref::<io::Error>().is_some());
    error.is_closed() || io
}

/// Whether the server answered the statement with an error, and goes on with the session.
pub(super) fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|answer| match answer.parsed_severity() {
        Some(severity) => severity == Severity::Error,
        None => answer.severity() == "ERROR",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_mend_by_trying_again_is_not_retryable() {
        let pause = Duration::from_secs(1);
        let refused = ConnectError::Refused { why: "the server refused the password", sqlstate: "28P01".into() };
        for (error, retryable) in [
            (refused, false),
            (ConnectError::Full, false),
            (ConnectError::late(pause), true),
            (ConnectError::NotAccepting { sqlstate: "57P03".into() }, true),
        ] {
            assert_eq!(error.clone().into_query_error(pause).is_retryable(), retryable, "{error}");
        }
    }
}
