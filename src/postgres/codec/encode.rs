//! Encodes values as parameters, by the types that PREPARE reports. A value that does not fit is rejected, and never cast or truncated.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use jiff::civil::{Date, Time};
use uuid::Uuid;

use super::decode::{EPOCH, EPOCH_MICROSECONDS};
use super::{Codec, array, numeric};
use crate::types::{Decimal, Value, parse_moment};

/// What was given instead of the type of the parameter: completes "parameter $1 takes t, not ...". It never contains the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::postgres) struct Unfit(pub(in crate::postgres) Cow<'static, str>);

impl Unfit {
    pub(super) fn because(what: &'static str) -> Self {
        Self(Cow::Borrowed(what))
    }

    fn kind(value: &Value) -> Self {
        Self::because(value.type_name())
    }
}

/// Appends `value`, which is not null, to `out`.
pub(in crate::postgres) fn encode(codec: &Codec, value: &Value, out: &mut BytesMut) -> Result<(), Unfit> {
    match (codec, value) {
        (Codec::Boolean, Value::Boolean(truth)) => out.put_u8(u8::from(*truth)),
        (Codec::Int2, _) => out.put_i16(whole(value)?),
        (Codec::Int4, _) => out.put_i32(whole(value)?),
        (Codec::Int8, _) => out.put_i64(whole(value)?),
        (Codec::Oid, _) => out.put_u32(whole(value)?),
        (Codec::Float4, _) => out.put_f32(single(decimal(value)?.as_ref())?),
        (Codec::Float8, _) => out.put_f64(double(decimal(value)?.as_ref())?),
        (Codec::Numeric, _) => numeric::encode(decimal(value)?.as_ref(), out)?,
        (Codec::Text | Codec::Padded, Value::Text(text)) => out.put_slice(without_nul(text)?.as_bytes()),
        (Codec::Char, Value::Text(text)) => out.put_u8(byte(text)?),
        (Codec::Uuid, Value::Text(text)) => out.put_slice(parsed::<Uuid>(text, "text that is no UUID")?.as_bytes()),
        (Codec::Date, _) => out.put_i32(days(value)?),
        (Codec::Time, Value::Text(text)) => out.put_i64(time_of_day(text)?),
        (Codec::Timestamp | Codec::TimestampTz, _) => out.put_i64(microseconds(value)?),
        (Codec::Json, _) => json(value, out)?,
        (Codec::Jsonb, _) => {
            out.put_u8(1);
            json(value, out)?;
        }
        (Codec::Array { element, oid }, Value::List(elements)) => array::encode(element, *oid, elements, out)?,
        (Codec::TimeTz | Codec::Interval, Value::Text(_)) => {
            return Err(Unfit::because("text (cast it in the query: `$n::text::interval`)"));
        }
        _ => return Err(Unfit::kind(value)),
    }
    Ok(())
}

fn whole<N: TryFrom<i64>>(value: &Value) -> Result<N, Unfit> {
    let integer = match value {
        Value::Integer(integer) => *integer,
        Value::Decimal(decimal) => {
            decimal.to_i64().ok_or(Unfit::because("a decimal that is not whole, or out of its range"))?
        }
        other => return Err(Unfit::kind(other)),
    };
    N::try_from(integer).map_err(|_| Unfit::because("an integer out of its range"))
}

fn decimal(value: &Value) -> Result<Cow<'_, Decimal>, Unfit> {
    match value {
        Value::Integer(integer) => Ok(Cow::Owned(Decimal::from(*integer))),
        Value::Decimal(decimal) => Ok(Cow::Borrowed(decimal)),
        other => Err(Unfit::kind(other)),
    }
}

fn double(decimal: &Decimal) -> Result<f64, Unfit> {
    Some(decimal.to_f64()).filter(|float| float.is_finite()).ok_or(Unfit::because("a number out of its range"))
}

/// Parsed from the digits: a conversion through f64 would round twice.
fn single(decimal: &Decimal) -> Result<f32, Unfit> {
    let float: Option<f32> = decimal.to_string().parse().ok();
    float.filter(|float| float.is_finite()).ok_or(Unfit::because("a number out of its range"))
}

/// Rejects NUL, which PostgreSQL text cannot contain. The server's own error would show the bytes.
fn without_nul(text: &str) -> Result<&str, Unfit> {
    if text.contains('\0') { Err(Unfit::because("text with a NUL character")) } else { Ok(text) }
}

fn byte(text: &str) -> Result<u8, Unfit> {
    match text.as_bytes() {
        [] => Ok(0),
        [byte] if *byte != 0 => Ok(*byte),
        [b'\\', octal @ ..] if octal.len() == 3 => escaped(octal),
        _ => Err(Unfit::because("text of more than one ASCII character")),
    }
}

/// A byte above ASCII, in the octal form in which it is decoded.
fn escaped(octal: &[u8]) -> Result<u8, Unfit> {
    let byte = str::from_utf8(octal).ok().and_then(|octal| u8::from_str_radix(octal, 8).ok());
    byte.filter(|byte| !byte.is_ascii()).ok_or(Unfit::because("text of more than one ASCII character"))
}

fn parsed<T: std::str::FromStr>(text: &str, otherwise: &'static str) -> Result<T, Unfit> {
    text.parse().map_err(|_| Unfit::because(otherwise))
}

fn days(value: &Value) -> Result<i32, Unfit> {
    let day = match value {
        Value::Date(day) => *day,
        Value::Text(text) => parsed::<Date>(text, "text that is no date")?,
        other => return Err(Unfit::kind(other)),
    };
    let since = day.since(EPOCH).map_err(|_| Unfit::because("a date out of its range"))?;
    Ok(since.get_days())
}

fn microseconds(value: &Value) -> Result<i64, Unfit> {
    let moment = match value {
        Value::Timestamp(moment) => *moment,
        Value::Text(text) => {
            parse_moment(text).map_err(|_| Unfit::because("text that is no timestamp with its offset from UTC"))?
        }
        other => return Err(Unfit::kind(other)),
    };
    Ok(moment.as_microsecond() - EPOCH_MICROSECONDS)
}

fn time_of_day(text: &str) -> Result<i64, Unfit> {
    let time: Time = parsed(text, "text that is no time of day")?;
    let seconds = (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    Ok(seconds * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1_000)
}

fn json(value: &Value, out: &mut BytesMut) -> Result<(), Unfit> {
    let document = serde_json::to_string(value).map_err(|_| Unfit::kind(value))?;
    if has_nul(value) {
        return Err(Unfit::because("text with a NUL character"));
    }
    out.put_slice(document.as_bytes());
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.contains('\0'),
        Value::List(elements) => elements.iter().any(has_nul),
        Value::Map(record) => record.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::decode;
    use super::*;

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
        for day in [Date::MIN, Date::MAX, EPOCH] {
            assert_eq!(round_trip(&Codec::Date, &Value::Date(day)), day.to_string());
        }
        let moment: Timestamp = "1969-12-31T23:59:59.999999Z".parse().unwrap();
        assert_eq!(round_trip(&Codec::Timestamp, &Value::Timestamp(moment)), moment.to_string());
    }
}
