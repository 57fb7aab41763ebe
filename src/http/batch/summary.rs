//! How the decisions of a batch ended, counted.

use std::collections::BTreeMap;

use serde::Serialize;

use super::lines::Line;

/// How the decisions of a batch ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The inputs.
    pub inputs: usize,
    /// By status: the decisions.
    pub outcomes: BTreeMap<String, usize>,
    /// By code: the inputs without a decision.
    pub errors: BTreeMap<String, usize>,
    /// Decisions that rest on a default in place of an answer of a database.
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
