//! `tributary demo`: the shipped flow on a private PostgreSQL server with sample data.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::distr::Alphanumeric;

use super::Exit;
use super::serve::serve;
use crate::app::cli::{Demo as Arguments, Format};
use crate::app::project::{Project, Sources};
use crate::app::server::App;
use crate::app::signals::{Hangup, Signals};
use crate::config::{Env, RecordsTo};
use crate::demo::{DATABASES, Demo};
use crate::diagnostics::Diagnostics;

/// Where decisions are put on record, below the state directory.
const RECORDS: &str = "records/decisions.ndjson";

/// The variables of the admin token.
const ADMIN_TOKEN: &str = "ADMIN_TOKEN";
const ADMIN_TOKEN_FILE: &str = "ADMIN_TOKEN_FILE";

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<Exit> {
    let signals = Signals::listen(Hangup::Stops)?;
    let demo = match Demo::start(&arguments.state_dir).await {
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

async fn on(demo: &Demo, arguments: &Arguments, signals: Signals) -> anyhow::Result<Exit> {
    let Some(sources) = super::sources(&arguments.files, arguments.bind, Format::Text)? else {
        return Ok(Exit::Refused);
    };
    let mut found = Diagnostics::new();
    let (env, token) = with_admin(&on_private_server(&sources.variables(&mut found), demo));
    super::report(&found)?;
    let sources = Sources { env, env_file: None, ..sources };
    let Some((mut project, traces)) = super::read_to_serve(&sources)? else { return Ok(Exit::Refused) };
    if project.config.records.to == RecordsTo::Off {
        project.config.records.to = RecordsTo::File;
        project.config.records.path = arguments.state_dir.join(RECORDS);
    }
    let env_file = write_env(demo, &arguments.state_dir)?;
    let records = project.config.records.path.clone();
    let urls: Vec<(String, String)> = example_calls(&project);
    serve(project, sources, (traces, signals), |app| announce(demo, app, &urls, &env_file, &records, token.as_deref()))
        .await
}

/// Writes the variables by which other commands reach the sample databases, readable only for their owner.
fn write_env(demo: &Demo, state_dir: &Path) -> std::io::Result<PathBuf> {
    let path = state_dir.join("env");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
    writeln!(file, "# The sample databases of the demo, while it runs: tributary run --env-file {}", path.display())?;
    for (name, value) in demo.variables() {
        writeln!(file, "{name}={value}")?;
    }
    Ok(path)
}

/// The environment, with the sample databases in place of the user's own.
fn on_private_server(env: &Env, demo: &Demo) -> Env {
    let prefixes: Vec<String> = DATABASES.iter().map(|database| format!("{}_", database.name.to_uppercase())).collect();
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

/// The path of each flow and a body to try it with.
fn example_calls(project: &Project) -> Vec<(String, String)> {
    let body = |flow: &crate::graph::Flow| {
        let names: Vec<&str> = flow.inputs.fields().iter().map(|field| &*field.name).collect();
        if names == ["product_id"] { r#"{"product_id":"PROD-001"}"#.to_owned() } else { "{...}".to_owned() }
    };
    project.flows.iter().map(|flow| (flow.path.clone(), body(flow))).collect()
}

/// How this program is called from the current directory. It need not be on the search path.
fn program() -> String {
    let found = std::env::current_exe().ok();
    let current = std::env::current_dir().unwrap_or_default();
    let path = found.as_deref().map(|path| path.strip_prefix(current).unwrap_or(path));
    path.map_or_else(|| "tributary".to_owned(), |path| path.display().to_string())
}

fn announce(
    demo: &Demo,
    app: &App,
    calls: &[(String, String)],
    env_file: &Path,
    records: &Path,
    token: Option<&str>,
) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let base = format!("http://{}", app.address());
    writeln!(stdout, "\nTributary is deciding at {base}. Look at it in a browser: {base}/")?;
    if let Some(token) = token {
        writeln!(stdout, "What-if and restarts ask for the admin token of this run: {token}")?;
    }
    writeln!(stdout, "\nTry:\n")?;
    for (path, body) in calls {
        writeln!(stdout, "  curl -s {base}{path} -H 'Content-Type: application/json' -d '{body}'")?;
    }
    writeln!(stdout, "  curl -s {base}/health")?;
    let (program, env_file) = (program(), env_file.display());
    writeln!(stdout, "  {program} run --env-file {env_file} --input product_id=PROD-001 --explain\n")?;
    writeln!(stdout, "Decisions are recorded in {}", records.display())?;
    let state = if demo.is_fresh() { "new" } else { "of an earlier run" };
    writeln!(stdout, "Data ({state}): {}", demo.options().data_dir.display())?;
    writeln!(stdout, "PostgreSQL's log: {}", demo.options().log_file.display())?;
    writeln!(
        stdout,
        "PostgreSQL: port {} on this machine, databases {}",
        demo.options().port,
        DATABASES.map(|d| d.name).join(", ")
    )?;
    writeln!(stdout, "Ctrl-C, or closing this terminal, stops everything that was started.\n")?;
    stdout.flush()
}
