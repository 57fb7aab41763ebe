//! Answers of REST interfaces: whatever the bytes, they are rows of the declared columns and types, or are refused with a place.

use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;
use tributary::config::Env;
use tributary::diagnostics::Source;
use tributary::graph::{Context, Flow, QueryNode, RuleFiles, Work, compile, without_bom};
use tributary::types::{Type, Value};

/// A flow with a request for each number of rows, and with columns of many types.
const GRAPH: &str = include_str!("../../graph/accepted/requests.yaml");

/// One answer, as that of each request.
pub fn run(bytes: &[u8]) {
    for node in &flow().nodes {
        let Work::Query(query) = &node.work else { continue };
        let request = query.query.request().expect("a request");
        match request.rows(bytes) {
            Ok(rows) => {
                assert!(serde_json::from_slice::<Box<RawValue>>(without_bom(bytes)).is_ok(), "not JSON");
                assert!(rows.len() <= query.query.max_rows() + 1);
                rows.iter().for_each(|row| is_as_declared(query, row));
            }
            Err(misfit) => assert!(misfit.place.starts_with('/'), "{misfit}"),
        }
    }
}

fn is_as_declared(query: &QueryNode, row: &Value) {
    let Value::Map(record) = row else { panic!("no row: {row}") };
    assert!(record.iter().map(|(name, _)| name).eq(query.columns.fields.iter().map(|field| &field.name)));
    for ((name, value), field) in record.iter().zip(&query.columns.fields) {
        let is_optional = &**name == "group";
        let fits = match value {
            Value::Null => is_optional,
            Value::List(items) => match &field.ty {
                Type::List(element) => items.iter().all(|item| item.ty() == **element),
                ty => *ty == Type::Any,
            },
            value => field.ty == Type::Any || field.ty == value.ty(),
        };
        assert!(fits, "{name} is {value}");
    }
    let request = query.query.request().expect("a request");
    assert_eq!(request.declared(row).as_ref(), Ok(row), "what was read may stand in a file");
}

fn flow() -> &'static Flow {
    static FLOW: OnceLock<Flow> = OnceLock::new();
    FLOW.get_or_init(|| {
        let env = Env::default();
        compile(&Source::new("requests.yaml", GRAPH), &NoRules, &Context::new(&env)).expect("a flow").0
    })
}

struct NoRules;

impl RuleFiles for NoRules {
    fn read(&self, _: &str) -> std::io::Result<Arc<Source>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}
