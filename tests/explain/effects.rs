//! Flow tests of effects: which one, what its statements are given, whether it waits for an approval.

use crate::support;

const GRAPH: &str = r#"
flow: transfer
input: { account: { type: text }, amount: { type: decimal } }
nodes:
  check: { type: RuleNode, rules: r.grl }
effects:
  book:
    database: bank_db
    statements:
      - query: "INSERT INTO transfers (account, amount) VALUES ($1, $2) RETURNING id"
        params: [input.account, check.fee + input.amount]
      - { query: "UPDATE accounts SET last = $1 WHERE account = $2", params: [book.id, input.account] }
    event: { type: transfer.booked, key: input.account }
outcomes:
  - { status: booked, when: check.ok, effect: book, approval: input.amount > 100, body: { id: book.id } }
  - { status: refused, when: check.ok == false }
"#;

const RULES: &str = r#"rule "Fee" no-loop { when true then fee = 0.50; ok = input.amount > 0; }"#;

fn tested(tests: &str) -> (i32, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let files = [("g.yaml", GRAPH), ("r.grl", RULES), ("f.test.yaml", &format!("graph: g.yaml\ntests:\n{tests}"))];
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect("written");
    }
    support::run(directory.path(), &[], &["test", "f.test.yaml"])
}

#[test]
fn a_flow_test_expects_an_effect_its_parameters_and_its_approval() {
    let (code, text, errors) = tested(
        "
  - name: booked
    input: { account: A, amount: 10 }
    expect: { status: booked, effect: book, params: [[A, 10.5], null], approval: false }
  - name: refused
    input: { account: A, amount: 0 }
    expect: { status: refused, effect: null, approval: false }
",
    );
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    assert!(text.contains("2 tests: 2 passed"), "{text}");
}

#[test]
fn what_differs_in_an_effect_is_named() {
    let (code, text, _) = tested(
        "
  - name: other values
    input: { account: A, amount: 101 }
    expect: { status: booked, effect: book, params: [[B, 101.5], [1, A]], approval: false }
  - name: another effect
    input: { account: A, amount: 101 }
    expect: { status: booked, effect: null }
  - name: too few
    input: { account: A, amount: 101 }
    expect: { status: booked, effect: book, params: [[A]] }
",
    );
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn an_effect_that_the_flow_does_not_have_is_an_error() {
    let (code, text, errors) = tested(
        "
  - { name: a, input: { account: A, amount: 1 }, expect: { status: booked, effect: bok } }
  - { name: b, input: { account: A, amount: 1 }, expect: { status: booked, params: [A] } }
",
    );
    assert_eq!((code, text.as_str()), (1, ""), "{errors}");
    insta::assert_snapshot!(errors);
}
