//! Patterns of texts.

use regex::{Regex, RegexBuilder};

/// The longest a compiled pattern may be, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// Reads a pattern.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(MAX_PATTERN).build().map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or("").trim_start_matches("error: ");
        format!("the pattern cannot be read: {reason}")
    })
}
