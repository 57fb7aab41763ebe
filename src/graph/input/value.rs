//! Reads the value of an input, and checks it against its limits.

use jiff::civil::Date;
use uuid::Uuid;

use super::{InputField, Scalar};
use crate::graph::decimals::Decimals;
use crate::types::{Value, parse_moment};

/// Why a value does not fit: a stable code and a message.
pub(super) type Misfit = (&'static str, String);

impl Scalar {
    /// Reads a JSON value.
    fn read_json(self, json: &serde_json::Value) -> Result<Value, Misfit> {
        let found = match json {
            serde_json::Value::String(text) if self.is_written_as_text() => return self.read_text(text),
            serde_json::Value::Number(number) => match (self, Value::from_number(&number.to_string())) {
                (Self::Integer, Ok(Value::Decimal(decimal))) => {
                    return decimal
                        .to_i64()
                        .map(Value::Integer)
                        .ok_or_else(|| self.misfit("a number that is not whole or too large"));
                }
                (Self::Decimal, Ok(Value::Integer(integer))) => return Ok(Value::Decimal(integer.into())),
                (Self::Integer | Self::Decimal, Ok(value)) => return Ok(value),
                (Self::Integer | Self::Decimal, Err(_)) => return Err(self.misfit("a number of too many digits")),
                _ => "a number",
            },
            serde_json::Value::Bool(value) if self == Self::Boolean => return Ok(Value::Boolean(*value)),
            serde_json::Value::Bool(_) => "true or false",
            serde_json::Value::String(_) => "a text",
            serde_json::Value::Null => "null",
            serde_json::Value::Array(_) => "a list",
            serde_json::Value::Object(_) => "an object",
        };
        Err(self.misfit(found))
    }

    /// Reads a value in quotes, or from a command line.
    pub(super) fn read_text(self, text: &str) -> Result<Value, Misfit> {
        match self {
            Self::Text if text.contains('\0') => {
                Err(("nul_character", "holds a NUL character, which PostgreSQL does not take".to_owned()))
            }
            Self::Text => Ok(Value::text(text)),
            Self::Integer => text.parse().map(Value::Integer).map_err(|_| self.misfit("something else")),
            Self::Decimal => text.parse().map(Value::Decimal).map_err(|_| self.misfit("something else")),
            Self::Boolean => text.parse().map(Value::Boolean).map_err(|_| self.misfit("something else")),
            Self::Date if text.len() == 10 => {
                text.parse::<Date>().map(Value::Date).map_err(|_| self.misfit("another text"))
            }
            Self::Timestamp => {
                parse_moment(text).map(Value::Timestamp).map_err(|error| self.misfit(&error.to_string()))
            }
            Self::Uuid if text.len() == 36 => {
                Uuid::try_parse(text).map(|uuid| Value::text(uuid.to_string())).map_err(|_| self.misfit("another text"))
            }
            Self::Date | Self::Uuid => Err(self.misfit("another text")),
        }
    }

    fn is_written_as_text(self) -> bool {
        matches!(self, Self::Text | Self::Date | Self::Timestamp | Self::Uuid)
    }

    fn misfit(self, found: &str) -> Misfit {
        let expected = match self {
            Self::Text => "a text",
            Self::Integer => "a whole number of 64 bits",
            Self::Decimal => "a number",
            Self::Boolean => "true or false",
            Self::Date => "a date such as \"2026-01-31\"",
            Self::Timestamp => "a timestamp such as \"2026-01-31T08:00:00Z\"",
            Self::Uuid => "a UUID such as \"67e55044-10b1-426f-9247-bb680e5fe0c8\"",
        };
        ("wrong_type", format!("must be {expected}, not {found}"))
    }
}

impl InputField {
    /// Reads a JSON value, or an element of a list. `is_kept`: a record, an approval or a test has it, and a decimal may be a number there
    /// whatever the flow says.
    pub(super) fn read_json(&self, json: &serde_json::Value, is_kept: bool) -> Result<Value, Misfit> {
        let value = match (self.scalar, self.decimals, json) {
            (Scalar::Decimal, Decimals::String, serde_json::Value::Number(_)) if is_kept => self.scalar.read_json(json),
            (Scalar::Decimal, Decimals::String, json) => {
                let read = json.as_str().and_then(Decimals::read).map(Value::Decimal);
                read.ok_or_else(|| ("wrong_type", "must be a decimal in a string, such as \"9.50\"".to_owned()))
            }
            _ => self.scalar.read_json(json),
        }?;
        self.check(&value).map(|()| value)
    }

    /// Checks a value, or an element of a list, against the limits.
    pub(super) fn check(&self, value: &Value) -> Result<(), Misfit> {
        if let (Value::Text(text), Some(most)) = (value, self.max_length) {
            let length = text.chars().count();
            if length > most {
                return Err(("too_long", format!("may have at most {most} characters, and has {length}")));
            }
        }
        if let (Value::Text(text), Some(pattern)) = (value, &self.pattern)
            && !pattern.is_match(text)
        {
            return Err(("pattern", format!("must match {}", self.bare_pattern().unwrap_or_default())));
        }
        if let Some(least) = &self.minimum
            && less(value, least)
        {
            return Err(("too_small", format!("must be at least {least}")));
        }
        if let Some(most) = &self.maximum
            && less(most, value)
        {
            return Err(("too_large", format!("must be at most {most}")));
        }
        match &self.one_of {
            Some(values) if !values.contains(value) => {
                let known: Vec<String> = values.iter().map(Value::to_string).collect();
                Err(("not_in_enum", format!("must be one of: {}", known.join(", "))))
            }
            _ => Ok(()),
        }
    }
}

/// Whether `a` is below `b`; both are of one type, since the schema was checked.
pub(super) fn less(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a < b,
        (Value::Decimal(a), Value::Decimal(b)) => a < b,
        (Value::Date(a), Value::Date(b)) => a < b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a < b,
        _ => false,
    }
}
