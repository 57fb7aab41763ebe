//! Comparisons: which operands fit, and which sides are lists whose elements are compared one by one.

use super::ast::{At, Compare, Expr};
use super::check::{Checker, found};
use super::pattern::pattern;
use super::program::Node;
use crate::types::{Type, Value};

impl Checker<'_> {
    pub(super) fn compare(
        &mut self,
        operator: Compare,
        left: &Expr,
        right: &Expr,
        each: bool,
        at: &At,
    ) -> (Node, Type) {
        if operator == Compare::Matches {
            return self.matches(left, right, each, at);
        }
        let (left_node, left_ty) = self.check(left, false);
        let (right_node, right_ty) = self.check(right, false);
        let (left_null, right_null) = (left_node.is_null(), right_node.is_null());
        let lists =
            if each { Lists::of(operator, (&left_ty, left_null), (&right_ty, right_null)) } else { Lists::None };
        let (one, other) = match lists {
            Lists::None => (left_ty.clone(), right_ty.clone()),
            Lists::Left => (element(&left_ty), right_ty.clone()),
            Lists::Right => (left_ty.clone(), element(&right_ty)),
            Lists::Unknown => (Type::Any, Type::Any),
        };
        if operator == Compare::In && right_null {
            return self.report("type-mismatch", &right.at(), "`in` takes a list; this is null".to_owned(), None);
        }
        if let Some(problem) = unfit(operator, &one, &other, left_null || right_null) {
            let null = left_null || right_null;
            let help = comparison_help((&left_ty, left), (&right_ty, right))
                .filter(|_| !(null && operator == Compare::Contains));
            return self.report("type-mismatch", at, problem, help);
        }
        let ty = match lists {
            Lists::None => Type::Boolean,
            Lists::Left | Lists::Right => Type::List(Type::Boolean.into()),
            Lists::Unknown => Type::Any,
        };
        let (left_at, right_at) = (left.at(), right.at());
        let (left, right) = (Box::new(left_node), Box::new(right_node));
        (Node::Compare { operator, left, left_at, right, right_at, each, at: at.clone() }, ty)
    }

    fn matches(&mut self, left: &Expr, right: &Expr, each: bool, at: &At) -> (Node, Type) {
        let (of, ty) = self.check(left, false);
        let is_text = |ty: &Type| matches!(ty, Type::Any | Type::Text);
        let gives = match &ty {
            Type::Any if each => Type::Any,
            Type::List(element) if each && is_text(element) => Type::List(Type::Boolean.into()),
            ty if is_text(ty) && !of.is_null() => Type::Boolean,
            ty => {
                let message = format!("`matches` takes a text; this is {}", found(ty, &of));
                return self.report("type-mismatch", &left.at(), message, None);
            }
        };
        let Expr::Literal { value: Value::Text(text), at: text_at } = right else {
            let help = "write the pattern as a text, such as \"^PROD-[0-9]+$\"".to_owned();
            return self.report(
                "bad-pattern",
                &right.at(),
                "`matches` takes a pattern written as a text".to_owned(),
                Some(help),
            );
        };
        match pattern(text) {
            Ok(pattern) => (Node::Matches { of: Box::new(of), pattern, each, at: at.clone() }, gives),
            Err(why) => self.report("bad-pattern", text_at, why, None),
        }
    }
}

/// Which sides of a comparison inside `any` or `all` are lists whose elements are compared one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    None,
    Left,
    Right,
    /// Known only when the expression is evaluated.
    Unknown,
}

impl Lists {
    fn of(operator: Compare, (left, left_null): (&Type, bool), (right, right_null): (&Type, bool)) -> Self {
        let is_list = |ty: &Type| matches!(ty, Type::List(_));
        let is_unknown = |ty: &Type, null: bool| *ty == Type::Any && !null;
        let among = operator == Compare::In;
        if is_unknown(left, left_null) || (is_unknown(right, right_null) && !among) {
            Self::Unknown
        } else if is_list(left) && (among || !is_list(right)) {
            Self::Left
        } else if is_list(right) && !is_list(left) && !among {
            Self::Right
        } else {
            Self::None
        }
    }
}

fn element(ty: &Type) -> Type {
    match ty {
        Type::List(element) => element.as_ref().clone(),
        _ => Type::Any,
    }
}

/// The error of a comparison of these types, if it is one.
fn unfit(operator: Compare, left: &Type, right: &Type, null: bool) -> Option<String> {
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

/// The remedy for a comparison of values that cannot be compared.
fn comparison_help(left: (&Type, &Expr), right: (&Type, &Expr)) -> Option<String> {
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
