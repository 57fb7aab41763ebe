//! Dates, timestamps, and times of day and intervals as ISO 8601 text, because [`Value`] has no variants for them.

use std::fmt::Write;

use jiff::civil::{Date, Time, date};
use jiff::{Span, Timestamp};

use super::format::{Cursor, INFINITY, Unfit, Unreadable};
use super::text;
use crate::types::{Value, parse_moment};

const MICROSECONDS: u64 = 1_000_000;
const OFF_CALENDAR: Unreadable = Unreadable("holds a date beyond the years -9999 to 9999");
const OFF_TIMELINE: Unreadable = Unreadable(
    "holds a timestamp beyond -9999-01-02 01:59:59 to 9999-12-30 22:00 UTC: cast it to date or text in the query",
);

/// PostgreSQL's epoch.
const EPOCH: Date = date(2000, 1, 1);
/// The same, in microseconds of Unix time.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// Decodes a date.
pub(super) fn day(days: i32) -> Result<Date, Unreadable> {
    if days == i32::MAX || days == i32::MIN {
        return Err(INFINITY);
    }
    let since = Span::new().try_days(days).map_err(|_| OFF_CALENDAR)?;
    EPOCH.checked_add(since).map_err(|_| OFF_CALENDAR)
}

/// Decodes a timestamp.
pub(super) fn moment(microseconds: i64) -> Result<Timestamp, Unreadable> {
    if microseconds == i64::MAX || microseconds == i64::MIN {
        return Err(INFINITY);
    }
    let unix = microseconds.checked_add(EPOCH_MICROSECONDS).ok_or(OFF_TIMELINE)?;
    Timestamp::from_microsecond(unix).map_err(|_| OFF_TIMELINE)
}

/// A date as days since the epoch.
pub(super) fn days(value: &Value) -> Result<i32, Unfit> {
    let day = match value {
        Value::Date(day) => *day,
        Value::Text(text) => text::parsed::<Date>(text, "text that is no date")?,
        other => return Err(Unfit::kind(other)),
    };
    let since = day.since(EPOCH).map_err(|_| Unfit::because("a date out of its range"))?;
    Ok(since.get_days())
}

/// A timestamp as microseconds since the epoch.
pub(super) fn microseconds(value: &Value) -> Result<i64, Unfit> {
    let moment = match value {
        Value::Timestamp(moment) => *moment,
        Value::Text(text) => {
            parse_moment(text).map_err(|_| Unfit::because("text that is no timestamp with its offset from UTC"))?
        }
        Value::Date(_) => return Err(Unfit::because("date: add a time and its offset, such as 2026-01-01T00:00:00Z")),
        other => return Err(Unfit::kind(other)),
    };
    Ok(moment.as_microsecond() - EPOCH_MICROSECONDS)
}

/// A time of day as microseconds.
pub(super) fn time_of_day(text: &str) -> Result<i64, Unfit> {
    let time: Time = text::parsed(text, "text that is no time of day")?;
    let seconds = (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    Ok(seconds * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1_000)
}

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
