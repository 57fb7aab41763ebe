//! The answer to a query, or the error instead of it. Errors are distinguished by what the caller may do about them.

use std::time::Duration;

use crate::graph::Cause;
use crate::types::{DomainName, NodeId, Value};

/// What a database answered.
#[derive(Debug, Clone)]
pub struct QueryAnswer {
    /// The rows, each a map from column to value; all share their column names. At most one more than the node takes.
    pub rows: Vec<Value>,
    /// How long the query waited for a connection.
    pub waited: Duration,
    /// How long the database took, with the round trip.
    pub took: Duration,
    /// How many queries the statement answered: more than 1 where waiting queries were coalesced.
    pub together: usize,
    /// By how much the rows may be older than the query, at most. `None` where the domain does not limit that.
    pub staleness: Option<Duration>,
}

/// Why a query gave no rows. The messages name domain and node and hold no SQL text, parameter or secret: what
/// PostgreSQL itself said is in `detail`, for logs and checks only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("domain `{domain}`: {kind}")]
pub struct QueryError {
    /// The domain that was asked.
    pub domain: DomainName,
    /// The node that asked; `None` for probes and descriptions.
    pub node: Option<NodeId>,
    /// What happened.
    pub kind: QueryErrorKind,
}

/// What happened to a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryErrorKind {
    /// The domain is down. Nothing was sent, or what was sent has been given up.
    #[error("it is unavailable: {why}")]
    Unavailable {
        /// Why, redacted.
        why: String,
        /// When a retry may succeed.
        retry_after: Duration,
    },
    /// All connections were busy and the queue was full, or no connection came free in time: nothing was sent.
    #[error("it has no free connection")]
    Overloaded {
        /// When a retry may succeed.
        retry_after: Duration,
    },
    /// The deadline of the query passed; it was cancelled.
    #[error("no answer within {} ms", after.as_millis())]
    Timeout {
        /// How long the query waited.
        after: Duration,
    },
    /// The connection broke under the query.
    #[error("the connection was lost")]
    ConnectionLost {
        /// Whether the query may have been run: not where nothing was sent, nor where the server said that it ended the
        /// session, and with it whatever had begun.
        sent: bool,
        /// What broke, redacted.
        detail: String,
    },
    /// PostgreSQL gave the query up for a reason that passes: a lock, a conflict with another transaction, a cancel request
    /// of somebody else, a lack of resources.
    #[error("it aborted the query with SQLSTATE {sqlstate}, which may pass")]
    Aborted {
        /// The five characters of SQLSTATE.
        sqlstate: String,
        /// PostgreSQL's message: for logs and checks, never for an HTTP body.
        detail: String,
        /// Whether the domain's service has sent it again already.
        is_final: bool,
    },
    /// PostgreSQL refused the query.
    #[error("it refused the query with SQLSTATE {sqlstate}")]
    Sql {
        /// The five characters of SQLSTATE.
        sqlstate: String,
        /// PostgreSQL's message: for logs and checks, never for an HTTP body.
        detail: String,
    },
    /// The service of the domain refused the request, or answered with a status that has no other meaning.
    #[error("{why}")]
    Request {
        /// What it answered.
        why: String,
    },
    /// The answer of the domain's service is not as it was declared.
    #[error("the answer at {place} {reason}")]
    Answer {
        /// Where: a JSON pointer, `/` for the whole answer.
        place: String,
        /// What is wrong there; never the value.
        reason: String,
    },
    /// A parameter's value does not fit the type that PREPARE found.
    #[error("parameter ${number} takes {expected}, not {found}")]
    Parameter {
        /// Its number, from 1.
        number: usize,
        /// PostgreSQL's name of its type.
        expected: String,
        /// What was given: the type of the value, or what is wrong with it; never the value.
        found: String,
    },
    /// A column's value cannot be represented.
    #[error("column `{column}` of type {ty} {reason}")]
    Column {
        /// The column.
        column: String,
        /// PostgreSQL's name of its type.
        ty: String,
        /// Why not, such as `cannot be mapped` or `holds NaN`.
        reason: String,
    },
    /// The number of parameters differs from what PREPARE found.
    #[error("the query takes {expected} parameters, not {given}")]
    ParameterCount {
        /// What PREPARE found.
        expected: usize,
        /// What the graph gives.
        given: usize,
    },
}

impl QueryErrorKind {
    /// Every code that [`Self::code`] gives.
    pub const CODES: [&str; 10] = [
        "domain_unavailable",
        "domain_overloaded",
        "timeout",
        "connection_lost",
        "query_aborted",
        "query_failed",
        "unmappable_column",
        "bad_parameter",
        "request_failed",
        "bad_answer",
    ];

    /// Its stable code, as programs read it in problems, records and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "domain_unavailable",
            Self::Overloaded { .. } => "domain_overloaded",
            Self::Timeout { .. } => "timeout",
            Self::ConnectionLost { .. } => "connection_lost",
            Self::Aborted { .. } => "query_aborted",
            Self::Sql { .. } => "query_failed",
            Self::Column { .. } => "unmappable_column",
            Self::Request { .. } => "request_failed",
            Self::Answer { .. } => "bad_answer",
            Self::Parameter { .. } | Self::ParameterCount { .. } => "bad_parameter",
        }
    }

    /// A failure of this code, for replays and flow tests.
    pub fn of_code(code: &str) -> Option<Self> {
        let noted = || "as recorded".to_owned();
        let retry_after = Duration::from_secs(1);
        Some(match code {
            "domain_unavailable" => Self::Unavailable { why: noted(), retry_after },
            "domain_overloaded" => Self::Overloaded { retry_after },
            "timeout" => Self::Timeout { after: Duration::ZERO },
            "connection_lost" => Self::ConnectionLost { sent: true, detail: noted() },
            "query_aborted" => Self::Aborted { sqlstate: "57014".to_owned(), detail: noted(), is_final: false },
            "query_failed" => Self::Sql { sqlstate: "XX000".to_owned(), detail: noted() },
            "unmappable_column" => Self::Column { column: noted(), ty: noted(), reason: "cannot be mapped".to_owned() },
            "request_failed" => Self::Request { why: noted() },
            "bad_answer" => Self::Answer { place: "/".to_owned(), reason: noted() },
            "bad_parameter" => Self::ParameterCount { expected: 0, given: 0 },
            _ => return None,
        })
    }

    /// The SQLSTATE of PostgreSQL's error.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Aborted { sqlstate, .. } | Self::Sql { sqlstate, .. } => Some(sqlstate),
            _ => None,
        }
    }

    /// The failure that `on_error` of a node may replace; `None` for errors of the query and for what the service itself
    /// refused or kept waiting.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Unavailable { .. } => Some(Cause::Down),
            Self::ConnectionLost { .. } => Some(Cause::ConnectionLost),
            Self::Timeout { .. } => Some(Cause::Timeout),
            _ => None,
        }
    }

    /// When a retry may succeed, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::Overloaded { retry_after } => Some(*retry_after),
            Self::ConnectionLost { .. } | Self::Aborted { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Whether the domain could not be asked, which says nothing about the query.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Overloaded { .. }
                | Self::Timeout { .. }
                | Self::ConnectionLost { .. }
                | Self::Aborted { .. }
        )
    }

    /// Whether the same query may succeed if it is asked again at once: nothing was sent, or the database gave it up for a
    /// reason that passes.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ConnectionLost { sent, .. } => !sent,
            Self::Aborted { is_final, .. } => !is_final,
            Self::Unavailable { .. }
            | Self::Overloaded { .. }
            | Self::Timeout { .. }
            | Self::Sql { .. }
            | Self::Parameter { .. }
            | Self::Column { .. }
            | Self::Request { .. }
            | Self::Answer { .. }
            | Self::ParameterCount { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_sent_or_was_undone_is_retried() {
        let (sqlstate, detail) = ("40001".to_owned(), String::new());
        let aborted =
            |is_final| QueryErrorKind::Aborted { sqlstate: sqlstate.clone(), detail: String::new(), is_final };
        let lost = |sent| QueryErrorKind::ConnectionLost { sent, detail: String::new() };
        let second = Duration::from_secs(1);
        for (kind, retryable) in [
            (aborted(false), true),
            (aborted(true), false),
            (QueryErrorKind::Sql { sqlstate, detail }, false),
            (lost(false), true),
            (lost(true), false),
            (QueryErrorKind::Unavailable { why: String::new(), retry_after: second }, false),
            (QueryErrorKind::Overloaded { retry_after: second }, false),
            (QueryErrorKind::Timeout { after: second }, false),
            (QueryErrorKind::ParameterCount { expected: 1, given: 0 }, false),
        ] {
            assert_eq!(kind.is_retryable(), retryable, "{kind:?}");
            assert_eq!(QueryErrorKind::of_code(kind.code()).map(|again| again.code()), Some(kind.code()));
        }
    }
}
