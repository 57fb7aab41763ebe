//! The text of a query taken apart, so that its parameters can be put in from a list.
//!
//! `sqlparser` reads the text. A text with a backslash, a comment, a dollar quote or a second statement is not taken apart, nor
//! is one whose tokens do not give back the same text. Such a query is always sent by itself, which costs time and never an
//! answer.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

/// A query's text, with the places of its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::postgres) struct Template {
    /// Text, the number of the parameter after it, text, ...
    parts: Vec<(String, usize)>,
    rest: String,
    /// Whether the order of its rows may mean something.
    pub(super) ordered: bool,
    /// What might be the name of a function that it calls.
    pub(super) calls: Vec<String>,
}

/// What may mean something else than it seems to, and the prefix of the names in the statement around the query.
const REFUSED: [&str; 3] = ["\\", "u&", "tributary_"];

impl Template {
    /// Takes `text` apart. `None` where it may be misread.
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

    /// A parameter follows the text so far.
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

/// The word as PostgreSQL compares it. `None` where it is none, or is written in an unusual way, or samples a table.
fn word(token: &Token) -> Option<String> {
    let Token::Word(word) = token else { return None };
    let (text, unusual) = match word.quote_style {
        Some(_) => (word.value.clone(), '"'),
        None => (word.value.to_ascii_lowercase(), '$'),
    };
    (!text.contains(unusual) && text != "tablesample").then_some(text)
}

/// Whether a token other than a word or a parameter is one that PostgreSQL reads the same way.
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
    fn parameters_are_replaced_and_nothing_else() {
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
    fn what_might_be_misread_is_left_alone() {
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
    fn calls_and_order_are_seen() {
        let template = Template::of("SELECT Lower (a), \"Odd\"(b), c FROM t WHERE d IN ($1) ORDER BY e").unwrap();
        assert_eq!(template.calls, ["lower", "Odd", "in"]);
        assert!(template.ordered);
        assert!(!Template::of("SELECT border FROM orders WHERE a = $1").unwrap().ordered);
    }
}
