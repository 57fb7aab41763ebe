//! Rule files: whatever the bytes, they are refused with a place, or load, are read back from their canonical form as
//! the same rules, and run to facts or an error within the limits.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tributary::diagnostics::{Place, Source, Style, render_json, render_text};
use tributary::grl::{Engine, Expression, ExpressionKind, Limits, Lookup, Owner, Ruleset, Scope, canonical};
use tributary::types::{Clock, Deadline, FieldName, Shape, Type, Value};

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let snippet = Source::new("fuzz.grl", text).snippet();
    let limits = Limits { max_evaluation: Duration::from_millis(200), ..Limits::default() };
    let scope = scope();
    if let Ok((expression, _)) = Expression::compile(&snippet, &scope, ExpressionKind::Value, &limits) {
        drop(expression.evaluate(&Ones, &clock()));
    }
    match Ruleset::compile("fuzz", std::slice::from_ref(&snippet), &scope, &[], &limits) {
        Err(found) => {
            assert!(found.has_errors());
            assert!(found.iter().all(|complaint| matches!(complaint.place, Place::Span(_))));
            let _ = (render_text(&found, Style::Plain), render_json(&found));
        }
        Ok((ruleset, _)) => {
            let said = canonical(&snippet, &limits).expect("what compiles can be written out");
            let again = canonical(&Source::new("again.grl", said.as_str()).snippet(), &limits);
            // Written out, a long chain may be nested too deep; all else says the same again.
            if let Ok(again) = again {
                assert_eq!(said, again);
            }
            let reads: Vec<Lookup> = ruleset.reads().iter().map(|_| Lookup::Value(Value::Integer(1))).collect();
            let mut engine = Engine::new(Arc::new(ruleset), &limits).expect("the engine takes what compiles");
            drop(engine.evaluate(&reads, &clock(), Deadline::after(Duration::from_millis(200))));
        }
    }
}

struct Ones;

impl tributary::grl::Facts for Ones {
    fn read(&self, _: &tributary::grl::FactRef) -> Lookup {
        Lookup::Value(Value::Integer(1))
    }
}

fn clock() -> Clock {
    Clock::fixed(Timestamp::UNIX_EPOCH, TimeZone::UTC)
}

fn scope() -> Scope {
    let field = |name: &str, ty: &Type| (FieldName::from(name), ty.clone());
    let row = Shape::closed([
        field("qty", &Type::Integer),
        field("price", &Type::Decimal),
        field("name", &Type::Text),
        field("ok", &Type::Boolean),
        field("since", &Type::Date),
        field("any", &Type::Any),
    ]);
    let row = Type::Map(Arc::new(row));
    let mut scope = Scope::new();
    scope.add("row", Owner::Node(0), row.clone());
    scope.add("lines", Owner::Node(1), Type::List(Arc::new(row)));
    scope.add("input", Owner::Input, Type::Map(Arc::new(Shape::unknown())));
    scope
}
