//! Reads the cells of a grid to syntax trees. Names and types are not checked yet.

use std::sync::Arc;

use super::cell::{self, Tested};
use super::grid::{Cell, Grid, GridRow};
use super::header::{self, Column, Condition, Target};
use super::hit::{Hit, HitPolicy};
use super::reader::Reader;
use super::{csv, dmn, place, value, xlsx};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Snippet, Source, Span};
use crate::grl::ast::{At, Compare, Expr};
use crate::grl::lexer::refuse_invisible;
use crate::grl::limits::Limits;
use crate::types::{FieldName, Value};

/// A decision table as it is written.
pub struct Table {
    pub(super) grid: Grid,
    /// The condition columns.
    pub(super) conditions: Vec<Condition>,
    /// The result columns.
    pub(super) targets: Vec<Target>,
    pub(super) rows: Vec<Row>,
    /// The first names of the dotted paths in it, with their places.
    heads: Vec<(String, At)>,
    /// The hit policy that the file itself has.
    pub(super) hit: Option<Hit>,
}

/// A row.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) at: At,
    /// The condition columns that it limits, each with the condition of its cell.
    pub(super) when: Vec<(usize, Expr)>,
    /// The value of each result column.
    pub(super) then: Vec<Expr>,
}

impl Table {
    /// Whether the name of a file is that of a table.
    pub fn is_named_by(path: &str) -> bool {
        let file = path.split_once('#').map_or(path, |(file, _)| file);
        matches!(&*ending(file), "csv" | "xlsx" | "dmn")
    }

    /// Reads the table of the file `name`, whose ending says what it is: CSV, a workbook, of which `part` is the sheet, or a DMN
    /// model, of which it is the decision.
    ///
    /// # Errors
    /// Everything in it that cannot be read.
    pub fn read(name: &str, part: Option<&str>, bytes: &[u8], limits: &Limits) -> Result<Self, Diagnostics> {
        let mut found = Diagnostics::new();
        if bytes.len() > limits.max_file_bytes {
            let message = format!("the file has {} bytes; the limit is {}", bytes.len(), limits.max_file_bytes);
            let error = Diagnostic::error("file-too-long", Place::File(name.to_owned()), message);
            found.push(error.help("split it, or raise `rules.limits.file_bytes`"));
            return Err(found);
        }
        let read = if ending(name) == "dmn" {
            model(name, part, bytes, &mut found)
        } else {
            grid(name, part, bytes, limits, &mut found).map(|grid| (grid, None))
        };
        let Some((grid, own)) = read else { return Err(found) };
        let table = Self::of(grid, own, limits, &mut found);
        match table {
            Some(table) if !found.has_errors() => Ok(table),
            _ => {
                found.sort();
                Err(found)
            }
        }
    }

    fn of(grid: Grid, own: Option<Own>, limits: &Limits, found: &mut Diagnostics) -> Option<Self> {
        let mut errors = Diagnostics::new();
        let mut reader =
            Reader { snippet: &grid.snippet, limits, found: &mut errors, heads: Vec::new(), is_feel: own.is_some() };
        let columns = header::columns(&grid, &mut reader);
        let rows: Vec<Row> = if reader.found.is_empty() { rows(&grid, &columns, &mut reader) } else { Vec::new() };
        if grid.rows.is_empty() {
            let error = Diagnostic::error("bad-table", grid.snippet.span(0..0), "the table has no rows");
            reader.found.push(error.help("write a row below the header"));
        }
        let hit = own.map(|own| own.hit(&grid, &mut reader));
        let heads = reader.heads;
        let failed = errors.has_errors();
        found.extend(place::named(errors, &grid));
        if failed {
            return None;
        }
        let (mut conditions, mut targets) = (Vec::new(), Vec::new());
        for column in columns.into_iter().flatten() {
            match column {
                Column::When(condition) => conditions.push(condition),
                Column::Then(target) => targets.push(target),
                Column::Names | Column::Note | Column::Empty => {}
            }
        }
        Some(Self { grid, conditions, targets, rows, heads, hit })
    }

    /// Its text: all cells.
    pub fn snippet(&self) -> &Snippet {
        &self.grid.snippet
    }

    /// The first names of the dotted paths in it, which may be nodes, each with its place.
    pub fn heads(&self) -> Vec<(String, Span)> {
        self.heads.iter().map(|(name, at)| (name.clone(), self.grid.snippet.span(at.clone()))).collect()
    }

    /// The hit policy that the file itself has.
    pub fn hit(&self) -> Option<&Hit> {
        self.hit.as_ref()
    }
}

fn ending(name: &str) -> String {
    name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase()
}

/// The hit policy of a model, and the order of its results as it is written.
struct Own {
    policy: HitPolicy,
    prefer: Vec<(FieldName, Cell)>,
}

impl Own {
    fn hit(self, grid: &Grid, reader: &mut Reader<'_>) -> Hit {
        let mut prefer = Vec::new();
        for (name, cell) in self.prefer {
            let values = match reader.expression(cell.at.clone()) {
                Some(Expr::List { items, .. }) => items,
                _ => Vec::new(),
            };
            let literal = |item: Expr| match item {
                Expr::Literal { value, .. } => Some(value),
                _ => None,
            };
            let Some(values) = values.into_iter().map(literal).collect::<Option<Vec<_>>>() else {
                reader.refuse(
                    cell.at.clone(),
                    "the values of an output are no literals",
                    "write numbers and texts in quotes",
                );
                continue;
            };
            prefer.push((name, values, grid.span(&cell)));
        }
        Hit { policy: self.policy, prefer }
    }
}

/// The grid of a DMN model.
fn model(name: &str, part: Option<&str>, bytes: &[u8], found: &mut Diagnostics) -> Option<(Grid, Option<Own>)> {
    let source = text(name, bytes, found)?;
    refuse_invisible(&source.snippet(), found);
    if found.has_errors() {
        return None;
    }
    let dmn::Model { grid, policy, prefer } = dmn::model(&source, part, found)?;
    Some((grid, Some(Own { policy, prefer })))
}

/// The grid of a file of another kind.
fn grid(name: &str, part: Option<&str>, bytes: &[u8], limits: &Limits, found: &mut Diagnostics) -> Option<Grid> {
    let ending = ending(name);
    let refused =
        |message: String, help: &str| Diagnostic::error("bad-table", Place::File(name.to_owned()), message).help(help);
    let grid = match (ending.as_str(), part) {
        ("csv", None) => csv::grid(&text(name, bytes, found)?, found),
        ("csv", Some(part)) => {
            found.push(refused(format!("a CSV file has no part `{part}`"), "delete `#` and what stands behind it"));
            None
        }
        // The first row is the header.
        ("xlsx", sheet) => xlsx::grid(name, sheet, bytes, limits.max_rules.saturating_add(1), found),
        _ => {
            let message = format!("`{name}` is not a table: its name does not end in `.csv`, `.xlsx` or `.dmn`");
            found.push(refused(message, "save the table as CSV or as a workbook"));
            None
        }
    };
    let mut hidden = Diagnostics::new();
    if let Some(grid) = &grid {
        refuse_invisible(&grid.snippet.source().snippet(), &mut hidden);
        found.extend(place::named(hidden, grid));
    }
    grid.filter(|_| !found.has_errors())
}

/// The text of a file, which is UTF-8, without a byte order mark.
fn text(name: &str, bytes: &[u8], found: &mut Diagnostics) -> Option<Arc<Source>> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(Source::new(name, text)),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let message = format!("line {line} is not UTF-8 (byte {} of the file)", error.valid_up_to() + 1);
            let error = Diagnostic::error("bad-table", Place::File(name.to_owned()), message);
            found.push(error.help("save the file as UTF-8; Excel calls it \"CSV UTF-8\""));
            None
        }
    }
}

fn rows(grid: &Grid, columns: &[Option<Column>], reader: &mut Reader<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = grid.rows.iter().filter_map(|each| row(grid, each, columns, reader)).collect();
    if let Some(cells) = &grid.default {
        let default = row(grid, &GridRow { number: 0, cells: cells.clone() }, columns, reader);
        rows.extend(default.map(|row| Row { name: "default".to_owned(), ..row }));
    }
    take_null(&mut rows, columns);
    rows
}

fn row(grid: &Grid, row: &GridRow, columns: &[Option<Column>], reader: &mut Reader<'_>) -> Option<Row> {
    let first = row.cells.first()?;
    let last = row.cells.last()?;
    if row.cells.len() != columns.len() {
        let message = format!("the row has {} cells, and the header {}", row.cells.len(), columns.len());
        let error = Diagnostic::error("bad-table", grid.snippet.span(first.at.start..last.at.end), message);
        let help = "write all cells; one that holds the delimiter stands in double quotes";
        reader.found.push(error.help(help));
        return None;
    }
    let mut name = format!("row {}", row.number);
    let mut at = first.at.clone();
    let (mut when, mut then) = (Vec::new(), Vec::new());
    let mut condition = 0;
    let mut is_whole = true;
    for (cell, column) in row.cells.iter().zip(columns.iter().flatten()) {
        match column {
            Column::When(tested) => {
                match cell::condition(reader, tested, cell) {
                    Some(Tested::Any) => {}
                    Some(Tested::Condition(expr)) => when.push((condition, expr)),
                    None => is_whole = false,
                }
                condition += 1;
            }
            Column::Then(target) => match value::result(reader, target, cell) {
                Some(given) => then.push(given),
                None => is_whole = false,
            },
            Column::Names if !cell.at.is_empty() => {
                grid.text(cell).clone_into(&mut name);
                at = cell.at.clone();
            }
            Column::Empty if !cell.at.is_empty() => {
                let error = Diagnostic::error("bad-table", grid.span(cell), "the column of this cell has no header");
                reader.found.push(error.help("write its header, or delete the cell"));
            }
            Column::Names | Column::Note | Column::Empty => {}
        }
    }
    if at.is_empty() {
        at = row.cells.iter().find(|cell| !cell.at.is_empty()).map_or(at, |cell| cell.at.clone());
    }
    is_whole.then_some(Row { name, at, when, then })
}

/// In a column where one cell asks for null, null is no error for the others: it just does not match them.
fn take_null(rows: &mut [Row], columns: &[Option<Column>]) {
    let conditions = columns.iter().flatten().filter_map(|column| match column {
        Column::When(condition) => Some(condition),
        _ => None,
    });
    for (number, condition) in conditions.enumerate() {
        let mut cells: Vec<&mut Expr> = rows
            .iter_mut()
            .flat_map(|row| row.when.iter_mut().filter(|(column, _)| *column == number).map(|(_, expr)| expr))
            .collect();
        if !cells.iter().any(|cell| cell::asks_for_null(cell)) {
            continue;
        }
        for cell in cells.iter_mut().filter(|cell| cell::orders(cell) && !cell::asks_for_null(cell)) {
            let at = cell.at();
            let is_there = Expr::Compare {
                operator: Compare::NotEqual,
                left: Box::new(condition.subject.clone()),
                right: Box::new(Expr::Literal { value: Value::Null, at: at.clone() }),
                at: at.clone(),
            };
            let tested = std::mem::replace(*cell, Expr::Literal { value: Value::Null, at: at.clone() });
            **cell = Expr::And { items: vec![is_there, tested], at };
        }
    }
}
