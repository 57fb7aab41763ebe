//! What an examination of a domain found.

use serde::Serialize;

/// The verdict of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but should be improved.
    Warning,
    /// It does not work.
    Failure,
}

/// The finding of a step.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The step.
    pub step: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// What was found.
    pub saw: String,
    /// The remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}
