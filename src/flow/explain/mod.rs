//! Explanations of runs, for people and for programs.
//!
//! An [`Explanation`] is made from a finished run's [`Trace`]: what each node asked, answered and took (`nodes`), which
//! rules fired with what they changed and what kept the others from firing (`rules`), what the effect of the outcome is given
//! (`effect`), where each field of the body comes from (`lineage`). `text` writes it in lines. Columns that the graph names in `redact:`, and facts that rules computed from them, show as
//! `(redacted)` (`redact`). It looks at nothing but the trace and the plan, and decides nothing.

mod effect;
mod lineage;
mod nodes;
mod redact;
mod rules;
mod text;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::trace::{Trace, micros};
use crate::graph::{Flow, Outcome};
use crate::grl::Expression;
use crate::types::{FlowName, NodeId};

pub use self::effect::EffectExplanation;
pub use self::lineage::Lineage;
pub use self::nodes::NodeExplanation;
pub use self::redact::{REDACTED, Redaction};
pub use self::rules::{FactChange, Fired, NotFired};
pub use self::text::text;

/// Why a run ended as it did. Times are in microseconds since the run began.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Explanation {
    /// The flow.
    pub flow: FlowName,
    /// The hashes of what decided.
    pub versions: Versions,
    /// The clock of the decision.
    pub clock: ClockShown,
    /// How long the run took.
    pub took_us: u64,
    /// The outcomes that were tried, in order. Only the last may hold.
    pub outcomes: Vec<Tried>,
    /// The nodes, each after those that it depends on.
    #[schemars(with = "Vec<Map<String, Json>>")]
    pub nodes: Vec<NodeExplanation>,
    /// The effect of the chosen outcome: what it wrote, or would write.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Map<String, Json>")]
    pub effect: Option<EffectExplanation>,
    /// By field of the body: where its value comes from.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Map<String, Json>")]
    pub lineage: Vec<(String, Lineage)>,
}

/// The first 16 hexadecimal digits of the SHA-256 of the files that decided.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Versions {
    /// Of the graph file.
    pub graph: String,
    /// Of the rule files.
    pub rules: String,
}

/// The clock that the evaluation used.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ClockShown {
    /// The time that `now()` gave.
    #[schemars(extend("format" = "date-time"))]
    pub now: String,
    /// The day that `today()` gave.
    #[schemars(extend("format" = "date"))]
    pub today: String,
    /// The time zone of that day.
    pub time_zone: String,
}

/// An outcome that was tried.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Tried {
    /// Its status.
    pub status: String,
    /// Its place in the graph: file, line and column.
    pub place: String,
    /// Its condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Whether it holds.
    pub holds: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

impl Explanation {
    /// Explains a run of `flow`.
    pub fn of(flow: &Flow, trace: &Trace) -> Self {
        let redaction = Redaction::of(flow);
        let chosen = trace.chosen.and_then(|chosen| flow.outcomes.get(chosen));
        let tried = flow.outcomes.iter().zip(&trace.outcomes).enumerate().map(|(number, (outcome, because))| Tried {
            status: outcome.status.clone(),
            place: outcome.span.to_string(),
            when: outcome.when.as_ref().map(one_line),
            holds: trace.chosen == Some(number),
            because: because.as_ref().map(|reason| redaction.sentences(None, reason)).unwrap_or_default(),
        });
        let clock = &trace.clock;
        let zone = clock.time_zone().iana_name().map_or_else(|| "UTC".to_owned(), str::to_owned);
        Self {
            flow: flow.name.clone(),
            versions: Versions { graph: flow.graph_hash.clone(), rules: flow.rules_hash.clone() },
            clock: ClockShown { now: clock.now().to_string(), today: clock.today().to_string(), time_zone: zone },
            took_us: micros(trace.took),
            outcomes: tried.collect(),
            nodes: nodes::explain(flow, trace, &redaction),
            effect: effect::explain(flow, trace, &redaction),
            lineage: chosen.map(|outcome: &Outcome| lineage::of(flow, trace, outcome)).unwrap_or_default(),
        }
    }

    /// The explanation of one node.
    pub fn node(&self, id: &NodeId) -> Option<&NodeExplanation> {
        self.nodes.iter().find(|node| node.node == *id)
    }
}

fn one_line(expression: &Expression) -> String {
    expression.text().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn as_map<T: Serialize, S: serde::Serializer>(pairs: &[(String, T)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}
