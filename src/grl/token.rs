//! The tokens of the language.

use std::fmt;
use std::ops::Range;

/// A token and its place, in bytes of the snippet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) range: Range<usize>,
}

/// The kind of a token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// A name or a keyword.
    Word(String),
    /// A number, as written.
    Number(String),
    /// Text without its quotes, escapes replaced.
    Text(String),
    /// Everything else.
    Symbol(Symbol),
    /// After the last token.
    End,
}

macro_rules! symbols {
    ($($name:ident $text:literal),+ $(,)?) => {
        /// Operators and punctuation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Symbol { $($name),+ }

        impl Symbol {
            /// Longest first, so that `<=` is not read as `<`.
            pub(super) const ALL: &[Self] = &[$(Self::$name),+];

            pub(super) fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

symbols! {
    AndAnd "&&", OrOr "||", Equal "==", NotEqual "!=", LessEqual "<=", GreaterEqual ">=", PlusAssign "+=",
    MinusAssign "-=", Power "**", Less "<", Greater ">", Assign "=", Not "!", Plus "+", Minus "-", Star "*", Slash "/",
    Percent "%", OpenParen "(", CloseParen ")", OpenBracket "[", CloseBracket "]", OpenBrace "{", CloseBrace "}",
    Comma ",", Semicolon ";", Colon ":", Dot ".",
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Text(_) => f.write_str("a text"),
            Self::Symbol(symbol) => write!(f, "`{}`", symbol.text()),
            Self::End => f.write_str("the end"),
        }
    }
}
