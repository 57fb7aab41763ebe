//! Numbers, and the binary format of NUMERIC: digits of base 10,000, the weight of the first, a sign, and the number of decimal digits after the
//! point. Source: `numeric_send` in PostgreSQL's `src/backend/utils/adt/numeric.c`.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use num_bigint::BigInt;
use num_traits::Signed;

use super::format::{Cursor, INFINITY, MALFORMED, NAN, TOO_LONG, Unfit, Unreadable};
use crate::types::{Decimal, Value};

const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xC000;
const POSITIVE_INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
/// Decimal digits in one digit of base 10,000.
const GROUP: i64 = 4;
/// The longest number that is read: [`Decimal`] has no more digits before and after the point.
const MAX_GROUPS: usize = 600;
const MAX_SHIFT: u32 = 2_400;

/// A whole number that fits into the type.
pub(super) fn whole<N: TryFrom<i64>>(value: &Value) -> Result<N, Unfit> {
    let integer = match value {
        Value::Integer(integer) => *integer,
        Value::Decimal(decimal) => {
            decimal.to_i64().ok_or(Unfit::because("a decimal that is not whole, or out of its range"))?
        }
        other => return Err(Unfit::kind(other)),
    };
    N::try_from(integer).map_err(|_| Unfit::because("an integer out of its range"))
}

/// A number as a decimal.
pub(super) fn decimal(value: &Value) -> Result<Cow<'_, Decimal>, Unfit> {
    match value {
        Value::Integer(integer) => Ok(Cow::Owned(Decimal::from(*integer))),
        Value::Decimal(decimal) => Ok(Cow::Borrowed(decimal)),
        other => Err(Unfit::kind(other)),
    }
}

/// Decodes a NUMERIC and keeps trailing zeros.
pub(super) fn decode(raw: &[u8]) -> Result<Decimal, Unreadable> {
    let mut cursor = Cursor::new(raw);
    let groups = usize::from(u16::from_be_bytes(cursor.take()?));
    let weight = i64::from(i16::from_be_bytes(cursor.take()?));
    let sign = u16::from_be_bytes(cursor.take()?);
    let scale = u16::from_be_bytes(cursor.take()?);
    match sign {
        0 | NEGATIVE => {}
        NOT_A_NUMBER => return Err(NAN),
        POSITIVE_INFINITY | NEGATIVE_INFINITY => return Err(INFINITY),
        _ => return Err(MALFORMED),
    }
    if groups > MAX_GROUPS {
        return Err(TOO_LONG);
    }
    let digits = (0..groups).map(|_| cursor.take().map(i16::from_be_bytes)).collect::<Result<Vec<_>, _>>()?;
    // The exponent of the last group: the number is `digits * 10^exponent`.
    let exponent = GROUP * (weight - i64::try_from(groups).map_err(|_| TOO_LONG)? + 1);
    let shift = if groups == 0 { 0 } else { exponent + i64::from(scale) };
    if let Some(small) = small(&digits, shift) {
        let signed = if sign == NEGATIVE { -small } else { small };
        return Decimal::from_i128(signed, u32::from(scale)).map_err(|_| TOO_LONG);
    }
    let big = big(&digits, shift)?;
    let signed = if sign == NEGATIVE { -big } else { big };
    Decimal::from_unscaled(signed, i64::from(scale)).map_err(|_| TOO_LONG)
}

/// The digits times ten to the power of `shift`, where it fits into an `i128`.
fn small(digits: &[i16], shift: i64) -> Option<i128> {
    let mut unscaled: i128 = 0;
    for digit in digits {
        unscaled = unscaled.checked_mul(10_000)?.checked_add(i128::from(*digit))?;
    }
    let power = 10_i128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?)?;
    // A negative shift only removes the zeros that pad the last group.
    if shift < 0 { Some(unscaled / power) } else { unscaled.checked_mul(power) }
}

/// The same for any number of digits.
fn big(digits: &[i16], shift: i64) -> Result<BigInt, Unreadable> {
    let power = u32::try_from(shift.unsigned_abs()).map_err(|_| TOO_LONG)?;
    if power > MAX_SHIFT {
        return Err(TOO_LONG);
    }
    let unscaled = digits.iter().fold(BigInt::ZERO, |unscaled, digit| unscaled * 10_000 + digit);
    let power = BigInt::from(10).pow(power);
    Ok(if shift < 0 { unscaled / power } else { unscaled * power })
}

/// Encodes a NUMERIC with as many digits after the point as `decimal` has.
pub(super) fn encode(decimal: &Decimal, out: &mut BytesMut) -> Result<(), Unfit> {
    let out_of_range = || Unfit::because("a number out of its range");
    let (unscaled, scale) = decimal.unscaled();
    let scale = u16::try_from(scale).map_err(|_| out_of_range())?;
    let mut digits = unscaled.abs().to_string();
    // Whole groups on both sides of the point.
    let fraction = usize::from(scale);
    let padding = fraction.next_multiple_of(4) - fraction;
    digits.push_str(&"0".repeat(padding));
    let length = digits.len().max(fraction + padding).next_multiple_of(4);
    let digits = format!("{digits:0>length$}");
    let groups = digits.as_bytes().chunks(4).map(group).collect::<Vec<_>>();
    let whole_groups = (length - fraction - padding) / 4;
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
    let kept = groups.get(leading..groups.len() - trailing.min(groups.len() - leading)).unwrap_or_default();
    let weight = i64::try_from(whole_groups).map_err(|_| out_of_range())?
        - i64::try_from(leading).map_err(|_| out_of_range())?
        - 1;
    let weight = if kept.is_empty() { 0 } else { weight };
    out.put_u16(u16::try_from(kept.len()).map_err(|_| out_of_range())?);
    out.put_i16(i16::try_from(weight).map_err(|_| out_of_range())?);
    out.put_u16(if unscaled.is_negative() { NEGATIVE } else { 0 });
    out.put_u16(scale);
    for group in kept {
        out.put_u16(*group);
    }
    Ok(())
}

fn group(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |group, digit| group * 10 + u16::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(text: &str) -> String {
        let mut out = BytesMut::new();
        encode(&text.parse().unwrap(), &mut out).unwrap();
        decode(&out).unwrap().to_string()
    }

    #[test]
    fn numbers_keep_every_digit() {
        let long = format!("{}.{}", "9".repeat(120), "1".repeat(80));
        for text in [
            "0",
            "0.00",
            "1",
            "-1",
            "15.50",
            "8525.00",
            "10000",
            "100000000",
            "0.0001",
            "0.00001",
            "-0.5",
            "12.0000",
            "173137.50",
            "123456789012345678901234567890.123456789",
            "0.000000000000000000000000000000000001",
            &long,
        ] {
            assert_eq!(round_trip(text), text);
        }
    }

    #[test]
    fn numbers_from_postgresql_are_decoded() {
        for (raw, expected) in [
            // 15.50: groups 15 and 5000, weight 0, scale 2.
            (&[0, 2, 0, 0, 0, 0, 0, 2, 0, 15, 0x13, 0x88][..], Ok("15.50")),
            // 0.00: no groups, scale 2.
            (&[0, 0, 0, 0, 0, 0, 0, 2], Ok("0.00")),
            // 1e8: one group of weight 2.
            (&[0, 1, 0, 2, 0, 0, 0, 0, 0, 1], Ok("100000000")),
            (&[0, 0, 0, 0, 0xC0, 0, 0, 0], Err(NAN)),
            (&[0, 0, 0, 0, 0xD0, 0, 0, 0], Err(INFINITY)),
            (&[0, 0, 0, 0, 0xF0, 0, 0, 0], Err(INFINITY)),
            (&[0, 1, 0, 0, 0, 0, 0, 0], Err(MALFORMED)),
            // 10^4000.
            (&[0, 1, 0x03, 0xE8, 0, 0, 0, 0, 0, 1], Err(TOO_LONG)),
        ] {
            let read = decode(raw).map(|decimal| decimal.to_string());
            assert_eq!(read.as_deref().map_err(|unreadable| *unreadable), expected);
        }
    }

    proptest! {
        #[test]
        fn any_number_is_restored(negative: bool, whole in "[0-9]{1,60}", fraction in "[0-9]{0,60}") {
            let sign = if negative { "-" } else { "" };
            let point = if fraction.is_empty() { "" } else { "." };
            let decimal: Decimal = format!("{sign}{whole}{point}{fraction}").parse().unwrap();
            prop_assert_eq!(round_trip(&decimal.to_string()), decimal.to_string());
        }
    }
}
