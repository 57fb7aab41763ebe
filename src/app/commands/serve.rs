//! `tributary serve`: the flows over HTTP, on the user's own databases. `tributary domain`: the nodes of one domain.

use std::time::Duration;

use super::{Exit, read_to_serve};
use crate::app::cli::{Format, Serve};
use crate::app::project::{Project, Sources};
use crate::app::server::App;
use crate::app::signals::{Hangup, Signals};
use crate::app::stderr;
use crate::app::traces::Traces;
use crate::types::DomainName;

/// How long the last traces may take to be sent.
const LAST_TRACES: Duration = Duration::from_secs(2);

/// Serves the flows, or answers for the nodes of `domain`.
pub(super) async fn execute(arguments: Serve, domain: Option<DomainName>) -> anyhow::Result<Exit> {
    let signals = Signals::listen(Hangup::Reloads)?;
    let Some(sources) = super::sources(&arguments.files, arguments.bind, Format::Text)? else {
        return Ok(Exit::Refused);
    };
    let sources = Sources { domain, ..sources };
    let Some((project, traces)) = read_to_serve(&sources)? else { return Ok(Exit::Refused) };
    serve(project, sources, (traces, signals), |_| Ok(())).await
}

/// Serves `project` until it is stopped; `ready` gets the address once requests can come.
pub(super) async fn serve(
    project: Project,
    sources: Sources,
    (traces, signals): (Option<Traces>, Signals),
    ready: impl FnOnce(&App) -> std::io::Result<()>,
) -> anyhow::Result<Exit> {
    let flush = LAST_TRACES.min(project.config.http.drain_timeout);
    let nodes = project.nodes.iter().flat_map(|nodes| nodes.names().map(|node| format!("/{node}")));
    let paths: Vec<String> = project.flows.iter().map(|flow| flow.path.clone()).chain(nodes).collect();
    let app = match App::build(project, sources, signals) {
        Ok(app) => app,
        Err(error) => {
            stderr::error(&error.to_string())?;
            return Ok(Exit::CannotStart);
        }
    };
    tracing::info!(address = %app.address(), paths = paths.join(" "), "serving");
    ready(&app)?;
    // systemd's `Type=notify` waits for this; elsewhere there is nobody to tell.
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "systemd could not be notified that the service is ready");
    }
    app.run_until_stopped().await?;
    if let Some(traces) = traces {
        traces.finish(flush).await;
    }
    tracing::info!("stopped");
    Ok(Exit::Success)
}
