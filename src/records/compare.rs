//! The fields in which two answers differ.

use indexmap::IndexMap;
use serde::Serialize;

use crate::types::Value;

/// A field whose value differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its path: `status`, `purchase_order.total_cost`, `lines[0].qty`; `error` where there was or is no decision.
    pub field: String,
    /// The value before, or the expected one. `None` if the field is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value now. `None` if the field is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Every field in which two answers differ to the letter, by path.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut comparer = Comparer { is_exact: true, found: Vec::new() };
    comparer.compare("", Some(before), Some(after));
    comparer.found.sort_by(|a, b| a.field.cmp(&b.field));
    comparer.found
}

/// The fields of `expected` that `found` does not have, or not with that value. Numbers are compared by value. Fields of
/// `found` that `expected` does not name may have any value.
pub fn unmet(expected: &Value, found: &Value) -> Vec<Change> {
    let mut comparer = Comparer { is_exact: false, found: Vec::new() };
    comparer.compare("", Some(expected), Some(found));
    comparer.found
}

struct Comparer {
    is_exact: bool,
    found: Vec<Change>,
}

impl Comparer {
    fn compare(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        let (old, new) = (parts(path, before), parts(path, after));
        let descends = if self.is_exact {
            !old.is_empty() || !new.is_empty()
        } else {
            matches!((before, after), (Some(Value::Map(_)), Some(Value::Map(_))))
                || matches!((before, after), (Some(Value::List(_)), Some(Value::List(_))) if old.len() == new.len())
        };
        if !descends {
            if !self.is_same(before, after) {
                self.found.push(Change { field: path.to_owned(), before: before.cloned(), after: after.cloned() });
            }
            return;
        }
        for (path, value) in &old {
            self.compare(path, Some(value), new.get(path).copied());
        }
        if self.is_exact {
            for (path, value) in new.iter().filter(|(path, _)| !old.contains_key(*path)) {
                self.compare(path, None, Some(value));
            }
            // A single value that became several, or the reverse.
            if old.is_empty() && before.is_some() {
                self.compare(path, before, None);
            }
            if new.is_empty() && after.is_some() {
                self.compare(path, None, after);
            }
        }
    }

    fn is_same(&self, before: Option<&Value>, after: Option<&Value>) -> bool {
        let json = |value: &Value| serde_json::to_string(value).ok();
        match (before, after) {
            (Some(before), Some(after)) => (!self.is_exact && before == after) || json(before) == json(after),
            (before, after) => before.is_none() && after.is_none(),
        }
    }
}

/// The values that a map or a list holds, by their path.
fn parts<'a>(path: &str, value: Option<&'a Value>) -> IndexMap<String, &'a Value> {
    match value {
        Some(Value::Map(fields)) => {
            let path = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            fields.iter().map(|(name, value)| (path(name), value)).collect()
        }
        Some(Value::List(items)) => {
            items.iter().enumerate().map(|(place, item)| (format!("{path}[{place}]"), item)).collect()
        }
        _ => IndexMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    fn shown(changes: &[Change]) -> Vec<String> {
        let json = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), |v| serde_json::to_string(v).unwrap());
        changes.iter().map(|it| format!("{}: {} {}", it.field, json(&it.before), json(&it.after))).collect()
    }

    #[test]
    fn every_changed_value_is_listed_by_its_path() {
        for (before, after, expected) in [
            (r#"{"a":1,"b":{"c":"x"}}"#, r#"{"b":{"c":"x"},"a":1}"#, vec![]),
            (r#"{"a":12.5}"#, r#"{"a":12.50}"#, vec!["a: 12.5 12.50"]),
            (r#"{"s":"x","o":{"p":1,"q":[2]}}"#, r#"{"s":"y"}"#, vec!["o.p: 1 -", "o.q[0]: 2 -", r#"s: "x" "y""#]),
            (r#"{"l":[1,2]}"#, r#"{"l":[1,3,4]}"#, vec!["l[1]: 2 3", "l[2]: - 4"]),
            (r#"{"a":{"b":1}}"#, r#"{"a":null}"#, vec!["a: - null", "a.b: 1 -"]),
            (r#"{"a":[]}"#, r#"{"a":{}}"#, vec!["a: [] {}"]),
            (r#"{"a":null,"b":1}"#, r#"{"b":1}"#, vec!["a: null -"]),
        ] {
            assert_eq!(shown(&changes(&value(before), &value(after))), expected, "{before} {after}");
        }
    }

    #[test]
    fn an_expectation_is_met_by_more_fields_and_by_equal_numbers() {
        for (expected, found, unmet_fields) in [
            (r#"{"a":12.5,"o":{"q":2}}"#, r#"{"a":12.50,"b":1,"o":{"p":1,"q":2.0}}"#, vec![]),
            (r#"{"o":{}}"#, r#"{"o":{"p":1}}"#, vec![]),
            (r#"{"a":"1"}"#, r#"{"a":1}"#, vec![r#"a: "1" 1"#]),
            (r#"{"a":1,"o":{"q":2}}"#, r#"{"o":3}"#, vec!["a: 1 -", r#"o: {"q":2} 3"#]),
            (r#"{"l":[1,2]}"#, r#"{"l":[1,3]}"#, vec!["l[1]: 2 3"]),
            (r#"{"l":[1]}"#, r#"{"l":[1,3]}"#, vec!["l: [1] [1,3]"]),
        ] {
            assert_eq!(shown(&unmet(&value(expected), &value(found))), unmet_fields, "{expected} {found}");
        }
    }
}
