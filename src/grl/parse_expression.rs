//! Parses expressions by the binding power of their operators. Chains of one power and prefixes are read in loops. Parentheses,
//! lists, calls and operands to the right of a weaker operator recurse. The depth of the recursion and of the result are
//! limited, so that no later walk over the tree can overflow the stack.

use super::ast::{Arithmetic, At, Compare, Expr, For, Path};
use super::cursor::{Cursor, Parsed};
use super::foreign;
use super::limits::DEEPEST;
use super::token::{Symbol, TokenKind};
use crate::types::Value;

const A_VALUE_IS: &str = "a value is a number, a text, a fact, a function call, or an expression in parentheses";

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
    /// `between`, whose right side is `least and most`.
    Between,
    Arithmetic(Arithmetic),
}

/// Reads one expression.
pub(super) fn expression(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    binary(cursor, Power::Or).map(|part| part.expr)
}

/// Reads operands and the operators between them that bind at least as strongly as `least`.
fn binary(cursor: &mut Cursor<'_>, least: Power) -> Parsed<Part> {
    if least == Power::Or && cursor.is_word("if") {
        return conditional(cursor);
    }
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

/// `if condition then value else value`; `else if` adds a condition.
fn conditional(cursor: &mut Cursor<'_>) -> Parsed<Part> {
    const FORM: &str = "a conditional expression is `if condition then value else value`";
    let start = cursor.here().start;
    let (mut arms, mut height) = (Vec::new(), 0);
    loop {
        cursor.go_deeper()?;
        let condition = binary(cursor, Power::Or)?;
        cursor.expect_word("then", "after the condition", FORM)?;
        let value = binary(cursor, Power::Or)?;
        height = height.max(condition.height).max(value.height);
        arms.push((condition.expr, value.expr));
        cursor.come_back();
        if !cursor.is_word("else") {
            return Err(cursor.unexpected("`else`", FORM));
        }
        if *cursor.ahead(1) != TokenKind::Word("if".to_owned()) {
            break;
        }
        cursor.advance();
    }
    cursor.go_deeper()?;
    let otherwise = binary(cursor, Power::Or)?;
    cursor.come_back();
    let height = cursor.limit_height(height.max(otherwise.height) + 1)?;
    let at = start..cursor.behind();
    Ok(Part { expr: Expr::If { arms, otherwise: Box::new(otherwise.expr), at }, height, bare: None })
}

/// `left between least and most`: both comparisons, with the place of the whole.
fn between(cursor: &mut Cursor<'_>, left: Part, least: Part) -> Parsed<Part> {
    cursor.expect_word("and", "and the upper bound", "write `x between least and most`; both bounds are included")?;
    let most = binary(cursor, Power::Sum)?;
    let at = left.expr.at().start..cursor.behind();
    let height = cursor.limit_height(left.height.max(least.height).max(most.height) + 2)?;
    let compare = |operator, left: Expr, right: Part| {
        let (left, right, at) = (Box::new(left), Box::new(right.expr), at.clone());
        Expr::Compare { operator, left, right, at }
    };
    let lower = compare(Compare::GreaterEqual, left.expr.clone(), least);
    let upper = compare(Compare::LessEqual, left.expr, most);
    Ok(Part { expr: Expr::And { items: vec![lower, upper], at: at.clone() }, height, bare: Some(Power::Compare) })
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
        (Operator::Between, expr, _) => return between(cursor, Part { expr, ..left }, right),
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
        TokenKind::Symbol(Symbol::Colon) => {
            let message = "`:` binds nothing here".to_owned();
            let help = "name a fact by its path, `order.total > 5`, and elements by `any(x in list where x.total > 5)`";
            return Err(cursor.report("unknown-operator", at, message, help));
        }
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
            "between" => Some((Operator::Between, Power::Compare)),
            "and" => Some((Operator::And, Power::And)),
            "or" => Some((Operator::Or, Power::Or)),
            _ => None,
        },
        _ => None,
    }
}

/// An operand with the `!`, `not` and `-` before it, and the `**` behind it.
fn prefixed(cursor: &mut Cursor<'_>) -> Parsed<Part> {
    let has_prefix = matches!(cursor.peek(), TokenKind::Symbol(Symbol::Not | Symbol::Minus)) || cursor.is_word("not");
    if has_prefix {
        return behind_prefixes(cursor);
    }
    let part = operand(cursor)?;
    if cursor.is(Symbol::Power) { power(cursor, part, false) } else { Ok(part) }
}

fn behind_prefixes(cursor: &mut Cursor<'_>) -> Parsed<Part> {
    let (mut prefixes, mut not_word) = (Vec::new(), None);
    loop {
        let symbol = match cursor.peek() {
            TokenKind::Symbol(symbol @ (Symbol::Not | Symbol::Minus)) => *symbol,
            TokenKind::Word(word) if word == "not" => {
                not_word = Some(cursor.here());
                Symbol::Not
            }
            _ => break,
        };
        prefixes.push((symbol, cursor.here().start));
        cursor.limit_height(prefixes.len())?;
        cursor.advance();
    }
    let mut part = operand(cursor)?;
    if cursor.is(Symbol::Power) {
        part = power(cursor, part, prefixes.iter().any(|(symbol, _)| *symbol == Symbol::Minus))?;
    }
    if let (Some(at), Some((_, Power::Compare | Power::Sum | Power::Product))) = (not_word, operator(cursor.peek())) {
        let message = "`not` before a comparison could be read in two ways".to_owned();
        return Err(cursor.report("ambiguous-operator", at, message, "write `not (a == b)`"));
    }
    for (symbol, start) in prefixes.into_iter().rev() {
        let (of, at) = (Box::new(part.expr), start..cursor.behind());
        let expr = if symbol == Symbol::Not { Expr::Not { of, at } } else { Expr::Negate { of, at } };
        part = Part { expr, height: cursor.limit_height(part.height + 1)?, bare: None };
    }
    Ok(part)
}

/// `base ** exponent`; what other languages read in different ways is refused.
fn power(cursor: &mut Cursor<'_>, base: Part, has_minus: bool) -> Parsed<Part> {
    if has_minus {
        let (at, message) = (cursor.here(), "`-` before `**` could be read in two ways".to_owned());
        return Err(cursor.report("ambiguous-operator", at, message, "write `-(a ** b)` or `(-a) ** b`"));
    }
    cursor.go_deeper()?;
    let exponent = prefixed(cursor)?;
    cursor.come_back();
    if exponent.bare == Some(Power::Product) {
        let (at, message) = (exponent.expr.at(), "`**` cannot be chained".to_owned());
        return Err(cursor.report("ambiguous-operator", at, message, "write `(a ** b) ** c` or `a ** (b ** c)`"));
    }
    let height = cursor.limit_height(base.height.max(exponent.height) + 1)?;
    let at = base.expr.at().start..cursor.behind();
    let rest = vec![(Arithmetic::Power, exponent.expr)];
    // A product that goes on is a longer chain, from the left.
    let bare = Some(Power::Product);
    Ok(Part { expr: Expr::Arithmetic { first: Box::new(base.expr), rest, at }, height, bare })
}

fn operand(cursor: &mut Cursor<'_>) -> Parsed<Part> {
    cursor.count_term()?;
    let at = cursor.here();
    match cursor.peek() {
        TokenKind::Number(text) => number(cursor, text, at),
        TokenKind::Text(text) => {
            cursor.advance();
            Ok(leaf(Expr::Literal { value: Value::text(text), at }))
        }
        TokenKind::Symbol(Symbol::OpenParen) => parenthesized(cursor),
        TokenKind::Symbol(Symbol::OpenBracket) => {
            let (items, height) = enclosed(cursor, Symbol::CloseBracket)?;
            Ok(Part { expr: Expr::List { items, at: at.start..cursor.behind() }, height, bare: None })
        }
        TokenKind::Symbol(Symbol::OpenBrace) => map(cursor),
        TokenKind::Word(word) => self::word(cursor, word, at),
        TokenKind::Symbol(_) | TokenKind::End => Err(cursor.unexpected("a value", A_VALUE_IS)),
    }
}

fn number(cursor: &mut Cursor<'_>, text: &str, at: At) -> Parsed<Part> {
    cursor.advance();
    match Value::from_number(text) {
        Ok(value) => Ok(leaf(Expr::Literal { value, at })),
        Err(error) => Err(cursor.report("malformed-number", at, error.to_string(), "")),
    }
}

fn parenthesized(cursor: &mut Cursor<'_>) -> Parsed<Part> {
    cursor.go_deeper()?;
    let inner = binary(cursor, Power::Or)?;
    cursor.come_back();
    cursor.expect(Symbol::CloseParen, "after the expression in parentheses", "")?;
    Ok(Part { bare: None, ..inner })
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
    if let Some(path) = getter(cursor, &path) {
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
    const KEYWORDS: [&str; 11] =
        ["rule", "when", "then", "else", "in", "contains", "startsWith", "endsWith", "matches", "and", "or"];
    if word.eq_ignore_ascii_case("not") {
        let message = format!("`{word}` is not an operator");
        return Err(cursor.report("unknown-operator", at.clone(), message, "write `not`, or `!`"));
    }
    if word == "if" && *cursor.ahead(1) != TokenKind::Symbol(Symbol::Dot) {
        let message = "an `if` inside an expression could be read in two ways".to_owned();
        let help = "put it in parentheses: `(if condition then value else value)`";
        return Err(cursor.report("ambiguous-operator", at.clone(), message, help));
    }
    if KEYWORDS.contains(&word) && *cursor.ahead(1) != TokenKind::Symbol(Symbol::Dot) {
        return Err(cursor.unexpected("a value", A_VALUE_IS));
    }
    let next = cursor.ahead(1);
    let is_called = *next == TokenKind::Symbol(Symbol::OpenParen);
    let goes_on = matches!(next, TokenKind::Word(_)) && operator(next).is_none() && word != "test";
    match foreign::construct(word).filter(|_| is_called || goes_on) {
        Some(help) => {
            let message = format!("`{word}` is part of other rule languages and left out of this one");
            Err(cursor.report("left-out", at.clone(), message, help))
        }
        None => Ok(()),
    }
}

/// `order.getTotal()` is the field `order.Total`, as in rust-rule-engine.
fn getter(cursor: &mut Cursor<'_>, path: &Path) -> Option<Path> {
    let field = accessed(path, "get").filter(|_| *cursor.ahead(1) == TokenKind::Symbol(Symbol::CloseParen))?;
    cursor.advance();
    cursor.advance();
    Some(Path { at: path.at.start..cursor.behind(), ..field })
}

/// The field that a method named `getTotal` or `setTotal` of a fact stands for: `Total`.
pub(super) fn accessed(path: &Path, prefix: &str) -> Option<Path> {
    let [owner @ .., method] = path.names.as_slice() else { return None };
    let field = method.strip_prefix(prefix).filter(|field| field.starts_with(char::is_uppercase))?;
    let names = owner.iter().cloned().chain([field.to_owned()]).collect();
    (!owner.is_empty()).then(|| Path { names, at: path.at.clone() })
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

/// `{name: value, ...}`
fn map(cursor: &mut Cursor<'_>) -> Parsed<Part> {
    let start = cursor.here().start;
    cursor.go_deeper()?;
    let (mut fields, mut height): (Vec<(String, Expr)>, _) = (Vec::new(), 1);
    loop {
        let (at, TokenKind::Word(name)) = (cursor.here(), cursor.peek()) else {
            return Err(cursor.unexpected("the name of a field", "a map is `{name: value, ...}`"));
        };
        if fields.iter().any(|(known, _)| known == name) {
            let message = format!("the map has two fields `{name}`");
            return Err(cursor.report("duplicate-field", at, message, "keep one of them"));
        }
        cursor.advance();
        cursor.expect(Symbol::Colon, "after the name of a field", "a map is `{name: value, ...}`")?;
        let value = binary(cursor, Power::Or)?;
        height = height.max(cursor.limit_height(value.height + 1)?);
        fields.push((name.clone(), value.expr));
        if cursor.take(Symbol::CloseBrace) {
            break;
        }
        if !cursor.take(Symbol::Comma) {
            return Err(cursor.unexpected("`,` or `}`", ""));
        }
    }
    cursor.come_back();
    Ok(Part { expr: Expr::Map { fields, at: start..cursor.behind() }, height, bare: None })
}

/// What `for` and `where` make of an item of a list or call: `value for name in list where condition`, or, without a value,
/// `name in list where condition`.
fn comprehension(cursor: &mut Cursor<'_>, item: Part) -> Parsed<Part> {
    const FORM: &str = "write `value for name in list where condition`, or `name in list where condition`";
    let start = item.expr.at().start;
    let (value, name, name_at, list, mut height) = if cursor.take_word("for") {
        let (name_at, TokenKind::Word(name)) = (cursor.here(), cursor.peek()) else {
            return Err(cursor.unexpected("a name for the elements", FORM));
        };
        cursor.advance();
        cursor.expect_word("in", "and the list", FORM)?;
        let list = binary(cursor, Power::Or)?;
        (Some(item.expr), name.clone(), name_at, list.expr, item.height.max(list.height))
    } else {
        match (item.expr, item.bare) {
            (Expr::Compare { operator: Compare::In, left, right, .. }, Some(Power::Compare)) => match *left {
                Expr::Path(Path { names, at }) if names.len() == 1 => (None, names.concat(), at, *right, item.height),
                other => {
                    let message = "the element needs a name of its own".to_owned();
                    return Err(cursor.report("bad-name", other.at(), message, FORM));
                }
            },
            _ => return Err(cursor.unexpected("`,` or the end of the list", FORM)),
        }
    };
    let condition = if cursor.take_word("where") {
        let condition = binary(cursor, Power::Or)?;
        height = height.max(condition.height);
        Some(condition.expr)
    } else {
        None
    };
    let at = start..cursor.behind();
    let expr = Expr::For(Box::new(For { value, name, name_at, list, condition, at }));
    Ok(Part { expr, height: cursor.limit_height(height + 1)?, bare: None })
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
        let item = if cursor.is_word("for") || cursor.is_word("where") { comprehension(cursor, item)? } else { item };
        height = height.max(cursor.limit_height(item.height + 1)?);
        items.push(item.expr);
    }
    cursor.come_back();
    Ok((items, height))
}
