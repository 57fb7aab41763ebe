//! JSON as values of declared types, for services, whose answers have no types of their own.
//!
//! Integers and decimals may be written as text, which keeps their digits in languages whose JSON numbers are floating-point.

use std::sync::Arc;

use super::moment::parse_moment;
use super::ty::Type;
use super::value::Value;

/// What the name of a list begins with.
const LIST_OF: &str = "list of ";

impl Type {
    /// The type of this name, as [`std::fmt::Display`] writes it: `text`, `list of decimal`. A map has none.
    pub fn named(name: &str) -> Option<Self> {
        if let Some(element) = name.strip_prefix(LIST_OF) {
            return Self::named(element).map(|element| Self::List(Arc::new(element)));
        }
        let scalars = [Self::Any, Self::Boolean, Self::Integer, Self::Decimal, Self::Text, Self::Date, Self::Timestamp];
        scalars.into_iter().find(|ty| ty.to_string() == name)
    }

    /// Reads `json` as a value of this type. Null is a value of every type.
    ///
    /// # Errors
    /// What it is instead, without the value: completes "must be of type decimal, not ...".
    pub fn read(&self, json: &serde_json::Value) -> Result<Value, String> {
        use serde_json::Value as Json;
        let misfit = |found: &str| Err(found.to_owned());
        match (self, json) {
            (_, Json::Null) => Ok(Value::Null),
            (Self::Any | Self::Map(_), _) => {
                Value::from_json(json).or_else(|_| misfit("a value with a number of too many digits"))
            }
            (Self::Boolean, Json::Bool(value)) => Ok(Value::Boolean(*value)),
            (Self::Integer, Json::Number(_) | Json::String(_)) => match number(json) {
                Some(Value::Integer(integer)) => Ok(Value::Integer(integer)),
                Some(Value::Decimal(decimal)) => {
                    let whole = decimal.to_i64().map(Value::Integer);
                    whole.map_or_else(|| misfit("a number that is not whole or too large"), Ok)
                }
                _ => misfit("text that is not a number"),
            },
            (Self::Decimal, Json::Number(_) | Json::String(_)) => match number(json) {
                Some(Value::Integer(integer)) => Ok(Value::Decimal(integer.into())),
                Some(decimal) => Ok(decimal),
                None => misfit("text that is not a number, or has too many digits"),
            },
            (Self::Text, Json::String(text)) => Ok(Value::text(text)),
            (Self::Date, Json::String(text)) => {
                text.parse().map(Value::Date).or_else(|_| misfit("text that is not a date such as 2026-01-31"))
            }
            (Self::Timestamp, Json::String(text)) => {
                parse_moment(text).map(Value::Timestamp).or_else(|error| misfit(&error.to_string()))
            }
            (Self::List(element), Json::Array(items)) => {
                let item = |item| element.read(item).map_err(|found| format!("a list with {found}"));
                items.iter().map(item).collect::<Result<_, _>>().map(Value::List)
            }
            (_, other) => misfit(match other {
                Json::Null => "null",
                Json::Bool(_) => "true or false",
                Json::Number(_) => "a number",
                Json::String(_) => "text",
                Json::Array(_) => "a list",
                Json::Object(_) => "an object",
            }),
        }
    }
}

fn number(json: &serde_json::Value) -> Option<Value> {
    match json {
        serde_json::Value::Number(number) => Value::from_number(&number.to_string()).ok(),
        serde_json::Value::String(text) => Value::from_number(text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ty: &str, json: &str) -> Result<String, String> {
        let value = Type::named(ty).unwrap().read(&serde_json::from_str(json).unwrap());
        value.map(|value| format!("{} {value}", value.type_name()))
    }

    #[test]
    fn the_name_of_a_type_is_read_as_it_is_written() {
        for name in ["any", "boolean", "integer", "decimal", "text", "date", "timestamp", "list of list of date"] {
            assert_eq!(Type::named(name).map(|ty| ty.to_string()).as_deref(), Some(name));
        }
        assert_eq!([Type::named("map"), Type::named("list of "), Type::named("numeric")], [None, None, None]);
    }

    #[test]
    fn a_value_has_the_declared_type_and_every_digit() {
        for (ty, json, value) in [
            ("decimal", "\"40.00\"", "decimal 40.00"),
            ("decimal", "40.00", "decimal 40.00"),
            ("decimal", "7", "decimal 7"),
            ("integer", "7.0", "integer 7"),
            ("integer", "\"9223372036854775807\"", "integer 9223372036854775807"),
            ("text", "\"7\"", "text 7"),
            ("date", "\"2026-01-31\"", "date 2026-01-31"),
            ("timestamp", "\"2026-01-31T08:00:00+02:00\"", "timestamp 2026-01-31T06:00:00Z"),
            ("list of decimal", "[\"1.50\", null]", "list [1.50,null]"),
            ("any", "{\"a\":[1,2.50]}", "map {\"a\":[1,2.50]}"),
            ("integer", "null", "null null"),
        ] {
            assert_eq!(read(ty, json), Ok(value.to_owned()), "{ty} {json}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_an_error_that_does_not_repeat_it() {
        for (ty, json) in [
            ("decimal", "\"secret\""),
            ("decimal", "true"),
            ("integer", "7.5"),
            ("integer", "9223372036854775808"),
            ("text", "7"),
            ("boolean", "\"true\""),
            ("boolean", "0"),
            ("date", "\"2026-01-31T00:00:00Z\""),
            ("timestamp", "\"2026-01-31\""),
            ("list of text", "\"secret\""),
            ("list of text", "[7]"),
            ("text", "{}"),
        ] {
            let error = read(ty, json).expect_err(json);
            assert!(!error.contains("secret"), "{ty} {json}: {error}");
        }
    }
}
