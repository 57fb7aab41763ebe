//! Why a flow gave no decision.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::effect::EffectError;
use super::missing::{Missing, Waiting};
use crate::flow::{QueryError, QueryErrorKind};
use crate::grl::{EvalError, RuleError};
use crate::types::{DomainName, FieldName, NodeId};

/// Why a flow gave no decision. None of these is ever reported as a decision.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// A node that needs a row found none.
    #[error("node `{node}` found no row in domain `{domain}`")]
    NotFound {
        /// The node.
        node: NodeId,
        /// The domain it asked.
        domain: DomainName,
    },
    /// A node found more rows than it takes.
    #[error("node `{node}` {} in domain `{domain}`{}", surplus(*max), remedy(*max))]
    TooManyRows {
        /// The node.
        node: NodeId,
        /// The domain it asked.
        domain: DomainName,
        /// How many rows were read: no more than one beyond what it takes.
        found: usize,
        /// Its `max_rows`, where it takes many.
        max: Option<usize>,
    },
    /// A node's database gave no answer.
    #[error("node `{node}`: {source}")]
    Query {
        /// The node.
        node: NodeId,
        /// Why.
        source: QueryError,
    },
    /// A query's parameter names a column its owner does not have.
    #[error("node `{node}`: parameter `{fact}` is a column that its node did not select")]
    MissingParameter {
        /// The node.
        node: NodeId,
        /// The parameter as the graph writes it.
        fact: String,
    },
    /// A query's parameter names a key that a JSON document does not have.
    #[error("node `{node}`: parameter `{fact}`: the JSON of `{of}` has no key `{key}`")]
    MissingKey {
        /// The node.
        node: NodeId,
        /// The parameter as the graph writes it.
        fact: String,
        /// The document or the part of it, as the graph names it.
        of: FieldName,
        /// The key.
        key: FieldName,
    },
    /// A rule node could not be evaluated.
    #[error("node `{node}`: {source}")]
    Rules {
        /// The node.
        node: NodeId,
        /// Why.
        source: RulesError,
    },
    /// An expression of the graph could not be evaluated.
    #[error("{place}: {source}")]
    Expression {
        /// Its place: `edge a -> b`, `outcome success`.
        place: String,
        /// Why.
        source: EvalError,
    },
    /// No outcome has its evidence.
    #[error("{0}")]
    Undecided(Box<Undecided>),
    /// The request's deadline passed.
    #[error("no decision within {} ms; still waiting for {}", after.as_millis(), waiting_for(nodes))]
    Deadline {
        /// The nodes that had not ended, with the domain each asks.
        nodes: Vec<(NodeId, Option<DomainName>)>,
        /// How long the request was given.
        after: Duration,
    },
    /// The limit of concurrent decisions is reached.
    #[error("the service is deciding as many requests as it can")]
    Overloaded {
        /// When a retry may succeed.
        retry_after: Duration,
    },
    /// A fact cannot be replaced or searched as requested.
    #[error("`{fact}`: {why}")]
    Override {
        /// The fact.
        fact: String,
        /// Why not.
        why: String,
    },
    /// The effect of the decision was not written, or the key of the request not claimed.
    #[error("domain `{domain}`: {source}")]
    Effect {
        /// The domain that is written to.
        domain: DomainName,
        /// Why.
        source: EffectError,
    },
    /// The run failed through a fault of the program, which is logged.
    #[error("the decision broke off")]
    Broken,
}

/// Why a ruleset was not evaluated.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A rule could not be evaluated.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The queue of evaluations is full.
    #[error("all rule engines are busy")]
    Overloaded {
        /// When a retry may succeed.
        retry_after: Duration,
    },
    /// The engine panicked and has been replaced.
    #[error("the rule engine broke under this evaluation and was replaced")]
    Broken,
}

fn surplus(max: Option<usize>) -> String {
    match max {
        None => "expects one row and found more".to_owned(),
        Some(max) => format!("found more rows than its `max_rows` of {max}"),
    }
}

fn remedy(max: Option<usize>) -> &'static str {
    if max.is_some() { ": raise `max_rows`, or have the query select fewer rows" } else { "" }
}

/// Why no outcome was decided. Names only, never values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Undecided {
    /// The outcome that cannot be decided; `None` where no outcome holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The facts without a value that it depends on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
    /// The missing facts at the root, with the rules that would have set them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// The rules that wait for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = self.missing.iter().map(|missing| {
            let of_rules = match missing.set_by.as_slice() {
                [] => String::new(),
                [rule] => format!(", which rule `{rule}` would have set"),
                rules => format!(", which one of the rules {} would have set", quoted(rules)),
            };
            let because = match missing.because.as_slice() {
                [why] => format!(" ({})", why.split_once(" did not fire: ").map_or(why.as_str(), |(_, why)| why)),
                _ => String::new(),
            };
            format!("`{}`{of_rules}{because}", missing.fact)
        });
        let missing = listed(&missing.collect::<Vec<String>>());
        match &self.outcome {
            Some(outcome) => write!(f, "the outcome `{outcome}` is undecided; missing: {missing}")?,
            None if self.missing.is_empty() => f.write_str("no outcome could be decided")?,
            None => write!(f, "no outcome could be decided; without a value: {missing}")?,
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting: Vec<String> =
            self.waiting.iter().map(|rule| format!("`{}` of `{}`", rule.rule, rule.node)).collect();
        write!(f, "; waiting rules: {}", listed(&waiting))
    }
}

/// The first five of `items`, and the number of the rest.
fn listed(items: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = items.iter().take(SHOWN).map(String::as_str).collect();
    let more = items.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    listed(&names)
}

fn waiting_for(nodes: &[(NodeId, Option<DomainName>)]) -> String {
    let nodes: Vec<&str> = nodes.iter().map(|(node, _)| node.as_str()).collect();
    nodes.join(", ")
}

impl FlowError {
    /// The node it happened at.
    pub fn node(&self) -> Option<&NodeId> {
        match self {
            Self::NotFound { node, .. }
            | Self::TooManyRows { node, .. }
            | Self::Query { node, .. }
            | Self::MissingParameter { node, .. }
            | Self::MissingKey { node, .. }
            | Self::Rules { node, .. } => Some(node),
            Self::Deadline { nodes, .. } => nodes.first().map(|(node, _)| node),
            Self::Expression { .. }
            | Self::Undecided(_)
            | Self::Overloaded { .. }
            | Self::Override { .. }
            | Self::Effect { .. }
            | Self::Broken => None,
        }
    }

    /// Its stable code, as programs read it in problems, records and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::TooManyRows { .. } => "too_many_rows",
            Self::MissingParameter { .. } | Self::MissingKey { .. } => "bad_parameter",
            Self::Rules { source: RulesError::Rule(_), .. } | Self::Expression { .. } => "rule_error",
            Self::Rules { source: RulesError::Overloaded { .. }, .. } | Self::Overloaded { .. } => "overloaded",
            Self::Rules { source: RulesError::Broken, .. } | Self::Broken => "internal_error",
            Self::Undecided(_) => "undecided",
            Self::Deadline { .. } => "timeout",
            Self::Override { .. } => "invalid_override",
            Self::Query { source, .. } => source.kind.code(),
            Self::Effect { source, .. } => source.code(),
        }
    }

    /// The domain it happened at.
    pub fn domain(&self) -> Option<&DomainName> {
        match self {
            Self::NotFound { domain, .. } | Self::TooManyRows { domain, .. } | Self::Effect { domain, .. } => {
                Some(domain)
            }
            Self::Query { source, .. } => Some(&source.domain),
            Self::Deadline { nodes, .. } => nodes.iter().find_map(|(_, domain)| domain.as_ref()),
            _ => None,
        }
    }

    /// PostgreSQL's code for it.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Query { source, .. } => source.kind.sqlstate(),
            Self::Effect { source: EffectError::Query(kind), .. } => kind.sqlstate(),
            _ => None,
        }
    }

    /// PostgreSQL's message, where it can only name tables, columns and roles (class 42 of SQLSTATE): for logs. Messages of other
    /// classes may repeat values.
    pub fn schema_detail(&self) -> Option<&str> {
        match self {
            Self::Query { source: QueryError { kind: QueryErrorKind::Sql { sqlstate, detail }, .. }, .. }
            | Self::Effect { source: EffectError::Query(QueryErrorKind::Sql { sqlstate, detail }), .. }
                if sqlstate.starts_with("42") =>
            {
                Some(detail)
            }
            _ => None,
        }
    }

    /// When a retry may succeed; `None` where it would not, or that is unknown.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after } | Self::Rules { source: RulesError::Overloaded { retry_after }, .. } => {
                Some(*retry_after)
            }
            Self::Query { source, .. } => source.kind.retry_after(),
            Self::Effect { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// Whether the same request may succeed later without a change of graph, rules or data.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Overloaded { .. } | Self::Deadline { .. } => true,
            Self::Rules { source, .. } => !matches!(source, RulesError::Rule(_)),
            Self::Effect { source, .. } => source.is_retryable(),
            Self::Query { source, .. } => {
                source.kind.is_retryable()
                    || matches!(
                        source.kind,
                        QueryErrorKind::Unavailable { .. }
                            | QueryErrorKind::Overloaded { .. }
                            | QueryErrorKind::Timeout { .. }
                            | QueryErrorKind::ConnectionLost { .. }
                    )
            }
            _ => false,
        }
    }
}
