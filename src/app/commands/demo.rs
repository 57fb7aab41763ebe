//! `tributary demo`: the shipped flow on a private PostgreSQL server with sample data.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Exit;
use super::serve::serve;
use crate::app::cli::{Demo as Arguments, Format};
use crate::app::project::{Project, Sources};
use crate::app::server::App;
use crate::config::{Env, RecordsTo};
use crate::diagnostics::Diagnostics;
use crate::server::{DATABASES, Demo};

/// Where decisions are put on record, below the state directory.
const RECORDS: &str = "records/decisions.ndjson";

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<Exit> {
    let demo = match Demo::start(&arguments.state_dir).await {
        Ok(demo) => demo,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error}")?;
            return Ok(Exit::CannotStart);
        }
    };
    let exit = on(&demo, &arguments).await;
    demo.stop().await?;
    exit
}

async fn on(demo: &Demo, arguments: &Arguments) -> anyhow::Result<Exit> {
    let sources = match arguments.files.sources(arguments.bind) {
        Ok(sources) => sources,
        Err(found) => {
            super::report(&found, Format::Text)?;
            return Ok(Exit::Refused);
        }
    };
    let mut found = Diagnostics::new();
    let env = on_private_server(&sources.variables(&mut found), demo);
    super::report(&found, Format::Text)?;
    let sources = Sources { env, env_file: None, ..sources };
    let Some((mut project, traces)) = super::read_to_serve(&sources)? else { return Ok(Exit::Refused) };
    if project.config.records.to == RecordsTo::Off {
        project.config.records.to = RecordsTo::File;
        project.config.records.path = arguments.state_dir.join(RECORDS);
    }
    let env_file = write_env(demo, &arguments.state_dir)?;
    let records = project.config.records.path.clone();
    let urls: Vec<(String, String)> = example_calls(&project);
    serve(project, sources, traces, |app| announce(demo, app, &urls, &env_file, &records)).await
}

/// Writes the variables by which other commands reach the sample databases, readable for their owner alone.
fn write_env(demo: &Demo, state_dir: &Path) -> std::io::Result<PathBuf> {
    let path = state_dir.join("env");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
    writeln!(file, "# The sample databases of the demo, while it runs: tributary run --env-file {}", path.display())?;
    for database in DATABASES {
        writeln!(file, "{}_URL={}", database.name.to_uppercase(), demo.url(database.name))?;
    }
    Ok(path)
}

/// The environment, with the sample databases where the user's own would be.
fn on_private_server(env: &Env, demo: &Demo) -> Env {
    let prefixes: Vec<String> = DATABASES.iter().map(|database| format!("{}_", database.name.to_uppercase())).collect();
    let foreign = |name: &&str| !prefixes.iter().any(|prefix| name.starts_with(prefix));
    let kept: Vec<(String, String)> = env
        .names()
        .filter(foreign)
        .filter_map(|name| Some((name.to_owned(), env.value(name).ok().flatten()?)))
        .collect();
    let own =
        DATABASES.iter().map(|database| (format!("{}_URL", database.name.to_uppercase()), demo.url(database.name)));
    Env::from_pairs(kept.into_iter().chain(own))
}

/// The path of each flow and a body to try it with.
fn example_calls(project: &Project) -> Vec<(String, String)> {
    let body = |flow: &crate::graph::Flow| {
        let names: Vec<&str> = flow.inputs.fields().iter().map(|field| &*field.name).collect();
        if names == ["product_id"] { r#"{"product_id":"PROD-001"}"#.to_owned() } else { "{...}".to_owned() }
    };
    project.flows.iter().map(|flow| (flow.path.clone(), body(flow))).collect()
}

fn announce(
    demo: &Demo,
    app: &App,
    calls: &[(String, String)],
    env_file: &Path,
    records: &Path,
) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let base = format!("http://{}", app.address());
    writeln!(stdout, "\nTributary is deciding at {base}. Try:\n")?;
    for (path, body) in calls {
        writeln!(stdout, "  curl -s {base}{path} -H 'Content-Type: application/json' -d '{body}'")?;
    }
    writeln!(stdout, "  curl -s {base}/health")?;
    writeln!(stdout, "  tributary run --env-file {} --input product_id=PROD-001 --explain\n", env_file.display())?;
    writeln!(stdout, "Decisions are put on record: {}", records.display())?;
    let state = if demo.is_fresh() { "made now" } else { "as it was left" };
    writeln!(stdout, "Data ({state}): {}", demo.server().data_dir().display())?;
    writeln!(stdout, "PostgreSQL's log: {}", demo.server().log_file().display())?;
    writeln!(
        stdout,
        "PostgreSQL: port {} on this machine, databases {}",
        demo.server().port(),
        DATABASES.map(|d| d.name).join(", ")
    )?;
    writeln!(stdout, "Ctrl-C stops everything that was started.\n")?;
    stdout.flush()
}
