//! Why a connection attempt failed.

use std::error::Error;
use std::time::Duration;

use super::tls;
use crate::flow::QueryErrorKind;

/// After this a query that found no free connection may succeed.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The cause of a failed connection attempt, for the examination of a domain. Other callers get the [`ConnectError`] of it.
pub type DialError = Box<dyn Error + Send + Sync>;

/// Why a connection attempt failed. `Display` is fit for a health page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// There was no answer, or none that the protocol allows.
    #[error("{why}")]
    Unreachable {
        /// What happened.
        why: String,
    },
    /// The server answers but cannot be used now: it is starting up, shutting down, recovering or overloaded.
    #[error("{why}")]
    NotAccepting {
        /// What it answered.
        why: String,
    },
    /// The server's rows may be older than the domain allows.
    #[error("{why}")]
    Stale {
        /// How old they may be.
        why: String,
    },
    /// All connection slots of the server, the database or the role are in use.
    #[error("the server has no free connection slots")]
    Full,
    /// The server rejects what it was given. Retrying does not help before its configuration or ours changes.
    #[error("{why}")]
    Refused {
        /// What it rejects.
        why: String,
    },
}

impl ConnectError {
    /// There was no answer within `limit`.
    pub fn timed_out(limit: Duration) -> Self {
        Self::Unreachable { why: format!("no answer within {} ms", limit.as_millis()) }
    }

    /// The cause of a failed connection attempt that has no answer of the server in it.
    pub fn unreachable(error: &(dyn Error + 'static)) -> Self {
        Self::Unreachable { why: tls::explain(error).unwrap_or_else(|| with_causes(error)) }
    }

    /// The error of a query that needed the connection.
    pub fn into_query_error(self) -> QueryErrorKind {
        let retry_after = RETRY_AFTER;
        match self {
            Self::Full => QueryErrorKind::Overloaded { retry_after },
            Self::Unreachable { why } | Self::NotAccepting { why } => {
                QueryErrorKind::ConnectionLost { sent: false, detail: why }
            }
            Self::Refused { why } | Self::Stale { why } => QueryErrorKind::Unavailable { why, retry_after },
        }
    }
}

/// The messages of `error` and its causes. Unless the server's answer is among them, they contain no secret.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_a_retry_cannot_fix_are_not_retryable() {
        let pause = Duration::from_secs(1);
        for (error, retryable) in [
            (ConnectError::Refused { why: "the server refused the password (SQLSTATE 28P01)".into() }, false),
            (ConnectError::Full, false),
            (ConnectError::timed_out(pause), true),
            (ConnectError::NotAccepting { why: "the server is not taking connections".into() }, true),
        ] {
            assert_eq!(error.clone().into_query_error().is_retryable(), retryable, "{error}");
        }
    }
}
