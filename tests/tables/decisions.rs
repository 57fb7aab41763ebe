//! What tables give: cells, hit policies, and facts without a value.

use tributary::grl::HitPolicy::{Any, Collect, Count, First, Max, Min, OutputOrder, Priority, RuleOrder, Sum, Unique};
use tributary::grl::{Reason, RuleError};
use tributary::types::Value;

use crate::reading::{evaluate, fired, hit, json, preferring, table};

/// A value of the input that a column of this name has.
fn value(column: &str, text: &str) -> Option<Value> {
    match (column, text) {
        (_, "unset") => None,
        (_, "null") => Some(Value::Null),
        ("since", day) => Some(Value::Date(day.parse().unwrap())),
        ("moment", moment) => Some(Value::Timestamp(moment.parse().unwrap())),
        ("region" | "tier", text) => Some(Value::text(text)),
        (_, other) => Some(json(other)),
    }
}

/// A cell, and values that it matches and does not.
const CELLS: [(&str, &str, &[&str], &[&str]); 49] = [
    ("quantity", "-", &["1", "-5", "null"], &[]),
    ("quantity", "10", &["10"], &["9", "11", "null"]),
    ("quantity", "-10", &["-10"], &["10"]),
    ("quantity", "10.0", &["10"], &["9"]),
    ("quantity", "< 10", &["9", "-1"], &["10", "11"]),
    ("quantity", "<10", &["9"], &["10"]),
    ("quantity", "<= 10", &["10"], &["11"]),
    ("quantity", "> 10", &["11"], &["10"]),
    ("quantity", ">= 10", &["10", "11"], &["9"]),
    ("quantity", "!= 10", &["11", "null"], &["10"]),
    ("quantity", "= 10", &["10"], &["11"]),
    ("quantity", "== 10", &["10"], &["11"]),
    ("quantity", "[10..20]", &["10", "15", "20"], &["9", "21"]),
    ("quantity", "[10..20)", &["10", "19"], &["20", "9"]),
    ("quantity", "(10..20]", &["11", "20"], &["10", "21"]),
    ("quantity", "]10..20[", &["11", "19"], &["10", "20"]),
    ("quantity", "[-5..-1]", &["-5", "-1"], &["0", "-6"]),
    ("quantity", "[10..2 * 10]", &["10", "20"], &["21"]),
    ("quantity", "\"1, 3\"", &["1", "3"], &["2", "null"]),
    ("quantity", "\"1, > 5, [3..4]\"", &["1", "6", "3", "4"], &["2", "5"]),
    ("quantity", "not(1)", &["2", "null"], &["1"]),
    ("quantity", "\"not(1, 2)\"", &["3"], &["1", "2"]),
    ("quantity", "\"not([1..5], > 8)\"", &["6", "8", "0"], &["1", "5", "9"]),
    ("quantity", "< limit", &["6"], &["7", "8"]),
    ("quantity", "= limit", &["7"], &["8"]),
    ("quantity", "= input.limit", &["7"], &["8"]),
    ("quantity", "> limit * 2", &["15"], &["14"]),
    ("quantity", "[limit..limit + 3)", &["7", "9"], &["6", "10"]),
    ("quantity", "\"in [1, 2]\"", &["1", "2"], &["3"]),
    ("quantity", "null", &["null"], &["1"]),
    ("quantity", "not(null)", &["1"], &["null"]),
    ("quantity", "\"null, > 5\"", &["null", "6"], &["5"]),
    ("weight", "[0.5..1.5]", &["0.5", "1.50"], &["0.49", "1.51"]),
    ("region", "EU", &["EU"], &["US", "eu", "null"]),
    ("region", "New York", &["New York"], &["New", "York"]),
    ("region", "PROD-001", &["PROD-001"], &["PROD"]),
    ("region", "\"EU, US\"", &["EU", "US"], &["JP"]),
    ("region", "\"\"\"EU\"\", \"\"US\"\"\"", &["EU", "US"], &["JP"]),
    ("region", "'a,b'", &["a,b"], &["a", "b"]),
    ("region", "not(EU)", &["US", "null"], &["EU"]),
    ("region", "startsWith \"E\"", &["EU"], &["US"]),
    ("region", "matches '^[A-Z]+$'", &["EU"], &["eu"]),
    ("region", "= tier", &["gold"], &["EU"]),
    ("since", "2026-01-31", &["2026-01-31"], &["2026-02-01"]),
    ("since", "[2026-01-01..2026-03-31]", &["2026-01-01", "2026-03-31"], &["2025-12-31", "2026-04-01"]),
    ("since", "< date(\"2026-01-31\")", &["2026-01-30"], &["2026-01-31"]),
    ("moment", ">= 2026-01-31T08:00:00Z", &["2026-01-31T08:00:00Z"], &["2026-01-31T07:59:59Z"]),
    ("open", "true", &["true"], &["false", "null"]),
    ("open", "FALSE", &["false"], &["true"]),
];

#[test]
fn cells_match_what_they_say() {
    for (column, cell, matching, others) in CELLS {
        let cell = if cell.starts_with('\'') { format!("\"{cell}\"") } else { cell.to_owned() };
        let rates = table(&format!("when {column},then hit\n{cell},1\n"), &hit(Unique));
        for (texts, is_match) in [(matching, true), (others, false)] {
            for text in texts {
                let mut inputs = vec![(column, value(column, text))];
                inputs.extend([("limit", Some(json("7"))), ("tier", Some(Value::text("gold")))]);
                let evaluation = evaluate(&rates, &inputs).unwrap_or_else(|error| panic!("{cell} of {text}: {error}"));
                assert_eq!(!evaluation.fired.is_empty(), is_match, "{cell} of {text}");
                let expected = if is_match { r#"{"hit": 1}"# } else { "{}" };
                assert_eq!(evaluation.facts, json(expected), "{cell} of {text}");
            }
        }
    }
}

#[test]
fn lists_are_asked_for_what_they_contain() {
    let rates = table("when order.tags,then hit\ncontains \"new\",1\n", &hit(Unique));
    for (tags, hits) in [(r#"["new", "old"]"#, 1), (r#"["old"]"#, 0)] {
        assert_eq!(evaluate(&rates, &[("tags", Some(json(tags)))]).unwrap().fired.len(), hits, "{tags}");
    }
}

#[test]
fn null_is_an_error_for_an_order_unless_the_column_asks_for_null() {
    let strict = table("when quantity,when region,then a\n< 10,EU,1\n", &hit(Unique));
    let null = [("quantity", Some(Value::Null)), ("region", Some(Value::text("EU")))];
    let error = evaluate(&strict, &null).unwrap_err();
    assert!(error.to_string().contains("`input.quantity` is null, which < does not take"), "{error}");
    // Another cell decides.
    let elsewhere = [("quantity", Some(Value::Null)), ("region", Some(Value::text("US")))];
    assert!(evaluate(&strict, &elsewhere).unwrap().fired.is_empty());
    let asked = table("when quantity,then a\n< 10,1\nnull,2\n>= 10,3\n", &hit(Unique));
    assert_eq!(evaluate(&asked, &null).unwrap().facts, json(r#"{"a": 2}"#));
}

const OVERLAPPING: &str = "\
rule,when quantity,when region,then fee,then label (text)
small,< 10,-,5,low
european,-,EU,3,mid
big,>= 10,-,1,low
twin,-,EU,3,mid
";

fn quantity(quantity: i64, region: &str) -> [(&'static str, Option<Value>); 2] {
    [("quantity", Some(Value::Integer(quantity))), ("region", Some(Value::text(region)))]
}

#[test]
fn hit_policies_choose_among_the_rows_that_match() {
    let lowest = [json("1"), json("3"), json("5")];
    let cases = [
        (hit(First), quantity(5, "EU"), r#"{"fee": 5, "label": "low"}"#, "small"),
        (hit(First), quantity(50, "EU"), r#"{"fee": 3, "label": "mid"}"#, "european"),
        (hit(Unique), quantity(50, "US"), r#"{"fee": 1, "label": "low"}"#, "big"),
        (hit(Any), quantity(5, "US"), r#"{"fee": 5, "label": "low"}"#, "small"),
        (preferring(Priority, "fee", &lowest), quantity(50, "EU"), r#"{"fee": 1, "label": "low"}"#, "big"),
        (preferring(Priority, "fee", &lowest), quantity(5, "EU"), r#"{"fee": 3, "label": "mid"}"#, "european"),
        (
            hit(RuleOrder),
            quantity(5, "EU"),
            r#"{"fee": [5, 3, 3], "label": ["low", "mid", "mid"]}"#,
            "small european twin",
        ),
        (hit(Collect), quantity(50, "US"), r#"{"fee": [1], "label": ["low"]}"#, "big"),
        (
            preferring(OutputOrder, "fee", &lowest),
            quantity(50, "EU"),
            r#"{"fee": [1, 3, 3], "label": ["low", "mid", "mid"]}"#,
            "big european twin",
        ),
        (hit(Count), quantity(50, "EU"), r#"{"fee": 3, "label": 3}"#, "european big twin"),
    ];
    for (hit, inputs, facts, rows) in cases {
        let rates = table(OVERLAPPING, &hit);
        let evaluation = evaluate(&rates, &inputs).unwrap();
        assert_eq!(evaluation.facts, json(facts), "{hit:?} {inputs:?}");
        assert_eq!(fired(&rates, &evaluation).join(" "), rows, "{hit:?} {inputs:?}");
    }
    let fees = OVERLAPPING.replace(",then label (text)", ",note");
    for (policy, fee) in [(Sum, "11"), (Min, "3"), (Max, "5")] {
        let evaluation = evaluate(&table(&fees, &hit(policy)), &quantity(5, "EU")).unwrap();
        assert_eq!(evaluation.facts, json(&format!(r#"{{"fee": {fee}}}"#)), "{policy:?}");
    }
}

#[test]
fn rows_that_must_not_match_together_are_an_error_with_both() {
    let error = evaluate(&table(OVERLAPPING, &hit(Unique)), &quantity(5, "EU")).unwrap_err();
    let expected =
        "`small` (rates.csv:2:1) and `european` (rates.csv:3:1) both match; the hit policy of the table is unique";
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, RuleError::Rows { .. }));
    let error = evaluate(&table(OVERLAPPING, &hit(Any)), &quantity(50, "EU")).unwrap_err();
    assert!(error.to_string().contains("both match and give different values of `fee`"), "{error}");
}

#[test]
fn without_a_matching_row_results_are_unset_lists_empty_and_counts_zero() {
    let none = "when quantity,then fee\n< 0,1\n";
    for (policy, facts) in [
        (Unique, "{}"),
        (Any, "{}"),
        (First, "{}"),
        (RuleOrder, r#"{"fee": []}"#),
        (Collect, r#"{"fee": []}"#),
        (Sum, "{}"),
        (Max, "{}"),
        (Count, r#"{"fee": 0}"#),
    ] {
        assert_eq!(evaluate(&table(none, &hit(policy)), &quantity(1, "")).unwrap().facts, json(facts), "{policy:?}");
    }
}

/// A table, its inputs, the result that is known, and whether it is certain.
#[test]
fn a_row_that_waits_makes_the_results_unknown_where_it_might_change_them() {
    let text = "when quantity,when region,then fee\n< 10,-,5\n-,EU,3\n>= 10,-,1\n";
    let unset = [("quantity", None), ("region", Some(Value::text("EU")))];
    let elsewhere = [("quantity", Some(json("5"))), ("region", None)];
    let lowest = [json("1"), json("3"), json("5")];
    let highest = [json("5"), json("3"), json("1")];
    for (hit, inputs, facts, is_certain) in [
        (hit(First), &unset, r#"{"fee": 3}"#, false),
        (hit(First), &elsewhere, r#"{"fee": 5}"#, true),
        (hit(Unique), &elsewhere, r#"{"fee": 5}"#, false),
        (hit(Collect), &elsewhere, r#"{"fee": [5]}"#, false),
        (preferring(Priority, "fee", &highest), &elsewhere, r#"{"fee": 5}"#, true),
        (preferring(Priority, "fee", &lowest), &elsewhere, r#"{"fee": 5}"#, false),
    ] {
        let evaluation = evaluate(&table(text, &hit), inputs).unwrap();
        assert_eq!(evaluation.facts, json(facts), "{hit:?}");
        assert_eq!(evaluation.unknown.is_none(), is_certain, "{hit:?}");
        for doubt in evaluation.unknown.iter().flat_map(|unknown| unknown.doubts()) {
            let missing = if inputs[0].1.is_none() { "input.quantity" } else { "input.region" };
            assert!(doubt.waits && doubt.because.iter().all(|fact| fact.written() == missing), "{doubt:?}");
        }
    }
    // A value that would be given is missing.
    let evaluation = evaluate(
        &table("when quantity,then fee\n1,limit * 2\n", &hit(Unique)),
        &[("quantity", Some(json("1"))), ("limit", None)],
    )
    .unwrap();
    assert_eq!((evaluation.facts, evaluation.unknown.is_some()), (json("{}"), true));
}

#[test]
fn an_explanation_names_the_cells_that_are_false_and_by_how_much() {
    let rates = table(OVERLAPPING, &hit(First));
    let trace = evaluate(&rates, &quantity(12, "US")).unwrap().trace.unwrap();
    let sentences: Vec<String> = trace
        .idle
        .iter()
        .map(|idle| match &idle.because {
            Reason::False(failed) => failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(sentences, ["quantity 12 < 10: over by 2", "region \"US\" == EU", "region \"US\" == EU"]);
    let trace = evaluate(&rates, &quantity(12, "EU")).unwrap().trace.unwrap();
    assert_eq!(trace.fired[0].rule, 1);
    let overruled =
        trace.idle.iter().filter(|idle| matches!(&idle.because, Reason::Overruled { by } if by == "european"));
    assert_eq!(overruled.count(), 2);
}

#[test]
fn of_many_rows_an_explanation_names_the_nearest() {
    let rows = many(500, |number| format!("{number},{},{number}\n", if number == 321 { "EU" } else { "US" }));
    let rates = table(&format!("when quantity,when region,then fee\n{rows}"), &hit(Unique));
    let trace = evaluate(&rates, &quantity(7, "EU")).unwrap().trace.unwrap();
    assert_eq!((trace.idle.len(), trace.further), (20, 480));
    let near: Vec<usize> = trace.idle.iter().take(2).map(|idle| idle.rule).collect();
    assert_eq!(near, [7, 321]);
}

#[test]
fn files_of_spreadsheets_are_read() {
    let expected = json(r#"{"fee": 2.5, "label": "a \"b\", c"}"#);
    for text in [
        "when quantity,then fee,then label (text)\n1,2.5,\"a \"\"b\"\", c\"\n",
        "\u{feff}when quantity;then fee;then label (text)\r\n1;2.5;\"a \"\"b\"\", c\"\r\n",
        "when quantity\tthen fee\tthen label (text)\n1\t2.5\ta \"b\", c",
        "note,when quantity,then fee,then label (text),\n,1,2.5,\"a \"\"b\"\", c\",\n,,,,\n\n",
        "\"when min(quantity, 9)\",then fee,then label (text)\n1,2.5,\"a \"\"b\"\", c\"\n",
        "when min(quantity, 9);then fee;then label (text)\n1;2.5;a \"b\", c\n",
    ] {
        assert_eq!(evaluate(&table(text, &hit(Unique)), &quantity(1, "")).unwrap().facts, expected, "{text}");
    }
}

#[test]
fn ten_thousand_rows_find_theirs() {
    let rows = many(10_000, |number| format!("[{number}..{}),R{},{number}\n", number + 1, number % 7));
    let rates = table(&format!("when quantity,when region,then fee\n{rows}"), &hit(Unique));
    for number in [0_i64, 1, 4_999, 9_999, 10_000] {
        let evaluation = evaluate(&rates, &quantity(number, &format!("R{}", number % 7))).unwrap();
        assert_eq!(evaluation.fired.first().copied(), usize::try_from(number).ok().filter(|row| *row < 10_000));
    }
}

fn many(count: u64, row: impl Fn(u64) -> String) -> String {
    (0..count).fold(String::new(), |rows, number| rows + &row(number))
}
