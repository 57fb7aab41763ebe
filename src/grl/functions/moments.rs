//! Functions of timestamps, and those between dates and timestamps. Where no zone is given, it is that of the service.

use jiff::civil::{Date, Time};
use jiff::fmt::temporal::SpanParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::dates::{date_at, is_day};
use super::numbers::whole;
use super::takes::Form;
use super::texts::texts;
use super::{Function, Gives, Takes};
use crate::grl::error::EvalErrorKind as Error;
use crate::grl::operators::unfit;
use crate::types::{Clock, Type, Value, parse_moment};

static ZONE: Form = Form {
    expected: "a time zone such as \"Europe/Berlin\"",
    constant: false,
    fits: |text, _| TimeZone::get(text).is_ok(),
};
static TIME: Form = Form {
    expected: "a time such as \"14:30\" or \"14:30:15\"",
    constant: false,
    fits: |text, _| time(text).is_some(),
};
static DURATION: Form = Form {
    expected: "an ISO 8601 duration such as \"P1Y2M3D\", to a timestamp also \"PT4H30M\"",
    constant: false,
    fits: |text, before| {
        duration(text).is_some_and(|duration| is_of_days(&duration) || before.first() != Some(&Type::Date))
    },
};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("now", "now()", &[], Gives::Timestamp, |_, _, clock| Ok(Value::Timestamp(clock.now()))),
    Function::new("date", "date(\"2026-01-31\") or date(timestamp)", &[Takes::TextOrMoment], Gives::Date, date),
    Function::new(
        "date",
        "date(timestamp, \"Europe/Berlin\")",
        &[Takes::Timestamp, Takes::Form(&ZONE)],
        Gives::Date,
        |name, arguments, _| {
            Ok(Value::Date(moment_at(name, arguments, 0)?.to_zoned(zone_at(name, arguments, 1)?).date()))
        },
    ),
    Function::new(
        "date",
        "date(year, month, day)",
        &[Takes::Whole, Takes::Whole, Takes::Whole],
        Gives::Date,
        date_of_parts,
    ),
    Function::new("timestamp", "timestamp(\"2026-01-31T08:00:00Z\")", &[Takes::Text], Gives::Timestamp, timestamp),
    Function::new(
        "timestamp",
        "timestamp(date, \"Europe/Berlin\")",
        &[Takes::Date, Takes::Form(&ZONE)],
        Gives::Timestamp,
        |name, arguments, _| {
            let day = date_at(name, arguments, 0)?.to_zoned(zone_at(name, arguments, 1)?);
            let start = day.and_then(|day| day.start_of_day());
            start.map(|start| Value::Timestamp(start.timestamp())).map_err(|_| Error::OutOfRange { operator: name })
        },
    ),
    Function::new(
        "timestamp",
        "timestamp(date, \"14:30\", \"Europe/Berlin\")",
        &[Takes::Date, Takes::Form(&TIME), Takes::Form(&ZONE)],
        Gives::Timestamp,
        |name, arguments, _| {
            let [written] = texts(name, arguments.get(1..).unwrap_or_default())?;
            let time = time(written).ok_or_else(|| TIME.refused(name, written))?;
            let moment = date_at(name, arguments, 0)?.to_datetime(time).to_zoned(zone_at(name, arguments, 2)?);
            moment.map(|moment| Value::Timestamp(moment.timestamp())).map_err(|_| Error::OutOfRange { operator: name })
        },
    ),
    Function::new("hour", "hour(timestamp)", &[Takes::Timestamp], Gives::Integer, |name, arguments, clock| {
        let local = moment_at(name, arguments, 0)?.to_zoned(clock.time_zone().clone());
        Ok(Value::Integer(local.hour().into()))
    })
    .in_the_zone_of_the_clock(),
    Function::new("minute", "minute(timestamp)", &[Takes::Timestamp], Gives::Integer, |name, arguments, clock| {
        let local = moment_at(name, arguments, 0)?.to_zoned(clock.time_zone().clone());
        Ok(Value::Integer(local.minute().into()))
    })
    .in_the_zone_of_the_clock(),
    Function::new(
        "add_duration",
        "add_duration(date or timestamp, \"P1M\")",
        &[Takes::DateOrTimestamp, Takes::Form(&DURATION)],
        Gives::First,
        add_duration,
    )
    .in_the_zone_of_the_clock(),
    Function::new(
        "add_hours",
        "add_hours(timestamp, hours)",
        &[Takes::Timestamp, Takes::Whole],
        Gives::Timestamp,
        |name, arguments, _| add(name, arguments, |hours| Span::new().try_hours(hours)),
    ),
    Function::new(
        "add_minutes",
        "add_minutes(timestamp, minutes)",
        &[Takes::Timestamp, Takes::Whole],
        Gives::Timestamp,
        |name, arguments, _| add(name, arguments, |minutes| Span::new().try_minutes(minutes)),
    ),
    Function::new(
        "add_seconds",
        "add_seconds(timestamp, seconds)",
        &[Takes::Timestamp, Takes::Whole],
        Gives::Timestamp,
        |name, arguments, _| add(name, arguments, |seconds| Span::new().try_seconds(seconds)),
    ),
    Function::new(
        "hours_between",
        "hours_between(from, to)",
        &[Takes::Timestamp, Takes::Timestamp],
        Gives::Integer,
        |name, arguments, _| between(name, arguments, SignedDuration::as_hours),
    ),
    Function::new(
        "minutes_between",
        "minutes_between(from, to)",
        &[Takes::Timestamp, Takes::Timestamp],
        Gives::Integer,
        |name, arguments, _| between(name, arguments, SignedDuration::as_mins),
    ),
    Function::new(
        "seconds_between",
        "seconds_between(from, to)",
        &[Takes::Timestamp, Takes::Timestamp],
        Gives::Integer,
        |name, arguments, _| between(name, arguments, SignedDuration::as_secs),
    ),
];

/// The argument at `index`, which is a timestamp.
fn moment_at(name: &'static str, arguments: &[Value], index: usize) -> Result<Timestamp, Error> {
    match arguments.get(index) {
        Some(Value::Timestamp(moment)) => Ok(*moment),
        Some(other) => Err(unfit(name, "a timestamp", other)),
        None => Err(Error::OutOfRange { operator: name }),
    }
}

/// The argument at `index`, which is the name of a time zone.
fn zone_at(name: &'static str, arguments: &[Value], index: usize) -> Result<TimeZone, Error> {
    let [zone] = texts(name, arguments.get(index..).unwrap_or_default())?;
    TimeZone::get(zone).map_err(|_| ZONE.refused(name, zone))
}

/// A time of the day. The parser would also accept a second 60.
fn time(text: &str) -> Option<Time> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_part = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let fits = (2..=3).contains(&parts.len()) && parts.iter().all(is_part) && parts.get(2) != Some(&"60");
    if fits { text.parse().ok() } else { None }
}

fn duration(text: &str) -> Option<Span> {
    SpanParser::new().parse_span(text).ok()
}

/// Whether a duration has no unit below a day.
fn is_of_days(span: &Span) -> bool {
    let time = span.years(0).months(0).weeks(0).days(0);
    time.is_zero()
}

fn date(name: &'static str, arguments: &[Value], clock: &Clock) -> Result<Value, Error> {
    const EXPECTED: &str = "a text such as \"2026-01-31\", or a timestamp";
    let no_date = || Error::Type { operator: name, expected: EXPECTED, found: "another text".to_owned() };
    match arguments.first() {
        Some(Value::Date(date)) => Ok(Value::Date(*date)),
        Some(Value::Timestamp(moment)) => Ok(Value::Date(moment.to_zoned(clock.time_zone().clone()).date())),
        Some(Value::Text(text)) if is_day(text) => text.parse().map(Value::Date).map_err(|_| no_date()),
        Some(Value::Text(_)) => Err(no_date()),
        Some(other) => Err(unfit(name, EXPECTED, other)),
        None => Ok(Value::Null),
    }
}

fn date_of_parts(name: &'static str, arguments: &[Value], _: &Clock) -> Result<Value, Error> {
    let part = |index: usize| whole(name, arguments.get(index).unwrap_or(&Value::Null));
    let (year, month, day) = (part(0)?, part(1)?, part(2)?);
    let date = || Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok();
    let found = format!("year {year}, month {month}, day {day}");
    date().map(Value::Date).ok_or(Error::Type { operator: name, expected: "a day of the calendar", found })
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

/// Years to days are those of the calendar in the zone of the clock.
fn add_duration(name: &'static str, arguments: &[Value], clock: &Clock) -> Result<Value, Error> {
    let [written] = texts(name, arguments.get(1..).unwrap_or_default())?;
    let duration = duration(written).ok_or_else(|| DURATION.refused(name, written))?;
    let out = |_| Error::OutOfRange { operator: name };
    match arguments.first() {
        Some(Value::Date(_)) if !is_of_days(&duration) => Err(DURATION.refused(name, written)),
        Some(Value::Date(date)) => date.checked_add(duration).map(Value::Date).map_err(out),
        _ => {
            let local = moment_at(name, arguments, 0)?.to_zoned(clock.time_zone().clone());
            local.checked_add(duration).map(|later| Value::Timestamp(later.timestamp())).map_err(out)
        }
    }
}

/// A timestamp later by a number of units.
fn add(
    name: &'static str,
    arguments: &[Value],
    span: impl Fn(i64) -> Result<Span, jiff::Error>,
) -> Result<Value, Error> {
    let moment = moment_at(name, arguments, 0)?;
    let count = whole(name, arguments.get(1).unwrap_or(&Value::Null))?;
    let out = |_| Error::OutOfRange { operator: name };
    moment.checked_add(span(count).map_err(out)?).map(Value::Timestamp).map_err(out)
}

/// The whole units from one timestamp to another.
fn between(name: &'static str, arguments: &[Value], units: impl Fn(&SignedDuration) -> i64) -> Result<Value, Error> {
    let (from, to) = (moment_at(name, arguments, 0)?, moment_at(name, arguments, 1)?);
    Ok(Value::Integer(units(&to.duration_since(from))))
}
