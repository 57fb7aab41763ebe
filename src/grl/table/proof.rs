//! What is proved of a table: inputs that no row takes, rows that match together, rows that never give their results.
//!
//! The constants of a column divide its values into positions ([`Axis`](super::axis::Axis)), so that a table is a set of boxes. A column
//! is gone through position by position, and the rows that are left in each are followed into the next column. This ends as soon as a
//! row is left that the other columns do not limit, or none is. A cell that does not compare with constants is known neither to match
//! nor not to. What is not found within a number of steps is not claimed.

use super::axis::{Set, intersection};
use super::domain::Domain;
use super::hit::HitPolicy;
use super::index::Rows;
use super::space::{Cover, Dimension, Space};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::grl::facts::FactRef;
use crate::grl::proof;
use crate::grl::rule::Start;
use crate::grl::ruleset::Ruleset;
use crate::types::Value;

/// How many overlaps are named.
const MOST_NAMED: usize = 10;
/// A table with more rows is not asked for contradictions between its columns.
const MOST_ROWS: usize = 2_000;

impl Ruleset {
    /// Warns of what is proved of a table. `domain` tells what is known of the values of a fact.
    pub fn table_warnings(&self, domain: &dyn Fn(&FactRef) -> Option<Domain>) -> Diagnostics {
        let mut found = Diagnostics::new();
        let Some(table) = &self.table else { return found };
        let mut space = Space::of(self, table, domain);
        let dead = space.dead_rows();
        for (row, why) in &dead {
            let Some(rule) = self.rules.get(*row) else { continue };
            let message = format!("`{}` never gives its results: {why}", rule.name);
            let warning = Diagnostic::warning("table-dead-row", rule.span(), message);
            found.push(warning.help("delete the row, or correct it"));
        }
        space.warn_of_overlaps(&mut found);
        space.warn_of_a_gap(&mut found);
        found
    }
}

impl Space<'_> {
    /// Whether the rows `left` take all that is in the box of `of`, from the dimension `from` on; `None` where it is not known. `gap`
    /// gets an example of what they do not take. Without `of` the box is what a request may ask for: no nulls.
    fn covers(&mut self, left: &Rows, from: usize, of: Option<usize>, gap: &mut Vec<Option<Value>>) -> Option<bool> {
        if left.is_empty() {
            return Some(false);
        }
        if left.iter().any(|row| self.is_open_from(row, from)) {
            return Some(true);
        }
        let Some(dimension) = self.dimensions.get(from) else { return Some(true) };
        if of.is_none() && !dimension.is_free {
            // Whether a row takes it is not known.
            gap.push(None);
            let covered = self.covers(left, from + 1, of, gap);
            if covered != Some(false) {
                gap.pop();
            }
            return covered;
        }
        let cover = of.and_then(|row| dimension.covers.get(row)).cloned().unwrap_or(Cover::All);
        let is_inside = |position: usize| match &cover {
            Cover::Set(set) => set.ranges.iter().any(|(low, high)| (*low..=*high).contains(&position)),
            Cover::All | Cover::Opaque => true,
        };
        // Where null is an error, the row gives nothing.
        let has_null = of.is_some() && !matches!(&cover, Cover::Set(Set { null: None | Some(false), .. }));
        let mut parts: Vec<(Option<Value>, Rows)> = Vec::new();
        for (position, (example, rows)) in dimension.examples.iter().zip(&dimension.rows).enumerate() {
            let Some(example) = example.clone().filter(|_| is_inside(position)) else { continue };
            let mut rows = rows.clone();
            rows.keep(left);
            if !parts.iter().rev().take(4).any(|(_, known)| *known == rows) {
                parts.push((Some(example), rows));
            }
        }
        if has_null {
            let mut rows = dimension.null.clone();
            rows.keep(left);
            parts.push((None, rows));
        }
        for (example, rows) in parts {
            if !self.step() {
                return None;
            }
            gap.push(example);
            let covered = self.covers(&rows, from + 1, of, gap)?;
            if !covered {
                return Some(false);
            }
            gap.pop();
        }
        Some(true)
    }

    fn dead_rows(&mut self) -> Vec<(usize, &'static str)> {
        let mut dead = Vec::new();
        for row in 0..self.count {
            if self.contradicts_itself(row) {
                dead.push((row, "nothing meets all of its conditions"));
            }
        }
        if !matches!(self.table.policy, HitPolicy::First | HitPolicy::Priority) {
            return dead;
        }
        let known: Vec<bool> = (0..self.count).map(|row| self.is_known(row)).collect();
        for row in 0..self.count {
            if dead.iter().any(|(known, _)| *known == row) || known.get(row) != Some(&true) {
                continue;
            }
            let mut better = Rows::none(self.count);
            let place = (self.table.rank(row), row);
            let others = (0..self.count).filter(|other| (self.table.rank(*other), *other) < place);
            others.filter(|other| known.get(*other) == Some(&true)).for_each(|other| better.add(other));
            match self.covers(&better, 0, Some(row), &mut Vec::new()) {
                Some(true) => dead.push((row, "rows that come before it take all that it matches")),
                Some(false) => {}
                None => break,
            }
        }
        dead
    }

    fn contradicts_itself(&self, row: usize) -> bool {
        let nothing = |dimension: &Dimension| match dimension.covers.get(row) {
            Some(Cover::Set(set)) => {
                set.null != Some(true)
                    && !set.ranges.iter().any(|(low, high)| {
                        dimension.examples.get(*low..=*high).into_iter().flatten().any(Option::is_some)
                    })
            }
            _ => false,
        };
        if self.dimensions.iter().any(nothing) {
            return true;
        }
        let Some(rule) = self.ruleset.rules.get(row).filter(|_| self.count <= MOST_ROWS) else { return false };
        proof::are_never(true, [&rule.when], &|slot| self.ruleset.names().key(slot))
    }

    fn warn_of_a_gap(&mut self, found: &mut Diagnostics) {
        let starts = |slot: &usize| !matches!(self.ruleset.start.get(*slot), Some(Start::Unset));
        if self.table.policy.joins() || self.table.default.is_some() || self.table.results.iter().any(starts) {
            return;
        }
        let mut gap = Vec::new();
        // A column whose values have no order may take anything.
        let all = Rows::all(self.count);
        if self.covers(&all, 0, None, &mut gap) != Some(false) {
            return;
        }
        let parts =
            self.dimensions.iter().zip(&gap).filter_map(|(dimension, value)| Some((&dimension.text, value.as_ref()?)));
        let shown: Vec<String> = parts.map(|(text, value)| format!("{text} = {}", shown(value))).collect();
        let Some(rule) = self.ruleset.rules.first() else { return };
        let at = self.table.columns.first().map_or(rule.at.clone(), |column| column.at.clone());
        let message = format!("no row takes {}", shown.join(", "));
        let warning = Diagnostic::warning("table-gap", rule.snippet.span(at), message);
        let help = "add a row for it, or a last one of `-` with `hit: first`; or write `# allow: table-gap -- why` above the node";
        found.push(warning.help(help));
    }

    fn warn_of_overlaps(&mut self, found: &mut Diagnostics) {
        let policy = self.table.policy;
        if !matches!(policy, HitPolicy::Unique | HitPolicy::Any) {
            return;
        }
        let pairs = self.overlaps(policy == HitPolicy::Any);
        let more = pairs.len().saturating_sub(MOST_NAMED);
        for (first, second, example) in pairs.into_iter().take(MOST_NAMED) {
            let (Some(first), Some(second)) = (self.ruleset.rules.get(first), self.ruleset.rules.get(second)) else {
                continue;
            };
            let differ = if policy == HitPolicy::Any { " and give different results" } else { "" };
            let of = if example.is_empty() { "everything".to_owned() } else { example.join(", ") };
            let message = format!("`{}` and `{}` both match {of}{differ}", first.name, second.name);
            let warning =
                Diagnostic::warning("table-overlap", second.span(), message).related(first.span(), "the other row");
            let more = if more > 0 { format!("; {more} other pairs do so, too") } else { String::new() };
            found.push(warning.help(format!("the hit policy is {}: such an input is an error{more}", policy.name())));
        }
    }

    /// The pairs of rows that match together, each with an example. With `differ`, those only whose results are constants that are not
    /// the same.
    fn overlaps(&mut self, differ: bool) -> Vec<(usize, usize, Vec<String>)> {
        let is_free = |row: usize| {
            self.is_known(row)
                && self
                    .dimensions
                    .iter()
                    .all(|dimension| dimension.is_free || dimension.covers.get(row) == Some(&Cover::All))
        };
        let rows: Vec<usize> = (0..self.count).filter(|row| is_free(*row)).collect();
        let mut found = Vec::new();
        for (place, second) in rows.iter().enumerate() {
            // The rows that share a value with it in each dimension.
            let mut others = Rows::none(self.count);
            rows.iter().take(place).for_each(|row| others.add(*row));
            for number in 0..self.dimensions.len() {
                if !self.step() {
                    return found;
                }
                let Some(dimension) = self.dimensions.get(number) else { continue };
                let Some(Cover::Set(set)) = dimension.covers.get(*second) else { continue };
                let mut sharing = Rows::none(self.count);
                if set.null == Some(true) {
                    sharing.extend(&dimension.null);
                }
                let mut looked = 0;
                for (low, high) in &set.ranges {
                    for position in *low..=*high {
                        if dimension.examples.get(position).is_some_and(Option::is_some) {
                            dimension.rows.get(position).into_iter().for_each(|rows| sharing.extend(rows));
                        }
                        looked += 1;
                    }
                }
                others.keep(&sharing);
                self.steps += looked * (self.count.div_ceil(64) + 1);
            }
            for first in others.iter() {
                if differ && !self.gives_other(first, *second) {
                    continue;
                }
                if let Some(example) = self.shared(first, *second) {
                    found.push((first, *second, example));
                }
            }
        }
        found
    }

    /// Whether the results of two rows are constants that differ.
    fn gives_other(&self, first: usize, second: usize) -> bool {
        let values = |row: usize| self.ruleset.rules.get(row).into_iter().flat_map(|rule| rule.assignments());
        values(first).zip(values(second)).any(|(a, b)| match (a.value.constant(), b.value.constant()) {
            (Some(a), Some(b)) => a != b,
            _ => false,
        })
    }

    /// An example of what both rows match.
    fn shared(&self, first: usize, second: usize) -> Option<Vec<String>> {
        let mut example = Vec::new();
        for dimension in &self.dimensions {
            let (a, b) = (dimension.covers.get(first)?, dimension.covers.get(second)?);
            let set = match (a, b) {
                (Cover::All, Cover::All) => continue,
                (Cover::Set(set), Cover::All) | (Cover::All, Cover::Set(set)) => set.clone(),
                (Cover::Set(a), Cover::Set(b)) => Set {
                    ranges: intersection(&a.ranges, &b.ranges),
                    null: Some(a.null == Some(true) && b.null == Some(true)),
                },
                _ => return None,
            };
            let mut values =
                set.ranges.iter().filter_map(|(low, high)| dimension.examples.get(*low..=*high)).flatten().flatten();
            match values.next() {
                Some(value) => example.push(format!("{} = {}", dimension.text, shown(value))),
                None if set.null == Some(true) => example.push(format!("{} = null", dimension.text)),
                None => return None,
            }
        }
        Some(example)
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}
