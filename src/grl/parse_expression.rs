//! Expressions, by precedence: `||`, `&&`, comparison, `+ -`, `* / %`, `! -`, operand. Chains of one precedence are read
//! in a loop; only parentheses, prefixes, lists and calls go deeper, up to the nesting limit.

use super::ast::{Arithmetic, Compare, Expr, Path};
use super::cursor::{Cursor, Parsed};
use super::limits::DEEPEST;
use super::token::{Kind, Symbol};
use crate::types::Value;

/// Reads one expression.
pub(super) fn expression(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    chain(cursor, Symbol::OrOr, conjunction, |items, at| Expr::Or { items, at })
}

fn conjunction(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    chain(cursor, Symbol::AndAnd, comparison, |items, at| Expr::And { items, at })
}

fn chain(
    cursor: &mut Cursor<'_>,
    symbol: Symbol,
    item: fn(&mut Cursor<'_>) -> Parsed<Expr>,
    build: fn(Vec<Expr>, std::ops::Range<usize>) -> Expr,
) -> Parsed<Expr> {
    let first = item(cursor)?;
    if !cursor.is(symbol) {
        refuse_word_operator(cursor)?;
        return Ok(first);
    }
    let start = first.at().start;
    let mut items = vec![first];
    while cursor.take(symbol) {
        items.push(item(cursor)?);
    }
    refuse_word_operator(cursor)?;
    let end = cursor.behind();
    Ok(build(items, start..end))
}

/// `and`, `or` and `not` are not of the language, and told by name.
fn refuse_word_operator(cursor: &mut Cursor<'_>) -> Parsed<()> {
    let Kind::Word(word) = cursor.peek() else { return Ok(()) };
    let symbol = match word.to_ascii_lowercase().as_str() {
        "and" => "&&",
        "or" => "||",
        _ => return Ok(()),
    };
    let (at, message) = (cursor.here(), format!("`{word}` is not an operator"));
    Err(cursor.complain("unknown-operator", at, message, &format!("write `{symbol}`")))
}

fn comparison(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    let left = sum(cursor)?;
    let Some(operator) = comparison_operator(cursor) else { return Ok(left) };
    cursor.advance();
    let right = sum(cursor)?;
    let at = left.at().start..cursor.behind();
    if comparison_operator(cursor).is_some() {
        let here = cursor.here();
        let help = "write `a < b && b < c`, or put one comparison in parentheses";
        return Err(cursor.complain("chained-comparison", here, "comparisons cannot be chained".to_owned(), help));
    }
    Ok(Expr::Compare { operator, left: Box::new(left), right: Box::new(right), at })
}

fn comparison_operator(cursor: &Cursor<'_>) -> Option<Compare> {
    match cursor.peek() {
        Kind::Symbol(symbol) => match symbol {
            Symbol::Equal => Some(Compare::Equal),
            Symbol::NotEqual => Some(Compare::NotEqual),
            Symbol::Less => Some(Compare::Less),
            Symbol::LessEqual => Some(Compare::LessEqual),
            Symbol::Greater => Some(Compare::Greater),
            Symbol::GreaterEqual => Some(Compare::GreaterEqual),
            _ => None,
        },
        Kind::Word(word) => match word.as_str() {
            "in" => Some(Compare::In),
            "contains" => Some(Compare::Contains),
            "startsWith" => Some(Compare::StartsWith),
            "endsWith" => Some(Compare::EndsWith),
            "matches" => Some(Compare::Matches),
            _ => None,
        },
        _ => None,
    }
}

fn sum(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    arithmetic(cursor, product, |kind| match kind {
        Kind::Symbol(Symbol::Plus) => Some(Arithmetic::Add),
        Kind::Symbol(Symbol::Minus) => Some(Arithmetic::Subtract),
        _ => None,
    })
}

fn product(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    arithmetic(cursor, prefix, |kind| match kind {
        Kind::Symbol(Symbol::Star) => Some(Arithmetic::Multiply),
        Kind::Symbol(Symbol::Slash) => Some(Arithmetic::Divide),
        Kind::Symbol(Symbol::Percent) => Some(Arithmetic::Remainder),
        _ => None,
    })
}

fn arithmetic(
    cursor: &mut Cursor<'_>,
    operand: fn(&mut Cursor<'_>) -> Parsed<Expr>,
    operator: fn(&Kind) -> Option<Arithmetic>,
) -> Parsed<Expr> {
    let first = operand(cursor)?;
    let mut rest = Vec::new();
    while let Some(operator) = operator(cursor.peek()) {
        cursor.advance();
        rest.push((operator, operand(cursor)?));
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let at = first.at().start..cursor.behind();
    Ok(Expr::Arithmetic { first: Box::new(first), rest, at })
}

fn prefix(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    let start = cursor.here().start;
    if cursor.take(Symbol::Not) {
        let of = Box::new(cursor.deeper(prefix)?);
        return Ok(Expr::Not { of, at: start..cursor.behind() });
    }
    if cursor.take(Symbol::Minus) {
        let of = Box::new(cursor.deeper(prefix)?);
        return Ok(Expr::Negate { of, at: start..cursor.behind() });
    }
    operand(cursor)
}

fn operand(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    cursor.count_term()?;
    let at = cursor.here();
    match cursor.peek() {
        Kind::Number(text) => {
            let value = Value::from_number(text);
            cursor.advance();
            match value {
                Ok(value) => Ok(Expr::Literal { value, at }),
                Err(error) => Err(cursor.complain("malformed-number", at, error.to_string(), "")),
            }
        }
        Kind::Text(text) => {
            let value = Value::text(text);
            cursor.advance();
            Ok(Expr::Literal { value, at })
        }
        Kind::Symbol(Symbol::OpenParen) => {
            cursor.advance();
            let inner = cursor.deeper(expression)?;
            cursor.expect(Symbol::CloseParen, "after the expression in parentheses", "")?;
            Ok(inner)
        }
        Kind::Symbol(Symbol::OpenBracket) => {
            cursor.advance();
            let items = cursor.deeper(|cursor| items(cursor, Symbol::CloseBracket))?;
            Ok(Expr::List { items, at: at.start..cursor.behind() })
        }
        Kind::Word(word) => self::word(cursor, word, at),
        Kind::Symbol(_) | Kind::End => Err(cursor.unexpected(
            "a value",
            "a value is a number, a text, a fact, a function call, or an expression in parentheses",
        )),
    }
}

fn word(cursor: &mut Cursor<'_>, word: &str, at: std::ops::Range<usize>) -> Parsed<Expr> {
    let literal = match word {
        "true" => Some(Value::Boolean(true)),
        "false" => Some(Value::Boolean(false)),
        "null" | "nil" => Some(Value::Null),
        _ => None,
    };
    if let Some(value) = literal {
        cursor.advance();
        return Ok(Expr::Literal { value, at });
    }
    if let Some(message) = left_out(word, cursor.ahead(1)) {
        return Err(cursor.complain(
            "left-out",
            at,
            message,
            "see the list of what the language leaves out in rules/README.md",
        ));
    }
    let path = path(cursor)?;
    if !cursor.is(Symbol::OpenParen) {
        return Ok(Expr::Path(path));
    }
    let [name] = path.names.as_slice() else {
        let message = format!("`{}` is a method call, which the language leaves out", path.written());
        return Err(cursor.complain(
            "left-out",
            path.at,
            message,
            "call a function with the value as its argument, such as `len(name)`",
        ));
    };
    let name = name.clone();
    cursor.advance();
    let arguments = cursor.deeper(|cursor| items(cursor, Symbol::CloseParen))?;
    Ok(Expr::Call { name, name_at: path.at, at: at.start..cursor.behind(), arguments })
}

/// Parts of other GRL dialects that this one does not have.
fn left_out(word: &str, next: &Kind) -> Option<String> {
    let followed_by_paren = matches!(next, Kind::Symbol(Symbol::OpenParen));
    let name = match word {
        "exists" | "forall" | "accumulate" | "test" if followed_by_paren => word,
        "exists" | "forall" if matches!(next, Kind::Word(_)) => word,
        "not" => return Some("`not` is not an operator: write `!`".to_owned()),
        _ => return None,
    };
    Some(format!("`{name}` is part of other rule languages and left out of this one"))
}

/// A dotted name.
pub(super) fn path(cursor: &mut Cursor<'_>) -> Parsed<Path> {
    let start = cursor.here().start;
    let mut names = Vec::new();
    loop {
        let Kind::Word(name) = cursor.peek() else {
            return Err(cursor.unexpected("a name", "a name starts with a letter or `_`"));
        };
        if names.len() >= cursor.limits.max_nesting.min(DEEPEST) {
            let (at, message) = (cursor.here(), "the name has too many parts".to_owned());
            return Err(cursor.complain("nested-too-deep", at, message, ""));
        }
        names.push(name.clone());
        cursor.advance();
        if !cursor.take(Symbol::Dot) {
            return Ok(Path { names, at: start..cursor.behind() });
        }
    }
}

/// Expressions with commas between, up to `close`.
pub(super) fn items(cursor: &mut Cursor<'_>, close: Symbol) -> Parsed<Vec<Expr>> {
    let mut items = Vec::new();
    if cursor.take(close) {
        return Ok(items);
    }
    loop {
        items.push(expression(cursor)?);
        if cursor.take(close) {
            return Ok(items);
        }
        if !cursor.take(Symbol::Comma) {
            return Err(cursor.unexpected(&format!("`,` or `{}`", close.text()), ""));
        }
    }
}
