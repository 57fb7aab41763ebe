//! Decodes columns to values.

use std::fmt::LowerExp;

use jiff::civil::{Date, date};
use jiff::{Span, Timestamp};
use uuid::Uuid;

use super::{Codec, array, float, numeric, time};
use crate::types::Value;

/// Why a column's value cannot be represented: completes the sentence "column `c` of type t ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::postgres) struct Unreadable(pub(in crate::postgres) &'static str);

/// The bytes do not match the binary format of the type.
pub(super) const MALFORMED: Unreadable = Unreadable("did not come in the format of its type");
pub(super) const INFINITY: Unreadable = Unreadable("holds infinity");
pub(super) const NAN: Unreadable = Unreadable("holds NaN");
pub(super) const TOO_LONG: Unreadable = Unreadable("holds a number of too many digits");
const OFF_CALENDAR: Unreadable = Unreadable("holds a date beyond the years -9999 to 9999");
const OFF_TIMELINE: Unreadable = Unreadable(
    "holds a timestamp beyond -9999-01-02 01:59:59 to 9999-12-30 22:00 UTC: cast it to date or text in the query",
);

/// PostgreSQL's epoch.
pub(super) const EPOCH: Date = date(2000, 1, 1);
/// The same, in microseconds of Unix time.
pub(super) const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// Decodes the value of a column that is not NULL.
pub(in crate::postgres) fn decode(codec: &Codec, raw: &[u8]) -> Result<Value, Unreadable> {
    Ok(match codec {
        Codec::Boolean => Value::Boolean(fixed(raw)? != [0]),
        Codec::Int2 => Value::Integer(i16::from_be_bytes(fixed(raw)?).into()),
        Codec::Int4 => Value::Integer(i32::from_be_bytes(fixed(raw)?).into()),
        Codec::Int8 => Value::Integer(i64::from_be_bytes(fixed(raw)?)),
        Codec::Oid => Value::Integer(u32::from_be_bytes(fixed(raw)?).into()),
        Codec::Float4 => single(f32::from_be_bytes(fixed(raw)?))?,
        Codec::Float8 => double(f64::from_be_bytes(fixed(raw)?))?,
        Codec::Numeric => Value::Decimal(numeric::decode(raw)?),
        Codec::Text => Value::text(text(raw)?),
        Codec::Padded => Value::text(text(raw)?.trim_end_matches(' ')),
        Codec::Char => character(fixed(raw)?),
        Codec::Uuid => Value::text(Uuid::from_bytes(fixed(raw)?).to_string()),
        Codec::Date => Value::Date(day(i32::from_be_bytes(fixed(raw)?))?),
        Codec::Time => Value::text(time::of_day(i64::from_be_bytes(fixed(raw)?))),
        Codec::TimeTz => Value::text(time::of_day_with_offset(raw)?),
        Codec::Timestamp | Codec::TimestampTz => Value::Timestamp(moment(i64::from_be_bytes(fixed(raw)?))?),
        Codec::Interval => Value::text(time::interval(raw)?),
        Codec::Json => json(raw)?,
        Codec::Jsonb => match raw {
            [1, document @ ..] => json(document)?,
            _ => return Err(MALFORMED),
        },
        Codec::Array { element, .. } => array::decode(element, raw)?,
    })
}

/// The bytes of a type of fixed size.
pub(super) fn fixed<const N: usize>(raw: &[u8]) -> Result<[u8; N], Unreadable> {
    raw.try_into().map_err(|_| MALFORMED)
}

fn single(float: f32) -> Result<Value, Unreadable> {
    // Printed as f32: as f64 the shortest decimal of 0.1 would be 0.10000000149011612.
    decimal(float.into(), float, float::SINGLE, [float.next_down().into(), float.next_up().into()])
}

fn double(float: f64) -> Result<Value, Unreadable> {
    decimal(float, float, float::DOUBLE, [float.next_down(), float.next_up()])
}

fn decimal(float: f64, printed: impl LowerExp, least: f64, neighbours: [f64; 2]) -> Result<Value, Unreadable> {
    if float.is_nan() {
        return Err(NAN);
    }
    if float.is_infinite() {
        return Err(INFINITY);
    }
    float::shortest(float, printed, least, neighbours).map(Value::Decimal).ok_or(MALFORMED)
}

fn text(raw: &[u8]) -> Result<&str, Unreadable> {
    str::from_utf8(raw).map_err(|_| MALFORMED)
}

/// `"char"`: the zero byte is the empty text, and a byte above ASCII is an octal escape, as in PostgreSQL 16 and later.
fn character([byte]: [u8; 1]) -> Value {
    match byte {
        0 => Value::text(""),
        1..=0x7F => Value::text(char::from(byte).to_string()),
        0x80.. => Value::text(format!("\\{byte:o}")),
    }
}

fn day(days: i32) -> Result<Date, Unreadable> {
    if days == i32::MAX || days == i32::MIN {
        return Err(INFINITY);
    }
    let since = Span::new().try_days(days).map_err(|_| OFF_CALENDAR)?;
    EPOCH.checked_add(since).map_err(|_| OFF_CALENDAR)
}

fn moment(microseconds: i64) -> Result<Timestamp, Unreadable> {
    if microseconds == i64::MAX || microseconds == i64::MIN {
        return Err(INFINITY);
    }
    let unix = microseconds.checked_add(EPOCH_MICROSECONDS).ok_or(OFF_TIMELINE)?;
    Timestamp::from_microsecond(unix).map_err(|_| OFF_TIMELINE)
}

fn json(raw: &[u8]) -> Result<Value, Unreadable> {
    let document: serde_json::Value =
        serde_json::from_slice(raw).map_err(|_| Unreadable("holds JSON nested too deeply to read"))?;
    Value::from_json(&document).map_err(|_| TOO_LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
