//! Types of facts: what columns, inputs, literals and assignments are known to be before any row is read.

use std::fmt;
use std::sync::Arc;

/// The name of a column or a fact. Shared: one allocation for all rows.
pub type FieldName = Arc<str>;

/// What is known of a value before it is read.
///
/// `Any` is a type that is not known (a column before its query was prepared, a JSON document): it is not checked
/// at compile time, but at run time. Null belongs to every type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Not known before run time.
    Any,
    /// True or false.
    Boolean,
    /// A whole number of 64 bits.
    Integer,
    /// An exact decimal number.
    Decimal,
    /// Text.
    Text,
    /// A calendar day.
    Date,
    /// A moment.
    Timestamp,
    /// A list of elements of one type.
    List(Arc<Type>),
    /// Named fields: a row, the facts of a rule node, a JSON object.
    Map(Arc<Shape>),
}

/// The fields a map is known to have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// The known fields, in order.
    pub fields: Vec<Field>,
    /// Whether there may be fields beyond these (a `SELECT *` that was not prepared, a JSON object).
    pub open: bool,
}

/// One field of a [`Shape`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: FieldName,
    /// Its type.
    pub ty: Type,
}

impl Shape {
    /// A shape of exactly these fields.
    pub fn closed(fields: impl IntoIterator<Item = (FieldName, Type)>) -> Self {
        let fields = fields.into_iter().map(|(name, ty)| Field { name, ty }).collect();
        Self { fields, open: false }
    }

    /// A shape of which nothing is known.
    pub fn unknown() -> Self {
        Self { fields: Vec::new(), open: true }
    }

    /// The type of the field `name`: `None` where there cannot be such a field.
    pub fn field(&self, name: &str) -> Option<&Type> {
        match self.fields.iter().find(|field| &*field.name == name) {
            Some(field) => Some(&field.ty),
            None if self.open => Some(&Type::Any),
            None => None,
        }
    }

    /// Whether the field `name` is among the known ones.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| &*field.name == name)
    }
}

impl Type {
    /// Whether values of this type are numbers, or may be.
    pub fn may_be_number(&self) -> bool {
        matches!(self, Self::Any | Self::Integer | Self::Decimal)
    }

    /// Whether a value of this type can be compared by `==` or `<` with one of `other`.
    pub fn comparable_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _)
            | (_, Self::Any)
            | (Self::Integer | Self::Decimal, Self::Integer | Self::Decimal)
            | (Self::Map(_), Self::Map(_)) => true,
            (Self::List(a), Self::List(b)) => a.comparable_with(b),
            (a, b) => a == b,
        }
    }

    /// The narrowest type that holds the values of both.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a.clone(),
            (Self::Integer | Self::Decimal, Self::Integer | Self::Decimal) => Self::Decimal,
            (Self::List(a), Self::List(b)) => Self::List(Arc::new(a.join(b))),
            _ => Self::Any,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Boolean => f.write_str("boolean"),
            Self::Integer => f.write_str("integer"),
            Self::Decimal => f.write_str("decimal"),
            Self::Text => f.write_str("text"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::List(element) => write!(f, "list of {element}"),
            Self::Map(_) => f.write_str("map"),
        }
    }
}
