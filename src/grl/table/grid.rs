//! A table as a grid of cells, whatever file it came from.

use std::ops::Range;

use crate::diagnostics::{Snippet, Span};

/// The cells of a table.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    /// The text of all cells, as they are read: without the quotes of CSV.
    pub(super) snippet: Snippet,
    pub(super) header: Vec<Cell>,
    pub(super) rows: Vec<GridRow>,
    /// The cells of the row that is taken where no other one matches.
    pub(super) default: Option<Vec<Cell>>,
    pub(super) addresses: Addresses,
}

/// A row that is not empty.
#[derive(Debug, Clone)]
pub(super) struct GridRow {
    /// Its number as a spreadsheet shows it: the first row of the file is 1.
    pub(super) number: usize,
    pub(super) cells: Vec<Cell>,
}

/// A cell: the place of its text in the grid's snippet, without white space around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) at: Range<usize>,
    /// Whether the file says that it is a number, a day or a truth, and no text.
    pub(super) is_value: bool,
}

/// How messages name cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addresses {
    /// `row 3, column "when quantity"`
    RowAndHeader,
    /// `cell B3`
    Letters,
    /// `rule 3, "when quantity"`
    Rules,
}

impl Grid {
    pub(super) fn text(&self, cell: &Cell) -> &str {
        self.snippet.text().get(cell.at.clone()).unwrap_or("")
    }

    pub(super) fn span(&self, cell: &Cell) -> Span {
        self.snippet.span(cell.at.clone())
    }
}

/// `at` without the white space around its text.
pub(super) fn trimmed(text: &str, at: Range<usize>) -> Range<usize> {
    let part = text.get(at.clone()).unwrap_or("");
    let start = at.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

/// `A` for column 0, `AB` for column 27.
pub(super) fn column_letters(column: usize) -> String {
    let mut letters = String::new();
    let mut rest = column + 1;
    while rest > 0 {
        let letter = u8::try_from((rest - 1) % 26).unwrap_or(0);
        letters.insert(0, char::from(b'A' + letter));
        rest = (rest - 1) / 26;
    }
    letters
}
