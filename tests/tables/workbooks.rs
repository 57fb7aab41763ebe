//! Tables in Excel workbooks: what is stored is read, and what cannot be is refused with its cell.

use std::sync::Arc;

use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet};
use tributary::grl::{HitPolicy, Limits, Ruleset, Table};
use tributary::types::Value;

use crate::reading::{evaluate, fired, hit, json, scope};

/// Fills a sheet.
type Fill<'a> = &'a dyn Fn(&mut Worksheet);

/// A workbook of sheets that these functions fill.
fn book(sheets: &[(&str, Fill<'_>)]) -> Vec<u8> {
    let mut book = Workbook::new();
    for (name, fill) in sheets {
        let sheet = book.add_worksheet();
        sheet.set_name(*name).unwrap();
        fill(sheet);
    }
    book.save_to_buffer().unwrap()
}

/// Texts in rows from A1 on.
fn texts(sheet: &mut Worksheet, rows: &[&[&str]]) {
    for (row, cells) in (0..).zip(rows) {
        for (column, cell) in (0..).zip(*cells).filter(|(_, cell)| !cell.is_empty()) {
            sheet.write_string(row, column, *cell).unwrap();
        }
    }
}

fn compile(bytes: &[u8], sheet: Option<&str>) -> Result<Arc<Ruleset>, String> {
    let limits = Limits::default();
    let shown = |found: tributary::diagnostics::Diagnostics| {
        let one = |found: &tributary::diagnostics::Diagnostic| {
            assert!(found.help.is_some() || !found.code.starts_with("bad-"), "{found:?}");
            format!("{}{}", found.message, found.label.as_ref().map(|label| format!(" ({label})")).unwrap_or_default())
        };
        found.iter().map(one).collect::<Vec<_>>().join("\n")
    };
    let table = Table::read("rates.xlsx", sheet, bytes, &limits).map_err(shown)?;
    let compiled = Ruleset::from_table("rates", &table, &hit(HitPolicy::First), &scope(), &[], &limits);
    compiled.map(|(ruleset, _)| Arc::new(ruleset)).map_err(shown)
}

#[test]
fn numbers_days_truths_and_texts_are_read_as_they_are_stored() {
    let day = Format::new().set_num_format("dd.mm.yyyy");
    let percent = Format::new().set_num_format("0%");
    let bytes = book(&[("Rates", &|sheet| {
        texts(
            sheet,
            &[
                &["note", "when since", "when weight", "when open", "when region", "then fee", "then label (text)"],
                &["one", "", "", "", "EU, US", "", "low"],
                &[],
                &["two", "-", "[0.5..1.5)", "-", "not(EU)", "weight * 2", "high"],
            ],
        );
        sheet.write_datetime_with_format(1, 1, ExcelDateTime::from_ymd(2026, 1, 31).unwrap(), &day).unwrap();
        sheet.write_number(1, 2, 0.1).unwrap();
        sheet.write_boolean(1, 3, true).unwrap();
        sheet.write_number_with_format(1, 5, 0.05, &percent).unwrap();
        sheet.write_formula(1, 0, Formula::new("=1/0")).unwrap();
    })]);
    let rates = compile(&bytes, None).unwrap();
    let inputs = |since: &str, weight: &str, open: bool, region: &str| {
        [
            ("since", Some(Value::Date(since.parse().unwrap()))),
            ("weight", Some(Value::Decimal(weight.parse().unwrap()))),
            ("open", Some(Value::Boolean(open))),
            ("region", Some(Value::text(region))),
        ]
    };
    let first = evaluate(&rates, &inputs("2026-01-31", "0.10", true, "US")).unwrap();
    assert_eq!(
        (first.facts.clone(), fired(&rates, &first)),
        (json(r#"{"fee": 0.05, "label": "low"}"#), vec!["row 2".to_owned()])
    );
    let second = evaluate(&rates, &inputs("2026-02-01", "1.25", true, "JP")).unwrap();
    assert_eq!(
        (second.facts.clone(), fired(&rates, &second)),
        (json(r#"{"fee": 2.50, "label": "high"}"#), vec!["row 4".to_owned()])
    );
    assert_eq!(rates.rule(1).unwrap().place, "rates.xlsx:4:1");
}

#[test]
fn a_sheet_is_chosen_by_name_where_there_are_several() {
    let table: Fill<'_> = &|sheet| texts(sheet, &[&["when quantity", "then fee"], &["-", "1"]]);
    let other: Fill<'_> = &|sheet| texts(sheet, &[&["when quantity", "then fee"], &["-", "2"]]);
    let bytes = book(&[("A", table), ("Fees 2026", other)]);
    let fee = |sheet| evaluate(&compile(&bytes, Some(sheet)).unwrap(), &[]).unwrap().facts;
    assert_eq!((fee("A"), fee("Fees 2026")), (json(r#"{"fee": 1}"#), json(r#"{"fee": 2}"#)));
    assert_eq!(compile(&bytes, None).unwrap_err(), "the workbook has 2 sheets");
    assert_eq!(compile(&bytes, Some("B")).unwrap_err(), "the workbook has no sheet `B`");
}

#[test]
fn a_table_may_begin_anywhere_below_and_beside_nothing() {
    let bytes = book(&[("A", &|sheet| {
        for (row, cells) in [(3, ["when quantity", "then fee"]), (4, ["< 10", "1"]), (5, ["-", "2"])] {
            for (column, cell) in (2..).zip(cells) {
                sheet.write_string(row, column, cell).unwrap();
            }
        }
    })]);
    let rates = compile(&bytes, None).unwrap();
    let evaluation = evaluate(&rates, &[("quantity", Some(json("5")))]).unwrap();
    assert_eq!(fired(&rates, &evaluation), ["row 5"]);
}

/// What is wrong with a sheet.
type Fault<'a> = (Fill<'a>, &'a str);

#[test]
fn what_cannot_be_read_is_refused_with_its_cell() {
    let moment = Format::new().set_num_format("yyyy-mm-dd hh:mm");
    let header: &[&str] = &["when quantity", "when region", "then fee", "then label (text)"];
    let row: &[&str] = &["1", "EU", "5", "low"];
    let faults: [Fault<'_>; 12] = [
        (
            &|sheet| {
                sheet.write_formula(1, 2, Formula::new("=A2*2").set_result("2")).unwrap();
            },
            "a formula is not read: the value beside it may be old (cell C2)",
        ),
        (
            &|sheet| {
                sheet.merge_range(1, 0, 2, 0, "1", &Format::new()).unwrap();
            },
            "the cells A2:A3 of the sheet are merged",
        ),
        (
            &|sheet| {
                sheet.write_number(1, 3, 5).unwrap();
            },
            "the cell is no text, but the value 5 (cell D2)",
        ),
        (
            &|sheet| {
                sheet
                    .write_datetime_with_format(
                        1,
                        0,
                        ExcelDateTime::from_ymd(2026, 1, 31).unwrap().and_hms(8, 30, 0).unwrap(),
                        &moment,
                    )
                    .unwrap();
            },
            "a time of day or a duration is not read: it has no zone (cell A2)",
        ),
        (
            &|sheet| {
                sheet.write_blank(1, 1, &Format::new()).unwrap();
            },
            "the condition is empty (cell B2)",
        ),
        (
            &|sheet| {
                sheet.write_string(1, 1, "EU\nUS").unwrap();
            },
            "the text of the cell has a line break (cell B2)",
        ),
        (
            &|sheet| {
                sheet.write_string(1, 0, "1,5").unwrap();
            },
            "a comma between two digits can be read in two ways (cell A2)",
        ),
        (
            &|sheet| {
                sheet.write_string(1, 0, "ten").unwrap();
            },
            "`==` compares integer with text, which are never equal (cell A2)",
        ),
        (
            &|sheet| {
                sheet.write_string(1, 2, "five").unwrap();
            },
            "there is no fact `five` (cell C2)",
        ),
        (
            &|sheet| {
                sheet.write_number(1, 1, 5).unwrap();
            },
            "`==` compares text with integer, which are never equal (cell B2)",
        ),
        (
            &|sheet| {
                sheet.write_string(1, 6, "x").unwrap();
            },
            "the row has 7 cells, and the header 4 (cell A2)",
        ),
        (
            &|sheet| {
                sheet.write_string(0, 0, "quantity").unwrap().write_string(0, 1, "region").unwrap();
            },
            "the first row of the sheet is not the header of a table: it has no column `when ...` or no column `then ...`",
        ),
    ];
    for (fault, expected) in faults {
        let bytes = book(&[("A", &|sheet| {
            texts(sheet, &[header, row]);
            fault(sheet);
        })]);
        assert_eq!(compile(&bytes, None).map(|_| ()).expect_err(expected), expected);
    }
    // A cell far away costs nothing.
    let far = book(&[("A", &|sheet| {
        texts(sheet, &[header, row]);
        sheet.write_string(1_048_575, 16_383, "x").unwrap();
    })]);
    assert_eq!(
        compile(&far, None).unwrap_err(),
        "the sheet has a cell XFD1048576, which is beyond the limits of a table"
    );
    assert!(compile(b"when quantity,then fee\n1,2\n", None).unwrap_err().starts_with("the workbook cannot be read"));
}
