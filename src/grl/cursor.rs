//! The position of the parsers in the tokens, and the errors that they share.

use std::ops::Range;

use super::limits::{DEEPEST, Limits};
use super::token::{Symbol, Token, TokenKind};
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet};

/// The parser stopped here, and has reported why.
pub(super) struct Stopped;

pub(super) type Parsed<T> = Result<T, Stopped>;

/// The position in the tokens.
pub(super) struct Cursor<'a> {
    pub(super) snippet: &'a Snippet,
    pub(super) limits: &'a Limits,
    tokens: &'a [Token],
    at: usize,
    pub(super) depth: usize,
    pub(super) terms: usize,
    /// The skipped text between rules.
    pub(super) skipped: Vec<Range<usize>>,
    pub(super) found: &'a mut Diagnostics,
}

const END: &Token = &Token { kind: TokenKind::End, range: 0..0 };

impl<'a> Cursor<'a> {
    pub(super) fn new(
        snippet: &'a Snippet,
        tokens: &'a [Token],
        limits: &'a Limits,
        found: &'a mut Diagnostics,
    ) -> Self {
        Self { snippet, limits, tokens, at: 0, depth: 0, terms: 0, skipped: Vec::new(), found }
    }

    pub(super) fn peek(&self) -> &'a TokenKind {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, by: usize) -> &'a TokenKind {
        &self.tokens.get(self.at + by).or(self.tokens.last()).unwrap_or(END).kind
    }

    /// The place of the next token.
    pub(super) fn here(&self) -> Range<usize> {
        self.tokens.get(self.at).or(self.tokens.last()).unwrap_or(END).range.clone()
    }

    /// The place of the token `by` further on.
    pub(super) fn here_ahead(&self, by: usize) -> Range<usize> {
        self.tokens.get(self.at + by).or(self.tokens.last()).unwrap_or(END).range.clone()
    }

    /// The end of the last token that was read.
    pub(super) fn behind(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.range.end)
    }

    pub(super) fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len());
    }

    pub(super) fn is_end(&self) -> bool {
        *self.peek() == TokenKind::End
    }

    pub(super) fn is(&self, symbol: Symbol) -> bool {
        *self.peek() == TokenKind::Symbol(symbol)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), TokenKind::Word(found) if found == word)
    }

    pub(super) fn take(&mut self, symbol: Symbol) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// Reads `symbol`, or reports that it is missing.
    pub(super) fn expect(&mut self, symbol: Symbol, what: &str, help: &str) -> Parsed<()> {
        if self.take(symbol) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{}` {what}", symbol.text()), help))
    }

    /// As [`Self::expect`], for a word.
    pub(super) fn expect_word(&mut self, word: &str, what: &str, help: &str) -> Parsed<()> {
        if self.take_word(word) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{word}` {what}"), help))
    }

    /// Reports that something else is in the place of `expected`.
    pub(super) fn unexpected(&mut self, expected: &str, help: &str) -> Stopped {
        let message = format!("expected {expected}, found {}", self.peek());
        let at = self.here();
        let error =
            Diagnostic::error("unexpected-word", self.snippet.span(at), message).label(format!("expected {expected}"));
        self.found.push(if help.is_empty() { error } else { error.help(help) });
        Stopped
    }

    pub(super) fn report(&mut self, code: &'static str, at: Range<usize>, message: String, help: &str) -> Stopped {
        let error = Diagnostic::error(code, self.snippet.span(at), message);
        self.found.push(if help.is_empty() { error } else { error.help(help) });
        Stopped
    }

    /// Counts one operand; too many are an error.
    pub(super) fn count_term(&mut self) -> Parsed<()> {
        self.terms += 1;
        if self.terms <= self.limits.max_terms {
            return Ok(());
        }
        let message = format!("the expression has more than {} terms", self.limits.max_terms);
        let at = self.here();
        Err(self.report("too-many-terms", at, message, "split it into several facts, or raise `rules.limits.terms`"))
    }

    /// Reads an operator or an opening token, after which the parser is one level deeper; too deep is an error.
    pub(super) fn go_deeper(&mut self) -> Parsed<()> {
        self.limit_height(self.depth + 1)?;
        self.depth += 1;
        self.advance();
        Ok(())
    }

    /// Leaves a level.
    pub(super) fn come_back(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// `height`, or an error if it is above the limit.
    pub(super) fn limit_height(&mut self, height: usize) -> Parsed<usize> {
        let limit = self.limits.max_nesting.min(DEEPEST);
        if height <= limit {
            return Ok(height);
        }
        let message = format!("the expression is nested more than {limit} deep");
        let at = self.here();
        let help = "split it into several facts, or raise `rules.limits.nesting`";
        Err(self.report("nested-too-deep", at, message, help))
    }

    /// Skips to the next top-level `rule`, so that its errors are reported too.
    pub(super) fn skip_to_rule(&mut self) {
        let mut braces = 0_usize;
        while !self.is_end() {
            match self.peek() {
                TokenKind::Symbol(Symbol::OpenBrace) => braces += 1,
                TokenKind::Symbol(Symbol::CloseBrace) => braces = braces.saturating_sub(1),
                TokenKind::Word(word) if word == "rule" && self.looks_like_rule(braces) => return,
                _ => {}
            }
            self.advance();
        }
    }

    /// Whether a rule begins here: `rule` outside braces, or, as braces may be missing, `rule` followed by a text.
    fn looks_like_rule(&self, braces: usize) -> bool {
        braces == 0 || matches!(self.ahead(1), TokenKind::Text(_))
    }
}
