//! How the JSON of a flow has decimals: as numbers, or as strings for programs whose numbers are binary fractions.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{Decimal, FieldName, Record, Type, Value};

/// What a decimal is in the JSON of a flow: in its inputs, its answers and its events. Integers are numbers in both.
#[derive(Deserialize, Serialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub enum Decimals {
    /// A number with every digit: `9207.00`.
    #[default]
    Number,
    /// A string with every digit: `"9207.00"`.
    String,
}

impl Decimals {
    /// What a string of a decimal matches: digits, without an exponent.
    pub const PATTERN: &str = r"^-?[0-9]+(\.[0-9]+)?$";

    /// The number in a string that matches [`Self::PATTERN`]; `None` for another string, and beyond [`Decimal::MAX_DIGITS`].
    pub fn read(text: &str) -> Option<Decimal> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let is_plain =
            [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        text.parse().ok().filter(|_| is_plain)
    }

    /// `value` as the JSON of the flow has it.
    pub fn written(self, value: &Value) -> Cow<'_, Value> {
        match (self, value) {
            (Self::Number, _) => Cow::Borrowed(value),
            (Self::String, Value::Decimal(decimal)) => Cow::Owned(Value::text(decimal.to_string())),
            (Self::String, Value::List(items)) => {
                Cow::Owned(Value::list(items.iter().map(|item| self.written(item).into_owned())))
            }
            (Self::String, Value::Map(record)) => {
                let fields = record.iter().map(|(name, value)| (name.clone(), self.written(value).into_owned()));
                Cow::Owned(Value::map(fields))
            }
            (Self::String, value) => Cow::Borrowed(value),
        }
    }

    /// `value`, which is of type `ty`, with a decimal for each whole number that may be a fraction another time: a field of an answer
    /// is always a string, or never.
    pub fn typed(self, value: Value, ty: &Type) -> Value {
        match (self, value, ty) {
            (Self::String, Value::Integer(integer), Type::Decimal) => Value::Decimal(integer.into()),
            (Self::String, Value::List(items), ty) => {
                let of_item = if let Type::List(of_item) = ty { of_item } else { &Type::Any };
                Value::list(items.iter().map(|item| self.typed(item.clone(), of_item)))
            }
            (Self::String, Value::Map(record), Type::Map(shape)) => {
                let of = |name: &FieldName| shape.field(name).unwrap_or(&Type::Any);
                let fields = record.iter().map(|(name, value)| (name.clone(), self.typed(value.clone(), of(name))));
                Value::Map(Arc::new(fields.collect::<Record>()))
            }
            (_, value, _) => value,
        }
    }
}
