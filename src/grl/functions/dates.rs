//! Functions of dates.

use jiff::civil::Date;
use jiff::{Span, Unit};

use super::numbers::whole;
use super::{Function, Gives, Takes};
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::operators::unfit;
use crate::types::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("today", "today()", &[], Gives::Date, |_, _, clock| Ok(Value::Date(clock.today()))),
    Function::new(
        "add_days",
        "add_days(date, days)",
        &[Takes::Date, Takes::Whole],
        Gives::Date,
        |name, arguments, _| add(name, arguments, |days| Span::new().try_days(days)),
    ),
    Function::new(
        "add_months",
        "add_months(date, months)",
        &[Takes::Date, Takes::Whole],
        Gives::Date,
        |name, arguments, _| add(name, arguments, months_span),
    ),
    Function::new(
        "add_years",
        "add_years(date, years)",
        &[Takes::Date, Takes::Whole],
        Gives::Date,
        |name, arguments, _| add(name, arguments, |years| Span::new().try_years(years)),
    ),
    Function::new(
        "days_between",
        "days_between(from, to)",
        &[Takes::Date, Takes::Date],
        Gives::Integer,
        |name, arguments, _| {
            let (from, to) = (date_at(name, arguments, 0)?, date_at(name, arguments, 1)?);
            let span = from.until((Unit::Day, to)).map_err(|_| Error::OutOfRange { operator: name })?;
            Ok(Value::Integer(span.get_days().into()))
        },
    ),
    Function::new(
        "months_between",
        "months_between(from, to)",
        &[Takes::Date, Takes::Date],
        Gives::Integer,
        |name, arguments, _| months_between(name, arguments).map(Value::Integer),
    ),
    Function::new(
        "years_between",
        "years_between(from, to)",
        &[Takes::Date, Takes::Date],
        Gives::Integer,
        |name, arguments, _| months_between(name, arguments).map(|months| Value::Integer(months / 12)),
    ),
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
    Function::new("week_of_year", "week_of_year(date)", &[Takes::Date], Gives::Integer, |name, arguments, _| {
        part(name, arguments, |date| date.iso_week_date().week().into())
    }),
    Function::new("day_of_year", "day_of_year(date)", &[Takes::Date], Gives::Integer, |name, arguments, _| {
        part(name, arguments, |date| date.day_of_year().into())
    }),
    Function::new("last_day_of_month", "last_day_of_month(date)", &[Takes::Date], Gives::Date, |name, arguments, _| {
        Ok(Value::Date(date_at(name, arguments, 0)?.last_of_month()))
    }),
];

/// Whether `text` is a day. The parser would also accept a timestamp, and lose its time zone.
pub(in crate::grl) fn is_day(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// The argument at `index`, which is a date.
pub(super) fn date_at(name: &'static str, arguments: &[Value], index: usize) -> Result<Date, Error> {
    match arguments.get(index) {
        Some(Value::Date(date)) => Ok(*date),
        Some(other) => Err(unfit(name, "a date", other)),
        None => Err(Error::OutOfRange { operator: name }),
    }
}

/// A date later by a number of units; where a month is shorter, its last day.
fn add(
    name: &'static str,
    arguments: &[Value],
    span: impl Fn(i64) -> Result<Span, jiff::Error>,
) -> Result<Value, Error> {
    let date = date_at(name, arguments, 0)?;
    let count = arguments.get(1).map_or(Ok(0), |count| whole(name, count))?;
    let out = |_| Error::OutOfRange { operator: name };
    date.checked_add(span(count).map_err(out)?).map(Value::Date).map_err(out)
}

/// A span may not have as many months as the calendar, but as many years and months.
fn months_span(months: i64) -> Result<Span, jiff::Error> {
    Span::new().try_years(months / 12)?.try_months(months % 12)
}

/// The most months that can be added to the earlier date without passing the later one; negative where `from` is the later one.
fn months_between(name: &'static str, arguments: &[Value]) -> Result<i64, Error> {
    let (from, to) = (date_at(name, arguments, 0)?, date_at(name, arguments, 1)?);
    let (earlier, later) = (from.min(to), from.max(to));
    let month = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
    let months = month(later) - month(earlier);
    let out = |_| Error::OutOfRange { operator: name };
    let reached = earlier.checked_add(months_span(months).map_err(out)?).map_err(out)?;
    let months = months - i64::from(reached > later);
    Ok(if from <= to { months } else { -months })
}

fn part(name: &'static str, arguments: &[Value], part: impl Fn(Date) -> i64) -> Result<Value, Error> {
    date_at(name, arguments, 0).map(|date| Value::Integer(part(date)))
}
