//! `tributary eval`: expressions of the rule language on the command line.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use serde_json::json;
use support::{json, repository, run};

fn eval(arguments: &[&str]) -> (i32, String, String) {
    run(repository(), &[], &[&["eval"], arguments].concat())
}

#[test]
fn the_value_is_printed_as_the_language_writes_it_with_its_type() {
    let lines = r#"lines=[{"qty":2,"price":9.90},{"qty":3,"price":1.50}]"#;
    for (arguments, expected) in [
        (&["0.1 + 0.2"][..], "0.3  (decimal)"),
        (&["-moq % 100", "--set", "moq=550"], "-50  (integer)"),
        (&["2 / 3"], "0.6666666666666666666666666667  (decimal)"),
        (&["price * qty", "--set", "price=15.50", "--set", "qty=2"], "31.00  (decimal)"),
        (&["qty > 1", "--set", "qty=2"], "true  (boolean)"),
        (&["upper(name)", "--set", r#"name="größe""#], "\"GRÖSSE\"  (text)"),
        (&["name", "--set", "name='single'"], "\"single\"  (text)"),
        (&["a == null", "--set", "a=null"], "true  (boolean)"),
        (&["coalesce(a, \"none\")", "--set", "a=null"], "\"none\"  (text)"),
        (&["null"], "null  (any)"),
        (&["[\"a\", name]", "--set", "name=\"b \\\"c\\\"\""], "[\"a\", \"b \\\"c\\\"\"]  (list of text)"),
        (&["sum(lines.qty)", "--set", lines], "5  (integer)"),
        (&["lines.price", "--set", lines], "[9.90, 1.50]  (list of decimal)"),
        (&["any(lines.qty > 2)", "--set", lines], "true  (boolean)"),
        (&["order.qty * order.price", "--set", "order.qty=5", "--set", "order.price=2.50"], "12.50  (decimal)"),
        (&["input.id + 1", "--set", "input.id=1"], "2  (integer)"),
        (&["order.qty", "--set", r#"order={"qty": 7}"#], "7  (integer)"),
        (&["add_days(since, 1)", "--set", "since=date(\"2026-01-31\")"], "2026-02-01  (date)"),
        (&["max(tiers)", "--set", "tiers=[1, 5, 3]"], "5  (integer)"),
        (&["x", "--set", "x=1 + 2 * 3"], "7  (integer)"),
        (&["today()", "--at", "2026-01-31T23:30:00Z"], "2026-01-31  (date)"),
        (&["today()", "--at", "2026-01-31T23:30:00Z", "--zone", "Europe/Berlin"], "2026-02-01  (date)"),
        (&["now()", "--at", "2026-01-31T08:00:00+02:00"], "2026-01-31T06:00:00Z  (timestamp)"),
        (&["[l.qty for l in lines where l.price > 5]", "--set", lines], "[2]  (list of integer)"),
        (&["lines", "--set", lines], "[{qty: 2, price: 9.90}, {qty: 3, price: 1.50}]  (list of map)"),
        (
            &["if qty > 1 then {code: \"A\", n: qty} else {code: \"B\", n: 0}", "--set", "qty=2"],
            "{code: \"A\", n: 2}  (map)",
        ),
        (&["x.code", "--set", "x={code: \"A\"}"], "\"A\"  (text)"),
        (&["is_set(x)", "--set", "x=null"], "true  (boolean)"),
    ] {
        let (code, stdout, stderr) = eval(arguments);
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, &*format!("{expected}\n"), ""), "{arguments:?}");
    }
}

#[test]
fn json_has_the_value_its_text_and_its_type() {
    for json_option in [&["--json"][..], &["--format", "json"]] {
        let (code, stdout, stderr) = eval(&[&["price * 2", "--set", "price=1.10"], json_option].concat());
        assert_eq!((code, stderr.as_str()), (0, ""));
        let document = json(&stdout);
        assert_eq!(document["value"].to_string(), "2.20");
        assert_eq!((&document["text"], &document["type"]), (&json!("2.20"), &json!("decimal")));
        assert_eq!(document["errors"], 0);
    }
    let (code, stdout, stderr) = eval(&["price *", "--json"]);
    assert_eq!((code, stderr.as_str()), (1, ""));
    assert_eq!(json(&stdout)["errors"], 1);
    assert_eq!(eval(&["1", "--json", "--format", "text"]).0, 2);
}

#[test]
fn errors_name_their_place_and_what_to_write() {
    for (arguments, told) in [
        (&["1 +"][..], &["expression:1:"][..]),
        (&["qty * 2"], &["expression:1:1", "there is no fact `qty`", "^^^"]),
        (&["qty * pric", "--set", "qty=2", "--set", "price=3"], &["expression:1:7", "did you mean `price`?"]),
        (&["order.qt", "--set", "order.qty=2"], &["did you mean `order.qty`?"]),
        (&["1 / x", "--set", "x=0"], &["expression:1:", "^"]),
        (&["x + 1", "--set", "x=null"], &["`x` is null"]),
        (&["x + 1", "--set", "x=\"a\""], &["expression:1:5"]),
        (&["x", "--set", "x=Acme"], &["--set:1:3", "`Acme` is not a value", "--set 'x=\"Acme\"'"]),
        (&["x", "--set", "x=Acme Ltd."], &["`Acme Ltd.` is not a value", "--set 'x=\"Acme Ltd.\"'"]),
        (&["x", "--set", "x=2026-01-31"], &["--set 'x=date(\"2026-01-31\")'"]),
        (&["x", "--set", "x=2026-01-31T08:00:00Z"], &["timestamp(\"2026-01-31T08:00:00Z\")"]),
        (&["x", "--set", "x="], &["there is no value"]),
        (&["x", "--set", "x"], &["NAME=VALUE"]),
        (&["x", "--set", "1x=2"], &["--set:1:1", "1x"]),
        (&["x", "--set", "x=upper(1)"], &["--set:1:"]),
        (&["x", "--set", "x=[1, {]"], &["--set:1:"]),
        (&["x", "--set", "x=1", "--set", "x=2"], &["`x` has a value already"]),
        (&["x", "--set", "x=1", "--set", "x.y=2"], &["`x.y` has a value already"]),
        (&["today()", "--at", "tomorrow"], &["--at", "2026-01-31T08:00:00+02:00"]),
        (&["today()", "--zone", "Berlin"], &["there is no time zone `Berlin`", "Europe/Berlin"]),
        (&["1", "--graph", "nowhere.yaml"], &["nowhere.yaml"]),
    ] {
        let (code, stdout, stderr) = eval(arguments);
        assert_eq!((code, stdout.as_str()), (1, ""), "{arguments:?}");
        for told in told {
            assert!(stderr.contains(told), "{arguments:?}: {told} is missing:\n{stderr}");
        }
    }
    assert_eq!(eval(&[]).0, 2);
    assert_eq!(eval(&["1", "--flow", "purchasing"]).0, 2);
}

#[test]
fn constants_and_functions_of_a_flow_are_known() {
    let policy = ["--graph", "tests/graph/listings/policy.yaml"];
    for (expression, expected) in [
        ("yearly(100) + most", "51200  (integer)\n"),
        ("capped(x)", "50000  (integer)\n"),
        ("kinds", "[\"standard\", \"special\"]  (list of text)\n"),
    ] {
        let (code, stdout, stderr) = eval(&[&[expression, "--set", "x=capped(60000)"], &policy[..]].concat());
        assert_eq!((code, stdout.as_str()), (0, expected), "{stderr}");
    }
    let (code, _, stderr) = eval(&["most"]);
    assert!(code == 1 && stderr.contains("there is no fact `most`"), "{stderr}");
}

#[test]
fn facts_are_named_with_their_node_and_flows_may_be_named() {
    let (code, stdout, _) = eval(&["1 + 1", "--graph", "graph.yaml", "--flow", "purchasing"]);
    assert_eq!((code, stdout.as_str()), (0, "2  (integer)\n"));
    let (code, _, stderr) = eval(&["qty", "--set", "order.qty=5"]);
    assert!(code == 1 && stderr.contains("there is no fact `qty`"), "{stderr}");
}
