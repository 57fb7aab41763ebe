//! Request bodies: whatever the bytes, they are inputs that say the same when they are sent again, or are refused; and a
//! batch is cut into the same elements wherever its parts end, which are those that a reader of JSON finds in it.

use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;
use tributary::config::Env;
use tributary::diagnostics::Source;
use tributary::graph::{Context, InputError, InputSchema, RuleFiles, compile};
use tributary::http::batch::{Form, Splitter};

/// A flow with every type of input and everything that can be asked of one.
const GRAPH: &str = include_str!("../../contracts/orders.yaml");

/// The most bytes of an element; more than anything the fuzzer writes.
const ROOMY: usize = 1 << 20;
/// The most bytes of an element where some are too long.
const TIGHT: usize = 24;

/// One input: its first byte says how long the parts are in which the rest arrives.
pub fn run(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let part = usize::from(*first) % 32 + 1;
    is_read_or_refused(body);
    for form in [Form::Array, Form::Lines] {
        for limit in [TIGHT, ROOMY] {
            let elements = split(form, body, part, limit);
            assert_eq!(elements, split(form, body, body.len().max(1), limit), "{form:?} in parts of {part}");
            for element in elements.iter().flatten() {
                assert!(element.len() <= limit);
                is_read_or_refused(element);
            }
        }
    }
    are_the_lines(&split(Form::Lines, body, part, ROOMY), body);
    are_the_items(&split(Form::Array, body, part, ROOMY), body);
}

/// An element, or why there is none.
type Element = Result<Vec<u8>, String>;

fn split(form: Form, body: &[u8], part: usize, limit: usize) -> Vec<Element> {
    let mut splitter = Splitter::new(form, limit);
    let mut found = Vec::new();
    let mut take = |splitter: &mut Splitter| {
        while let Some(element) = splitter.pop() {
            found.push(element.map_err(|error| error.to_string()));
        }
    };
    for part in body.chunks(part) {
        splitter.push(part);
        take(&mut splitter);
    }
    splitter.finish();
    take(&mut splitter);
    found
}

fn are_the_lines(elements: &[Element], body: &[u8]) {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    assert!(lines.map(|line| Ok(line.to_vec())).eq(elements.iter().cloned()));
}

fn are_the_items(elements: &[Element], body: &[u8]) {
    let is_json = |element: &Element| {
        element.as_ref().is_ok_and(|element| serde_json::from_slice::<Box<RawValue>>(element).is_ok())
    };
    match serde_json::from_slice::<Vec<Box<RawValue>>>(body) {
        Ok(items) => {
            let items = items.iter().map(|item| item.get().as_bytes());
            let found = elements.iter().map(|element| element.as_ref().expect("an item").trim_ascii());
            assert!(items.eq(found), "an array of other items");
        }
        // A form feed is blank for the one and not for the other.
        Err(_) => assert!(!elements.iter().all(is_json) || body.contains(&b'\x0c'), "items of no array"),
    }
}

fn is_read_or_refused(body: &[u8]) {
    match inputs().parse_json(body) {
        Ok(value) => {
            let said = value.to_string();
            let again = inputs().parse_json(said.as_bytes()).expect("what was read can be sent");
            assert_eq!(said, again.to_string());
        }
        Err(InputError::Invalid(problems)) => assert!(!problems.is_empty()),
        Err(error @ InputError::Malformed { .. }) => {
            assert!(serde_json::from_slice::<serde_json::Value>(body).is_err(), "{error}");
        }
    }
}

fn inputs() -> &'static InputSchema {
    static INPUTS: OnceLock<InputSchema> = OnceLock::new();
    INPUTS.get_or_init(|| {
        let env = Env::default();
        let context = Context::new(&env);
        compile(&Source::new("orders.yaml", GRAPH), &NoRules, &context).expect("a flow").0.inputs
    })
}

struct NoRules;

impl RuleFiles for NoRules {
    fn read(&self, _: &str) -> std::io::Result<Arc<Source>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}
