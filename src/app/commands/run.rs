//! `tributary run`: one decision, printed.

use std::io::{Read, Write};
use std::sync::Arc;

use super::{Exit, load};
use crate::actors::coordinator::{BoundFlow, Request};
use crate::app::cli::{Format, Run as Arguments};
use crate::app::core::Core;
use crate::flow::{Decision, Run};
use crate::graph::InputError;
use crate::http::Problem;
use crate::types::{Clock, Deadline, Value};

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<Exit> {
    let Some((project, _)) = load(&arguments.files, None, arguments.format)? else {
        return Ok(Exit::Refused);
    };
    let core = Core::start(project)?;
    let outcome = decide(&core, &arguments).await?;
    core.drain().await;
    match outcome {
        Ok(decision) => {
            let text = match arguments.format {
                Format::Text => serde_json::to_string_pretty(&decision)?,
                Format::Json => serde_json::to_string(&decision)?,
            };
            writeln!(std::io::stdout(), "{text}")?;
            Ok(Exit::Success)
        }
        Err(problem) => {
            writeln!(std::io::stderr(), "{}", serde_json::to_string_pretty(&problem)?)?;
            Ok(Exit::Refused)
        }
    }
}

async fn decide(core: &Core, arguments: &Arguments) -> anyhow::Result<Result<Decision, Problem>> {
    let flow = match choose(core, arguments.flow.as_deref()) {
        Ok(flow) => flow,
        Err(message) => anyhow::bail!(message),
    };
    let inputs = match inputs(&flow, arguments)? {
        Ok(inputs) => inputs,
        Err(error) => return Ok(Err(Problem::input(error))),
    };
    let service = core.workshop(None).service();
    let release = core.releases().current();
    let settings = release.settings();
    let clock = Clock::system(settings.time_zone.clone());
    let run = Run { clock, deadline: Deadline::after(settings.request_timeout) };
    let name = flow.flow().name.clone();
    let decided = service.coordinator.decide(Request { flow, inputs, run }).await;
    Ok(decided.map_err(|error| Problem::flow(&name, &error)))
}

/// The flow that was named, or the only one there is.
fn choose(core: &Core, name: Option<&str>) -> Result<Arc<BoundFlow>, String> {
    let release = core.releases().current();
    let flows = release.flows();
    let names = || flows.iter().map(|flow| flow.flow().name.to_string()).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => flows
            .iter()
            .find(|flow| flow.flow().name.as_str() == name)
            .map(|flow| Arc::clone(flow))
            .ok_or_else(|| format!("there is no flow `{name}`; the flows are: {}", names())),
        None => match flows.as_slice() {
            [only] => Ok(Arc::clone(only)),
            _ => Err(format!("the files hold several flows; choose one with --flow: {}", names())),
        },
    }
}

fn inputs(flow: &BoundFlow, arguments: &Arguments) -> anyhow::Result<Result<Value, InputError>> {
    let schema = &flow.flow().inputs;
    if let Some(json) = &arguments.json {
        let mut body = json.clone().into_bytes();
        if json == "-" {
            body.clear();
            std::io::stdin().read_to_end(&mut body)?;
        }
        return Ok(schema.parse_json(&body));
    }
    let mut pairs = Vec::new();
    for input in &arguments.inputs {
        match input.split_once('=') {
            Some(pair) => pairs.push(pair),
            None => anyhow::bail!("--input takes NAME=VALUE, such as product_id=PROD-001; `{input}` has no `=`"),
        }
    }
    Ok(schema.parse_pairs(pairs))
}
