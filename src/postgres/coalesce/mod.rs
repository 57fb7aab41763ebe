//! Many waiting queries of one node as one statement.
//!
//! While a lane is busy with a node's statement, further queries of that node wait for it and then go together: each
//! distinct set of parameters once, in the lists of a wrapped statement (`wrapped`), and each row comes back with the
//! place of its parameters. Equal parameters share one answer, which was read after all who get it had asked. A query
//! that nobody else waits with goes as it is and pays nothing.
//!
//! An answer never reaches the wrong flow: rows are told apart by their ordinal number alone, and one that is out of
//! range fails the whole batch. Any error of the server to a wrapped statement makes its queries run one by one, so that a
//! bad key fails its own flow only, and a table that only the wrapped statement touches fails none. The plain and the
//! wrapped statement are then both prepared again.
//!
//! A refused query is coalesced again after a pause, which doubles with each refusal in a row up to five seconds. The
//! refusal is logged as a warning, once a minute for each query, and its queries are counted.
//!
//! Some queries are not wrapped at all: text that might be misread (`template`), which is final, and calls of functions
//! that are volatile by PostgreSQL's own catalogue and parameters that are lists themselves, which are examined again every
//! ten seconds. (A view or an operator that hides a volatile function is not seen through: `coalesce: off` is for those.)

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
/// How long functions and types are taken to be as they were found.
const EXAMINED_FOR: Duration = Duration::from_secs(10);
/// The shortest time between two warnings about one query.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// What is known of joining a query to its like.
#[derive(Debug)]
pub(super) struct Joining {
    /// The text taken apart; `None` where it is never joined.
    template: Option<Template>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Whether functions and types allow it.
    suitability: Result<(), &'static str>,
    /// When that was examined.
    examined: Option<Instant>,
    wrapped: Option<Arc<Wrapped>>,
    /// Batches that were refused in a row.
    failures: u32,
    /// Until when no batch is tried.
    rests: Option<Instant>,
    warned: Option<Instant>,
}

impl State {
    /// The suitability, unless it has to be examined again.
    fn examined(&self) -> Option<Result<(), &'static str>> {
        self.examined.filter(|at| at.elapsed() < EXAMINED_FOR).map(|_| self.suitability)
    }

    fn rests(&self) -> bool {
        self.rests.is_some_and(|until| Instant::now() < until)
    }
}

impl Joining {
    /// What the query `text` allows by itself.
    pub(super) fn of(text: &str, coalescing: Coalescing) -> Self {
        let template = if coalescing == Coalescing::Auto { Template::of(text) } else { None };
        let (suitability, examined, wrapped, failures, rests, warned) = (Ok(()), None, None, 0, None, None);
        Self { template, state: Mutex::new(State { suitability, examined, wrapped, failures, rests, warned }) }
    }

    /// Whether it may be joined now, as far as is known.
    pub(super) fn is_possible(&self) -> bool {
        let state = self.state();
        self.template.is_some() && !state.rests() && !matches!(state.examined(), Some(Err(_)))
    }

    /// Whether it goes singly for a while because a batch was refused.
    pub(super) fn rests(&self) -> bool {
        self.state().rests()
    }

    /// A batch was answered.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        (state.failures, state.rests) = (0, None);
    }

    /// A batch was refused. Its queries are asked twice for that, so the more batches fail in a row the longer none is tried.
    pub(super) fn failed(&self, query: &Query, why: &str) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let rest = FIRST_REST.saturating_mul(2_u32.saturating_pow(state.failures)).min(LONGEST_REST);
        let now = Instant::now();
        state.rests = Some(now + rest);
        if state.warned.is_none_or(|warned| now.duration_since(warned) >= WARNING_PAUSE) {
            state.warned = Some(now);
            tracing::warn!(node = %query.node(), why, failures = state.failures, "postgres.coalesce.refused");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What might be the names of the functions that it calls.
    fn calls(&self) -> &[String] {
        self.template.as_ref().map(|template| template.calls.as_slice()).unwrap_or_default()
    }

    /// Whether functions and types allow it; `None` where that has to be examined.
    fn suitability(&self) -> Option<Result<(), &'static str>> {
        self.state().examined()
    }

    /// Functions and types were examined.
    fn examined(&self, query: &Query, found: Result<(), &'static str>) {
        let mut state = self.state();
        if let Err(why) = found
            && state.suitability != found
        {
            tracing::info!(node = %query.node(), why, "postgres.coalesce.unsuited");
        }
        (state.suitability, state.examined) = (found, Some(Instant::now()));
    }

    /// The text of the wrapped query as it was made last.
    pub(super) fn wrapped_text(&self) -> Option<String> {
        self.known().map(|wrapped| wrapped.text.clone())
    }

    fn known(&self) -> Option<Arc<Wrapped>> {
        self.state().wrapped.clone()
    }

    /// The wrapped query, made again where the query's own columns or parameters have changed.
    fn wrapped(&self, query: &Query, plan: &Arc<Plan>) -> Option<Arc<Wrapped>> {
        if let Some(wrapped) = self.known().filter(|wrapped| Arc::ptr_eq(&wrapped.plan, plan)) {
            return Some(wrapped);
        }
        let Some(wrapped) = Wrapped::of(self.template.as_ref()?, plan).map(Arc::new) else {
            self.examined(query, Err("a parameter has a type that cannot be the element of a list"));
            return None;
        };
        self.state().wrapped = Some(Arc::clone(&wrapped));
        Some(wrapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn query(text: &str) -> Arc<Query> {
        Query::new(NodeId::parse("stock").unwrap(), text, Coalescing::Auto, 10_000)
    }

    #[test]
    fn batches_that_fail_are_not_tried_again_at_once_and_one_that_works_ends_that() {
        let query = query("SELECT a FROM t WHERE b = $1");
        let joining = query.joining();
        assert!(joining.is_possible());
        for _ in 0..40 {
            joining.failed(&query, "a test");
        }
        assert!(!joining.is_possible() && joining.rests());
        assert!(joining.state().rests.is_some_and(|rests| rests <= Instant::now() + LONGEST_REST));
        joining.succeeded();
        assert!(joining.is_possible() && !joining.rests());
        assert!(!Joining::of("SELECT a FROM t WHERE b = $1", Coalescing::Off).is_possible());
    }

    #[test]
    fn an_unsuited_query_is_examined_again_after_a_while() {
        let query = query("SELECT a(b) FROM t WHERE b = $1");
        let joining = query.joining();
        assert_eq!(joining.suitability(), None);
        joining.examined(&query, Err("a test"));
        assert_eq!(joining.suitability(), Some(Err("a test")));
        assert!(!joining.is_possible() && !joining.rests());
        joining.state().examined = Instant::now().checked_sub(EXAMINED_FOR);
        assert_eq!(joining.suitability(), None);
        assert!(joining.is_possible());
    }
}
