//! Splits text into tokens. Comments and white space are skipped.

use std::iter::Peekable;
use std::str::CharIndices;

use super::foreign::SYMBOLS;
use super::token::{Symbol, Token, TokenKind};
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet};
use crate::types::{NameError, check_name, continues_name, invisible_characters, starts_name};

/// Reads all tokens of `snippet`; the last is [`TokenKind::End`]. What is not a token is reported and skipped.
pub(super) fn tokens(snippet: &Snippet, found: &mut Diagnostics) -> Vec<Token> {
    let text = snippet.text();
    refuse_invisible(snippet, found);
    let mut lexer = Lexer { snippet, text, rest: text.char_indices().peekable(), tokens: Vec::new(), found };
    lexer.run();
    lexer.tokens
}

struct Lexer<'a> {
    snippet: &'a Snippet,
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    tokens: Vec<Token>,
    found: &'a mut Diagnostics,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some((start, character)) = self.rest.next() {
            match character {
                '/' if self.next_is('/') => self.skip_line(),
                '/' if self.next_is('*') => self.skip_block(start),
                '#' => self.foreign_comment(start, "#"),
                ';' if self.next_is(';') && self.begins_its_line_or_word(start) => self.foreign_comment(start, ";;"),
                '"' | '\'' => self.text_literal(start, character),
                _ if character.is_whitespace() => {}
                '\u{feff}' if start == 0 => {}
                _ if character.is_ascii_digit() => self.number(start),
                _ if starts_name(character) => self.word(start),
                _ => self.symbol(start, character),
            }
        }
        let end = self.text.len();
        self.push(TokenKind::End, end, end);
    }

    fn push(&mut self, kind: TokenKind, start: usize, end: usize) {
        self.tokens.push(Token { kind, range: start..end });
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.rest.peek().is_some_and(|(_, character)| *character == wanted)
    }

    /// The offset of the next character, or the end.
    fn here(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn slice(&self, start: usize, end: usize) -> String {
        self.text.get(start..end).unwrap_or("").to_owned()
    }

    fn skip_line(&mut self) {
        while self.rest.next_if(|(_, character)| *character != '\n').is_some() {}
    }

    fn skip_block(&mut self, start: usize) {
        self.rest.next();
        while let Some((_, character)) = self.rest.next() {
            if character == '*' && self.next_is('/') {
                self.rest.next();
                return;
            }
        }
        let span = self.snippet.span(start..start + 2);
        let error = Diagnostic::error("unterminated-comment", span, "the comment does not end");
        self.found.push(error.label("starts here").help("write `*/` where it ends"));
    }

    fn word(&mut self, start: usize) {
        while self.rest.next_if(|(_, character)| continues_name(*character)).is_some() {}
        let end = self.here();
        let word = self.slice(start, end);
        // The length is checked where a name is declared: a key of a JSON document may be longer.
        if let Err(error @ NameError::Decomposed { .. }) = check_name("fact", &word) {
            self.found.push(Diagnostic::error("bad-name", self.snippet.span(start..end), error.to_string()));
        }
        self.push(TokenKind::Word(word), start, end);
    }

    fn number(&mut self, start: usize) {
        while self.rest.next_if(|(_, character)| character.is_ascii_digit()).is_some() {}
        let mut ahead = self.rest.clone();
        let has_fraction = ahead.next().is_some_and(|(_, character)| character == '.')
            && ahead.next().is_some_and(|(_, character)| character.is_ascii_digit());
        if has_fraction {
            self.rest.next();
            while self.rest.next_if(|(_, character)| character.is_ascii_digit()).is_some() {}
        }
        let digits_end = self.here();
        while self.rest.next_if(|(_, character)| continues_name(*character)).is_some() {}
        let end = self.here();
        let number = self.slice(start, end);
        if end > digits_end {
            let span = self.snippet.span(start..end);
            let error =
                Diagnostic::error("malformed-number", span, format!("`{number}` is neither a number nor a name"));
            self.found
                .push(error.help("a number is digits, with at most one point; a name starts with a letter or `_`"));
        }
        let digits = self.slice(start, digits_end);
        if digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
            let span = self.snippet.span(start..end);
            let error = Diagnostic::error("malformed-number", span, format!("`{digits}` begins with a needless zero"));
            self.found.push(error.help("leave the zero out, or write the point that is missing"));
        }
        self.push(TokenKind::Number(digits), start, end);
    }

    fn text_literal(&mut self, start: usize, quote: char) {
        let mut content = String::new();
        while let Some((at, character)) = self.rest.next() {
            match character {
                _ if character == quote => {
                    let end = self.here();
                    return self.push(TokenKind::Text(content), start, end);
                }
                '\n' => break,
                '\\' => self.escape(at, &mut content),
                _ => content.push(character),
            }
        }
        let error = Diagnostic::error(
            "unterminated-text",
            self.snippet.span(start..start + 1),
            "the text does not end on its line",
        );
        self.found.push(
            error.label("starts here").help(format!("write {quote} where it ends, and \\n for a line break in it")),
        );
        let end = self.here();
        self.push(TokenKind::Text(content), start, end);
    }

    fn escape(&mut self, start: usize, content: &mut String) {
        let replaced = match self.rest.peek().map(|(_, character)| *character) {
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some(same @ ('\\' | '"' | '\'')) => Some(same),
            Some('u') => self.code_point(start),
            Some(_) | None => None,
        };
        if let Some(character) = replaced {
            self.rest.next();
            content.push(character);
            return;
        }
        let message = "`\\` stands before a character that has no meaning with it";
        let error = Diagnostic::error("unknown-escape", self.snippet.span(start..start + 1), message);
        let help = "write \\\\ for a backslash; \\n, \\t, \\r, \\\", \\' and \\u{200b} (a code point) are the others";
        self.found.push(error.help(help));
    }

    /// The character of `\u{200b}`. Reads all of it but the last character.
    fn code_point(&mut self, start: usize) -> Option<char> {
        const LONGEST: usize = 6;
        let behind = self.text.get(start..)?.strip_prefix("\\u{")?;
        let (length, _) = behind.char_indices().take(LONGEST + 1).find(|(_, character)| *character == '}')?;
        let character = u32::from_str_radix(behind.get(..length)?, 16).ok().and_then(char::from_u32)?;
        let end = start + "\\u{".len() + length;
        while self.rest.next_if(|(at, _)| *at < end).is_some() {}
        Some(character)
    }

    fn symbol(&mut self, start: usize, character: char) {
        let rest = self.text.get(start..).unwrap_or("");
        let symbol = Symbol::ALL.iter().find(|symbol| rest.starts_with(symbol.text()));
        let foreign = SYMBOLS.iter().find(|foreign| rest.starts_with(foreign.text));
        let known_length = symbol.map_or(0, |symbol| symbol.text().len());
        let (meant, length) = match foreign.filter(|foreign| foreign.text.len() > known_length) {
            Some(foreign) => {
                self.stray(start, foreign.text, Some(foreign.help));
                (foreign.meant, foreign.text.len())
            }
            None if symbol.is_some() => (symbol.copied(), known_length),
            None => {
                self.stray(start, rest.get(..character.len_utf8()).unwrap_or(""), None);
                (None, character.len_utf8())
            }
        };
        let end = start + length;
        while self.rest.next_if(|(at, _)| *at < end).is_some() {}
        if let Some(symbol) = meant {
            self.push(TokenKind::Symbol(symbol), start, end);
        }
    }

    /// A comment of another language; the whole comment is one error.
    fn foreign_comment(&mut self, start: usize, mark: &'static str) {
        self.stray(start, mark, Some("a comment begins with `//`"));
        self.skip_line();
    }

    /// After white space, `;;` begins a comment in other languages. After a statement it is one semicolon too many.
    fn begins_its_line_or_word(&self, start: usize) -> bool {
        self.text.get(..start).and_then(|before| before.chars().next_back()).is_none_or(char::is_whitespace)
    }

    fn stray(&mut self, start: usize, found: &str, help: Option<&str>) {
        let span = self.snippet.span(start..start + found.len());
        let message = format!("`{}` is not part of the language", found.escape_debug());
        self.found.push(Diagnostic::error("stray-character", span, message).maybe_help(help.map(str::to_owned)));
    }
}

/// Refuses characters that make the text look different from what it means.
pub fn refuse_invisible(snippet: &Snippet, found: &mut Diagnostics) {
    for (at, character) in invisible_characters(snippet.text()) {
        let code = format!("U+{:04X}", u32::from(character));
        let (message, help) = if character == '\r' {
            (format!("the line ends with a carriage return ({code}) only"), "end lines with a line feed".to_owned())
        } else {
            let escape = character.escape_unicode();
            let help = format!("delete it; in a text of a rule it can be written `{escape}`");
            (format!("the invisible character {code} makes the text look other than it reads"), help)
        };
        let span = snippet.span(at..at + character.len_utf8());
        found.push(Diagnostic::error("hidden-character", span, message).help(help));
    }
}
