//! What one thread knows about a query: its last plan, and whether it can be coalesced.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Statement;

use super::template::Template;
use super::wrapped::Wrapped;
use crate::config;
use crate::graph::Query;
use crate::postgres::statements::Plan;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the result of a check of functions and types holds.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The shortest time between two warnings about one query.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// What one thread knows about a query: its last plan, and whether it can be coalesced.
#[derive(Debug)]
pub struct QueryState {
    query: Arc<Query>,
    /// The text with the places of its parameters. `None` where the query is never coalesced.
    template: Option<Template>,
    coalescing: RefCell<Coalescing>,
    plan: RefCell<Option<Arc<Plan>>>,
    wrapped: RefCell<Option<Arc<Wrapped>>>,
}

#[derive(Debug)]
struct Coalescing {
    /// Whether functions and types allow coalescing.
    suitability: Result<(), &'static str>,
    /// When that was checked.
    checked: Option<Instant>,
    /// Consecutive rejections of the wrapped query.
    failures: u32,
    /// Until then the query is not coalesced.
    paused_until: Option<Instant>,
    warned: Option<Instant>,
}

impl QueryState {
    /// The state of a query that has not been prepared.
    pub fn new(query: Arc<Query>) -> Self {
        let coalescing =
            Coalescing { suitability: Ok(()), checked: None, failures: 0, paused_until: None, warned: None };
        let (plan, wrapped) = (RefCell::default(), RefCell::default());
        let may_coalesce = query.coalescing() == config::Coalescing::Auto;
        let template = may_coalesce.then(|| Template::of(query.text())).flatten();
        Self { query, template, coalescing: RefCell::new(coalescing), plan, wrapped }
    }

    /// The query.
    pub fn query(&self) -> &Arc<Query> {
        &self.query
    }

    /// Identifies the query for as long as its state is kept.
    pub fn key(&self) -> usize {
        Arc::as_ptr(&self.query).addr()
    }

    /// Whether it may be coalesced at `now`. An unchecked query may.
    pub fn is_coalescible(&self, now: Instant) -> bool {
        let is_unsuited = || matches!(self.suitability(now), Some(Err(_)));
        self.template.is_some() && !self.is_paused(now) && !is_unsuited()
    }

    /// Whether it is not coalesced at `now` because its wrapped form was rejected.
    pub fn is_paused(&self, now: Instant) -> bool {
        self.coalescing.borrow().paused_until.is_some_and(|until| now < until)
    }

    /// The wrapped query was answered.
    pub fn succeeded(&self) {
        let mut state = self.coalescing.borrow_mut();
        (state.failures, state.paused_until) = (0, None);
    }

    /// The wrapped query was rejected, and its queries have to be run twice. Each consecutive rejection doubles the pause.
    pub fn failed(&self, why: &str) {
        let mut state = self.coalescing.borrow_mut();
        state.failures = state.failures.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(state.failures)).min(LONGEST_PAUSE);
        let now = Instant::now();
        state.paused_until = Some(now + pause);
        if state.warned.is_none_or(|warned| now.duration_since(warned) >= WARNING_PAUSE) {
            state.warned = Some(now);
            tracing::warn!(node = %self.query.node(), why, failures = state.failures, "postgres.coalesce.refused");
        }
    }

    /// The possible names of functions that it calls.
    pub(super) fn calls(&self) -> &[String] {
        self.template.as_ref().map(|template| template.calls.as_slice()).unwrap_or_default()
    }

    /// Whether functions and types allow coalescing. `None` where that has to be checked.
    pub(super) fn suitability(&self, now: Instant) -> Option<Result<(), &'static str>> {
        let state = self.coalescing.borrow();
        state.checked.filter(|at| now.saturating_duration_since(*at) < CHECK_INTERVAL).map(|_| state.suitability)
    }

    /// Stores the result of a check of functions and types.
    pub(super) fn set_suitability(&self, found: Result<(), &'static str>) {
        let mut state = self.coalescing.borrow_mut();
        if let Err(why) = found
            && state.suitability != found
        {
            tracing::info!(node = %self.query.node(), why, "postgres.coalesce.unsuited");
        }
        (state.suitability, state.checked) = (found, Some(Instant::now()));
    }

    /// The last plan of the query.
    pub(in crate::postgres) fn plan(&self) -> Option<Arc<Plan>> {
        self.plan.borrow().clone()
    }

    /// Stores and returns the plan of `statement`, which was prepared for the query.
    pub(in crate::postgres) fn prepared(&self, statement: &Statement) -> Arc<Plan> {
        let mut known = self.plan.borrow_mut();
        let plan = Plan::of(statement, known.as_ref());
        Arc::clone(known.insert(plan))
    }

    /// Drops the last plan of the query.
    pub(in crate::postgres) fn forget_plan(&self) {
        self.plan.take();
    }

    /// The wrapped query for `plan`.
    pub(super) fn wrapped(&self, plan: &Arc<Plan>) -> Option<Arc<Wrapped>> {
        let mut known = self.wrapped.borrow_mut();
        if let Some(wrapped) = known.as_ref().filter(|wrapped| Arc::ptr_eq(&wrapped.plan, plan)) {
            return Some(Arc::clone(wrapped));
        }
        let Some(wrapped) = Wrapped::of(self.template.as_ref()?, plan).map(Arc::new) else {
            self.set_suitability(Err("a parameter has a type that cannot be the element of a list"));
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
    fn a_rejected_query_is_not_coalesced_until_the_pause_ends_or_it_succeeds() {
        let auto = config::Coalescing::Auto;
        let state = state("SELECT a FROM t WHERE b = $1", auto);
        let now = Instant::now();
        assert!(state.is_coalescible(now));
        (0..40).for_each(|_| state.failed("a test"));
        assert!(!state.is_coalescible(now) && state.is_paused(now));
        assert!(state.is_coalescible(Instant::now() + LONGEST_PAUSE));
        state.succeeded();
        assert!(state.is_coalescible(now) && !state.is_paused(now));
        assert!(!self::state("SELECT a FROM t WHERE b = $1", config::Coalescing::Off).is_coalescible(now));
    }

    #[test]
    fn an_unsuitable_query_is_checked_again_after_the_interval() {
        let state = state("SELECT a(b) FROM t WHERE b = $1", config::Coalescing::Auto);
        let now = Instant::now();
        assert_eq!(state.suitability(now), None);
        state.set_suitability(Err("a test"));
        assert_eq!(state.suitability(now), Some(Err("a test")));
        assert!(!state.is_coalescible(now) && !state.is_paused(now));
        let later = Instant::now() + CHECK_INTERVAL;
        assert_eq!(state.suitability(later), None);
        assert!(state.is_coalescible(later));
    }
}
