//! Tables of DMN models.

use std::sync::Arc;

use tributary::diagnostics::{Diagnostic, Diagnostics};
use tributary::grl::{Limits, Ruleset, Table};
use tributary::types::Value;

use crate::reading::{evaluate, fired, json, scope};

/// A model with one decision, whose table has these attributes and this content.
fn model(attributes: &str, content: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="https://www.omg.org/spec/DMN/20191111/MODEL/" name="Rates" namespace="urn:rates">
  <decision id="d1" name="Delivery fee">
    <variable name="Delivery fee"/>
    <decisionTable {attributes}>
{content}
    </decisionTable>
  </decision>
</definitions>
"#
    )
}

fn input(expression: &str) -> String {
    format!("<input><inputExpression><text>{expression}</text></inputExpression></input>")
}

fn rule(inputs: &[&str], outputs: &[&str]) -> String {
    let entry = |name: &str, text: &&str| format!("<{name}><text>{text}</text></{name}>");
    let inputs: String = inputs.iter().map(|text| entry("inputEntry", text)).collect();
    let outputs: String = outputs.iter().map(|text| entry("outputEntry", text)).collect();
    format!("<rule>{inputs}{outputs}</rule>\n")
}

fn compile(text: &str, part: Option<&str>) -> Result<Arc<Ruleset>, String> {
    let limits = Limits::default();
    let shown = |found: Diagnostics| {
        let one = |found: &Diagnostic| {
            assert!(found.help.is_some() || !found.code.starts_with("bad-"), "{found:?}");
            format!("{}{}", found.message, found.label.as_ref().map(|label| format!(" ({label})")).unwrap_or_default())
        };
        found.iter().map(one).collect::<Vec<_>>().join("\n")
    };
    let table = Table::read("rates.dmn", part, text.as_bytes(), &limits).map_err(shown)?;
    let hit = table.hit().unwrap().clone();
    let compiled = Ruleset::from_table("rates", &table, &hit, &scope(), &[], &limits);
    compiled.map(|(ruleset, _)| Arc::new(ruleset)).map_err(shown)
}

fn facts(ruleset: &Arc<Ruleset>, quantity: i64, region: &str) -> Value {
    let inputs = [("quantity", Some(Value::Integer(quantity))), ("region", Some(Value::text(region)))];
    evaluate(ruleset, &inputs).unwrap_or_else(|error| panic!("{error}")).facts
}

#[test]
fn a_table_gives_what_the_model_says() {
    let text = model(
        r#"hitPolicy="FIRST""#,
        &[
            input("quantity"),
            input("region"),
            r#"<output name="fee"/><output name="Label text"><defaultOutputEntry><text>"none"</text></defaultOutputEntry></output>"#.to_owned(),
            rule(&["&lt; 10", r#""EU","UK""#], &["5", r#""low""#]),
            rule(&["[10..20)", r#"not("JP")"#], &["quantity * .5", r#""mid""#]),
            rule(&["<![CDATA[>= 20]]>", ""], &["1", ""]),
        ]
        .concat(),
    );
    let rates = compile(&text, None).unwrap();
    for (quantity, region, expected) in [
        (5, "UK", r#"{"fee": 5, "Label_text": "low"}"#),
        (15, "US", r#"{"fee": 7.5, "Label_text": "mid"}"#),
        (20, "JP", r#"{"fee": 1, "Label_text": null}"#),
        (5, "JP", r#"{"fee": null, "Label_text": "none"}"#),
    ] {
        assert_eq!(facts(&rates, quantity, region), json(expected), "{quantity} {region}");
    }
    // Rules are numbered as in the model, and their places are those of its text.
    assert_eq!((rates.rule_name(0), rates.rule_name(3)), (Some("row 1"), Some("default")));
    assert_eq!(rates.rule(1).unwrap().place, "rates.dmn:7:25");
    assert_eq!(compile(&text, Some("Delivery fee")).unwrap().hash(), rates.hash());
}

#[test]
fn hit_policies_and_aggregations_are_those_of_the_model() {
    let rules = [
        input("quantity"),
        r#"<output name="fee"><outputValues><text>3, 1, 2</text></outputValues></output>"#.to_owned(),
        rule(&["&gt; 0"], &["1"]),
        rule(&["&gt; 1"], &["2"]),
        rule(&["&gt; 2"], &["3"]),
    ]
    .concat();
    for (policy, expected) in [
        (r#"hitPolicy="PRIORITY""#, "3"),
        (r#"hitPolicy="FIRST""#, "1"),
        (r#"hitPolicy="RULE ORDER""#, "[1, 2, 3]"),
        (r#"hitPolicy="OUTPUT ORDER""#, "[3, 1, 2]"),
        (r#"hitPolicy="COLLECT""#, "[1, 2, 3]"),
        (r#"hitPolicy="COLLECT" aggregation="SUM""#, "6"),
        (r#"hitPolicy="COLLECT" aggregation="MIN""#, "1"),
        (r#"hitPolicy="COLLECT" aggregation="MAX""#, "3"),
        (r#"hitPolicy="COLLECT" aggregation="COUNT""#, "3"),
    ] {
        let rates = compile(&model(policy, &rules), None).unwrap();
        assert_eq!(facts(&rates, 9, ""), json(&format!(r#"{{"fee": {expected}}}"#)), "{policy}");
    }
    let unique = compile(&model("", &rules), None).unwrap();
    let evaluation = evaluate(&unique, &[("quantity", Some(json("1")))]).unwrap();
    assert_eq!(fired(&unique, &evaluation), ["row 1"]);
    assert!(evaluate(&unique, &[("quantity", Some(json("2")))]).is_err());
}

#[test]
fn an_output_without_a_name_is_that_of_the_decision() {
    let text = model("", &[input("quantity").as_str(), "<output/>", &rule(&["-"], &["1"])].concat());
    assert_eq!(facts(&compile(&text, None).unwrap(), 1, ""), json(r#"{"Delivery_fee": 1}"#));
}

#[test]
fn what_does_not_map_is_refused_with_its_place() {
    let table = |input_text: &str, entry: &str, result: &str| {
        model("", &[input(input_text), r#"<output name="fee"/>"#.to_owned(), rule(&[entry], &[result])].concat())
    };
    for (text, expected) in [
        (table("quantity", "gold", "1"), "there is no fact `gold` (rule 1, `when quantity`)"),
        (table("Order quantity", "1", "1"), "there is no fact `Order_quantity`"),
        (table("quantity", "? &gt; 5", "1"), "`?` is not part of the language (rule 1, `when quantity`)"),
        (table("quantity", "1", "some x in [1] satisfies x"), "expected an operator or the end of the cell"),
        (table("region", "1", "1"), "`==` compares text with integer, which are never equal (rule 1, `when region`)"),
        (model(r#"hitPolicy="BEST""#, ""), "there is no hit policy `BEST `"),
        (model("", ""), "the table has no rows"),
        (
            model("", &[input("quantity").as_str(), "<output name='fee'/>", &rule(&["1", "2"], &["1"])].concat()),
            "the rule has 3 entries, and the table 2 inputs and outputs",
        ),
        (
            model(
                r#"hitPolicy="PRIORITY""#,
                &[input("quantity").as_str(), "<output name='fee'/>", &rule(&["1"], &["1"])].concat(),
            ),
            "the hit policy priority needs the values of an output in their order",
        ),
        (
            "<definitions><decision name='a'/></definitions>".to_owned(),
            "the model has 0 decisions with decision tables",
        ),
        ("<definitions><decision>".to_owned(), "the file ends within an element"),
        ("<definitions></decision>".to_owned(), "the XML cannot be read"),
        ("<a>&x;</a>".to_owned(), "there is no entity `&x;`"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><a/>".to_owned(), "a document type is not read"),
        ("<a>".repeat(100_000), "the elements are nested too deep"),
        (String::new(), "the file has no element"),
    ] {
        let found = compile(&text, None).map(|_| ()).expect_err(expected);
        assert!(found.starts_with(expected), "{expected}\n{found}");
    }
    let error = compile(&table("quantity", "1", "1"), Some("Other")).unwrap_err();
    assert_eq!(error, "the model has no decision `Other` with a decision table");
}
