//! Functions of numbers.

use super::takes::Form;
use super::{Function, Gives, Takes};
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::operators::{number, refused, unfit};
use crate::types::{Clock, Decimal, DecimalError, Rounding, Value};

/// How to round.
static MODE: Form = Form {
    expected: "a rounding mode (\"half_up\", \"half_even\", \"half_down\", \"up\", \"down\", \"ceiling\" or \"floor\")",
    constant: true,
    fits: |text, _| Rounding::named(text).is_some(),
};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new(
        "round",
        "round(number, places, mode)",
        &[Takes::Number, Takes::Whole, Takes::Form(&MODE)],
        Gives::Decimal,
        round,
    )
    .at_least(1),
    Function::new(
        "round_to",
        "round_to(number, step, mode)",
        &[Takes::Number, Takes::Number, Takes::Form(&MODE)],
        Gives::Decimal,
        round_to,
    )
    .at_least(2),
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
    Function::new("sqrt", "sqrt(number)", &[Takes::Number], Gives::Decimal, |name, arguments, _| {
        each_number(name, arguments, Decimal::sqrt)
    }),
    Function::new("exp", "exp(number)", &[Takes::Number], Gives::Decimal, |name, arguments, _| {
        each_number(name, arguments, Decimal::exp)
    }),
    Function::new("ln", "ln(number)", &[Takes::Number], Gives::Decimal, |name, arguments, _| {
        each_number(name, arguments, Decimal::ln)
    }),
    Function::new(
        "pow",
        "pow(number, exponent)",
        &[Takes::Number, Takes::Number],
        Gives::Decimal,
        |name, arguments, _| {
            let exponent = number(name, arguments.get(1).unwrap_or(&Value::Null))?;
            each_number(name, arguments, |base| base.pow(&exponent))
        },
    ),
];

fn round(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let places = arguments.get(1).map_or(Ok(0), |places| whole(name, places))?;
    let out = Error::OutOfRange { operator: name };
    let places = i32::try_from(places).ok().filter(|places| (-100..=100).contains(places)).ok_or(out)?;
    let mode = mode(name, arguments)?;
    each_number(name, arguments, |number| number.round(places, mode))
}

fn round_to(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let step = number(name, arguments.get(1).unwrap_or(&Value::Null))?;
    if step <= Decimal::ZERO {
        return Err(Error::Type { operator: name, expected: "a step above zero", found: step.to_string() });
    }
    let mode = mode(name, arguments)?;
    each_number(name, arguments, |number| number.round_to(&step, mode))
}

/// The rounding mode that is the third argument.
fn mode(name: &'static str, arguments: &[Value]) -> Result<Rounding, Error> {
    match arguments.get(2) {
        None => Ok(Rounding::HalfUp),
        Some(Value::Text(mode)) => Rounding::named(mode).ok_or_else(|| MODE.refused(name, mode)),
        Some(other) => Err(unfit(name, MODE.expected, other)),
    }
}

/// The number that `run` makes of the first argument. A whole one of a whole one stays whole.
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
