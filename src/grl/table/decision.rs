//! What chooses among the rows of a compiled table.

use super::grid::{Cell, Grid};
use super::hit::HitPolicy;
use super::index::{Index, Rows};
use crate::grl::ast::At;
use crate::grl::program::{Env, Node};
use crate::grl::rule::CompiledRule;
use crate::types::{FieldName, Type, Value};

/// How the rows of a ruleset that is a table are chosen.
pub(in crate::grl) struct Decision {
    pub(super) policy: HitPolicy,
    pub(super) columns: Vec<Column>,
    /// The slots of the results, in the order of the columns.
    pub(super) results: Vec<usize>,
    /// By row: the columns of the parts of its condition.
    pub(super) parts: Vec<Box<[usize]>>,
    /// By row: its place in the order of preference.
    pub(super) ranks: Vec<usize>,
    /// The row that is taken where no other one matches.
    pub(super) default: Option<usize>,
    /// The cells, as they are written.
    pub(super) grid: Grid,
    /// The values of result columns in the order of preference.
    pub(super) prefer: Vec<(FieldName, Vec<Value>)>,
}

/// A condition column.
pub(super) struct Column {
    pub(super) subject: Node,
    pub(super) ty: Type,
    /// The place of the subject.
    pub(super) at: At,
    /// `None` where its constants have no order.
    pub(super) index: Option<Index>,
}

/// A table as it is written.
#[derive(Debug, Clone)]
pub struct TableText {
    /// Which of the rows that match give their results.
    pub hit: HitPolicy,
    /// The values of result columns in the order of preference, where the policy has one.
    pub prefer: Vec<(FieldName, Vec<Value>)>,
    /// The headers of its columns.
    pub columns: Vec<String>,
    /// By row, in the order of [`crate::grl::Ruleset::rules`]: its cells, one for each column.
    pub rows: Vec<Vec<String>>,
}

impl Decision {
    pub(in crate::grl) fn text(&self) -> TableText {
        let cells = |cells: &[Cell]| -> Vec<String> {
            (0..self.grid.header.len())
                .map(|place| cells.get(place).map_or("", |cell| self.grid.text(cell)).to_owned())
                .collect()
        };
        TableText {
            hit: self.policy,
            prefer: self.prefer.clone(),
            columns: cells(&self.grid.header),
            rows: self.grid.rows.iter().map(|row| &row.cells).chain(&self.grid.default).map(|row| cells(row)).collect(),
        }
    }

    /// Whether a result is made from those of several rows.
    pub(in crate::grl) fn joins(&self) -> bool {
        self.policy.joins()
    }

    /// Whether each row that matches gives its results as they are.
    pub(in crate::grl) fn chooses_no_row(&self) -> bool {
        matches!(self.policy, HitPolicy::Unique | HitPolicy::Any)
    }

    /// Whether a row may give its results only where no row above it does, if that is so of any row; and the row of the default
    /// results, which gives them where no other one does.
    pub(in crate::grl) fn precedence(&self) -> (bool, Option<usize>) {
        (self.policy == HitPolicy::First, self.default)
    }

    /// Whether its results are always set.
    pub(in crate::grl) fn always_gives(&self) -> bool {
        self.policy.is_list() || self.policy == HitPolicy::Count
    }

    /// The names of its results, of the node's own facts.
    pub(in crate::grl) fn result_names(&self, locals: &[FieldName]) -> Vec<FieldName> {
        self.results.iter().filter_map(|slot| locals.get(*slot).cloned()).collect()
    }

    /// The rows that are not known not to match.
    pub(super) fn candidates(&self, rows: usize, env: &Env<'_>) -> Rows {
        let mut candidates: Option<Rows> = None;
        for column in &self.columns {
            // An unknown value, or an error, limits nothing: each row has it.
            let (Some(index), Ok(Some(value))) = (&column.index, column.subject.value(env)) else { continue };
            let Some(matching) = index.rows(&value) else { continue };
            match &mut candidates {
                Some(candidates) => candidates.keep(&matching),
                None => candidates = Some(matching),
            }
        }
        let mut candidates = candidates.unwrap_or_else(|| Rows::all(rows));
        self.default.into_iter().for_each(|row| candidates.remove(row));
        candidates
    }

    pub(super) fn rank(&self, row: usize) -> usize {
        self.ranks.get(row).copied().unwrap_or(0)
    }
}

/// The part of a row's condition in a column.
pub(super) fn cell<'a>(rule: &'a CompiledRule, parts: &[usize], column: usize) -> Option<&'a Node> {
    let place = parts.iter().position(|part| *part == column)?;
    match &rule.when {
        Node::And(items) => items.get(place).map(|(item, _)| item),
        _ => None,
    }
}
