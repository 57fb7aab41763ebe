//! Whether what was undone is done again.

use std::time::Duration;

use crate::actors::backoff::Backoff;
use crate::flow::{EffectError, QueryErrorKind};
use crate::types::Deadline;

/// How often a decision is made that meets conflicts.
const MOST_DECISIONS: usize = 3;
/// How often a decision is made again after an error that undid it.
const MOST_RETRIES: usize = 3;

/// What SQLSTATE says of rows that another transaction changed: serialization failure, deadlock, unique and exclusion violation.
const CONFLICTS: [&str; 4] = ["40001", "40P01", "23505", "23P01"];

/// Whether a statement met another transaction.
pub(super) fn is_conflict(kind: &QueryErrorKind) -> bool {
    kind.sqlstate().is_some_and(|sqlstate| CONFLICTS.contains(&sqlstate))
}

/// Why an attempt may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It would end in the same way.
    No,
    /// The rows were not as the effect requires.
    Conflict,
    /// Nothing was written, for a reason that may pass.
    Retry,
    /// It is not known whether it was written.
    Unknown,
}

impl Again {
    /// After an error that undid all.
    pub(super) fn after(error: &EffectError) -> Self {
        match error {
            // What is prepared on the connection may be older than the tables.
            EffectError::Query(QueryErrorKind::ConnectionLost { .. } | QueryErrorKind::Sql { .. }) => Self::Retry,
            // Under REPEATABLE READ and SERIALIZABLE, so does a claim that meets another one end.
            EffectError::Query(kind) if is_conflict(kind) => Self::Retry,
            _ => Self::No,
        }
    }
}

/// The attempts of one request.
pub(super) struct Attempts {
    decisions: usize,
    retries: usize,
    is_unknown: bool,
    backoff: Backoff,
    deadline: Deadline,
}

impl Attempts {
    pub(super) fn new(deadline: Deadline) -> Self {
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        Self { decisions: 0, retries: 0, is_unknown: false, backoff, deadline }
    }

    /// Whether an attempt may have been committed. Then an error of the decision is not the answer.
    pub(super) fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// Waits until it is time for the next attempt.
    ///
    /// # Errors
    /// The error of the request, where there is no further attempt.
    pub(super) async fn again(&mut self, error: EffectError, again: Again) -> Result<(), EffectError> {
        self.decisions += 1;
        self.retries += usize::from(again == Again::Retry);
        self.is_unknown |= again == Again::Unknown;
        let may_try = match again {
            _ if error == EffectError::KeyReused => return Err(error),
            // Only another attempt finds out.
            _ if self.is_unknown => true,
            Again::Conflict => self.decisions < MOST_DECISIONS,
            Again::Retry => self.retries <= MOST_RETRIES,
            Again::No | Again::Unknown => false,
        };
        let pause = if again == Again::Conflict { Duration::ZERO } else { self.backoff.next() };
        if !may_try || pause >= self.deadline.remaining() {
            return Err(self.last(error));
        }
        tracing::debug!(%error, "effect.again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn last(&self, error: EffectError) -> EffectError {
        match error {
            _ if self.is_unknown => EffectError::Unknown,
            EffectError::Conflict { effect, statement, why, .. } => {
                EffectError::Conflict { effect, statement, why, times: self.decisions }
            }
            error => error,
        }
    }
}
