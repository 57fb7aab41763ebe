//! Why the effect of a decision was not written.

use std::time::Duration;

use super::query::QueryErrorKind;
use crate::types::NodeId;

/// When a request may be sent again whose key is in use, or whose effect is unknown.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the effect of a decision was not written, or the key of its request not claimed. Nothing was written, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EffectError {
    /// Nothing can be written to the domain.
    #[error("a request with an Idempotency-Key writes, and {why}, or send no key")]
    Off {
        /// Why not, and the remedy.
        why: String,
    },
    /// Another request has the key, with other inputs.
    #[error("the key was sent before with other inputs: send a new key for a new request")]
    KeyReused,
    /// Another request with the key has not ended.
    #[error("another request with this key has not ended: send it again for its answer")]
    KeyInProgress,
    /// The rows are not as the effect requires, or another transaction changed them at the same time. So were they each time.
    #[error(
        "effect `{effect}`: statement {statement} {why}; nothing was written, and the decision was made {times} times"
    )]
    Conflict {
        /// The effect.
        effect: NodeId,
        /// The number of its statement, from 1.
        statement: usize,
        /// What it found.
        why: String,
        /// How often the decision was made.
        times: usize,
    },
    /// The connection broke after COMMIT was sent, and it could not be found out in time whether it was carried out.
    #[error(
        "it is not known whether the decision was written: send the request again with the same key, which finds out"
    )]
    Unknown,
    /// The database gave no answer, or refused a statement.
    #[error("{0}")]
    Query(QueryErrorKind),
}

impl EffectError {
    /// The codes that only effects have.
    pub const CODES: [&str; 5] = ["effects_off", "key_reused", "key_in_progress", "conflict", "effect_unknown"];

    /// Its stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Off { .. } => "effects_off",
            Self::KeyReused => "key_reused",
            Self::KeyInProgress => "key_in_progress",
            Self::Conflict { .. } => "conflict",
            Self::Unknown => "effect_unknown",
            Self::Query(kind) => kind.code(),
        }
    }

    /// The SQLSTATE of the database's error.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Query(kind) => kind.sqlstate(),
            _ => None,
        }
    }

    /// When the same request may succeed.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::KeyInProgress | Self::Conflict { .. } | Self::Unknown => Some(RETRY_AFTER),
            Self::Query(kind) => kind.retry_after(),
            Self::Off { .. } | Self::KeyReused => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::KeyInProgress | Self::Conflict { .. } | Self::Unknown => true,
            Self::Query(kind) => kind.is_outage(),
            Self::Off { .. } | Self::KeyReused => false,
        }
    }
}
