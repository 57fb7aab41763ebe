//! Functions of a list, or of several arguments in place of one.

use super::{Function, Gives, MANY, Takes};
use crate::grl::ast::{Arithmetic, Compare};
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::operators::{arithmetic, order_for, unfit};
use crate::types::{Clock, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new(
        "min",
        "min(a, b, ...) or min(list)",
        1..=MANY,
        Takes::Ordered,
        Gives::Element,
        |name, arguments, _| extreme(name, arguments, Compare::Less),
    ),
    Function::new(
        "max",
        "max(a, b, ...) or max(list)",
        1..=MANY,
        Takes::Ordered,
        Gives::Element,
        |name, arguments, _| extreme(name, arguments, Compare::Greater),
    ),
    Function::new("sum", "sum(list)", 1..=1, Takes::Numerics, Gives::Element, sum),
    Function::new("avg", "avg(list)", 1..=1, Takes::Numerics, Gives::Decimal, avg),
    Function::new("count", "count(list)", 1..=1, Takes::List, Gives::Integer, |name, arguments, _| {
        length(name, arguments)
    }),
    Function::new("any", "any(list of conditions)", 1..=1, Takes::Booleans, Gives::Boolean, |name, arguments, _| {
        booleans(name, arguments, true)
    })
    .of_each_element(),
    Function::new("all", "all(list of conditions)", 1..=1, Takes::Booleans, Gives::Boolean, |name, arguments, _| {
        booleans(name, arguments, false)
    })
    .of_each_element(),
];

/// The values of the one list, or the arguments themselves.
fn values<'a>(name: &'static str, arguments: &'a [Value]) -> Result<&'a [Value], Error> {
    match arguments {
        [Value::List(items)] => no_null(name, items),
        [one] => Err(unfit(name, "a list", one)),
        several => Ok(several),
    }
}

fn no_null<'a>(name: &'static str, items: &'a [Value]) -> Result<&'a [Value], Error> {
    match items.iter().position(Value::is_null) {
        None => Ok(items),
        Some(at) => Err(Error::Null { operator: name, operand: format!("element {} of the list", at + 1) }),
    }
}

fn extreme(name: &'static str, arguments: &[Value], wanted: Compare) -> Result<Value, Error> {
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

fn sum(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let mut total = Value::Integer(0);
    for value in values(name, arguments)? {
        total = arithmetic(Arithmetic::Add, &total, value)?;
    }
    Ok(total)
}

fn avg(name: &'static str, arguments: &[Value], clock: &Clock) -> Result<Value, Error> {
    match length(name, arguments)? {
        Value::Integer(0) => Ok(Value::Null),
        count => arithmetic(Arithmetic::Divide, &sum(name, arguments, clock)?, &count),
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
fn booleans(name: &'static str, arguments: &[Value], wanted: bool) -> Result<Value, Error> {
    for value in values(name, arguments)? {
        match value {
            Value::Boolean(found) if *found == wanted => return Ok(Value::Boolean(wanted)),
            Value::Boolean(_) => {}
            other => return Err(unfit(name, "conditions", other)),
        }
    }
    Ok(Value::Boolean(!wanted))
}
