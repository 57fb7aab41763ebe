//! Flow files: whatever the bytes, they are refused with complaints that can be shown, or compile to a plan whose nodes
//! stand after those they wait for; and whatever body such a flow is sent, it is read or refused.

use std::sync::Arc;

use tributary::config::Env;
use tributary::diagnostics::{Source, Style, render_json, render_text};
use tributary::graph::{Context, RuleFiles, compile};

const RULES: &str = "rule \"Low\" no-loop { when levels.available < 10 then low = true; }";

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // What stands behind a NUL is a body for the flow that stands before it.
    let (graph, body) = text.split_once('\0').unwrap_or((text, "{\"product_id\":\"a\"}"));
    let env = Env::default();
    let context = Context::new(&env);
    match compile(&Source::new("fuzz.yaml", graph), &Rules, &context) {
        Err(found) => {
            assert!(found.has_errors());
            let _ = (render_text(&found, Style::Plain), render_json(&found));
        }
        Ok((flow, _)) => {
            for (index, node) in flow.nodes.iter().enumerate() {
                assert!(node.depends_on.iter().all(|needed| *needed < index));
                assert!(node.dependents.iter().all(|dependent| *dependent > index));
            }
            drop(flow.inputs.parse_json(body.as_bytes()));
        }
    }
}

/// Every rule file is the same one.
struct Rules;

impl RuleFiles for Rules {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        Ok(Source::new(path, RULES))
    }
}
