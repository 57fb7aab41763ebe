//! What `check` proves of tables is what trying all inputs of a small domain finds.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tributary::diagnostics::{Diagnostic, Diagnostics};
use tributary::grl::{Domain, Hit, HitPolicy};
use tributary::types::Value;

use crate::agreement::{Cell, REGIONS, Row, Test, row};
use crate::reading::{hit, table};

fn warnings(text: &str, hit: &Hit) -> Diagnostics {
    table(text, hit).table_warnings(&|_| None)
}

fn of<'a>(found: &'a Diagnostics, code: &str) -> Vec<&'a Diagnostic> {
    found.iter().filter(|warning| warning.code == code).collect()
}

/// What a cell is of null: `None` where that is an error.
fn of_null(cell: &Cell) -> Option<bool> {
    let is_value = |test: &&Test| matches!(test, Test::Value(_));
    let of_test = |test: &Test| match test {
        Test::Value(_) => Some(false),
        Test::Not(_) => Some(true),
        _ => None,
    };
    let tests = cell.tests.iter().filter(is_value).chain(cell.tests.iter().filter(|test| !is_value(test)));
    let decided = tests.map(of_test).find(|truth| *truth != Some(false)).unwrap_or(Some(false));
    if cell.tests.is_empty() { Some(true) } else { decided.map(|truth| truth != cell.negated) }
}

/// A value of a column of numbers, doubled, or null.
type Number = Option<i64>;

/// Doubled numbers and the tests of a cell, which are of whole ones.
fn holds(cell: &Cell, number: Number) -> Option<bool> {
    let Some(number) = number else { return of_null(cell) };
    let twice = |test: &Test| match *test {
        Test::Value(value) => Test::Value(2 * value),
        Test::Less(value) => Test::Less(2 * value),
        Test::AtMost(value) => Test::AtMost(2 * value),
        Test::More(value) => Test::More(2 * value),
        Test::AtLeast(value) => Test::AtLeast(2 * value),
        Test::Not(value) => Test::Not(2 * value),
        Test::Range(low, high, with_low, with_high) => Test::Range(2 * low, 2 * high, with_low, with_high),
        Test::BelowLimit => Test::BelowLimit,
    };
    Some(Cell { tests: cell.tests.iter().map(twice).collect(), negated: cell.negated }.holds(number, 0))
}

/// Whether a row certainly matches.
fn matches(row: &Row, (quantity, weight, region): (Number, Number, Option<&str>)) -> bool {
    let of_region = match region {
        _ if row.regions.is_empty() => true,
        Some(region) => row.regions.contains(&region),
        None => false,
    };
    holds(&row.quantity, quantity) == Some(true) && holds(&row.weight, weight) == Some(true) && of_region
}

/// All inputs of the domain: whole quantities, weights in halves, regions of which one is in no table; with nulls or without.
fn inputs(with_null: bool) -> Vec<(Number, Number, Option<&'static str>)> {
    let null = || with_null.then_some(None);
    let quantities: Vec<Number> = (-4..8).map(|number| Some(2 * number)).chain(null()).collect();
    let weights: Vec<Number> = (-8..16).map(Some).chain(null()).collect();
    let regions: Vec<Option<&str>> =
        REGIONS.into_iter().chain(["elsewhere"]).map(Some).chain(with_null.then_some(None)).collect();
    let mut all = Vec::new();
    for quantity in &quantities {
        for weight in &weights {
            all.extend(regions.iter().map(|region| (*quantity, *weight, *region)));
        }
    }
    all
}

/// The tests of a table's rows without those that compare with a fact.
fn constant(rows: Vec<Row>) -> Vec<Row> {
    let keep = |cell: Cell| Cell {
        tests: cell.tests.into_iter().filter(|test| !matches!(test, Test::BelowLimit)).collect(),
        ..cell
    };
    rows.into_iter().map(|row| Row { quantity: keep(row.quantity), weight: keep(row.weight), ..row }).collect()
}

fn text(rows: &[Row]) -> String {
    rows.iter().fold("when quantity;when weight;when region;then fee\n".to_owned(), |text, row| text + &row.written())
}

fn named(warnings: &[&Diagnostic]) -> BTreeSet<String> {
    let name = |warning: &&Diagnostic| warning.message.split('`').nth(1).unwrap().to_owned();
    warnings.iter().map(name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gaps_overlaps_and_dead_rows_are_those_that_trying_all_inputs_finds(rows in proptest::collection::vec(row(), 1..5)) {
        let rows = constant(rows);
        let text = text(&rows);
        let name = |row: usize| format!("row {}", row + 2);
        let found = warnings(&text, &hit(HitPolicy::Unique));
        let (plain, all) = (inputs(false), inputs(true));
        let gap = plain.iter().any(|input| !rows.iter().any(|row| matches(row, *input)));
        prop_assert_eq!(!of(&found, "table-gap").is_empty(), gap, "{}\n{}", text, found);
        let mut overlaps = BTreeSet::new();
        for (second, b) in rows.iter().enumerate() {
            for (first, a) in rows.iter().take(second).enumerate() {
                if all.iter().any(|input| matches(a, *input) && matches(b, *input)) {
                    overlaps.insert(format!("{} {}", name(first), name(second)));
                }
            }
        }
        let pairs: BTreeSet<String> = of(&found, "table-overlap")
            .iter()
            .map(|warning| warning.message.split('`').skip(1).step_by(2).take(2).collect::<Vec<_>>().join(" "))
            .collect();
        prop_assert_eq!(pairs, overlaps, "{}\n{}", text, found);
        let never: BTreeSet<String> = (0..rows.len()).filter(|row| !all.iter().any(|input| matches(&rows[*row], *input))).map(name).collect();
        prop_assert_eq!(named(&of(&found, "table-dead-row")), never, "{}\n{}", text, found);
        let found = warnings(&text, &hit(HitPolicy::First));
        let is_first = |row: usize, input| matches(&rows[row], input) && !rows[..row].iter().any(|before| matches(before, input));
        let never: BTreeSet<String> = (0..rows.len()).filter(|row| !all.iter().any(|input| is_first(*row, *input))).map(name).collect();
        prop_assert_eq!(named(&of(&found, "table-dead-row")), never, "{}\n{}", text, found);
    }

    #[test]
    fn what_is_claimed_of_a_table_with_other_facts_in_its_cells_is_true(rows in proptest::collection::vec(row(), 1..5)) {
        let text = text(&rows);
        let plain = inputs(false);
        let holds = |row: &Row, (quantity, weight, region): (Number, Number, Option<&str>), limit| {
            row.holds((quantity.unwrap() / 2, weight.unwrap() / 2, region.unwrap(), limit))
        };
        let whole: Vec<_> = plain.iter().filter(|(_, weight, _)| weight.unwrap() % 2 == 0).collect();
        let found = warnings(&text, &hit(HitPolicy::First));
        for dead in named(&of(&found, "table-dead-row")) {
            let place = (0..rows.len()).find(|row| format!("row {}", row + 2) == dead).unwrap();
            for (input, limit) in whole.iter().flat_map(|input| (-3..6).map(move |limit| (**input, limit))) {
                let first = rows.iter().position(|row| holds(row, input, limit));
                prop_assert_ne!(first, Some(place), "{}\n{}", text, found);
            }
        }
        if !of(&found, "table-gap").is_empty() {
            let gap = plain.iter().any(|input| {
                let (quantity, weight, region) = *input;
                !rows.iter().any(|row| {
                    let known = constant(vec![row.clone()]).remove(0);
                    // A cell with another fact may match.
                    let may = |cell: &Cell, known: &Cell, number| cell.tests.len() != known.tests.len() || holds_plainly(known, number);
                    may(&row.quantity, &known.quantity, quantity)
                        && may(&row.weight, &known.weight, weight)
                        && (row.regions.is_empty() || row.regions.contains(&region.unwrap()))
                })
            });
            prop_assert!(gap, "{}\n{}", text, found);
        }
    }
}

fn holds_plainly(cell: &Cell, number: Number) -> bool {
    holds(cell, number) == Some(true)
}

#[test]
fn a_warning_names_the_rows_and_an_example() {
    let messages = |text: &str, hit: &Hit| -> Vec<String> {
        let found = warnings(text, hit);
        found.iter().map(|found| format!("{}: {}", found.code, found.message)).collect()
    };
    let text = "rule,when quantity,when region,then fee\nsmall,< 10,-,1\nbig,> 10,EU,2\n";
    assert_eq!(messages(text, &hit(HitPolicy::Unique)), ["table-gap: no row takes quantity = 10"]);
    let text = "rule,when quantity,when region,then fee\nsmall,<= 10,-,1\nbig,>= 10,EU,2\nother,> 10,not(EU),2\n";
    assert_eq!(
        messages(text, &hit(HitPolicy::Unique)),
        ["table-overlap: `small` and `big` both match quantity = 10, region = \"EU\""]
    );
    // Of `any`, equal results are no overlap; for lists nothing is.
    assert_eq!(messages(&text.replace("EU,2", "EU,1"), &hit(HitPolicy::Any)), Vec::<String>::new());
    assert_eq!(messages(text, &hit(HitPolicy::Any)).len(), 1);
    assert_eq!(messages("when quantity,then fee\n1,1\n1,2\n", &hit(HitPolicy::Collect)), Vec::<String>::new());
    let text = "rule,when quantity,then fee\nall,-,1\nlate,5,2\nnothing,[5..4],3\n";
    assert_eq!(
        messages(text, &hit(HitPolicy::First)),
        [
            "table-dead-row: `nothing` never gives its results: nothing meets all of its conditions",
            "table-dead-row: `late` never gives its results: rows that come before it take all that it matches",
        ]
    );
    assert_eq!(messages("when open,then fee\ntrue,1\nfalse,2\n", &hit(HitPolicy::Unique)), Vec::<String>::new());
    // Computed columns and columns of one fact are not free: what is missing may not occur.
    assert_eq!(messages("when quantity % 2,then fee\n0,1\n1,2\n", &hit(HitPolicy::Unique)), Vec::<String>::new());
}

#[test]
fn what_is_known_of_a_fact_leaves_no_gap_beyond_it() {
    let few = Domain::Few(vec![Value::text("EU"), Value::text("US")]);
    let regions = table("when region,then fee\nEU,1\nUS,2\n", &hit(HitPolicy::Unique));
    assert_eq!(regions.table_warnings(&|_| Some(few.clone())).len(), 0);
    assert_eq!(regions.table_warnings(&|_| None).len(), 1);
    let between = Domain::Between(Some(Value::Integer(0)), Some(Value::Integer(100)));
    let quantities = table("when quantity,then fee\n[0..50),1\n[50..100],2\n> 100,3\n", &hit(HitPolicy::Unique));
    let found = quantities.table_warnings(&|_| Some(between.clone()));
    assert_eq!(named(&of(&found, "table-dead-row")).into_iter().collect::<Vec<_>>(), ["row 4"]);
    assert!(of(&found, "table-gap").is_empty(), "{found}");
}

#[test]
fn a_large_table_is_looked_through_quickly() {
    let rows = (0..5_000)
        .fold(String::new(), |rows, number| rows + &format!("[{number}..{}),R{},{number}\n", number + 1, number % 7));
    let begun = std::time::Instant::now();
    let rates = table(&format!("when quantity,when region,then fee\n{rows}"), &hit(HitPolicy::Unique));
    let found = rates.table_warnings(&|_| None);
    assert_eq!((of(&found, "table-gap").len(), of(&found, "table-overlap").len()), (1, 0));
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
