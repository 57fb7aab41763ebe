//! The meaning of PostgreSQL's errors, in one table of SQLSTATE codes. No other file of the query path decides by a code.
//!
//! The severity takes precedence over the code. ERROR ends a statement and keeps its session, so it never means a lost connection,
//! whatever its code: `postgres_fdw`, `dblink` and RAISE pass on codes of other sessions. FATAL and PANIC end the session.

use tokio_postgres::error::{DbError, Severity};

use super::backends::SETTINGS_REFUSED;

/// The meaning of an error in answer to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The server ended the session. `undone`: the statement had no lasting effect, so it can be sent again.
    SessionEnded { undone: bool },
    /// `statement_timeout` or a cancel request stopped the statement. The code is the same for both.
    Cancelled,
    /// The same statement can succeed if it is sent again: a lock, a conflict, or a lack of resources.
    Transient,
    /// The statement cannot run, or was prepared before the schema changed.
    Outdated,
    /// The session has no prepared statement of that name, or another one.
    StatementMismatch,
    /// The statement cannot run.
    Failed,
}

/// The meaning of an error in answer to a connection attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// All connection slots are in use.
    Full,
    /// The server accepts no sessions now.
    NotAccepting,
    /// The server rejects this role, database or setting.
    Refused(&'static str),
}

/// A code or a prefix of codes, and its meaning in each situation.
struct Row {
    code: &'static str,
    /// With severity ERROR.
    error: Cause,
    /// With severity FATAL: whether the statement was undone.
    undone: bool,
    /// In answer to a connection attempt.
    refusal: Refusal,
}

const fn row(code: &'static str, error: Cause, undone: bool, refusal: Refusal) -> Row {
    Row { code, error, undone, refusal }
}

const REFUSED: Refusal = Refusal::Refused("the server refused the connection");
const NO_PASSWORD: Refusal = Refusal::Refused("the server refused the password");
const NO_LOGIN: Refusal = Refusal::Refused("the server refused the login");
const NO_DATABASE: Refusal = Refusal::Refused("there is no such database");
const NO_RIGHT: Refusal = Refusal::Refused("the role may not use the database");

/// The first row that is a prefix of an SQLSTATE applies to it. Codes: PostgreSQL's documentation, appendix A.
#[rustfmt::skip]
const TABLE: [Row; 20] = [
    //   code     ERROR              FATAL  connecting
    row("0A000", Cause::Outdated,   false, REFUSED),               // cached plan must not change result type
    row("26000", Cause::StatementMismatch,  false, REFUSED),               // invalid SQL statement name
    row("28P01", Cause::Failed,     false, NO_PASSWORD),
    row("28",    Cause::Failed,     false, NO_LOGIN),
    row("3D000", Cause::Failed,     false, NO_DATABASE),
    row("40001", Cause::Transient,  true,  Refusal::NotAccepting), // serialization failure; FATAL: conflict with recovery
    row("40P01", Cause::Transient,  true,  Refusal::NotAccepting), // deadlock detected
    row("42501", Cause::Outdated,   false, NO_RIGHT),
    row("42P05", Cause::StatementMismatch,  false, REFUSED),               // duplicate prepared statement
    row("42",    Cause::Outdated,   false, REFUSED),               // a table, column, function, type or operator was dropped
    row("53300", Cause::Transient,  false, Refusal::Full),         // too many connections
    row("53",    Cause::Transient,  false, Refusal::NotAccepting), // disk, memory
    row("55P03", Cause::Transient,  false, REFUSED),               // lock not available, lock_timeout
    row("57014", Cause::Cancelled,  false, REFUSED),
    row("57P01", Cause::Failed,     true,  Refusal::NotAccepting), // shutdown, pg_terminate_backend
    row("57P02", Cause::Failed,     false, Refusal::NotAccepting), // crash of another session
    row("57P03", Cause::Failed,     false, Refusal::NotAccepting), // starting up, shutting down
    row("57P05", Cause::Failed,     true,  Refusal::NotAccepting), // idle_session_timeout
    row("XX000", Cause::Outdated,   false, REFUSED),               // cache lookup failed: a type was dropped
    row("",      Cause::Failed,     false, REFUSED),
];

fn find(code: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| code.starts_with(row.code))
}

/// The meaning of `error` in answer to a statement.
pub(super) fn cause(error: &DbError) -> Cause {
    cause_of(error.code().code(), ends_session(error))
}

fn cause_of(code: &str, ends_session: bool) -> Cause {
    let row = find(code);
    if ends_session {
        Cause::SessionEnded { undone: row.is_some_and(|row| row.undone) }
    } else {
        row.map_or(Cause::Failed, |row| row.error)
    }
}

/// The meaning of `error` in answer to a connection attempt.
pub(super) fn refusal(error: &DbError) -> Refusal {
    // PgBouncer names the setting only in the message.
    if error.code().code() == "08P01" && error.message().contains("startup parameter") {
        return Refusal::Refused(SETTINGS_REFUSED);
    }
    find(error.code().code()).map_or(REFUSED, |row| row.refusal)
}

/// Whether `error` is an answer of the server that keeps the session.
pub(super) fn keeps_session(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| !ends_session(error))
}

/// Whether the server ended the session without executing what had been sent.
pub(super) fn is_shutdown_notice(error: &tokio_postgres::Error) -> bool {
    cause_in(error) == Some(Cause::SessionEnded { undone: true })
}

/// Whether a prepared statement has to be prepared again, because the schema may have changed.
pub(super) fn is_stale_statement(error: &tokio_postgres::Error) -> bool {
    matches!(cause_in(error), Some(Cause::Outdated | Cause::StatementMismatch))
}

/// Whether the session lacks a statement that was prepared on it, or has another of that name.
pub(super) fn is_statement_mismatch(error: &tokio_postgres::Error) -> bool {
    cause_in(error) == Some(Cause::StatementMismatch)
}

/// Whether the statement was cancelled by a limit or by a request.
pub(super) fn is_cancelled(error: &tokio_postgres::Error) -> bool {
    cause_in(error) == Some(Cause::Cancelled)
}

fn cause_in(error: &tokio_postgres::Error) -> Option<Cause> {
    error.as_db_error().map(cause)
}

/// Servers before PostgreSQL 9.6 and some poolers send only the localised severity.
fn ends_session(error: &DbError) -> bool {
    match error.parsed_severity() {
        Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
        None => matches!(error.severity(), "FATAL" | "PANIC"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_the_session_whatever_its_code() {
        for code in ["08006", "08P01", "57P01", "57P02", "57P03", "57P04", "25P03", "40001", "XX000", "P0001", "?"] {
            assert!(!matches!(cause_of(code, false), Cause::SessionEnded { .. }), "{code}");
            assert!(matches!(cause_of(code, true), Cause::SessionEnded { .. }), "{code}");
        }
    }

    #[test]
    fn every_row_is_reachable_and_the_longest_prefix_applies() {
        for (index, row) in TABLE.iter().enumerate() {
            let hidden = TABLE.iter().take(index).find(|before| row.code.starts_with(before.code));
            assert!(hidden.is_none(), "`{}` is never reached", row.code);
        }
        for (code, cause) in
            [("42P05", Cause::StatementMismatch), ("42704", Cause::Outdated), ("53400", Cause::Transient)]
        {
            assert_eq!(cause_of(code, false), cause, "{code}");
        }
        assert_eq!(find("28000").map(|row| row.refusal), Some(NO_LOGIN));
    }
}
