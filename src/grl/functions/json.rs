//! Functions of JSON documents.

use super::super::error::EvalErrorKind as Error;
use super::super::operators::unfit;
use crate::types::Value;

/// The value at a key; null where the document has no such key, or is null. Of a list, that of each element.
pub(super) fn get(arguments: &[Value]) -> Result<Value, Error> {
    let [document, key] = arguments else { return Ok(Value::Null) };
    let Value::Text(key) = key else { return Err(unfit("get", "a key as a text", key)) };
    match document {
        Value::List(items) => items.iter().map(|item| at_key(item, key)).collect::<Result<_, _>>().map(Value::List),
        one => at_key(one, key),
    }
}

fn at_key(document: &Value, key: &str) -> Result<Value, Error> {
    match document {
        Value::Null => Ok(Value::Null),
        Value::Map(record) => Ok(record.get(key).cloned().unwrap_or_default()),
        other => Err(unfit("get", "a JSON object", other)),
    }
}
