//! The types that JSON loses: a date becomes text, a decimal without fraction an integer.
//!
//! The rows of a node are kept as plain JSON, and beside them a hint for each column that needs one: `date`, `timestamp`
//! or `decimal`, followed by `[]` where the column holds lists.

use std::collections::BTreeMap;

use crate::types::{Decimal, FieldName, Record, Value, parse_moment};

/// By column: the type that its JSON loses.
pub fn hints(rows: &[Value]) -> BTreeMap<String, String> {
    let mut hints: BTreeMap<String, String> = BTreeMap::new();
    for row in rows {
        let Value::Map(record) = row else { continue };
        for (name, value) in record.iter() {
            if let Some(hint) = hint(value) {
                hints.entry(name.to_string()).or_insert(hint);
            }
        }
    }
    hints
}

fn hint(value: &Value) -> Option<String> {
    match value {
        Value::Date(_) => Some("date".to_owned()),
        Value::Timestamp(_) => Some("timestamp".to_owned()),
        Value::Decimal(decimal) if decimal.to_string().parse::<i64>().is_ok() => Some("decimal".to_owned()),
        Value::List(items) => items.iter().find_map(hint).map(|hint| format!("{hint}[]")),
        _ => None,
    }
}

/// A row with the types of its database, from its JSON and the hints of its columns.
///
/// # Errors
/// The column whose value is not of its hinted type, and the value.
pub fn restore(row: &Value, hints: &BTreeMap<String, String>) -> Result<Value, String> {
    let Value::Map(record) = row else { return Ok(row.clone()) };
    let field = |(name, value): (&FieldName, &Value)| {
        let Some(hint) = hints.get(&**name) else { return Ok((name.clone(), value.clone())) };
        let restored = typed(value, hint).ok_or_else(|| format!("`{name}` is {value}, which is no {hint}"))?;
        Ok((name.clone(), restored))
    };
    Ok(Value::Map(record.iter().map(field).collect::<Result<Record, String>>()?.into()))
}

fn typed(value: &Value, hint: &str) -> Option<Value> {
    if let (Value::List(items), Some(hint)) = (value, hint.strip_suffix("[]")) {
        return items.iter().map(|item| typed(item, hint)).collect::<Option<_>>().map(Value::List);
    }
    match (value, hint) {
        (Value::Null, _) => Some(Value::Null),
        (Value::Text(text), "date") => text.parse().ok().map(Value::Date),
        (Value::Text(text), "timestamp") => parse_moment(text).ok().map(Value::Timestamp),
        (Value::Integer(integer), "decimal") => Some(Value::Decimal(Decimal::from(*integer))),
        (Value::Decimal(_), "decimal") | (_, "decimal[]" | "date[]" | "timestamp[]") => Some(value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_json_loses_are_restored() {
        let date = |text: &str| Value::Date(text.parse().unwrap());
        let row = Value::map([
            (FieldName::from("due"), date("2026-02-28")),
            (FieldName::from("price"), Value::Decimal("12".parse().unwrap())),
            (FieldName::from("exact"), Value::Decimal("12.50".parse().unwrap())),
            (FieldName::from("days"), Value::list([Value::Null, date("2026-01-01")])),
            (FieldName::from("at"), Value::Timestamp("2026-01-01T10:00:00.123456Z".parse().unwrap())),
            (FieldName::from("name"), Value::text("2026-01-01")),
            (FieldName::from("count"), Value::Integer(12)),
        ]);
        let hints = hints(std::slice::from_ref(&row));
        let names: Vec<(&str, &str)> = hints.iter().map(|(name, hint)| (name.as_str(), hint.as_str())).collect();
        assert_eq!(names, [("at", "timestamp"), ("days", "date[]"), ("due", "date"), ("price", "decimal")]);
        let json = serde_json::to_value(&row).unwrap();
        let back = restore(&Value::from_json(&json).unwrap(), &hints).unwrap();
        assert_eq!(format!("{back:?}"), format!("{row:?}"));
        let broken = Value::map([(FieldName::from("due"), Value::text("tomorrow"))]);
        assert!(restore(&broken, &hints).unwrap_err().contains("`due` is tomorrow"));
    }
}
