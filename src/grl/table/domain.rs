//! Which values a condition column may have, and an example of those between its constants.

use jiff::SignedDuration;
use jiff::civil::Date;

use super::axis::Axis;
use crate::grl::ast::Compare;
use crate::grl::operators::compare;
use crate::types::{Decimal, Type, Value};

/// What is known of the values of a fact.
#[derive(Debug, Clone)]
pub enum Domain {
    /// It has one of these.
    Few(Vec<Value>),
    /// It is not less than the first and not more than the second, where they are given.
    Between(Option<Value>, Option<Value>),
}

impl Domain {
    fn has(&self, value: &Value) -> bool {
        match self {
            Self::Few(values) => values.contains(value),
            Self::Between(least, most) => {
                let is = |operator, bound: &Option<Value>| {
                    bound.as_ref().is_none_or(|bound| compare(operator, value, bound).unwrap_or(false))
                };
                is(Compare::GreaterEqual, least) && is(Compare::LessEqual, most)
            }
        }
    }
}

/// An example of the values of a position of the axis that a column of type `ty` may have, if there is one.
pub(super) fn example(axis: &Axis, position: usize, ty: &Type, domain: Option<&Domain>) -> Option<Value> {
    let fits = |value: &Value| {
        axis.position(value) == Some(position)
            && domain.is_none_or(|domain| domain.has(value))
            && (*ty != Type::Integer || is_whole(value))
    };
    if let Some(Domain::Few(values)) = domain {
        return values.iter().find(|value| fits(value)).cloned();
    }
    let below = position.checked_sub(2).and_then(|place| axis.constants.get(place / 2));
    let here = axis.constants.get(position / 2);
    if position % 2 == 1 {
        return here.filter(|value| fits(value)).cloned();
    }
    let mut candidates: Vec<Value> = Vec::new();
    if let Some(Domain::Between(least, most)) = domain {
        candidates.extend(least.iter().chain(most).cloned());
    }
    candidates.extend(between(below, here, ty));
    candidates.into_iter().find(fits)
}

fn is_whole(value: &Value) -> bool {
    match value {
        Value::Integer(_) => true,
        Value::Decimal(decimal) => decimal.floor().is_ok_and(|floor| floor == *decimal),
        _ => false,
    }
}

/// Values that may lie between two constants.
fn between(below: Option<&Value>, above: Option<&Value>, ty: &Type) -> Vec<Value> {
    let known = below.or(above);
    match known {
        Some(Value::Integer(_) | Value::Decimal(_)) => numbers(below, above),
        Some(Value::Text(_)) => {
            let text = |value: Option<&Value>| match value {
                Some(Value::Text(text)) => Some(text.to_string()),
                _ => None,
            };
            let behind =
                text(below).into_iter().flat_map(|text| ["x", "!", "\u{1}"].map(|behind| format!("{text}{behind}")));
            ["other", "A", "", "x"].into_iter().map(str::to_owned).chain(behind).map(Value::text).collect()
        }
        Some(Value::Date(_)) => {
            let next = |value: Option<&Value>, tomorrow: bool| match value {
                Some(Value::Date(day)) => if tomorrow { day.tomorrow() } else { day.yesterday() }.ok(),
                _ => None,
            };
            next(below, true).into_iter().chain(next(above, false)).map(Value::Date).collect()
        }
        Some(Value::Timestamp(_)) => {
            let moment = |value: Option<&Value>| match value {
                Some(Value::Timestamp(moment)) => Some(*moment),
                _ => None,
            };
            let steps = [SignedDuration::from_secs(1), SignedDuration::from_nanos(1)];
            let later = moment(below).into_iter().flat_map(|moment| steps.map(|step| moment.checked_add(step).ok()));
            let earlier = moment(above).into_iter().flat_map(|moment| steps.map(|step| moment.checked_sub(step).ok()));
            later.chain(earlier).flatten().map(Value::Timestamp).collect()
        }
        Some(Value::Boolean(_)) => vec![Value::Boolean(false), Value::Boolean(true)],
        _ => match ty {
            Type::Boolean => vec![Value::Boolean(false)],
            Type::Text => vec![Value::text("other")],
            Type::Date => Date::new(2026, 1, 31).map(Value::Date).into_iter().collect(),
            _ => vec![Value::Integer(0)],
        },
    }
}

fn numbers(below: Option<&Value>, above: Option<&Value>) -> Vec<Value> {
    let number = |value: Option<&Value>| match value {
        Some(Value::Integer(number)) => Some(Decimal::from(*number)),
        Some(Value::Decimal(number)) => Some(number.clone()),
        _ => None,
    };
    let whole = |number: Decimal| number.floor().ok().and_then(|number| number.to_i64()).map(Value::Integer);
    let one = Decimal::from(1_i64);
    let (low, high) = (number(below), number(above));
    let mut found: Vec<Value> = Vec::new();
    // A whole number is easier to read.
    found.extend(low.as_ref().and_then(|low| low.add(&one).ok()).and_then(whole));
    found.extend(high.as_ref().and_then(|high| high.sub(&one).ok()).and_then(whole));
    found.extend(high.clone().and_then(whole));
    if let (Some(low), Some(high)) = (low, high) {
        let middle = low.add(&high).ok().and_then(|sum| sum.div(&Decimal::from(2_i64)).ok());
        found.extend(middle.map(Value::Decimal));
    }
    found
}
