//! Functions of texts. None makes one longer than the limit.

use std::sync::Arc;

use super::lists::length;
use super::numbers::whole;
use super::{Function, Gives, MANY, Takes};
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::limits::LONGEST_TEXT;
use crate::grl::operators::unfit;
use crate::types::{Clock, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("upper", "upper(text)", 1..=1, Takes::Texts, Gives::Text, |name, arguments, _| {
        text(name, arguments, str::to_uppercase)
    }),
    Function::new("lower", "lower(text)", 1..=1, Takes::Texts, Gives::Text, |name, arguments, _| {
        text(name, arguments, str::to_lowercase)
    }),
    Function::new("trim", "trim(text)", 1..=1, Takes::Texts, Gives::Text, |name, arguments, _| {
        text(name, arguments, |text| text.trim().to_owned())
    }),
    Function::new("len", "len(text or list)", 1..=1, Takes::TextOrList, Gives::Integer, |name, arguments, _| {
        length(name, arguments)
    }),
    Function::new("concat", "concat(a, b, ...)", 1..=MANY, Takes::Anything, Gives::Text, concat),
    Function::new("substring", "substring(text, start, length)", 2..=3, Takes::TextAndNumbers, Gives::Text, substring),
    Function::new("replace", "replace(text, what, by)", 3..=3, Takes::Texts, Gives::Text, replace),
];

fn text(name: &'static str, arguments: &[Value], run: impl Fn(&str) -> String) -> Result<Value, Error> {
    match arguments.first() {
        Some(Value::Text(text)) => limited(name, &run(text)),
        Some(other) => Err(unfit(name, "a text", other)),
        None => Ok(Value::Null),
    }
}

fn limited(operator: &'static str, text: &str) -> Result<Value, Error> {
    if text.len() <= LONGEST_TEXT {
        Ok(Value::text(text))
    } else {
        Err(Error::TooLong { operator, limit: LONGEST_TEXT })
    }
}

fn concat(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let mut joined = String::new();
    for value in arguments {
        match value {
            Value::Text(text) => joined.push_str(text),
            other => joined.push_str(&other.to_string()),
        }
        if joined.len() > LONGEST_TEXT {
            return Err(Error::TooLong { operator: name, limit: LONGEST_TEXT });
        }
    }
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
