//! Rules that can be read and probably do not do what their author meant.

use std::collections::HashSet;

use super::ast::{Expr, Statement};
use super::ruleset::Read;
use super::scope::Scope;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::types::Value;

/// Warns of what looks wrong in `rules`.
pub(super) fn lint(rules: &[Read<'_>], scope: &Scope, found: &mut Diagnostics) {
    let written: HashSet<String> = rules.iter().flat_map(|read| targets(&read.rule.then)).collect();
    for Read { rule, snippet } in rules {
        if let Expr::Literal { value: Value::Boolean(false), at } = &rule.when {
            let warning = Diagnostic::warning(
                "never-fires",
                snippet.span(at.clone()),
                format!("rule `{}` never fires", rule.name),
            );
            found.push(warning.help("delete the rule, or mend its condition"));
        }
        let mut reads = Vec::new();
        paths(&rule.when, &mut reads);
        let settles =
            reads.iter().any(|path| written.contains(path) && !scope.has_owner(path.split('.').next().unwrap_or("")));
        if !rule.no_loop && !settles {
            let message = format!(
                "rule `{}` fires again and again once it holds: nothing that rules write is in its condition",
                rule.name
            );
            let warning = Diagnostic::warning("never-settles", snippet.span(rule.name_at.clone()), message);
            found.push(warning.help("add `no-loop` behind its name"));
        }
    }
}

fn targets(statements: &[Statement]) -> Vec<String> {
    statements
        .iter()
        .filter_map(|statement| match statement {
            Statement::Assign { target, .. } => Some(target.written()),
            Statement::Log { .. } => None,
        })
        .collect()
}

/// The paths an expression reads.
fn paths(expr: &Expr, into: &mut Vec<String>) {
    match expr {
        Expr::Literal { .. } => {}
        Expr::Path(path) => into.push(path.written()),
        Expr::List { items, .. } | Expr::And { items, .. } | Expr::Or { items, .. } => {
            items.iter().for_each(|item| paths(item, into));
        }
        Expr::Arithmetic { first, rest, .. } => {
            paths(first, into);
            rest.iter().for_each(|(_, operand)| paths(operand, into));
        }
        Expr::Compare { left, right, .. } => {
            paths(left, into);
            paths(right, into);
        }
        Expr::Not { of, .. } | Expr::Negate { of, .. } => paths(of, into),
        Expr::Call { arguments, .. } => arguments.iter().for_each(|argument| paths(argument, into)),
    }
}
