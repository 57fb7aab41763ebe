//! The inputs of a flow: their schema, and the reading of bodies and command lines against it.
//!
//! Types are not converted: a number is never a text, but for the decimals of a flow that has them as strings. An unknown name is an
//! error. All problems are reported at once, each with its JSON pointer. No message repeats a value.

mod json;
mod schema;
mod value;

use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

pub use json::{FieldProblem, InputError, KEY_MEMBER, KeyedInputs, without_bom};
pub(super) use schema::{InputSpec, read};

use super::decimals::Decimals;
use crate::types::{FieldName, Shape, Type, Value};

/// The inputs of a flow.
#[derive(Debug, Clone, Default)]
pub struct InputSchema {
    fields: Vec<InputField>,
    /// The names of the fields, shared with what is read.
    names: Arc<[FieldName]>,
}

/// One input.
#[derive(Debug, Clone)]
pub struct InputField {
    /// Its name.
    pub name: FieldName,
    /// Its type, or the type of its elements.
    pub scalar: Scalar,
    /// Whether it is a list.
    pub is_list: bool,
    /// What decimals are in the JSON of its flow.
    pub decimals: Decimals,
    /// Whether it must be given. If it is not given, it is its default, or null.
    pub required: bool,
    /// The most characters of a text.
    pub max_length: Option<usize>,
    /// What a text must match as a whole.
    pub pattern: Option<regex::Regex>,
    /// The least it may be.
    pub minimum: Option<Value>,
    /// The most it may be.
    pub maximum: Option<Value>,
    /// The only values it may have.
    pub one_of: Option<Vec<Value>>,
    /// Its value if it is not given.
    pub default: Option<Value>,
    /// A value to try the flow with.
    pub example: Option<Value>,
    /// Its description.
    pub description: Option<String>,
}

/// The type of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// Text without NUL.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// An exact decimal number.
    Decimal,
    /// True or false.
    Boolean,
    /// `2026-01-31`
    Date,
    /// RFC 3339, with its offset.
    Timestamp,
    /// 32 hexadecimal digits with dashes; kept as lower-case text.
    Uuid,
}

impl Scalar {
    const ALL: [Self; 7] =
        [Self::Text, Self::Integer, Self::Decimal, Self::Boolean, Self::Date, Self::Timestamp, Self::Uuid];

    /// Its name in the graph.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Uuid => "uuid",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scalar| scalar.name() == name)
    }

    fn ty(self) -> Type {
        match self {
            Self::Text | Self::Uuid => Type::Text,
            Self::Integer => Type::Integer,
            Self::Decimal => Type::Decimal,
            Self::Boolean => Type::Boolean,
            Self::Date => Type::Date,
            Self::Timestamp => Type::Timestamp,
        }
    }
}

impl InputField {
    /// What a text must match as a whole, as its author wrote it.
    pub fn bare_pattern(&self) -> Option<&str> {
        let anchored = self.pattern.as_ref()?.as_str();
        anchored.strip_prefix("^(?:")?.strip_suffix(")$")
    }

    /// The name of its type in the graph: `text`, `list of text`.
    pub fn type_name(&self) -> String {
        if self.is_list { format!("list of {}", self.scalar.name()) } else { self.scalar.name().to_owned() }
    }

    fn ty(&self) -> Type {
        let ty = self.scalar.ty();
        if self.is_list { Type::List(Arc::new(ty)) } else { ty }
    }
}

impl InputSchema {
    fn new(fields: Vec<InputField>) -> Self {
        let names = fields.iter().map(|field| field.name.clone()).collect();
        Self { fields, names }
    }

    /// The inputs, in the order of the graph.
    pub fn fields(&self) -> &[InputField] {
        &self.fields
    }

    /// The inputs and their types.
    pub fn shape(&self) -> Shape {
        Shape::closed(self.fields.iter().map(|field| (field.name.clone(), field.ty())))
    }
}

impl Serialize for InputSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for field in &self.fields {
            map.serialize_entry(&*field.name, field)?;
        }
        map.end()
    }
}

impl Serialize for InputField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.type_name())?;
        map.serialize_entry("required", &self.required)?;
        if let Some(length) = self.max_length {
            map.serialize_entry("max_length", &length)?;
        }
        if let Some(pattern) = self.bare_pattern() {
            map.serialize_entry("pattern", pattern)?;
        }
        let values = [
            ("minimum", &self.minimum),
            ("maximum", &self.maximum),
            ("default", &self.default),
            ("example", &self.example),
        ];
        for (key, value) in values {
            if let Some(value) = value {
                map.serialize_entry(key, &self.decimals.written(value))?;
            }
        }
        if let Some(values) = &self.one_of {
            let values: Vec<_> = values.iter().map(|value| self.decimals.written(value)).collect();
            map.serialize_entry("enum", &values)?;
        }
        if let Some(description) = &self.description {
            map.serialize_entry("description", description)?;
        }
        map.end()
    }
}
