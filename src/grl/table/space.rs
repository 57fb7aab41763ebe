//! The rows of a table as boxes: what each says of each column, and an example of each part of a column.

use super::axis::{Axis, Set};
use super::decision::{Decision, cell};
use super::domain::{Domain, example};
use super::index::Rows;
use crate::grl::facts::{FactRef, LOCAL};
use crate::grl::program::Node;
use crate::grl::rule::Start;
use crate::grl::ruleset::Ruleset;
use crate::types::Value;

/// How many words of bits are looked at.
const MOST_STEPS: usize = 30_000_000;
/// How many bits the rows of a column's positions may have, and how many are set in them.
const MOST_BITS: usize = 1 << 28;
const MOST_SET: usize = 20_000_000;
/// What a cell says of a column.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Cover {
    All,
    Set(Set),
    /// Not known.
    Opaque,
}

impl Cover {
    /// How many positions it names.
    fn width(&self) -> usize {
        match self {
            Self::Set(set) => set.ranges.iter().map(|(low, high)| high - low + 1).sum(),
            Self::All | Self::Opaque => 0,
        }
    }
}

/// A condition column.
pub(super) struct Dimension {
    /// Its expression, as it is written.
    pub(super) text: String,
    pub(super) covers: Vec<Cover>,
    /// By position: an example, if the column may have a value there.
    pub(super) examples: Vec<Option<Value>>,
    /// By position: the rows that match there, those that are not known included.
    pub(super) rows: Vec<Rows>,
    /// The rows that match null.
    pub(super) null: Rows,
    /// Whether it is a fact by itself, that no other column tests: it may have each of these values, whatever the others have.
    pub(super) is_free: bool,
}

pub(super) struct Space<'a> {
    pub(super) ruleset: &'a Ruleset,
    pub(super) table: &'a Decision,
    pub(super) dimensions: Vec<Dimension>,
    /// How many rows can match: all but that of the defaults.
    pub(super) count: usize,
    pub(super) steps: usize,
}

impl<'a> Space<'a> {
    pub(super) fn of(ruleset: &'a Ruleset, table: &'a Decision, domain: &dyn Fn(&FactRef) -> Option<Domain>) -> Self {
        let count = table.default.unwrap_or(ruleset.rules.len());
        let mut keys: Vec<Option<String>> = Vec::new();
        for column in &table.columns {
            keys.push(match &column.subject {
                Node::Slot { slot, .. } => Some(ruleset.names().key(*slot)),
                Node::Below { slot, path, .. } => Some(format!("{}.{}", ruleset.names().key(*slot), path.join("."))),
                _ => None,
            });
        }
        let mut dimensions = Vec::new();
        for (number, column) in table.columns.iter().enumerate() {
            let cells: Vec<Option<&Node>> = ruleset
                .rules
                .iter()
                .zip(&table.parts)
                .take(count)
                .map(|(rule, parts)| cell(rule, parts, number))
                .collect();
            let Some(axis) = Axis::of(cells.iter().flatten().copied(), &column.at) else { continue };
            let covers: Vec<Cover> = cells
                .iter()
                .map(|cell| match cell {
                    None => Cover::All,
                    Some(cell) => axis.set(cell, &column.at).map_or(Cover::Opaque, Cover::Set),
                })
                .collect();
            let known = fact(ruleset, &column.subject).and_then(|fact| match fact {
                Fact::Outside(fact) => domain(fact),
                Fact::Constant(value) => Some(Domain::Few(vec![value.clone()])),
            });
            let wide: usize = covers.iter().map(Cover::width).sum();
            if axis.len() * count > MOST_BITS || wide > MOST_SET {
                continue;
            }
            let examples: Vec<Option<Value>> =
                (0..axis.len()).map(|position| example(&axis, position, &column.ty, known.as_ref())).collect();
            let key = keys.get(number).cloned().flatten();
            let is_free = key.is_some() && keys.iter().filter(|other| **other == key).count() == 1;
            let text = ruleset.rules.first().and_then(|rule| rule.snippet.text().get(column.at.clone())).unwrap_or("");
            dimensions.push(Dimension::new(text.to_owned(), covers, examples, is_free));
        }
        Self { ruleset, table, dimensions, count, steps: 0 }
    }

    pub(super) fn step(&mut self) -> bool {
        self.steps += self.count.div_ceil(64) + 1;
        self.steps <= MOST_STEPS
    }

    /// Whether no dimension from this one on limits the row.
    pub(super) fn is_open_from(&self, row: usize, from: usize) -> bool {
        self.dimensions.iter().skip(from).all(|dimension| dimension.covers.get(row) == Some(&Cover::All))
            && self.has_only_known_columns(row)
    }

    /// Whether each column that limits the row is a dimension.
    fn has_only_known_columns(&self, row: usize) -> bool {
        self.dimensions.len() == self.table.columns.len()
            || self.table.parts.get(row).is_some_and(|parts| parts.len() == self.limits(row))
    }

    fn limits(&self, row: usize) -> usize {
        self.dimensions.iter().filter(|dimension| dimension.covers.get(row) != Some(&Cover::All)).count()
    }

    /// Whether all is known of the row: its cells compare with constants.
    pub(super) fn is_known(&self, row: usize) -> bool {
        self.has_only_known_columns(row)
            && self.dimensions.iter().all(|dimension| dimension.covers.get(row) != Some(&Cover::Opaque))
    }
}

impl Dimension {
    fn new(text: String, covers: Vec<Cover>, examples: Vec<Option<Value>>, is_free: bool) -> Self {
        let count = covers.len();
        let mut open = Rows::none(count);
        let is_open = |cover: &Cover| matches!(cover, Cover::All | Cover::Opaque);
        covers.iter().enumerate().filter(|(_, cover)| is_open(cover)).for_each(|(row, _)| open.add(row));
        let mut rows = vec![open.clone(); examples.len()];
        let mut null = open;
        for (row, cover) in covers.iter().enumerate() {
            match cover {
                Cover::All | Cover::Opaque => {}
                Cover::Set(set) => {
                    for (low, high) in &set.ranges {
                        rows.get_mut(*low..=*high).into_iter().flatten().for_each(|rows| rows.add(row));
                    }
                    if set.null == Some(true) {
                        null.add(row);
                    }
                }
            }
        }
        Self { text, covers, examples, rows, null, is_free }
    }
}

/// What a column tests.
enum Fact<'a> {
    Outside(&'a FactRef),
    Constant(&'a Value),
}

fn fact<'a>(ruleset: &'a Ruleset, subject: &Node) -> Option<Fact<'a>> {
    let Node::Slot { slot, .. } = subject else { return None };
    match slot.checked_sub(LOCAL) {
        None => ruleset.reads.get(*slot).map(Fact::Outside),
        Some(local) => match ruleset.start.get(local)? {
            Start::Read(slot) => ruleset.reads.get(*slot).map(Fact::Outside),
            Start::Value(value) => Some(Fact::Constant(value)),
            Start::Unset => None,
        },
    }
}
