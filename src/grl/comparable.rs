//! Which values can be compared, and how to mend a comparison of others.

use super::ast::{Compare, Expr};
use crate::types::{Type, Value};

/// What is wrong with comparing values of these types, if anything.
pub(super) fn unfit(operator: Compare, left: &Type, right: &Type, null: bool) -> Option<String> {
    let text = operator.text();
    match operator {
        Compare::Equal | Compare::NotEqual => (!null && !left.comparable_with(right))
            .then(|| format!("`{text}` compares {left} with {right}, which are never equal")),
        Compare::Less | Compare::LessEqual | Compare::Greater | Compare::GreaterEqual => {
            let ordered = |ty: &Type| !matches!(ty, Type::Boolean | Type::List(_) | Type::Map(_));
            if null {
                return Some(format!("`{text}` does not take null"));
            }
            (!left.comparable_with(right) || !ordered(left) || !ordered(right))
                .then(|| format!("`{text}` cannot order {left} and {right}"))
        }
        Compare::In => match right {
            Type::Any => None,
            Type::List(element) if null || left.comparable_with(element) => None,
            Type::List(element) => Some(format!("`in` looks for {left} among values of type {element}")),
            other => Some(format!("`in` takes a list; this is {other}")),
        },
        Compare::Contains if null => Some(format!("`{text}` does not take null")),
        Compare::Contains => match left {
            Type::Any => None,
            Type::List(element) if element.comparable_with(right) => None,
            Type::Text if matches!(right, Type::Any | Type::Text) => None,
            other => Some(format!("`contains` cannot look for {right} in {other}")),
        },
        Compare::StartsWith | Compare::EndsWith | Compare::Matches => {
            let is_text = |ty: &Type| matches!(ty, Type::Any | Type::Text);
            (null || !is_text(left) || !is_text(right))
                .then(|| format!("`{text}` takes texts; these are {left} and {right}"))
        }
    }
}

/// How to mend a comparison of values that cannot be compared.
pub(super) fn comparison_help(left: (&Type, &Expr), right: (&Type, &Expr)) -> Option<String> {
    let one_way = |(ty, _): (&Type, &Expr), (_, other): (&Type, &Expr)| {
        let literal = match other {
            Expr::Literal { value: Value::Text(text), .. } => Some(text),
            _ => None,
        };
        match (ty, literal) {
            (Type::Date, Some(text)) => Some(format!("write `date(\"{text}\")`")),
            (Type::Timestamp, Some(text)) => Some(format!("write `timestamp(\"{text}\")`")),
            (Type::Integer | Type::Decimal, Some(text)) if Value::from_number(text).is_ok() => {
                Some(format!("write {text} without quotes"))
            }
            (Type::Boolean, Some(text)) if matches!(&**text, "true" | "false") => {
                Some(format!("write {text} without quotes"))
            }
            (Type::List(_), None) => Some("compare its elements with `any(...)` or `all(...)`".to_owned()),
            (Type::Map(_), _) => Some("name one of its fields".to_owned()),
            _ if is_null(other) => Some("ask whether it is null first, with `!= null`".to_owned()),
            _ => None,
        }
    };
    one_way(left, right).or_else(|| one_way(right, left))
}

/// Whether `expr` is the literal null.
fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal { value: Value::Null, .. })
}
