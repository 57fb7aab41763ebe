//! PostgreSQL's binary format and [`Value`](crate::types::Value): which types are mapped, and how.
//!
//! | PostgreSQL | value |
//! |---|---|
//! | `bool` | boolean |
//! | `int2 int4 int8 oid` | integer |
//! | `numeric` | decimal, every digit and trailing zero kept |
//! | `float4 float8` | decimal, the shortest that reads back as the same number |
//! | `text varchar name "char" citext`, enums | text |
//! | `bpchar` (`char(n)`) | text without the padding, as PostgreSQL casts it to text |
//! | `uuid` | text, hyphenated |
//! | `date` | date |
//! | `timestamptz`, `timestamp` (read as UTC) | timestamp |
//! | `time timetz interval` | text, ISO 8601 |
//! | `json jsonb` | what the document holds |
//! | arrays of these, in any number of dimensions | lists |
//! | domains | as their base type |
//!
//! Other types have no mapping and are rejected (`bytea`, too: write `encode(c, 'hex')`). NaN, infinities and dates outside the
//! calendar are errors and are never rounded. The formats are those of PostgreSQL's `*_send` and `*_recv` functions.
//! This module does no I/O.

mod array;
mod decode;
mod encode;
mod float;
mod numeric;
mod time;

/// Decodes a column of type `ty` and encodes it again. Only for the fuzzer and its seeds.
///
/// # Errors
/// The bytes cannot be read, or the type is not mapped.
#[doc(hidden)]
pub fn round_trip(ty: &PgType, raw: &[u8]) -> Result<(crate::types::Value, Option<Vec<u8>>), &'static str> {
    let codec = Codec::of(ty).ok_or("the type is not mapped")?;
    let value = decode(&codec, raw).map_err(|unreadable| unreadable.0)?;
    let mut out = bytes::BytesMut::new();
    let written = encode(&codec, &value, &mut out).ok().map(|()| out.to_vec());
    Ok((value, written))
}

use std::sync::Arc;

use tokio_postgres::types::{Kind, Type as PgType};

pub(super) use decode::{Unreadable, decode};
pub(super) use encode::encode;

use crate::types::Type;

/// How a PostgreSQL type is decoded and encoded. Chosen once for each statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Codec {
    Boolean,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    /// `bpchar`: text whose trailing spaces are insignificant.
    Padded,
    /// `"char"`: one byte.
    Char,
    Uuid,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Json,
    Jsonb,
    Array {
        element: Box<Codec>,
        /// The OID of the element's type, which the format repeats.
        oid: u32,
    },
}

impl Codec {
    /// The codec of `ty`. `None` where it has no mapping.
    pub(super) fn of(ty: &PgType) -> Option<Self> {
        Some(match *ty {
            PgType::BOOL => Self::Boolean,
            PgType::INT2 => Self::Int2,
            PgType::INT4 => Self::Int4,
            PgType::INT8 => Self::Int8,
            PgType::OID => Self::Oid,
            PgType::FLOAT4 => Self::Float4,
            PgType::FLOAT8 => Self::Float8,
            PgType::NUMERIC => Self::Numeric,
            PgType::TEXT | PgType::VARCHAR | PgType::NAME | PgType::UNKNOWN => Self::Text,
            PgType::BPCHAR => Self::Padded,
            PgType::CHAR => Self::Char,
            PgType::UUID => Self::Uuid,
            PgType::DATE => Self::Date,
            PgType::TIME => Self::Time,
            PgType::TIMETZ => Self::TimeTz,
            PgType::TIMESTAMP => Self::Timestamp,
            PgType::TIMESTAMPTZ => Self::TimestampTz,
            PgType::INTERVAL => Self::Interval,
            PgType::JSON => Self::Json,
            PgType::JSONB => Self::Jsonb,
            _ => return Self::of_kind(ty),
        })
    }

    fn of_kind(ty: &PgType) -> Option<Self> {
        match ty.kind() {
            Kind::Array(element) => Some(Self::Array { element: Box::new(Self::of(element)?), oid: element.oid() }),
            Kind::Domain(base) => Self::of(base),
            Kind::Enum(_) => Some(Self::Text),
            // The type belongs to an extension, so its OID differs between databases.
            Kind::Simple if ty.name() == "citext" => Some(Self::Text),
            _ => None,
        }
    }

    /// The type of the decoded values.
    pub(super) fn ty(&self) -> Type {
        match self {
            Self::Boolean => Type::Boolean,
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid => Type::Integer,
            Self::Float4 | Self::Float8 | Self::Numeric => Type::Decimal,
            Self::Text | Self::Padded | Self::Char | Self::Uuid | Self::Time | Self::TimeTz | Self::Interval => {
                Type::Text
            }
            Self::Date => Type::Date,
            Self::Timestamp | Self::TimestampTz => Type::Timestamp,
            Self::Json | Self::Jsonb => Type::Any,
            Self::Array { element, .. } => Type::List(Arc::new(element.ty())),
        }
    }
}

/// The name of a type as SQL writes it: `numeric`, `text[]`.
pub(super) fn name_of(ty: &PgType) -> String {
    match ty.kind() {
        Kind::Array(element) => format!("{}[]", name_of(element)),
        _ => ty.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_domains_are_mapped_by_their_element_or_base_type() {
        let quantity = PgType::new("quantity".into(), 99_001, Kind::Domain(PgType::NUMERIC), "public".into());
        let quantities = PgType::new("_quantity".into(), 99_002, Kind::Array(quantity.clone()), "public".into());
        let trend = PgType::new("trend".into(), 99_003, Kind::Enum(vec!["up".into()]), "public".into());
        assert_eq!(Codec::of(&quantity), Some(Codec::Numeric));
        assert_eq!(Codec::of(&trend), Some(Codec::Text));
        assert_eq!(Codec::of(&quantities), Some(Codec::Array { element: Box::new(Codec::Numeric), oid: 99_001 }));
        assert_eq!(name_of(&quantities), "quantity[]");
        assert_eq!(name_of(&PgType::TEXT_ARRAY), "text[]");
    }

    #[test]
    fn types_without_a_mapping_have_no_codec() {
        for ty in [PgType::BYTEA, PgType::MONEY, PgType::INET, PgType::INT4_RANGE, PgType::POINT, PgType::BYTEA_ARRAY] {
            assert_eq!(Codec::of(&ty), None, "{ty}");
        }
    }
}
