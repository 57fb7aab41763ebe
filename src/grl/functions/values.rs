//! Functions that say what a missing value means.

use super::{Function, Gives, Takes};
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::operators::unfit;
use crate::types::{Clock, Value};

/// `is_set` and `default` are given the arguments that have a value.
pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("coalesce", "coalesce(a, b, ...)", &[Takes::Anything], Gives::Same, |_, arguments, _| {
        Ok(arguments.iter().find(|value| !value.is_null()).cloned().unwrap_or_default())
    })
    .and_more()
    .taking_null(),
    Function::new("is_set", "is_set(fact)", &[Takes::Fact], Gives::Boolean, |_, arguments, _| {
        Ok(Value::Boolean(!arguments.is_empty()))
    })
    .taking_null(),
    Function::new(
        "default",
        "default(fact, value)",
        &[Takes::Fact, Takes::Anything],
        Gives::Same,
        |_, arguments, _| Ok(arguments.first().cloned().unwrap_or_default()),
    )
    .taking_null(),
    Function::new("get", "get(json, \"key\")", &[Takes::Json, Takes::Key], Gives::Any, get).taking_null(),
];

/// The value at a key; null where the document has no such key, or is null. Of a list, that of each element.
fn get(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let [document, key] = arguments else { return Ok(Value::Null) };
    let Value::Text(key) = key else { return Err(unfit(name, "a key as a text", key)) };
    match document {
        Value::List(items) => {
            items.iter().map(|item| at_key(name, item, key)).collect::<Result<_, _>>().map(Value::List)
        }
        one => at_key(name, one, key),
    }
}

fn at_key(name: &'static str, document: &Value, key: &str) -> Result<Value, Error> {
    match document {
        Value::Null => Ok(Value::Null),
        Value::Map(record) => Ok(record.get(key).cloned().unwrap_or_default()),
        other => Err(unfit(name, "a JSON object", other)),
    }
}
