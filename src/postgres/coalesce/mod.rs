//! Many waiting queries of one node as one statement.
//!
//! While a lane is busy with a node's statement, further queries of that node wait for it and then go together: each
//! distinct set of parameters once, in the lists of a wrapped statement (`wrapped`), and each row comes back with the
//! place of its parameters. Equal parameters share one answer, which was read after all who get it had asked. A query
//! that nobody else waits with goes as it is and pays nothing.
//!
//! An answer never reaches the wrong flow: rows are told apart by their ordinal number alone, and one that is out of
//! range fails the whole batch. Whatever goes wrong with a batch, its queries are asked singly, so that a bad key fails
//! its own flow only.
//!
//! What cannot be wrapped is not: text that might be misread (`template`), parameters that are lists themselves, calls of
//! functions that are volatile by PostgreSQL's own catalogue, and whatever PREPARE refuses or describes otherwise than the
//! query alone. Such a query goes plain for ever, which the log tells once. (A view or an operator that hides a
//! volatile function is not seen through: `coalesce: off` is for those.)

mod batch;
mod template;
mod wrapped;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) use batch::Together;
use template::Template;
use wrapped::Wrapped;

use super::query::Query;
use super::statements::Plan;
use crate::config::Coalescing;

const FIRST_REST: Duration = Duration::from_millis(5);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// What is known of joining a query to its like.
#[derive(Debug)]
pub(super) struct Joining(Mutex<State>);

#[derive(Debug)]
struct State {
    known: Known,
    /// Batches that failed in a row.
    failures: u32,
    /// Until when none is tried again.
    rests: Option<Instant>,
}

#[derive(Debug, Clone)]
enum Known {
    Never,
    Untried(Arc<Template>),
    /// It calls nothing that is volatile.
    Steady(Arc<Template>),
    /// Equal ones can share an answer, and where it has parameters different ones can share a statement.
    Ready(Arc<Template>, Arc<Wrapped>),
}

impl Joining {
    /// What the query `text` allows by itself.
    pub(super) fn of(text: &str, coalescing: Coalescing) -> Self {
        let template = if coalescing == Coalescing::Auto { Template::of(text) } else { None };
        let known = template.map_or(Known::Never, |template| Known::Untried(Arc::new(template)));
        Self(Mutex::new(State { known, failures: 0, rests: None }))
    }

    /// Whether it may be joined now, as far as is known.
    pub(super) fn is_possible(&self) -> bool {
        let state = self.state();
        !matches!(state.known, Known::Never) && state.rests.is_none_or(|rests| Instant::now() >= rests)
    }

    /// A batch was answered.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        (state.failures, state.rests) = (0, None);
    }

    /// PostgreSQL refused a batch: a key in it is bad. Its queries are asked twice for that, so the more batches fail in a
    /// row the longer none is tried.
    pub(super) fn failed(&self) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let rest = FIRST_REST.saturating_mul(2_u32.saturating_pow(state.failures)).min(LONGEST_REST);
        state.rests = Some(Instant::now() + rest);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Known {
        self.state().known.clone()
    }

    fn set(&self, known: Known) {
        self.state().known = known;
    }

    fn give_up(&self, query: &Query, why: &str) {
        tracing::debug!(node = %query.node(), why, "postgres.coalesce.never");
        self.set(Known::Never);
    }

    /// The wrapped query, made anew where the query's own columns or parameters have changed.
    fn wrapped(&self, query: &Query, plan: &Arc<Plan>) -> Option<Arc<Wrapped>> {
        let template = match self.known() {
            Known::Ready(_, wrapped) if Arc::ptr_eq(&wrapped.plan, plan) => return Some(wrapped),
            Known::Ready(template, _) | Known::Steady(template) => template,
            Known::Never | Known::Untried(_) => return None,
        };
        let Some(wrapped) = Wrapped::of(&template, plan).map(Arc::new) else {
            self.give_up(query, "its parameters cannot come from lists");
            return None;
        };
        self.set(Known::Ready(template, Arc::clone(&wrapped)));
        Some(wrapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_that_fail_are_not_tried_again_at_once_and_one_that_works_ends_that() {
        let joining = Joining::of("SELECT a FROM t WHERE b = $1", Coalescing::Auto);
        assert!(joining.is_possible());
        for _ in 0..40 {
            joining.failed();
        }
        assert!(!joining.is_possible());
        assert!(joining.state().rests.is_some_and(|rests| rests <= Instant::now() + LONGEST_REST));
        joining.succeeded();
        assert!(joining.is_possible());
        assert!(!Joining::of("SELECT a FROM t WHERE b = $1", Coalescing::Off).is_possible());
    }
}
