//! Functions of texts. None makes one longer than the limit.

use std::sync::Arc;

use super::numbers::whole;
use super::{Function, Gives, Takes};
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::limits::LONGEST_TEXT;
use crate::grl::operators::unfit;
use crate::types::{Clock, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("upper", "upper(text)", &[Takes::Text], Gives::Text, |name, arguments, _| {
        text(name, arguments, str::to_uppercase)
    }),
    Function::new("lower", "lower(text)", &[Takes::Text], Gives::Text, |name, arguments, _| {
        text(name, arguments, str::to_lowercase)
    }),
    Function::new("trim", "trim(text)", &[Takes::Text], Gives::Text, |name, arguments, _| {
        text(name, arguments, |text| text.trim().to_owned())
    }),
    Function::new("concat", "concat(a, b, ...)", &[Takes::Single], Gives::Text, concat).and_more(),
    Function::new(
        "substring",
        "substring(text, start, length)",
        &[Takes::Text, Takes::Whole, Takes::Whole],
        Gives::Text,
        substring,
    )
    .at_least(2),
    Function::new("replace", "replace(text, what, by)", &[Takes::Text, Takes::Text, Takes::Text], Gives::Text, replace),
];

fn text(name: &'static str, arguments: &[Value], run: impl Fn(&str) -> String) -> Result<Value, Error> {
    match arguments.first() {
        Some(Value::Text(text)) => limited(name, &run(text)),
        Some(other) => Err(unfit(name, "a text", other)),
        None => Ok(Value::Null),
    }
}

pub(super) fn limited(operator: &'static str, text: &str) -> Result<Value, Error> {
    if text.len() <= LONGEST_TEXT {
        Ok(Value::text(text))
    } else {
        Err(Error::TooLong { operator, limit: LONGEST_TEXT })
    }
}

/// Adds a single value to a text that a function makes.
pub(super) fn push_written(operator: &'static str, value: &Value, text: &mut String) -> Result<(), Error> {
    match value {
        Value::Text(value) => text.push_str(value),
        Value::List(_) => return Err(unfit(operator, "single values (a list becomes a text by `join`)", value)),
        Value::Map(_) => return Err(unfit(operator, "single values", value)),
        other => text.push_str(&other.to_string()),
    }
    if text.len() <= LONGEST_TEXT { Ok(()) } else { Err(Error::TooLong { operator, limit: LONGEST_TEXT }) }
}

fn concat(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let mut joined = String::new();
    arguments.iter().try_for_each(|value| push_written(name, value, &mut joined))?;
    Ok(Value::text(joined))
}

/// Characters are counted from 1, as SQL does.
fn substring(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let count = |index: usize| -> Result<Option<usize>, Error> {
        let Some(value) = arguments.get(index) else { return Ok(None) };
        let out = |_| Error::OutOfRange { operator: name };
        usize::try_from(whole(name, value)?).map(Some).map_err(out)
    };
    let start = count(1)?.and_then(|start| start.checked_sub(1)).ok_or(Error::OutOfRange { operator: name })?;
    let length = count(2)?.unwrap_or(usize::MAX);
    text(name, arguments, |text| text.chars().skip(start).take(length).collect())
}

fn replace(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let [Value::Text(text), Value::Text(what), Value::Text(by)] = arguments else {
        let other = arguments.iter().find(|value| !matches!(value, Value::Text(_))).unwrap_or(&Value::Null);
        return Err(unfit(name, "texts", other));
    };
    if what.is_empty() {
        return Ok(Value::Text(Arc::clone(text)));
    }
    let grown = text.matches(&**what).count().saturating_mul(by.len());
    if grown > LONGEST_TEXT {
        return Err(Error::TooLong { operator: name, limit: LONGEST_TEXT });
    }
    limited(name, &text.replace(&**what, by))
}
