//! Reads rule files and expressions into syntax trees, and collects the errors.

use std::collections::HashMap;

use super::ast::{Expr, Path, Rule};
use super::cursor::Cursor;
use super::lexer::tokens;
use super::limits::Limits;
use super::token::{Symbol, TokenKind};
use super::{parse_expression, parse_rule};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Snippet, Span};
use crate::types::Value;

/// A rule and its file.
pub(super) struct ParsedRule<'a> {
    pub(super) rule: Rule,
    pub(super) snippet: &'a Snippet,
}

/// The rules of a file.
pub(super) fn rules(snippet: &Snippet, limits: &Limits, found: &mut Diagnostics) -> Vec<Rule> {
    if snippet.text().len() > limits.max_file_bytes {
        found.push(too_long(snippet, limits));
        return Vec::new();
    }
    let mut here = Diagnostics::new();
    let tokens = tokens(snippet, &mut here);
    let mut unexpected = Diagnostics::new();
    let mut cursor = Cursor::new(snippet, &tokens, limits, &mut unexpected);
    let rules = parse_rule::rules(&mut cursor);
    let skipped: Vec<_> = cursor.skipped.into_iter().map(|range| snippet.span(range).range()).collect();
    // What is not a rule is one error, whatever else is wrong inside it.
    let inside = |at: usize| skipped.iter().any(|skipped| skipped.start < at && at < skipped.end);
    let mut here: Diagnostics = here.into_iter().filter(|error| !offset(error).is_some_and(inside)).collect();
    let mut stray: Vec<usize> = here.iter().filter_map(offset).collect();
    // An unexpected token after a stray character is a consequence of that character.
    here.extend(unexpected.into_iter().filter(|error| {
        let at = offset(error);
        let consequence = at.and_then(|at| stray.iter().position(|stray| *stray < at));
        if let Some(consequence) = consequence {
            stray.remove(consequence);
        }
        consequence.is_none()
    }));
    if rules.is_empty() && !here.has_errors() {
        let help = "a rule is `rule \"Name\" { when ... then ...; }`";
        here.push(Diagnostic::error("no-rules", snippet.span(0..0), "the file holds no rules").help(help));
    }
    found.extend(here);
    rules
}

fn offset(diagnostic: &Diagnostic) -> Option<usize> {
    match &diagnostic.place {
        Place::Span(span) => Some(span.range().start),
        _ => None,
    }
}

/// Refuses more rules than a node may have.
pub(super) fn refuse_too_many(name: &str, rules: &[ParsedRule<'_>], limits: &Limits, found: &mut Diagnostics) {
    let Some(read) = rules.get(limits.max_rules) else { return };
    let message = format!("node `{name}` has {} rules; the limit is {}", rules.len(), limits.max_rules);
    let span = read.snippet.span(read.rule.name_at.clone());
    found.push(Diagnostic::error("too-many-rules", span, message).help("raise `rules.limits.rules`"));
}

/// Rules of one name are refused: explanations could not distinguish them.
pub(super) fn refuse_duplicates(rules: &[ParsedRule<'_>], found: &mut Diagnostics) {
    let mut first: HashMap<&str, Span> = HashMap::new();
    for ParsedRule { rule, snippet } in rules {
        let span = snippet.span(rule.name_at.clone());
        match first.get(rule.name.as_str()) {
            Some(before) => found.push(
                Diagnostic::error("duplicate-rule", span, format!("there are two rules named `{}`", rule.name))
                    .related(before.clone(), "the first")
                    .help("give each rule a name of its own"),
            ),
            None => {
                first.insert(&rule.name, span);
            }
        }
    }
}

/// Reads `text` as one expression.
pub(super) fn expression(text: &Snippet, limits: &Limits, found: &mut Diagnostics) -> Option<Expr> {
    if text.text().len() > limits.max_file_bytes {
        found.push(too_long(text, limits));
        return None;
    }
    let tokens = tokens(text, found);
    if found.has_errors() {
        return None;
    }
    let mut cursor = Cursor::new(text, &tokens, limits, found);
    let expr = parse_expression::expression(&mut cursor).ok()?;
    if !cursor.is_end() {
        cursor.unexpected("an operator or the end of the expression", "");
        return None;
    }
    Some(expr)
}

/// Reads `text` as the name of a function and its parameters: `annuity(principal, rate, months)`.
pub(super) fn signature(text: &Snippet, limits: &Limits, found: &mut Diagnostics) -> Option<(String, Vec<String>)> {
    let (place, before) = (text.span(0..text.text().len()), found.len());
    if let Some(Expr::Call { name, arguments, .. }) = expression(text, limits, found) {
        let parameter = |argument: Expr| match argument {
            Expr::Path(Path { names, .. }) if names.len() == 1 => names.into_iter().next(),
            _ => None,
        };
        if let Some(parameters) = arguments.into_iter().map(parameter).collect() {
            return Some((name, parameters));
        }
    }
    if found.len() == before {
        let message = "a function is named with its parameters";
        let help = "write a name and parameters, such as `annuity(principal, rate, months)`";
        found.push(Diagnostic::error("bad-name", place, message).help(help));
    }
    None
}

/// An expression without operators.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// A literal.
    Value(Value),
    /// The names of a dotted path.
    Fact(Vec<String>),
}

/// Reads `text` as a literal or the name of a fact; `None` if it is another expression.
///
/// # Errors
/// All errors, if it is no expression.
pub fn term(text: &Snippet, limits: &Limits) -> Result<Option<Term>, Diagnostics> {
    let mut found = Diagnostics::new();
    match expression(text, limits, &mut found) {
        Some(Expr::Literal { value, .. }) => Ok(Some(Term::Value(value))),
        Some(Expr::Path(path)) => Ok(Some(Term::Fact(path.names))),
        Some(_) => Ok(None),
        None => Err(found),
    }
}

fn too_long(text: &Snippet, limits: &Limits) -> Diagnostic {
    let message = format!("the text has {} bytes; the limit is {}", text.text().len(), limits.max_file_bytes);
    Diagnostic::error("file-too-long", text.span(0..0), message).help("split it, or raise `rules.limits.file_bytes`")
}

/// The first names of the dotted paths in `text`, which may be nodes, each with its place. Errors in the text are reported when
/// it is compiled.
pub fn heads(text: &Snippet) -> Vec<(String, Span)> {
    let tokens = tokens(text, &mut Diagnostics::new());
    let mut heads = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let kind = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|token| &token.kind);
        let dot = Some(&TokenKind::Symbol(Symbol::Dot));
        if let TokenKind::Word(word) = &token.kind
            && kind(Some(index + 1)) == dot
            && kind(index.checked_sub(1)) != dot
        {
            heads.push((word.clone(), text.span(token.range.clone())));
        }
    }
    heads
}
