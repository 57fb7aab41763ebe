//! Reads parts of a table's text by the parsers of the language.

use std::ops::Range;

use crate::diagnostics::{Diagnostic, Diagnostics, Snippet};
use crate::grl::ast::{At, Expr, Path};
use crate::grl::cursor::Cursor;
use crate::grl::lexer::tokens;
use crate::grl::limits::Limits;
use crate::grl::parse_expression;
use crate::grl::token::{Symbol, Token, TokenKind};

/// Reads parts of the grid's text as parts of the language.
pub(super) struct Reader<'a> {
    pub(super) snippet: &'a Snippet,
    pub(super) limits: &'a Limits,
    pub(super) found: &'a mut Diagnostics,
    pub(super) heads: Vec<(String, At)>,
    /// Whether cells were written in FEEL, where a word is a fact and a comma separates two numbers.
    pub(super) is_feel: bool,
}

impl Reader<'_> {
    pub(super) fn text(&self, at: Range<usize>) -> &str {
        self.snippet.text().get(at).unwrap_or("")
    }

    pub(super) fn refuse(&mut self, at: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let error = Diagnostic::error("bad-cell", self.snippet.span(at), message);
        self.found.push(error.help(help));
    }

    /// The tokens of a part, with their places in the whole.
    fn tokens(&mut self, at: &Range<usize>) -> Option<Vec<Token>> {
        let part = self.snippet.part(at.clone());
        let mut errors = Diagnostics::new();
        let mut tokens = tokens(&part, &mut errors);
        for token in &mut tokens {
            token.range = at.start + token.range.start..at.start + token.range.end;
        }
        if errors.has_errors() {
            self.found.extend(errors);
            return None;
        }
        Some(tokens)
    }

    /// The expression that is all of a part.
    pub(super) fn expression(&mut self, at: Range<usize>) -> Option<Expr> {
        let tokens = self.tokens(&at)?;
        let dot = TokenKind::Symbol(Symbol::Dot);
        for (index, token) in tokens.iter().enumerate() {
            let kind = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|token| &token.kind);
            if let TokenKind::Word(word) = &token.kind
                && kind(Some(index + 1)) == Some(&dot)
                && kind(index.checked_sub(1)) != Some(&dot)
            {
                self.heads.push((word.clone(), token.range.clone()));
            }
        }
        let mut cursor = Cursor::new(self.snippet, &tokens, self.limits, self.found);
        let expr = parse_expression::expression(&mut cursor).ok()?;
        if !cursor.is_end() {
            cursor.unexpected(
                "an operator or the end of the cell",
                "a text stands in quotes; commas stand between two tests of a condition",
            );
            return None;
        }
        Some(expr)
    }

    /// The dotted name that is all of a part.
    pub(super) fn path(&mut self, at: Range<usize>) -> Option<Path> {
        let tokens = self.tokens(&at)?;
        let mut cursor = Cursor::new(self.snippet, &tokens, self.limits, self.found);
        let path = parse_expression::path(&mut cursor).ok()?;
        if !cursor.is_end() {
            cursor.unexpected("the end of the name of a fact", "a result column is `then fact`, or `then fact (text)`");
            return None;
        }
        Some(path)
    }
}
