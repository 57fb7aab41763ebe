//! Names the cells that errors are about.

use super::grid::{Addresses, Grid, column_letters};
use crate::diagnostics::{Diagnostic, Diagnostics, Place};

/// The same errors, each with the name of its cell.
pub(super) fn named(found: Diagnostics, grid: &Grid) -> Diagnostics {
    if found.is_empty() {
        return found;
    }
    // By the place in the file of its end: row and column of each cell.
    let mut cells: Vec<(usize, usize, String)> = Vec::new();
    for row in &grid.rows {
        for (column, cell) in row.cells.iter().enumerate() {
            let range = grid.span(cell).range();
            let header = grid.header.get(column).map_or("", |cell| grid.text(cell));
            let name = match grid.addresses {
                Addresses::RowAndHeader => format!("row {}, column `{header}`", row.number),
                Addresses::Rules => format!("rule {}, `{header}`", row.number),
                Addresses::Letters => format!("cell {}{}", column_letters(column), row.number),
            };
            cells.push((range.start, range.end, name));
        }
    }
    cells.sort_unstable();
    found.into_iter().map(|error| name(error, grid, &cells)).collect()
}

fn name(error: Diagnostic, grid: &Grid, cells: &[(usize, usize, String)]) -> Diagnostic {
    let Place::Span(span) = &error.place else { return error };
    if error.label.is_some() || span.source().name() != grid.snippet.source().name() {
        return error;
    }
    let start = span.range().start;
    let after = cells.partition_point(|(begins, ..)| *begins <= start);
    match after.checked_sub(1).and_then(|at| cells.get(at)) {
        Some((_, ends, name)) if start <= *ends => error.label(name.clone()),
        _ => error,
    }
}
