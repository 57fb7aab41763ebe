//! `tributary run`: one decision, printed; why it is so, what would change it, and what it would be if facts were others. With a
//! key it is written, once.

mod batch;
mod keyed;
mod text;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Exit, load, with_diagnostics};
use crate::actors::coordinator::BoundFlow;
use crate::app::cli::{Format, Run as Arguments};
use crate::app::core::Core;
use crate::diagnostics::Diagnostics;
use crate::flow::explain;
use crate::flow::flip::{Flips, Question};
use crate::flow::{Answer, Decision, Detail, FlowError, Overrides, RunOptions, Trace};
use crate::flowtests;
use crate::graph::InputError;
use crate::http::{AdminSide, Label, Problem};
use crate::types::{Clock, Deadline, Value};

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<Exit> {
    let Some((project, warnings)) = load(&arguments.files, arguments.format)? else {
        return Ok(Exit::Refused);
    };
    if let Some(file) = arguments.record_test.as_deref().filter(|file| file.exists()) {
        anyhow::bail!("{} is there already; choose another file, or delete it", file.display());
    }
    let core = Core::start(project.narrow(arguments.flow.as_deref()).map_err(anyhow::Error::msg)?)?;
    let Some(flow) = core.releases().current().flows().first().map(|flow| Arc::clone(flow)) else {
        anyhow::bail!("there is no flow");
    };
    if let Some(file) = &arguments.batch {
        let exit = batch::execute(&core, flow, file, &arguments).await;
        core.drain(Deadline::after(core.config().http.drain_timeout)).await;
        return exit;
    }
    if let Some(key) = &arguments.key {
        let exit = Box::pin(keyed::execute(&core, &flow, key, (&arguments, &warnings))).await;
        core.drain(Deadline::after(core.config().http.drain_timeout)).await;
        return exit;
    }
    let outcome = decide(&core, &flow, &arguments).await;
    core.drain(Deadline::after(core.config().http.drain_timeout)).await;
    match outcome? {
        Ok(decided) => {
            decided.print(arguments.format, &warnings)?;
            Ok(Exit::Success)
        }
        Err(problem) => print_problem(&problem, arguments.format, &warnings),
    }
}

fn print_problem(problem: &Problem, format: Format, warnings: &Diagnostics) -> anyhow::Result<Exit> {
    match format {
        Format::Text => writeln!(std::io::stderr(), "{}", serde_json::to_string_pretty(problem)?)?,
        Format::Json => print_json(serde_json::to_value(problem)?, warnings)?,
    }
    Ok(Exit::Refused)
}

/// Prints the document; with the member `diagnostics` where the files have warnings.
fn print_json(document: Json, warnings: &Diagnostics) -> std::io::Result<()> {
    let document = if warnings.is_empty() { document } else { with_diagnostics(document, warnings) };
    writeln!(std::io::stdout(), "{document}")
}

/// What is printed.
struct Decided {
    answer: Answer,
    flips: Option<Flips>,
}

impl Decided {
    fn print(&self, format: Format, warnings: &Diagnostics) -> anyhow::Result<()> {
        let Self { answer, flips } = self;
        match (format, flips) {
            (Format::Json, None) => print_json(serde_json::to_value(answer)?, warnings)?,
            (Format::Json, Some(Flips { flips, together })) => {
                print_json(json!({ "answer": answer, "flips": flips, "together": together }), warnings)?;
            }
            (Format::Text, _) => {
                let mut stdout = std::io::stdout().lock();
                writeln!(stdout, "{}", serde_json::to_string_pretty(&self.answer.decision)?)?;
                if let Some(explanation) = &self.answer.explain {
                    writeln!(stdout, "\n{}", explain::text(explanation).trim_end())?;
                }
                for flip in flips.iter().flat_map(|found| &found.flips) {
                    writeln!(stdout, "\n{}", text::flip(flip).trim_end())?;
                }
                if let Some(together) = flips.as_ref().and_then(|found| found.together.as_ref()) {
                    writeln!(stdout, "\n{}", text::together(together).trim_end())?;
                }
            }
        }
        Ok(())
    }
}

async fn decide(core: &Core, flow: &Arc<BoundFlow>, arguments: &Arguments) -> anyhow::Result<Result<Decided, Problem>> {
    let inputs = match inputs(flow, arguments)? {
        Ok(inputs) => inputs,
        Err(error) => return Ok(Err(Problem::input(error))),
    };
    let problem = |error: &FlowError| Problem::flow(&flow.flow().name, error);
    let overrides = match overrides(flow, &arguments.set)? {
        Ok(overrides) => overrides,
        Err(error) => return Ok(Err(problem(&error))),
    };
    let run = run(core, arguments, overrides);
    let service = core.service_factory(None, AdminSide::default(), None).service();
    let label = Label { id: uuid::Uuid::new_v4().to_string(), caller: None };
    let report = service.decide(flow, inputs, run.clone(), &label).await;
    if let (Some(file), Some(trace)) = (&arguments.record_test, report.trace.as_deref()) {
        record_test(file, flow, &report.result, trace)?;
    }
    let flips = match report.trace.as_deref().filter(|_| !arguments.flip.is_empty()) {
        Some(trace) => {
            let question = Question { facts: arguments.flip.clone(), field: arguments.flip_field.clone() };
            match service.flips((flow, &core.config().rules.limits), (&run, trace), &question, &label).await {
                Ok(flips) => Some(flips),
                Err(error) => return Ok(Err(problem(&error))),
            }
        }
        None => None,
    };
    let what_if = run.overrides.facts().map(str::to_owned).collect();
    let answer = report.answer(flow.flow(), arguments.explain, what_if);
    Ok(match answer {
        Ok(answer) => Ok(Decided { answer, flips }),
        Err((error, explain)) => Err(problem(&error).explained(explain)),
    })
}

fn run(core: &Core, arguments: &Arguments, overrides: Overrides) -> RunOptions {
    let release = core.releases().current();
    let settings = release.settings();
    let clock = Clock::system(settings.time_zone.clone());
    let detail = if arguments.explain || arguments.record_test.is_some() {
        Detail::Reasons
    } else if !arguments.flip.is_empty() {
        Detail::Answers
    } else {
        Detail::Decision
    };
    RunOptions { detail, overrides, ..RunOptions::new(clock, Deadline::after(settings.request_timeout)) }
}

fn record_test(
    file: &Path,
    flow: &BoundFlow,
    result: &Result<Decision, FlowError>,
    trace: &Trace,
) -> anyhow::Result<()> {
    // A path to the graph can only be found from a directory that is there.
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let text = flowtests::record(flow.flow(), result, trace, file);
    std::fs::write(file, text)?;
    writeln!(std::io::stderr(), "wrote {}; run it with: tributary test {}", file.display(), file.display())?;
    Ok(())
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
            None => anyhow::bail!("--input takes NAME=VALUE, such as product_id=PROD-001; one has no `=`"),
        }
    }
    Ok(schema.parse_pairs(pairs))
}

fn overrides(flow: &BoundFlow, set: &[String]) -> anyhow::Result<Result<Overrides, FlowError>> {
    let mut overrides = Overrides::none();
    for each in set {
        let Some((fact, value)) = each.split_once('=') else {
            anyhow::bail!("--set takes FACT=VALUE, such as inventory_levels.available_qty=2000; one has no `=`");
        };
        let (fact, value) = (fact.trim(), value.trim());
        if overrides.facts().any(|known| known == fact) {
            return Ok(Err(FlowError::Override { fact: fact.to_owned(), why: "it is given twice".to_owned() }));
        }
        if let Err(error) = overrides.set_typed(flow.flow(), fact, value) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(overrides))
}
