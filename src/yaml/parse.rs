//! Parses a text into a tree, or reports the errors.

use std::sync::Arc;

use saphyr_parser::{Parser, ScanError};

use super::builder::{Builder, Offsets};
use super::limits::Limits;
use super::marked::Marked;
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Source};

/// Reads the one document of `source`. An empty file is a null.
///
/// # Errors
/// Every error in it: `yaml-syntax` (only the first, because the parser cannot continue), `duplicate-key`,
/// `key-not-text`, `several-documents`, `unknown-tag`, `not-finite`, `bad-merge`, `recursive-alias`,
/// `control-character`, and the limits `file-too-large`, `too-many-nodes`, `too-deep`.
pub fn parse(source: &Arc<Source>, limits: Limits) -> Result<Marked, Diagnostics> {
    if source.text().len() > limits.bytes {
        let message = format!("the file has {} bytes; at most {} are read", source.text().len(), limits.bytes);
        return Err(Diagnostic::error("file-too-large", Place::File(source.name().to_owned()), message).into());
    }
    if let Some(diagnostic) = control_character(source) {
        return Err(diagnostic.into());
    }
    let offsets = Offsets::new(source);
    let mut builder = Builder::new(source, &offsets, limits);
    for event in Parser::new_from_str(source.text()) {
        match event {
            Ok((event, span)) => {
                if builder.event(event, span).is_break() {
                    break;
                }
            }
            Err(error) => {
                builder.report(syntax_error(&error, &offsets));
                break;
            }
        }
    }
    builder.finish()
}

/// YAML allows no control characters but tab and line breaks.
fn control_character(source: &Arc<Source>) -> Option<Diagnostic> {
    let forbidden = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let (at, found) = source.text().char_indices().find(|(_, c)| forbidden(*c))?;
    let message = format!("the file has the control character U+{:04X}, which YAML does not allow", u32::from(found));
    let span = source.span(at..at + found.len_utf8());
    Some(Diagnostic::error("control-character", span, message).help("in double quotes it can be written as an escape"))
}

fn syntax_error(error: &ScanError, offsets: &Offsets<'_>) -> Diagnostic {
    let at = offsets.byte(error.marker().index());
    let text = offsets.source.text();
    let width = text.get(at..).and_then(|rest| rest.chars().next()).filter(|c| *c != '\n').map_or(0, char::len_utf8);
    // An error at the end of the file points at the last character.
    let (start, end) = if at >= text.len() {
        let last = text.trim_end();
        (last.char_indices().next_back().map_or(0, |(at, _)| at), last.len())
    } else {
        (at, at + width)
    };
    let info = error.info();
    if info.contains("recursion limit") {
        return Diagnostic::error(
            "too-deep",
            offsets.source.span(start..end),
            "lists and mappings are nested too deep",
        );
    }
    Diagnostic::error("yaml-syntax", offsets.source.span(start..end), format!("this is not YAML: {info}"))
        .maybe_help(remedy(info).map(str::to_owned))
}

/// The remedy of the most common mistakes.
fn remedy(info: &str) -> Option<&'static str> {
    let remedies = [
        ("mapping values are not allowed", "write a text with `: ` in quotes"),
        ("tabs disallowed", "indent with spaces"),
        (
            "unknown anchor",
            "an alias `*name` needs an anchor `&name` before it; a text that starts with `*` needs quotes",
        ),
        ("unexpected end of stream", "a quote is not closed"),
        ("unknown escape", "in double quotes `\\` starts an escape: write `\\\\`, or use single quotes"),
        ("unexpected character", "write a text that starts with this character in quotes"),
        (
            "expected <document start>",
            "this line is indented less than the first; all keys of a mapping start in one column",
        ),
        ("expected ',' or ']'", "a `[` is not closed, or a comma is missing"),
        ("expected ',' or '}'", "a `{` is not closed, or a comma is missing"),
        ("block mapping", "keys of one mapping start in the same column"),
        ("could not find expected ':'", "a key is followed by `: ` and its value"),
    ];
    remedies.into_iter().find(|(part, _)| info.contains(part)).map(|(_, remedy)| remedy)
}
