//! Reads condition cells (DMN's unary tests).
//!
//! A cell is `-`, or tests between commas, one of which must hold: a value, an operator with an expression, a range, or
//! `not(tests)`. A word alone is a text. What spreadsheets and people write in another way is refused with what to write.

use std::ops::Range;

use super::grid::{Cell, trimmed};
use super::header::Condition;
use super::reader::Reader;
use super::value::{literal, operand, tested};
use crate::grl::ast::{At, Compare, Expr};
use crate::types::Value;

/// What a condition cell asks for.
pub(super) enum Tested {
    /// Nothing: `-`.
    Any,
    Condition(Expr),
}

/// One test of a cell.
enum Test {
    /// The subject equals it.
    Value(Expr),
    Other(Expr),
}

const OPERATORS: [(&str, Compare); 7] = [
    ("<=", Compare::LessEqual),
    (">=", Compare::GreaterEqual),
    ("!=", Compare::NotEqual),
    ("==", Compare::Equal),
    ("=", Compare::Equal),
    ("<", Compare::Less),
    (">", Compare::Greater),
];

const WORDS: [(&str, Compare); 5] = [
    ("in", Compare::In),
    ("contains", Compare::Contains),
    ("startsWith", Compare::StartsWith),
    ("endsWith", Compare::EndsWith),
    ("matches", Compare::Matches),
];

/// What other languages write, and what to write here.
const FOREIGN: [(&str, &str); 6] = [
    ("<>", "write `!=`"),
    ("≤", "write `<=`"),
    ("≥", "write `>=`"),
    ("≠", "write `!=`"),
    ("=<", "write `<=`"),
    ("=>", "write `>=`"),
];

const ANY: &str = "write `-` for a condition that every value meets";

/// The condition of a cell in the column `condition`.
pub(super) fn condition(reader: &mut Reader<'_>, condition: &Condition, cell: &Cell) -> Option<Tested> {
    let text = reader.text(cell.at.clone());
    if matches!(text, "" | "–" | "—" | "*") {
        let message =
            if text.is_empty() { "the condition is empty".to_owned() } else { format!("`{text}` is not a test") };
        reader.refuse(cell.at.clone(), message, ANY);
        return None;
    }
    if text == "-" {
        return Some(Tested::Any);
    }
    let mut tests = Tests { reader, condition, at: cell.at.start, end: cell.at.end };
    let all = tests.list(false)?;
    Some(Tested::Condition(tests.join(all, cell.at.clone())))
}

struct Tests<'a, 'r> {
    reader: &'a mut Reader<'r>,
    condition: &'a Condition,
    at: usize,
    end: usize,
}

impl Tests<'_, '_> {
    fn rest(&self) -> &str {
        self.reader.text(self.at..self.end)
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Tests between commas, up to the end, or up to the parenthesis that ends `not(`.
    fn list(&mut self, is_inside: bool) -> Option<Vec<Test>> {
        let mut tests = Vec::new();
        loop {
            self.skip_space();
            tests.push(self.test(is_inside)?);
            self.skip_space();
            match self.rest().chars().next() {
                Some(',') => {
                    self.refuse_decimal_comma(self.at)?;
                    self.at += 1;
                }
                Some(')') if is_inside => {
                    self.at += 1;
                    return Some(tests);
                }
                None if !is_inside => return Some(tests),
                None => {
                    let here = self.end..self.end;
                    self.reader.refuse(here, "the parenthesis of `not(` is not closed", "write `)`");
                    return None;
                }
                Some(_) => {
                    let stray = self.at..self.end;
                    let message = format!("`{}` stands behind a test", self.reader.text(stray.clone()));
                    self.reader.refuse(
                        stray,
                        message,
                        "write a comma between two tests; a text with such characters stands in quotes",
                    );
                    return None;
                }
            }
        }
    }

    /// `1,5`: is it one number or two?
    fn refuse_decimal_comma(&mut self, comma: usize) -> Option<()> {
        let text = self.reader.text(0..self.end);
        let digit = |character: Option<char>| character.is_some_and(|character| character.is_ascii_digit());
        let before = text.get(..comma).unwrap_or("").chars().next_back();
        let after = text.get(comma + 1..).unwrap_or("").chars().next();
        if self.reader.is_feel || !digit(before) || !digit(after) {
            return Some(());
        }
        let help = "write a decimal point (`1.5`) for one number, no separator of thousands, and a space behind the comma (`1, 5`) for two values";
        self.reader.refuse(comma..comma + 1, "a comma between two digits can be read in two ways", help);
        None
    }

    fn test(&mut self, is_inside: bool) -> Option<Test> {
        let (start, rest) = (self.at, self.rest().to_owned());
        if rest.is_empty() || rest.starts_with([',', ')']) {
            let help = format!("write a value; {ANY}");
            self.reader.refuse(
                start..start + rest.chars().next().map_or(0, char::len_utf8),
                "a test is missing here",
                help,
            );
            return None;
        }
        if let Some((foreign, help)) = FOREIGN.iter().find(|(foreign, _)| rest.starts_with(foreign)) {
            self.reader.refuse(start..start + foreign.len(), format!("`{foreign}` is not an operator"), *help);
            return None;
        }
        if let Some((text, operator)) = OPERATORS.iter().find(|(text, _)| rest.starts_with(text)) {
            return self.compare(*operator, start, text.len(), is_inside);
        }
        let word = rest.split(|character: char| !character.is_alphanumeric() && character != '_').next().unwrap_or("");
        let behind = rest.get(word.len()..).unwrap_or("");
        if word == "not" && behind.trim_start().starts_with('(') {
            self.at += word.len();
            self.skip_space();
            self.at += 1;
            let inner = self.list(true)?;
            return Some(Test::Other(self.negated(inner, start..self.at)));
        }
        if let Some((text, operator)) = WORDS.iter().find(|(text, _)| *text == word)
            && behind.starts_with([' ', '[', '"', '\''])
        {
            return self.compare(*operator, start, text.len(), is_inside);
        }
        match rest.chars().next() {
            Some('[' | '(' | ']') => self.range(),
            Some(first) if first.is_alphabetic() || first == '_' => self.word(is_inside),
            _ => self.value(is_inside),
        }
    }

    /// An operator and the expression behind it.
    fn compare(&mut self, operator: Compare, start: usize, length: usize, is_inside: bool) -> Option<Test> {
        self.at += length;
        self.skip_space();
        let at = self.operand(if is_inside { &[",", ")"] } else { &[","] });
        if at.is_empty() {
            let message = format!("nothing stands behind `{}`", self.reader.text(start..start + length));
            self.reader.refuse(start..start + length, message, "write a value or an expression behind it");
            return None;
        }
        let right = operand(self.reader, at.clone())?;
        Some(Test::Other(self.comparison(operator, right, start..at.end)))
    }

    /// `[10..20)`, `]10..20[`, ...
    fn range(&mut self) -> Option<Test> {
        let start = self.at;
        let opens = self.rest().chars().next().unwrap_or('[');
        self.at += 1;
        let low = self.operand(&[".."]);
        if !self.rest().starts_with("..") {
            let help = "write a range as `[10..20]`, with `(` or `)` where the end does not belong to it; several values with commas: `1, 2`";
            self.reader.refuse(start..self.end, "this is not a range", help);
            return None;
        }
        self.at += 2;
        let high = self.operand(&["]", ")", "["]);
        let Some(closes) = self.rest().chars().next() else {
            self.reader.refuse(
                start..self.end,
                "the range does not end",
                "write `]`, or `)` where its end does not belong to it",
            );
            return None;
        };
        self.at += 1;
        let at = start..self.at;
        let least = if opens == '[' { Compare::GreaterEqual } else { Compare::Greater };
        let most = if closes == ']' { Compare::LessEqual } else { Compare::Less };
        let (low, high) = (operand(self.reader, low)?, operand(self.reader, high)?);
        let items = vec![self.comparison(least, low, at.clone()), self.comparison(most, high, at.clone())];
        Some(Test::Other(Expr::And { items, at }))
    }

    /// A word: a literal of the language, a call, or a text.
    fn word(&mut self, is_inside: bool) -> Option<Test> {
        let at = self.operand(if is_inside { &[",", ")"] } else { &[","] });
        let text = self.reader.text(at.clone()).to_owned();
        if let Some(value) = literal(&text) {
            return Some(Test::Value(Expr::Literal { value, at }));
        }
        if self.reader.is_feel || text.contains('(') {
            return operand(self.reader, at).map(Test::Value);
        }
        refuse_unclear_word(self.reader, &text, &at)?;
        Some(Test::Value(Expr::Literal { value: Value::text(&text), at }))
    }

    /// A number, a text in quotes, a date.
    fn value(&mut self, is_inside: bool) -> Option<Test> {
        let at = self.operand(if is_inside { &[",", ")"] } else { &[","] });
        tested(self.reader, at).map(Test::Value)
    }

    /// Moves to the first of `stops` that is outside quotes and brackets; the place of what stands before it.
    fn operand(&mut self, stops: &[&str]) -> Range<usize> {
        let (start, text) = (self.at, self.rest());
        let mut depth = 0_usize;
        let mut quote = None;
        let mut length = text.len();
        let mut characters = text.char_indices();
        while let Some((at, character)) = characters.next() {
            match (quote, character) {
                (Some(open), _) if character == open => quote = None,
                (Some(_), '\\') => {
                    characters.next();
                }
                (None, _)
                    if depth == 0
                        && stops.iter().any(|stop| text.get(at..).is_some_and(|rest| rest.starts_with(stop))) =>
                {
                    length = at;
                    break;
                }
                // Within a word it is an apostrophe.
                (None, '"' | '\'') if !text.get(..at).unwrap_or("").ends_with(char::is_alphanumeric) => {
                    quote = Some(character);
                }
                (None, '(' | '[') => depth += 1,
                (None, ')' | ']') => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        self.at = start + length;
        trimmed(self.reader.text(0..self.end), start..self.at)
    }

    fn comparison(&self, operator: Compare, right: Expr, at: At) -> Expr {
        Expr::Compare { operator, left: Box::new(self.condition.subject.clone()), right: Box::new(right), at }
    }

    /// One of the tests holds.
    fn join(&self, mut tests: Vec<Test>, at: At) -> Expr {
        let is_list = |test: &Test| matches!(test, Test::Value(Expr::Literal { value, .. }) if !value.is_null());
        if tests.len() > 1 && tests.iter().all(is_list) {
            let items = tests.into_iter().map(Test::inner).collect();
            return self.comparison(Compare::In, Expr::List { items, at: at.clone() }, at);
        }
        // Null has no order: what asks for it is asked first.
        tests.sort_by_key(|test| !matches!(test, Test::Value(_)));
        let mut items: Vec<Expr> = tests
            .into_iter()
            .map(|test| match test {
                Test::Value(value) => {
                    let at = value.at();
                    self.comparison(Compare::Equal, value, at)
                }
                Test::Other(expr) => expr,
            })
            .collect();
        match (items.len(), items.pop()) {
            (1, Some(only)) => only,
            (_, last) => Expr::Or { items: items.into_iter().chain(last).collect(), at },
        }
    }

    /// None of the tests holds.
    fn negated(&self, tests: Vec<Test>, at: At) -> Expr {
        match self.join(tests, at.clone()) {
            Expr::Compare { operator: Compare::Equal, left, right, .. } => {
                Expr::Compare { operator: Compare::NotEqual, left, right, at }
            }
            other => Expr::Not { of: Box::new(other), at },
        }
    }
}

impl Test {
    fn inner(self) -> Expr {
        match self {
            Self::Value(expr) | Self::Other(expr) => expr,
        }
    }
}

/// Refuses words that stand for more than a text.
fn refuse_unclear_word(reader: &mut Reader<'_>, text: &str, at: &At) -> Option<()> {
    let quoted = format!("write '{text}' in quotes if the text is meant");
    let lower = text.to_lowercase();
    let words = || text.split_whitespace();
    let help = match lower.as_str() {
        "any" | "else" | "otherwise" | "default" => format!("{ANY}; {quoted}"),
        "true" | "false" => format!("write `{lower}`; {quoted}"),
        "null" | "nil" | "none" | "n/a" | "na" => format!("write `null`; {quoted}"),
        _ if words().any(|word| ["and", "or", "not", "in", "between"].contains(&word)) => {
            format!("write several tests with commas between them, `not(...)`, or a range `[10..20]`; {quoted}")
        }
        _ if text.contains(['"', '=', '<', '>', '[', ']', '{', '}', '+', '*', '|', '`', '“', '”', '„']) => {
            "a word alone is a text; write a text with such characters in straight quotes, and an expression behind an operator".to_owned()
        }
        _ => return Some(()),
    };
    reader.refuse(at.clone(), format!("`{text}` can be read in two ways"), help);
    None
}

/// Whether a condition of [`condition`] asks whether its subject is null.
pub(super) fn asks_for_null(expr: &Expr) -> bool {
    let is_null = |expr: &Expr| matches!(expr, Expr::Literal { value: Value::Null, .. });
    match expr {
        Expr::Compare { operator: Compare::Equal | Compare::NotEqual, right, .. } => is_null(right),
        Expr::And { items, .. } | Expr::Or { items, .. } => items.iter().any(asks_for_null),
        Expr::Not { of, .. } => asks_for_null(of),
        _ => false,
    }
}

/// Whether a condition of [`condition`] has a test that does not take null.
pub(super) fn orders(expr: &Expr) -> bool {
    match expr {
        Expr::Compare { operator, .. } => !matches!(operator, Compare::Equal | Compare::NotEqual | Compare::In),
        Expr::And { items, .. } | Expr::Or { items, .. } => items.iter().any(orders),
        Expr::Not { of, .. } => orders(of),
        _ => false,
    }
}
