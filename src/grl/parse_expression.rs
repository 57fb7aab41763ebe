//! Parses expressions by the binding power of their operators. Chains of one power and prefixes are read in loops. Parentheses,
//! lists, calls and operands to the right of a weaker operator recurse. The depth of the recursion and of the result are
//! limited, so that no later walk over the tree can overflow the stack.

use super::ast::{Arithmetic, At, Compare, Expr, Path};
use super::cursor::{Cursor, Parsed};
use super::foreign;
use super::limits::DEEPEST;
use super::token::{Symbol, TokenKind};
use crate::types::Value;

const A_VALUE_IS: &str = "a value is a number, a text, a fact, a function call, or an expression in parentheses";

/// The help for parts of other dialects.
pub(super) const LEFT_OUT_HELP: &str = "see the list of what the language leaves out in rules/README.md";

/// An expression and its depth.
struct Part {
    expr: Expr,
    height: usize,
    /// The power of its operators, if it is not in parentheses: an operator of the same power continues the chain.
    bare: Option<Power>,
}

/// The binding power of operators, from the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Power {
    Or,
    And,
    Compare,
    Sum,
    Product,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy)]
enum Operator {
    Or,
    And,
    Compare(Compare),
    Arithmetic(Arithmetic),
}

/// Reads one expression.
pub(super) fn expression(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    binary(cursor, Power::Or).map(|part| part.expr)
}

/// Reads operands and the operators between them that bind at least as strongly as `least`.
fn binary(cursor: &mut Cursor<'_>, least: Power) -> Parsed<Part> {
    let mut left = prefixed(cursor)?;
    loop {
        let Some((operator, power)) = operator(cursor.peek()) else {
            refuse_foreign_operator(cursor)?;
            return Ok(left);
        };
        if power < least {
            return Ok(left);
        }
        if power == Power::Compare && left.bare == Some(Power::Compare) {
            let here = cursor.here();
            let help = "write `a < b && b < c`, or put one comparison in parentheses";
            return Err(cursor.report("chained-comparison", here, "comparisons cannot be chained".to_owned(), help));
        }
        cursor.go_deeper()?;
        let right = match power {
            Power::Or => binary(cursor, Power::And)?,
            Power::And => binary(cursor, Power::Compare)?,
            Power::Compare => binary(cursor, Power::Sum)?,
            Power::Sum => binary(cursor, Power::Product)?,
            Power::Product => prefixed(cursor)?,
        };
        cursor.come_back();
        left = join(cursor, left, operator, power, right)?;
    }
}

/// `left operator right`; a chain of the same power on the left becomes longer.
fn join(cursor: &mut Cursor<'_>, left: Part, operator: Operator, power: Power, right: Part) -> Parsed<Part> {
    let at = left.expr.at().start..cursor.behind();
    let continues = left.bare == Some(power);
    let height = if continues { left.height.max(right.height + 1) } else { left.height.max(right.height) + 1 };
    let expr = match (operator, left.expr, continues) {
        (Operator::Or, Expr::Or { mut items, .. }, true) => {
            items.push(right.expr);
            Expr::Or { items, at }
        }
        (Operator::And, Expr::And { mut items, .. }, true) => {
            items.push(right.expr);
            Expr::And { items, at }
        }
        (Operator::Arithmetic(operator), Expr::Arithmetic { first, mut rest, .. }, true) => {
            rest.push((operator, right.expr));
            Expr::Arithmetic { first, rest, at }
        }
        (Operator::Or, left, _) => Expr::Or { items: vec![left, right.expr], at },
        (Operator::And, left, _) => Expr::And { items: vec![left, right.expr], at },
        (Operator::Arithmetic(operator), left, _) => {
            Expr::Arithmetic { first: Box::new(left), rest: vec![(operator, right.expr)], at }
        }
        (Operator::Compare(operator), left, _) => {
            Expr::Compare { operator, left: Box::new(left), right: Box::new(right.expr), at }
        }
    };
    Ok(Part { expr, height: cursor.limit_height(height)?, bare: Some(power) })
}

/// Operators of other languages, refused by name.
fn refuse_foreign_operator(cursor: &mut Cursor<'_>) -> Parsed<()> {
    let at = cursor.here();
    let word = match cursor.peek() {
        TokenKind::Word(word) => word,
        TokenKind::Symbol(Symbol::Assign) => {
            let message = "`=` does not compare".to_owned();
            return Err(cursor.report("unknown-operator", at, message, "`==` compares; `=` assigns"));
        }
        _ => return Ok(()),
    };
    let next = match cursor.ahead(1) {
        TokenKind::Word(next) => Some(next.as_str()),
        _ => None,
    };
    match foreign::operator(word, next) {
        Some(help) => Err(cursor.report("unknown-operator", at, format!("`{word}` is not an operator"), help)),
        None => Ok(()),
    }
}

fn operator(kind: &TokenKind) -> Option<(Operator, Power)> {
    let comparison = |operator| Some((Operator::Compare(operator), Power::Compare));
    let arithmetic = |operator, power| Some((Operator::Arithmetic(operator), power));
    match kind {
        TokenKind::Symbol(symbol) => match symbol {
            Symbol::OrOr => Some((Operator::Or, Power::Or)),
            Symbol::AndAnd => Some((Operator::And, Power::And)),
            Symbol::Equal => comparison(Compare::Equal),
            Symbol::NotEqual => comparison(Compare::NotEqual),
            Symbol::Less => comparison(Compare::Less),
            Symbol::LessEqual => comparison(Compare::LessEqual),
            Symbol::Greater => comparison(Compare::Greater),
            Symbol::GreaterEqual => comparison(Compare::GreaterEqual),
            Symbol::Plus => arithmetic(Arithmetic::Add, Power::Sum),
            Symbol::Minus => arithmetic(Arithmetic::Subtract, Power::Sum),
            Symbol::Star => arithmetic(Arithmetic::Multiply, Power::Product),
            Symbol::Slash => arithmetic(Arithmetic::Divide, Power::Product),
            Symbol::Percent => arithmetic(Arithmetic::Remainder, Power::Product),
            _ => None,
        },
        TokenKind::Word(word) => match word.as_str() {
            "in" => comparison(Compare::In),
            "contains" => comparison(Compare::Contains),
            "startsWith" => comparison(Compare::StartsWith),
            "endsWith" => comparison(Compare::EndsWith),
            "matches" => comparison(Compare::Matches),
            _ => None,
        },
        _ => None,
    }
}

/// An operand with the `!` and `-` before it.
fn prefixed(cursor: &mut Cursor<'_>) -> Parsed<Part> {
    let mut prefixes = Vec::new();
    while let TokenKind::Symbol(symbol @ (Symbol::Not | Symbol::Minus)) = cursor.peek() {
        prefixes.push((*symbol, cursor.here().start));
        cursor.limit_height(prefixes.len())?;
        cursor.advance();
    }
    let mut part = operand(cursor)?;
    for (symbol, start) in prefixes.into_iter().rev() {
        let (of, at) = (Box::new(part.expr), start..cursor.behind());
        let expr = if symbol == Symbol::Not { Expr::Not { of, at } } else { Expr::Negate { of, at } };
        part = Part { expr, height: cursor.limit_height(part.height + 1)?, bare: None };
    }
    Ok(part)
}

fn operand(cursor: &mut Cursor<'_>) -> Parsed<Part> {
    cursor.count_term()?;
    let at = cursor.here();
    match cursor.peek() {
        TokenKind::Number(text) => {
            let value = Value::from_number(text);
            cursor.advance();
            match value {
                Ok(value) => Ok(leaf(Expr::Literal { value, at })),
                Err(error) => Err(cursor.report("malformed-number", at, error.to_string(), "")),
            }
        }
        TokenKind::Text(text) => {
            cursor.advance();
            Ok(leaf(Expr::Literal { value: Value::text(text), at }))
        }
        TokenKind::Symbol(Symbol::OpenParen) => {
            cursor.go_deeper()?;
            let inner = binary(cursor, Power::Or)?;
            cursor.come_back();
            cursor.expect(Symbol::CloseParen, "after the expression in parentheses", "")?;
            Ok(Part { bare: None, ..inner })
        }
        TokenKind::Symbol(Symbol::OpenBracket) => {
            let (items, height) = enclosed(cursor, Symbol::CloseBracket)?;
            Ok(Part { expr: Expr::List { items, at: at.start..cursor.behind() }, height, bare: None })
        }
        TokenKind::Word(word) => self::word(cursor, word, at),
        TokenKind::Symbol(_) | TokenKind::End => Err(cursor.unexpected("a value", A_VALUE_IS)),
    }
}

fn leaf(expr: Expr) -> Part {
    Part { expr, height: 1, bare: None }
}

fn word(cursor: &mut Cursor<'_>, word: &str, at: At) -> Parsed<Part> {
    let literal = match word {
        "true" => Some(Value::Boolean(true)),
        "false" => Some(Value::Boolean(false)),
        "null" | "nil" => Some(Value::Null),
        _ => None,
    };
    if let Some(value) = literal {
        cursor.advance();
        return Ok(leaf(Expr::Literal { value, at }));
    }
    refuse_words(cursor, word, &at)?;
    let path = path(cursor)?;
    if !cursor.is(Symbol::OpenParen) {
        return Ok(leaf(Expr::Path(path)));
    }
    let [name] = path.names.as_slice() else {
        let message = format!("`{}` is a method call, which the language leaves out", path.written());
        let help = "call a function with the value as its argument, such as `len(name)`";
        return Err(cursor.report("left-out", path.at, message, help));
    };
    let name = name.clone();
    let (arguments, height) = enclosed(cursor, Symbol::CloseParen)?;
    let expr = Expr::Call { name, name_at: path.at, at: at.start..cursor.behind(), arguments };
    Ok(Part { expr, height, bare: None })
}

/// Refuses words that cannot be facts.
fn refuse_words(cursor: &mut Cursor<'_>, word: &str, at: &At) -> Parsed<()> {
    const KEYWORDS: [&str; 8] = ["rule", "when", "then", "in", "contains", "startsWith", "endsWith", "matches"];
    if word.eq_ignore_ascii_case("not") {
        let message = format!("`{word}` is not an operator");
        return Err(cursor.report("unknown-operator", at.clone(), message, "write `!`"));
    }
    if KEYWORDS.contains(&word) && *cursor.ahead(1) != TokenKind::Symbol(Symbol::Dot) {
        return Err(cursor.unexpected("a value", A_VALUE_IS));
    }
    match left_out(word, cursor.ahead(1)) {
        Some(message) => Err(cursor.report("left-out", at.clone(), message, LEFT_OUT_HELP)),
        None => Ok(()),
    }
}

/// Parts of other GRL dialects that this one does not have.
fn left_out(word: &str, next: &TokenKind) -> Option<String> {
    let followed_by_paren = matches!(next, TokenKind::Symbol(Symbol::OpenParen));
    let name = match word {
        "exists" | "forall" | "accumulate" | "test" if followed_by_paren => word,
        "exists" | "forall" | "if" | "case" if matches!(next, TokenKind::Word(_)) => word,
        _ => return None,
    };
    Some(format!("`{name}` is part of other rule languages and left out of this one"))
}

/// A dotted name.
pub(super) fn path(cursor: &mut Cursor<'_>) -> Parsed<Path> {
    let start = cursor.here().start;
    let mut names = Vec::new();
    loop {
        let TokenKind::Word(name) = cursor.peek() else {
            return Err(cursor.unexpected("a name", "a name starts with a letter or `_`"));
        };
        if names.len() >= cursor.limits.max_nesting.min(DEEPEST) {
            let (at, message) = (cursor.here(), "the name has too many parts".to_owned());
            return Err(cursor.report("nested-too-deep", at, message, ""));
        }
        names.push(name.clone());
        cursor.advance();
        if !cursor.take(Symbol::Dot) {
            return Ok(Path { names, at: start..cursor.behind() });
        }
    }
}

/// Expressions separated by commas, up to `close`; the opening token is next.
pub(super) fn items(cursor: &mut Cursor<'_>, close: Symbol) -> Parsed<Vec<Expr>> {
    enclosed(cursor, close).map(|(items, _)| items)
}

/// As [`items`], with the depth of what encloses them.
fn enclosed(cursor: &mut Cursor<'_>, close: Symbol) -> Parsed<(Vec<Expr>, usize)> {
    cursor.go_deeper()?;
    let (mut items, mut height) = (Vec::new(), 1);
    while !cursor.take(close) {
        if !items.is_empty() && !cursor.take(Symbol::Comma) {
            return Err(cursor.unexpected(&format!("`,` or `{}`", close.text()), ""));
        }
        let item = binary(cursor, Power::Or)?;
        height = height.max(cursor.limit_height(item.height + 1)?);
        items.push(item.expr);
    }
    cursor.come_back();
    Ok((items, height))
}
