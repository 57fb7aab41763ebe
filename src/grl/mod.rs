//! The rule language.
//!
//! GRL text becomes compiled rules by a front end of our own: words (`lexer`), what they say (`parse_rule`,
//! `parse_expression`), names and types (`check`), values (`program`). rust-rule-engine schedules them
//! (`engine`) and never sees their text. A rule file that loads means exactly what it says: whatever could be read in
//! two ways, or belongs to another dialect, is refused with its place. This room knows nothing of graphs, rows or
//! files; names come to it as a [`Scope`], values as [`Facts`].

mod ast;
mod canonical;
mod check;
mod check_comparison;
mod comparable;
mod compile;
mod cursor;
mod engine;
mod engines;
mod error;
mod expression;
mod facts;
mod fold;
mod foreign;
mod functions;
mod lexer;
mod limits;
mod links;
mod lint;
mod names;
mod operators;
mod parse_expression;
mod parse_rule;
mod program;
mod read;
mod region;
mod ruleset;
mod run;
mod scope;
mod token;
mod trace;
mod unknown;

pub use canonical::canonical;
pub use engine::{Engine, Evaluation};
pub use engines::Engines;
pub use error::{EvalError, EvalErrorKind, RuleError};
pub use expression::{Expression, ExpressionKind};
pub use facts::{FactRef, Facts, Lookup, Owner, overlap};
pub use limits::Limits;
pub use region::Region;
pub use ruleset::{LocalFact, RuleInfo, Ruleset};
pub use scope::{Scope, ScopeError};
pub use trace::{Assignment, Beginning, Failed, Firing, Idle, Operand, Origin, Reason, RulesTrace, Write};
pub use unknown::{Doubt, Unknowns};

#[cfg(test)]
mod tests;

use crate::diagnostics::{Diagnostic, Diagnostics, Snippet, Span};

/// The first names of the dotted paths in `text`, each with its place: those may be nodes. What cannot be read has none;
/// it is told about when it is compiled.
pub fn heads(text: &Snippet) -> Vec<(String, Span)> {
    use token::{Kind, Symbol};
    let tokens = lexer::tokens(text, &mut Diagnostics::new());
    let mut heads = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let kind = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|token| &token.kind);
        let dot = Some(&Kind::Symbol(Symbol::Dot));
        if let Kind::Word(word) = &token.kind
            && kind(Some(index + 1)) == dot
            && kind(index.checked_sub(1)) != dot
        {
            heads.push((word.clone(), text.span(token.range.clone())));
        }
    }
    heads
}

/// Refuses the characters of a file that make it look other than it reads.
pub fn refuse_invisible(text: &Snippet, found: &mut Diagnostics) {
    lexer::refuse_invisible(text, found);
}

fn too_long(text: &Snippet, limits: &Limits) -> Diagnostic {
    let message = format!("the text has {} bytes; the limit is {}", text.text().len(), limits.max_file_bytes);
    Diagnostic::error("file-too-long", text.span(0..0), message).help("split it, or raise `rules.limits.file_bytes`")
}
