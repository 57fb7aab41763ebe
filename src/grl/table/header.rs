//! The columns of a table, from its header.

use std::collections::HashMap;

use super::grid::{Cell, Grid};
use super::reader::Reader;
use crate::diagnostics::Diagnostic;
use crate::grl::ast::{At, Expr, Path};

/// What a column is for.
pub(super) enum Column {
    /// `when expression`
    When(Condition),
    /// `then fact`
    Then(Target),
    /// `rule`: the names of the rows.
    Names,
    /// Everything else, which is for people.
    Note,
    /// A column without a header, which must be empty.
    Empty,
}

/// A condition column.
pub(super) struct Condition {
    /// What its cells test.
    pub(super) subject: Expr,
    /// The place of the subject.
    pub(super) at: At,
}

/// A result column.
#[derive(Clone)]
pub(super) struct Target {
    /// The fact that its cells assign.
    pub(super) path: Path,
    /// Whether its cells are plain texts.
    pub(super) is_text: bool,
}

const TEXT: &str = "(text)";

/// Whether the cells of a first line make it the header of a table: one is a condition, and one a result.
pub(super) fn is_table<'a>(cells: impl Iterator<Item = &'a str>) -> bool {
    let (mut when, mut then) = (false, false);
    for cell in cells {
        let word = cell.split_whitespace().next().unwrap_or("");
        when |= word.eq_ignore_ascii_case("when");
        then |= word.eq_ignore_ascii_case("then");
    }
    when && then
}

/// Whether the cells below this header mean something.
pub(super) fn is_read(header: &str) -> bool {
    header.split_whitespace().next() != Some("note")
}

/// The columns, one for each cell of the header; `None` for one with an error.
pub(super) fn columns(grid: &Grid, reader: &mut Reader<'_>) -> Vec<Option<Column>> {
    refuse_duplicates(grid, reader);
    grid.header.iter().map(|cell| column(grid, cell, reader)).collect()
}

fn refuse_duplicates(grid: &Grid, reader: &mut Reader<'_>) {
    let mut first: HashMap<String, &Cell> = HashMap::new();
    for cell in grid.header.iter().filter(|cell| !cell.at.is_empty()) {
        let name = grid.text(cell).split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(before) = first.get(&name) {
            let error = Diagnostic::error("bad-table", grid.span(cell), format!("there are two columns `{name}`"));
            let error = error.related(grid.span(before), "the first");
            reader.found.push(error.help("delete one, or give it another name; one cell may hold a range: `[10..20]`"));
        } else {
            first.insert(name, cell);
        }
    }
}

fn column(grid: &Grid, cell: &Cell, reader: &mut Reader<'_>) -> Option<Column> {
    let text = grid.text(cell);
    if text.is_empty() {
        return Some(Column::Empty);
    }
    let word = text.split_whitespace().next().unwrap_or("");
    let behind = cell.at.start + word.len()..cell.at.end;
    let behind = super::grid::trimmed(grid.snippet.text(), behind);
    match word {
        "when" if !behind.is_empty() => {
            let subject = reader.expression(behind.clone())?;
            Some(Column::When(Condition { subject, at: behind }))
        }
        "then" if !behind.is_empty() => {
            let target = grid.snippet.text().get(behind.clone()).unwrap_or("");
            let plain = target.strip_suffix(TEXT).map(str::trim_end);
            let end = behind.start + plain.unwrap_or(target).len();
            Some(Column::Then(Target { path: reader.path(behind.start..end)?, is_text: plain.is_some() }))
        }
        "rule" if behind.is_empty() => Some(Column::Names),
        "note" => Some(Column::Note),
        // A condition that is misspelt would otherwise be left out of the decision.
        _ => {
            let message = format!("`{text}` is not a column");
            let error = Diagnostic::error("bad-table", grid.span(cell), message);
            let help = "write `when expression` for a condition, `then fact` for a result, `rule` for the names of the rows, or \
                        `note`, with any words behind it, for what is not read";
            reader.found.push(error.help(help));
            None
        }
    }
}
