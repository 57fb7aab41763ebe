//! The errors of the driver, classified by what can be done about them. Texts written here contain no secret and no SQL.
//! PostgreSQL's own message is only ever in `detail`.

use std::error::Error;
use std::io;

use tokio_postgres::error::DbError;

use super::backends::POOLED;
use super::sqlstate::{self, Cause, Refusal};
use crate::flow::QueryErrorKind;
use crate::pool::{ConnectError, tls, with_causes};

/// Classifies the cause of a failed connection attempt.
pub(super) fn of_attempt(error: &(dyn Error + 'static)) -> ConnectError {
    if let Some(classified) = tls::find_cause::<ConnectError>(error) {
        return classified.clone();
    }
    tls::find_cause::<DbError>(error).map_or_else(|| ConnectError::unreachable(error), refusal)
}

fn refusal(answer: &DbError) -> ConnectError {
    let sqlstate = answer.code().code();
    match sqlstate::refusal(answer) {
        Refusal::Full => ConnectError::Full,
        Refusal::NotAccepting => {
            ConnectError::NotAccepting { why: format!("the server is not taking connections (SQLSTATE {sqlstate})") }
        }
        Refusal::Refused(why) => ConnectError::Refused { why: format!("{why} (SQLSTATE {sqlstate})") },
    }
}

/// A pooler between here and the server gives each transaction another session.
pub(super) fn pooled() -> ConnectError {
    ConnectError::Refused { why: POOLED.to_owned() }
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
        Cause::Cancelled | Cause::Transient => {
            QueryErrorKind::Aborted { sqlstate, detail: full_message(answer), is_final: false }
        }
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
