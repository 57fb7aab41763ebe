//! Many waiting queries of one node as one statement.
//!
//! Each distinct set of parameters goes once, in the lists of a wrapped statement (`wrapped`), and each row comes back with the
//! place of its parameters. Equal parameters share one answer, which was read after all who get it had asked. A query
//! that waits by itself goes as it is.
//!
//! An answer never reaches the wrong flow: rows are distinguished by their ordinal number only, and one that is out of
//! range fails the whole statement. Any error of the server to a wrapped statement makes its queries run one by one, so that a
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

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use batch::{Rows, Together};
pub(super) use wrapped::Wrapped;

use tokio_postgres::Statement;

use super::statements::Plan;
use crate::config;
use crate::graph::Query;
use template::Template;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long functions and types are taken to be as they were found.
const EXAMINED_FOR: Duration = Duration::from_secs(10);
/// The shortest time between two warnings about one query.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// What one thread knows of a query: how it was prepared last, and whether it can be coalesced.
#[derive(Debug)]
pub struct QueryState {
    query: Arc<Query>,
    /// The text with the places of its parameters; `None` where it is never coalesced.
    template: Option<Template>,
    coalescing: RefCell<Coalescing>,
    plan: RefCell<Option<Arc<Plan>>>,
    wrapped: RefCell<Option<Arc<Wrapped>>>,
}

#[derive(Debug)]
struct Coalescing {
    /// Whether functions and types allow it.
    suitability: Result<(), &'static str>,
    /// When that was examined.
    examined: Option<Instant>,
    /// Wrapped statements that were refused in a row.
    failures: u32,
    /// Until when none is tried.
    pauses: Option<Instant>,
    warned: Option<Instant>,
}

impl QueryState {
    /// Nothing is known of `query` yet.
    pub fn new(query: Arc<Query>) -> Self {
        let coalescing = Coalescing { suitability: Ok(()), examined: None, failures: 0, pauses: None, warned: None };
        let (plan, wrapped) = (RefCell::default(), RefCell::default());
        let may_coalesce = query.coalescing() == config::Coalescing::Auto;
        let template = may_coalesce.then(|| Template::of(query.text())).flatten();
        Self { query, template, coalescing: RefCell::new(coalescing), plan, wrapped }
    }

    /// The query.
    pub fn query(&self) -> &Arc<Query> {
        &self.query
    }

    /// What tells it from every other query for as long as its state is kept.
    pub fn key(&self) -> usize {
        Arc::as_ptr(&self.query).addr()
    }

    /// Whether it may be coalesced at `now`, as far as is known.
    pub fn is_coalescible(&self, now: Instant) -> bool {
        let is_unsuited = || matches!(self.suitability(now), Some(Err(_)));
        self.template.is_some() && !self.pauses(now) && !is_unsuited()
    }

    /// Whether it is not coalesced for a while because a wrapped statement was refused.
    pub fn pauses(&self, now: Instant) -> bool {
        self.coalescing.borrow().pauses.is_some_and(|until| now < until)
    }

    /// A wrapped statement was answered.
    pub fn succeeded(&self) {
        let mut state = self.coalescing.borrow_mut();
        (state.failures, state.pauses) = (0, None);
    }

    /// A wrapped statement was refused. Its queries are asked twice for that, so each failure in a row doubles the pause.
    pub fn failed(&self, why: &str) {
        let mut state = self.coalescing.borrow_mut();
        state.failures = state.failures.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(state.failures)).min(LONGEST_PAUSE);
        let now = Instant::now();
        state.pauses = Some(now + pause);
        if state.warned.is_none_or(|warned| now.duration_since(warned) >= WARNING_PAUSE) {
            state.warned = Some(now);
            tracing::warn!(node = %self.query.node(), why, failures = state.failures, "postgres.coalesce.refused");
        }
    }

    /// What might be the names of the functions that it calls.
    fn calls(&self) -> &[String] {
        self.template.as_ref().map(|template| template.calls.as_slice()).unwrap_or_default()
    }

    /// Whether functions and types allow coalescing; `None` where that has to be examined.
    fn suitability(&self, now: Instant) -> Option<Result<(), &'static str>> {
        let state = self.coalescing.borrow();
        state.examined.filter(|at| now.saturating_duration_since(*at) < EXAMINED_FOR).map(|_| state.suitability)
    }

    /// Functions and types were examined.
    fn examined(&self, found: Result<(), &'static str>) {
        let mut state = self.coalescing.borrow_mut();
        if let Err(why) = found
            && state.suitability != found
        {
            tracing::info!(node = %self.query.node(), why, "postgres.coalesce.unsuited");
        }
        (state.suitability, state.examined) = (found, Some(Instant::now()));
    }

    /// How the query was prepared last.
    pub(super) fn plan(&self) -> Option<Arc<Plan>> {
        self.plan.borrow().clone()
    }

    /// The query was prepared as `statement`.
    pub(super) fn prepared(&self, statement: &Statement) -> Arc<Plan> {
        let mut known = self.plan.borrow_mut();
        let plan = Plan::of(statement, known.as_ref());
        Arc::clone(known.insert(plan))
    }

    /// How the query was prepared last no longer holds.
    pub(super) fn forget_plan(&self) {
        self.plan.take();
    }

    /// The wrapped query, made again where the query's own columns or parameters have changed.
    fn wrapped(&self, plan: &Arc<Plan>) -> Option<Arc<Wrapped>> {
        let mut known = self.wrapped.borrow_mut();
        if let Some(wrapped) = known.as_ref().filter(|wrapped| Arc::ptr_eq(&wrapped.plan, plan)) {
            return Some(Arc::clone(wrapped));
        }
        let Some(wrapped) = Wrapped::of(self.template.as_ref()?, plan).map(Arc::new) else {
            self.examined(Err("a parameter has a type that cannot be the element of a list"));
            return None;
        };
        Some(Arc::clone(known.insert(wrapped)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn state(text: &str, coalescing: config::Coalescing) -> QueryState {
        QueryState::new(Query::new(NodeId::parse("stock").unwrap(), text, coalescing, 10_000))
    }

    #[test]
    fn a_refused_query_is_not_coalesced_for_a_while_unless_it_succeeds() {
        let auto = config::Coalescing::Auto;
        let state = state("SELECT a FROM t WHERE b = $1", auto);
        let now = Instant::now();
        assert!(state.is_coalescible(now));
        (0..40).for_each(|_| state.failed("a test"));
        assert!(!state.is_coalescible(now) && state.pauses(now));
        assert!(state.is_coalescible(Instant::now() + LONGEST_PAUSE));
        state.succeeded();
        assert!(state.is_coalescible(now) && !state.pauses(now));
        assert!(!self::state("SELECT a FROM t WHERE b = $1", config::Coalescing::Off).is_coalescible(now));
    }

    #[test]
    fn an_unsuited_query_is_examined_again_after_a_while() {
        let state = state("SELECT a(b) FROM t WHERE b = $1", config::Coalescing::Auto);
        let now = Instant::now();
        assert_eq!(state.suitability(now), None);
        state.examined(Err("a test"));
        assert_eq!(state.suitability(now), Some(Err("a test")));
        assert!(!state.is_coalescible(now) && !state.pauses(now));
        let later = Instant::now() + EXAMINED_FOR;
        assert_eq!(state.suitability(later), None);
        assert!(state.is_coalescible(later));
    }
}
