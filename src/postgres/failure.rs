//! The errors of the driver, classified by what can be done about them. Texts written here contain no secret and no SQL.
//! PostgreSQL's own message is only ever in `detail`.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio_postgres::error::DbError;

use super::backends::POOLED;
use super::sqlstate::{self, Cause, Refusal};
use super::tls;
use crate::flow::QueryErrorKind;

/// After this a query that found no free connection may succeed.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The cause of a failed connection attempt, for the examination of a database. Other callers get the [`ConnectError`] of it.
pub(super) type DialError = Box<dyn Error + Send + Sync>;

/// Why a connection attempt failed. `Display` is fit for a health page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// There was no answer, or none that the PostgreSQL protocol allows.
    #[error("{why}")]
    Unreachable {
        /// What happened.
        why: String,
    },
    /// The server answers but accepts no sessions: it is starting up, shutting down or recovering.
    #[error("the server is not taking connections (SQLSTATE {sqlstate})")]
    NotAccepting {
        /// The code in its answer.
        sqlstate: String,
    },
    /// All connection slots of the server, the database or the role are in use.
    #[error("the server has no free connection slots")]
    Full,
    /// A pooler between here and the server gives each transaction another session.
    #[error("{POOLED}")]
    Pooled,
    /// The server rejects this role or database. Retrying does not help before its configuration or ours changes.
    #[error("{why} (SQLSTATE {sqlstate})")]
    Refused {
        /// What it rejects.
        why: &'static str,
        /// The code in its answer.
        sqlstate: String,
    },
}

impl ConnectError {
    /// There was no answer within `limit`.
    pub(super) fn timed_out(limit: Duration) -> Self {
        Self::Unreachable { why: format!("no answer within {} ms", limit.as_millis()) }
    }

    /// Classifies the cause of a failed connection attempt.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        if let Some(classified) = tls::find_cause::<Self>(error) {
            return classified.clone();
        }
        match tls::find_cause::<DbError>(error) {
            Some(answer) => Self::of_answer(answer),
            None => Self::Unreachable { why: tls::explain(error).unwrap_or_else(|| with_causes(error)) },
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

    /// The error of a query that needed the connection.
    pub(super) fn into_query_error(self) -> QueryErrorKind {
        let retry_after = RETRY_AFTER;
        match self {
            Self::Full => QueryErrorKind::Overloaded { retry_after },
            Self::Unreachable { why } => QueryErrorKind::ConnectionLost { sent: false, detail: why },
            Self::NotAccepting { .. } => QueryErrorKind::ConnectionLost { sent: false, detail: self.to_string() },
            Self::Refused { .. } | Self::Pooled => QueryErrorKind::Unavailable { why: self.to_string(), retry_after },
        }
    }
}

/// The messages of `error` and its causes. Unless the server's answer is among them, they contain no secret.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Classifies the driver's error for a query that was sent.
pub(super) fn of_query(error: &tokio_postgres::Error) -> QueryErrorKind {
    match error.as_db_error() {
        Some(answer) => of_answer(answer),
        None if is_connection_error(error) => QueryErrorKind::ConnectionLost { sent: true, detail: with_causes(error) },
        None => QueryErrorKind::Sql { sqlstate: "XX000".to_owned(), detail: with_causes(error) },
    }
}

fn of_answer(answer: &DbError) -> QueryErrorKind {
    let sqlstate = answer.code().code().to_owned();
    match sqlstate::cause(answer) {
        Cause::SessionEnded { undone } => {
            let detail = format!("{sqlstate}: {}", answer.message());
            QueryErrorKind::ConnectionLost { sent: !undone, detail }
        }
        Cause::Cancelled | Cause::Transient => QueryErrorKind::Aborted { sqlstate, detail: full_message(answer) },
        Cause::Outdated | Cause::StatementMismatch | Cause::Failed => {
            QueryErrorKind::Sql { sqlstate, detail: full_message(answer) }
        }
    }
}

/// The server's message with its detail and hint.
fn full_message(answer: &DbError) -> String {
    let mut text = answer.message().to_owned();
    for part in [answer.detail(), answer.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(part);
    }
    text
}

fn is_connection_error(error: &tokio_postgres::Error) -> bool {
    let io = error.source().is_some_and(|source| source.downcast_ref::<io::Error>().is_some());
    error.is_closed() || io
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_a_retry_cannot_fix_are_not_retryable() {
        let pause = Duration::from_secs(1);
        let refused = ConnectError::Refused { why: "the server refused the password", sqlstate: "28P01".into() };
        for (error, retryable) in [
            (refused, false),
            (ConnectError::Full, false),
            (ConnectError::timed_out(pause), true),
            (ConnectError::NotAccepting { sqlstate: "57P03".into() }, true),
        ] {
            assert_eq!(error.clone().into_query_error().is_retryable(), retryable, "{error}");
        }
    }
}
