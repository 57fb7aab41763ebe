//! Functions of lists, or of several arguments as if they were one.

use super::super::ast::{Arithmetic, Compare};
use super::super::error::EvalErrorKind as Error;
use super::super::operators::{arithmetic, order_for, unfit};
use crate::types::{Clock, Value};

/// The values of the one list, or the arguments themselves.
pub(super) fn values<'a>(name: &'static str, arguments: &'a [Value]) -> Result<&'a [Value], Error> {
    match arguments {
        [Value::List(items)] => no_null(name, items),
        [one] => Err(unfit(name, "a list", one)),
        several => Ok(several),
    }
}

pub(super) fn no_null<'a>(name: &'static str, items: &'a [Value]) -> Result<&'a [Value], Error> {
    match items.iter().position(Value::is_null) {
        None => Ok(items),
        Some(at) => Err(Error::Null { operator: name, operand: format!("element {} of the list", at + 1) }),
    }
}

pub(super) fn extreme(name: &'static str, arguments: &[Value], wanted: Compare) -> Result<Value, Error> {
    let mut values = values(name, arguments)?.iter();
    let Some(mut best) = values.next() else { return Ok(Value::Null) };
    for value in values {
        let order = order_for(name, value, best)?;
        if (wanted == Compare::Less && order.is_lt()) || (wanted == Compare::Greater && order.is_gt()) {
            best = value;
        }
    }
    Ok(best.clone())
}

pub(super) fn sum(name: &'static str, arguments: &[Value]) -> Result<Value, Error> {
    let mut total = Value::Integer(0);
    for value in values(name, arguments)? {
        total = arithmetic(Arithmetic::Add, &total, value)?;
    }
    Ok(total)
}

pub(super) fn avg(arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    match length("avg", arguments)? {
        Value::Integer(0) => Ok(Value::Null),
        count => arithmetic(Arithmetic::Divide, &sum("avg", arguments)?, &count),
    }
}

pub(super) fn length(name: &'static str, arguments: &[Value]) -> Result<Value, Error> {
    let length = match arguments.first() {
        Some(Value::List(items)) => items.len(),
        Some(Value::Text(text)) if name == "len" => text.chars().count(),
        Some(other) => return Err(unfit(name, "a list", other)),
        None => 0,
    };
    i64::try_from(length).map(Value::Integer).map_err(|_| Error::OutOfRange { operator: name })
}

/// `any` looks for true, `all` for false.
pub(super) fn booleans(name: &'static str, arguments: &[Value], wanted: bool) -> Result<Value, Error> {
    for value in values(name, arguments)? {
        match value {
            Value::Boolean(found) if *found == wanted => return Ok(Value::Boolean(wanted)),
            Value::Boolean(_) => {}
            other => return Err(unfit(name, "conditions", other)),
        }
    }
    Ok(Value::Boolean(!wanted))
}

pub(super) fn coalesce(arguments: &[Value]) -> Value {
    arguments.iter().find(|value| !value.is_null()).cloned().unwrap_or_default()
}
