//! The commands of the command line. What a command was asked for goes to standard output; everything else (logs,
//! diagnostics, problems) to standard error.

mod check;
mod demo;
mod doctor;
mod graph;
mod openapi;
mod paper;
mod records;
mod replay;
mod run;
mod schema;
mod serve;
mod test;
mod token;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use super::cli::{Cli, Command, Files, Format};
use super::project::{Project, Sources};
use super::traces::Traces;
use crate::config::{Arguments, Env};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Style, render_json, render_text};
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

/// Executes a command line inside an actix system.
///
/// # Errors
/// What nobody can do anything about but the machine: standard output that cannot be written.
pub async fn execute(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Serve(arguments) => serve::execute(arguments).await,
        Command::Demo(arguments) => demo::execute(arguments).await,
        Command::Check(arguments) => check::execute(arguments).await,
        Command::Doctor(arguments) => doctor::execute(arguments).await,
        Command::Run(arguments) => run::execute(arguments).await,
        Command::Replay(arguments) => replay::execute(&arguments),
        Command::Records(arguments) => records::execute(&arguments.command),
        Command::Test(arguments) => test::execute(&arguments),
        Command::Graph(arguments) => graph::execute(&arguments),
        Command::Openapi(arguments) => openapi::execute(&arguments),
        Command::Schema(arguments) => schema::execute(&arguments),
        Command::Token(arguments) => token::execute(&arguments),
        Command::Completions(arguments) => paper::completions(&arguments),
        Command::Man => paper::manual(),
    }
}

impl Files {
    /// The sources these files are, over the environment of the process.
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
        let arguments = Arguments { config: self.config.clone(), bind, log_format: None };
        let sources = Sources { graphs: self.graphs.clone(), arguments, env, env_file };
        found.into_result(sources).map(|(sources, _)| sources)
    }
}

/// Reads the project and starts logging as it says; prints what is wrong with it.
fn load(files: &Files, bind: Option<SocketAddr>, format: Format) -> anyhow::Result<Option<(Project, Sources)>> {
    match files.sources(bind) {
        Ok(sources) => Ok(read(&sources, format)?.map(|project| (project, sources))),
        Err(found) => {
            report(&found, format)?;
            Ok(None)
        }
    }
}

/// As [`load`], from sources.
fn read(sources: &Sources, format: Format) -> anyhow::Result<Option<Project>> {
    let project = checked(sources, format)?;
    if let Some(project) = &project {
        super::telemetry::start(&project.config.log, None)?;
    }
    Ok(project)
}

/// Reads the project to serve it: starts logging as it says, and what sends traces where it asks for them.
fn read_to_serve(sources: &Sources) -> anyhow::Result<Option<(Project, Option<Traces>)>> {
    let Some(project) = checked(sources, Format::Text)? else { return Ok(None) };
    let traces = project.config.traces.as_ref().map(Traces::start).transpose()?;
    super::telemetry::start(&project.config.log, traces.as_ref())?;
    if let Some(traces) = &project.config.traces {
        tracing::info!(endpoint = traces.endpoint, share = ?traces.share, "traces are sent");
    }
    Ok(Some((project, traces)))
}

/// Reads the project; prints what is wrong with it.
fn checked(sources: &Sources, format: Format) -> anyhow::Result<Option<Project>> {
    match Project::load(sources, None) {
        Ok((project, warnings)) => {
            report(&warnings, format)?;
            Ok(Some(project))
        }
        Err(found) => {
            report(&found, format)?;
            Ok(None)
        }
    }
}

/// The flows and the limits of their rules, without the databases: no domain needs to be configured. Prints what is wrong.
fn offline_flows(
    sources: Result<Sources, Diagnostics>,
    format: Format,
) -> anyhow::Result<Option<(Vec<Flow>, grl::Limits)>> {
    match sources.and_then(|sources| Project::load_offline(&sources)) {
        Ok((flows, limits, warnings)) => {
            report(&warnings, format)?;
            Ok(Some((flows, limits)))
        }
        Err(found) => {
            report(&found, format)?;
            Ok(None)
        }
    }
}

/// Prints diagnostics to standard error, where there are any.
fn report(found: &Diagnostics, format: Format) -> std::io::Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let mut stderr = std::io::stderr().lock();
    match format {
        Format::Json => writeln!(stderr, "{}", render_json(found)),
        Format::Text => {
            let style = if stderr.is_terminal() { Style::Coloured } else { Style::Plain };
            writeln!(stderr, "{}\n\n{}", render_text(found, style), counted(found))
        }
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
