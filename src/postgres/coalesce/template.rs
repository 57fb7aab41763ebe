//! Splits the text of a query at its parameters, so that they can be replaced.
//!
//! `sqlparser` reads the tokens. A text with a backslash, a comment, a dollar quote or a second statement has no template,
//! nor has one whose tokens do not reproduce it. Such a query is always sent singly, which is slower but correct.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

/// The text of a query, split at its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::postgres) struct Template {
    /// Text, the number of the parameter after it, text, ...
    parts: Vec<(String, usize)>,
    rest: String,
    /// Whether it may order its rows.
    pub(super) ordered: bool,
    /// The possible names of functions that it calls.
    pub(super) calls: Vec<String>,
}

/// Text that may be misread, and the prefix of the names in the wrapped query.
const REFUSED: [&str; 3] = ["\\", "u&", "tributary_"];

impl Template {
    /// Splits `text`. `None` where it may be misread.
    pub(in crate::postgres) fn of(text: &str) -> Option<Self> {
        let text = text.trim_end().trim_end_matches(';').trim_end();
        let lower = text.to_ascii_lowercase();
        if REFUSED.iter().any(|refused| lower.contains(refused)) {
            return None;
        }
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).with_unescape(false).tokenize().ok()?;
        let is_query = ["select", "with"].contains(&word(tokens.first()?)?.as_str());
        let is_lossless = tokens.iter().map(ToString::to_string).collect::<String>() == text;
        (is_query && is_lossless).then_some(())?;
        let (mut template, mut depth) = (Self::default(), 0_usize);
        for (index, token) in tokens.iter().enumerate() {
            match token {
                Token::Placeholder(parameter) => {
                    template.add(parameter)?;
                    continue;
                }
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.checked_sub(1)?,
                Token::Word(_) => {
                    let word = word(token)?;
                    template.ordered |= word == "order";
                    let mut after = tokens.iter().skip(index + 1);
                    if after.find(|next| !matches!(next, Token::Whitespace(_))) == Some(&Token::LParen) {
                        template.calls.push(word);
                    }
                }
                _ => is_plain(token, &token.to_string()).then_some(())?,
            }
            template.rest.push_str(&token.to_string());
        }
        (depth == 0).then_some(template)
    }

    /// Adds a parameter after the text so far.
    fn add(&mut self, parameter: &str) -> Option<()> {
        let number = parameter.strip_prefix('$')?.parse().ok().filter(|number| *number > 0)?;
        // A `$` after a letter or a digit is part of a name.
        let is_own_token = !self.rest.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        self.parts.push((std::mem::take(&mut self.rest), number));
        is_own_token.then_some(())
    }

    /// The text with `name(n)` for each parameter `$n`.
    pub(super) fn with(&self, name: impl Fn(usize) -> String) -> String {
        let parts = self.parts.iter().flat_map(|(before, number)| [before.clone(), name(*number)]);
        parts.chain([self.rest.clone()]).collect()
    }

    /// The highest number of a parameter.
    pub(super) fn params(&self) -> usize {
        self.parts.iter().map(|(_, number)| *number).max().unwrap_or(0)
    }
}

/// The word as PostgreSQL compares it. `None` for other tokens, for unusual spellings and for TABLESAMPLE.
fn word(token: &Token) -> Option<String> {
    let Token::Word(word) = token else { return None };
    let (text, unusual) = match word.quote_style {
        Some(_) => (word.value.clone(), '"'),
        None => (word.value.to_ascii_lowercase(), '$'),
    };
    (!text.contains(unusual) && text != "tablesample").then_some(text)
}

/// Whether PostgreSQL reads a token, other than a word or a parameter, in the same way.
fn is_plain(token: &Token, text: &str) -> bool {
    match token {
        Token::Number(..) | Token::SingleQuotedString(_) => true,
        Token::Whitespace(space) => matches!(space, Whitespace::Space | Whitespace::Newline | Whitespace::Tab),
        Token::SemiColon => false,
        _ => text.chars().all(|char| char.is_ascii_punctuation() && !['\'', '"', '$'].contains(&char)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_are_replaced() {
        for (text, expected) in [
            ("SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = <1>"),
            ("SELECT $2::int8, $1 , '$1', \"$1\" ; ", "SELECT <2>::int8, <1> , '$1', \"$1\""),
            ("SELECT 'it''s $1' || $1", "SELECT 'it''s $1' || <1>"),
            ("WITH x AS (SELECT $1) SELECT * FROM x", "WITH x AS (SELECT <1>) SELECT * FROM x"),
            ("select $10*$1", "select <10>*<1>"),
            ("SELECT größe FROM t WHERE ñ=$1", "SELECT größe FROM t WHERE ñ=<1>"),
        ] {
            let template = Template::of(text).expect(text);
            assert_eq!(template.with(|number| format!("<{number}>")), expected);
        }
    }

    #[test]
    fn text_that_may_be_misread_has_no_template() {
        for text in [
            "SELECT $1 -- why",
            "SELECT /* $1 */ $1",
            "SELECT $$it's$$ || $1",
            "SELECT $a$ $1 $a$",
            r"SELECT E'\'' || $1",
            "SELECT a$1 FROM t",
            "SELECT $1a",
            "SELECT $0",
            "SELECT 1; SELECT $1",
            "SELECT ') $1",
            "SELECT \"a",
            "SELECT 1) AS x, (SELECT $1",
            "SELECT (1",
            "SHOW statement_timeout",
            "VALUES ($1)",
            "SELECT tributary_batch FROM t WHERE a = $1",
            "SELECT a FROM t TABLESAMPLE system (10) WHERE b = $1",
        ] {
            assert_eq!(Template::of(text), None, "{text}");
        }
    }

    #[test]
    fn calls_and_order_are_detected() {
        let template = Template::of("SELECT Lower (a), \"Odd\"(b), c FROM t WHERE d IN ($1) ORDER BY e").unwrap();
        assert_eq!(template.calls, ["lower", "Odd", "in"]);
        assert!(template.ordered);
        assert!(!Template::of("SELECT border FROM orders WHERE a = $1").unwrap().ordered);
    }
}
