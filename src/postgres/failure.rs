//! What the driver reports, told apart by what may be done about it. The texts made here name no secret and no SQL:
//! PostgreSQL's own message goes into `detail` alone.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio_postgres::error::{DbError, Severity, SqlState};

use super::backends::{POOLED, UNWANTED};
use super::error::QueryErrorKind;
use super::tls;

/// When trying again may help where no connection was free.
pub(super) const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);

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

    /// Reads the driver's error about a connection that could not be made.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(answer) => Self::of_answer(answer),
            None => Self::Unreachable { why: tls::explain(error).unwrap_or_else(|| chain(error)) },
        }
    }

    fn of_answer(answer: &DbError) -> Self {
        let code = answer.code();
        let sqlstate = code.code().to_owned();
        let refused = |why| Self::Refused { why, sqlstate: sqlstate.clone() };
        match *code {
            SqlState::TOO_MANY_CONNECTIONS => Self::Full,
            SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
                Self::NotAccepting { sqlstate }
            }
            SqlState::INVALID_PASSWORD => refused("the server refused the password"),
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => refused("the server refused the login"),
            SqlState::INVALID_CATALOG_NAME => refused("there is no such database"),
            SqlState::INSUFFICIENT_PRIVILEGE => refused("the role may not use the database"),
            SqlState::PROTOCOL_VIOLATION if answer.message().contains("startup parameter") => refused(UNWANTED),
            _ => refused("the server refused the connection"),
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

/// What the driver says, cause after cause. Without an answer of the server in it there is nothing secret in it.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Reads the driver's error about a query that had been handed to a connection; `limit` is how long it could take.
pub(super) fn of_query(error: &tokio_postgres::Error, limit: Duration) -> QueryErrorKind {
    match error.as_db_error() {
        Some(answer) => of_answer(answer, limit),
        None if is_broken(error) => QueryErrorKind::ConnectionLost { sent: true, detail: chain(error) },
        None => QueryErrorKind::Sql { sqlstate: "XX000".to_owned(), detail: chain(error) },
    }
}

fn of_answer(answer: &DbError, limit: Duration) -> QueryErrorKind {
    let code = answer.code();
    let sqlstate = code.code();
    let detail = || format!("{sqlstate}: {}", answer.message());
    match *code {
        // The session's statement_timeout, or our own cancel.
        SqlState::QUERY_CANCELED => QueryErrorKind::Timeout { after: limit },
        // The server ended the session, and with it whatever the query had begun.
        SqlState::ADMIN_SHUTDOWN | SqlState::IDLE_SESSION_TIMEOUT => {
            QueryErrorKind::ConnectionLost { sent: false, detail: detail() }
        }
        SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => {
            QueryErrorKind::ConnectionLost { sent: true, detail: detail() }
        }
        _ if sqlstate.starts_with("08") => QueryErrorKind::ConnectionLost { sent: true, detail: detail() },
        _ => QueryErrorKind::Sql { sqlstate: sqlstate.to_owned(), detail: answer_in_full(answer) },
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

/// Whether a statement prepared earlier may no longer be what its text means: the tables changed under it.
pub(super) fn is_stale_statement(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::FEATURE_NOT_SUPPORTED // "cached plan must not change result type"
            || *code == SqlState::INTERNAL_ERROR // "cache lookup failed for type"
            || (code.code().starts_with("42") && *code != SqlState::DUPLICATE_PSTATEMENT)
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
