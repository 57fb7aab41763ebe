//! Reads a sheet of an Excel workbook (.xlsx) to a grid.
//!
//! The grid's text is the sheet written out, a line for each row, so that the lines of errors are the rows of the sheet. A number is
//! the shortest decimal that is stored as the same number; a cell with the format of a date is a day. Nothing is computed: a cell with
//! a formula is refused, since the value beside it in the file may be old.

use std::io::Cursor;

use calamine::{DataRef, Reader, Xlsx, XlsxError};

use super::grid::{Addresses, Cell, Grid, GridRow, column_letters, trimmed};
use super::header;
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Source};

/// The most columns of a table.
const MOST_COLUMNS: u32 = 1_000;

/// What a sheet has in one place.
struct Stored {
    row: u32,
    column: u32,
    text: String,
    /// Whether it is a number, a day or a truth.
    is_value: bool,
    /// Why it cannot be read, and what to do.
    unfit: Option<(String, &'static str)>,
}

/// The grid of a sheet: that of the name `sheet`, or the only one. At most `most_rows` rows are read.
pub(super) fn grid(
    name: &str,
    sheet: Option<&str>,
    bytes: &[u8],
    most_rows: usize,
    found: &mut Diagnostics,
) -> Option<Grid> {
    let refused =
        |message: String, help: &str| Diagnostic::error("bad-table", Place::File(name.to_owned()), message).help(help);
    let read =
        |error: &XlsxError| refused(format!("the workbook cannot be read: {error}"), "save it as .xlsx once more");
    let mut book = match Xlsx::new(Cursor::new(bytes)) {
        Ok(book) => book,
        Err(error) => {
            found.push(read(&error));
            return None;
        }
    };
    let sheets = book.sheet_names();
    let chosen = match (sheet, sheets.as_slice()) {
        (Some(sheet), _) if sheets.iter().any(|known| known == sheet) => sheet.to_owned(),
        (None, [only]) => only.clone(),
        (sheet, _) => {
            let message = match sheet {
                Some(sheet) => format!("the workbook has no sheet `{sheet}`"),
                None => format!("the workbook has {} sheets", sheets.len()),
            };
            let help = format!(
                "name one of them behind the file, as in `rates.xlsx#{}`: {}",
                sheets.first().map_or("", |name| name),
                sheets.join(", ")
            );
            found.push(refused(message, &help));
            return None;
        }
    };
    let cells = match stored(&mut book, &chosen, most_rows) {
        Ok(cells) => cells,
        Err(error) => {
            found.push(read(&error));
            return None;
        }
    };
    let beyond = cells.iter().find(|cell| cell.row as usize > most_rows || cell.column >= MOST_COLUMNS);
    if let Some(cell) = beyond {
        let message = format!(
            "the sheet has a cell {}{}, which is beyond the limits of a table",
            column_letters(cell.column as usize),
            cell.row + 1
        );
        let help = "delete what lies outside the table; `rules.limits.rules` limits its rows, and 1,000 its columns";
        found.push(refused(message, help));
        return None;
    }
    let merged = match book.merge_cells_by_sheet_name(&chosen) {
        Ok(merged) => merged,
        Err(error) => {
            found.push(read(&error));
            return None;
        }
    };
    for area in merged {
        let address = |(row, column): (u32, u32)| format!("{}{}", column_letters(column as usize), row + 1);
        let message = format!("the cells {}:{} of the sheet are merged", address(area.start), address(area.end));
        found.push(refused(message, "unmerge them, and write a value into each"));
    }
    if found.has_errors() {
        return None;
    }
    let shown = if sheet.is_some() { format!("{name}#{chosen}") } else { name.to_owned() };
    written(&shown, &cells, found)
}

fn stored(book: &mut Xlsx<Cursor<&[u8]>>, sheet: &str, most_rows: usize) -> Result<Vec<Stored>, XlsxError> {
    let mut reader = book.worksheet_cells_reader(sheet)?;
    let mut cells = Vec::new();
    while let Some(cell) = reader.next_cell_with_formula()? {
        let (row, column) = cell.pos;
        let (text, is_value, unfit) = if cell.formula.is_some() {
            let why = "a formula is not read: the value beside it may be old".to_owned();
            (String::new(), false, Some((why, "copy the cell and paste its value")))
        } else {
            text(&cell.value)
        };
        if text.is_empty() && unfit.is_none() {
            continue;
        }
        cells.push(Stored { row, column, text, is_value, unfit });
        if row as usize > most_rows {
            break;
        }
    }
    Ok(cells)
}

type Read = (String, bool, Option<(String, &'static str)>);

/// The text of a stored value, whether it is no text, and why it cannot be read.
fn text(value: &DataRef<'_>) -> Read {
    let of_text = |text: &str| {
        let text = text.trim().replace("\r\n", "\n");
        let breaks =
            text.contains('\n').then(|| ("the text of the cell has a line break".to_owned(), "write it in one line"));
        (text.replace('\n', " "), false, breaks)
    };
    match value {
        DataRef::Empty => (String::new(), false, None),
        DataRef::String(text) => of_text(text),
        DataRef::SharedString(text) => of_text(text),
        DataRef::Int(number) => (number.to_string(), true, None),
        // The shortest decimal that is read as the same number.
        DataRef::Float(number) => (number.to_string(), true, None),
        DataRef::Bool(truth) => (truth.to_string(), true, None),
        DataRef::DateTime(moment) if moment.is_datetime() && moment.as_f64().fract() == 0.0 => {
            let (year, month, day, ..) = moment.to_ymd_hms_milli();
            (format!("{year:04}-{month:02}-{day:02}"), true, None)
        }
        DataRef::DateTime(moment) => {
            let what = "a time of day or a duration is not read: it has no zone";
            (
                moment.as_f64().to_string(),
                true,
                Some((what.to_owned(), "write a day, or a moment as a text: 2026-01-31T08:00:00Z")),
            )
        }
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            (text.clone(), true, Some(("a date in this form is not read".to_owned(), "write it as a text: 2026-01-31")))
        }
        DataRef::Error(error) => {
            (error.to_string(), false, Some((format!("the cell is the error {error}"), "write a value")))
        }
    }
}

/// The sheet written out, and what of it cannot be read.
fn written(name: &str, cells: &[Stored], found: &mut Diagnostics) -> Option<Grid> {
    let first = cells.first().map_or(0, |cell| cell.row);
    let last = cells.iter().map(|cell| cell.row).max().unwrap_or(0);
    let width = cells.iter().filter(|cell| cell.row == first).map(|cell| cell.column + 1).max().unwrap_or(0);
    let mut text = String::new();
    let mut rows: Vec<GridRow> = Vec::new();
    let mut unfit: Vec<(Cell, usize, u32, (String, &'static str))> = Vec::new();
    let mut cells = cells.iter().peekable();
    for row in 0..=last {
        let mut read: Vec<Cell> = Vec::new();
        while let Some(stored) = cells.next_if(|cell| cell.row == row) {
            pad(&mut text, &mut read, stored.column);
            let cell = add(&mut text, &mut read, &stored.text, stored.is_value);
            if let Some(why) = &stored.unfit {
                unfit.push((cell, row as usize + 1, stored.column, why.clone()));
            }
        }
        let is_empty = read.is_empty();
        pad(&mut text, &mut read, width);
        text.push('\n');
        if !is_empty {
            rows.push(GridRow { number: row as usize + 1, cells: read });
        }
    }
    let source = Source::new(name, text);
    let snippet = source.snippet();
    let mut rows = rows.into_iter();
    let header = rows.next().map(|row| row.cells).unwrap_or_default();
    let grid = Grid { snippet, header, rows: rows.collect(), default: None, addresses: Addresses::Letters };
    let headers: Vec<&str> = grid.header.iter().map(|cell| grid.text(cell)).collect();
    if !header::is_table(headers.iter().copied()) {
        let message = "the first row of the sheet is not the header of a table: it has no column `when ...` or no column `then ...`";
        let place = Place::File(name.to_owned());
        found.push(
            Diagnostic::error("bad-table", place, message).help("write one such as `when quantity`, `then discount`"),
        );
        return None;
    }
    for (cell, row, column, (why, help)) in unfit {
        // Notes are for people.
        let is_read =
            headers.get(column as usize).is_none_or(|header| header::is_read(header)) || row == first as usize + 1;
        if is_read {
            let label = format!("cell {}{row}", column_letters(column as usize));
            found.push(Diagnostic::error("bad-cell", grid.span(&cell), why).label(label).help(help));
        }
    }
    (!found.has_errors()).then_some(grid)
}

/// Adds empty cells up to a column.
fn pad(text: &mut String, read: &mut Vec<Cell>, column: u32) {
    while read.len() < column as usize {
        add(text, read, "", false);
    }
}

fn add(text: &mut String, read: &mut Vec<Cell>, cell: &str, is_value: bool) -> Cell {
    if !read.is_empty() {
        text.push_str(" | ");
    }
    let start = text.len();
    text.push_str(cell);
    let cell = Cell { at: trimmed(text, start..text.len()), is_value };
    read.push(cell.clone());
    cell
}
