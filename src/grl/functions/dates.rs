//! Functions of dates and moments.

use jiff::civil::Date;
use jiff::{Span, Unit};

use super::super::error::EvalErrorKind as Error;
use super::super::operators::unfit;
use super::numbers::whole;
use crate::types::{Clock, Value, parse_moment};

pub(super) fn date(arguments: &[Value], clock: &Clock) -> Result<Value, Error> {
    const EXPECTED: &str = "a text such as \"2026-01-31\", or a timestamp";
    match arguments.first() {
        Some(Value::Date(date)) => Ok(Value::Date(*date)),
        Some(Value::Timestamp(moment)) => Ok(Value::Date(moment.to_zoned(clock.time_zone().clone()).date())),
        Some(Value::Text(text)) if is_day(text) => text.parse().map(Value::Date).map_err(|_| no_date("date", EXPECTED)),
        Some(Value::Text(_)) => Err(no_date("date", EXPECTED)),
        Some(other) => Err(unfit("date", EXPECTED, other)),
        None => Ok(Value::Null),
    }
}

pub(super) fn timestamp(arguments: &[Value]) -> Result<Value, Error> {
    const EXPECTED: &str = "a text such as \"2026-01-31T08:00:00Z\"";
    match arguments.first() {
        Some(Value::Text(text)) => parse_moment(text).map(Value::Timestamp).map_err(|why| Error::Type {
            operator: "timestamp",
            expected: EXPECTED,
            found: why.to_string(),
        }),
        Some(other) => Err(unfit("timestamp", EXPECTED, other)),
        None => Ok(Value::Null),
    }
}

/// Whether `text` is written as a day: the parser itself would take the day of a moment, whose zone then gets lost.
pub(in crate::grl) fn is_day(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

pub(super) fn no_date(operator: &'static str, expected: &'static str) -> Error {
    Error::Type { operator, expected, found: "another text".to_owned() }
}

pub(super) fn one_date(name: &'static str, arguments: &[Value]) -> Result<Date, Error> {
    match arguments.first() {
        Some(Value::Date(date)) => Ok(*date),
        Some(other) => Err(unfit(name, "a date", other)),
        None => Err(Error::OutOfRange { operator: name }),
    }
}

pub(super) fn add_days(arguments: &[Value]) -> Result<Value, Error> {
    add("add_days", arguments, |days| Span::new().try_days(days))
}

/// The same day of another month, or the last one where that month is shorter.
pub(super) fn add_months(arguments: &[Value]) -> Result<Value, Error> {
    add("add_months", arguments, |months| Span::new().try_months(months))
}

pub(super) fn add(
    name: &'static str,
    arguments: &[Value],
    span: impl Fn(i64) -> Result<Span, jiff::Error>,
) -> Result<Value, Error> {
    let date = one_date(name, arguments)?;
    let count = arguments.get(1).map_or(Ok(0), |count| whole(name, count))?;
    let out = |_| Error::OutOfRange { operator: name };
    date.checked_add(span(count).map_err(out)?).map(Value::Date).map_err(out)
}

pub(super) fn days_between(arguments: &[Value]) -> Result<Value, Error> {
    let from = one_date("days_between", arguments)?;
    let to = one_date("days_between", arguments.get(1..).unwrap_or_default())?;
    let span = from.until((Unit::Day, to)).map_err(|_| Error::OutOfRange { operator: "days_between" })?;
    Ok(Value::Integer(span.get_days().into()))
}
