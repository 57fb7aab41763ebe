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

use std::sync::{Arc, Mutex, PoisonError};

pub(super) use batch::Together;
use template::Template;
use wrapped::Wrapped;

use super::query::Query;
use super::statements::Plan;
use crate::config::Coalescing;

/// What is known of joining a query to its like.
#[derive(Debug)]
pub(super) struct Joining(Mutex<Known>);

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
        Self(Mutex::new(template.map_or(Known::Never, |template| Known::Untried(Arc::new(template)))))
    }

    /// Whether it may be joined, as far as is known.
    pub(super) fn is_possible(&self) -> bool {
        !matches!(*self.0.lock().unwrap_or_else(PoisonError::into_inner), Known::Never)
    }

    fn known(&self) -> Known {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, known: Known) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = known;
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
