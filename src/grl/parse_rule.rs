//! Rules: `rule "Name" "description" attributes { when expression then statements }`.

use super::ast::{Assign, At, Expr, Path, Rule, Statement};
use super::cursor::{Cursor, Parsed, Stopped};
use super::foreign;
use super::parse_expression::{accessed, expression, items, path};
use super::token::{Symbol, TokenKind};
use crate::diagnostics::nearest;
use crate::types::Value;

/// Attributes of rules that this language knows.
const ATTRIBUTES: &[&str] = &["salience", "no-loop", "date-effective", "date-expires"];
/// The help for statements that would act on something outside.
const ACTION_HELP: &str =
    "assign a fact, such as `notify = true;`, and show it in an outcome, so that the caller acts on it";

/// Reads all rules of a file. A rule with an error is reported and skipped.
pub(super) fn rules(cursor: &mut Cursor<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    while !cursor.is_end() {
        let (start, in_rule) = (cursor.here().start, cursor.is_word("rule") || cursor.is_word("let"));
        match rule(cursor) {
            Ok(rule) => rules.push(rule),
            Err(Stopped) => cursor.skip_to_rule(),
        }
        if !in_rule {
            cursor.skipped.push(start..cursor.here().start);
        }
    }
    rules
}

fn rule(cursor: &mut Cursor<'_>) -> Parsed<Rule> {
    if cursor.is_word("let") && matches!(cursor.ahead(1), TokenKind::Word(_)) {
        return definition(cursor);
    }
    if !cursor.take_word("rule") {
        let error = not_a_rule(cursor);
        // Past this token, so that it is not read again.
        cursor.advance();
        return Err(error);
    }
    (cursor.terms, cursor.depth) = (0, 0);
    let name_at = cursor.here();
    let name = match cursor.peek() {
        TokenKind::Text(name) | TokenKind::Word(name) => name.clone(),
        _ => return Err(cursor.unexpected("the rule's name", "a name is a text in quotes or a word")),
    };
    cursor.advance();
    if name.trim().is_empty() {
        return Err(cursor.report("empty-name", name_at, "a rule's name may not be empty".to_owned(), ""));
    }
    let attributes = attributes(cursor)?;
    cursor.expect(Symbol::OpenBrace, "before `when`", "a rule's body stands in braces: `{ when ... then ... }`")?;
    let (when, then) = body(cursor)?;
    let Attributes { description, salience, no_loop, effective, expires } = attributes;
    let (salience, no_loop) = (salience.unwrap_or(0), no_loop.unwrap_or(false));
    Ok(Rule { name, name_at, description, salience, no_loop, is_let: false, effective, expires, when, then })
}

/// `let fact = expression;`: a rule that assigns the value whenever it is known.
fn definition(cursor: &mut Cursor<'_>) -> Parsed<Rule> {
    let start = cursor.here().start;
    (cursor.terms, cursor.depth) = (0, 0);
    cursor.advance();
    let target = path(cursor)?;
    cursor.expect(Symbol::Assign, "after the name", "write `let fact = expression;`")?;
    let value = expression(cursor)?;
    end_statement(cursor)?;
    let (name, name_at, at) = (format!("let {}", target.written()), target.at.clone(), start..cursor.behind());
    let when = Expr::Literal { value: Value::Boolean(true), at: at.clone() };
    let then = vec![Statement::Assign { target, operator: Assign::Set, value, at }];
    let (description, effective, expires) = (None, None, None);
    Ok(Rule { name, name_at, description, salience: 0, no_loop: false, is_let: true, effective, expires, when, then })
}

fn not_a_rule(cursor: &mut Cursor<'_>) -> Stopped {
    let at = cursor.here();
    match cursor.peek() {
        TokenKind::Word(word) if let Some(help) = foreign::definition(word) => {
            let message = format!("`{word}` is part of other rule languages and left out of this one");
            cursor.report("left-out", at, message, help)
        }
        TokenKind::Word(word) if nearest(word, ["rule"]).is_some() => {
            cursor.unexpected("`rule`", "did you mean `rule`?")
        }
        TokenKind::Symbol(Symbol::Semicolon | Symbol::Minus | Symbol::Percent | Symbol::Star) => {
            cursor.unexpected("`rule`", "a rule ends with `}`; a comment begins with `//`")
        }
        _ => cursor.unexpected("`rule`", "a file holds rules, `let fact = expression;` and comments, nothing else"),
    }
}

#[derive(Default)]
struct Attributes {
    description: Option<String>,
    salience: Option<i32>,
    no_loop: Option<bool>,
    effective: Option<(String, At)>,
    expires: Option<(String, At)>,
}

fn attributes(cursor: &mut Cursor<'_>) -> Parsed<Attributes> {
    let mut attributes = Attributes::default();
    if let TokenKind::Text(description) = cursor.peek() {
        attributes.description = Some(description.clone());
        cursor.advance();
    }
    while !cursor.is_word("when")
        && !cursor.is_word("then")
        && let Some((name, at)) = attribute_name(cursor)
    {
        let fresh = match name.as_str() {
            "salience" => attributes.salience.replace(salience(cursor)?).is_none(),
            "no-loop" => attributes.no_loop.replace(flag(cursor)).is_none(),
            "date-effective" => attributes.effective.replace(date(cursor, &name)?).is_none(),
            "date-expires" => attributes.expires.replace(date(cursor, &name)?).is_none(),
            other => return Err(unknown_attribute(cursor, other, at)),
        };
        if !fresh {
            return Err(cursor.report("duplicate-attribute", at, format!("`{name}` stands twice"), "keep one of them"));
        }
    }
    Ok(attributes)
}

/// A word, with the words that dashes without spaces join to it: `no-loop`.
fn attribute_name(cursor: &mut Cursor<'_>) -> Option<(String, At)> {
    let TokenKind::Word(first) = cursor.peek() else { return None };
    let mut name = first.clone();
    let mut at = cursor.here();
    cursor.advance();
    while let (TokenKind::Symbol(Symbol::Minus), TokenKind::Word(next)) = (cursor.peek(), cursor.ahead(1)) {
        if cursor.here().start != at.end || cursor.here_ahead(1).start != at.end + 1 {
            break;
        }
        name = format!("{name}-{next}");
        at.end = cursor.here_ahead(1).end;
        cursor.advance();
        cursor.advance();
    }
    Some((name, at))
}

fn unknown_attribute(cursor: &mut Cursor<'_>, name: &str, at: At) -> Stopped {
    if let Some(help) = foreign::attribute(name) {
        let message = format!("the attribute `{name}` is part of other rule languages and left out of this one");
        return cursor.report("left-out", at, message, help);
    }
    let known = nearest(name, ATTRIBUTES.iter().copied());
    let help = known.map_or_else(
        || format!("the attributes are: {}; a name of several words stands in quotes", ATTRIBUTES.join(", ")),
        |known| format!("did you mean `{known}`?"),
    );
    cursor.report("unknown-attribute", at, format!("there is no attribute `{name}`"), &help)
}

fn salience(cursor: &mut Cursor<'_>) -> Parsed<i32> {
    let start = cursor.here().start;
    let negative = cursor.take(Symbol::Minus);
    let TokenKind::Number(text) = cursor.peek() else {
        return Err(cursor.unexpected("a whole number after `salience`", "rules of higher salience run first"));
    };
    let number = text.parse::<i32>().map(|number| if negative { -number } else { number });
    cursor.advance();
    number.map_err(|_| {
        let at = start..cursor.behind();
        cursor.report("bad-salience", at, "a salience is a whole number from -2147483647 to 2147483647".to_owned(), "")
    })
}

/// `no-loop`, `no-loop true`, `no-loop false`.
fn flag(cursor: &mut Cursor<'_>) -> bool {
    !cursor.take_word("false") && {
        cursor.take_word("true");
        true
    }
}

fn date(cursor: &mut Cursor<'_>, attribute: &str) -> Parsed<(String, At)> {
    let at = cursor.here();
    let TokenKind::Text(text) = cursor.peek() else {
        return Err(cursor.unexpected(
            &format!("a date in quotes after `{attribute}`"),
            "such as \"2026-01-31\" or \"2026-01-31T08:00:00Z\"",
        ));
    };
    let text = text.clone();
    cursor.advance();
    Ok((text, at))
}

fn body(cursor: &mut Cursor<'_>) -> Parsed<(Expr, Vec<Statement>)> {
    if !cursor.take_word("when") {
        let help = match cursor.peek() {
            TokenKind::Word(word) if ATTRIBUTES.iter().any(|known| known.split('-').next() == Some(word)) => {
                "attributes stand before the brace: `rule \"Name\" salience 10 no-loop { when ... then ... }`"
            }
            _ => "a rule is `when` a condition `then` statements",
        };
        return Err(cursor.unexpected("`when`", help));
    }
    if cursor.is_word("then") {
        let at = cursor.here();
        return Err(cursor.report(
            "empty-when",
            at,
            "the condition is missing".to_owned(),
            "write `when true` for a rule that always holds",
        ));
    }
    let when = expression(cursor)?;
    if !cursor.take_word("then") {
        return Err(cursor.unexpected("`then`, or an operator that continues the condition", ""));
    }
    let mut then = Vec::new();
    while !cursor.is(Symbol::CloseBrace) {
        then.push(statement(cursor)?);
    }
    let end = cursor.here();
    cursor.advance();
    if then.is_empty() {
        return Err(cursor.report(
            "empty-then",
            end,
            "the rule does nothing".to_owned(),
            "write a statement after `then`, such as `x = 1;`",
        ));
    }
    Ok((when, then))
}

fn statement(cursor: &mut Cursor<'_>) -> Parsed<Statement> {
    let start = cursor.here().start;
    cursor.terms = 0;
    let TokenKind::Word(word) = cursor.peek() else {
        return Err(
            cursor.unexpected("a statement or `}`", "a statement is `fact = expression;` or `Log(expression, ...);`")
        );
    };
    let goes_on = match cursor.ahead(1) {
        TokenKind::Word(_) | TokenKind::Number(_) | TokenKind::Text(_) => true,
        TokenKind::Symbol(symbol) => *symbol == Symbol::OpenParen,
        TokenKind::End => false,
    };
    if let Some(help) = foreign::statement(word, goes_on) {
        return Err(cursor.report("left-out", cursor.here(), format!("there is no `{word}`"), help));
    }
    if matches!(cursor.ahead(1), TokenKind::Symbol(Symbol::OpenParen)) {
        return call(cursor, word, start);
    }
    let target = path(cursor)?;
    if cursor.is(Symbol::OpenParen) {
        return setter(cursor, &target, start);
    }
    let operator = match cursor.peek() {
        TokenKind::Symbol(Symbol::Assign) => Assign::Set,
        TokenKind::Symbol(Symbol::PlusAssign) => Assign::Add,
        TokenKind::Symbol(Symbol::MinusAssign) => Assign::Subtract,
        TokenKind::Symbol(Symbol::Equal) => {
            return Err(cursor.unexpected("`=`", "`==` compares; `=` assigns"));
        }
        _ => {
            return Err(cursor
                .unexpected("`=`, `+=` or `-=`", "a statement is `fact = expression;` or `Log(expression, ...);`"));
        }
    };
    cursor.advance();
    let value = expression(cursor)?;
    end_statement(cursor)?;
    Ok(Statement::Assign { target, operator, value, at: start..cursor.behind() })
}

/// `order.setTotal(value);` is `order.Total = value;`, as in rust-rule-engine.
fn setter(cursor: &mut Cursor<'_>, method: &Path, start: usize) -> Parsed<Statement> {
    let values = match accessed(method, "set") {
        Some(target) => Some((target, items(cursor, Symbol::CloseParen)?)),
        None => None,
    };
    let Some((target, Ok([value]))) = values.map(|(target, values)| (target, <[Expr; 1]>::try_from(values))) else {
        let message = format!("`{}` is a method call, which the language leaves out", method.written());
        return Err(cursor.report("left-out", method.at.clone(), message, ACTION_HELP));
    };
    end_statement(cursor)?;
    Ok(Statement::Assign { target, operator: Assign::Set, value, at: start..cursor.behind() })
}

fn call(cursor: &mut Cursor<'_>, word: &str, start: usize) -> Parsed<Statement> {
    let at = cursor.here();
    if let Some(help) = foreign::action(word) {
        let message = format!("the statement `{word}` is part of other rule languages and left out of this one");
        return Err(cursor.report("left-out", at, message, help));
    }
    if word != "Log" && word != "log" {
        let message = format!("`{word}(...)` is not a statement: rules decide, and act on nothing outside");
        return Err(cursor.report("unknown-statement", at, message, ACTION_HELP));
    }
    cursor.advance();
    let values = items(cursor, Symbol::CloseParen)?;
    end_statement(cursor)?;
    Ok(Statement::Log { values, at: start..cursor.behind() })
}

fn end_statement(cursor: &mut Cursor<'_>) -> Parsed<()> {
    if cursor.take(Symbol::Semicolon) {
        return Ok(());
    }
    // The place is where the semicolon belongs, behind the last word.
    let behind = cursor.behind();
    let message = format!("expected `;` or an operator, found {}", cursor.peek());
    Err(cursor.report("missing-semicolon", behind.saturating_sub(1)..behind, message, "end each statement with `;`"))
}
