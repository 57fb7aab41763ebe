//! The text of a query taken apart, so that its parameters can be put in from a list.
//!
//! This reads only what cannot be misread: quoted text and names, words, numbers and operators. A text with a backslash, a
//! comment, a dollar quote or a second statement is left alone, and with it whatever else is unusual: such a query is
//! always asked singly, which costs time and never an answer.

/// A query's text, with the places of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::postgres) struct Template {
    /// Text, the number of the parameter after it, text, ...
    parts: Vec<(Box<str>, usize)>,
    rest: Box<str>,
    /// Whether the order of its rows may mean something.
    pub(super) ordered: bool,
    /// What might be the name of a function that it calls.
    pub(super) calls: Vec<String>,
}

/// Names that the statement around it has: no query that uses one of them is taken apart.
const RESERVED: &str = "tributary_";

impl Template {
    /// Takes `text` apart; `None` where it is to be left alone.
    pub(in crate::postgres) fn of(text: &str) -> Option<Self> {
        let text = text.trim_end().trim_end_matches(';').trim_end();
        let lower = text.to_ascii_lowercase();
        let odd = ["\\", "--", "/*", ";", "u&'", "u&\"", RESERVED];
        if odd.iter().any(|odd| lower.contains(odd)) || !(lower.starts_with("select") || lower.starts_with("with")) {
            return None;
        }
        let mut reader = Reader { text, at: 0, copied: 0, depth: 0, parts: Vec::new(), words: Vec::new() };
        reader.read()?;
        let Reader { copied, parts, words, .. } = reader;
        if words.iter().any(|word| word.text == "tablesample") {
            return None;
        }
        let ordered = words.iter().any(|word| word.text == "order");
        let calls = words.into_iter().filter(|word| word.calls).map(|word| word.text).collect();
        Some(Self { parts, rest: text.get(copied..)?.into(), ordered, calls })
    }

    /// The text with `name(n)` for each parameter `$n`.
    pub(super) fn with(&self, name: impl Fn(usize) -> String) -> String {
        let mut text = String::new();
        for (before, number) in &self.parts {
            text.push_str(before);
            text.push_str(&name(*number));
        }
        text.push_str(&self.rest);
        text
    }

    /// The highest number of a parameter.
    pub(super) fn params(&self) -> usize {
        self.parts.iter().map(|(_, number)| *number).max().unwrap_or(0)
    }
}

struct Word {
    text: String,
    /// Whether a parenthesis follows.
    calls: bool,
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    copied: usize,
    depth: usize,
    parts: Vec<(Box<str>, usize)>,
    words: Vec<Word>,
}

impl Reader<'_> {
    fn read(&mut self) -> Option<()> {
        while let Some(byte) = self.peek() {
            match byte {
                b'\'' => drop(self.quoted(b'\'')?),
                b'"' => {
                    let text = self.quoted(b'"')?;
                    self.word(text);
                }
                b'$' => self.parameter()?,
                b'(' => {
                    self.depth += 1;
                    self.at += 1;
                }
                b')' => {
                    self.depth = self.depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ if is_name(byte) => {
                    let text = self.run(is_name)?.to_ascii_lowercase();
                    if self.peek() == Some(b'$') {
                        // `name$1` is a name.
                        return None;
                    }
                    self.word(text);
                }
                _ => self.at += 1,
            }
        }
        (self.depth == 0).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> Option<&str> {
        let begun = self.at;
        while self.peek().is_some_and(&belongs) {
            self.at += 1;
        }
        self.text.get(begun..self.at)
    }

    /// Text between quotes; a doubled quote stands for one.
    fn quoted(&mut self, quote: u8) -> Option<String> {
        let begun = self.at + 1;
        self.at = begun;
        loop {
            while self.peek()? != quote {
                self.at += 1;
            }
            self.at += 1;
            if self.peek() != Some(quote) {
                return self.text.get(begun..self.at - 1).map(str::to_owned);
            }
            self.at += 1;
        }
    }

    fn word(&mut self, text: String) {
        let after = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let calls = after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'(');
        self.words.push(Word { text, calls });
    }

    fn parameter(&mut self) -> Option<()> {
        let before = self.text.get(self.copied..self.at)?.into();
        self.at += 1;
        let number = self.run(|byte| byte.is_ascii_digit())?.parse().ok().filter(|number| *number > 0)?;
        if self.peek().is_some_and(|byte| is_name(byte) || byte == b'$') {
            return None;
        }
        self.parts.push((before, number));
        self.copied = self.at;
        Some(())
    }
}

/// Digits belong to names; where a number begins with them nothing is lost.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
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
