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
mod float;
mod format;
mod json;
mod numeric;
mod text;
mod time;

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Kind, Type as PgType};
use uuid::Uuid;

use crate::types::{Type, Value};
use format::{MALFORMED, Unfit, fixed};

pub(super) use format::Unreadable;

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

/// Decodes the value of a column that is not NULL.
pub(super) fn decode(codec: &Codec, raw: &[u8]) -> Result<Value, Unreadable> {
    Ok(match codec {
        Codec::Boolean => Value::Boolean(fixed(raw)? != [0]),
        Codec::Int2 => Value::Integer(i16::from_be_bytes(fixed(raw)?).into()),
        Codec::Int4 => Value::Integer(i32::from_be_bytes(fixed(raw)?).into()),
        Codec::Int8 => Value::Integer(i64::from_be_bytes(fixed(raw)?)),
        Codec::Oid => Value::Integer(u32::from_be_bytes(fixed(raw)?).into()),
        Codec::Float4 => float::decode_single(f32::from_be_bytes(fixed(raw)?))?,
        Codec::Float8 => float::decode_double(f64::from_be_bytes(fixed(raw)?))?,
        Codec::Numeric => Value::Decimal(numeric::decode(raw)?),
        Codec::Text => Value::text(text::text(raw)?),
        Codec::Padded => Value::text(text::text(raw)?.trim_end_matches(' ')),
        Codec::Char => text::character(fixed(raw)?),
        Codec::Uuid => Value::text(Uuid::from_bytes(fixed(raw)?).to_string()),
        Codec::Date => Value::Date(time::day(i32::from_be_bytes(fixed(raw)?))?),
        Codec::Time => Value::text(time::of_day(i64::from_be_bytes(fixed(raw)?))),
        Codec::TimeTz => Value::text(time::of_day_with_offset(raw)?),
        Codec::Timestamp | Codec::TimestampTz => Value::Timestamp(time::moment(i64::from_be_bytes(fixed(raw)?))?),
        Codec::Interval => Value::text(time::interval(raw)?),
        Codec::Json => json::decode(raw)?,
        Codec::Jsonb => match raw {
            [1, document @ ..] => json::decode(document)?,
            _ => return Err(MALFORMED),
        },
        Codec::Array { element, .. } => array::decode(element, raw)?,
    })
}

/// Appends `value`, which is not null, to `out`.
pub(super) fn encode(codec: &Codec, value: &Value, out: &mut BytesMut) -> Result<(), Unfit> {
    match (codec, value) {
        (Codec::Boolean, Value::Boolean(truth)) => out.put_u8(u8::from(*truth)),
        (Codec::Int2, _) => out.put_i16(numeric::whole(value)?),
        (Codec::Int4, _) => out.put_i32(numeric::whole(value)?),
        (Codec::Int8, _) => out.put_i64(numeric::whole(value)?),
        (Codec::Oid, _) => out.put_u32(numeric::whole(value)?),
        (Codec::Float4, _) => out.put_f32(float::single(numeric::decimal(value)?.as_ref())?),
        (Codec::Float8, _) => out.put_f64(float::double(numeric::decimal(value)?.as_ref())?),
        (Codec::Numeric, _) => numeric::encode(numeric::decimal(value)?.as_ref(), out)?,
        (Codec::Text | Codec::Padded, Value::Text(text)) => out.put_slice(text::without_nul(text)?.as_bytes()),
        (Codec::Char, Value::Text(text)) => out.put_u8(text::byte(text)?),
        (Codec::Uuid, Value::Text(text)) => {
            out.put_slice(text::parsed::<Uuid>(text, "text that is no UUID")?.as_bytes());
        }
        (Codec::Date, _) => out.put_i32(time::days(value)?),
        (Codec::Time, Value::Text(text)) => out.put_i64(time::time_of_day(text)?),
        (Codec::Timestamp | Codec::TimestampTz, _) => out.put_i64(time::microseconds(value)?),
        (Codec::Json, _) => json::encode(value, out)?,
        (Codec::Jsonb, _) => {
            out.put_u8(1);
            json::encode(value, out)?;
        }
        (Codec::Array { element, oid }, Value::List(elements)) => array::encode(element, *oid, elements, out)?,
        (Codec::TimeTz | Codec::Interval, Value::Text(_)) => {
            return Err(Unfit::because("text (cast it in the query: `$n::text::interval`)"));
        }
        _ => return Err(Unfit::kind(value)),
    }
    Ok(())
}

/// Decodes a column of type `ty` and encodes it again. Only for the fuzzer and its seeds.
///
/// # Errors
/// The bytes cannot be read, or the type is not mapped.
#[doc(hidden)]
pub fn round_trip(ty: &PgType, raw: &[u8]) -> Result<(Value, Option<Vec<u8>>), &'static str> {
    let codec = Codec::of(ty).ok_or("the type is not mapped")?;
    let value = decode(&codec, raw).map_err(|unreadable| unreadable.0)?;
    let mut out = BytesMut::new();
    let written = encode(&codec, &value, &mut out).ok().map(|()| out.to_vec());
    Ok((value, written))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::{Date, date};

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

    fn shown(codec: &Codec, raw: &[u8]) -> String {
        match decode(codec, raw) {
            Ok(value) => value.to_string(),
            Err(unreadable) => format!("error: {unreadable}"),
        }
    }

    #[test]
    fn each_type_is_decoded() {
        for (codec, raw, expected) in [
            (Codec::Boolean, &[1][..], "true"),
            (Codec::Int2, &(-7_i16).to_be_bytes(), "-7"),
            (Codec::Int8, &i64::MIN.to_be_bytes(), "-9223372036854775808"),
            (Codec::Oid, &u32::MAX.to_be_bytes(), "4294967295"),
            (Codec::Float4, &0.1_f32.to_be_bytes(), "0.1"),
            (Codec::Float8, &0.1_f64.to_be_bytes(), "0.1"),
            (Codec::Float8, &(-0.0_f64).to_be_bytes(), "0"),
            (Codec::Float8, &1e21_f64.to_be_bytes(), "1000000000000000000000"),
            (Codec::Float8, &1e23_f64.to_be_bytes(), "99999999999999990000000"),
            (Codec::Float8, &f64::NAN.to_be_bytes(), "error: holds NaN"),
            (Codec::Float4, &f32::NEG_INFINITY.to_be_bytes(), "error: holds infinity"),
            (Codec::Text, "größe".as_bytes(), "größe"),
            (Codec::Char, b"x", "x"),
            (Codec::Char, &[0], ""),
            (Codec::Char, &[0xFF], r"\377"),
            (Codec::Padded, b"A ", "A"),
            (Codec::Padded, b" A \t", " A \t"),
            (Codec::Padded, b"   ", ""),
            (Codec::Uuid, &[0x11; 16], "11111111-1111-1111-1111-111111111111"),
            (Codec::Date, &0_i32.to_be_bytes(), "2000-01-01"),
            (Codec::Date, &(-1_i32).to_be_bytes(), "1999-12-31"),
            (Codec::Date, &i32::MAX.to_be_bytes(), "error: holds infinity"),
            (Codec::Date, &3_000_000_i32.to_be_bytes(), "error: holds a date beyond the years -9999 to 9999"),
            (Codec::TimestampTz, &1_500_000_i64.to_be_bytes(), "2000-01-01T00:00:01.5Z"),
            (Codec::Timestamp, &i64::MIN.to_be_bytes(), "error: holds infinity"),
            (Codec::Json, br#"{"a":[1.50,null]}"#, r#"{"a":[1.50,null]}"#),
            (Codec::Jsonb, b"\x01[true]", "[true]"),
            (Codec::Jsonb, b"\x02[true]", "error: did not come in the format of its type"),
            (Codec::Int4, &[0, 1], "error: did not come in the format of its type"),
        ] {
            assert_eq!(shown(&codec, raw), expected, "{codec:?}");
        }
    }

    fn value(json: &str) -> Value {
        Value::from_json(&serde_json::from_str(json).unwrap()).unwrap()
    }

    fn round_trip(codec: &Codec, value: &Value) -> String {
        let mut out = BytesMut::new();
        match encode(codec, value, &mut out) {
            Ok(()) => decode(codec, &out).unwrap().to_string(),
            Err(unfit) => format!("not {unfit}"),
        }
    }

    #[test]
    fn a_value_that_fits_is_restored_and_one_that_does_not_is_rejected() {
        for (codec, given, expected) in [
            (Codec::Boolean, "true", "true"),
            (Codec::Boolean, "1", "not integer"),
            (Codec::Int2, "32767", "32767"),
            (Codec::Int2, "32768", "not an integer out of its range"),
            (Codec::Int4, "12.00", "12"),
            (Codec::Int4, "12.5", "not a decimal that is not whole, or out of its range"),
            (Codec::Int8, "\"12\"", "not text"),
            (Codec::Oid, "-1", "not an integer out of its range"),
            (Codec::Float4, "0.1", "0.1"),
            (Codec::Float8, "12345.678", "12345.678"),
            (Codec::Float4, "1e39", "not a number out of its range"),
            (Codec::Numeric, "7", "7"),
            (Codec::Numeric, "7.00", "7.00"),
            (Codec::Text, "\"O'Brien; --\"", "O'Brien; --"),
            (Codec::Text, "\"a\\u0000b\"", "not text with a NUL character"),
            (Codec::Text, "5", "not integer"),
            (Codec::Char, "\"x\"", "x"),
            (Codec::Char, "\"\\\\377\"", r"\377"),
            (Codec::Char, "\"\\\\101\"", "not text of more than one ASCII character"),
            (Codec::Char, "\"xy\"", "not text of more than one ASCII character"),
            (Codec::Uuid, "\"67E55044-10B1-426F-9247-BB680E5FE0C8\"", "67e55044-10b1-426f-9247-bb680e5fe0c8"),
            (Codec::Uuid, "\"nonsense\"", "not text that is no UUID"),
            (Codec::Date, "\"2024-02-29\"", "2024-02-29"),
            (Codec::Date, "\"1900-01-01\"", "1900-01-01"),
            (Codec::Date, "\"2023-02-29\"", "not text that is no date"),
            (Codec::TimestampTz, "\"2024-02-29T12:00:00+02:00\"", "2024-02-29T10:00:00Z"),
            (Codec::TimestampTz, "5", "not integer"),
            (Codec::Time, "\"23:59:59.25\"", "23:59:59.25"),
            (Codec::Json, "{\"a\":[1.50,\"b\"]}", "{\"a\":[1.50,\"b\"]}"),
            (Codec::Jsonb, "\"text\"", "text"),
            (Codec::Jsonb, "[\"\\u0000\"]", "not text with a NUL character"),
        ] {
            assert_eq!(round_trip(&codec, &value(given)), expected, "{given} as {codec:?}");
        }
    }

    #[test]
    fn dates_and_timestamps_of_the_whole_calendar_are_restored() {
        for day in [Date::MIN, Date::MAX, date(2000, 1, 1)] {
            assert_eq!(round_trip(&Codec::Date, &Value::Date(day)), day.to_string());
        }
        let moment: Timestamp = "1969-12-31T23:59:59.999999Z".parse().unwrap();
        assert_eq!(round_trip(&Codec::Timestamp, &Value::Timestamp(moment)), moment.to_string());
    }
}
