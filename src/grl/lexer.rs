//! Text to words. Comments and white space go; everything else must be a word of the language.

use std::iter::Peekable;
use std::str::CharIndices;

use super::foreign::SYMBOLS;
use super::token::{Kind, Symbol, Token};
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet};

/// Reads all words of `snippet`, the last of which is [`Kind::End`]. What is not a word is complained about and skipped.
pub(super) fn tokens(snippet: &Snippet, found: &mut Diagnostics) -> Vec<Token> {
    let text = snippet.text();
    refuse_hidden(snippet, found);
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
                _ if is_word_start(character) => self.word(start),
                _ => self.symbol(start, character),
            }
        }
        let end = self.text.len();
        self.push(Kind::End, end, end);
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
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
        while self.rest.next_if(|(_, character)| is_word(*character)).is_some() {}
        let end = self.here();
        let word = self.slice(start, end);
        self.push(Kind::Word(word), start, end);
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
        while self.rest.next_if(|(_, character)| is_word(*character)).is_some() {}
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
        self.push(Kind::Number(digits), start, end);
    }

    fn text_literal(&mut self, start: usize, quote: char) {
        let mut content = String::new();
        while let Some((at, character)) = self.rest.next() {
            match character {
                _ if character == quote => {
                    let end = self.here();
                    return self.push(Kind::Text(content), start, end);
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
        self.push(Kind::Text(content), start, end);
    }

    fn escape(&mut self, start: usize, content: &mut String) {
        let replaced = match self.rest.peek().map(|(_, character)| *character) {
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some(same @ ('\\' | '"' | '\'')) => Some(same),
            Some(_) | None => None,
        };
        if let Some(character) = replaced {
            self.rest.next();
            content.push(character);
            return;
        }
        let message = "`\\` stands before a character that has no meaning with it";
        let error = Diagnostic::error("unknown-escape", self.snippet.span(start..start + 1), message);
        self.found.push(error.help("write \\\\ for a backslash; \\n, \\t, \\r, \\\" and \\' are the others"));
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
            self.push(Kind::Symbol(symbol), start, end);
        }
    }

    /// A comment of another language: all of it is one error.
    fn foreign_comment(&mut self, start: usize, mark: &'static str) {
        self.stray(start, mark, Some("a comment begins with `//`"));
        self.skip_line();
    }

    /// `;;` behind white space begins a comment elsewhere; behind a statement it is a semicolon too many.
    fn begins_its_line_or_word(&self, start: usize) -> bool {
        self.text.get(..start).and_then(|before| before.chars().next_back()).is_none_or(char::is_whitespace)
    }

    fn stray(&mut self, start: usize, found: &str, help: Option<&str>) {
        let span = self.snippet.span(start..start + found.len());
        let message = format!("`{}` is not part of the language", found.escape_debug());
        self.found.push(Diagnostic::error("stray-character", span, message).maybe_help(help.map(str::to_owned)));
    }
}

/// Characters that make a file look other than it reads: a lone carriage return (a comment would not end with what looks
/// like its line), and those that turn the direction of writing.
fn refuse_hidden(snippet: &Snippet, found: &mut Diagnostics) {
    let text = snippet.text();
    for (at, character) in text.char_indices() {
        let after = at + character.len_utf8();
        let help = match character {
            '\r' if !text.get(after..).is_some_and(|rest| rest.starts_with('\n')) => "end lines with a line feed",
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                "delete it: it makes the text look other than it reads"
            }
            _ => continue,
        };
        let message = format!("the character `{}` hides what the file says", character.escape_unicode());
        found.push(Diagnostic::error("hidden-character", snippet.span(at..after), message).help(help));
    }
}

fn is_word_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
