//! Reads values: result cells, and the operands of condition cells.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::grid::Cell;
use super::header::Target;
use super::reader::Reader;
use crate::grl::ast::{At, Expr};
use crate::types::{Value, parse_moment};

/// The value of a result cell.
pub(super) fn result(reader: &mut Reader<'_>, target: &Target, cell: &Cell) -> Option<Expr> {
    let (at, text) = (cell.at.clone(), reader.text(cell.at.clone()).to_owned());
    if text.is_empty() {
        let help = if target.is_text {
            "write a text; or leave `(text)` out of the header, and write null"
        } else {
            "write null"
        };
        reader.refuse(at, "the result is empty", help);
        return None;
    }
    if target.is_text && cell.is_value {
        let help = "format the cell as text; or leave `(text)` out of the header";
        reader.refuse(at, format!("the cell is no text, but the value {text}"), help);
        return None;
    }
    if text.starts_with('=') {
        reader.refuse(
            at,
            "a result begins with `=`",
            "write the value or the expression without `=`; a spreadsheet's formula is not read",
        );
        return None;
    }
    if !target.is_text {
        return operand(reader, at);
    }
    if matches!(text.as_str(), "null" | "nil") || text.starts_with('"') && text.ends_with('"') && text.len() > 1 {
        let help =
            "a column with `(text)` has plain texts; leave `(text)` out of the header for null and for texts in quotes";
        reader.refuse(at, format!("`{text}` can be read in two ways"), help);
        return None;
    }
    Some(Expr::Literal { value: Value::text(text), at })
}

/// A literal or an expression, with the numbers and dates of tables.
pub(super) fn operand(reader: &mut Reader<'_>, at: Range<usize>) -> Option<Expr> {
    let text = reader.text(at.clone()).to_owned();
    if let Some(value) = literal(&text) {
        return Some(Expr::Literal { value, at });
    }
    refuse_unclear_value(reader, &text, &at)?;
    reader.expression(at)
}

/// The literals that tables have besides those of the language: days, moments, and the truth of a spreadsheet.
pub(super) fn literal(text: &str) -> Option<Value> {
    match text {
        "true" | "TRUE" => return Some(Value::Boolean(true)),
        "false" | "FALSE" => return Some(Value::Boolean(false)),
        "null" | "nil" => return Some(Value::Null),
        _ => {}
    }
    if DAY.is_match(text) {
        return text.parse().ok().map(Value::Date);
    }
    if MOMENT.is_match(text) { parse_moment(text).ok().map(Value::Timestamp) } else { None }
}

/// A pattern of this file.
#[expect(clippy::expect_used, reason = "the patterns are constant, and the tests use each")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

static DAY: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\d{4}-\d{2}-\d{2}$"));
static MOMENT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}"));
/// Values that people write and the language does not have, each with what to write.
static UNCLEAR: LazyLock<[(Regex, &str, &str); 8]> = LazyLock::new(|| {
    [
        (
            pattern(r"^\d{4}-\d{1,2}-\d{1,2}"),
            "this is no day of the calendar, and no moment",
            "write a day as `2026-01-31`, a moment as `2026-01-31T08:00:00Z`",
        ),
        (
            pattern(r"^\d{1,4}([./])\d{1,2}([./])\d{1,4}$"),
            "a date is not written in this way",
            "write it as `2026-01-31`",
        ),
        (
            pattern(r"^[-+]?0\d+$"),
            "a number has no leading zero",
            "write it without the zero, or a text in quotes: '01067'",
        ),
        (
            pattern(r"^[-+]?\d[\d.]*\s*%$"),
            "a number has no percent sign",
            "write the number as the rules use it: 0.05 or 5 for 5%",
        ),
        (
            pattern(r"^[-+]?\d+,\d"),
            "a comma between two digits can be read in two ways",
            "write a decimal point, and no separator of thousands: 1.5, 1000",
        ),
        (
            pattern(r"^[-+]?\d+([ \u{a0}\u{202f}\u{2009}'’]\d{3})+([.,]\d+)?$"),
            "a number has no separator of thousands",
            "write 1000",
        ),
        (pattern(r"^[-+]?[€$£¥]|\d\s*(€|\$|£|¥|EUR|USD)$"), "a number has no currency", "write the number alone"),
        (pattern(r"^\+\d"), "a number has no plus sign", "leave it out"),
    ]
});

static DIFFERENCE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[-+]?\d[\d.]*(\s*[-–/]\s*\d[\d.]*)+$"));

/// The value of a test without an operator. Numbers with a dash or a slash between them are mostly meant as a range.
pub(super) fn tested(reader: &mut Reader<'_>, at: Range<usize>) -> Option<Expr> {
    let value = operand(reader, at.clone())?;
    let text = reader.text(at.clone()).to_owned();
    if !reader.is_feel && !matches!(value, Expr::Literal { .. }) && DIFFERENCE.is_match(&text) {
        let help = "write a range as `[10..20]`, a text in quotes, and an expression behind an operator: `= 10 - 2`";
        reader.refuse(at, format!("`{text}` can be read in two ways"), help);
        return None;
    }
    Some(value)
}

fn refuse_unclear_value(reader: &mut Reader<'_>, text: &str, at: &At) -> Option<()> {
    if text.is_empty() {
        reader.refuse(at.clone(), "a value is missing here", "write a number, a text, a date or an expression");
        return None;
    }
    let unclear = UNCLEAR.iter().find(|(pattern, ..)| pattern.is_match(text));
    if let Some((_, message, help)) = unclear {
        reader.refuse(at.clone(), format!("`{text}`: {message}"), *help);
        return None;
    }
    Some(())
}
