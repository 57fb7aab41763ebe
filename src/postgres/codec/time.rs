//! Times of day and intervals as ISO 8601 text, because [`Value`](crate::types::Value) has no variants for them.

use std::fmt::Write;

use super::array::Cursor;
use super::decode::{INFINITY, Unreadable};

const MICROSECONDS: u64 = 1_000_000;

/// A `time`: `08:30:00`, with the fraction of a second that it has. PostgreSQL also has `24:00:00`.
pub(super) fn of_day(microseconds: i64) -> String {
    let total = microseconds.unsigned_abs();
    let seconds = total / MICROSECONDS;
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    push_fraction(&mut text, total % MICROSECONDS);
    text
}

/// A `timetz`: `08:30:00+02:00`. The binary format has the offset in seconds west of Greenwich.
pub(super) fn of_day_with_offset(raw: &[u8]) -> Result<String, Unreadable> {
    let mut cursor = Cursor::new(raw);
    let mut text = of_day(i64::from_be_bytes(cursor.take()?));
    let west = i32::from_be_bytes(cursor.take()?);
    let seconds = west.unsigned_abs();
    let sign = if west > 0 { '-' } else { '+' };
    push(&mut text, format_args!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60));
    if seconds % 60 != 0 {
        push(&mut text, format_args!(":{:02}", seconds % 60));
    }
    Ok(text)
}

/// An `interval`: `P1Y2M3DT4H5M6.5S`. Each part has its own sign, as PostgreSQL's `iso_8601` style writes it.
pub(super) fn interval(raw: &[u8]) -> Result<String, Unreadable> {
    let mut cursor = Cursor::new(raw);
    let microseconds = i64::from_be_bytes(cursor.take()?);
    let days = i32::from_be_bytes(cursor.take()?);
    let months = i32::from_be_bytes(cursor.take()?);
    if [(i64::MAX, i32::MAX), (i64::MIN, i32::MIN)].contains(&(microseconds, days)) && months == days {
        return Err(INFINITY);
    }
    let mut text = String::from("P");
    for (amount, unit) in [(months / 12, 'Y'), (months % 12, 'M'), (days, 'D')] {
        if amount != 0 {
            push(&mut text, format_args!("{amount}{unit}"));
        }
    }
    push_clock(&mut text, microseconds);
    if text == "P" {
        text.push_str("T0S");
    }
    Ok(text)
}

fn push_clock(text: &mut String, microseconds: i64) {
    if microseconds == 0 {
        return;
    }
    text.push('T');
    let sign = if microseconds < 0 { "-" } else { "" };
    let total = microseconds.unsigned_abs();
    let seconds = total / MICROSECONDS;
    for (amount, unit) in [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M')] {
        if amount != 0 {
            push(text, format_args!("{sign}{amount}{unit}"));
        }
    }
    let rest = total % (60 * MICROSECONDS);
    if rest != 0 {
        push(text, format_args!("{sign}{}", rest / MICROSECONDS));
        push_fraction(text, rest % MICROSECONDS);
        text.push('S');
    }
}

fn push_fraction(text: &mut String, microseconds: u64) {
    if microseconds != 0 {
        let digits = format!("{microseconds:06}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).unwrap_or_default(); // writing to a String does not fail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_iso_text() {
        for (microseconds, expected) in [
            (0, "00:00:00"),
            (30_600_000_000, "08:30:00"),
            (86_399_999_999, "23:59:59.999999"),
            (86_400_000_000, "24:00:00"),
            (1_250_000, "00:00:01.25"),
        ] {
            assert_eq!(of_day(microseconds), expected);
        }
        for (west, expected) in [(-7_200, "00:00:00+02:00"), (12_600, "00:00:00-03:30"), (0, "00:00:00+00:00")] {
            let raw = [0_i64.to_be_bytes().as_slice(), &i32::to_be_bytes(west)].concat();
            assert_eq!(of_day_with_offset(&raw).unwrap(), expected);
        }
    }

    #[test]
    fn intervals_are_iso_text() {
        for ((microseconds, days, months), expected) in [
            ((0, 0, 0), Ok("PT0S")),
            ((14_706_500_000, 3, 14), Ok("P1Y2M3DT4H5M6.5S")),
            ((-1, 0, 0), Ok("PT-0.000001S")),
            ((3_600_000_000, -1, 0), Ok("P-1DT1H")),
            ((i64::MAX, i32::MAX, i32::MAX), Err(INFINITY)),
        ] {
            let raw = [i64::to_be_bytes(microseconds).as_slice(), &i32::to_be_bytes(days), &i32::to_be_bytes(months)]
                .concat();
            assert_eq!(interval(&raw).as_deref().map_err(|unreadable| *unreadable), expected);
        }
    }
}
