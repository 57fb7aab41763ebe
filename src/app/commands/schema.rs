//! `tributary schema`: the JSON Schema of a kind of file, or the tables of records or of effects.

use std::io::Write;

use super::Exit;
use crate::app::cli::{Schema as Arguments, SchemaOf};
use crate::http::document_of_domain;
use crate::http::openapi::Contract;
use crate::{config, flowtests, graph, postgres, records};

pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let schema = match arguments.of {
        SchemaOf::Graph => graph::schema(),
        SchemaOf::Service => config::schema(),
        SchemaOf::Tests => flowtests::schema(),
        SchemaOf::Rules => graph::listing::Listing::schema(),
        SchemaOf::Contract => {
            let (flows, domains) = (Vec::new(), Vec::new());
            let parts = Contract { flows, domains, with_admin: true, with_metrics: true, with_tokens: true };
            format!("{:#}\n", document_of_domain(&parts))
        }
        SchemaOf::Records => records::TABLE.to_owned(),
        SchemaOf::Effects => postgres::EFFECT_TABLES.to_owned(),
    };
    std::io::stdout().write_all(schema.as_bytes())?;
    Ok(Exit::Success)
}
