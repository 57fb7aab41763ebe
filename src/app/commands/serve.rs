//! `tributary serve`: the flows over HTTP, on the user's own databases.

use std::io::Write;

use super::{Exit, load};
use crate::app::cli::{Format, Serve};
use crate::app::project::{Project, Sources};
use crate::app::server::App;

pub(super) async fn execute(arguments: Serve) -> anyhow::Result<Exit> {
    let Some((project, sources)) = load(&arguments.files, arguments.bind, Format::Text)? else {
        return Ok(Exit::Refused);
    };
    serve(project, sources, |_| Ok(())).await
}

/// Serves `project` until it is stopped; `ready` is told the address once requests can come.
pub(super) async fn serve(
    project: Project,
    sources: Sources,
    ready: impl FnOnce(&App) -> std::io::Result<()>,
) -> anyhow::Result<Exit> {
    let flows: Vec<String> = project.flows.iter().map(|flow| flow.path.clone()).collect();
    let app = match App::build(project, sources) {
        Ok(app) => app,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error}")?;
            return Ok(Exit::CannotStart);
        }
    };
    tracing::info!(address = %app.address(), flows = flows.join(" "), "serving");
    ready(&app)?;
    app.run_until_stopped().await?;
    tracing::info!("stopped");
    Ok(Exit::Success)
}
