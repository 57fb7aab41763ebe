//! SQL text that this module writes itself. It never contains anything that a client sent.

/// `name` as a quoted identifier.
pub(super) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The text of a query without a final semicolon, for use within another statement.
pub(super) fn without_semicolon(text: &str) -> &str {
    text.trim_end().trim_end_matches(';')
}

/// A list of `count` nulls as the arguments of EXECUTE.
pub(super) fn null_arguments(count: usize) -> String {
    if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) }
}
