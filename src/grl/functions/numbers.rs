//! Functions of numbers.

use super::{Function, Gives, Takes};
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::operators::{number, refused};
use crate::types::{Clock, Decimal, DecimalError, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("round", "round(number, places)", &[Takes::Number, Takes::Whole], Gives::Decimal, round).at_least(1),
    Function::new("floor", "floor(number)", &[Takes::Number], Gives::Decimal, |name, arguments, _| {
        each_number(name, arguments, Decimal::floor)
    }),
    Function::new("ceil", "ceil(number)", &[Takes::Number], Gives::Decimal, |name, arguments, _| {
        each_number(name, arguments, Decimal::ceil)
    }),
    Function::new("abs", "abs(number)", &[Takes::Number], Gives::First, |name, arguments, _| {
        each_number(name, arguments, |number| Ok(number.abs()))
    }),
    Function::new("trim_scale", "trim_scale(number)", &[Takes::Number], Gives::Decimal, |name, arguments, _| {
        each_number(name, arguments, |number| Ok(number.trim_scale()))
    }),
];

fn round(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let places = match arguments.get(1) {
        None => 0,
        Some(places) => whole(name, places)?,
    };
    let out = Error::OutOfRange { operator: name };
    let places = i32::try_from(places).ok().filter(|places| (-100..=100).contains(places)).ok_or(out)?;
    each_number(name, arguments.get(..1).unwrap_or_default(), |number| number.round(places))
}

fn each_number(
    name: &'static str,
    arguments: &[Value],
    run: impl Fn(&Decimal) -> Result<Decimal, DecimalError>,
) -> Result<Value, Error> {
    match arguments.first() {
        Some(Value::Integer(integer)) => {
            let result = run(&Decimal::from(*integer)).map_err(|error| refused(name, &error))?;
            Ok(result
                .to_i64()
                .filter(|_| result.to_string().bytes().all(|b| b != b'.'))
                .map_or(Value::Decimal(result), Value::Integer))
        }
        Some(value) => run(&number(name, value)?).map(Value::Decimal).map_err(|error| refused(name, &error)),
        None => Ok(Value::Null),
    }
}

pub(super) fn whole(name: &'static str, value: &Value) -> Result<i64, Error> {
    let found =
        || Error::Type { operator: name, expected: "a whole number", found: format!("{} {value}", value.type_name()) };
    match value {
        Value::Integer(integer) => Ok(*integer),
        Value::Decimal(decimal) => decimal.to_i64().ok_or_else(found),
        _ => Err(found()),
    }
}
