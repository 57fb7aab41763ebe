//! Requests of nodes that ask a REST interface: what is sent for which facts, and which rows an answer holds.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tributary::graph::{Flow, Method, OnError, QueryNode, Rendered, Request, Rows, Unfit, Work};
use tributary::types::Value;

use crate::reading::{here, read};

fn accepted() -> Flow {
    let directory = here().join("accepted");
    let text = std::fs::read_to_string(directory.join("requests.yaml")).expect("readable");
    read(&directory, "requests.yaml", &text).unwrap_or_else(|found| panic!("{found}")).0
}

fn node<'f>(flow: &'f Flow, name: &str) -> &'f QueryNode {
    let node = flow.nodes.iter().find(|node| node.id.as_str() == name).expect("a node");
    let Work::Query(query) = &node.work else { panic!("{name} asks nothing") };
    query
}

fn request(query: &QueryNode) -> &Request {
    query.query.request().expect("a request")
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}

/// A flow whose node `a` has these keys, with the inputs `x` and `xs`.
fn flow(keys: &str) -> Flow {
    let text = format!(
        "flow: f\ninput: {{ x: {{ type: text, required: false }}, xs: {{ type: list of text, required: false }} }}\n\
         nodes:\n  a: {{ type: DBNode, database: a_db, {keys}, columns: {{ n: integer }} }}\n\
         outcomes:\n  - {{ status: done, when: input.x == null || input.xs == null || a.n > 0 }}\n"
    );
    read(here(), "graph.yaml", &text).unwrap_or_else(|found| panic!("{found}")).0
}

fn render(keys: &str, params: &[Value]) -> Result<Rendered, Unfit> {
    request(node(&flow(keys), "a")).render(params)
}

#[test]
fn requests_are_parts_of_the_plan() {
    let flow = accepted();
    let (customer, prices, score) = (node(&flow, "customer"), node(&flow, "prices"), node(&flow, "score"));
    let names = |query: &QueryNode| query.params.iter().map(|fact| fact.written.to_string()).collect::<Vec<_>>();
    assert_eq!(names(customer), ["input.customer_id", "input.day"]);
    assert_eq!(names(prices), ["input.skus", "customer.group"]);
    assert_eq!(
        names(score),
        ["input.customer_id", "customer.name", "input.skus", "prices.price", "input.limit", "input.day"]
    );
    let types = |query: &QueryNode| query.columns.fields.iter().map(|field| field.ty.to_string()).collect::<Vec<_>>();
    assert_eq!(types(prices), ["text", "decimal", "list of text", "any"]);
    assert_eq!((prices.rows, prices.query.max_rows(), score.query.max_rows()), (Rows::Many, 3, 1));
    assert_eq!([customer, prices, score].map(|query| query.query.is_idempotent()), [true, true, false]);
    assert_eq!(
        customer.query.text(),
        "GET /v1/customers/{customer_id}/of {{all}}?as_of={input.day}&fields=name,group&flag\n\
         Accept-Language: en\nX-Customer: id {customer_id}"
    );
    assert!(score.query.text().starts_with("POST /scores\n\n{\"customer\": {\"id\": input.customer_id, "));
    let depends_on: Vec<usize> = flow.nodes.iter().map(|node| node.depends_on.len()).collect();
    assert_eq!(depends_on, [0, 1, 2], "facts in paths and bodies make the order");
}

#[test]
fn the_example_of_the_documentation_compiles_without_a_warning_and_its_default_has_the_declared_types() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("config/README.md")).expect("readable");
    let example = text.split("```yaml\n").find(|block| block.starts_with("flow: credit")).expect("an example");
    let example = example.split("```").next().expect("an end");
    let (flow, warnings) = read(root, "graph.yaml", example).unwrap_or_else(|found| panic!("{found}"));
    assert!(warnings.is_empty(), "{warnings}");
    let OnError::Default { value, .. } = &node(&flow, "score").on_error else { panic!("no default") };
    assert_eq!(
        value.at(["limit"]).map(|limit| (limit.type_name(), limit.to_string())),
        Some(("decimal", "0.00".to_owned()))
    );
}

#[test]
fn a_default_has_the_types_of_the_columns() {
    let keys = "get: /a, rows: optional, on_error: { default: { n: 7.0 } }";
    let OnError::Default { value, .. } = node(&flow(keys), "a").on_error.clone() else { panic!("no default") };
    assert_eq!(value.at(["n"]).map(|n| n.type_name()), Some("integer"));
}

#[test]
fn status_404_of_a_get_means_no_row_unless_the_node_says_otherwise() {
    for (keys, status, finds_nothing) in [
        ("get: /a", 404, true),
        ("get: /a", 410, false),
        ("get: /a, not_found: no_row", 404, true),
        ("get: /a, not_found: error", 404, false),
        ("post: /a", 404, false),
    ] {
        assert_eq!(request(node(&flow(keys), "a")).finds_nothing(status), finds_nothing, "{keys} {status}");
    }
}

#[test]
fn facts_are_encoded_for_their_place() {
    let flow = accepted();
    let customer = request(node(&flow, "customer")).render(&[Value::text("C 1/ö"), value("\"2026-01-31\"")]);
    assert_eq!(
        customer.map_err(|unfit| unfit.to_string()),
        Err("parameter $1 takes a value of visible ASCII in a header, not text with other characters".to_owned())
    );
    let day = Value::Date("2026-01-31".parse().expect("a day"));
    let customer = request(node(&flow, "customer")).render(&[Value::text("C 1/?#&%"), day.clone()]).expect("rendered");
    assert_eq!(
        customer.target,
        "/v1/customers/C%201%2F%3F%23%26%25/of%20%7Ball%7D?as_of=2026-01-31&fields=name,group&flag"
    );
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(customer.headers, [header("Accept-Language", "en"), header("X-Customer", "id C 1/?#&%")]);
    assert_eq!((customer.method, customer.body), (Method::Get, None));

    let prices = request(node(&flow, "prices")).render(&[value(r#"["A&B","C"]"#), Value::text("")]).expect("rendered");
    assert_eq!(prices.target, "/prices?sku=A%26B&sku=C&group=");

    let limit = value("12345678901234567890.1230");
    let score = request(node(&flow, "score"))
        .render(&[Value::text("\"C\n"), Value::Null, value(r#"["A"]"#), value("[1.50,2]"), limit, day])
        .expect("rendered");
    assert_eq!(
        score.body.as_deref(),
        Some(
            r#"{"customer":{"id":"\"C\n","name":null},"skus":["A"],"prices":[1.50,2],"limit":12345678901234567890.1230,"day":"2026-01-31","source":"tributary","options":[1.50,true,null,"null"]}"#
        )
    );
    assert_eq!((score.method, score.target.as_str()), (Method::Post, "/scores"));
}

#[test]
fn values_of_each_type_keep_their_digits_in_a_path() {
    let moment = Value::Timestamp("2026-01-31T06:00:00.000001Z".parse().expect("a moment"));
    for (param, target) in [
        (value("12345678901234567890.1230"), "/a/12345678901234567890.1230"),
        (value("-7"), "/a/-7"),
        (value("true"), "/a/true"),
        (moment, "/a/2026-01-31T06%3A00%3A00.000001Z"),
        (Value::text("..."), "/a/..."),
        (Value::text("%2e%2e"), "/a/%252e%252e"),
    ] {
        assert_eq!(render("get: '/a/{x}'", &[param]).expect("rendered").target, target);
    }
}

#[test]
fn a_fact_that_its_place_cannot_hold_is_refused_and_not_repeated() {
    for (keys, param, expected) in [
        ("get: '/a/{x}'", "null", "a value in the path, not null"),
        ("get: '/a/{x}'", r#"["secret"]"#, "a value in the path, not a list"),
        ("get: '/a/{x}'", r#"{"secret":1}"#, "a value in the path, not a map"),
        ("get: '/a/{x}'", r#""""#, "a name in the path, not empty text, `.` or `..`"),
        ("get: '/a/{x}/b'", r#""..""#, "a name in the path, not empty text, `.` or `..`"),
        ("get: '/a/.{x}/b'", r#"".""#, "a name in the path, not empty text, `.` or `..`"),
        ("get: '/a/%2E{x}/b'", r#"".""#, "a name in the path, not empty text, `.` or `..`"),
        ("get: '/a/{x}/b'", r#""secret/../b""#, "a name in the path, not empty text, `.` or `..`"),
        ("get: '/a/{x}/b'", r#""secret\\..""#, "a name in the path, not empty text, `.` or `..`"),
        ("get: '/a?b={x}'", "null", "a value in the query, not null"),
        ("get: '/a?b={x}'", "[]", "a value in the query, not an empty list"),
        ("get: '/a?b={x}'", r#"["secret", null]"#, "a value in the query, not null"),
        ("get: '/a?b={x}'", r#"["secret", []]"#, "a value in the query, not a list"),
        ("get: '/a?b={x}c'", r#"["secret"]"#, "a value in the query, not a list"),
        ("get: /a, headers: { b: '{x}' }", "null", "a value of visible ASCII in a header, not null"),
        ("get: /a, headers: { b: '{x}' }", r#"["secret"]"#, "a value of visible ASCII in a header, not a list"),
        (
            "get: /a, headers: { b: '{x}' }",
            r#""secret\r\nc: d""#,
            "a value of visible ASCII in a header, not text with other characters",
        ),
        (
            "get: /a, headers: { b: '{x}' }",
            r#""secret ""#,
            "a value of visible ASCII in a header, not text that begins or ends with a space",
        ),
    ] {
        let unfit = render(keys, &[value(param)]).expect_err(param);
        assert_eq!(unfit.to_string(), format!("parameter $1 takes {expected}"), "{keys} {param}");
    }
    assert_eq!(render("get: '/a/{x}'", &[]).expect_err("nothing").found, "nothing");
}

proptest! {
    #[test]
    fn any_text_comes_back_equal_and_adds_no_segment_parameter_or_header(text in any::<String>(), other in any::<String>()) {
        let rendered = render("get: '/a/b{x}/c?d={x}&e={x}-f', headers: { g: 'h{x}' }", &[Value::text(&text)]);
        let is_visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !text.ends_with(' ');
        let leads_elsewhere = format!("b{text}").split(['/', '\\']).any(|part| part == "." || part == "..");
        prop_assert_eq!(rendered.is_ok(), is_visible && !leads_elsewhere);
        let sent = render("post: '/a/b{x}/c?d={x}&e={x}-f', body: { g: x, h: [x] }", &[Value::text(&text)]);
        if let Ok(Rendered { target, body, .. }) = sent {
            prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
            let (path, query) = target.split_once('?').expect("a query");
            let decoded = |part: &str| percent_decode_str(part).decode_utf8().expect("text").into_owned();
            let segments: Vec<String> = path.split('/').map(decoded).collect();
            prop_assert_eq!(segments, ["", "a", &format!("b{text}"), "c"]);
            let pairs: Vec<String> = query.split('&').map(decoded).collect();
            prop_assert_eq!(pairs, [format!("d={text}"), format!("e={text}-f")]);
            let body: Json = serde_json::from_str(&body.expect("a body")).expect("JSON");
            prop_assert_eq!(body, json!({ "g": text, "h": [text] }));
        } else {
            prop_assert!(leads_elsewhere);
        }
        let lists = render("get: '/a?b={xs}&c={x}'", &[value(&json!([text, other]).to_string()), Value::text(&other)]);
        let target = lists.expect("rendered").target;
        let decoded = |part: &str| percent_decode_str(part).decode_utf8().expect("text").into_owned();
        let pairs: Vec<String> = target.split_once('?').expect("a query").1.split('&').map(decoded).collect();
        prop_assert_eq!(pairs, [format!("b={text}"), format!("b={other}"), format!("c={other}")]);
    }

    #[test]
    fn no_answer_is_a_panic_and_what_is_read_has_the_declared_types(answer in any::<Vec<u8>>(), text in any::<String>()) {
        let flow = accepted();
        for name in ["customer", "prices", "score"] {
            let request = request(node(&flow, name));
            prop_assert!(request.rows(&answer).is_err() || serde_json::from_slice::<Json>(&answer).is_ok());
            let answer = json!([{ "sku": text, "price": { "amount": text }, "tags": [text], "more": { &text: text } }]);
            if let Err(misfit) = request.rows(answer.to_string().as_bytes()) {
                prop_assert!(text.chars().count() < 8 || !misfit.to_string().contains(&text), "{misfit}");
            }
        }
    }
}

/// The rows of an answer as JSON, or the error.
fn rows(name: &str, answer: &str) -> Result<String, String> {
    let flow = accepted();
    let rows = request(node(&flow, name)).rows(answer.as_bytes()).map_err(|misfit| misfit.to_string())?;
    if let [Value::Map(first), Value::Map(second), ..] = rows.as_slice() {
        assert!(Arc::ptr_eq(first.names(), second.names()), "the names are shared");
    }
    Ok(serde_json::to_string(&rows).expect("JSON"))
}

#[test]
fn rows_are_read_as_declared() {
    for (name, answer, expected) in [
        (
            "customer",
            r#"{"data":{"customer":{"name":"A","group":{"code":"x"},"since":"2026-01-31","more":1}}}"#,
            r#"[{"name":"A","group":"x","since":"2026-01-31"}]"#,
        ),
        (
            "customer",
            r#"{"data":{"customer":[{"name":"A","since":"2026-01-31"}]}}"#,
            r#"[{"name":"A","group":null,"since":"2026-01-31"}]"#,
        ),
        (
            "customer",
            r#"{"data":{"customer":{"name":"A","since":"2026-01-31","group":null}}}"#,
            r#"[{"name":"A","group":null,"since":"2026-01-31"}]"#,
        ),
        (
            "customer",
            r#"{"data":{"customer":{"name":"A","since":"2026-01-31","group":{"code":null}}}}"#,
            r#"[{"name":"A","group":null,"since":"2026-01-31"}]"#,
        ),
        ("customer", r#"{"data":{"customer":null}}"#, "[]"),
        ("customer", r#"{"data":{"customer":[]}}"#, "[]"),
        ("score", "null", "[]"),
        (
            "score",
            "\u{feff} {\"score\":\"7\",\"checked_at\":\"2026-01-31T08:00:00+02:00\"}\n",
            r#"[{"score":7,"checked_at":"2026-01-31T06:00:00Z"}]"#,
        ),
        ("prices", "[]", "[]"),
        ("prices", "null", "[]"),
        (
            "prices",
            r#"[{"sku":"A","price":{"amount":1.50},"tags":[],"more":false,"x":{"a":1,"a":2}},
                {"sku":"B","price":{"amount":"12345678901234567890.10"},"tags":["t"],"more":{"a":[1.0,null]}}]"#,
            r#"[{"sku":"A","price":1.50,"tags":[],"more":false},{"sku":"B","price":12345678901234567890.10,"tags":["t"],"more":{"a":[1.0,null]}}]"#,
        ),
    ] {
        assert_eq!(rows(name, answer), Ok(expected.to_owned()), "{name} {answer}");
    }
}

#[test]
fn one_row_more_than_the_node_takes_is_read_and_no_further_one() {
    let row = r#"{"sku":"A","price":{"amount":1},"tags":[],"more":0}"#;
    let flow = accepted();
    let prices = request(node(&flow, "prices"));
    for (count, read) in [(3, 3), (4, 4), (5, 4), (1000, 4)] {
        let answer = format!("[{}]", vec![row; count].join(","));
        assert_eq!(prices.rows(answer.as_bytes()).expect("rows").len(), read);
    }
    let score = r#"{"score":1,"checked_at":"2026-01-31T00:00:00Z"}"#;
    let scores = request(node(&flow, "score")).rows(format!("[{score},{score},{score}]").as_bytes());
    assert_eq!(scores.expect("rows").len(), 2);
}

#[test]
fn a_surprise_is_an_error_with_its_place_and_never_a_null_or_a_value() {
    let price = |more: &str| format!(r#"[{{"sku":"A","price":{{"amount":1}},"tags":[],"more":0}},{more}]"#);
    for (name, answer, expected) in [
        ("score", "", "/: is empty, not JSON"),
        ("score", " \n", "/: is empty, not JSON"),
        ("score", "<!DOCTYPE html><p>secret", "/: is HTML or XML, not JSON"),
        ("score", "secret", "/: is not JSON: expected value at line 1 column 1"),
        ("score", "{\"score\":1", "/: is not JSON: EOF while parsing an object at line 1 column 10"),
        ("score", "{\"score\":1}}", "/: is not JSON: trailing characters at line 1 column 12"),
        ("score", "{} {}", "/: is not JSON: trailing characters at line 1 column 4"),
        ("score", "\"secret\"", "/: must be an object or a list of objects, not text"),
        ("score", "7", "/: must be an object or a list of objects, not a number"),
        ("score", "{}", "/score: is absent"),
        ("score", "[[]]", "/0: must be an object, not a list"),
        ("score", "[null]", "/0: must be an object, not null"),
        ("score", r#"{"score":null}"#, "/score: must not be null"),
        ("score", r#"{"score":"secret"}"#, "/score: must be of type integer, not text that is not a number"),
        ("score", r#"{"score":1e400}"#, "/score: must be of type integer, not a number that is not whole or too large"),
        (
            "score",
            r#"{"score":{"$serde_json::private::Number":"1"}}"#,
            "/score: must be of type integer, not an object",
        ),
        ("score", r#"{"score":1,"score":2}"#, "/: has two members `score`"),
        ("score", r#"{"score":1,"\u0073core":2}"#, "/: has two members `score`"),
        ("score", r#"{"score":1,"checked_at":"\ud800"}"#, "/checked_at: cannot be read: unexpected end of hex escape"),
        ("score", r#"{"score":1,"checked_at":"2026-01-31"}"#, ""),
        ("customer", "[]", "/: must be an object, not a list"),
        ("customer", "{}", "/data: is absent"),
        ("customer", r#"{"data":null}"#, "/data: must be an object, not null"),
        ("customer", r#"{"data":{}}"#, "/data/customer: is absent"),
        ("customer", r#"{"data":{},"data":{}}"#, "/: has two members `data`"),
        ("customer", r#"{"data":{"customer":1,"customer":2}}"#, "/data: has two members `customer`"),
        (
            "customer",
            r#"{"data":{"customer":false}}"#,
            "/data/customer: must be an object or a list of objects, not true or false",
        ),
        (
            "customer",
            r#"{"data":{"customer":{"name":"A","group":"secret"}}}"#,
            "/data/customer/group: must be an object, not text",
        ),
        (
            "customer",
            r#"{"data":{"customer":{"name":"A","group":{"code":1,"code":2}}}}"#,
            "/data/customer/group: has two members `code`",
        ),
        ("customer", r#"{"data":{"customer":{"name":7}}}"#, "/data/customer/name: must be of type text, not a number"),
        ("prices", "{}", "/: must be a list of objects, not an object"),
        ("prices", &price("7"), "/1: must be an object, not a number"),
        ("prices", &price(r#"{"sku":"B"}"#), "/1/price: is absent"),
        ("prices", &price(r#"{"sku":"B","price":{}}"#), "/1/price/amount: is absent"),
        ("prices", &price(r#"{"sku":"B","price":null}"#), "/1/price: must not be null"),
        (
            "prices",
            &price(r#"{"sku":"B","price":{"amount":true}}"#),
            "/1/price/amount: must be of type decimal, not true or false",
        ),
        (
            "prices",
            &price(r#"{"sku":"B","price":{"amount":1},"tags":["secret",null]}"#),
            "/1/tags: must be of type list of text, without null",
        ),
        (
            "prices",
            &price(r#"{"sku":"B","price":{"amount":1},"tags":[7]}"#),
            "/1/tags: must be of type list of text, not a list with a number",
        ),
        (
            "prices",
            &price(r#"{"sku":"B","price":{"amount":1},"tags":[],"more":[{"secret":1,"secret":2}]}"#),
            "/1/more: has an object with two members of one name",
        ),
        (
            "prices",
            &price(&format!(
                r#"{{"sku":"B","price":{{"amount":1}},"tags":[],"more":{}}}"#,
                "[".repeat(200) + &"]".repeat(200)
            )),
            "/1/more: cannot be read: recursion limit exceeded",
        ),
    ] {
        let error = rows(name, answer).expect_err(answer);
        assert!(!error.contains("secret"), "{error}");
        if expected.is_empty() {
            assert!(error.starts_with("/checked_at: must be of type timestamp, not "), "{error}");
        } else {
            assert_eq!(error, expected, "{name} {answer}");
        }
    }
    let flow = accepted();
    let broken = request(node(&flow, "score")).rows(b"{\"score\":\"\xff\"}").expect_err("no text");
    assert_eq!(broken.to_string(), "/: is not JSON: invalid UTF-8");
}
