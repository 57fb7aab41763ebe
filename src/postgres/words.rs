//! Pieces of SQL that are put together here, and not by a graph. Nothing that a client sent is ever among them.

/// A name as SQL writes it, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A query's text without the semicolon that may end it, to stand within another statement.
pub(super) fn open_ended(text: &str) -> &str {
    text.trim_end().trim_end_matches(';')
}

/// So many nulls as the arguments of EXECUTE.
pub(super) fn nulls(count: usize) -> String {
    if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) }
}
