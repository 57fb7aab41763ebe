//! What a run needs from the floors above it, as traits: somebody who asks databases and somebody who evaluates rules.

use std::future::Future;
use std::sync::Arc;

use super::error::RulesError;
use super::options::RunOptions;
use super::query::{QueryAnswer, QueryError};
use crate::graph::QueryNode;
use crate::grl::{Evaluation, Lookup, Ruleset};
use crate::types::{Deadline, Value};

/// Answers what the nodes of one flow ask.
pub trait Ports {
    /// Asks the database of `node` with these parameters, within the node's own time limit and the run's deadline.
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
