//! Reads CSV (RFC 4180) to a grid, with the place of every cell.
//!
//! The delimiter (`,`, `;` or a tab) is the one with which the first line is the header of a table. A cell that begins with a
//! quote ends with one, and its quotes are doubled; elsewhere a quote is a character as any other. Libraries that read CSV accept
//! what breaks this, and do not tell where a cell is.

use std::ops::Range;
use std::sync::Arc;

use super::grid::{Addresses, Cell, Grid, GridRow, trimmed};
use super::header;
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet, Source};

const DELIMITERS: [(u8, &str); 3] = [(b',', "`,`"), (b';', "`;`"), (b'\t', "a tab")];

/// One field of a record, in the file.
struct Field {
    at: Range<usize>,
    quoted: bool,
}

/// The grid of `source`.
pub(super) fn grid(source: &Arc<Source>, found: &mut Diagnostics) -> Option<Grid> {
    let delimiter = delimiter(source, found)?;
    let records = records(source, delimiter, found)?;
    let mut copy = Copy { from: source.text(), text: String::new(), pieces: Vec::new() };
    let mut header = Vec::new();
    let mut rows = Vec::new();
    for (number, fields) in (1..).zip(&records) {
        let cells: Vec<Cell> = fields.iter().map(|field| copy.cell(field)).collect();
        let is_empty = cells.iter().all(|cell| cell.at.is_empty());
        match number {
            1 => header = cells,
            _ if is_empty => {}
            _ => rows.push(GridRow { number, cells }),
        }
    }
    let snippet = Snippet::new(Arc::clone(source), copy.text, copy.pieces);
    Some(Grid { snippet, header, rows, default: None, addresses: Addresses::RowAndHeader })
}

/// Copies cells into one text, each on the place that it comes from.
struct Copy<'a> {
    from: &'a str,
    text: String,
    pieces: Vec<(usize, usize)>,
}

impl Copy<'_> {
    fn cell(&mut self, field: &Field) -> Cell {
        let inside = if field.quoted { field.at.start + 1..field.at.end - 1 } else { field.at.clone() };
        let start = self.text.len();
        self.pieces.push((start, inside.start));
        let mut rest = inside;
        // The second of two quotes is left out.
        while let Some(at) =
            field.quoted.then(|| self.from.get(rest.clone()).and_then(|part| part.find("\"\""))).flatten()
        {
            self.text.push_str(self.from.get(rest.start..=rest.start + at).unwrap_or(""));
            rest.start += at + 2;
            self.pieces.push((self.text.len(), rest.start));
        }
        self.text.push_str(self.from.get(rest.clone()).unwrap_or(""));
        let at = trimmed(&self.text, start..self.text.len());
        // Cells are apart, so that no place is that of two of them.
        self.pieces.push((self.text.len(), rest.end));
        self.text.push('\n');
        Cell { at, is_value: false }
    }
}

/// The delimiter with which the first record is the header of a table.
fn delimiter(source: &Arc<Source>, found: &mut Diagnostics) -> Option<u8> {
    let text = source.text();
    let heads = |delimiter: u8| {
        let (fields, _) = record(source, delimiter, 0).ok()?;
        let words: Vec<String> = fields
            .iter()
            .map(|field| text.get(field.at.clone()).unwrap_or("").trim().trim_matches('"').trim().to_owned())
            .collect();
        header::is_table(words.iter().map(String::as_str)).then_some(words)
    };
    let fitting: Vec<(u8, &str)> =
        DELIMITERS.into_iter().filter(|(delimiter, _)| heads(*delimiter).is_some()).collect();
    match fitting.as_slice() {
        [(delimiter, _)] => Some(*delimiter),
        [] => {
            let end = text.find('\n').unwrap_or(text.len());
            let span = source.span(0..text.get(..end).unwrap_or("").trim_end().len());
            let message =
                "the first line is not the header of a table: it has no column `when ...` or no column `then ...`";
            let help = "write one such as `when quantity,when region,then discount`; the columns stand between `,`, `;` or tabs";
            found.push(Diagnostic::error("bad-table", span, message).help(help));
            None
        }
        [(_, one), .., (_, other)] => {
            let end = text.find('\n').unwrap_or(text.len());
            let message = format!("the columns of the header can be told apart by {one} and by {other}");
            let help = "write the cells of the header in double quotes";
            found.push(Diagnostic::error("bad-table", source.span(0..end), message).help(help));
            None
        }
    }
}

fn records(source: &Arc<Source>, delimiter: u8, found: &mut Diagnostics) -> Option<Vec<Vec<Field>>> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < source.text().len() {
        match record(source, delimiter, at) {
            Ok((fields, next)) => {
                records.push(fields);
                at = next;
            }
            Err(error) => {
                found.push(*error);
                return None;
            }
        }
    }
    Some(records)
}

/// The record that begins at `at`, and where the next one begins.
fn record(source: &Arc<Source>, delimiter: u8, at: usize) -> Result<(Vec<Field>, usize), Box<Diagnostic>> {
    let bytes = source.text().as_bytes();
    let byte = |at: usize| bytes.get(at).copied();
    let is_end = |at: usize| matches!((byte(at), byte(at + 1)), (None | Some(b'\n'), _) | (Some(b'\r'), Some(b'\n')));
    let mut fields = Vec::new();
    let mut at = at;
    loop {
        let start = at;
        let quoted = byte(at) == Some(b'"');
        if quoted {
            at = quoted_end(source, start)?;
            if !is_end(at) && byte(at) != Some(delimiter) {
                let message = "text stands behind the quote that ends the cell";
                let help = "within a cell in quotes, double its quotes or write single ones: \"not('x')\"; no space stands behind the last one";
                let error = Diagnostic::error("bad-table", source.span(at..at + 1), message);
                return Err(Box::new(error.help(help)));
            }
        } else {
            while !is_end(at) && byte(at) != Some(delimiter) {
                at += 1;
            }
        }
        fields.push(Field { at: start..at, quoted });
        if byte(at) == Some(delimiter) {
            at += 1;
            continue;
        }
        let length = match byte(at) {
            None => 0,
            Some(b'\r') => 2,
            Some(_) => 1,
        };
        return Ok((fields, at + length));
    }
}

/// Behind the quote that ends the cell whose first quote is at `start`.
fn quoted_end(source: &Arc<Source>, start: usize) -> Result<usize, Box<Diagnostic>> {
    let bytes = source.text().as_bytes();
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return Ok(at + 1),
            _ => at += 1,
        }
    }
    let error = Diagnostic::error("bad-table", source.span(start..start + 1), "the cell in quotes does not end");
    Err(Box::new(error.label("starts here").help("write \" where it ends; a quote inside of it is doubled")))
}
