//! The language as its users meet it: rules in, facts or complaints out.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::diagnostics::{Snippet, Source};
use crate::types::{Clock, Deadline, FieldName, Shape, Type, Value};

fn snippet(text: &str) -> Snippet {
    Source::new("test.grl", text).snippet()
}

fn json(text: &str) -> Value {
    Value::from_json(&serde_json::from_str(text).unwrap()).unwrap()
}

fn clock() -> Clock {
    Clock::fixed("2026-11-23T10:00:00Z".parse().unwrap(), jiff::tz::TimeZone::UTC)
}

/// A scope with one node `row` of these values.
fn scope(row: &Value) -> Scope {
    let mut scope = Scope::new();
    scope.add("row", Owner::Node(0), row.ty());
    scope
}

struct Rows(Value);

impl Facts for Rows {
    fn read(&self, fact: &FactRef) -> Lookup {
        self.0.at(fact.path.iter().map(|name| &**name)).map_or(Lookup::Missing, Lookup::Value)
    }
}

fn eval(expression: &str, row: &str) -> Result<Option<Value>, String> {
    let row = json(row);
    let (compiled, _) =
        Expression::compile(&snippet(expression), &scope(&row), ExpressionKind::Value, &Limits::default())
            .map_err(|found| found.to_string())?;
    compiled.evaluate(&Rows(row), &clock()).map_err(|error| error.to_string())
}

fn decide(rules: &str, row: &str, locals: &[LocalFact]) -> Result<Evaluation, String> {
    let row = json(row);
    let compiled = Ruleset::compile("node", &[snippet(rules)], &scope(&row), locals, &Limits::default());
    let (ruleset, _) = compiled.map_err(|found| found.to_string())?;
    let facts = Rows(row);
    let reads: Vec<Lookup> = ruleset.reads().iter().map(|fact| facts.read(fact)).collect();
    let mut engine = Engine::new(Arc::new(ruleset), &Limits::default()).unwrap();
    let first =
        engine.evaluate(&reads, &clock(), Deadline::after(Duration::from_secs(5))).map_err(|error| error.to_string());
    let again =
        engine.evaluate(&reads, &clock(), Deadline::after(Duration::from_secs(5))).map_err(|error| error.to_string());
    assert_eq!(first.as_ref().map(|e| &e.facts), again.as_ref().map(|e| &e.facts), "an engine remembers nothing");
    first
}

fn facts(rules: &str, row: &str) -> String {
    decide(rules, row, &[]).map_or_else(|error| error, |evaluation| evaluation.facts.to_string())
}

#[test]
fn expressions_mean_what_they_say() {
    for (expression, expected) in [
        ("0.1+0.2", "0.3"),
        ("a*b", "6"),
        ("a<b*c", "true"),
        ("(a + b) * 2", "10"),
        ("-a - -b", "1"),
        ("7 % 3", "1"),
        ("5/2", "2.5"),
        ("a == 2.0", "true"),
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("10 - 4 - 3", "3"),
        ("!(a > b) || false", "true"),
        ("name in [\"x\", 'Größe']", "true"),
        ("name contains 'rö' && name startsWith \"Gr\" && name endsWith 'ße'", "true"),
        ("name matches '^Gr.{2}e$'", "true"),
        ("tags contains \"red\"", "true"),
        ("round(2.345, 2)", "2.35"),
        ("round(-2.5)", "-3"),
        ("floor(-0.5) + ceil(0.5) + abs(-3)", "3"),
        ("min(a, b) + max([1, 9, 4])", "11"),
        ("sum(lines.qty) * count(lines)", "9"),
        ("any(lines.qty > 1) && !all(lines.qty > 1)", "true"),
        ("avg(lines.qty)", "1.5"),
        ("coalesce(nothing, a)", "2"),
        ("nothing == null && a != null", "true"),
        ("upper('äb') == \"ÄB\"", "true"),
        ("len(name)", "5"),
        ("concat(name, '-', a)", "Größe-2"),
        ("today()", "2026-11-23"),
        ("add_days(today(), 7)", "2026-11-30"),
        ("days_between(date('2026-01-01'), date('2026-03-01'))", "59"),
        ("9223372036854775807 + 1", "9223372036854775808"),
        ("trim_scale(550.00)", "550"),
        ("nested.deep.value + 1", "8"),
        ("/* no */ a // comment", "2"),
    ] {
        let row = r#"{"a":2,"b":3,"c":4,"name":"Größe","tags":["red"],"nothing":null,"lines":[{"qty":1},{"qty":2}],
                      "nested":{"deep":{"value":7}}}"#;
        // The count of lines is 2, their sum 3.
        let expected = if expression.contains("count(lines)") { "6" } else { expected };
        assert_eq!(
            eval(expression, row).map(|value| value.unwrap().to_string()),
            Ok(expected.to_owned()),
            "{expression}"
        );
    }
}

#[test]
fn null_is_a_value_for_equality_and_an_error_for_everything_else() {
    for expression in ["x > 1", "x + 1", "-x", "!x", "x && true", "round(x)", "x contains 'a'", "sum(list)", "x <= 0"] {
        let error = eval(expression, r#"{"x":null,"list":[1,null]}"#).unwrap_err();
        assert!(error.contains("null"), "{expression}: {error}");
    }
    assert_eq!(eval("x == 1", r#"{"x":null}"#), Ok(Some(Value::Boolean(false))));
}

#[test]
fn what_does_not_fit_is_refused_with_place_and_remedy() {
    for (expression, code, remedy) in [
        ("name > 3", "type-mismatch", ""),
        ("name + 1", "not-a-text", "concat"),
        ("nmae == 'x'", "unknown-fact", "did you mean `name`?"),
        ("row.nmae == 'x'", "unknown-fact", "did you mean `row.name`?"),
        ("rond(1.5)", "unknown-function", "did you mean `round`?"),
        ("round()", "wrong-arguments", "round(number, places, mode)"),
        ("a < a < a", "chained-comparison", "a < b && b < c"),
        ("a = 1", "unknown-operator", "`==` compares"),
        ("a & a", "stray-character", "&&"),
        ("a AND a", "unknown-operator", "write `and`"),
        ("NOT a == 1", "unknown-operator", "write `not`"),
        ("a not in [1]", "unknown-operator", "write `!`"),
        ("name is null", "unknown-operator", "write `== null`"),
        ("a <> 1", "stray-character", "write `!=`"),
        ("name matches '('", "bad-pattern", ""),
        ("\"open", "unterminated-text", ""),
        ("a == 1 /* open", "unterminated-comment", "*/"),
        ("12abc", "malformed-number", ""),
        ("a.b(1)", "left-out", ""),
        ("a &&", "unexpected-word", "a value is"),
        ("(a", "unexpected-word", ""),
        ("", "unexpected-word", ""),
        ("a && name", "not-a-condition", "compare it"),
        ("[1, 'a']", "mixed-list", ""),
    ] {
        let error = eval(expression, r#"{"a":1,"name":"x"}"#).unwrap_err();
        assert!(error.contains(&format!("error[{code}]")), "{expression}: {error}");
        assert!(error.contains("test.grl:1:"), "{expression}: {error}");
        assert!(error.contains(remedy), "{expression}: {error}");
    }
}

#[test]
fn length_is_free_and_depth_is_limited() {
    let sum = vec!["a"; 70_000].join("+");
    assert_eq!(eval(&sum, r#"{"a":1}"#).unwrap().unwrap().to_string(), "70000");
    let conditions = vec!["a == 1"; 150].join(" && ");
    assert_eq!(eval(&conditions, r#"{"a":1}"#), Ok(Some(Value::Boolean(true))));
    for deep in [
        format!("{}a{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("{}true", "!".repeat(5_000)),
        format!("{}a", "-".repeat(5_000)),
        format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)),
        format!("{}1{}", "abs(".repeat(5_000), ")".repeat(5_000)),
    ] {
        assert!(eval(&deep, r#"{"a":1}"#).unwrap_err().contains("nested-too-deep"));
    }
    assert!(eval(&vec!["a"; 200_000].join("+"), r#"{"a":1}"#).unwrap_err().contains("too-many-terms"));
}

#[test]
fn rules_fire_by_salience_and_see_what_others_wrote() {
    let rules = r#"
        rule "Late" salience -5 no-loop { when total > 10 then verdict = "big"; }
        rule "Early" salience 10 no-loop { when row.a > 0 then total = row.a * 4; order.qty = total + 1; order.unit = "box"; }
    "#;
    assert_eq!(facts(rules, r#"{"a":3}"#), r#"{"verdict":"big","total":12,"order":{"qty":13,"unit":"box"}}"#);
    assert_eq!(
        facts(rules, r#"{"a":0}"#),
        "{}",
        "a fact that no rule wrote is unset, and the rule that needs it waits"
    );
}

#[test]
fn a_rule_error_names_rule_line_and_fact() {
    let error = facts("rule \"R\" no-loop {\n when row.a > 1\n then x = 1;\n}", r#"{"a":null}"#);
    assert!(error.contains("rule `R`") && error.contains("test.grl:2") && error.contains("`row.a` is null"), "{error}");
    let error = facts("rule \"R\" no-loop { when true then y = 1; x = 1 / row.a; }", r#"{"a":0}"#);
    assert!(error.contains("division by zero"), "{error}");
}

#[test]
fn rules_that_never_settle_are_an_error_that_names_them() {
    let error =
        facts("rule \"Odd\" { when row.a > 0 then x = 1; } rule \"Even\" { when row.a > 0 then x = 2; }", r#"{"a":1}"#);
    assert!(error.contains("still fire: Odd, Even"), "{error}");
    let counted =
        "rule \"Start\" salience 1 no-loop { when true then n = 0; } rule \"Up\" { when n < 50 then n += 1; }";
    assert_eq!(facts(counted, r#"{"a":1}"#), r#"{"n":50}"#);
}

#[test]
fn a_rule_without_no_loop_settles_when_firing_changes_nothing() {
    let rules = "rule \"Gold\" { when row.a > 100 then tier = \"gold\"; Log(\"gold\"); }
                 rule \"Silver\" { when row.a > 9 && row.a <= 100 then tier = \"silver\"; }
                 rule \"Say\" { when tier == \"gold\" then Log(\"said\"); }";
    let evaluation = decide(rules, r#"{"a":200}"#, &[]).unwrap();
    assert_eq!(evaluation.facts.to_string(), r#"{"tier":"gold"}"#);
    assert_eq!((evaluation.fired, evaluation.log), (vec![0, 2], vec!["gold".to_owned(), "said".to_owned()]));
    // It fires again when another rule has changed what it assigns.
    let rules = "rule \"Cap\" { when n > 3 then n = 3; } rule \"Up\" no-loop { when row.a > 0 then n = row.a; }
                 rule \"More\" no-loop { when n == 3 then n = 9; }";
    let evaluation = decide(rules, r#"{"a":5}"#, &[]).unwrap();
    assert_eq!((evaluation.facts.to_string(), evaluation.fired), (r#"{"n":3}"#.to_owned(), vec![1, 0, 2, 0]));
}

#[test]
fn any_and_all_compare_each_element_whichever_side_the_list_is_on() {
    let row = r#"{"tags":["xa","xb"],"none":[],"n":5,"ns":[1,9],"t":"xa"}"#;
    let mut open = Scope::new();
    open.add("row", Owner::Node(0), Type::Map(Shape::unknown().into()));
    for (expression, expected) in [
        ("any('xa' == row.tags)", true),
        ("any(row.tags == 'xa')", true),
        ("all('xa' == row.tags)", false),
        ("all(row.tags matches '^x')", true),
        ("any(row.tags matches '^y')", false),
        ("any(row.n < row.ns)", true),
        ("all(5 > row.ns)", false),
        ("any(row.tags in ['xb'])", true),
        ("any(row.tags startsWith row.t)", true),
        ("all(row.none == 'xa')", true),
    ] {
        // Of known types, and of types that are known only when the row is there.
        for scope in [&scope(&json(row)), &open] {
            let text = snippet(expression);
            let (compiled, _) = Expression::compile(&text, scope, ExpressionKind::Condition, &Limits::default())
                .unwrap_or_else(|found| panic!("{found}"));
            let value = compiled.evaluate(&Rows(json(row)), &clock()).unwrap();
            assert_eq!(value, Some(Value::Boolean(expected)), "{expression}");
        }
    }
    let (compiled, _) =
        Expression::compile(&snippet("any(row.n == 5)"), &open, ExpressionKind::Value, &Limits::default()).unwrap();
    let error = compiled.evaluate(&Rows(json(row)), &clock()).unwrap_err().to_string();
    assert!(error.contains("any takes a list"), "{error}");
}

#[test]
fn a_key_that_a_json_document_may_lack_is_read_by_get() {
    let row = r#"{"doc":{"other":1,"my key":2,"deep":{"a":3}},"list":[{"a":1},{}],"nothing":null}"#;
    let mut open = Scope::new();
    open.add("row", Owner::Node(0), Type::Map(Shape::unknown().into()));
    let value = |text: &str| {
        let compiled = Expression::compile(&snippet(text), &open, ExpressionKind::Value, &Limits::default());
        let (compiled, _) = compiled.map_err(|found| found.to_string())?;
        let value = compiled.evaluate(&Rows(json(row)), &clock()).map_err(|error| error.to_string())?;
        Ok::<_, String>(value.unwrap().to_string())
    };
    for (expression, expected) in [
        ("coalesce(get(row.doc, 'extra'), 5)", "5"),
        ("get(row.doc, 'my key') + 1", "3"),
        ("get(get(row.doc, 'gone'), 'a') == null", "true"),
        ("get(get(row.doc, 'deep'), 'a')", "3"),
        ("get(row.nothing, 'a') == null", "true"),
        ("any(get(row.list, 'a') == null)", "true"),
    ] {
        assert_eq!(value(expression).as_deref(), Ok(expected), "{expression}");
    }
    assert!(value("get(row.doc, 'other') + get(5, 'a')").unwrap_err().contains("`get` takes a JSON document"));
    assert!(value("get(row, 'doc')").unwrap_err().contains("wrong-argument"));
}

#[test]
fn what_fails_whatever_the_facts_are_is_refused_with_its_place() {
    let row = r#"{"a":1,"s":"x","tags":["x"],"flags":[true],"day":"2026-01-01","nothing":null}"#;
    for (expression, part) in [
        ("date(\"2026-02-30\") == today()", "date(\"2026-02-30\")"),
        ("a > 0 || len(null) > 1", "null"),
        ("min(a, s) == 1", "s"),
        ("min(nothing, a, s) == 1", "s"),
        ("tags contains null", "tags contains null"),
        ("max([true, false])", "[true, false]"),
        ("max(flags)", "flags"),
        ("a / 0", "0"),
        ("a % (2 - 2)", "(2 - 2)"),
        ("1 / (3 - 3)", "(3 - 3)"),
        ("substring(s, 0)", "substring(s, 0)"),
        ("substring(s, 1, -1)", "substring(s, 1, -1)"),
        ("round(a, 1.5)", "round(a, 1.5)"),
        ("round(a, 101)", "round(a, 101)"),
        ("add_days(today(), 9999999)", "add_days(today(), 9999999)"),
        ("add_months(today(), 0.5)", "add_months(today(), 0.5)"),
        ("upper(coalesce(null))", "coalesce(null)"),
        ("a + coalesce(null, null)", "coalesce(null, null)"),
        ("sum([a, null])", "[a, null]"),
        ("timestamp(\"2026-01-01\")", "timestamp(\"2026-01-01\")"),
        ("a in null", "null"),
        ("s matches \"x\" && null", "null"),
        ("!null", "null"),
        ("add_days(date(\"9999-12-31\"), 1)", "add_days(date(\"9999-12-31\"), 1)"),
    ] {
        let scope = scope(&json(row));
        let text = snippet(expression);
        let found = Expression::compile(&text, &scope, ExpressionKind::Value, &Limits::default()).unwrap_err();
        let places: Vec<&str> = found
            .iter()
            .map(|error| match &error.place {
                crate::diagnostics::Place::Span(span) => span.text(),
                _ => "",
            })
            .collect();
        let inner = part.trim_start_matches('(').trim_end_matches(')');
        let expected = [part, inner];
        assert!(matches!(places.as_slice(), [place] if expected.contains(place)), "{expression}: {found}");
    }
    for fine in [
        "a / 1",
        "substring(s, 1, 0)",
        "round(a, -2)",
        "max([])",
        "min(a, 1.5)",
        "nothing in [null]",
        "tags == null",
        "null == a",
        "add_days(today(), 300000)",
        "date(now()) == today()",
        "coalesce(null, a)",
    ] {
        assert!(eval(fine, row).is_ok(), "{fine}: {:?}", eval(fine, row));
    }
}

#[test]
fn a_condition_that_is_none_is_one_error_which_says_what_it_is() {
    for (condition, found) in [("a * 2", "integer"), ("name", "text"), ("null", "null"), ("tags", "list of text")] {
        let row = json(r#"{"a":1,"name":"x","tags":["x"]}"#);
        let compiled =
            Expression::compile(&snippet(condition), &scope(&row), ExpressionKind::Condition, &Limits::default());
        let errors = compiled.unwrap_err();
        let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(messages, [format!("a condition is true or false; this is {found}")]);
    }
}

#[test]
fn many_rules_behave_as_few() {
    let mut rules = String::from("rule \"Start\" salience 5 no-loop { when true then n = 0; }\n");
    for i in 0..600 {
        rules.push_str(&format!("rule \"r{i}\" no-loop {{ when n >= {i} then n += 1; }}\n"));
    }
    assert_eq!(facts(&rules, r#"{"a":1}"#), r#"{"n":600}"#);
}

#[test]
fn rules_of_one_salience_fire_as_they_are_written_however_many_they_are() {
    for count in [1, 2, 16, 17, 33, 257, 4_097] {
        for salience in [-3, 0, 3] {
            let rule = |i| format!("rule \"r{i}\" salience {salience} no-loop {{ when row.a > 0 then x{i} = 1; }}\n");
            let rules: String = (0..count).map(rule).collect();
            let fired = decide(&rules, r#"{"a":1}"#, &[]).unwrap().fired;
            assert!(fired.iter().copied().eq(0..count), "{count} rules of salience {salience}: {fired:?}");
        }
    }
}

#[test]
fn rule_files_that_are_wrong_are_refused_all_at_once() {
    let rules = "rule \"A\" { when x > then y = 1; }\nrule \"B\" { when row.a > 0 then y = 1 }\nrule \"B2\" slience 3 { when true then y = 1; }\n";
    let found =
        Ruleset::compile("node", &[snippet(rules)], &scope(&json(r#"{"a":1}"#)), &[], &Limits::default()).unwrap_err();
    let codes: Vec<&str> = found.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes, ["unexpected-word", "missing-semicolon", "unknown-attribute"]);
}

#[test]
fn facts_keep_one_type_and_rows_are_read_only() {
    for (rules, code) in [
        ("rule A no-loop { when true then x = 1; } rule B no-loop { when true then x = \"a\"; }", "type-mismatch"),
        ("rule A no-loop { when true then row.a = 1; }", "read-only"),
        ("rule A no-loop { when true then a = 1; }", "read-only"),
        ("rule A no-loop { when true then x = 1; } rule A no-loop { when true then y = 1; }", "duplicate-rule"),
        ("rule A no-loop { when y > 0 then x = 1; }", "unknown-fact"),
        ("rule A no-loop { when row.a then x = 1; }", "not-a-condition"),
        ("rule A agenda-group \"x\" { when true then x = 1; }", "left-out"),
        ("rule A no-loop { when true then Retract(x); }", "left-out"),
        ("rule A no-loop { when true then x == 1; }", "unexpected-word"),
        ("rule A no-loop { when true then }", "empty-then"),
        ("rule A no-loop { when then x = 1; }", "empty-when"),
        ("", "no-rules"),
        ("// only a comment", "no-rules"),
        ("rule A no-loop { when true then x = 1; } stray", "unexpected-word"),
        ("rule A date-effective \"soon\" { when true then x = 1; }", "bad-date"),
        ("rule A no-loop { when true then x = 1; x.y = 2; }", "group-of-facts"),
    ] {
        let found = Ruleset::compile("node", &[snippet(rules)], &scope(&json(r#"{"a":1}"#)), &[], &Limits::default())
            .unwrap_err();
        assert!(found.iter().any(|diagnostic| diagnostic.code == code), "{rules}: {found}");
    }
}

#[test]
fn starting_and_mapped_facts_are_there_before_the_first_rule() {
    let span = snippet("x").span(0..1);
    let locals = [
        LocalFact::Starting { name: "is_active".into(), value: Value::Boolean(true), span: span.clone() },
        LocalFact::Mapped {
            name: "a".into(),
            source: FactRef { owner: Owner::Node(0), path: ["a".into()].into(), written: "row.a".into() },
            ty: Type::Integer,
            span,
        },
    ];
    let rules = "rule R no-loop { when is_active && a > 1 then b = a + row.a; }";
    let facts = decide(rules, r#"{"a":2}"#, &locals).unwrap().facts.to_string();
    assert_eq!(facts, r#"{"is_active":true,"a":2,"b":4}"#);
}

#[test]
fn dates_limit_when_a_rule_holds() {
    let rules = r#"
        rule Past date-expires "2026-01-01" no-loop { when true then past = 1; }
        rule Now date-effective "2026-01-01" date-expires "2026-12-31T00:00:00Z" no-loop { when true then now_ = 1; }
    "#;
    assert_eq!(facts(rules, r#"{"a":1}"#), r#"{"now_":1}"#);
}

#[test]
fn an_unset_fact_makes_a_condition_unknown_and_not_false() {
    let rules = r"
        rule Wait no-loop { when !done then early = true; }
        rule Or salience 5 no-loop { when done || row.a == 1 then known = true; }
        rule Done salience -1 no-loop { when row.a == 2 then done = true; }
    ";
    assert_eq!(facts(rules, r#"{"a":1}"#), r#"{"known":true}"#);
    assert_eq!(facts(rules, r#"{"a":2}"#), r#"{"known":true,"done":true}"#);
}

#[test]
fn a_column_that_was_not_selected_is_an_error_when_it_is_read() {
    let row = json(r#"{"a":1}"#);
    let mut scope = Scope::new();
    scope.add("row", Owner::Node(0), Type::Map(Shape::unknown().into()));
    let (compiled, _) =
        Expression::compile(&snippet("row.b > 0"), &scope, ExpressionKind::Value, &Limits::default()).unwrap();
    let error = compiled.evaluate(&Rows(row), &clock()).unwrap_err().to_string();
    assert!(error.contains("did not select `row.b`"), "{error}");
    assert_eq!(FieldName::from("row.b"), compiled.reads()[0].written);
}

#[test]
fn a_rule_waits_until_everything_it_assigns_is_known() {
    let rules = "rule Sum salience 9 no-loop { when row.a > 0 then early = 1; x = y + 1; }
                 rule Base no-loop { when row.a > 0 then y = row.a; }
                 rule Never no-loop { when row.a > 0 then half = 1; gone = never; }
                 rule NeverSet no-loop { when never > 0 then never = 1; }";
    assert_eq!(facts(rules, r#"{"a":2}"#), r#"{"early":1,"x":3,"y":2}"#);
    let log = decide(
        "rule Say no-loop { when row.a > 0 then Log(\"a is\", row.a, later); }
                      rule Later no-loop { when row.a > 9 then later = 1; }",
        r#"{"a":2}"#,
        &[],
    );
    assert_eq!(log.unwrap().log, ["a is 2 (unset)"]);
}

#[test]
fn a_rule_that_errs_halfway_has_done_nothing() {
    let rules = "rule Half no-loop { when row.a > 0 then Log(\"begun\"); x = 1; x = 1 / (row.a - 2); }";
    assert!(facts(rules, r#"{"a":2}"#).contains("division by zero"));
    assert_eq!(facts(rules, r#"{"a":4}"#), r#"{"x":0.5}"#);
}

#[test]
fn a_condition_without_rules_is_a_node_whose_fact_is_its_result() {
    let result = |condition: &str, row: &str, locals: &[LocalFact]| {
        let row = json(row);
        let compiled = Ruleset::from_condition("node", &snippet(condition), &scope(&row), locals, &Limits::default());
        let (ruleset, _) = compiled.map_err(|found| found.to_string())?;
        let rows = Rows(row);
        let reads: Vec<Lookup> = ruleset.reads().iter().map(|fact| rows.read(fact)).collect();
        let mut engine = Engine::new(Arc::new(ruleset), &Limits::default()).unwrap();
        let evaluation = engine.evaluate(&reads, &clock(), Deadline::after(Duration::from_secs(5)));
        evaluation.map(|evaluation| evaluation.facts.to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(result("a > 1", r#"{"a":2}"#, &[]), Ok(r#"{"result":true}"#.to_owned()));
    assert_eq!(result("a > 1", r#"{"a":1}"#, &[]), Ok(r#"{"result":false}"#.to_owned()));
    assert!(result("a && true", r#"{"a":null}"#, &[]).unwrap_err().contains("`row.a` is null"));
    assert_eq!(result("a + 1", r#"{"a":1}"#, &[]), Ok(r#"{"result":2}"#.to_owned()));
    assert_eq!(result("a", r#"{"a":null}"#, &[]), Ok(r#"{"result":null}"#.to_owned()));
}

#[test]
fn a_mapped_column_is_read_only_and_a_starting_fact_is_not() {
    let span = snippet("x").span(0..1);
    let source = FactRef { owner: Owner::Node(0), path: ["a".into()].into(), written: "row.a".into() };
    let locals = [
        LocalFact::Mapped { name: "a".into(), source: source.clone(), ty: Type::Integer, span: span.clone() },
        LocalFact::Mapped { name: "other".into(), source, ty: Type::Integer, span: span.clone() },
        LocalFact::Starting { name: "count".into(), value: Value::Integer(1), span },
    ];
    let run = |then: &str| decide(&format!("rule R no-loop {{ when a > 0 then {then} }}"), r#"{"a":2}"#, &locals);
    assert!(run("a = 3;").unwrap_err().contains("read-only"));
    let facts = run("count += a; other = a + 1;").unwrap().facts.to_string();
    assert_eq!(facts, r#"{"a":2,"other":3,"count":3}"#);
}

#[test]
fn time_that_is_up_stops_an_expression() {
    let row = json(r#"{"a":2}"#);
    let limits = Limits { max_evaluation: Duration::ZERO, ..Limits::default() };
    let long = vec!["a"; 1_000].join(" + ");
    let (compiled, _) = Expression::compile(&snippet(&long), &scope(&row), ExpressionKind::Value, &limits).unwrap();
    let error = compiled.evaluate(&Rows(row), &clock()).unwrap_err();
    assert_eq!(error.kind, EvalErrorKind::OutOfTime);
}
