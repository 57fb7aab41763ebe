//! Values: what a column, an input or a fact holds.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::Error;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::decimal::Decimal;
use super::names::check_name;
use super::ty::{Field, FieldName, Shape, Type};

/// A value. Cheap to clone: long values are shared.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// No value: a NULL column, an absent optional input, the missing row of an optional node.
    #[default]
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// An exact decimal number.
    Decimal(Decimal),
    /// Text.
    Text(Arc<str>),
    /// A calendar day.
    Date(Date),
    /// A moment, in microseconds where it came from PostgreSQL.
    Timestamp(Timestamp),
    /// A list: an array column, a list input, the rows of a `rows: many` node.
    List(Arc<[Value]>),
    /// Named fields: a row, the facts of a rule node, a JSON object.
    Map(Arc<Record>),
}

/// Named fields in order. The names are shared between the rows of one query.
#[derive(Debug, Clone)]
pub struct Record {
    names: Arc<[FieldName]>,
    values: Box<[Value]>,
}

impl Record {
    /// Pairs `names` with `values`. If there are fewer values than names, the other fields are absent.
    pub fn new(names: Arc<[FieldName]>, values: impl Into<Box<[Value]>>) -> Self {
        let values = values.into();
        debug_assert_eq!(names.len(), values.len());
        Self { names, values }
    }

    /// The value of the field `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let position = self.names.iter().position(|known| &**known == name)?;
        self.values.get(position)
    }

    /// The fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&FieldName, &Value)> {
        self.names.iter().zip(self.values.iter())
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The names, shared.
    pub fn names(&self) -> &Arc<[FieldName]> {
        &self.names
    }
}

impl FromIterator<(FieldName, Value)> for Record {
    fn from_iter<I: IntoIterator<Item = (FieldName, Value)>>(fields: I) -> Self {
        let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        Self { names: names.into(), values: values.into() }
    }
}

impl Value {
    /// Text, from anything that reads as text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(Arc::from(text.as_ref()))
    }

    /// Named fields, from pairs.
    pub fn map(fields: impl IntoIterator<Item = (FieldName, Value)>) -> Self {
        Self::Map(Arc::new(fields.into_iter().collect()))
    }

    /// A list, from its elements.
    pub fn list(elements: impl IntoIterator<Item = Value>) -> Self {
        Self::List(elements.into_iter().collect())
    }

    /// As the rule language writes it: texts in quotes. Dates and timestamps are written as they are.
    pub fn written(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::List(items) => format!("[{}]", items.iter().map(Self::written).collect::<Vec<_>>().join(", ")),
            Self::Map(record) if record.iter().all(|(name, _)| check_name("field", name).is_ok()) => {
                let field = |(name, value): (&FieldName, &Self)| format!("{name}: {}", value.written());
                format!("{{{}}}", record.iter().map(field).collect::<Vec<_>>().join(", "))
            }
            other => other.to_string(),
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Follows `path` through maps. A field of null is null (a missing optional row has only null fields);
    /// a field of a list is the list of that field of its elements (`lines.qty`).
    /// `None` where there is no such field.
    pub fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut current = Cow::Borrowed(self);
        for name in path {
            current = match current {
                Cow::Borrowed(Self::Map(record)) => Cow::Borrowed(record.get(name)?),
                other => Cow::Owned(other.field(name)?),
            };
        }
        Some(current.into_owned())
    }

    fn field(&self, name: &str) -> Option<Self> {
        match self {
            Self::Null => Some(Self::Null),
            Self::Map(record) => record.get(name).cloned(),
            Self::List(elements) => {
                let fields: Option<Arc<[Self]>> = elements.iter().map(|element| element.field(name)).collect();
                fields.map(Self::List)
            }
            _ => None,
        }
    }

    /// This value with the value at `path` replaced by the result of `new`; in a list, in every element.
    ///
    /// # Errors
    /// The error of `new`; `None` where there is no such field.
    pub fn replaced<E>(
        &self,
        path: &[FieldName],
        new: &mut dyn FnMut(&Self) -> Result<Self, E>,
    ) -> Result<Self, Option<E>> {
        let Some((name, below)) = path.split_first() else { return new(self).map_err(Some) };
        match self {
            Self::Map(record) if record.get(name).is_some() => {
                let field = |(known, value): (&FieldName, &Self)| {
                    if known == name { value.replaced(below, new) } else { Ok(value.clone()) }
                };
                let values = record.iter().map(field).collect::<Result<Box<[Self]>, _>>()?;
                Ok(Self::Map(Arc::new(Record::new(Arc::clone(record.names()), values))))
            }
            Self::List(elements) => {
                elements.iter().map(|element| element.replaced(path, new)).collect::<Result<_, _>>().map(Self::List)
            }
            _ => Err(None),
        }
    }

    /// The name of this value's type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Decimal(_) => "decimal",
            Self::Text(_) => "text",
            Self::Date(_) => "date",
            Self::Timestamp(_) => "timestamp",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// This value's type. Null is of `Any` type; a list is of the type that holds all its elements.
    pub fn ty(&self) -> Type {
        match self {
            Self::Null => Type::Any,
            Self::Boolean(_) => Type::Boolean,
            Self::Integer(_) => Type::Integer,
            Self::Decimal(_) => Type::Decimal,
            Self::Text(_) => Type::Text,
            Self::Date(_) => Type::Date,
            Self::Timestamp(_) => Type::Timestamp,
            Self::List(elements) => {
                let joined = elements.iter().filter(|element| !element.is_null()).map(Self::ty);
                Type::List(Arc::new(joined.reduce(|a, b| a.join(&b)).unwrap_or(Type::Any)))
            }
            Self::Map(record) => {
                let fields = record.iter().map(|(name, value)| Field { name: name.clone(), ty: value.ty() });
                Type::Map(Arc::new(Shape { fields: fields.collect(), open: false }))
            }
        }
    }

    /// A value from a JSON document. Numbers without fraction or exponent that fit 64 bits are integers, all others
    /// decimals, exactly as written.
    ///
    /// # Errors
    /// The number that has more digits than [`Decimal`] holds.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, super::DecimalError> {
        Ok(match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Boolean(*value),
            serde_json::Value::Number(number) => Self::from_number(&number.to_string())?,
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(elements) => {
                Self::List(elements.iter().map(Self::from_json).collect::<Result<_, _>>()?)
            }
            serde_json::Value::Object(fields) => {
                let fields =
                    fields.iter().map(|(name, value)| Ok((FieldName::from(name.as_str()), Self::from_json(value)?)));
                Self::Map(Arc::new(fields.collect::<Result<Record, super::DecimalError>>()?))
            }
        })
    }

    /// A number from its text: an integer where it is written as one and fits 64 bits, else a decimal.
    ///
    /// # Errors
    /// Where the text is not a number, or one of too many digits.
    pub fn from_number(text: &str) -> Result<Self, super::DecimalError> {
        match text.parse() {
            Ok(integer) => Ok(Self::Integer(integer)),
            Err(_) => text.parse().map(Self::Decimal),
        }
    }
}

/// Equality as the rules see it: integers and decimals by value, whatever the number of trailing zeros; values of
/// different types are not equal.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Decimal(a), Self::Decimal(b)) => a == b,
            (Self::Integer(a), Self::Decimal(b)) | (Self::Decimal(b), Self::Integer(a)) => Decimal::from(*a) == *b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| value == other))
            }
            _ => false,
        }
    }
}

impl Eq for Value {}

/// Equal values have the same hash: numbers of either type, maps in whatever order their fields are.
impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Null => 0_u8.hash(state),
            Self::Boolean(value) => value.hash(state),
            Self::Integer(value) => Decimal::from(*value).hash(state),
            Self::Decimal(value) => value.hash(state),
            Self::Text(value) => value.hash(state),
            Self::Date(value) => value.hash(state),
            Self::Timestamp(value) => value.hash(state),
            Self::List(elements) => elements.hash(state),
            Self::Map(record) => {
                let mut fields: Vec<_> = record.iter().collect();
                fields.sort_by_key(|(name, _)| *name);
                fields.hash(state);
            }
        }
    }
}

/// The value for a reader: text without quotes, numbers in full.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Decimal(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
            Self::Date(value) => write!(f, "{value}"),
            Self::Timestamp(value) => write!(f, "{value}"),
            Self::List(_) | Self::Map(_) => f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?),
        }
    }
}

/// As JSON: decimals are numbers with every digit, dates and timestamps are RFC 3339 text.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Decimal(value) => value.serialize(serializer),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Date(value) => serializer.collect_str(value),
            Self::Timestamp(value) => serializer.collect_str(value),
            Self::List(elements) => {
                let mut list = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements.iter() {
                    list.serialize_element(element)?;
                }
                list.end()
            }
            Self::Map(record) => record.serialize(serializer),
        }
    }
}

/// From JSON, as [`Value::from_json`] reads it.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&serde_json::Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(&**name, value)?;
        }
        map.end()
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<Decimal> for Value {
    fn from(value: Decimal) -> Self {
        Self::Decimal(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::text(value)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    fn json(text: &str) -> Value {
        Value::from_json(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn json_numbers_keep_every_digit() {
        for text in
            ["8525.00", "0.1", "12345678901234567890.123456789", "-3", "[1.10,null,\"a\"]", "{\"a\":{\"b\":2.50}}"]
        {
            assert_eq!(serde_json::to_string(&json(text)).unwrap(), text);
        }
    }

    #[test]
    fn numbers_are_equal_by_value() {
        assert_eq!(json("5"), json("5.00"));
        assert_ne!(json("5"), json("\"5\""));
        assert_ne!(Value::Null, Value::Boolean(false));
    }

    #[test]
    fn equal_values_have_the_same_hash() {
        let hash = |value: &Value| BuildHasherDefault::<DefaultHasher>::default().hash_one(value);
        for (a, b) in [("5", "5.00"), ("0.0", "0"), ("100", "1e2"), (r#"{"a":1,"b":[2.0]}"#, r#"{"b":[2],"a":1.0}"#)] {
            assert_eq!(json(a), json(b));
            assert_eq!(hash(&json(a)), hash(&json(b)), "{a} and {b}");
        }
        assert_ne!(hash(&json("[1,2]")), hash(&json("[2,1]")));
    }

    #[test]
    fn a_path_goes_through_maps_and_lists_and_null() {
        let value = json(r#"{"lines":[{"qty":1},{"qty":2}],"gone":null}"#);
        assert_eq!(value.at(["lines", "qty"]), Some(json("[1,2]")));
        assert_eq!(value.at(["gone", "qty"]), Some(Value::Null));
        assert_eq!(value.at(["lines", "price"]), None);
        assert_eq!(value.at(["absent"]), None);
    }
}
