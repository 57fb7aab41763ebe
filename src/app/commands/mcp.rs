//! `tributary mcp`: the flows as tools of the Model Context Protocol, for the client that started this process. Standard output has
//! the protocol alone. SIGHUP reads the files again, as it does for a service.

use std::sync::Arc;

use rmcp::transport::io::stdio_pipes;

use super::{Exit, load_from, sources};
use crate::app::cli::{Format, Mcp as Arguments};
use crate::app::core::Core;
use crate::app::operator::Operator;
use crate::app::server::serve_signals;
use crate::app::signals::{Hangup, Signals};
use crate::app::watch::Watch;
use crate::config::RecordsTo;
use crate::http::{AdminSide, converse};
use crate::types::Deadline;

/// Serves the client until it closes standard input, or until SIGTERM or SIGINT.
pub(super) async fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen(Hangup::Reloads)?;
    let Some(sources) = sources(&arguments.files, None, Format::Text)? else { return Ok(Exit::Refused) };
    let Some((project, _)) = load_from(&sources, Format::Text)? else { return Ok(Exit::Refused) };
    if project.config.records.to == RecordsTo::Stdout {
        anyhow::bail!(
            "standard output has the protocol, and no place for records: set `records: {{ to: file }}` or `to: off`"
        );
    }
    let in_service = project.domains.clone();
    let core = Core::start(project)?;
    let watch = Arc::new(Watch::new(core.gate().clone(), core.config(), None));
    let operator = Arc::new(Operator::new(&core, sources, in_service, watch));
    let service = core.service_factory(None, AdminSide::default(), None).service();
    let ended = tokio::select! {
        ended = converse(service, stdio_pipes()) => ended,
        () = serve_signals(&mut signals, &operator, core.recorder()) => Ok(()),
    };
    core.drain(Deadline::after(core.config().http.drain_timeout)).await;
    ended?;
    Ok(Exit::Success)
}
