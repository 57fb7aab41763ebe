//! What a rule file may cost. Crossing a limit is an error that names it, never a hang or a stack overflow.

use std::time::Duration;

/// The deepest nesting there can be, whatever [`Limits::max_nesting`] says: a thread's stack holds it several times.
pub(super) const DEEPEST: usize = 250;
/// The longest text a function may make, in bytes: a rule that doubles a text each time would fill the memory.
pub(super) const LONGEST_TEXT: usize = 1 << 20;

/// The limits of rule files, expressions and evaluations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest rule file, in bytes. Default 4 MiB.
    pub max_file_bytes: usize,
    /// How deep parentheses, negations and calls may be nested: 200 by default, never more than 250.
    pub max_nesting: usize,
    /// The most operands and operators of one expression. Default 100,000.
    pub max_terms: usize,
    /// The most rules of one ruleset. Default 20,000.
    pub max_rules: usize,
    /// The most passes over the rules in one evaluation. Default 100.
    pub max_cycles: usize,
    /// The longest an evaluation may take. Default 1 s.
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
