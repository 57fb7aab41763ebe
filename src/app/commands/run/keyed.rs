//! `tributary run --key KEY`: one decision, written once.

use std::io::Write;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Exit, inputs, print_json, print_problem, run};
use crate::actors::coordinator::BoundFlow;
use crate::actors::effects::Wrote;
use crate::app::cli::{Format, Run as Arguments};
use crate::app::core::Core;
use crate::diagnostics::Diagnostics;
use crate::flow::Overrides;
use crate::flow::explain::{self, Explanation};
use crate::http::{AdminSide, KeyedAnswer, KeyedDecision, Label, Problem};
use crate::types::{DomainName, IdempotencyKey};

/// Decides and writes, prints the stored answer, and says to standard error what was written.
pub(super) async fn execute(
    core: &Core,
    flow: &Arc<BoundFlow>,
    key: &IdempotencyKey,
    (arguments, warnings): (&Arguments, &Diagnostics),
) -> anyhow::Result<Exit> {
    let name = &flow.flow().name;
    let Some(effects) = flow.effects() else {
        anyhow::bail!("the flow `{name}` has no effects, so nothing can be written: leave out --key");
    };
    let inputs = match inputs(flow, arguments)? {
        Ok(inputs) => inputs,
        Err(error) => return print_problem(&Problem::input(error), arguments.format, warnings),
    };
    let service = core.service_factory(None, AdminSide::default(), None).service();
    let label = Label { id: uuid::Uuid::new_v4().to_string(), caller: None };
    let decision = KeyedDecision {
        service: &service,
        flow,
        label: &label,
        key,
        lifetime: core.releases().current().settings().key_lifetime,
        explains: arguments.explain,
        complete: &|problem| problem,
    };
    match decision.decide(inputs, run(core, arguments, Overrides::none())).await {
        Ok(answer) => {
            writeln!(std::io::stderr(), "{}", summary(&answer, &label.id, effects.domain()))?;
            let explain = answer.report.as_ref().and_then(|report| report.explanation(flow.flow(), arguments.explain));
            print(&answer, explain.as_deref(), arguments.format, warnings)
        }
        Err((error, explain)) => {
            print_problem(&Problem::flow(name, &error).explained(explain), arguments.format, warnings)
        }
    }
}

/// What became of the effect.
fn summary(answer: &KeyedAnswer, id: &str, domain: &DomainName) -> String {
    match (&answer.repeats, answer.wrote) {
        (Some(first), _) => {
            format!("replayed: decision {first} was stored with this key before; nothing was written now")
        }
        (None, Some(Wrote::Effect)) => format!("written: decision {id} was written to {domain}"),
        (None, Some(Wrote::Pending)) => format!("not written yet: the effect of decision {id} waits for approval"),
        (None, Some(Wrote::Nothing)) => {
            format!("stored: decision {id} has no effect; its answer was stored with the key")
        }
        // The connection broke at COMMIT, and the answer was found after it.
        (None, None) => format!("stored: decision {id} and its effect were written to {domain}"),
    }
}

fn print(
    answer: &KeyedAnswer,
    explain: Option<&Explanation>,
    format: Format,
    warnings: &Diagnostics,
) -> anyhow::Result<Exit> {
    let mut document: Json = serde_json::from_str(&answer.ending.body)?;
    let exit = if answer.ending.status < 400 { Exit::Success } else { Exit::Refused };
    if format == Format::Json {
        print_json(document, warnings)?;
        return Ok(exit);
    }
    // A problem goes to standard error, as that of a run without a key.
    if exit == Exit::Refused {
        writeln!(std::io::stderr(), "{}", serde_json::to_string_pretty(&document)?)?;
        return Ok(exit);
    }
    if let (Some(_), Json::Object(members)) = (explain, &mut document) {
        members.shift_remove("explain");
    }
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string_pretty(&document)?)?;
    if let Some(explanation) = explain {
        writeln!(stdout, "\n{}", explain::text(explanation).trim_end())?;
    }
    Ok(exit)
}
