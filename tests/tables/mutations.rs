//! Files that are cut, changed and mixed up are refused or read, and never bring the reader down.

use std::sync::Arc;

use proptest::prelude::*;
use rust_xlsxwriter::Workbook;
use tributary::grl::{HitPolicy, Limits, Ruleset, Table};

use crate::reading::{evaluate, hit, scope};

const CSV: &str = "rule,when quantity,when region,then fee,then label (text)\nsmall,\"[10..20), > 5\",not('EU'),quantity * 2,low\n\"b\"\"ig\",-,\"EU, 'US'\",null,hi\n";

const DMN: &str = r#"<definitions><decision name="a b"><decisionTable hitPolicy="FIRST"><input><inputExpression><text>quantity</text></inputExpression></input><output name="fee"><outputValues><text>1, 2</text></outputValues><defaultOutputEntry><text>0</text></defaultOutputEntry></output><rule><inputEntry><text>&lt; 10, not(1)</text></inputEntry><outputEntry><text>quantity + .5</text></outputEntry></rule></decisionTable></decision></definitions>"#;

fn workbook() -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (row, cells) in (0..).zip([["when quantity", "then fee"], ["< 10", "1"], ["-", "2"]]) {
        for (column, cell) in (0..).zip(cells) {
            sheet.write_string(row, column, cell).unwrap();
        }
    }
    sheet.write_number(3, 0, 0.1).unwrap();
    book.save_to_buffer().unwrap()
}

/// Reads a file and, if it is a table, evaluates it.
fn read(name: &str, bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(table) = Table::read(name, None, bytes, &limits) else { return };
    drop(table.heads());
    let hit = table.hit().cloned().unwrap_or_else(|| hit(HitPolicy::First));
    if let Ok((ruleset, _)) = Ruleset::from_table("rates", &table, &hit, &scope(), &[], &limits) {
        drop(ruleset.table_warnings(&|_| None));
        drop(evaluate(&Arc::new(ruleset), &[]));
    }
}

/// One change: a place, how many bytes are taken out there, and what is put in.
type Change = (prop::sample::Index, usize, Vec<u8>);

fn change() -> impl Strategy<Value = Change> {
    let symbol = prop::sample::select(b"\"',;-[]().<>=!&#x0 \n\t\xff\0".to_vec());
    (any::<prop::sample::Index>(), 0..4_usize, prop::collection::vec(symbol, 0..3))
}

fn changed(file: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for (place, taken, put) in changes {
        let at = place.index(bytes.len() + 1);
        let end = (at + taken).min(bytes.len());
        bytes.splice(at..end, put.iter().copied());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_are_refused_or_read(changes in prop::collection::vec(change(), 1..5)) {
        read("rates.csv", &changed(CSV.as_bytes(), &changes));
        read("rates.dmn", &changed(DMN.as_bytes(), &changes));
        read("rates.xlsx", &changed(&workbook(), &changes));
    }

    #[test]
    fn any_cell_is_refused_or_read(cell in "[-0-9a-z\"'()\\[\\].,<>=! ]{0,12}") {
        let quoted = cell.replace('"', "\"\"");
        read("rates.csv", format!("when quantity,then fee\n\"{quoted}\",1\n").as_bytes());
        read("rates.csv", format!("when quantity,then fee\n-,\"{quoted}\"\n").as_bytes());
        read("rates.csv", format!("when region,then fee (text)\n\"{quoted}\",x\n").as_bytes());
    }
}
