//! Patterns by which numbers, dates and timestamps are written.

use jiff::civil::date;
use jiff::fmt::strtime::{BrokenDownTime, format};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::takes::Form;
use crate::types::{Clock, Decimal, Rounding, Type, Value};

/// How `text` writes a value.
pub(super) static FORMAT: Form = Form {
    expected: "a pattern (\"#,##0.00\" of a number, \"%d.%m.%Y\" of a date, \"%d.%m.%Y %H:%M\" of a timestamp)",
    constant: false,
    fits: |pattern, before| {
        let day = || moment(pattern, date(2026, 1, 31)).is_some();
        let time = || moment(pattern, &Zoned::new(Timestamp::UNIX_EPOCH, TimeZone::UTC)).is_some();
        let number = || NumberPattern::read(pattern).is_some();
        match before.first() {
            Some(Type::Integer | Type::Decimal) => number(),
            Some(Type::Date) => day(),
            Some(Type::Timestamp) => time(),
            Some(Type::Any) => number() || day() || time(),
            _ => false,
        }
    },
};

/// The value as the pattern writes it; a timestamp in the zone of the clock.
pub(super) fn formatted(value: &Value, pattern: &str, clock: &Clock) -> Option<String> {
    match value {
        Value::Integer(integer) => NumberPattern::read(pattern)?.write(&Decimal::from(*integer)),
        Value::Decimal(decimal) => NumberPattern::read(pattern)?.write(decimal),
        Value::Date(date) => moment(pattern, *date),
        Value::Timestamp(timestamp) => moment(pattern, &timestamp.to_zoned(clock.time_zone().clone())),
        _ => None,
    }
}

/// A text without a part of the date is no pattern: `yyyy-MM-dd` would be written as it is.
fn moment(pattern: &str, moment: impl Into<BrokenDownTime>) -> Option<String> {
    if pattern.contains('%') { format(pattern, moment).ok() } else { None }
}

/// How many digits are written, and whether thousands are separated.
struct NumberPattern {
    grouped: bool,
    whole: usize,
    least_places: usize,
    most_places: usize,
}

impl NumberPattern {
    /// Reads `#` for a digit that may be left out, `0` for one that may not, a `,` before three of them.
    fn read(pattern: &str) -> Option<Self> {
        const MOST_PLACES: usize = 100;
        let (whole, fraction) = pattern.split_once('.').unwrap_or((pattern, "#"));
        let mut groups = whole.split(',').rev();
        let count = groups.clone().count();
        let groups_fit = groups.by_ref().take(count - 1).all(|group| group.len() == 3);
        let whole = whole.replace(',', "");
        let zeros = whole.trim_start_matches('#');
        let optional = fraction.trim_start_matches('0');
        let fits = groups_fit
            && groups.next().is_some_and(|first| !first.is_empty())
            && !zeros.is_empty()
            && zeros.bytes().all(|byte| byte == b'0')
            && optional.bytes().all(|byte| byte == b'#')
            && (1..=MOST_PLACES).contains(&fraction.len());
        let most_places = if pattern.contains('.') { fraction.len() } else { 0 };
        fits.then(|| Self {
            grouped: count > 1,
            whole: zeros.len(),
            least_places: fraction.len() - optional.len(),
            most_places,
        })
    }

    fn write(&self, number: &Decimal) -> Option<String> {
        let rounded = number.round(i32::try_from(self.most_places).ok()?, Rounding::HalfUp).ok()?;
        let digits = rounded.abs().to_string();
        let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
        let mut written = String::from(if rounded.is_negative() { "-" } else { "" });
        let length = whole.len().max(self.whole);
        for (at, digit) in std::iter::repeat_n('0', length - whole.len()).chain(whole.chars()).enumerate() {
            if self.grouped && at > 0 && (length - at).is_multiple_of(3) {
                written.push(',');
            }
            written.push(digit);
        }
        let needed = fraction.trim_end_matches('0').len().max(self.least_places);
        if needed > 0 {
            written.push('.');
            written.push_str(fraction.get(..needed)?);
        }
        Some(written)
    }
}
