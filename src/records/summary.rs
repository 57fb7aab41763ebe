//! The summary of a replay: how many decisions change, from which outcome to which, and by what amounts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::compare::Change;
use super::record::Record;
use super::replay::Replayed;
use crate::types::{Decimal, Value};

/// The summary of a replay.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Records that were read.
    pub records: usize,
    /// Records with the same answer.
    pub same: usize,
    /// Records with another answer.
    pub changed: usize,
    /// Records that cannot be replayed.
    pub impossible: usize,
    /// By reason: how many cannot be replayed.
    pub reasons: BTreeMap<String, usize>,
    /// By `before -> after`: how often the outcome changes.
    pub outcomes: BTreeMap<String, usize>,
    /// By field: what changes.
    pub fields: BTreeMap<String, FieldSummary>,
}

/// What changes in one field.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FieldSummary {
    /// In how many decisions it changes.
    pub changed: usize,
    /// The sum of the numbers before, over the decisions that change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The sum of the numbers now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// The difference of the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Value>,
}

impl Summary {
    /// Counts one record.
    pub fn add(&mut self, record: &Record, replayed: &Replayed) {
        self.records += 1;
        match replayed {
            Replayed::Same => self.same += 1,
            Replayed::Impossible(why) => {
                self.impossible += 1;
                *self.reasons.entry(why.clone()).or_default() += 1;
            }
            Replayed::Changed(changes) => {
                self.changed += 1;
                self.count_outcome(record, changes);
                for change in changes {
                    self.fields.entry(change.field.clone()).or_default().add(change);
                }
            }
        }
    }

    fn count_outcome(&mut self, record: &Record, changes: &[Change]) {
        let of = |side: fn(&Change) -> &Option<Value>| {
            let found = changes.iter().filter(|change| change.field == "status" || change.field == "error");
            found.filter_map(|change| side(change).as_ref()).next_back().map(Value::to_string)
        };
        let (before, after) = (of(|change| &change.before), of(|change| &change.after));
        if before.is_none() && after.is_none() {
            return;
        }
        let unchanged = || record.status().unwrap_or_default();
        let way = format!("{} -> {}", before.unwrap_or_else(unchanged), after.unwrap_or_else(unchanged));
        *self.outcomes.entry(way).or_default() += 1;
    }
}

impl FieldSummary {
    fn add(&mut self, change: &Change) {
        self.changed += 1;
        let before = change.before.as_ref().and_then(number);
        let after = change.after.as_ref().and_then(number);
        if before.is_none() && after.is_none() {
            return;
        }
        sum(&mut self.before, before.as_ref(), false);
        sum(&mut self.after, after.as_ref(), false);
        sum(&mut self.difference, after.as_ref(), false);
        sum(&mut self.difference, before.as_ref(), true);
    }
}

fn number(value: &Value) -> Option<Decimal> {
    match value {
        Value::Integer(integer) => Some(Decimal::from(*integer)),
        Value::Decimal(decimal) => Some(decimal.clone()),
        _ => None,
    }
}

/// Adds to a sum, or subtracts from it. A sum that would have too many digits stays as it is.
fn sum(total: &mut Option<Value>, number: Option<&Decimal>, taken: bool) {
    let Some(number) = number else { return };
    let before = match total {
        Some(Value::Decimal(before)) => before.clone(),
        _ => Decimal::from(0),
    };
    let after = if taken { before.sub(number) } else { before.add(number) };
    *total = Some(Value::Decimal(after.unwrap_or(before)));
}
