//! How the decisions of a batch ended, counted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::lines::Line;

/// How the decisions of a batch ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "BatchCounts")]
pub struct Summary {
    /// How many inputs there were.
    pub inputs: usize,
    /// By status: how many decisions.
    pub outcomes: BTreeMap<String, usize>,
    /// By code: how many inputs have no decision.
    pub errors: BTreeMap<String, usize>,
    /// How many decisions rest on a default in place of an answer of a database.
    pub degraded: usize,
}

impl Summary {
    /// Counts a line.
    pub fn add(&mut self, line: &Line) {
        self.inputs += 1;
        match &line.result {
            Ok(answer) => {
                *self.outcomes.entry(answer.decision.status.clone()).or_default() += 1;
                self.degraded += usize::from(!answer.decision.degraded.is_empty());
            }
            Err(problem) => *self.errors.entry(problem.code().to_owned()).or_default() += 1,
        }
    }

    /// The inputs without a decision.
    pub fn failed(&self) -> usize {
        self.errors.values().sum()
    }
}
