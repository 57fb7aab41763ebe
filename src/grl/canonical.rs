//! What a rule file says, written out: every parenthesis there, comments and layout gone. The text is GRL itself.
//!
//! For people who ask how an expression is read, and for tests that hold the parser to what the file says.

use super::ast::{Expr, Rule, Statement};
use super::limits::Limits;
use super::read;
use crate::diagnostics::{Diagnostics, Snippet};
use crate::types::Value;

/// The rules of `text` in order, written out. Names and types are not looked at.
///
/// # Errors
/// Everything in it that cannot be read.
pub fn canonical(text: &Snippet, limits: &Limits) -> Result<String, Diagnostics> {
    let mut found = Diagnostics::new();
    let rules = read::rules(text, limits, &mut found);
    let ((), _) = found.into_result(())?;
    let mut out = String::new();
    for each in &rules {
        rule(each, &mut out);
    }
    Ok(out)
}

fn rule(rule: &Rule, out: &mut String) {
    put(out, &format!("rule {}", quoted(&rule.name)));
    if let Some(description) = &rule.description {
        put(out, &format!(" {}", quoted(description)));
    }
    if rule.salience != 0 {
        put(out, &format!(" salience {}", rule.salience));
    }
    if rule.no_loop {
        out.push_str(" no-loop");
    }
    for (attribute, date) in [("date-effective", &rule.effective), ("date-expires", &rule.expires)] {
        if let Some((text, _)) = date {
            put(out, &format!(" {attribute} {}", quoted(text)));
        }
    }
    out.push_str(" {\n    when ");
    expression(&rule.when, out);
    out.push_str("\n    then");
    for statement in &rule.then {
        out.push(' ');
        self::statement(statement, out);
    }
    out.push_str("\n}\n");
}

fn statement(statement: &Statement, out: &mut String) {
    match statement {
        Statement::Assign { target, operator, value, .. } => {
            put(out, &format!("{} {} ", target.written(), operator.text()));
            expression(value, out);
        }
        Statement::Log { values, .. } => {
            out.push_str("Log(");
            separated(values, ", ", out);
            out.push(')');
        }
    }
    out.push(';');
}

fn expression(expr: &Expr, out: &mut String) {
    match expr {
        Expr::Literal { value: Value::Text(text), .. } => put(out, &quoted(text)),
        Expr::Literal { value, .. } => put(out, &value.to_string()),
        Expr::Path(path) => put(out, &path.written()),
        Expr::List { items, .. } => enclosed(("[", "]"), items, ", ", out),
        Expr::And { items, .. } => enclosed(("(", ")"), items, " && ", out),
        Expr::Or { items, .. } => enclosed(("(", ")"), items, " || ", out),
        Expr::Arithmetic { first, rest, .. } => {
            out.push('(');
            expression(first, out);
            for (operator, operand) in rest {
                put(out, &format!(" {} ", operator.text()));
                expression(operand, out);
            }
            out.push(')');
        }
        Expr::Compare { operator, left, right, .. } => {
            out.push('(');
            expression(left, out);
            put(out, &format!(" {} ", operator.text()));
            expression(right, out);
            out.push(')');
        }
        Expr::Not { of, .. } => prefixed("!", of, out),
        Expr::Negate { of, .. } => prefixed("-", of, out),
        Expr::Call { name: function, arguments, .. } => {
            enclosed((&format!("{function}("), ")"), arguments, ", ", out);
        }
    }
}

fn prefixed(operator: &str, of: &Expr, out: &mut String) {
    put(out, &format!("({operator}"));
    expression(of, out);
    out.push(')');
}

fn enclosed((open, close): (&str, &str), items: &[Expr], between: &str, out: &mut String) {
    put(out, open);
    separated(items, between, out);
    put(out, close);
}

fn separated(items: &[Expr], between: &str, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            put(out, between);
        }
        expression(item, out);
    }
}

fn put(out: &mut String, text: &str) {
    out.push_str(text);
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
