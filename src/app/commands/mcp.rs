//! `tributary mcp`: the flows as tools of the Model Context Protocol, for the client that started this process. Standard output has
//! the protocol alone.

use rmcp::transport::io::stdio_pipes;

use super::{Exit, load};
use crate::app::cli::{Format, Mcp as Arguments};
use crate::app::core::Core;
use crate::config::RecordsTo;
use crate::http::{AdminSide, converse};
use crate::types::Deadline;

/// Serves the client until it closes standard input.
pub(super) async fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Some((project, _)) = load(&arguments.files, Format::Text)? else { return Ok(Exit::Refused) };
    if project.config.records.to == RecordsTo::Stdout {
        anyhow::bail!(
            "standard output has the protocol, and no place for records: set `records: {{ to: file }}` or `to: off`"
        );
    }
    let core = Core::start(project)?;
    let service = core.service_factory(None, AdminSide::default(), None).service();
    let ended = converse(service, stdio_pipes()).await;
    core.drain(Deadline::after(core.config().http.drain_timeout)).await;
    ended?;
    Ok(Exit::Success)
}
