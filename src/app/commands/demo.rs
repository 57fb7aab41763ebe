//! `tributary demo`: the shipped flow, or others, on a private PostgreSQL server with sample data.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::distr::Alphanumeric;
use serde_json::{Value as Json, json};

use super::Exit;
use super::serve::serve;
use crate::app::cli::{Demo as Arguments, Format};
use crate::app::project::{Project, Sources};
use crate::app::server::App;
use crate::app::signals::{Hangup, Signals};
use crate::config::{Arguments as Settings, Env, prefix};
use crate::demo::{Demo, SampleDatabase, ServerError};
use crate::diagnostics::Diagnostics;
use crate::graph::{Flow, Work};

/// Where decisions are put on record, below the state directory.
const RECORDS: &str = "records/decisions.ndjson";

/// The variables of the admin token.
const ADMIN_TOKEN: &str = "ADMIN_TOKEN";
const ADMIN_TOKEN_FILE: &str = "ADMIN_TOKEN_FILE";

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<Exit> {
    let signals = Signals::listen(Hangup::Stops)?;
    let demo = match start(&arguments).await {
        Ok(demo) => demo,
        Err(error) => {
            crate::app::stderr::error(&error.to_string())?;
            return Ok(Exit::CannotStart);
        }
    };
    let exit = on(&demo, &arguments, signals).await;
    demo.stop().await?;
    exit
}

async fn start(arguments: &Arguments) -> Result<Demo, ServerError> {
    Demo::start(&arguments.state_dir, SampleDatabase::beside(&arguments.files.graphs)?).await
}

async fn on(demo: &Demo, arguments: &Arguments, signals: Signals) -> anyhow::Result<Exit> {
    let Some(sources) = super::sources(&arguments.files, arguments.bind, Format::Text)? else {
        return Ok(Exit::Refused);
    };
    let mut found = Diagnostics::new();
    let (env, token) = with_admin(&on_private_server(&sources.variables(&mut found), demo));
    super::report(&found)?;
    let settings = Settings { records: Some(arguments.state_dir.join(RECORDS)), ..sources.arguments };
    let (sources, own) = answering_itself(Sources { env, env_file: None, arguments: settings, ..sources })?;
    let Some((project, traces)) = super::read_to_serve(&sources)? else { return Ok(Exit::Refused) };
    let env_file = write_env(demo, own, &arguments.state_dir)?;
    let records = project.config.records.path.clone();
    let graphs = graphs(&arguments.files.graphs);
    let said = Said { examples: examples(&project.flows, &graphs), graphs, env_file, records, token };
    serve(project, sources, (traces, signals), |app| announce(demo, app, &said)).await
}

/// Writes the variables by which other commands reach the sample databases, readable only for their owner.
fn write_env(demo: &Demo, own: Vec<(String, String)>, state_dir: &Path) -> std::io::Result<PathBuf> {
    let path = state_dir.join("env");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
    writeln!(file, "# The sample databases of the demo, while it runs: tributary run --env-file {}", path.display())?;
    for (name, value) in demo.variables().into_iter().chain(own) {
        writeln!(file, "{name}={value}")?;
    }
    Ok(path)
}

/// The environment, with the sample databases in place of the user's own.
fn on_private_server(env: &Env, demo: &Demo) -> Env {
    let prefixes: Vec<String> =
        demo.databases().iter().map(|database| format!("{}_", database.name.to_uppercase())).collect();
    let foreign = |name: &&str| !prefixes.iter().any(|prefix| name.starts_with(prefix));
    env.clone().keeping(|name| foreign(&name)).with_pairs(demo.variables())
}

/// The environment with an admin token, which the console needs for what-if and restarts. Returns the token if it is a new one.
fn with_admin(env: &Env) -> (Env, Option<String>) {
    if env.names().any(|name| matches!(name, ADMIN_TOKEN | ADMIN_TOKEN_FILE)) {
        return (env.clone(), None);
    }
    let token: String = rand::rng().sample_iter(Alphanumeric).take(20).map(char::from).collect();
    (env.clone().with_pairs([(ADMIN_TOKEN, token.as_str())]), Some(token))
}

/// The sources with the variables of the domains that the demo answers for itself, and these variables. They are the domains that no
/// variable configures and whose requests go to the path of a flow that is served. Errors of the files are reported later.
fn answering_itself(sources: Sources) -> std::io::Result<(Sources, Vec<(String, String)>)> {
    let (Ok((config, _)), Ok((flows, ..))) = (Project::settings(&sources), Project::load_offline(&sources)) else {
        return Ok((sources, Vec::new()));
    };
    let served: Vec<String> = flows.iter().map(|flow| format!("POST {}", flow.path)).collect();
    let asks = |written: &str| served.iter().any(|request| written.lines().next() == Some(request));
    let mut prefixes: Vec<String> = Vec::new();
    for node in flows.iter().flat_map(|flow| &flow.nodes) {
        if let Work::Query(query) = &node.work
            && query.query.request().is_some_and(|request| asks(request.written()))
        {
            prefixes.push(prefix(&query.domain));
        }
    }
    prefixes.retain(|prefix| !sources.env.names().any(|name| name.starts_with(prefix)));
    if prefixes.is_empty() || config.http.tls.is_some() {
        return Ok((sources, Vec::new()));
    }
    // The URL has the port, so a free one is chosen before the server listens.
    let address = if config.http.bind.port() == 0 {
        TcpListener::bind(config.http.bind)?.local_addr()?
    } else {
        config.http.bind
    };
    let own: Vec<(String, String)> =
        prefixes.iter().map(|prefix| (format!("{prefix}URL"), format!("http://{address}"))).collect();
    let arguments = Settings { bind: Some(address.to_string()), ..sources.arguments };
    Ok((Sources { env: sources.env.with_pairs(own.clone()), arguments, ..sources }, own))
}

/// What the demo says once it serves.
struct Said {
    examples: Vec<Example>,
    /// The arguments that name the graphs; none for `graph.yaml`.
    graphs: Vec<String>,
    env_file: PathBuf,
    records: PathBuf,
    token: Option<String>,
}

/// A decision to try, made of the examples of a flow's inputs.
struct Example {
    /// The path of the flow, and a body for it.
    call: (String, String),
    /// The arguments of `tributary run` that make the same decision.
    arguments: String,
}

fn graphs(graphs: &[PathBuf]) -> Vec<String> {
    let named = graphs.iter().map(|graph| format!("--graph {}", quoted(&graph.display().to_string())));
    if graphs == [Path::new("graph.yaml")] { Vec::new() } else { named.collect() }
}

fn examples(flows: &[Flow], graphs: &[String]) -> Vec<Example> {
    let example = |flow: &Flow| {
        let named = (flows.len() > 1).then(|| format!("--flow {}", flow.name));
        let fields = flow.inputs.fields().iter();
        let given = fields.filter_map(|field| {
            Some(format!("--input {}", quoted(&format!("{}={}", field.name, field.example.as_ref()?))))
        });
        let arguments: Vec<String> = graphs.iter().cloned().chain(named).chain(given).collect();
        Example { call: (flow.path.clone(), body(flow)), arguments: arguments.join(" ") }
    };
    flows.iter().map(example).collect()
}

/// A body to try a flow with; `{...}` where an input that must be given has no example.
fn body(flow: &Flow) -> String {
    let fields = || flow.inputs.fields().iter();
    if fields().any(|field| field.required && field.default.is_none() && field.example.is_none()) {
        return "{...}".to_owned();
    }
    let given = fields()
        .filter_map(|field| Some((field.name.to_string(), json!(field.decimals.written(field.example.as_ref()?)))));
    Json::Object(given.collect()).to_string()
}

/// A word of a shell's command line, in quotes where it needs them.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "=_-.:/".contains(letter);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// How this program is called from the current directory. It need not be on the search path.
fn program() -> String {
    let found = std::env::current_exe().ok();
    let current = std::env::current_dir().unwrap_or_default();
    let path = found.as_deref().map(|path| path.strip_prefix(current).unwrap_or(path));
    path.map_or_else(|| "tributary".to_owned(), |path| path.display().to_string())
}

fn announce(demo: &Demo, app: &App, said: &Said) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let base = format!("http://{}", app.address());
    writeln!(stdout, "\nTributary is deciding at {base}. Look at it in a browser: {base}/")?;
    if let Some(token) = &said.token {
        writeln!(stdout, "What-if, approvals and restarts ask for the admin token of this run: TOKEN={token}")?;
    }
    writeln!(stdout, "\nTry:\n")?;
    for Example { call: (path, body), .. } in &said.examples {
        writeln!(stdout, "  curl -s {base}{path} -H 'Content-Type: application/json' -d {}", quoted(body))?;
    }
    writeln!(stdout, "  curl -s {base}/health")?;
    let (program, env_file) = (program(), said.env_file.display());
    for Example { arguments, .. } in &said.examples {
        writeln!(stdout, "  {program} run --env-file {env_file} {arguments} --explain")?;
    }
    let check: Vec<&str> = said.graphs.iter().map(String::as_str).chain(["--db"]).collect();
    writeln!(stdout, "  {program} check --env-file {env_file} {}", check.join(" "))?;
    writeln!(stdout, "\nDecisions are recorded in {}", said.records.display())?;
    let state = if demo.is_fresh() { "new" } else { "of an earlier run" };
    writeln!(stdout, "Data ({state}): {}", demo.options().data_dir.display())?;
    writeln!(stdout, "PostgreSQL's log: {}", demo.options().log_file.display())?;
    let databases: Vec<&str> = demo.databases().iter().map(|database| &*database.name).collect();
    let (port, databases) = (demo.options().port, databases.join(", "));
    writeln!(stdout, "PostgreSQL: port {port} on this machine, databases {databases}")?;
    writeln!(stdout, "Ctrl-C, or closing this terminal, stops everything that was started.\n")?;
    stdout.flush()
}
