//! How the decisions of a batch ended, counted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::line::{Line, LineResult};

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
        let (counts, word, is_degraded) = match &line.result {
            LineResult::Answer(answer) => {
                (&mut self.outcomes, answer.decision.status.as_str(), !answer.decision.degraded.is_empty())
            }
            LineResult::Problem(problem) => (&mut self.errors, problem.code(), false),
            LineResult::Stored(stored) if stored.is_decision => {
                (&mut self.outcomes, stored.word("status"), stored.body.contains_key("degraded"))
            }
            LineResult::Stored(stored) => (&mut self.errors, stored.word("code"), false),
        };
        *counts.entry(word.to_owned()).or_default() += 1;
        self.degraded += usize::from(is_degraded);
    }

    /// The inputs without a decision.
    pub fn failed(&self) -> usize {
        self.errors.values().sum()
    }
}
