//! Scalars: their text, their style, and their kind by the core schema of YAML 1.2 (section 10.3).

use std::sync::Arc;

use crate::types::Decimal;

/// A text, number, boolean or null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    text: Arc<str>,
    style: Style,
    kind: ScalarKind,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'...'`
    SingleQuoted,
    /// `"..."`
    DoubleQuoted,
    /// A `|` block.
    Literal,
    /// A `>` block.
    Folded,
}

/// What a scalar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarKind {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// Digits, also as `0x1F` or `0o17`.
    Integer,
    /// A number with a point or an exponent.
    Decimal,
    /// Anything else, and everything in quotes or in a block.
    Text,
}

/// `.inf` or `.nan`, which are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotFinite;

impl Scalar {
    /// The scalar that `text` is in this style.
    pub(super) fn resolve(text: Arc<str>, style: Style) -> Result<Self, NotFinite> {
        let kind = if style == Style::Plain { resolve_plain(&text)? } else { ScalarKind::Text };
        Ok(Self { text, style, kind })
    }

    /// This text, not resolved.
    pub(super) fn text_as(text: Arc<str>, style: Style) -> Self {
        Self { text, style, kind: ScalarKind::Text }
    }

    /// Nothing.
    pub(super) fn null() -> Self {
        Self { text: Arc::from(""), style: Style::Plain, kind: ScalarKind::Null }
    }

    /// The text, escapes and folding undone. For a number, the digits as they were written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it was written.
    pub fn style(&self) -> Style {
        self.style
    }

    /// What it is.
    pub fn kind(&self) -> ScalarKind {
        self.kind
    }

    /// The integer it is, where it is one that fits.
    pub fn integer(&self) -> Option<i64> {
        i64::try_from(self.wide_integer()?).ok()
    }

    pub(super) fn wide_integer(&self) -> Option<i128> {
        if self.kind != ScalarKind::Integer {
            return None;
        }
        let radix = |digits: &str, radix| i128::from_str_radix(digits, radix).ok();
        match self.text.get(..2) {
            Some("0x") => radix(self.text.get(2..)?, 16),
            Some("0o") => radix(self.text.get(2..)?, 8),
            _ => self.text.parse().ok(),
        }
    }

    /// The number it is, exactly, where it is one.
    pub fn decimal(&self) -> Option<Decimal> {
        match self.kind {
            ScalarKind::Integer if self.text.starts_with("0x") || self.text.starts_with("0o") => {
                Decimal::from_i128(self.wide_integer()?, 0).ok()
            }
            ScalarKind::Integer | ScalarKind::Decimal => self.text.parse().ok(),
            _ => None,
        }
    }
}

fn resolve_plain(text: &str) -> Result<ScalarKind, NotFinite> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => ScalarKind::Null,
        "true" | "True" | "TRUE" => ScalarKind::Boolean(true),
        "false" | "False" | "FALSE" => ScalarKind::Boolean(false),
        _ if is_not_finite(text) => return Err(NotFinite),
        _ if is_integer(text) => ScalarKind::Integer,
        _ if is_decimal(text) => ScalarKind::Decimal,
        _ => ScalarKind::Text,
    })
}

fn is_not_finite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

fn is_integer(text: &str) -> bool {
    let all = |digits: &str, is: fn(&u8) -> bool| !digits.is_empty() && digits.as_bytes().iter().all(is);
    match text.get(..2) {
        Some("0x") => all(text.get(2..).unwrap_or(""), u8::is_ascii_hexdigit),
        Some("0o") => all(text.get(2..).unwrap_or(""), |digit| (b'0'..=b'7').contains(digit)),
        _ => all(text.strip_prefix(['-', '+']).unwrap_or(text), u8::is_ascii_digit),
    }
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        use ScalarKind::{Boolean, Decimal, Integer, Null, Text};
        for (text, kind) in [
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("nULL", Text),
            ("true", Boolean(true)),
            ("False", Boolean(false)),
            ("yes", Text),
            ("no", Text),
            ("on", Text),
            ("y", Text),
            ("0", Integer),
            ("-12", Integer),
            ("+7", Integer),
            ("007", Integer),
            ("0x1F", Integer),
            ("0o17", Integer),
            ("0x", Text),
            ("-0x1", Text),
            ("0b1", Text),
            ("1_000", Text),
            ("12:30", Text),
            ("0.1", Decimal),
            (".5", Decimal),
            ("5.", Decimal),
            ("1e3", Decimal),
            ("-1.5E-3", Decimal),
            (".", Text),
            ("e3", Text),
            ("1e", Text),
            ("1.2.3", Text),
            ("2024-01-31", Text),
            ("<<", Text),
            ("ö", Text),
        ] {
            assert_eq!(resolve_plain(text), Ok(kind), "{text:?}");
        }
        for text in [".inf", "-.INF", "+.Inf", ".nan", ".NaN"] {
            assert_eq!(resolve_plain(text), Err(NotFinite), "{text:?}");
        }
    }

    #[test]
    fn numbers_keep_every_digit() {
        let number =
            |text: &str| Scalar::resolve(Arc::from(text), Style::Plain).unwrap().decimal().map(|n| n.to_string());
        for (text, exact) in [
            ("0.1", "0.1"),
            ("15.50", "15.50"),
            ("123456789012345678901234567890.12", "123456789012345678901234567890.12"),
            ("0x1F", "31"),
            ("-7", "-7"),
        ] {
            assert_eq!(number(text).as_deref(), Some(exact));
        }
        assert_eq!(number("abc"), None);
    }

    #[test]
    fn what_is_quoted_is_text() {
        let quoted = Scalar::resolve(Arc::from("5"), Style::DoubleQuoted).unwrap();
        assert_eq!((quoted.kind(), quoted.integer()), (ScalarKind::Text, None));
    }
}
