//! What is read, what is refused and where, and the places of snippets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::diagnostics::{Diagnostics, Place, Source};

fn read(text: &str) -> Result<Marked, Diagnostics> {
    parse(&Source::new("f.yaml", text), Limits::default())
}

fn read_ok(text: &str) -> Marked {
    read(text).unwrap_or_else(|diagnostics| panic!("{text:?}\n{diagnostics}"))
}

/// The tree in one line.
fn show(node: &Marked) -> String {
    match node.kind() {
        Kind::Scalar(scalar) => match scalar.kind() {
            ScalarKind::Text => format!("{:?}", scalar.text()),
            ScalarKind::Null => "null".to_owned(),
            _ => scalar.text().to_owned(),
        },
        Kind::Sequence(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Kind::Mapping(entries) => {
            let entry = |entry: &Entry| format!("{}: {}", entry.key(), show(entry.value()));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Each error as `code line:column [text it points at] message`.
fn errors(diagnostics: &Diagnostics) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics.iter() {
        let place = match &diagnostic.place {
            Place::Span(span) => {
                let position = span.position();
                format!("{}:{} [{}]", position.line, position.column, span.text())
            }
            place => format!("{place:?}"),
        };
        writeln!(text, "{} {place} {}", diagnostic.code, diagnostic.message).unwrap();
    }
    text
}

#[test]
fn documents_are_read_as_yaml_1_2_says() {
    for (text, tree) in [
        ("", "null"),
        ("# only a comment\n", "null"),
        ("---\n", "null"),
        ("a: 1\n", "{a: 1}"),
        ("\u{feff}a: 1\r\nb: [x, 'y']\r\n", "{a: 1, b: [\"x\", \"y\"]}"),
        ("no: on\nyes: off\n", "{no: \"on\", yes: \"off\"}"),
        ("a:\nb: ~\n", "{a: null, b: null}"),
        ("a: {b: , c}\n", "{a: {b: null, c: null}}"),
        ("a: !!str 5\nb: !!int 5\nc: ! 5\nd: !!seq [1]\n", "{a: \"5\", b: 5, c: \"5\", d: [1]}"),
        ("- |\n  a\n   b\n\n- >-\n  a\n  b\n", "[\"a\\n b\\n\", \"a b\"]"),
        ("a: &x {k: 1}\nb: *x\nc: [*x, *x]\n", "{a: {k: 1}, b: {k: 1}, c: [{k: 1}, {k: 1}]}"),
        ("a: &x {k: 1, l: 2}\nb: {l: 3, <<: *x}\n", "{a: {k: 1, l: 2}, b: {l: 3, k: 1}}"),
        ("a: &x {k: 1}\nb: &y {k: 2, m: 4}\nc: {<<: [*x, *y]}\n", "{a: {k: 1}, b: {k: 2, m: 4}, c: {k: 1, m: 4}}"),
        ("a: {\"<<\": 1}\n", "{a: {<<: 1}}"),
        ("%YAML 1.2\n---\na: 1\n...\n", "{a: 1}"),
        ("a: 0.10\nb: 1e3\nc: 0x1F\n", "{a: 0.10, b: 1e3, c: 0x1F}"),
        ("größe: \"ü\\u00e9😀\"\n", "{größe: \"üé😀\"}"),
        ("? a\n: b\n", "{a: \"b\"}"),
    ] {
        assert_eq!(show(&read_ok(text)), tree, "{text:?}");
    }
}

#[test]
fn every_error_of_a_document_has_its_place() {
    let cases = [
        "a: 1\na: 2\n",
        "nodes:\n  x: {k: 1, k: 2, k: 3}\n  y: 1\n  x: 2\n",
        "a: b: c\n",
        "a:\n\tb: 1\n",
        "a: [1, 2\n",
        "a: {b: 1\n",
        "a: \"x\n",
        "a: *x\n",
        "a: &x [*x]\n",
        "a: @x\n",
        "größe: \"\\q\"\n",
        " a: 1\nb: 1\n",
        "a: 1\n---\nb: 2\n",
        "1: x\n",
        "true: x\n~: y\n",
        "[a]: x\n{b: 1}: y\n",
        "a: !color red\nb: !!int x\nc: !!set {}\nd: !!seq {}\n",
        "a: .inf\nb: [-.INF, .nan]\n",
        "a: {<<: 1}\nb: {<<: [1]}\n",
        "a: x\u{1}y\n",
        "a: x\u{0}y\n",
        "\u{feff}größe: 1\r\ngröße: 2\r\n",
    ];
    let mut text = String::new();
    for case in cases {
        let diagnostics = read(case).expect_err(case);
        writeln!(text, "{case:?}\n{}", errors(&diagnostics)).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_duplicate_key_shows_both_places() {
    let diagnostics = read("nodes:\n  a: 1\n  b: 2\n  a: 3\n").unwrap_err();
    insta::assert_snapshot!(diagnostics);
}

#[test]
fn limits_are_errors_that_name_them() {
    let bomb = (1..20).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        text + &format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1)
    });
    let deep_alias = (1..70).fold("a0: &a0 [x]\n".to_owned(), |text, n| text + &format!("a{n}: &a{n} [*a{}]\n", n - 1));
    for (text, code) in [
        (bomb, "too-many-nodes"),
        ("- x\n".repeat(100_001), "too-many-nodes"),
        ("[".repeat(100_000), "too-deep"),
        ("- ".repeat(100_000), "too-deep"),
        ("{a: ".repeat(65), "too-deep"),
        (deep_alias, "too-deep"),
        ("x".repeat(1024 * 1024 + 1), "file-too-large"),
    ] {
        let diagnostics = read(&text).unwrap_err();
        assert_eq!(diagnostics.iter().next().map(|diagnostic| diagnostic.code), Some(code));
    }
    let fits = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert!(read(&fits).is_ok());
}

#[test]
fn nodes_have_their_places_in_the_file() {
    let root = read_ok(
        "\u{feff}größe: 7\r\nlist:\r\n  - &x {a: \"ü\"}\r\n  - *x\r\nempty:\r\nblock: |\r\n  one\r\n  two\r\n\r\nend: x\r\n",
    );
    let at = |node: &Marked| format!("{} [{}]", node.span(), node.span().text());
    assert_eq!(at(root.get("größe").unwrap()), "f.yaml:1:9 [7]");
    assert_eq!(root.entry("größe").unwrap().key_span().text(), "größe");
    let list = root.get("list").unwrap();
    assert_eq!(at(list.items()[0].get("a").unwrap()), "f.yaml:3:12 [\"ü\"]");
    assert_eq!(at(&list.items()[0]), "f.yaml:3:8 [{a: \"ü\"}]");
    assert_eq!(list.items()[1], list.items()[0]);
    assert_eq!(list.span().text().lines().next(), Some("- &x {a: \"ü\"}"));
    assert_eq!(at(root.get("empty").unwrap()), "f.yaml:5:1 [empty]");
    assert_eq!(at(root.get("block").unwrap()), "f.yaml:7:3 [one\r\n  two]");
    assert_eq!(root.head().text(), "größe");
}

#[test]
fn snippets_lead_back_through_quotes_escapes_folding_and_indentation() {
    for (text, needle) in [
        ("when: a && bb == 1\n", "bb"),
        ("when: a &&\n    bb == 1\n", "bb"),
        ("when: 'it''s' # bb\nx: 1\n", "s"),
        ("when: 'a ''x'' && bb'\n", "bb"),
        ("when: 'a\n\n\n  && bb'\n", "bb"),
        ("when: \"a \\\"x\\\" \\u00e9 \\x41 && bb\"\n", "bb"),
        ("when: \"a \\\n    && bb\"\n", "bb"),
        ("when: \"a  \n\n   && bb\"\n", "bb"),
        ("when: |\n  a &&\n    bb\n  c\n", "bb"),
        ("when: |-\n\n  größe &&\n\n  bb\nx: 1\n", "bb"),
        ("when: |2\n    a &&\n  bb\n", "bb"),
        ("when: >\n  a &&\n  bb\n\n    more\n", "bb"),
        ("when: >-\r\n  größe\r\n  && x\r\n  && bb\r\n", "bb"),
        ("when: !!str |\n  !a && bb\n", "bb"),
        ("when: &w 'x && bb'\n", "bb"),
        ("when: &w\n  x && bb\n", "bb"),
        ("\u{feff}ö: 1\nwhen: \"ö\\tö && bb\"\n", "bb"),
    ] {
        let node = read_ok(text).get("when").unwrap().clone();
        let snippet = node.snippet().unwrap();
        let at = snippet.text().find(needle).unwrap();
        let span = snippet.span(at..at + needle.len());
        assert_eq!(span.text(), needle, "{text:?} reads {:?}", snippet.text());
        let expected = text.rfind(needle).unwrap();
        assert!(needle == "s" || span.range().start == expected, "{text:?}");
    }
}

proptest! {
    /// Whatever the style, each visible character of a snippet that is written as itself points at itself.
    #[test]
    fn every_visible_character_points_at_itself(
        lines in prop::collection::vec("[a-c&é]([a-c&é !']{0,6}[a-c&é])?", 1..5),
        blank in 0usize..3,
        style in 0usize..5,
    ) {
        let indent = format!("\n{}   ", "\n".repeat(blank));
        let written = match style {
            0 => format!("z{}", lines.join(&indent)),
            1 => format!("'{}'", lines.join(&indent).replace('\'', "''")),
            2 => format!("\"{}\"", lines.join(&indent).replace('é', "\\u00e9")),
            3 => format!("|\n   {}", lines.join(&indent)),
            _ => format!(">\n   {}", lines.join(&indent)),
        };
        let file = format!("- x\n- {written}\n- y\n");
        let root = read(&file).map_err(|diagnostics| TestCaseError::fail(diagnostics.to_string()))?;
        let snippet = root.items()[1].snippet().unwrap();
        for (at, c) in snippet.text().char_indices().filter(|(_, c)| !c.is_whitespace()) {
            let span = snippet.span(at..at + c.len_utf8());
            let points_at = match (style, c) {
                (2, 'é') => continue,
                (1, '\'') => "'",
                _ => &c.to_string(),
            };
            prop_assert_eq!(span.text(), points_at, "{:?} at {} of {:?}", file, at, snippet.text());
        }
    }

    /// Whatever the text, reading it ends, and every error has a place.
    #[test]
    fn every_text_is_read_or_refused(text in "([ab:\\-\\[\\]{}&*!|>'\"#%@\n\t ,?~<é]|: |- |\r\n){0,60}") {
        if let Err(diagnostics) = read(&text) {
            prop_assert!(diagnostics.has_errors());
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
struct Server {
    host: String,
    port: u16,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    weights: Vec<f64>,
    pool: Option<Pool>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq, Default)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Pretty,
    Json,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
struct Pool {
    min: u32,
    max: u32,
    #[schemars(extend("format" = "time-zone"))]
    zone: Option<String>,
}

type Servers = BTreeMap<String, Server>;

#[test]
fn a_good_file_becomes_a_typed_value() {
    let root = read_ok("a: {host: h, port: 80, mode: json, weights: [0.5, 1], pool: {min: 1, max: 2}}\n");
    let mut diagnostics = Diagnostics::new();
    let servers: Servers = deserialize(&root, &mut diagnostics).unwrap();
    assert!(diagnostics.is_empty());
    let pool = Some(Pool { min: 1, max: 2, zone: None });
    let expected = Server { host: "h".into(), port: 80, mode: Mode::Json, weights: vec![0.5, 1.0], pool };
    assert_eq!(servers["a"], expected);
}

#[test]
fn all_errors_of_a_section_come_at_once() {
    let cases = [
        "a: {hots: h, port: 80, mode: jsno}\n",
        "a:\n  host: 5\n  port: eighty\n  weights: [1, x, 2, y]\n  pool: {min: -1, max: 4294967296, zone: Mars}\nb:\n  port: 70000\n",
        "a: 1\nb: []\nc: text\nd:\n",
        "pool: {host: h, port: 1, pool: {pool: 1, min: 1, max: 1}}\n",
        "a: {host: h, port: 1, host_name: x, zzz: 1}\nb: {host: yes, port: 0x50, mode: true, pool: [1]}\n",
        "- a\n",
        "base: &base {host: h, prot: 1}\nother: {<<: *base, port: 2}\n",
    ];
    let mut text = String::new();
    for case in cases {
        let mut diagnostics = Diagnostics::new();
        assert_eq!(deserialize::<Servers>(&read_ok(case), &mut diagnostics), None, "{case}");
        diagnostics.sort();
        writeln!(text, "{case}{diagnostics}\n").unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn replaced_texts_are_resolved_again() {
    let root = read_ok("a: ${PORT}\nb: '${PORT}'\nc: [x, 5]\n");
    let replaced = root.map_text(&mut |_, text| (text == "${PORT}").then(|| "80".to_owned()));
    assert_eq!(show(&replaced), "{a: 80, b: \"80\", c: [\"x\", 5]}");
    assert_eq!(replaced.get("a").unwrap().span().text(), "${PORT}");
}
