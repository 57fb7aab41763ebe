//! Rules written out as they were read: every parenthesis is there, comments and layout are gone. The text is GRL itself, so
//! that tests can compare what the parser reads with what a file says.

use std::fmt::{self, Display, Formatter};

use super::ast::{Expr, For, Rule, Statement};
use super::limits::Limits;
use super::read;
use crate::diagnostics::{Diagnostics, Snippet};
use crate::types::Value;

/// The rules of `text` in order, written out. Names and types are not checked.
///
/// # Errors
/// Everything in it that cannot be read.
pub fn canonical(text: &Snippet, limits: &Limits) -> Result<String, Diagnostics> {
    let mut found = Diagnostics::new();
    let rules = read::rules(text, limits, &mut found);
    let ((), _) = found.into_result(())?;
    Ok(rules.iter().map(Rule::to_string).collect())
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_let {
            return self.then.iter().try_for_each(|statement| writeln!(f, "let {statement}"));
        }
        write!(f, "rule {}", quoted(&self.name))?;
        if let Some(description) = &self.description {
            write!(f, " {}", quoted(description))?;
        }
        if self.salience != 0 {
            write!(f, " salience {}", self.salience)?;
        }
        if self.no_loop {
            f.write_str(" no-loop")?;
        }
        for (attribute, date) in [("date-effective", &self.effective), ("date-expires", &self.expires)] {
            if let Some((text, _)) = date {
                write!(f, " {attribute} {}", quoted(text))?;
            }
        }
        write!(f, " {{\n    when {}\n    then", self.when)?;
        self.then.iter().try_for_each(|statement| write!(f, " {statement}"))?;
        f.write_str("\n}\n")
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assign { target, operator, value, .. } => {
                write!(f, "{} {} {value};", target.written(), operator.text())
            }
            Self::Log { values, .. } => write!(f, "Log({});", joined(values, ", ")),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal { value: Value::Text(text), .. } => f.write_str(&quoted(text)),
            Self::Literal { value, .. } => write!(f, "{value}"),
            Self::Path(path) => f.write_str(&path.written()),
            Self::List { items, .. } => write!(f, "[{}]", joined(items, ", ")),
            Self::And { items, .. } => write!(f, "({})", joined(items, " && ")),
            Self::Or { items, .. } => write!(f, "({})", joined(items, " || ")),
            Self::Arithmetic { first, rest, .. } => {
                write!(f, "({first}")?;
                rest.iter().try_for_each(|(operator, operand)| write!(f, " {} {operand}", operator.text()))?;
                f.write_str(")")
            }
            Self::Compare { operator, left, right, .. } => write!(f, "({left} {} {right})", operator.text()),
            Self::Not { of, .. } => write!(f, "(!{of})"),
            Self::Negate { of, .. } => write!(f, "(-{of})"),
            Self::Call { name, arguments, .. } => write!(f, "{name}({})", joined(arguments, ", ")),
            Self::If { arms, otherwise, .. } => {
                f.write_str("(")?;
                arms.iter().try_for_each(|(condition, value)| write!(f, "if {condition} then {value} else "))?;
                write!(f, "{otherwise})")
            }
            Self::For(each) => {
                let For { value, name, list, condition, .. } = &**each;
                value.iter().try_for_each(|value| write!(f, "{value} for "))?;
                write!(f, "{name} in {list}")?;
                condition.iter().try_for_each(|condition| write!(f, " where {condition}"))
            }
            Self::Map { fields, .. } => {
                let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                write!(f, "{{{}}}", fields.join(", "))
            }
        }
    }
}

fn joined(items: &[Expr], between: &str) -> String {
    items.iter().map(Expr::to_string).collect::<Vec<_>>().join(between)
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
