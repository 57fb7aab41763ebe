//! What a run needs from the floors above: queries of databases, and evaluations of rules.

use std::future::Future;
use std::sync::Arc;

use super::error::RulesError;
use super::options::RunOptions;
use super::query::{QueryAnswer, QueryError};
use crate::graph::QueryNode;
use crate::grl::{Evaluation, Lookup, Ruleset};
use crate::types::{Deadline, Value};

/// Runs the queries and the rules of one flow.
pub trait Ports {
    /// Runs the query of `node` with these parameters, within the node's own timeout and the run's deadline.
    ///
    /// # Errors
    /// Why there are no rows: [`QueryError`], always by the deadline.
    fn query(
        &self,
        node: &QueryNode,
        params: Vec<Value>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<QueryAnswer, QueryError>>;

    /// Evaluates a ruleset over the facts it reads, in the order of [`Ruleset::reads`], at the run's clock and within its
    /// deadline; with [`super::Detail::Reasons`] the evaluation says why.
    ///
    /// # Errors
    /// Why there is no evaluation: [`RulesError`], always by the deadline.
    fn evaluate(
        &self,
        ruleset: &Arc<Ruleset>,
        reads: Vec<Lookup>,
        run: &RunOptions,
    ) -> impl Future<Output = Result<Evaluation, RulesError>>;
}
