//! Functions of texts. None makes one longer than the limit.

use std::sync::Arc;

use super::super::error::EvalErrorKind as Error;
use super::super::limits::LONGEST_TEXT;
use super::super::operators::unfit;
use super::numbers::whole;
use crate::types::Value;

pub(super) fn text(name: &'static str, arguments: &[Value], run: impl Fn(&str) -> String) -> Result<Value, Error> {
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

pub(super) fn concat(arguments: &[Value]) -> Result<Value, Error> {
    let mut joined = String::new();
    for value in arguments {
        match value {
            Value::Text(text) => joined.push_str(text),
            other => joined.push_str(&other.to_string()),
        }
        if joined.len() > LONGEST_TEXT {
            return Err(Error::TooLong { operator: "concat", limit: LONGEST_TEXT });
        }
    }
    Ok(Value::text(joined))
}

/// Characters are counted from 1, as SQL does.
pub(super) fn substring(arguments: &[Value]) -> Result<Value, Error> {
    let count = |index: usize| -> Result<Option<usize>, Error> {
        let Some(value) = arguments.get(index) else { return Ok(None) };
        let out = |_| Error::OutOfRange { operator: "substring" };
        usize::try_from(whole("substring", value)?).map(Some).map_err(out)
    };
    let start = count(1)?.and_then(|start| start.checked_sub(1)).ok_or(Error::OutOfRange { operator: "substring" })?;
    let length = count(2)?.unwrap_or(usize::MAX);
    text("substring", arguments, |text| text.chars().skip(start).take(length).collect())
}

pub(super) fn replace(arguments: &[Value]) -> Result<Value, Error> {
    let [Value::Text(text), Value::Text(what), Value::Text(by)] = arguments else {
        let other = arguments.iter().find(|value| !matches!(value, Value::Text(_))).unwrap_or(&Value::Null);
        return Err(unfit("replace", "texts", other));
    };
    if what.is_empty() {
        return Ok(Value::Text(Arc::clone(text)));
    }
    let grown = text.matches(&**what).count().saturating_mul(by.len());
    if grown > LONGEST_TEXT {
        return Err(Error::TooLong { operator: "replace", limit: LONGEST_TEXT });
    }
    limited("replace", &text.replace(&**what, by))
}
