//! `tributary rules`: the rules of the flows, for people who review them.

use std::io::Write;

use super::{Exit, offline_flows, with_diagnostics};
use crate::app::cli::{Rules as Arguments, RulesFormat};
use crate::app::project::choose;
use crate::graph::listing::Listing;

pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Some((flows, _, warnings)) = offline_flows(arguments.files.sources(None), arguments.format.of_errors())? else {
        return Ok(Exit::Refused);
    };
    let listing = match arguments.flow.as_deref() {
        Some(name) => Listing::of([choose(&flows, Some(name)).map_err(anyhow::Error::msg)?]),
        None => Listing::of(&flows),
    };
    let text = match arguments.format {
        RulesFormat::Text => listing.text(),
        RulesFormat::Markdown => listing.markdown(),
        RulesFormat::Json => format!("{}\n", with_diagnostics(serde_json::to_value(&listing)?, &warnings)),
    };
    match &arguments.output {
        Some(path) => std::fs::write(path, text)
            .map_err(|error| anyhow::anyhow!("{} cannot be written: {error}", path.display()))?,
        None => std::io::stdout().write_all(text.as_bytes())?,
    }
    Ok(Exit::Success)
}
