//! Text with names or expressions in braces: `Order {calc.quantity} now`. `{{` and `}}` stand for braces.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostics::{Diagnostic, Snippet};

/// A part of such a text.
pub(super) enum Part {
    /// Text as it is.
    Text(String),
    /// What stands in braces, with its place.
    Inner(Snippet),
}

/// The parts of `text`, in order.
///
/// # Errors
/// A brace that is not closed, or that closes nothing.
pub(super) fn parts(text: &Snippet) -> Result<Vec<Part>, Diagnostic> {
    let unbalanced = |at: usize, message: &str| {
        let help = "write `{expression}`, and `{{` or `}}` for a brace";
        Diagnostic::error("unbalanced-brace", text.span(at..at + 1), message).help(help)
    };
    let mut parts = Vec::new();
    let mut literal = String::new();
    let source = text.text();
    let mut rest = source.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        match character {
            '{' | '}' if rest.next_if(|(_, next)| *next == character).is_some() => literal.push(character),
            '{' => {
                let Some(length) = source.get(at..).and_then(|rest| rest.find('}')) else {
                    return Err(unbalanced(at, "`{` is not closed"));
                };
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Inner(cut(text, at + 1..at + length)));
                while rest.next_if(|(next, _)| *next <= at + length).is_some() {}
            }
            '}' => return Err(unbalanced(at, "`}` closes nothing")),
            other => literal.push(other),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(parts)
}

/// A part of a snippet, with its place.
pub(super) fn cut(text: &Snippet, range: Range<usize>) -> Snippet {
    let part = text.text().get(range.clone()).unwrap_or("");
    let pieces: Vec<(usize, usize)> = part
        .char_indices()
        .map(|(at, _)| (at, text.span(range.start + at..range.start + at + 1).range().start))
        .collect();
    let pieces = if pieces.is_empty() { vec![(0, text.span(range).range().start)] } else { pieces };
    Snippet::new(Arc::clone(text.source()), part, pieces)
}
