//! The counters of one flow in one release, resolved once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::families::{Families, Family, Labels};
use crate::flow::{Decision, EffectError, FlowError, QueryAnswer, QueryError, QueryErrorKind};
use crate::graph::{Flow, QueryNode, Work};
use crate::grl::Ruleset;

/// The codes that a decision may end in beside its outcomes, as [`FlowError::code`] gives them.
const ERRORS: [&str; 17] = [
    "not_found",
    "too_many_rows",
    "bad_parameter",
    "rule_error",
    "overloaded",
    "internal_error",
    "undecided",
    "timeout",
    "invalid_override",
    "domain_unavailable",
    "domain_overloaded",
    "connection_lost",
    "query_aborted",
    "query_failed",
    "unmappable_column",
    "request_failed",
    "bad_answer",
];

/// What may become of a request with a key, and of an approval.
const EFFECTS: [&str; 10] =
    ["placed", "pending", "stored", "replayed", "conflicted", "unknown", "failed", "approved", "rejected", "dropped"];

/// The counters of one flow.
pub struct FlowMetrics {
    /// By status.
    outcomes: Vec<(String, IntCounter)>,
    /// By code.
    errors: Vec<(&'static str, IntCounter)>,
    /// By result; empty for a flow without effects.
    effects: Vec<(&'static str, IntCounter)>,
    degraded: IntCounter,
    seconds: Histogram,
    /// By the identity of the query.
    queries: HashMap<usize, QueryMetrics>,
    /// By the address of the ruleset.
    rules: HashMap<usize, RulesMetrics>,
}

/// The counters of one query node.
pub struct QueryMetrics {
    node: Histogram,
    query: Histogram,
    wait: Histogram,
    errors: [(&'static str, IntCounter); QueryErrorKind::CODES.len()],
}

/// The counters of one rule node.
pub struct RulesMetrics {
    node: Histogram,
    fired: Vec<IntCounter>,
}

impl FlowMetrics {
    pub(super) fn of(flow: &Flow, families: &Families, used: &mut BTreeSet<Labels>) -> Self {
        let name = flow.name.as_str();
        let mut labels = |family: Family, values: &[&str]| {
            used.insert((family, values.iter().map(|value| (*value).to_owned()).collect()));
        };
        let mut decisions = |outcome: &str, code: &str| {
            labels(Family::Decisions, &[name, outcome, code]);
            families.decisions.with_label_values(&[name, outcome, code])
        };
        let mut outcomes: Vec<(String, IntCounter)> = Vec::new();
        for outcome in &flow.outcomes {
            if !outcomes.iter().any(|(status, _)| *status == outcome.status) {
                outcomes.push((outcome.status.clone(), decisions(&outcome.status, "")));
            }
        }
        let writes = !flow.effects.is_empty();
        let of_effects = EffectError::CODES.iter().filter(|_| writes);
        let errors = ERRORS.iter().chain(of_effects).map(|code| (*code, decisions("error", code))).collect();
        let effects = EFFECTS.iter().filter(|_| writes).map(|result| {
            labels(Family::Effects, &[name, result]);
            (*result, families.effects.with_label_values(&[name, result]))
        });
        let effects = effects.collect();
        let (mut queries, mut rules) = (HashMap::new(), HashMap::new());
        for node in &flow.nodes {
            let id = node.id.as_str();
            labels(Family::NodeSeconds, &[name, id]);
            let seconds = families.node_seconds.with_label_values(&[name, id]);
            match &node.work {
                Work::Query(query) => {
                    queries.insert(
                        Arc::as_ptr(&query.query).addr(),
                        QueryMetrics::of(query, seconds, families, &mut labels),
                    );
                }
                Work::Rules(work) => {
                    // The rows of a table are counted together: it may have thousands.
                    let is_table = work.ruleset.is_table();
                    let series = |rule: &str| families.fired.with_label_values(&[name, id, rule]);
                    let fired = work.ruleset.rules().map(|rule| series(if is_table { "row" } else { rule.name }));
                    let fired: Vec<IntCounter> = fired.collect();
                    let counted = work.ruleset.rules().take(if is_table { 1 } else { usize::MAX });
                    counted.for_each(|rule| {
                        labels(Family::Fired, &[name, id, if is_table { "row" } else { rule.name }]);
                    });
                    rules.insert(Arc::as_ptr(&work.ruleset).addr(), RulesMetrics { node: seconds, fired });
                }
            }
        }
        labels(Family::Degraded, &[name]);
        labels(Family::DecisionSeconds, &[name]);
        Self {
            outcomes,
            errors,
            effects,
            degraded: families.degraded.with_label_values(&[name]),
            seconds: families.decision_seconds.with_label_values(&[name]),
            queries,
            rules,
        }
    }

    /// A decision was made, or none was, after so long.
    pub fn decided(&self, result: &Result<Decision, FlowError>, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        match result {
            Ok(decision) => {
                if let Some((_, counter)) = self.outcomes.iter().find(|(status, _)| *status == decision.status) {
                    counter.inc();
                }
                if !decision.degraded.is_empty() {
                    self.degraded.inc();
                }
            }
            Err(error) => {
                if let Some((_, counter)) = self.errors.iter().find(|(code, _)| *code == error.code()) {
                    counter.inc();
                }
            }
        }
    }

    /// A request with a key, or an approval, ended so. `result` is one of those that the counter documents.
    pub fn effect(&self, result: &str) {
        if let Some((_, counter)) = self.effects.iter().find(|(known, _)| *known == result) {
            counter.inc();
        }
    }

    /// The counters of a query node.
    pub fn of_query(&self, query: &QueryNode) -> Option<&QueryMetrics> {
        self.queries.get(&Arc::as_ptr(&query.query).addr())
    }

    /// The counters of the node whose rules these are.
    pub fn of_rules(&self, ruleset: &Arc<Ruleset>) -> Option<&RulesMetrics> {
        self.rules.get(&Arc::as_ptr(ruleset).addr())
    }
}

impl QueryMetrics {
    fn of(query: &QueryNode, node: Histogram, families: &Families, labels: &mut impl FnMut(Family, &[&str])) -> Self {
        let domain = query.domain.as_str();
        labels(Family::QuerySeconds, &[domain]);
        labels(Family::WaitSeconds, &[domain]);
        let errors = QueryErrorKind::CODES.map(|code| {
            labels(Family::QueryErrors, &[domain, code]);
            (code, families.query_errors.with_label_values(&[domain, code]))
        });
        let (query, wait) =
            (families.query_seconds.with_label_values(&[domain]), families.wait_seconds.with_label_values(&[domain]));
        Self { node, query, wait, errors }
    }

    /// The node has ended, after so long.
    pub fn ended(&self, result: &Result<QueryAnswer, QueryError>, took: Duration) {
        self.node.observe(took.as_secs_f64());
        match result {
            Ok(answer) => {
                self.query.observe(answer.took.as_secs_f64());
                self.wait.observe(answer.waited.as_secs_f64());
            }
            Err(error) => {
                // Of a query that failed the two times are not known apart: it waited, or it was in flight.
                match &error.kind {
                    QueryErrorKind::Overloaded { .. } => self.wait.observe(took.as_secs_f64()),
                    QueryErrorKind::Timeout { .. }
                    | QueryErrorKind::ConnectionLost { sent: true, .. }
                    | QueryErrorKind::Aborted { .. }
                    | QueryErrorKind::Sql { .. }
                    | QueryErrorKind::Request { .. }
                    | QueryErrorKind::Answer { .. }
                    | QueryErrorKind::Column { .. } => self.query.observe(took.as_secs_f64()),
                    // Nothing was sent.
                    QueryErrorKind::Unavailable { .. }
                    | QueryErrorKind::ConnectionLost { .. }
                    | QueryErrorKind::Parameter { .. }
                    | QueryErrorKind::ParameterCount { .. } => {}
                }
                let code = error.kind.code();
                if let Some((_, counter)) = self.errors.iter().find(|(known, _)| *known == code) {
                    counter.inc();
                }
            }
        }
    }
}

impl RulesMetrics {
    /// The node has ended, after so long; these rules fired, by their position.
    pub fn ended(&self, fired: &[usize], took: Duration) {
        self.node.observe(took.as_secs_f64());
        for counter in fired.iter().filter_map(|rule| self.fired.get(*rule)) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_a_query_can_be_the_code_of_a_decision() {
        for code in QueryErrorKind::CODES {
            assert!(ERRORS.contains(&code), "{code}");
        }
    }
}
