//! The commands. The result of a command goes to standard output, everything else (logs, diagnostics, problems) to standard error.

mod check;
mod demo;
mod doctor;
mod eval;
mod graph;
mod mcp;
mod openapi;
mod paper;
mod records;
mod relay;
mod replay;
mod rules;
mod run;
mod schema;
mod serve;
mod test;
mod token;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::cli::{self, Cli, Command, Files, Format};
use super::project::{Project, Sources};
use super::stderr;
use super::traces::Traces;
use crate::config::{Arguments, Env, log_format};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, covered, render_json};
use crate::graph::Flow;
use crate::grl;

/// How a command ended; see the exit codes of `tributary --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It worked.
    Success,
    /// It was refused.
    Refused,
    /// A database could not be reached.
    Unreachable,
    /// The service could not start.
    CannotStart,
    /// Decisions change.
    Changed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Refused => 1,
            Exit::Unreachable => 3,
            Exit::CannotStart => 4,
            Exit::Changed => 5,
        })
    }
}

/// The filters of the log unless one is set: of a service, and of a command that ends by itself.
const SERVICE_FILTER: &str = "info";
const COMMAND_FILTER: &str = "warn";

/// Sets the format of standard error by the environment.
pub fn begin() {
    let asked = log_format(&Arguments::default(), &Env::of_process());
    stderr::expect(asked.unwrap_or_default());
}

/// Executes a command line inside an actix system. A command that prints JSON prints its failure as JSON too.
///
/// # Errors
/// What nobody can do anything about but the machine, such as standard output that cannot be written; for a command that prints
/// text, also what it cannot do.
pub async fn execute(cli: Cli) -> anyhow::Result<Exit> {
    let format = cli.command.format();
    match dispatch(cli).await {
        Err(error) if format == Format::Json && error.downcast_ref::<std::io::Error>().is_none() => {
            let message = covered(&format!("{error:#}"));
            let diagnostic = json!({ "severity": "error", "code": "failed", "message": message });
            let document = json!({ "errors": 1, "warnings": 0, "diagnostics": [diagnostic] });
            writeln!(std::io::stdout(), "{document}")?;
            Ok(Exit::Refused)
        }
        outcome => outcome,
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Serve(arguments) => serve::execute(arguments, None).await,
        Command::Domain(cli::Domain { domain, serve }) => serve::execute(serve, Some(domain)).await,
        Command::Demo(arguments) => demo::execute(arguments).await,
        Command::Check(arguments) => check::execute(arguments).await,
        Command::Doctor(arguments) => doctor::execute(arguments).await,
        Command::Run(arguments) => run::execute(arguments).await,
        Command::Mcp(arguments) => mcp::execute(&arguments).await,
        Command::Replay(arguments) => replay::execute(&arguments),
        Command::Records(arguments) => records::execute(&arguments.command),
        Command::Relay(arguments) => relay::execute(&arguments).await,
        Command::Test(arguments) => test::execute(&arguments),
        Command::Eval(arguments) => eval::execute(&arguments),
        Command::Rules(arguments) => rules::execute(&arguments),
        Command::Graph(arguments) => graph::execute(&arguments),
        Command::Openapi(arguments) => openapi::execute(&arguments),
        Command::Schema(arguments) => schema::execute(&arguments),
        Command::Token(arguments) => token::execute(&arguments),
        Command::Completions(arguments) => paper::completions(&arguments),
        Command::Man => paper::manual(),
    }
}

impl Files {
    /// The sources of these files, with the environment of the process.
    fn sources(&self, bind: Option<SocketAddr>) -> Result<Sources, Diagnostics> {
        let mut found = Diagnostics::new();
        if let Some(path) = self.env_file.as_deref().filter(|path| !path.is_file()) {
            let place = Place::File(path.display().to_string());
            found.push(
                Diagnostic::error("unreadable-file", place, "there is no such file").help("name it with --env-file"),
            );
        }
        let env_file = Some(self.env_file.clone().unwrap_or_else(|| PathBuf::from(".env")));
        let env = Env::of_process();
        let bind = bind.map(|bind| bind.to_string());
        let arguments = Arguments { config: self.config.clone(), bind, ..Arguments::default() };
        let sources = Sources { graphs: self.graphs.clone(), arguments, env, env_file, domain: None };
        found.into_result(sources).map(|(sources, _)| sources)
    }
}

/// The sources of a command. `None` where there are errors, which are printed.
fn sources(files: &Files, bind: Option<SocketAddr>, format: Format) -> std::io::Result<Option<Sources>> {
    files.sources(bind).map(Some).or_else(|found| refuse(&found, format).map(|_| None))
}

/// Reads the project and starts logging as it says. Prints what is wrong with it; the warnings are for the document of a command
/// that prints JSON.
fn load(files: &Files, format: Format) -> anyhow::Result<Option<(Project, Diagnostics)>> {
    sources(files, None, format)?.map_or(Ok(None), |sources| load_from(&sources, format))
}

/// As [`load`], of these sources.
fn load_from(sources: &Sources, format: Format) -> anyhow::Result<Option<(Project, Diagnostics)>> {
    stderr::expect(sources.log_format());
    let Some((project, warnings)) = passed(Project::load(sources, None), format)? else { return Ok(None) };
    super::telemetry::start(&project.config.log, COMMAND_FILTER, None)?;
    Ok(Some((project, warnings)))
}

/// Reads the project to serve it, and starts logs and traces by its configuration.
fn read_to_serve(sources: &Sources) -> anyhow::Result<Option<(Project, Option<Traces>)>> {
    stderr::expect(sources.log_format());
    let Some((project, _)) = passed(Project::load(sources, None), Format::Text)? else { return Ok(None) };
    let traces = project.config.traces.as_ref().map(Traces::start).transpose()?;
    super::telemetry::start(&project.config.log, SERVICE_FILTER, traces.as_ref())?;
    if let Some(traces) = &project.config.traces {
        tracing::info!(endpoint = covered(&traces.endpoint), share = ?traces.share, "traces are sent");
    }
    Ok(Some((project, traces)))
}

/// The flows and the limits of their rules, without the databases: no domain needs to be configured. Prints what is wrong.
fn offline_flows(
    sources: Result<Sources, Diagnostics>,
    format: Format,
) -> anyhow::Result<Option<(Vec<Flow>, grl::Limits, Diagnostics)>> {
    let loaded = sources.and_then(|sources| {
        stderr::expect(sources.log_format());
        let (flows, limits, warnings) = Project::load_offline(&sources)?;
        Ok(((flows, limits), warnings))
    });
    Ok(passed(loaded, format)?.map(|((flows, limits), warnings)| (flows, limits, warnings)))
}

/// The value and its warnings. `None` where there are errors, which are printed.
fn passed<T>(
    loaded: Result<(T, Diagnostics), Diagnostics>,
    format: Format,
) -> std::io::Result<Option<(T, Diagnostics)>> {
    match loaded {
        Ok((value, warnings)) => {
            if format == Format::Text {
                report(&warnings)?;
            }
            Ok(Some((value, warnings)))
        }
        Err(found) => refuse(&found, format).map(|_| None),
    }
}

/// Prints why a command is refused: to standard error, or as its JSON document.
fn refuse(found: &Diagnostics, format: Format) -> std::io::Result<Exit> {
    match format {
        Format::Text => report(found)?,
        Format::Json => writeln!(std::io::stdout(), "{}", render_json(found))?,
    }
    Ok(Exit::Refused)
}

/// Prints diagnostics to standard error, if there are any.
fn report(found: &Diagnostics) -> std::io::Result<()> {
    if found.is_empty() { Ok(()) } else { stderr::diagnostics(found, &counted(found)) }
}

/// The JSON document of a command, with the members `errors`, `warnings` and `diagnostics`.
fn with_diagnostics(document: Json, found: &Diagnostics) -> Json {
    let more = serde_json::from_str(&render_json(found)).unwrap_or_default();
    match (document, more) {
        (Json::Object(document), Json::Object(more)) => Json::Object(document.into_iter().chain(more).collect()),
        (document, _) => document,
    }
}

/// "1 flow", "6 nodes".
fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// "2 errors, 1 warning".
fn counted(found: &Diagnostics) -> String {
    let (errors, warnings) = found.counts();
    match (errors, warnings) {
        (errors, 0) => plural(errors, "error"),
        (0, warnings) => plural(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}
