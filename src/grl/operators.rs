//! Operators on values. No operand is null unless the operator takes null.

use std::cmp::Ordering;

use super::ast::{Arithmetic, Compare};
use super::error::EvalErrorKind as Error;
use super::limits::{LONGEST_LIST, LONGEST_TEXT};
use crate::types::{Decimal, DecimalError, Value};

/// `a + b`, `a * b`, ...: whole numbers stay whole where they fit 64 bits (division never does), all else is decimal. `+` joins
/// texts.
pub(super) fn arithmetic(operator: Arithmetic, a: &Value, b: &Value) -> Result<Value, Error> {
    if let (Value::Integer(a), Value::Integer(b)) = (a, b) {
        let whole = match operator {
            Arithmetic::Add => a.checked_add(*b),
            Arithmetic::Subtract => a.checked_sub(*b),
            Arithmetic::Multiply => a.checked_mul(*b),
            Arithmetic::Remainder => a.checked_rem(*b),
            Arithmetic::Power => u32::try_from(*b).ok().and_then(|b| a.checked_pow(b)),
            Arithmetic::Divide => None,
        };
        if let Some(whole) = whole {
            return Ok(Value::Integer(whole));
        }
    }
    let text = operator.text();
    if let (Arithmetic::Add, Value::Text(a), Value::Text(b)) = (operator, a, b) {
        let joined = [&**a, &**b].concat();
        let fits = joined.len() <= LONGEST_TEXT;
        return if fits {
            Ok(Value::text(joined))
        } else {
            Err(Error::TooLong { operator: text, limit: LONGEST_TEXT })
        };
    }
    let (a, b) = (number(text, a)?, number(text, b)?);
    let result = match operator {
        Arithmetic::Add => a.add(&b),
        Arithmetic::Subtract => a.sub(&b),
        Arithmetic::Multiply => a.mul(&b),
        Arithmetic::Divide => a.div(&b),
        Arithmetic::Remainder => a.rem(&b),
        Arithmetic::Power => a.pow(&b),
    };
    result.map(Value::Decimal).map_err(|error| refused(text, &error))
}

/// `list += value`: the list with the value behind its elements, or with those of another list.
pub(super) fn appended(list: &[Value], value: &Value) -> Result<Value, Error> {
    let added = match value {
        Value::List(items) => items,
        one => std::slice::from_ref(one),
    };
    if list.len() + added.len() > LONGEST_LIST {
        return Err(Error::TooManyElements { operator: "+=", limit: LONGEST_LIST });
    }
    Ok(Value::List(list.iter().chain(added).cloned().collect()))
}

/// `-a`
pub(super) fn negate(value: &Value) -> Result<Value, Error> {
    match value {
        Value::Integer(integer) => match integer.checked_neg() {
            Some(negated) => Ok(Value::Integer(negated)),
            None => Ok(Value::Decimal(Decimal::from(*integer).neg())),
        },
        other => Ok(Value::Decimal(number("-", other)?.neg())),
    }
}

/// The value as a decimal.
pub(super) fn number(operator: &'static str, value: &Value) -> Result<Decimal, Error> {
    match value {
        Value::Integer(integer) => Ok(Decimal::from(*integer)),
        Value::Decimal(decimal) => Ok(decimal.clone()),
        other => Err(unfit(operator, "numbers", other)),
    }
}

pub(super) fn refused(operator: &'static str, error: &DecimalError) -> Error {
    match error {
        DecimalError::DivisionByZero => Error::DivisionByZero,
        DecimalError::Overflow => Error::TooManyDigits { operator },
        DecimalError::Undefined => Error::Undefined { operator },
        DecimalError::Syntax { .. } => Error::OutOfRange { operator },
    }
}

pub(super) fn unfit(operator: &'static str, expected: &'static str, found: &Value) -> Error {
    Error::Type { operator, expected, found: found.type_name().to_owned() }
}

/// All comparisons except `matches`, whose pattern is compiled.
pub(super) fn compare(operator: Compare, a: &Value, b: &Value) -> Result<bool, Error> {
    match operator {
        Compare::Equal => equal(operator, a, b),
        Compare::NotEqual => equal(operator, a, b).map(|equal| !equal),
        Compare::Less => order(operator, a, b).map(Ordering::is_lt),
        Compare::LessEqual => order(operator, a, b).map(Ordering::is_le),
        Compare::Greater => order(operator, a, b).map(Ordering::is_gt),
        Compare::GreaterEqual => order(operator, a, b).map(Ordering::is_ge),
        Compare::In => among(operator, a, b),
        Compare::Contains => match a {
            Value::List(_) => among(operator, b, a),
            _ => texts(operator, a, b).map(|(a, b)| a.contains(b)),
        },
        Compare::StartsWith => texts(operator, a, b).map(|(a, b)| a.starts_with(b)),
        Compare::EndsWith => texts(operator, a, b).map(|(a, b)| a.ends_with(b)),
        Compare::Matches => Err(unfit("matches", "a pattern written as a text", b)),
    }
}

/// Equality. Values of types that can never be equal are an error: a type surprise must not read as "no".
fn equal(operator: Compare, a: &Value, b: &Value) -> Result<bool, Error> {
    if a.is_null() || b.is_null() || a.ty().comparable_with(&b.ty()) {
        return Ok(a == b);
    }
    let found = format!("{} and {}", a.type_name(), b.type_name());
    Err(Error::Type { operator: operator.text(), expected: "two values of one type", found })
}

fn among(operator: Compare, value: &Value, list: &Value) -> Result<bool, Error> {
    let Value::List(items) = list else { return Err(unfit(operator.text(), "a list", list)) };
    for item in items.iter() {
        if equal(operator, value, item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The order of two values: numbers by value, texts by code point, dates and timestamps by time.
pub(super) fn order(operator: Compare, a: &Value, b: &Value) -> Result<Ordering, Error> {
    order_for(operator.text(), a, b)
}

pub(super) fn order_for(operator: &'static str, a: &Value, b: &Value) -> Result<Ordering, Error> {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => Ok(a.cmp(b)),
        (Value::Integer(_) | Value::Decimal(_), Value::Integer(_) | Value::Decimal(_)) => {
            Ok(number(operator, a)?.cmp(&number(operator, b)?))
        }
        (Value::Text(a), Value::Text(b)) => Ok(a.as_ref().cmp(b.as_ref())),
        (Value::Date(a), Value::Date(b)) => Ok(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(a.cmp(b)),
        (a, b) => {
            let found = format!("{} and {}", a.type_name(), b.type_name());
            Err(Error::Type { operator, expected: "two numbers, texts, dates or timestamps", found })
        }
    }
}

fn texts<'a>(operator: Compare, a: &'a Value, b: &'a Value) -> Result<(&'a str, &'a str), Error> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok((a, b)),
        (Value::Text(_), other) | (other, _) => Err(unfit(operator.text(), "texts", other)),
    }
}
