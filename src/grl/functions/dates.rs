//! Functions of dates and timestamps.

use jiff::civil::Date;
use jiff::{Span, Unit};

use super::numbers::whole;
use super::{Function, Gives, Takes};
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::operators::unfit;
use crate::types::{Clock, Value, parse_moment};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("today", "today()", &[], Gives::Date, |_, _, clock| Ok(Value::Date(clock.today()))),
    Function::new("now", "now()", &[], Gives::Timestamp, |_, _, clock| Ok(Value::Timestamp(clock.now()))),
    Function::new("date", "date(\"2026-01-31\") or date(timestamp)", &[Takes::TextOrMoment], Gives::Date, date),
    Function::new("timestamp", "timestamp(\"2026-01-31T08:00:00Z\")", &[Takes::Text], Gives::Timestamp, timestamp),
    Function::new(
        "add_days",
        "add_days(date, days)",
        &[Takes::Date, Takes::Whole],
        Gives::Date,
        |name, arguments, _| add(name, arguments, |days| Span::new().try_days(days)),
    ),
    // The same day of another month, or the last one where that month is shorter.
    Function::new(
        "add_months",
        "add_months(date, months)",
        &[Takes::Date, Takes::Whole],
        Gives::Date,
        |name, arguments, _| add(name, arguments, |months| Span::new().try_months(months)),
    ),
    Function::new("days_between", "days_between(from, to)", &[Takes::Date, Takes::Date], Gives::Integer, days_between),
    Function::new("year", "year(date)", &[Takes::Date], Gives::Integer, |name, arguments, _| {
        part(name, arguments, |date| date.year().into())
    }),
    Function::new("month", "month(date)", &[Takes::Date], Gives::Integer, |name, arguments, _| {
        part(name, arguments, |date| date.month().into())
    }),
    Function::new("day", "day(date)", &[Takes::Date], Gives::Integer, |name, arguments, _| {
        part(name, arguments, |date| date.day().into())
    }),
    Function::new("weekday", "weekday(date)", &[Takes::Date], Gives::Integer, |name, arguments, _| {
        part(name, arguments, |date| date.weekday().to_monday_one_offset().into())
    }),
];

fn date(name: &'static str, arguments: &[Value], clock: &Clock) -> Result<Value, Error> {
    const EXPECTED: &str = "a text such as \"2026-01-31\", or a timestamp";
    match arguments.first() {
        Some(Value::Date(date)) => Ok(Value::Date(*date)),
        Some(Value::Timestamp(moment)) => Ok(Value::Date(moment.to_zoned(clock.time_zone().clone()).date())),
        Some(Value::Text(text)) if is_day(text) => text.parse().map(Value::Date).map_err(|_| no_date(name, EXPECTED)),
        Some(Value::Text(_)) => Err(no_date(name, EXPECTED)),
        Some(other) => Err(unfit(name, EXPECTED, other)),
        None => Ok(Value::Null),
    }
}

fn timestamp(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    const EXPECTED: &str = "a text such as \"2026-01-31T08:00:00Z\"";
    match arguments.first() {
        Some(Value::Text(text)) => parse_moment(text).map(Value::Timestamp).map_err(|why| Error::Type {
            operator: name,
            expected: EXPECTED,
            found: why.to_string(),
        }),
        Some(other) => Err(unfit(name, EXPECTED, other)),
        None => Ok(Value::Null),
    }
}

/// Whether `text` is a day. The parser would also accept a timestamp, and lose its time zone.
pub(in crate::grl) fn is_day(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

fn no_date(operator: &'static str, expected: &'static str) -> Error {
    Error::Type { operator, expected, found: "another text".to_owned() }
}

fn one_date(name: &'static str, arguments: &[Value]) -> Result<Date, Error> {
    match arguments.first() {
        Some(Value::Date(date)) => Ok(*date),
        Some(other) => Err(unfit(name, "a date", other)),
        None => Err(Error::OutOfRange { operator: name }),
    }
}

fn add(
    name: &'static str,
    arguments: &[Value],
    span: impl Fn(i64) -> Result<Span, jiff::Error>,
) -> Result<Value, Error> {
    let date = one_date(name, arguments)?;
    let count = arguments.get(1).map_or(Ok(0), |count| whole(name, count))?;
    let out = |_| Error::OutOfRange { operator: name };
    date.checked_add(span(count).map_err(out)?).map(Value::Date).map_err(out)
}

fn days_between(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let from = one_date(name, arguments)?;
    let to = one_date(name, arguments.get(1..).unwrap_or_default())?;
    let span = from.until((Unit::Day, to)).map_err(|_| Error::OutOfRange { operator: name })?;
    Ok(Value::Integer(span.get_days().into()))
}

fn part(name: &'static str, arguments: &[Value], part: impl Fn(Date) -> i64) -> Result<Value, Error> {
    one_date(name, arguments).map(|date| Value::Integer(part(date)))
}
