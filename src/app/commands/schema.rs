//! `tributary schema`: the JSON Schema of a kind of file, or the table of decision records.

use std::io::Write;

use super::Exit;
use crate::app::cli::{Schema as Arguments, SchemaOf};
use crate::{config, flowtests, graph, records};

pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let schema = match arguments.of {
        SchemaOf::Graph => graph::SCHEMA,
        SchemaOf::Service => config::SCHEMA,
        SchemaOf::Tests => flowtests::SCHEMA,
        SchemaOf::Records => records::TABLE,
    };
    std::io::stdout().write_all(schema.as_bytes())?;
    Ok(Exit::Success)
}
