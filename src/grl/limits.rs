//! Limits of rule files and evaluations. Exceeding one is an error that names it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::Milliseconds;

/// The deepest nesting, whatever [`Limits::max_nesting`] is. A thread's stack holds several times as much.
pub(super) const DEEPEST: usize = 250;
/// The longest text that a function may make, in bytes. A rule that doubles a text repeatedly would otherwise fill the memory.
pub(super) const LONGEST_TEXT: usize = 1 << 20;
/// The most elements of a list that a function may make from shorter ones, for the same reason.
pub(super) const LONGEST_LIST: usize = 100_000;

/// What rules may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The size of a rule file in bytes.
    #[serde(rename = "file_bytes")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_file_bytes: usize,
    /// Levels of parentheses, negations and calls within each other.
    #[serde(rename = "nesting")]
    #[schemars(range(min = 1, max = 200))]
    pub max_nesting: usize,
    /// Operands and operators of one expression.
    #[serde(rename = "terms")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_terms: usize,
    /// Rules in one ruleset.
    #[serde(rename = "rules")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_rules: usize,
    /// Passes over the rules in one evaluation.
    #[serde(rename = "cycles")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_cycles: usize,
    /// The time of one evaluation.
    #[serde(rename = "evaluation_ms", with = "Milliseconds")]
    pub max_evaluation: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file_bytes: 4 * 1024 * 1024,
            max_nesting: 200,
            max_terms: 100_000,
            max_rules: 20_000,
            max_cycles: 100,
            max_evaluation: Duration::from_secs(1),
        }
    }
}
